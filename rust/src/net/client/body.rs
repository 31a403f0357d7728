//! What is sent: bytes of Python untouched, or compressed once for all attempts.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Buf, Bytes, Frame, SizeHint};
use tokio::sync::OnceCell;

use super::super::compress::compress;
use super::super::inflate::Encoding;
use super::answer::{Kind, NoAnswer};

/// More than this is compressed by another thread, so that this one stays responsive.
const HEAVY: usize = 64 * 1024;
const PREFIX: usize = 5;

/// A body to send, as often as is needed.
#[derive(Debug)]
pub struct Outgoing {
    plain: Bytes,
    encoding: Option<(Encoding, i32)>,
    compressed: OnceCell<Bytes>,
}

impl Outgoing {
    /// Sent as it is, or in an encoding with a level.
    pub fn new(plain: Bytes, encoding: Option<(Encoding, i32)>) -> Self {
        Self { plain, encoding, compressed: OnceCell::new() }
    }

    pub fn is_compressed(&self) -> bool {
        self.encoding.is_some()
    }

    /// The bytes that travel; compressed at the first time.
    pub async fn ready(&self) -> Result<Bytes, NoAnswer> {
        let Some((encoding, level)) = self.encoding else { return Ok(self.plain.clone()) };
        let work = || async {
            let plain = self.plain.clone();
            let work = move || compress(encoding, level, &plain);
            let done = if self.plain.len() > HEAVY {
                tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
            } else {
                work()
            };
            done.map(Bytes::from)
        };
        let done = self.compressed.get_or_try_init(work).await;
        done.cloned().map_err(|error| NoAnswer::new(Kind::Internal, format!("it cannot be compressed: {error}")))
    }
}

/// The bytes of one message, behind the prefix that gRPC wants, without a copy of either.
#[derive(Debug)]
pub struct Piece {
    prefix: [u8; PREFIX],
    /// Bytes of the prefix that are gone.
    at: usize,
    data: Bytes,
}

impl Piece {
    /// A message of gRPC; None where it is longer than gRPC can say.
    pub fn message(is_compressed: bool, data: Bytes) -> Option<Self> {
        let [a, b, c, d] = u32::try_from(data.len()).ok()?.to_be_bytes();
        Some(Self { prefix: [u8::from(is_compressed), a, b, c, d], at: 0, data })
    }

    /// Bytes alone.
    pub fn plain(data: Bytes) -> Self {
        Self { prefix: [0; PREFIX], at: PREFIX, data }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        PREFIX - self.at + self.data.len()
    }

    fn chunk(&self) -> &[u8] {
        match self.prefix.get(self.at..) {
            Some(prefix) if !prefix.is_empty() => prefix,
            _ => &self.data,
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        let parts = [self.prefix.get(self.at..).unwrap_or_default(), &self.data];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        slices.iter_mut().zip(parts).map(|(slice, part)| *slice = std::io::IoSlice::new(part)).count()
    }

    fn advance(&mut self, count: usize) {
        let of_prefix = count.min(PREFIX - self.at);
        self.at += of_prefix;
        self.data.advance(count - of_prefix);
    }
}

/// A body of one piece, for hyper.
#[derive(Debug)]
pub struct Once(Option<Bytes>);

impl Once {
    pub fn new(data: Bytes) -> Self {
        Self(Some(data).filter(|data| !data.is_empty()))
    }
}

impl hyper::body::Body for Once {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, Bytes::len) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_its_prefix_however_it_is_taken() {
        let whole = [&[1, 0, 0, 0, 6][..], b"span s"].concat();
        for step in 1..=whole.len() {
            let mut piece = Piece::message(true, Bytes::from_static(b"span s")).unwrap();
            let mut taken: Vec<u8> = Vec::new();
            while piece.has_remaining() {
                let mut slices = [std::io::IoSlice::new(&[]); 3];
                let count = piece.chunks_vectored(&mut slices);
                let ready: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
                assert_eq!((ready.len(), &ready[..piece.chunk().len()]), (piece.remaining(), piece.chunk()));
                let size = step.min(ready.len());
                taken.extend(&ready[..size]);
                piece.advance(size);
            }
            assert_eq!(taken, whole, "step {step}");
        }
    }
}
