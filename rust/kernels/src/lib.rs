//! What is done for every item: bytes and arrays in, bytes and arrays out.
//!
//! Each kernel has a twin of the same name in `airis.data.reference`, and gives the same bytes.

pub mod arrow;
pub mod blocks;
pub mod buffers;
pub mod columns;
pub mod edit;
pub mod edits;
pub mod encode;
pub mod fields;
pub mod group;
pub mod json;
pub mod logs;
pub mod metrics;
pub mod order;
pub mod otlp;
pub mod owners;
pub mod partition;
pub mod pattern;
pub mod predicate;
pub mod prometheus_names;
pub mod remote_write;
pub mod samples;
pub mod sampling;
pub mod scan;
pub mod series;
pub mod split;
pub mod trace_index;
pub mod traces;
mod trail;
pub mod validate;
pub mod values;
pub mod view;
pub mod wal;
pub mod wire;
