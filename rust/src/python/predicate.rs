//! Conditions, as `airis.data.expressions` writes them.

use std::fmt;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyString};

use super::bytes::{not_supported, signal_of};
use super::fields::{invalid, is_source, level_of, source};
use super::view::View;
use airis_kernels::otlp::Signal;
use airis_kernels::pattern::{Extent, Pattern};
use airis_kernels::predicate::{self as predicates, Comparison, Expression, Leaf, Literal, Operand, Place, Test, Type};

/// As in `airis.data.expressions`.
const MAX_DEPTH: u32 = 64;
const MAX_CONDITIONS: usize = 10_000;
const MAX_VALUES: usize = 1_000_000;

/// A condition on the items of a signal, compiled.
#[pyclass(frozen, module = "airis._core")]
pub struct Predicate {
    compiled: predicates::Predicate,
}

#[pymethods]
impl Predicate {
    #[new]
    fn new(signal: &str, expression: &Bound<'_, PyAny>) -> PyResult<Self> {
        let name = signal;
        let signal = signal_of(name)?;
        if signal == Signal::Profiles {
            return Err(not_supported(name)); // there is no view of them
        }
        let mut reader = Reader { signal, conditions: 0, values: 0 };
        let here = Here { above: None, name: "", index: None };
        let expression = match reader.expression(expression, &here, 1) {
            Ok(expression) => expression,
            Err(fault) => return Err(invalid(expression.py(), fault.0)),
        };
        Ok(Self { compiled: predicates::Predicate::compile(signal, expression) })
    }

    /// One byte for every item of the view in order: 1 where the condition holds, else 0.
    fn mask<'py>(&self, py: Python<'py>, view: &View) -> PyResult<Bound<'py, PyBytes>> {
        let view = view.scanned();
        if view.signal != self.compiled.signal() {
            let reason =
                format!("a condition on {}, but a view of {}", self.compiled.signal().name(), view.signal.name());
            return Err(PyValueError::new_err(reason));
        }
        let mask = py.detach(|| self.compiled.mask(view));
        Ok(PyBytes::new(py, &mask))
    }
}

/// What is wrong, and where.
struct Fault(String);

/// A place in an expression: the names of the attributes on the way to it.
struct Here<'h> {
    above: Option<&'h Here<'h>>,
    name: &'static str,
    index: Option<usize>,
}

impl Here<'_> {
    fn at(&self, name: &'static str) -> Here<'_> {
        Here { above: Some(self), name, index: None }
    }

    fn fault(&self, reason: impl fmt::Display) -> Fault {
        let mut names = vec![];
        let mut place = Some(self);
        while let Some(here) = place {
            match here.index {
                Some(index) => names.push(format!("{}[{index}]", here.name)),
                None if here.name.is_empty() => {}
                None => names.push(here.name.to_owned()),
            }
            place = here.above;
        }
        names.reverse();
        let separator = if names.is_empty() { "" } else { ": " };
        Fault(format!("{}{separator}{reason}", names.join(".")))
    }
}

struct Reader {
    signal: Signal,
    conditions: usize,
    values: usize,
}

impl Reader {
    fn expression(&mut self, object: &Bound<'_, PyAny>, here: &Here, depth: u32) -> Result<Expression, Fault> {
        if depth > MAX_DEPTH {
            return Err(here.fault(format_args!("more than {MAX_DEPTH} conditions in one another")));
        }
        self.conditions += 1;
        if self.conditions > MAX_CONDITIONS {
            return Err(here.fault(format_args!("more than {MAX_CONDITIONS} conditions")));
        }
        let class = object.get_type().name().map_err(|error| here.fault(error))?;
        Ok(match class.to_str().unwrap_or_default() {
            "Constant" => Expression::Constant(get(object, "value", here)?.is_truthy().map_err(|e| here.fault(e))?),
            "AllOf" => Expression::All(self.conditions(object, here, depth)?),
            "AnyOf" => Expression::Any(self.conditions(object, here, depth)?),
            "Not" => Expression::Not(self.condition(object, here, depth)?.into()),
            "Some" => {
                let level = level_of(&get(object, "level", here)?);
                let level = level.and_then(|level| match level.is_repeated() {
                    true => level.check(self.signal).map(|()| level),
                    false => Err(format!("an item has one {} alone", level.name())),
                });
                let level = level.map_err(|reason| here.at("level").fault(reason))?;
                Expression::Some(level, self.condition(object, here, depth)?.into())
            }
            "Compare" => {
                let sign = text(&get(object, "operator", here)?, &here.at("operator"))?;
                let comparison =
                    Comparison::from_sign(&sign).ok_or_else(|| here.at("operator").fault("no such operator"))?;
                let right = get(object, "right", here)?;
                let operand = if is_source(&right) {
                    let other = source(self.signal, &right).map_err(|reason| here.at("right").fault(reason))?;
                    Operand::Source(other)
                } else {
                    Operand::Literal(literal(&right, &here.at("right"))?)
                };
                self.leaf(object, "left", here, Test::Compare(comparison, operand))?
            }
            "Matches" => {
                let here_pattern = here.at("pattern");
                let pattern = text(&get(object, "pattern", here)?, &here_pattern)?;
                let is_whole = get(object, "whole", here)?.is_truthy().map_err(|error| here.fault(error))?;
                let extent = if is_whole { Extent::Whole } else { Extent::Anywhere };
                let compiled = object.py().detach(|| Pattern::new(&pattern, extent));
                let pattern = compiled.map_err(|fault| here_pattern.fault(fault))?;
                self.leaf(object, "source", here, Test::Matches(pattern))?
            }
            "OneOf" => {
                let mut literals = vec![];
                for (index, value) in items(object, "values", here)?.iter().enumerate() {
                    let here = Here { index: Some(index), ..here.at("values") };
                    self.values += 1;
                    if self.values > MAX_VALUES {
                        return Err(here.fault(format_args!("more than {MAX_VALUES} values")));
                    }
                    literals.push(literal(value, &here)?);
                }
                self.leaf(object, "source", here, Test::OneOf(literals))?
            }
            "Exists" => self.leaf(object, "source", here, Test::Exists)?,
            "HasType" => {
                let here_types = here.at("types");
                let mut types = vec![];
                for name in items(object, "types", here)? {
                    let name = text(&name, &here_types)?;
                    types.push(Type::from_name(&name).ok_or_else(|| here_types.fault("no such type"))?);
                }
                self.leaf(object, "source", here, Test::IsType(types))?
            }
            "HasPrefix" => self.has_text(object, here, Place::Start)?,
            "HasSuffix" => self.has_text(object, here, Place::End)?,
            "Contains" => self.has_text(object, here, Place::Anywhere)?,
            other => return Err(here.fault(format_args!("{other} is no condition"))),
        })
    }

