//! What is asked of items as columns in Arrow's format, for other libraries to read without copying.
//!
//! What columns and their types are is told in `airis.data.arrow`.

mod array;
mod builder;
mod interface;
mod map;

use std::ffi::{CStr, CString};
use std::fmt;

use super::fields::{Level, Source, Spotter};
use super::trail::Wanted;
use super::view::View;
use array::{Array, Layout};
use builder::Builder;

pub use interface::{ArrowArrayStream, ArrowSchema};

/// Why there is no table: a sender can make much of little, when what its items have in common is told for each.
#[derive(Debug)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the texts or lists of a column would be larger than 1 GiB")
    }
}

/// The type of a column, or of what is in its lists where the level of its source is a repeated one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Dictionary,
    Bool,
    Int32,
    Uint32,
    Int64,
    Uint64,
    Float64,
    Binary,
    Timestamp,
    Map,
    Uint64List,
    Float64List,
    QuantileList,
}

impl Kind {
    /// By its name in `airis.data.arrow`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "text" => Self::Text,
            "dictionary" => Self::Dictionary,
            "bool" => Self::Bool,
            "int32" => Self::Int32,
            "uint32" => Self::Uint32,
            "int64" => Self::Int64,
            "uint64" => Self::Uint64,
            "float64" => Self::Float64,
            "binary" => Self::Binary,
            "timestamp" => Self::Timestamp,
            "map" => Self::Map,
            "uint64_list" => Self::Uint64List,
            "float64_list" => Self::Float64List,
            "quantile_list" => Self::QuantileList,
            _ => return None,
        })
    }

    fn layout(self, name: &CStr) -> Layout {
        const ITEM: &CStr = c"item";
        let list = |item| Layout::of(name, c"+l", vec![item]);
        match self {
            Self::Text => Layout::new(name, c"u"),
            Self::Dictionary => {
                Layout { dictionary: Some(Box::new(Layout::new(c"", c"u"))), ..Layout::new(name, c"i") }
            }
            Self::Bool => Layout::new(name, c"b"),
            Self::Int32 => Layout::new(name, c"i"),
            Self::Uint32 => Layout::new(name, c"I"),
            Self::Int64 => Layout::new(name, c"l"),
            Self::Uint64 => Layout::new(name, c"L"),
            Self::Float64 => Layout::new(name, c"g"),
            Self::Binary => Layout::new(name, c"z"),
            Self::Timestamp => Layout::new(name, c"tsn:UTC"),
            Self::Map => {
                let entry = vec![Layout::new(c"key", c"u").required(), Layout::new(c"value", c"u")];
                Layout::of(name, c"+m", vec![Layout::of(c"entries", c"+s", entry).required()])
            }
            Self::Uint64List => list(Layout::new(ITEM, c"L")),
            Self::Float64List => list(Layout::new(ITEM, c"g")),
            Self::QuantileList => {
                let quantile = vec![Layout::new(c"quantile", c"g"), Layout::new(c"value", c"g")];
                list(Layout::of(ITEM, c"+s", quantile))
            }
        }
    }
}

/// A column that is asked for.
pub struct Column {
    pub name: CString,
    pub source: Source,
    pub kind: Kind,
    /// What whole numbers from 0 on are called in a text.
    pub words: Vec<String>,
}

impl Column {
    fn layout(&self) -> Layout {
        if self.source.level.is_repeated() {
            Layout::of(&self.name, c"+l", vec![self.kind.layout(c"item")])
        } else {
            self.kind.layout(&self.name)
        }
    }
}

/// The type of a table.
pub fn schema(columns: &[Column]) -> ArrowSchema {
    ArrowSchema::new(layout(columns))
}

/// The table of a view's items, in order, as one record batch.
pub fn table(view: &View, columns: &[Column]) -> Result<ArrowArrayStream, TooLarge> {
    Ok(ArrowArrayStream::new(layout(columns), batch(view, columns)?))
}

fn layout(columns: &[Column]) -> Layout {
    Layout::of(c"", c"+s", columns.iter().map(Column::layout).collect()).required()
}

fn batch(view: &View, columns: &[Column]) -> Result<Array, TooLarge> {
    let mut wanted = Wanted::default();
    let builder = |column| Builder::new(column, view.items.len(), &mut wanted);
    let mut builders: Vec<_> = columns.iter().map(builder).collect();
    let mut spotter = Spotter::new(&wanted);
    let mut result = Ok(());
    view.walk(|level, item, items| {
        let level = Level::from(level);
        if level == Level::Item {
            spotter.spot(item.message);
        } else {
            spotter.expect(view.signal, item.kind);
        }
        for builder in builders.iter_mut().filter(|builder| builder.level() == level) {
            if result.is_ok() {
                result = builder.push(item, spotter.spotted(), items.len());
            }
        }
    });
    result?;
    let children = builders.into_iter().map(Builder::finish).collect::<Result<_, _>>()?;
    Ok(Array::full(view.items.len(), []).with(children))
}
