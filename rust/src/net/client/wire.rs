//! Connections of every kind as one type, which notes what passes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use super::tls;

const HTTP_1: &[u8] = b"HTTP/";

/// What is known of a connection beyond its bytes.
#[derive(Debug)]
pub struct Seen(Mutex<Notes>);

#[derive(Debug)]
struct Notes {
    heard: Instant,
    /// How the server's first bytes go.
    begin: Vec<u8>,
    fault: Option<String>,
}

impl Seen {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Notes { heard: Instant::now(), begin: Vec::new(), fault: None })))
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, bytes: &[u8]) {
        let mut notes = self.notes();
        notes.heard = Instant::now();
        if notes.begin.len() < HTTP_1.len() {
            let missing = HTTP_1.len() - notes.begin.len();
            notes.begin.extend(bytes.iter().take(missing));
        }
    }

    /// When the server was last heard of.
    pub fn heard(&self) -> Instant {
        self.notes().heard
    }

    /// Whether the server's first words are HTTP/1's.
    pub fn is_http1(&self) -> bool {
        self.notes().begin == HTTP_1
    }

    /// Why the connection ended; the first one to say so is right.
    pub fn fault(&self) -> Option<String> {
        self.notes().fault.clone()
    }

    /// Note why the connection ends.
    pub fn fail(&self, words: impl FnOnce() -> String) {
        let mut notes = self.notes();
        if notes.fault.is_none() {
            notes.fault = Some(words());
        }
    }
}

/// What is below: the system's connections, and encryption over any of them.
#[derive(Debug)]
pub enum Layer {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<Layer>>),
}

/// Do the same for every kind.
macro_rules! each {
    ($layer:expr, $inner:ident => $work:expr) => {
        match $layer {
            Layer::Tcp($inner) => $work,
            Layer::Unix($inner) => $work,
            Layer::Tls($inner) => $work,
        }
    };
}

impl AsyncRead for Layer {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_read(cx, buf))
    }
}

impl AsyncWrite for Layer {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, inner => inner.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_shutdown(cx))
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct Wire {
    layer: Layer,
    seen: Arc<Seen>,
}

impl Wire {
    pub fn new(layer: Layer) -> Self {
        Self { layer, seen: Seen::new() }
    }

    pub fn seen(&self) -> Arc<Seen> {
        self.seen.clone()
    }

    /// Whether the server chose HTTP/2 when the encryption began.
    pub fn chose_http2(&self) -> bool {
        matches!(&self.layer, Layer::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2"))
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut this.layer).poll_read(cx, buf));
        match &read {
            Ok(()) => match buf.filled().get(before..) {
                Some(bytes) if !bytes.is_empty() => this.seen.note(bytes),
                _ => {}
            },
            Err(error) => this.seen.fail(|| tls::words(error)),
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().layer).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().layer).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.layer.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().layer).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().layer).poll_shutdown(cx)
    }
}
