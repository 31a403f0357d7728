//! What is done for every item: bytes and arrays in, bytes and arrays out.
//!
//! Each kernel has a twin of the same name in `airis.data.reference`, and gives the same bytes.

pub mod blocks;
pub mod columns;
pub mod logs;
pub mod metrics;
pub mod order;
pub mod otlp;
pub mod owners;
pub mod prometheus_names;
pub mod scan;
pub mod series;
pub mod split;
pub mod traces;
pub mod validate;
pub mod values;
pub mod wire;
