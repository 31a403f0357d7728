//! What a server said, or why there is no answer.

use hyper::HeaderMap;
use hyper::body::Bytes;

/// Names and values, in order; a value that is no text is read as Latin-1.
pub type Headers = Vec<(String, String)>;

/// A server's answer, as far as it was read.
#[derive(Debug, Default)]
pub struct Answer {
    /// Of HTTP.
    pub status: u16,
    pub reason: String,
    pub headers: Headers,
    /// Of gRPC the message, without its prefix and inflated.
    pub body: Bytes,
    /// Whether the body ends where `body` does.
    pub is_whole: bool,
    pub trailers: Headers,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There was no connection, or it broke.
    Unavailable,
    /// It took longer than it may.
    Late,
    /// What came is no answer in the protocol that is spoken.
    Protocol,
    /// It speaks HTTP/1 where HTTP/2 is expected.
    Http1,
    /// The answer is larger than allowed.
    TooLarge,
    /// It is our own fault.
    Internal,
}

impl Kind {
    /// What Python calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Late => "late",
            Self::Protocol => "protocol",
            Self::Http1 => "http1",
            Self::TooLarge => "too_large",
            Self::Internal => "internal",
        }
    }
}

/// No answer, with the cause in words; those of the server's may be in it as they came.
#[derive(Debug)]
pub struct NoAnswer {
    pub kind: Kind,
    pub detail: String,
}

impl NoAnswer {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, detail)
    }
}

/// A request that failed.
#[derive(Debug)]
pub struct Broken {
    /// The server has surely not worked on it, so that it may be sent again at once.
    pub is_safe: bool,
    pub why: NoAnswer,
}

impl From<NoAnswer> for Broken {
    fn from(why: NoAnswer) -> Self {
        Self { is_safe: false, why }
    }
}

/// All headers as text.
pub fn headers(map: &HeaderMap) -> Headers {
    map.iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().iter().copied().map(char::from).collect()))
        .collect()
}
