//! A block: the columns of a table, one behind another.

use std::borrow::Cow;

use super::columns::{Column, Ends, Parts, write_version};
use super::wire::push_varint;

pub const LC: &str = "LowCardinality(String)";
pub const MAP: &str = "Map(LowCardinality(String), String)";
pub const TIME: &str = "DateTime64(9)";
pub const SOURCE: &str = "Enum8('sent' = 0, 'observed' = 1, 'end' = 2, 'arrival' = 3)";
pub const POINT_SOURCE: &str = "Enum8('sent' = 0, 'arrival' = 3)";
pub const KIND: &str =
    "Enum8('unknown' = 0, 'gauge' = 1, 'sum' = 2, 'histogram' = 3, 'exponential_histogram' = 4, 'summary' = 5)";
pub const TIMES: &str = "Array(DateTime64(9))";
pub const LCS: &str = "Array(LowCardinality(String))";
pub const MAPS: &str = "Array(Map(LowCardinality(String), String))";

/// Numbers of the sources of a time.
pub const SENT: u8 = 0;
pub const OBSERVED: u8 = 1;
pub const END: u8 = 2;
pub const ARRIVAL: u8 = 3;

/// A column with its name and type; of arrays the elements and where the rows end, which columns may share.
pub struct Named<'a> {
    name: &'static str,
    type_name: &'static str,
    ends: Option<&'a Ends>,
    column: &'a dyn Column,
}

/// A column of the rows themselves.
pub fn column<'a>(name: &'static str, type_name: &'static str, column: &'a dyn Column) -> Named<'a> {
    Named { name, type_name, ends: None, column }
}

/// A column of arrays of what is in another one.
pub fn array<'a>(name: &'static str, type_name: &'static str, ends: &'a Ends, column: &'a dyn Column) -> Named<'a> {
    Named { name, type_name, ends: Some(ends), column }
}

/// The rows that a table gets.
pub struct Block<'a> {
    pub table: &'static str,
    pub rows: usize,
    pub columns: Vec<Named<'a>>,
}

impl<'a> Block<'a> {
    /// The bytes of the block in pieces.
    pub fn parts(&self) -> Parts<'a> {
        let mut parts = Parts::new();
        let mut head = Vec::new();
        push_varint(&mut head, self.columns.len() as u64);
        push_varint(&mut head, self.rows as u64);
        for Named { name, type_name, ends, column } in &self.columns {
            for text in [name, type_name] {
                push_varint(&mut head, text.len() as u64);
                head.extend_from_slice(text.as_bytes());
            }
            parts.push(Cow::Owned(std::mem::take(&mut head)));
            if column.versioned() {
                write_version(&mut parts);
            }
            if let Some(ends) = ends {
                ends.write(&mut parts);
            }
            column.write(&mut parts);
        }
        parts
    }
}

/// What a payload becomes: a block for each table that gets rows, in the order in which they are to be stored.
pub trait Tables: Send + Sync {
    /// The blocks, those without rows left out.
    fn blocks(&self) -> Vec<Block<'_>>;
}
