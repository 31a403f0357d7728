"""Values and faults of expressions on one span, which has attributes of every type."""

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from airis.ottl.compiler import Compiler
from airis.ottl.contexts import CONTEXTS, Here
from airis.ottl.functions import TRANSFORM
from airis.ottl.moments import zones
from airis.ottl.values import EvaluationError, Time, Value, write_attributes

COMPILER = Compiler(CONTEXTS["span"], TRANSFORM)
_ATTRIBUTES: dict[str, Value] = {
    **{"s": "text", "i": 7, "d": 2.5, "t": True, "f": False, "empty": "", "b": b"\x01\xff"},
    **{"l": [3, 1, 2], "ls": ["prod", "dev"], "m": {"k": "v", "n": 1}, "el": [], "em": {}},
    "things": [{"name": "foo", "value": 2}, {"name": "bar", "value": 5}],
}


def here() -> Here:
    """The span, which began on the last hour of 2022."""
    owner = ResourceSpans()
    scoped = owner.scope_spans.add()
    span = scoped.spans.add(
        name="GET /x",
        kind=2,
        start_time_unix_nano=1_672_527_600_123_456_789,
        end_time_unix_nano=1_672_531_200_000_000_000,
        trace_id=bytes(range(1, 17)),
        span_id=bytes(range(1, 9)),
    )
    write_attributes(span.attributes, _ATTRIBUTES)
    return Here(owner, scoped, None, span)


def value_of(text: str) -> Value:
    """What an expression gives."""
    return COMPILER.value(text)(here())


def fault_of(text: str) -> str:
    """Why an expression gives nothing, although it can be loaded."""
    get = COMPILER.value(text)
    with pytest.raises(EvaluationError) as error:
        get(here())
    return str(error.value)


def at(unix_nano: int, name: str, offset: int) -> Time:
    """A time in a zone that has an abbreviation and an offset, in seconds."""
    return Time(unix_nano, zones.fixed(offset, name))


def shown(value: Value) -> object:
    """A value that can be compared with another: a time with what its zone is called and its offset there."""
    if isinstance(value, Time):
        unix = value.unix_nano // 1_000_000_000
        return value.unix_nano, zones.abbreviation(value.zone, unix), zones.offset(value.zone, unix)
    return value
