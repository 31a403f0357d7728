"""The fields of each kind of message by their paths."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airis.ottl.arguments import Place
from airis.ottl.contexts.here import Here
from airis.ottl.contexts.places import (
    Anything,
    AsText,
    Attribute,
    Attributes,
    Cache,
    Fixed,
    Flag,
    IdField,
    IdText,
    Inside,
    Key,
    Message,
    Moment,
    Names,
    Nano,
    Numbers,
    Real,
    Repeated,
    Text,
    Where,
    Whole,
)
from airis.ottl.contexts.trace_state import TraceStateEntry
from airis.ottl.values import EvaluationError, Value, type_name

Make = Callable[[Where, Sequence[Key]], Place]
"""A place, of the message that has it and the keys behind its path."""
Table = Mapping[str, Make]
"""Places by their paths, the names joined by dots."""

SPAN_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
SPAN_ID_BYTES, TRACE_ID_BYTES = 8, 16

_POINTS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
DATA_TYPES = {"NONE": 0, "GAUGE": 1, "SUM": 2, "HISTOGRAM": 3, "EXPONENTIAL_HISTOGRAM": 4, "SUMMARY": 5}


class TakesNoKeys(LookupError):
    """Keys behind a path that has nothing in it."""


def _plain(make: Callable[[Where], Place]) -> Make:
    def place(where: Where, keys: Sequence[Key]) -> Place:
        if keys:
            raise TakesNoKeys
        return make(where)

    return place


def _text(name: str) -> Make:
    return _plain(lambda where: Text(where, name))


def _whole(name: str) -> Make:
    return _plain(lambda where: Whole(where, name))


def _real(name: str) -> Make:
    return _plain(lambda where: Real(where, name))


def _attributes(name: str = "attributes") -> Make:
    return lambda where, keys: Attribute(where, keys, name) if keys else Attributes(where, name)


def _time(name: str) -> dict[str, Make]:
    """A time under two names: as a time, and as nanoseconds."""
    field = f"{name}_unix_nano"
    return {name: _plain(lambda where: Moment(where, field)), field: _plain(lambda where: Nano(where, field))}


def _id(name: str, size: int) -> dict[str, Make]:
    return {
        name: _plain(lambda where: IdField(where, name, size)),
        f"{name}.string": _plain(lambda where: IdText(where, name, size)),
    }


def _trace_state(where: Where, keys: Sequence[Key]) -> Place:
    if not keys:
        return Text(where, "trace_state")
    if len(keys) > 1:
        raise TakesNoKeys
    return TraceStateEntry(where, keys[0])


def _body(where: Where, keys: Sequence[Key]) -> Place:
    return Inside(where, "body", keys) if keys else Anything(where, "body")


def _status(where: Where) -> Where:
    return lambda here: where(here).status


RESOURCE: Table = {
    "attributes": _attributes(),
    "dropped_attributes_count": _whole("dropped_attributes_count"),
}
SCOPE: Table = {
    "name": _text("name"),
    "version": _text("version"),
    "attributes": _attributes(),
    "dropped_attributes_count": _whole("dropped_attributes_count"),
}
SPAN: Table = {
    **_id("trace_id", TRACE_ID_BYTES),
    **_id("span_id", SPAN_ID_BYTES),
    **_id("parent_span_id", SPAN_ID_BYTES),
    "trace_state": _trace_state,
    "name": _text("name"),
    "kind": _whole("kind"),
    "kind.string": _plain(
        lambda where: Names(where, "kind", {name.capitalize(): number for number, name in enumerate(SPAN_KINDS)})
    ),
    "kind.deprecated_string": _plain(
        lambda where: Names(where, "kind", {f"SPAN_KIND_{name}": number for number, name in enumerate(SPAN_KINDS)})
    ),
    **_time("start_time"),
    **_time("end_time"),
    "attributes": _attributes(),
    "dropped_attributes_count": _whole("dropped_attributes_count"),
    "events": _plain(lambda where: Repeated(where, "events")),
    "dropped_events_count": _whole("dropped_events_count"),
    "links": _plain(lambda where: Repeated(where, "links")),
    "dropped_links_count": _whole("dropped_links_count"),
    "status": _plain(lambda where: Message(where, "status")),
    "status.code": _plain(lambda where: Whole(_status(where), "code")),
    "status.message": _plain(lambda where: Text(_status(where), "message")),
    "flags": _whole("flags"),
}
EVENT: Table = {
    **_time("time"),
    "name": _text("name"),
    "attributes": _attributes(),
    "dropped_attributes_count": _whole("dropped_attributes_count"),
    "event_index": _plain(lambda _where: Fixed("event_index", lambda here: here.index)),
}
LINK: Table = {
    **_id("trace_id", TRACE_ID_BYTES),
    **_id("span_id", SPAN_ID_BYTES),
    "trace_state": _trace_state,
    "attributes": _attributes(),
    "dropped_attributes_count": _whole("dropped_attributes_count"),
    "flags": _whole("flags"),
}
LOG: Table = {
    **_time("time"),
    **_time("observed_time"),
    "severity_number": _whole("severity_number"),
    "severity_text": _text("severity_text"),
    "body": _body,
    "body.string": _plain(lambda where: AsText(where, "body")),
    "attributes": _attributes(),
    "dropped_attributes_count": _whole("dropped_attributes_count"),
    "flags": _whole("flags"),
    **_id("trace_id", TRACE_ID_BYTES),
    **_id("span_id", SPAN_ID_BYTES),
    "event_name": _text("event_name"),
}


def data_of(metric: Any) -> Any:
    """The message in a metric that has its points; None where it has no data."""
    kind = metric.WhichOneof("data")
    return None if kind is None else getattr(metric, kind)


def _data(where: Where) -> Where:
    return lambda here: data_of(where(here))


class _DataField(Whole):
    """A field of the data of some kinds of metrics; others have it not, and take what is set without effect."""

    def set(self, here: Here, value: Value) -> None:
        if hasattr(self.where(here), self.name):
            super().set(here, value)


class _DataFlag(Flag):
    """The same of a bool."""

    def set(self, here: Here, value: Value) -> None:
        if hasattr(self.where(here), self.name):
            super().set(here, value)


def _data_type(where: Where) -> Place:
    def number(here: Here) -> Value:
        kind = where(here).WhichOneof("data")
        return 0 if kind is None else 1 + _POINTS.index(kind)

    return Fixed("type", number)


METRIC: Table = {
    "name": _text("name"),
    "description": _text("description"),
    "unit": _text("unit"),
    "type": _plain(_data_type),
    "metadata": _attributes("metadata"),
    "aggregation_temporality": _plain(lambda where: _DataField(_data(where), "aggregation_temporality")),
    "is_monotonic": _plain(lambda where: _DataFlag(_data(where), "is_monotonic")),
    "data_points": _plain(lambda where: Repeated(_data(where), "data_points")),
}


class _PointValue:
    """The value of a point of a gauge or a sum as a double or an int; that of the other type reads as 0."""

    def __init__(self, where: Where, kind: type, name: str) -> None:
        self._where = where
        self._kind = kind
        self._name = name

    def get(self, here: Here) -> Value:
        """What is there; nil for points of other kinds."""
        point = self._where(here)
        if not hasattr(point, self._name):
            return None
        value: Value = getattr(point, self._name)
        return value

    def set(self, here: Here, value: Value) -> None:
        """Write, and make it of this type; raises EvaluationError."""
        point = self._where(here)
        if type(value) is not self._kind:
            what = "an int" if self._kind is int else "a double"
            raise EvaluationError(f"value_{'int' if self._kind is int else 'double'} is {what}, not {type_name(value)}")
        if not hasattr(point, self._name):
            raise EvaluationError(f"there is no {self._name} in this kind of data point")
        setattr(point, self._name, value)


def _buckets(where: Where, side: str) -> Where:
    return lambda here: getattr(where(here), side, None)


def _side(side: str) -> dict[str, Make]:
    return {
        side: _plain(lambda where: Message(where, side)),
        f"{side}.offset": _plain(lambda where: Whole(_buckets(where, side), "offset")),
        f"{side}.bucket_counts": _plain(lambda where: Numbers(_buckets(where, side), "bucket_counts", int)),
    }


POINT: Table = {
    "attributes": _attributes(),
    **_time("start_time"),
    **_time("time"),
    "value_double": _plain(lambda where: _PointValue(where, float, "as_double")),
    "value_int": _plain(lambda where: _PointValue(where, int, "as_int")),
    "exemplars": _plain(lambda where: Repeated(where, "exemplars")),
    "flags": _whole("flags"),
    "count": _whole("count"),
    "sum": _real("sum"),
    "bucket_counts": _plain(lambda where: Numbers(where, "bucket_counts", int)),
    "explicit_bounds": _plain(lambda where: Numbers(where, "explicit_bounds", float)),
    "scale": _whole("scale"),
    "zero_count": _whole("zero_count"),
    **_side("positive"),
    **_side("negative"),
    "quantile_values": _plain(lambda where: Repeated(where, "quantile_values")),
}
EXEMPLAR: Table = {
    **_time("time"),
    "value_double": _plain(lambda where: _PointValue(where, float, "as_double")),
    "value_int": _plain(lambda where: _PointValue(where, int, "as_int")),
    "filtered_attributes": _attributes("filtered_attributes"),
    **_id("trace_id", TRACE_ID_BYTES),
    **_id("span_id", SPAN_ID_BYTES),
}


def cache(_where: Where, keys: Sequence[Key]) -> Place:
    """The place of ``cache``."""
    return Cache(keys)
