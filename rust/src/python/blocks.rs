//! The blocks that a payload becomes, on their way to the store.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, IoSlice, Write};

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::bytes::joined;
use airis_kernels::blocks::{Block, Tables};
use airis_kernels::series::{SeriesKey, Signed};

/// Pieces that go to a file at once; the system takes 1024.
const MOST_SLICES: usize = 512;

/// What one payload becomes: a block for each table that gets rows.
#[pyclass(frozen, module = "airis._core")]
pub struct Blocks {
    encoded: Box<dyn Tables>,
    pub registered: HashMap<SeriesKey, u64>,
    pub signed: Signed,
}

impl Blocks {
    /// Of the encoded columns, the series that are registered in them, and the signs of their points.
    pub fn new(encoded: Box<dyn Tables>, registered: HashMap<SeriesKey, u64>, signed: Signed) -> Self {
        Self { encoded, registered, signed }
    }

    fn find(&self, table: &str) -> Option<Block<'_>> {
        self.encoded.blocks().into_iter().find(|block| block.table == table)
    }
}

#[pymethods]
impl Blocks {
    /// The bytes of every block by its table, in the order in which they are to be stored; made anew at every call.
    #[getter]
    fn tables<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let tables = PyDict::new(py);
        for block in self.encoded.blocks() {
            tables.set_item(block.table, joined(py, &py.detach(|| block.parts()))?)?;
        }
        Ok(tables)
    }

    /// The rows of every block by its table, in the same order.
    #[getter]
    fn rows<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let rows = PyDict::new(py);
        for block in self.encoded.blocks() {
            rows.set_item(block.table, block.rows)?;
        }
        Ok(rows)
    }

    /// The bytes of one table's block; KeyError for a table that gets no rows.
    fn block<'py>(&self, py: Python<'py>, table: &str) -> PyResult<Bound<'py, PyBytes>> {
        let parts = py.detach(|| self.find(table).map(|block| block.parts())).ok_or_else(|| none(table))?;
        joined(py, &parts)
    }

    /// Make a table's block the content of a file that is there; KeyError for a table that gets no rows.
    fn write(&self, py: Python<'_>, table: &str, path: &str) -> PyResult<()> {
        let written = py.detach(|| {
            let parts = self.find(table)?.parts();
            Some(File::options().write(true).open(path).and_then(|file| replace(file, &parts)))
        });
        Ok(written.ok_or_else(|| none(table))??)
    }

    /// The metric series that are registered here, for `SeriesIndex.add`.
    #[getter]
    fn series(&self) -> HashMap<SeriesKey, u64> {
        self.registered.clone()
    }
}

fn none(table: &str) -> PyErr {
    PyKeyError::new_err(table.to_owned())
}

/// Write the parts over what the file has, and cut off what was behind; pages that are there need not be made.
fn replace<T: AsRef<[u8]>>(mut file: File, parts: &[T]) -> io::Result<()> {
    let mut slices: Vec<IoSlice> = parts.iter().map(|part| IoSlice::new(part.as_ref())).collect();
    let mut rest = &mut slices[..];
    IoSlice::advance_slices(&mut rest, 0); // leaves out empty ones, so that nothing written means no room
    while !rest.is_empty() {
        let some = rest.len().min(MOST_SLICES);
        match file.write_vectored(&rest[..some]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    file.set_len(parts.iter().map(|part| part.as_ref().len() as u64).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_parts_and_nothing_of_what_it_had() -> io::Result<()> {
        let path = std::env::temp_dir().join(format!("airis-blocks-{}", std::process::id()));
        std::fs::write(&path, vec![b'x'; 100_000])?;
        let parts: Vec<Vec<u8>> = (0..3000_u32).map(|n| n.to_le_bytes()[..n as usize % 4].to_vec()).collect();

        replace(File::options().write(true).open(&path)?, &parts)?;

        assert_eq!(std::fs::read(&path)?, parts.concat());
        std::fs::remove_file(&path)
    }
}
