//! What a connection still has to send: small pieces copied together, bodies shared.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::ops::Range;
use std::rc::Rc;

/// A piece up to this size is copied behind the one before.
const SMALL: usize = 4096;
/// Slices that are handed to the system at once.
const MOST_SLICES: usize = 64;
/// Copied pieces are cut off at this size.
const LARGE: usize = 64 * 1024;

enum Piece {
    Own(Vec<u8>),
    Shared(Rc<Vec<u8>>, Range<usize>),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes, range) => &bytes[range.clone()],
        }
    }
}

#[derive(Default)]
pub struct Outgoing {
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that have left.
    gone: usize,
}

impl Outgoing {
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub fn push(&mut self, bytes: &[u8]) {
        match self.pieces.back_mut() {
            Some(Piece::Own(last)) if last.len() < LARGE => last.extend_from_slice(bytes),
            _ => self.pieces.push_back(Piece::Own(bytes.to_vec())),
        }
    }

    pub fn push_shared(&mut self, bytes: &Rc<Vec<u8>>, range: Range<usize>) {
        if range.len() <= SMALL {
            self.push(&bytes[range]);
        } else {
            self.pieces.push_back(Piece::Shared(bytes.clone(), range));
        }
    }

    /// Send as much as the system takes now; how many bytes those were.
    pub fn write(&mut self, to: &mut impl Write) -> io::Result<usize> {
        let mut sent = 0;
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); MOST_SLICES];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                *slice = IoSlice::new(&piece.bytes()[if count == 0 { self.gone } else { 0 }..]);
                count += 1;
            }
            match to.write_vectored(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(size) => {
                    sent += size;
                    self.advance(size);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    fn advance(&mut self, mut size: usize) {
        while let Some(first) = self.pieces.front() {
            let rest = first.bytes().len() - self.gone;
            if size < rest {
                self.gone += size;
                return;
            }
            size -= rest;
            self.gone = 0;
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes at a time, and blocks in between.
    struct Slow(Vec<u8>, usize, bool);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.2 = !self.2;
            if self.2 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let size = bytes.len().min(self.1);
            self.0.extend_from_slice(&bytes[..size]);
            Ok(size)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn all_bytes_leave_in_order() {
        let body = Rc::new((0..20_000_u32).map(|number| number as u8).collect::<Vec<_>>());
        for at_once in [1, 7, 100_000] {
            let (mut outgoing, mut slow) = (Outgoing::default(), Slow(Vec::new(), at_once, false));
            outgoing.push(b"head");
            outgoing.push_shared(&body, 0..10_000);
            outgoing.push_shared(&body, 10_000..10_010);
            outgoing.push(b"tail");
            let mut sent = 0;
            while !outgoing.is_empty() {
                sent += outgoing.write(&mut slow).unwrap();
            }
            assert_eq!(slow.0, [b"head", &body[..10_010], b"tail"].concat());
            assert_eq!(sent, slow.0.len());
        }
    }
}
