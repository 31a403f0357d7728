//! Connections of every kind as one type, so that hyper is compiled once.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::server::TlsStream;

use super::pace::Pace;

/// Where connections come from.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// The next connection, without Nagle's algorithm: with it small answers wait for the client's delayed
    /// acknowledgement, 40 ms each.
    pub async fn accept(&self) -> io::Result<Plain> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // It fails where the client is gone again.
                let _ = stream.set_nodelay(true);
                Ok(Plain::Tcp(stream))
            }
            Self::Unix(listener) => Ok(Plain::Unix(listener.accept().await?.0)),
        }
    }
}

/// A connection as the system gives it.
#[derive(Debug)]
pub enum Plain {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Do the same for every kind.
macro_rules! each {
    ($stream:expr, $inner:ident => $work:expr) => {
        match $stream {
            Self::Tcp($inner) => $work,
            Self::Unix($inner) => $work,
        }
    };
}

impl AsyncRead for Plain {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Plain {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}

/// A connection, encrypted or not.
#[derive(Debug)]
pub enum Secured {
    Plain(Plain),
    Tls(Box<TlsStream<Plain>>),
}

/// A connection that tells its pace of what passes, and gives what was read ahead first.
#[derive(Debug)]
pub struct Stream {
    inner: Secured,
    pace: Arc<Pace>,
    ahead: Bytes,
    frames: Option<Frames>,
}

impl Stream {
    pub fn new(inner: Secured, pace: Arc<Pace>) -> Self {
        Self { inner, pace, ahead: Bytes::new(), frames: None }
    }

    /// Give these bytes before any other.
    pub fn put_back(&mut self, ahead: Bytes) {
        self.ahead = ahead;
    }

