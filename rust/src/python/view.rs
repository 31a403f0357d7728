//! Payloads that were scanned, what is made of them, and what they become.

use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use super::arrow::ArrowTable;
use super::blocks::Blocks;
use super::bytes::{buffer, joined, malformed, not_supported, signal_of};
use super::edits::Edits;
use super::payloads::limits;
use super::sources::{found, source_of};
use airis_kernels::blocks::Tables;
use airis_kernels::edit::Message;
use airis_kernels::fields::Source;
use airis_kernels::logs::Logs;
use airis_kernels::metrics::Metrics;
use airis_kernels::otlp::Signal;
use airis_kernels::scan as scanning;
use airis_kernels::series::Registered;
use airis_kernels::traces::Traces;
use airis_kernels::view as scanned;
use airis_kernels::view::Level;
use airis_kernels::wire::Malformed;

/// The most groups where nothing else is said.
const DEFAULT_GROUPS: i64 = 10_000;

fn groups_of(limit: i64) -> PyResult<usize> {
    let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0);
    limit.ok_or_else(|| PyValueError::new_err("limit must be at least 1"))
}

/// Read a payload that passed `validate`; raises MalformedPayload for another one, unless it is said that this one did.
#[pyfunction]
#[pyo3(signature = (signal, payload, *, validated=false))]
pub fn scan(signal: Bound<'_, PyString>, payload: Bound<'_, PyBytes>, validated: bool) -> PyResult<View> {
    let py = payload.py();
    let name = signal.to_str()?;
    let known = signal_of(name)?;
    if known == Signal::Profiles {
        return Err(not_supported(name));
    }
    let buffer = buffer(&payload);
    let read = if validated { scanning::outline } else { scanning::scan };
    let view = py.detach(|| read(known, buffer)).map_err(|fault| malformed(py, &fault))?;
    let made = View::new(signal.unbind(), view);
    let _ = made.payload.set(py, payload.unbind());
    Ok(made)
}

/// One view with the items of all, in order.
#[pyfunction]
pub fn concat(py: Python<'_>, views: Vec<Py<View>>) -> PyResult<Py<View>> {
    let Some((first, others)) = views.split_first() else {
        return Err(PyValueError::new_err("no views to join"));
    };
    if others.is_empty() {
        return Ok(first.clone_ref(py));
    }
    let kernel_views: Vec<_> = views.iter().map(|view| &view.get().view).collect();
    let signal = first.get().view.signal;
    if kernel_views.iter().any(|view| view.signal != signal) {
        return Err(PyValueError::new_err("views of different signals cannot be joined"));
    }
    let view = py.detach(|| scanned::View::concat(signal, kernel_views));
    Py::new(py, View::new(first.get().signal.clone_ref(py), view))
}

/// What is in a payload.
#[pyclass(frozen, module = "airis._core")]
pub struct View {
    #[pyo3(get)]
    signal: Py<PyString>,
    view: scanned::View,
    payload: PyOnceLock<Py<PyBytes>>,
    size: OnceLock<usize>,
}

impl View {
    fn new(signal: Py<PyString>, view: scanned::View) -> Self {
        Self { signal, view, payload: PyOnceLock::new(), size: OnceLock::new() }
    }

    /// Another view of the same signal.
    pub fn made<'py>(&self, py: Python<'py>, view: scanned::View) -> PyResult<Bound<'py, Self>> {
        Bound::new(py, Self::new(self.signal.clone_ref(py), view))
    }

    /// What is in it.
    pub fn scanned(&self) -> &scanned::View {
        &self.view
    }

    fn sources(&self, sources: &[Bound<'_, PyAny>]) -> PyResult<Vec<Source>> {
        sources.iter().map(|source| source_of(self.view.signal, source)).collect()
    }

    /// What some items have at the sources; their numbers grow.
    fn keys<'py>(
        &self,
        py: Python<'py>,
        sources: &[Source],
        items: impl Iterator<Item = usize>,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let mut items = items.peekable();
        let mut keys = vec![];
        let mut fault = None;
        let mut index = 0;
        self.view.visit(|item| {
            if fault.is_none() && items.next_if_eq(&index).is_some() {
                let values = sources.iter().map(|source| found(py, source.read(item, &[])));
                match values.collect::<PyResult<Vec<_>>>().and_then(|values| PyTuple::new(py, values)) {
                    Ok(key) => keys.push(key),
                    Err(error) => fault = Some(error),
                }
            }
            index += 1;
        });
        fault.map_or(Ok(keys), Err)
    }

    fn check_mask(&self, mask: &Bound<'_, PyBytes>) -> PyResult<()> {
        let (bytes, items) = (mask.as_bytes().len(), self.items());
        if bytes != items {
            return Err(PyValueError::new_err(format!("a mask of {bytes} bytes for {items} items")));
        }
        Ok(())
    }
}

