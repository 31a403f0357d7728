//! What is asked of items (`airis.data.fields`), and the answers.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use airis_kernels::group::{Found, Source};
use airis_kernels::otlp::Signal;
use airis_kernels::values::{Attribute, Value, messages, write_hex};

use super::payloads::level_of;

/// A source as Python has it; ValueError for one that the signal does not have, or that is not known here.
pub fn source_of(signal: Signal, source: &Bound<'_, PyAny>) -> PyResult<Source> {
    let level: String = source.getattr("level")?.extract()?;
    let level = level_of(signal, &level)?;
    let unknown = || PyValueError::new_err(format!("{} cannot be grouped by {}", signal.name(), source));
    if source.getattr("path")?.len()? > 0 {
        return Err(unknown());
    }
    if let Some(key) = source.getattr_opt("key")? {
        return Ok(Source::Attribute { level, key: key.extract::<String>()?.into_bytes() });
    }
    let name: String = source.getattr("name")?.extract()?;
    Source::field(signal, level, &name).ok_or_else(unknown)
}

/// An answer as Python has it, None where there is none.
pub fn found<'py>(py: Python<'py>, found: Option<Found>) -> PyResult<Bound<'py, PyAny>> {
    match found {
        None => Ok(py.None().into_bound(py)),
        Some(Found::Value(value)) => python_value(py, &value),
        Some(Found::Id(id)) => {
            let mut digits = vec![];
            write_hex(id, &mut digits);
            Ok(text(py, &digits).into_any())
        }
    }
}

/// A value as Python has it: an array is a list, a map a dict in which of a key that comes twice the first counts.
fn python_value<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Empty => py.None().into_bound(py),
        Value::Text(bytes) => text(py, bytes).into_any(),
        Value::Bool(yes) => yes.into_pyobject(py)?.to_owned().into_any(),
        Value::Int(number) => number.into_pyobject(py)?.into_any(),
        Value::Double(number) => number.into_pyobject(py)?.into_any(),
        Value::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
        Value::Array(values) => {
            let list = PyList::empty(py);
            for value in messages(values, 1) {
                list.append(python_value(py, &Value::read(value))?)?;
            }
            list.into_any()
        }
        Value::Map(entries) => {
            let dict = PyDict::new(py);
            for entry in messages(entries, 1).map(Attribute::read) {
                let key = text(py, entry.key);
                if !dict.contains(&key)? {
                    dict.set_item(key, python_value(py, &entry.value)?)?;
                }
            }
            dict.into_any()
        }
    })
}

fn text<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    // It passed `validate`, so that nothing is lost here.
    PyString::new(py, &String::from_utf8_lossy(bytes))
}
