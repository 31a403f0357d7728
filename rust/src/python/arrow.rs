//! Items as Arrow tables, over the Arrow PyCapsule interface.

use std::ffi::CString;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyCapsule;

use super::bytes::malformed;
use super::fields::{invalid, source};
use super::view::View;
use airis_kernels::arrow as kernel;
use airis_kernels::arrow::{Column, Kind};

/// A column as `airis.data.arrow.resolved` has it: its name, source, type and words.
type Resolved<'py> = (String, Bound<'py, PyAny>, String, Vec<String>);

/// The items of a view as a table, which is made when it is asked for.
#[pyclass(frozen, module = "airis._core")]
pub struct ArrowTable {
    view: Py<View>,
    columns: Vec<Column>,
}

impl ArrowTable {
    /// With columns as Python has them, which may be None.
    pub fn new(view: &Bound<'_, View>, columns: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        static RESOLVED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = view.py();
        let resolved = RESOLVED.import(py, "airis.data.arrow", "resolved")?;
        let signal = view.get().scanned().signal;
        let columns: Vec<Resolved> = resolved.call1((signal.name(), columns))?.extract()?;
        let compiled = columns.into_iter().map(|(name, asked, kind, words)| {
            let source = source(signal, &asked).map_err(|reason| invalid(py, reason))?;
            let kind =
                Kind::from_name(&kind).ok_or_else(|| PyValueError::new_err(format!("no type is called {kind}")))?;
            Ok(Column { name: CString::new(name)?, source, kind, words })
        });
        Ok(Self { view: view.clone().unbind(), columns: compiled.collect::<PyResult<_>>()? })
    }
}

#[pymethods]
impl ArrowTable {
    /// The types, as a capsule with an `ArrowSchema`.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        PyCapsule::new_with_value(py, kernel::schema(&self.columns), c"arrow_schema")
    }

    /// The table, as a capsule with an `ArrowArrayStream`; another type is left to who reads it.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema;
        let view = self.view.get().scanned();
        let table = py.detach(|| kernel::table(view, &self.columns)).map_err(|fault| malformed(py, &fault))?;
        PyCapsule::new_with_value(py, table, c"arrow_array_stream")
    }
}
