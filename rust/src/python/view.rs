//! Payloads that were scanned, and what they become.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use super::blocks::Blocks;
use super::bytes::{malformed, signal_of, work};
use airis_kernels::blocks::Tables;
use airis_kernels::logs::Logs;
use airis_kernels::metrics::Metrics;
use airis_kernels::otlp::Signal;
use airis_kernels::scan as scanning;
use airis_kernels::scan::{Index, Level};
use airis_kernels::series::Registered;
use airis_kernels::traces::Traces;

/// Read a payload that passed `validate`; raises MalformedPayload for another one.
#[pyfunction]
pub fn scan(signal: Bound<'_, PyString>, payload: Bound<'_, PyBytes>) -> PyResult<View> {
    let known = signal_of(signal.to_str()?)?;
    let index = work(&payload, |bytes| scanning::scan(known, bytes))?;
    Ok(View { signal: signal.unbind(), payload: payload.unbind(), index })
}

/// A payload scanned once.
#[pyclass(frozen, module = "airis._core")]
pub struct View {
    #[pyo3(get)]
    signal: Py<PyString>,
    #[pyo3(get)]
    payload: Py<PyBytes>,
    index: Index,
}

#[pymethods]
impl View {
    /// Spans, metric data points or log records.
    #[getter]
    fn items(&self) -> usize {
        self.index.items.len()
    }

    /// For every item in order the text of an attribute, None where it is absent; the first of a key counts.
    #[pyo3(signature = (key, level="item"))]
    fn attribute<'py>(&self, py: Python<'py>, key: &str, level: &str) -> PyResult<Bound<'py, PyList>> {
        let level = Level::from_name(level)
            .ok_or_else(|| PyValueError::new_err(format!("{level} is not resource, scope or item")))?;
        let payload = self.payload.as_bytes(py);
        let runs = py.detach(|| self.index.attribute(payload, key.as_bytes(), level));
        // Neighbours often have the same text.
        let mut last: Option<(&[u8], Bound<'py, PyString>)> = None;
        let mut found = Vec::with_capacity(self.index.items.len());
        for (text, items) in &runs {
            let string = match (text, &last) {
                (None, _) => None,
                (Some(text), Some((bytes, string))) if text.as_ref() == *bytes => Some(string.clone()),
                (Some(text), _) => {
                    let string = PyString::new(py, &String::from_utf8_lossy(text));
                    last = Some((text, string.clone()));
                    Some(string)
                }
            };
            found.resize(found.len() + items, string);
        }
        PyList::new(py, found)
    }

    /// The blocks for the store's tables; metric series are registered unless `series` knows them.
    fn native(&self, py: Python<'_>, arrived_unix_nano: u64, series: &SeriesIndex) -> PyResult<Blocks> {
        let payload = self.payload.as_bytes(py);
        scanning::check_repetition(&self.index, payload).map_err(|fault| malformed(py, &fault))?;
        let mut registered = HashMap::new();
        let encoded: Box<dyn Tables> = py.detach(|| -> Box<dyn Tables> {
            match self.index.signal {
                Signal::Traces => Box::new(Traces::encode(&self.index, payload, arrived_unix_nano)),
                Signal::Logs => Box::new(Logs::encode(&self.index, payload, arrived_unix_nano)),
                Signal::Metrics => {
                    let known = series.registered.read().unwrap_or_else(PoisonError::into_inner);
                    let mut metrics = Metrics::encode(&self.index, payload, arrived_unix_nano, &known);
                    registered = std::mem::take(&mut metrics.registered);
                    Box::new(metrics)
                }
            }
        });
        Ok(Blocks::new(encoded, registered))
    }
}

/// Which series were registered in the current hour.
#[pyclass(frozen, module = "airis._core")]
pub struct SeriesIndex {
    registered: RwLock<Registered>,
}

#[pymethods]
impl SeriesIndex {
    #[new]
    #[pyo3(signature = (capacity=4_000_000))]
    fn new(capacity: usize) -> Self {
        Self { registered: RwLock::new(Registered::new(capacity)) }
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        py.detach(|| self.registered.read().unwrap_or_else(PoisonError::into_inner).count())
    }

    /// Note the series registered in blocks that were stored; what is oldest goes when it is too much.
    fn add(&self, py: Python<'_>, blocks: &Blocks) {
        py.detach(|| self.registered.write().unwrap_or_else(PoisonError::into_inner).add(&blocks.registered));
    }
}
