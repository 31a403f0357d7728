//! The way out: calls of gRPC over HTTP/2, and requests over HTTP/1.1 and HTTP/2.
//!
//! It moves bytes and keeps connections, and leaves every decision to Python: what is sent, what an answer means, when
//! it is tried again. One thread works for a whole exporter. Nothing here takes the interpreter's lock, and what a
//! server says can end no more than its own connection.

pub mod answer;
pub mod balance;
pub mod body;
pub mod call;
pub mod dial;
pub mod http1;
pub mod http2;
pub mod pool;
pub mod remote;
pub mod thread;
pub mod tls;
pub mod wire;
