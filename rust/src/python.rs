//! The Python boundary of the kernels.

use std::collections::HashMap;
use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::{PoisonError, RwLock};

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyType};

use crate::kernels::blocks::Tables;
use crate::kernels::logs::Logs;
use crate::kernels::metrics::Metrics;
use crate::kernels::otlp::Signal;
use crate::kernels::scan::{Index, Level};
use crate::kernels::series::{Registered, SeriesKey};
use crate::kernels::traces::Traces;
use crate::kernels::wire::Malformed;
use crate::kernels::{scan as scanning, split as splitting, validate as validation};

/// The native kernels; `airis.data.reference` is what they are tested against.
#[pymodule]
mod _core {
    use super::*;

    #[pymodule_export]
    use super::{Blocks, SeriesIndex, View, count_items, scan, split, validate};

    #[cfg(unix)]
    #[pymodule_export]
    use crate::python_intake::{Asked, Intake, Joined, Reply, Tls};

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        tune_allocator();
        Ok(())
    }
}

/// Keep large blocks in the process: payloads of more than 128 KiB would be mapped, faulted in and given back to the
/// system on every request, which costs 0.2 CPU-seconds per million spans.
fn tune_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: mallopt may be called at any time and takes two integers; a value that it does not like it refuses.
        unsafe {
            // Older versions take no more than half of an arena.
            if libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30) == 0 {
                libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
            }
            libc::mallopt(libc::M_TRIM_THRESHOLD, 256 << 20);
        }
    }
}

fn malformed(py: Python<'_>, fault: &Malformed) -> PyErr {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    match CLASS.import(py, "airis.data.malformed", "MalformedPayload") {
        Ok(class) => PyErr::from_type(class.clone(), fault.to_string()),
        Err(error) => error,
    }
}

pub fn signal_of(name: &str) -> PyResult<Signal> {
    Signal::from_name(name).ok_or_else(|| PyValueError::new_err(format!("{name} is not supported")))
}

/// Do work on a payload without the interpreter's lock.
fn work<T: Send>(payload: &Bound<'_, PyBytes>, work: impl FnOnce(&[u8]) -> Result<T, Malformed> + Send) -> PyResult<T> {
    let bytes = payload.as_bytes();
    payload.py().detach(|| work(bytes)).map_err(|fault| malformed(payload.py(), &fault))
}

/// The payload with invalid UTF-8 repaired, its number of items, and the number of repaired strings.
#[pyfunction]
fn validate<'py>(signal: &str, payload: Bound<'py, PyBytes>) -> PyResult<(Bound<'py, PyBytes>, usize, usize)> {
    let signal = signal_of(signal)?;
    let validated = work(&payload, |bytes| validation::validate(signal, bytes))?;
    let payload = match validated.repaired {
        Some(bytes) => PyBytes::new(payload.py(), &bytes),
        None => payload,
    };
    Ok((payload, validated.items, validated.repairs))
}

/// The number of items, from lengths alone, without reading the items.
#[pyfunction]
fn count_items(signal: &str, payload: &Bound<'_, PyBytes>) -> PyResult<usize> {
    let signal = signal_of(signal)?;
    work(payload, |bytes| validation::count_items(signal, bytes))
}

/// Payloads of at most `max_items` items, in order; what owns the items is repeated in each part.
#[pyfunction]
fn split<'py>(signal: &str, payload: Bound<'py, PyBytes>, max_items: i64) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let max_items = usize::try_from(max_items).ok().filter(|&max_items| max_items > 0);
    let max_items = max_items.ok_or_else(|| PyValueError::new_err("max_items must be at least 1"))?;
    let signal = signal_of(signal)?;
    let parts = work(&payload, |bytes| {
        if validation::count_items(signal, bytes)? <= max_items {
            return Ok(None);
        }
        splitting::split(signal, bytes, max_items).map(Some)
    })?;
    Ok(match parts {
        Some(parts) => parts.iter().map(|part| PyBytes::new(payload.py(), part)).collect(),
        None => vec![payload],
    })
}

/// Read a payload that passed `validate`; raises MalformedPayload for another one.
#[pyfunction]
fn scan(signal: Bound<'_, PyString>, payload: Bound<'_, PyBytes>) -> PyResult<View> {
    let known = signal_of(signal.to_str()?)?;
    let index = work(&payload, |bytes| scanning::scan(known, bytes))?;
    Ok(View { signal: signal.unbind(), payload: payload.unbind(), index })
}

/// A payload scanned once.
#[pyclass(frozen, module = "airis._core")]
struct View {
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
        let (tables, rows) = (PyDict::new(py), PyDict::new(py));
        let blocks = py.detach(|| {
            let blocks = encoded.blocks().into_iter();
            blocks.map(|block| (block.table, block.rows, block.parts())).collect::<Vec<_>>()
        });
        for (table, count, parts) in &blocks {
            tables.set_item(table, joined(py, parts)?)?;
            rows.set_item(table, count)?;
        }
        py.detach(|| drop(blocks));
        py.detach(|| drop(encoded));
        Ok(Blocks { tables: tables.unbind(), rows: rows.unbind(), registered })
    }
}

/// The parts as one Python object, copied once; without the interpreter's lock, unless that takes longer than the copy.
pub fn joined<'py, T: AsRef<[u8]> + Sync>(py: Python<'py>, parts: &[T]) -> PyResult<Bound<'py, PyBytes>> {
    let size: usize = parts.iter().map(|part| part.as_ref().len()).sum();
    let is_small = size < 16 * 1024;
    let size = isize::try_from(size)?;
    // SAFETY: given no bytes, the call makes an object with room for `size` of them, or sets an error; the room is
    // not cleared, which for tens of megabytes would hold the lock for longer than all the rest.
    let object = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyBytes_FromStringAndSize(ptr::null(), size))? };
    // SAFETY: it is a bytes object, whose room stays where it is.
    let room = AtomicPtr::new(unsafe { ffi::PyBytes_AsString(object.as_ptr()) }.cast::<u8>());
    let copy = || {
        let mut at = room.into_inner();
        for part in parts.iter().map(T::as_ref) {
            // SAFETY: nobody else knows of the object yet, so that its room may be written to, and the sizes of
            // all parts are its size.
            unsafe {
                ptr::copy_nonoverlapping(part.as_ptr(), at, part.len());
                at = at.add(part.len());
            }
        }
    };
    if is_small {
        copy()
    } else {
        py.detach(copy)
    }
    Ok(object.cast_into::<PyBytes>()?)
}

/// What one payload becomes: a block for each table that gets rows.
#[pyclass(frozen, module = "airis._core")]
struct Blocks {
    #[pyo3(get)]
    tables: Py<PyDict>,
    #[pyo3(get)]
    rows: Py<PyDict>,
    registered: HashMap<SeriesKey, u64>,
}

#[pymethods]
impl Blocks {
    /// The metric series that are registered here, for `SeriesIndex.add`.
    #[getter]
    fn series(&self) -> HashMap<SeriesKey, u64> {
        self.registered.clone()
    }
}

/// Which series were registered in the current hour.
#[pyclass(frozen, module = "airis._core")]
struct SeriesIndex {
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
