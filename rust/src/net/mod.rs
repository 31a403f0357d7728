//! The intake: sockets, framing, inflation and limits of OTLP over gRPC and HTTP. The way out is `client`.
//!
//! The intake moves bytes and keeps order, and asks Python for every decision: what is regular waits at the `desk`, is taken
//! by Python many at a time and answered by token; what is not is asked about one by one.
//!
//! One thread works for a whole receiver. Nothing here takes the interpreter's lock, and what a client sends can end
//! no more than its own connection.

pub mod budget;
pub mod client;
pub mod compress;
pub mod deframe;
pub mod desk;
pub mod door;
pub mod fault;
pub mod inflate;
pub mod pace;
pub mod reply;
pub mod server;
pub mod service;
pub mod settings;
pub mod stream;
pub mod tls;
