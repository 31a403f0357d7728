//! The module `airis._core`: what the Python side may call, with the types of `_core.pyi`.
//!
//! Every function here takes buffers without copying and works without the interpreter's lock.

pub mod kernels;

// Rust's unit tests run without an interpreter.
#[cfg(not(test))]
mod python;
