//! Regular expressions.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::fields::invalid;
use airis_kernels::pattern as patterns;
use airis_kernels::pattern::{Extent, Places};

/// A regular expression in RE2's syntax, compiled.
#[pyclass(frozen, module = "airis._core")]
pub struct Pattern {
    compiled: patterns::Pattern,
}

#[pymethods]
impl Pattern {
    #[new]
    #[pyo3(signature = (pattern, *, whole=false))]
    fn new(py: Python<'_>, pattern: &str, whole: bool) -> PyResult<Self> {
        let extent = if whole { Extent::Whole } else { Extent::Anywhere };
        let compiled = py.detach(|| patterns::Pattern::new(pattern, extent));
        Ok(Self { compiled: compiled.map_err(|fault| invalid(py, fault.to_string()))? })
    }

    /// The names of the groups in order, None for one without a name.
    #[getter]
    fn groups(&self) -> Vec<Option<&str>> {
        self.compiled.groups().iter().map(Option::as_deref).collect()
    }

    /// Of the first match the places of the whole and of every group.
    fn search(&self, text: &Bound<'_, PyBytes>) -> Option<Places> {
        let bytes = text.as_bytes();
        text.py().detach(|| self.compiled.matcher().captures(bytes))
    }

    /// Of every match the same, as Go's `FindAll` tells them.
    fn search_all(&self, text: &Bound<'_, PyBytes>) -> Vec<Places> {
        let bytes = text.as_bytes();
        text.py().detach(|| self.compiled.matcher().all_captures(bytes))
    }

    /// Whether it matches, which takes less than to say where.
    fn matches(&self, text: &Bound<'_, PyBytes>) -> bool {
        let bytes = text.as_bytes();
        text.py().detach(|| self.compiled.matcher().is_match(bytes))
    }
}
