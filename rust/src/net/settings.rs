//! What Python says a listener is to do.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::desk::Route;
use super::inflate::Encoding;
use super::pace::Limits;
use airis_kernels::otlp::Signal;

/// Largest head of a request.
pub const MAX_HEAD: u32 = 64 * 1024;
/// Largest frame; a request in one frame is not copied together.
pub const MAX_FRAME: u32 = 256 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    Http,
}

/// One listener's settings.
#[derive(Debug)]
pub struct Settings {
    /// Index of the listener, for Python.
    pub listener: usize,
    pub protocol: Protocol,
    /// The route and signal of each path.
    pub routes: HashMap<String, (Route, Signal)>,
    /// Encodings that are offered, by their names.
    pub encodings: HashMap<String, Encoding>,
    /// Largest message or body, after decompression.
    pub max_message: usize,
    /// Headers that do not go on with the data; None where none does.
    pub withheld: Option<HashSet<String>>,
    pub limits: Limits,
    pub keep_alive: bool,
    pub max_connections: usize,
    pub max_streams: Option<u32>,
    pub ping_interval: Option<Duration>,
    pub ping_timeout: Duration,
    /// Whether Python wants to be asked before a TLS handshake.
    pub asks_before_handshake: bool,
}