    /// Read far ahead, and give whole HTTP/2 frames, beginning with the words that announce it.
    pub fn read_frames(&mut self, announcement: usize) {
        let ahead = mem::take(&mut self.ahead);
        self.frames = Some(Frames { end: ahead.len(), buffer: ahead.into(), start: 0, rest: announcement });
    }
}

/// How much is read ahead at once.
const AHEAD: usize = 128 * 1024;
/// Buffers that are kept for the next connection that reads.
const KEPT_BUFFERS: usize = 16;
const FRAME_HEAD: usize = 9;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// What was read of a connection that speaks HTTP/2.
///
/// h2 reads little at a time, which costs system calls, and copies what it has of a frame whose rest it has not. Given
/// one frame after the other it copies nothing. Any other way to cut the bytes would be as right.
#[derive(Debug)]
struct Frames {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes to come of the frame that was begun.
    rest: usize,
}

impl Frames {
    fn ready(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// How many bytes to give, of those that are ready, where there is room for so many; 0 where more has to be read.
    fn portion(&self, room: usize) -> usize {
        let ready = self.ready();
        if self.rest > 0 {
            return self.rest.min(room).min(ready.len());
        }
        let mut whole = 0;
        let mut begun = false;
        while let Some(head) = ready.get(whole..).and_then(<[u8]>::first_chunk) {
            let frame = frame_size(head);
            if whole + frame > room.min(ready.len()) {
                begun = true;
                break;
            }
            whole += frame;
        }
        match whole {
            0 if begun => FRAME_HEAD.min(room),
            _ => whole,
        }
    }

    /// Count bytes as given.
    fn give(&mut self, size: usize) {
        let head = self.ready().first_chunk().map(frame_size);
        self.rest = match (self.rest, head) {
            (0, Some(frame)) if frame > size => frame - size,
            (0, _) => 0,
            (rest, _) => rest.saturating_sub(size),
        };
        self.start += size;
        if self.start >= self.end {
            (self.start, self.end) = (0, 0);
            keep(mem::take(&mut self.buffer));
        }
    }

    /// Where to read more to: behind what is ready.
    fn room(&mut self) -> &mut [u8] {
        if self.buffer.len() < AHEAD {
            let old = mem::replace(&mut self.buffer, kept());
            let ready = old.get(self.start..self.end).unwrap_or_default();
            let size = ready.len().min(AHEAD);
            self.buffer[..size].copy_from_slice(&ready[..size]);
            (self.start, self.end) = (0, size);
        } else if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut self.buffer[self.end..]
    }
}

/// The size of a frame with its head.
fn frame_size(head: &[u8; FRAME_HEAD]) -> usize {
    let [high, middle, low, ..] = *head;
    FRAME_HEAD + u32::from_be_bytes([0, high, middle, low]) as usize
}

fn kept() -> Vec<u8> {
    BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; AHEAD])
}

fn keep(buffer: Vec<u8>) {
    BUFFERS.with_borrow_mut(|buffers| {
        if buffer.len() == AHEAD && buffers.len() < KEPT_BUFFERS {
            buffers.push(buffer);
        }
    });
}

/// Do the same for both kinds.
macro_rules! either {
    ($stream:expr, $inner:ident => $work:expr) => {
        match $stream {
            Secured::Plain($inner) => $work,
            Secured::Tls($inner) => $work,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.ahead.is_empty() {
            let size = this.ahead.len().min(buf.remaining());
            buf.put_slice(&this.ahead[..size]);
            this.ahead.advance(size);
            return Poll::Ready(Ok(()));
        }
        let Some(frames) = &mut this.frames else {
            let before = buf.filled().len();
            ready!(either!(&mut this.inner, stream => Pin::new(stream).poll_read(cx, buf)))?;
            if buf.filled().len() > before {
                this.pace.received();
            }
            return Poll::Ready(Ok(()));
        };
        loop {
            let size = frames.portion(buf.remaining());
            if size > 0 || buf.remaining() == 0 {
                buf.put_slice(&frames.ready()[..size]);
                frames.give(size);
                return Poll::Ready(Ok(()));
            }
            let mut room = ReadBuf::new(frames.room());
            let read = either!(&mut this.inner, stream => Pin::new(stream).poll_read(cx, &mut room));
            let size = room.filled().len();
            if read.is_pending() && frames.start == frames.end {
                keep(mem::take(&mut frames.buffer));
            }
            ready!(read)?;
            if size == 0 {
                // The end, with the beginning of a frame perhaps.
                let size = frames.ready().len().min(buf.remaining());
                buf.put_slice(&frames.ready()[..size]);
                frames.give(size);
                return Poll::Ready(Ok(()));
            }
            frames.end += size;
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(&mut self.get_mut().inner, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(&mut self.get_mut().inner, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        either!(&self.inner, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(either!(&mut this.inner, stream => Pin::new(stream).poll_flush(cx)))?;
        this.pace.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut self.get_mut().inner, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out of frames that are read and given in pieces of these sizes.
    fn passed(bytes: &[u8], read: usize, room: usize) -> Vec<Vec<u8>> {
        let mut frames = Frames { buffer: Vec::new(), start: 0, end: 0, rest: 3 };
        let (mut rest, mut given) = (bytes, Vec::new());
        loop {
            let size = frames.portion(room);
            if size > 0 {
                given.push(frames.ready()[..size].to_vec());
                frames.give(size);
                continue;
            }
            if rest.is_empty() {
                return given;
            }
            let (now, later) = rest.split_at(read.min(rest.len()));
            frames.room()[..now.len()].copy_from_slice(now);
            frames.end += now.len();
            rest = later;
        }
    }

    #[test]
    fn all_bytes_come_out_in_order_however_they_are_cut() {
        let mut bytes = b"PRI".to_vec();
        for size in [0_u32, 1, 5, 300, 0, 0, 20_000, 7] {
            bytes.extend(&size.to_be_bytes()[1..]);
            bytes.extend((0..size + 6).map(|number| number as u8));
        }
        for read in [1, 2, 8, 9, 10, 100, 5000, 100_000] {
            for room in [1, 3, 8, 9, 10, 500, 8192, 30_000] {
                assert_eq!(passed(&bytes, read, room).concat(), bytes, "read {read}, room {room}");
            }
        }
    }

    #[test]
    fn small_frames_come_together_and_a_large_one_by_itself() {
        let frame = |size: u32| [&size.to_be_bytes()[1..], &[0; 6], &vec![1; size as usize]].concat();
        let bytes = [b"PRI".to_vec(), frame(10), frame(20), frame(10_000), frame(5)].concat();
        let sizes: Vec<_> = passed(&bytes, 100_000, 8192).iter().map(Vec::len).collect();
        assert_eq!(sizes, [3, 19 + 29, 9, 8192, 10_000 - 8192, 14]);
    }
}
