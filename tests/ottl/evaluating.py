"""What tests of converters share: the value of an expression on a log record."""

import re

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs

from airis.ottl.compiler import Compiler
from airis.ottl.contexts import CONTEXTS, Here
from airis.ottl.functions import TRANSFORM
from airis.ottl.syntax import OttlError
from airis.ottl.values import EvaluationError, Value, write_any, write_attributes

_COMPILER = Compiler(CONTEXTS["log"], TRANSFORM)


def value_of(expression: str, body: Value = None, **attributes: Value) -> Value:
    """The value of an expression on a log record with this body and these attributes."""
    owner = ResourceLogs()
    scoped = owner.scope_logs.add()
    record = scoped.log_records.add()
    write_any(record.body, body)
    write_attributes(record.attributes, attributes)
    return _COMPILER.value(expression)(Here(owner, scoped, None, record))


def is_refused_on_the_item(expression: str, reason: str, body: Value = None, **attributes: Value) -> None:
    """The expression can be compiled and has no value here, for this reason."""
    with pytest.raises(EvaluationError, match=re.escape(reason)):
        value_of(expression, body, **attributes)


def is_refused_at_load(expression: str, reason: str, marked: str) -> None:
    """The expression cannot be compiled, for this reason, which shows where `marked` begins."""
    with pytest.raises(OttlError, match=re.escape(reason)) as error:
        _COMPILER.value(expression)
    assert error.value.column == expression.index(marked) + 1
