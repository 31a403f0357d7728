//! OTLP/JSON, both ways (opentelemetry-proto, docs/specification.md, "JSON Protobuf Encoding").
//!
//! The twin of `airis.proto.otlp_json`, which says what is read and what is written.

mod names;
mod number;
mod place;
mod read;
mod reader;
mod scalar;
mod schema;
mod string;
mod write;

pub use read::from_json;
pub use string::plain_run;
pub use write::to_json;
