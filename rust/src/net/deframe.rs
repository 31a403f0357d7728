//! Messages out of the bytes of a gRPC call: a flag, a length, the message, again and again, cut anywhere.

use hyper::body::Bytes;

use super::budget::MAX_AHEAD;
use super::fault::Fault;

const PREFIX: usize = 5;

/// One message as it came.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub is_compressed: bool,
    pub content: Bytes,
}

/// Takes pieces, gives messages: without a copy where a piece holds them whole.
#[derive(Debug)]
pub struct Deframer {
    limit: usize,
    /// What came last, while nothing came before that is not given.
    piece: Bytes,
    /// Pieces copied together. One by one they could be of a byte each, and take many times as much.
    buffer: Vec<u8>,
}

impl Deframer {
    /// For messages of at most `limit` bytes, as they come.
    pub fn new(limit: usize) -> Self {
        Self { limit, piece: Bytes::new(), buffer: Vec::new() }
    }

    /// More bytes of the call.
    pub fn push(&mut self, piece: Bytes) {
        if self.pending() == 0 {
            self.piece = piece;
            return;
        }
        self.buffer.extend_from_slice(&std::mem::take(&mut self.piece));
        self.buffer.extend_from_slice(&piece);
    }

    /// Bytes that came and are not given.
    pub fn pending(&self) -> usize {
        self.piece.len() + self.buffer.len()
    }

    /// Bytes of memory in use.
    pub fn room(&self) -> usize {
        self.piece.len() + self.buffer.capacity()
    }

    /// Size of the next message with its prefix, once that came.
    pub fn announced(&self) -> Option<usize> {
        let ready = if self.buffer.is_empty() { &self.piece[..] } else { &self.buffer };
        let [_, length @ ..] = ready.first_chunk::<PREFIX>()?;
        Some(PREFIX + u32::from_be_bytes(*length) as usize)
    }

    /// The next message once it is whole.
    pub fn message(&mut self) -> Result<Option<Message>, Fault> {
        let ready = if self.buffer.is_empty() { &self.piece[..] } else { &self.buffer };
        let Some((prefix, content)) = ready.split_first_chunk::<PREFIX>() else { return Ok(None) };
        let [flag, length @ ..] = *prefix;
        let length = u32::from_be_bytes(length) as usize;
        if flag > 1 {
            return Err(Fault::Corrupt(format!("a gRPC message with the flags {flag}")));
        }
        if length > self.limit {
            return Err(Fault::TooLarge);
        }
        let is_compressed = flag == 1;
        if content.len() < length {
            if self.buffer.is_empty() {
                self.buffer.reserve_exact((PREFIX + length).min(MAX_AHEAD.max(self.piece.len())));
            }
            return Ok(None);
        }
        let mut taken = if self.buffer.is_empty() {
            self.piece.split_to(PREFIX + length)
        } else {
            let behind = self.buffer.split_off(PREFIX + length);
            std::mem::replace(&mut self.buffer, behind).into()
        };
        Ok(Some(Message { is_compressed, content: taken.split_off(PREFIX) }))
    }
}

/// A message with its prefix, not compressed.
pub fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], length.to_be_bytes().as_slice(), message].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(messages: &[(bool, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (is_compressed, content) in messages {
            let mut message = framed(content).to_vec();
            message[0] = u8::from(*is_compressed);
            bytes.extend(message);
        }
        bytes
    }

    /// Numbers that look random and are the same in every run.
    fn numbers(mut seed: u64) -> impl Iterator<Item = usize> {
        std::iter::repeat_with(move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize
        })
    }

    #[test]
    fn however_the_bytes_are_cut_the_messages_are_the_same() {
        for seed in 0..500 {
            let mut numbers = numbers(seed);
            let mut number = |below: usize| numbers.next().unwrap() % below;
            let messages: Vec<_> = (0..number(5))
                .map(|_| (number(2) == 1, (0..number(300)).map(|_| number(256) as u8).collect::<Vec<_>>()))
                .collect();
            let mut bytes = Bytes::from(stream(&messages));
            let mut deframer = Deframer::new(300);
            let mut found = Vec::new();
            while !bytes.is_empty() {
                deframer.push(bytes.split_to(bytes.len().min(number(40))));
                while let Some(message) = deframer.message().unwrap() {
                    found.push((message.is_compressed, message.content.to_vec()));
                }
            }
            assert_eq!(found, messages, "seed {seed}");
            assert_eq!(deframer.pending(), 0);
        }
    }

    #[test]
    fn garbage_gives_a_fault_or_nothing_and_never_a_panic() {
        for seed in 0..2000 {
            let mut numbers = numbers(seed);
            let mut deframer = Deframer::new(100);
            for _ in 0..20 {
                let size = numbers.next().unwrap() % 12;
                deframer.push(numbers.by_ref().take(size).map(|number| (number % 3) as u8).collect());
                if deframer.message().is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_message_over_the_limit_is_known_from_its_prefix() {
        let mut deframer = Deframer::new(100);
        deframer.push(Bytes::from_static(&[0, 0, 0, 0, 101]));
        assert_eq!(deframer.message(), Err(Fault::TooLarge));
    }
}