#[pymethods]
impl View {
    /// Spans, metric data points or log records.
    #[getter]
    fn items(&self) -> usize {
        self.view.items.len()
    }

    /// The payload that says what the view does: the one that was scanned, or one that is made when first asked for.
    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let made = self.payload.get_or_try_init(py, || {
            let encoded = py.detach(|| self.view.encode());
            joined(py, &encoded.parts).map(Bound::unbind)
        })?;
        Ok(made.bind(py).clone())
    }

    /// The length of the payload, which is not made for it.
    #[getter]
    fn size_bytes(&self, py: Python<'_>) -> usize {
        match self.payload.get(py) {
            Some(payload) => payload.as_bytes(py).len(),
            None => py.detach(|| *self.size.get_or_init(|| self.view.encode().size)),
        }
    }

    /// The items whose byte is not 0, of one byte for each.
    fn select<'py>(slf: &Bound<'py, Self>, mask: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, Self>> {
        let (py, this) = (slf.py(), slf.get());
        this.check_mask(mask)?;
        let bytes = mask.as_bytes();
        match py.detach(|| this.view.select(bytes)) {
            Some(view) => this.made(py, view),
            None => Ok(slf.clone()),
        }
    }

    /// The items by what they have at some sources, with their values, in groups of the order in which they come.
    #[pyo3(signature = (sources, limit=DEFAULT_GROUPS))]
    #[expect(clippy::type_complexity)]
    fn group<'py>(
        slf: &Bound<'py, Self>,
        sources: Vec<Bound<'py, PyAny>>,
        limit: i64,
    ) -> PyResult<Vec<(Option<Bound<'py, PyTuple>>, Bound<'py, Self>)>> {
        let (py, this) = (slf.py(), slf.get());
        let limit = groups_of(limit)?;
        let sources = this.sources(&sources)?;
        let groups = py.detach(|| this.view.group(&sources, limit));
        let mut keys = this.keys(py, &sources, groups.iter().filter_map(|group| group.first))?.into_iter();
        groups
            .into_iter()
            .map(|group| {
                let view = group.view.map_or_else(|| Ok(slf.clone()), |view| this.made(py, view));
                Ok((group.first.and_then(|_| keys.next()), view?))
            })
            .collect()
    }

    /// As `group`, but of every item only a whole number, eight bytes of each, little-endian.
    #[pyo3(signature = (sources, measure, limit=DEFAULT_GROUPS))]
    #[expect(clippy::type_complexity)]
    fn collect<'py>(
        &self,
        py: Python<'py>,
        sources: Vec<Bound<'py, PyAny>>,
        measure: &Bound<'py, PyAny>,
        limit: i64,
    ) -> PyResult<Vec<(Option<Bound<'py, PyTuple>>, Bound<'py, PyBytes>)>> {
        let limit = groups_of(limit)?;
        let sources = self.sources(&sources)?;
        let measure = source_of(self.view.signal, measure)?;
        let collected = py.detach(|| self.view.collect(&sources, &measure, limit));
        let mut keys = self.keys(py, &sources, collected.iter().filter_map(|group| group.first))?.into_iter();
        let bytes = |numbers: &[i64]| {
            PyBytes::new_with(py, 8 * numbers.len(), |out| {
                out.chunks_exact_mut(8)
                    .zip(numbers)
                    .for_each(|(out, number)| out.copy_from_slice(&number.to_le_bytes()));
                Ok(())
            })
        };
        collected.into_iter().map(|group| Ok((group.first.and_then(|_| keys.next()), bytes(&group.numbers)?))).collect()
    }

    /// Views within limits, in order; what owns the items is in each.
    #[pyo3(signature = (max_items=None, max_bytes=None, level="item"))]
    fn split<'py>(
        slf: &Bound<'py, Self>,
        max_items: Option<i64>,
        max_bytes: Option<i64>,
        level: &str,
    ) -> PyResult<Vec<Bound<'py, Self>>> {
        let (py, this) = (slf.py(), slf.get());
        let limits = limits(this.view.signal, max_items, max_bytes, level)?;
        if this.items() <= limits.items && this.size_bytes(py) <= limits.bytes {
            return Ok(vec![slf.clone()]);
        }
        match py.detach(|| this.view.split(limits)) {
            Some(parts) => parts.into_iter().map(|part| this.made(py, part)).collect(),
            None => Ok(vec![slf.clone()]),
        }
    }

    /// The view after edits.
    #[pyo3(signature = (edits, mask=None))]
    fn edit<'py>(
        slf: &Bound<'py, Self>,
        edits: &Edits,
        mask: Option<&Bound<'py, PyBytes>>,
    ) -> PyResult<Bound<'py, Self>> {
        let (py, this) = (slf.py(), slf.get());
        mask.map_or(Ok(()), |mask| this.check_mask(mask))?;
        let stages = edits.stages(this.view.signal)?;
        let mask = mask.map(|mask| mask.as_bytes());
        match py.detach(|| stages.apply(&this.view, mask)).map_err(|fault| malformed(py, &fault))? {
            Some(view) => this.made(py, view),
            None => Ok(slf.clone()),
        }
    }

    /// The view with messages as a function makes them anew, of their name and what they were.
    #[pyo3(signature = (function, messages, mask=None))]
    fn rewrite<'py>(
        slf: &Bound<'py, Self>,
        function: &Bound<'py, PyAny>,
        messages: Vec<String>,
        mask: Option<&Bound<'py, PyBytes>>,
    ) -> PyResult<Bound<'py, Self>> {
        let (py, this) = (slf.py(), slf.get());
        mask.map_or(Ok(()), |mask| this.check_mask(mask))?;
        let signal = this.view.signal;
        let known = |name: &String| {
            let message = Message::from_name(name);
            let message = message.filter(|message| *message != Message::Metric || signal == Signal::Metrics);
            message.ok_or_else(|| PyValueError::new_err(format!("{} have no message {name}", signal.name())))
        };
        let messages = messages.iter().map(known).collect::<PyResult<Vec<_>>>()?;
        let mut raised = None;
        let call = |message: Message, before: &[u8]| -> PyResult<Option<Bound<'py, PyBytes>>> {
            let made = function.call1((message.name(), PyBytes::new(py, before)))?;
            Ok(if made.is_none() { None } else { Some(made.cast_into::<PyBytes>()?) })
        };
        let made = this.view.edit(&messages, mask.map(|mask| mask.as_bytes()), |message, item, out| {
            match call(message, message.of(item)) {
                Ok(made) => Ok(made.map(|made| out.extend_from_slice(made.as_bytes())).is_some()),
                Err(error) => {
                    raised = Some(error);
                    Err(Malformed::new("not made", 0))
                }
            }
        });
        match (made, raised) {
            (_, Some(error)) => Err(error),
            (Err(fault), None) => Err(malformed(py, &fault)),
            (Ok(Some(view)), None) => this.made(py, view),
            (Ok(None), None) => Ok(slf.clone()),
        }
    }

    /// For every item in order the text of an attribute, None where it is absent; the first of a key counts.
    #[pyo3(signature = (key, level="item"))]
    fn attribute<'py>(&self, py: Python<'py>, key: &str, level: &str) -> PyResult<Bound<'py, PyList>> {
        let level = Level::from_name(level)
            .filter(|level| *level != Level::Metric)
            .ok_or_else(|| PyValueError::new_err(format!("{level} is not resource, scope or item")))?;
        let runs = py.detach(|| self.view.attribute(key.as_bytes(), level));
        // Neighbours often have the same text.
        let mut last: Option<(&[u8], Bound<'py, PyString>)> = None;
        let mut found = Vec::with_capacity(self.items());
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

    /// The items as an Arrow table, with the columns of the signal's table if none are given.
    #[pyo3(signature = (columns=None))]
    fn arrow(slf: &Bound<'_, Self>, columns: Option<&Bound<'_, PyAny>>) -> PyResult<ArrowTable> {
        ArrowTable::new(slf, columns)
    }

    /// The blocks for the store's tables; metric series are registered unless `series` knows them.
    fn native(&self, py: Python<'_>, arrived_unix_nano: u64, series: &SeriesIndex) -> PyResult<Blocks> {
        self.view.check_repetition().map_err(|fault| malformed(py, &fault))?;
        let (mut registered, mut signed) = (HashMap::new(), HashMap::new());
        let encoded = py.detach(|| -> Option<Box<dyn Tables>> {
            Some(match self.view.signal {
                Signal::Traces => Box::new(Traces::encode(&self.view, arrived_unix_nano)),
                Signal::Logs => Box::new(Logs::encode(&self.view, arrived_unix_nano)),
                Signal::Metrics => {
                    let known = series.registered.read().unwrap_or_else(PoisonError::into_inner);
                    let mut metrics = Metrics::encode(&self.view, arrived_unix_nano, &known);
                    registered = std::mem::take(&mut metrics.registered);
                    signed = std::mem::take(&mut metrics.signed);
                    Box::new(metrics)
                }
                Signal::Profiles => return None,
            })
        });
        let encoded = encoded.ok_or_else(|| not_supported("profiles"))?;
        Ok(Blocks::new(encoded, registered, signed))
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
        py.detach(|| {
            self.registered.write().unwrap_or_else(PoisonError::into_inner).add(&blocks.registered, &blocks.signed)
        });
    }
}
