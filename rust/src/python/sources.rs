//! What is asked of items (`airis.data.fields`), and the answers.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use airis_kernels::fields::{Datum, Found, Source};
use airis_kernels::otlp::Signal;
use airis_kernels::values::{Attribute, Value, messages, write_hex};

use super::fields::{invalid, source};

/// A source as Python has it; InvalidExpression for one that the signal does not have, or an item has several of.
pub fn source_of(signal: Signal, object: &Bound<'_, PyAny>) -> PyResult<Source> {
    let compiled = source(signal, object).map_err(|reason| invalid(object.py(), reason))?;
    if compiled.level.is_repeated() {
        return Err(invalid(object.py(), format!("of {}s an item may have several", compiled.level.name())));
    }
    Ok(compiled)
}

/// An answer as Python has it, None where there is none.
pub fn found<'py>(py: Python<'py>, found: Option<Found>) -> PyResult<Bound<'py, PyAny>> {
    python_value(py, &found.as_ref().map_or(Datum::Empty, Found::datum))
}

/// A value as Python has it: an array is a list, a map a dict in which of a key that comes twice the first counts.
fn python_value<'py>(py: Python<'py>, value: &Datum) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Datum::Empty => py.None().into_bound(py),
        Datum::Text(bytes) => text(py, bytes).into_any(),
        Datum::Id(id) => {
            let mut digits = vec![];
            write_hex(id, &mut digits);
            text(py, &digits).into_any()
        }
        Datum::Bool(yes) => yes.into_pyobject(py)?.to_owned().into_any(),
        Datum::Whole(number) => number.into_pyobject(py)?.into_any(),
        Datum::Double(number) => number.into_pyobject(py)?.into_any(),
        Datum::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
        Datum::Array(values) => {
            let list = PyList::empty(py);
            for value in messages(values, 1) {
                list.append(python_value(py, &Found::from(Value::read(value)).datum())?)?;
            }
            list.into_any()
        }
        Datum::Map(entries) => {
            let dict = PyDict::new(py);
            for Attribute { key, value } in messages(entries, 1).map(Attribute::read) {
                let key = text(py, key);
                if !dict.contains(&key)? {
                    dict.set_item(key, python_value(py, &Found::from(value).datum())?)?;
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
