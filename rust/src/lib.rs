//! The module `airis._core`: what the Python side may call, with the types of `_core.pyi`.
//!
//! Every function here takes buffers without copying and works without the interpreter's lock.

// Sockets and their wake-ups are Unix's; elsewhere airis listens with its Python transport.
#[cfg(unix)]
pub mod net;

// Rust's unit tests run without an interpreter.
#[cfg(not(test))]
mod python;
