//! Edits as `airis.data.edits` has them, compiled.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::fields::invalid;
use airis_kernels::edits as kernel;
use airis_kernels::edits::{Algorithm, Edit, Given, Level, Name, Source, Stages, Step, Type, When};
use airis_kernels::otlp::Signal;
use airis_kernels::pattern::{Extent, Pattern};

/// A program of edits.
#[pyclass(frozen, module = "airis._core")]
pub struct Edits {
    compiled: kernel::Edits,
}

#[pymethods]
impl Edits {
    /// Compile what `airis.data.edits` has checked already; ValueError for something that is no edit.
    #[new]
    fn new(edits: Vec<Bound<'_, PyAny>>) -> PyResult<Self> {
        let edits = edits.iter().map(read_edit).collect::<PyResult<Vec<_>>>()?;
        Ok(Self { compiled: kernel::Edits::new(&edits) })
    }
}

impl Edits {
    /// What is to be done to a view of a signal; ValueError for edits that its items cannot have.
    pub fn stages(&self, signal: Signal) -> PyResult<&Stages> {
        self.compiled.stages(signal).map_err(|fault| PyValueError::new_err(fault.to_owned()))
    }
}

fn read_edit(edit: &Bound<'_, PyAny>) -> PyResult<Edit> {
    let text = |name: &str| edit.getattr(name)?.extract::<String>();
    let target = || read_source(&edit.getattr("target")?);
    let level = || read_level(&text("level")?, None);
    let keys = |name: &str| edit.getattr(name)?.try_iter()?.map(|key| key_of(&key?)).collect::<PyResult<Vec<_>>>();
    let algorithm = || {
        let key = edit.getattr("key")?.extract::<Vec<u8>>()?;
        Algorithm::from_name(&text("algorithm")?, &key).ok_or_else(|| unknown(edit))
    };
    Ok(match &*edit.get_type().name()?.extract::<String>()? {
        "Set" => Edit::Set {
            target: target()?,
            value: read_value(&edit.getattr("value")?)?,
            when: match &*text("when")? {
                "absent" => When::Absent,
                "present" => When::Present,
                _ => When::Always,
            },
        },
        "Delete" => Edit::Delete(target()?),
        "Hash" => Edit::Hash(target()?, algorithm()?),
        "HashMatching" => {
            let pattern = Arc::new(read_pattern(edit)?);
            Edit::HashMatching { level: level()?, pattern, algorithm: algorithm()? }
        }
        "Convert" => Edit::Convert(target()?, Type::from_name(&text("to")?).ok_or_else(|| unknown(edit))?),
        "DeleteMatching" => Edit::DeleteMatching { level: level()?, pattern: Arc::new(read_pattern(edit)?) },
        "Extract" => {
            let pattern = read_pattern(edit)?;
            if pattern.groups().is_empty() || pattern.groups().contains(&None) {
                let quoted = edit.getattr("pattern")?.repr()?;
                let fault = format!("all groups of {quoted} must have names, and there must be one");
                return Err(invalid(edit.py(), fault));
            }
            let source = read_source(&edit.getattr("source")?)?;
            Edit::Extract { source, pattern: Arc::new(pattern), level: level()? }
        }
        "KeepKeys" => Edit::KeepKeys { level: level()?, keys: keys("keys")? },
        "Rename" => Edit::Rename {
            level: level()?,
            old: text("old")?.into_bytes().into(),
            new: text("new")?.into_bytes().into(),
            overwrites: text("when_taken")? == "overwrite",
        },
        "Truncate" => Edit::Truncate { level: level()?, max_bytes: edit.getattr("max_bytes")?.extract()? },
        "Limit" => Edit::Limit {
            level: level()?,
            count: edit.getattr("count")?.extract()?,
            priority_keys: keys("priority_keys")?,
        },
        _ => return Err(unknown(edit)),
    })
}

fn read_pattern(edit: &Bound<'_, PyAny>) -> PyResult<Pattern> {
    let pattern: String = edit.getattr("pattern")?.extract()?;
    Pattern::new(&pattern, Extent::Anywhere).map_err(|fault| invalid(edit.py(), fault.to_string()))
}

fn unknown(edit: &Bound<'_, PyAny>) -> PyErr {
    PyValueError::new_err(match edit.repr() {
        Ok(text) => format!("{text} is no edit"),
        Err(_) => "no edit".into(),
    })
}

fn read_level(level: &str, field: Option<&str>) -> PyResult<Level> {
    Level::from_name(level, field).ok_or_else(|| PyValueError::new_err(format!("{level} is no level")))
}

fn read_source(source: &Bound<'_, PyAny>) -> PyResult<Source> {
    let level: String = source.getattr("level")?.extract()?;
    let (level, name) = if source.hasattr("key")? {
        (read_level(&level, None)?, Name::Attribute(key_of(&source.getattr("key")?)?))
    } else {
        let name: String = source.getattr("name")?.extract()?;
        (read_level(&level, Some(&name))?, Name::Field(name.into()))
    };
    let path = source.getattr("path")?.try_iter()?.map(|step| read_step(&step?)).collect::<PyResult<_>>()?;
    Ok(Source { level, name, path })
}

fn read_step(step: &Bound<'_, PyAny>) -> PyResult<Step> {
    Ok(if step.is_instance_of::<PyString>() { Step::Key(key_of(step)?) } else { Step::Index(step.extract()?) })
}

fn key_of(key: &Bound<'_, PyAny>) -> PyResult<Box<[u8]>> {
    Ok(key.extract::<String>()?.into_bytes().into())
}

/// A literal, or where its copy is to be taken from.
fn read_value(value: &Bound<'_, PyAny>) -> PyResult<Given> {
    let py = value.py();
    let fields = py.import("airis.data.fields")?;
    if value.is_instance(&fields.getattr("Attribute")?)? || value.is_instance(&fields.getattr("Field")?)? {
        return Ok(Given::Copy(read_source(value)?));
    }
    let encode = py.import("airis.data.reference.edits")?.getattr("any_value")?;
    let encoded = encode.call1((value,))?.call_method0("SerializeToString")?;
    Ok(Given::Literal(encoded.extract()?))
}
