//! Attributes and fields, as `airis.data.fields` names them.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyInt, PyString, PyTuple, PyType};

use airis_kernels::fields::{Level, Source, Step};
use airis_kernels::otlp::Signal;

/// The exception for what cannot be compiled.
pub fn invalid(py: Python<'_>, reason: String) -> PyErr {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    match CLASS.import(py, "airis.data.expressions", "InvalidExpression") {
        Ok(class) => PyErr::from_type(class.clone(), reason),
        Err(error) => error,
    }
}

/// A level by its name.
pub fn level_of(name: &Bound<'_, PyAny>) -> Result<Level, String> {
    let name = name.cast::<PyString>().map_err(|_| "a level is a text".to_owned())?;
    let name = name.to_str().map_err(|error| error.to_string())?;
    Level::from_name(name).ok_or_else(|| format!("no level is called \"{name}\""))
}

/// Whether an object is an `Attribute` or a `Field`.
pub fn is_source(object: &Bound<'_, PyAny>) -> bool {
    object.get_type().name().is_ok_and(|name| name == "Attribute" || name == "Field")
}

/// An `Attribute` or a `Field`, compiled for the items of a signal; an error says what is wrong.
pub fn source(signal: Signal, object: &Bound<'_, PyAny>) -> Result<Source, String> {
    let compile = || -> PyResult<Result<Source, String>> {
        let is_attribute = object.get_type().name()? == "Attribute";
        let level = match level_of(&object.getattr("level")?) {
            Ok(level) => level,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut path = vec![];
        for step in object.getattr("path")?.cast::<PyTuple>()?.iter() {
            path.push(match step.cast::<PyInt>() {
                Ok(index) => match index.extract() {
                    Ok(index) => Step::Index(index),
                    Err(_) => return Ok(Err(format!("{index} is no index of an array"))),
                },
                Err(_) => Step::Key(step.cast::<PyString>()?.to_str()?.as_bytes().into()),
            });
        }
        let name = object.getattr(if is_attribute { "key" } else { "name" })?;
        let name = name.cast::<PyString>()?.to_str()?;
        Ok(if is_attribute {
            Source::attribute(signal, level, name, path)
        } else {
            Source::field(signal, level, name, path)
        })
    };
    compile().unwrap_or_else(|error| Err(error.to_string()))
}
