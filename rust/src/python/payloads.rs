//! What is done to payloads without reading their items.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::bytes::{joined, signal_of, work};
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

/// Payloads of at most `max_items` items, in order; what owns the items is repeated in each part.
#[pyfunction]
pub fn split<'py>(signal: &str, payload: Bound<'py, PyBytes>, max_items: i64) -> PyResult<Vec<Bound<'py, PyBytes>>> {
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
