//! Spans by their traces.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::view::View;
use airis_kernels::otlp::Signal;
use airis_kernels::trace_index as kernel;

/// The traces of a view of spans.
#[pyclass(frozen, module = "airis._core")]
pub struct TraceIndex {
    view: Py<View>,
    index: kernel::TraceIndex,
}

/// Numbers, little-endian.
fn numbers<'py, const N: usize>(py: Python<'py>, numbers: impl Iterator<Item = [u8; N]>) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &numbers.flatten().collect::<Vec<_>>())
}

#[pymethods]
impl TraceIndex {
    #[new]
    fn new(view: &Bound<'_, View>) -> PyResult<Self> {
        let scanned = view.get().scanned();
        if scanned.signal != Signal::Traces {
            return Err(PyValueError::new_err(format!("{} have no traces", scanned.signal.name())));
        }
        let index = view.py().detach(|| kernel::TraceIndex::new(scanned));
        Ok(Self { view: view.clone().unbind(), index })
    }

    fn __len__(&self) -> usize {
        self.index.ids.len()
    }

    #[getter]
    fn ids<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.index.ids.as_flattened())
    }

    #[getter]
    fn spans<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        numbers(py, self.index.spans.iter().map(|number| number.to_le_bytes()))
    }

    #[getter]
    fn sizes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        numbers(py, self.index.sizes.iter().map(|number| number.to_le_bytes()))
    }

    #[getter]
    fn starts<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        numbers(py, self.index.starts.iter().map(|number| number.to_le_bytes()))
    }

    #[getter]
    fn ends<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        numbers(py, self.index.ends.iter().map(|number| number.to_le_bytes()))
    }

    #[getter]
    fn marks<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.index.marks)
    }

    /// For every trace 1 where the byte of one of its spans is not 0, of one byte for each span, else 0.
    fn any<'py>(&self, py: Python<'py>, mask: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let spans = self.index.numbers.len();
        if mask.len() != spans {
            return Err(PyValueError::new_err(format!("a mask of {} bytes for {spans} spans", mask.len())));
        }
        Ok(PyBytes::new(py, &py.detach(|| self.index.any(mask))))
    }

    /// So many views, each with the spans of the traces that have its number.
    fn split<'py>(&self, py: Python<'py>, parts: &[u8], count: usize) -> PyResult<Vec<Bound<'py, View>>> {
        let traces = self.index.ids.len();
        if parts.len() != 4 * traces {
            return Err(PyValueError::new_err(format!("{} bytes of numbers for {traces} traces", parts.len())));
        }
        let (parts, _) = parts.as_chunks::<4>();
        let parts: Vec<_> = parts.iter().map(|part| u32::from_le_bytes(*part)).collect();
        let view = self.view.bind(py);
        let split = py.detach(|| self.index.split(self.view.get().scanned(), &parts, count));
        split.into_iter().map(|part| part.map_or_else(|| Ok(view.clone()), |part| view.get().made(py, part))).collect()
    }

    /// For every trace the FNV-1a hash with 64 bits of a salt with the id behind it.
    fn hashes<'py>(&self, py: Python<'py>, salt: &[u8]) -> Bound<'py, PyBytes> {
        let hashes = py.detach(|| self.index.hashes(salt));
        numbers(py, hashes.iter().map(|hash| hash.to_le_bytes()))
    }
}
