//! What is done to payloads without reading their items.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::bytes::{buffer, joined, malformed, signal_of, work};
use airis_kernels::otlp::Signal;
use airis_kernels::split::Limits;
use airis_kernels::view::Level;
use airis_kernels::{json, split as splitting, validate as validation};

/// The payload with invalid UTF-8 repaired, its number of items, and the number of repaired strings.
#[pyfunction]
pub fn validate<'py>(signal: &str, payload: Bound<'py, PyBytes>) -> PyResult<(Bound<'py, PyBytes>, usize, usize)> {
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
pub fn count_items(signal: &str, payload: &Bound<'_, PyBytes>) -> PyResult<usize> {
    let signal = signal_of(signal)?;
    work(payload, |bytes| validation::count_items(signal, bytes))
}

/// Payloads within limits, in order; what owns the items is repeated in each part.
#[pyfunction]
#[pyo3(signature = (signal, payload, max_items=None, max_bytes=None, level="item"))]
pub fn split<'py>(
    signal: &str,
    payload: Bound<'py, PyBytes>,
    max_items: Option<i64>,
    max_bytes: Option<i64>,
    level: &str,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let py = payload.py();
    let signal = signal_of(signal)?;
    let limits = limits(signal, max_items, max_bytes, level)?;
    let buffer = buffer(&payload);
    let parts = py.detach(|| splitting::split(signal, buffer, limits)).map_err(|fault| malformed(py, &fault))?;
    Ok(match parts {
        Some(parts) => parts.iter().map(|part| PyBytes::new(py, part)).collect(),
        None => vec![payload],
    })
}

/// The limits of a split; ValueError for what cannot be one.
pub fn limits(signal: Signal, max_items: Option<i64>, max_bytes: Option<i64>, level: &str) -> PyResult<Limits> {
    let most = |name: &str, limit: Option<i64>| match limit.map(usize::try_from) {
        None => Ok(usize::MAX),
        Some(Ok(limit)) if limit > 0 => Ok(limit),
        _ => Err(PyValueError::new_err(format!("{name} must be at least 1"))),
    };
    Ok(Limits {
        items: most("max_items", max_items)?,
        bytes: most("max_bytes", max_bytes)?,
        level: level_of(signal, level)?,
    })
}

/// A level by its name; ValueError for one that the signal does not have.
pub fn level_of(signal: Signal, name: &str) -> PyResult<Level> {
    let known = Level::from_name(name).filter(|level| *level != Level::Metric || signal == Signal::Metrics);
    known.ok_or_else(|| PyValueError::new_err(format!("{} have no level {name}", signal.name())))
}

/// The protobuf payload of an OTLP/JSON request; raises MalformedPayload, which names the field.
#[pyfunction]
pub fn from_json<'py>(signal: &str, body: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyBytes>> {
    let signal = signal_of(signal)?;
    joined(body.py(), &[work(body, |text| json::from_json(signal, text))?])
}

/// The payload as one OTLP/JSON object; raises MalformedPayload for one that did not pass `validate`.
#[pyfunction]
pub fn to_json<'py>(signal: &str, payload: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyBytes>> {
    let known = signal_of(signal)?;
    let work_on =
        |bytes: &[u8]| json::to_json(known, bytes).map_err(|fault| format!("not an OTLP {signal} request: {fault}"));
    joined(payload.py(), &[work(payload, work_on)?])
}