    fn condition(&mut self, object: &Bound<'_, PyAny>, here: &Here, depth: u32) -> Result<Expression, Fault> {
        self.expression(&get(object, "condition", here)?, &here.at("condition"), depth + 1)
    }

    fn conditions(&mut self, object: &Bound<'_, PyAny>, here: &Here, depth: u32) -> Result<Vec<Expression>, Fault> {
        let mut conditions = vec![];
        for (index, condition) in items(object, "conditions", here)?.iter().enumerate() {
            let here = Here { index: Some(index), ..here.at("conditions") };
            conditions.push(self.expression(condition, &here, depth + 1)?);
        }
        Ok(conditions)
    }

    fn has_text(&self, object: &Bound<'_, PyAny>, here: &Here, place: Place) -> Result<Expression, Fault> {
        let part = match literal(&get(object, "text", here)?, &here.at("text"))? {
            Literal::Text(text) | Literal::Bytes(text) => text,
            _ => return Err(here.at("text").fault("not a text")),
        };
        self.leaf(object, "source", here, Test::HasText(place, part))
    }

    fn leaf(
        &self,
        object: &Bound<'_, PyAny>,
        name: &'static str,
        here: &Here,
        test: Test,
    ) -> Result<Expression, Fault> {
        let source = source(self.signal, &get(object, name, here)?).map_err(|reason| here.at(name).fault(reason))?;
        Ok(Expression::Leaf(Leaf { source, test }.into()))
    }
}

fn get<'py>(object: &Bound<'py, PyAny>, name: &str, here: &Here) -> Result<Bound<'py, PyAny>, Fault> {
    object.getattr(name).map_err(|error| here.fault(error))
}

fn items<'py>(object: &Bound<'py, PyAny>, name: &'static str, here: &Here) -> Result<Vec<Bound<'py, PyAny>>, Fault> {
    let read = || object.getattr(name)?.try_iter()?.collect::<PyResult<Vec<_>>>();
    read().map_err(|error| here.at(name).fault(error))
}

fn text(object: &Bound<'_, PyAny>, here: &Here) -> Result<String, Fault> {
    object.extract().map_err(|_| here.fault("not a text"))
}

fn literal(value: &Bound<'_, PyAny>, here: &Here) -> Result<Literal, Fault> {
    if value.is_none() {
        return Ok(Literal::Nothing);
    }
    if let Ok(value) = value.cast::<PyBool>() {
        return Ok(Literal::Bool(value.is_true()));
    }
    if let Ok(number) = value.cast::<PyInt>() {
        let negative = number.extract::<i64>().map(i128::from);
        let number = negative.or_else(|_| number.extract::<u64>().map(i128::from));
        return number.map(Literal::Whole).map_err(|_| here.fault("does not fit 64 bits"));
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return Ok(Literal::Double(number.value()));
    }
    if let Ok(text) = value.cast::<PyString>() {
        let text = text.to_str().map_err(|error| here.fault(error))?;
        return Ok(Literal::Text(text.as_bytes().into()));
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Literal::Bytes(bytes.as_bytes().into()));
    }
    Err(here.fault("not a text, bytes, a bool, a number or None"))
}
