"""The contexts, each with its tables and those of what lies above it."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from airis.ottl.arguments import Place
from airis.ottl.contexts import fields
from airis.ottl.contexts.client import CLIENT
from airis.ottl.contexts.fields import SPAN_KINDS, Table, TakesNoKeys, cache
from airis.ottl.contexts.here import Here
from airis.ottl.contexts.places import Key, Where


@dataclass(frozen=True)
class Level:
    """What a path's first name stands for: a message, and the table of its fields."""

    table: Table
    where: Where


def _scope_url(here: Here) -> Any:
    return here.scoped


RESOURCE = Level(
    {**fields.RESOURCE, "schema_url": lambda _where, keys: _schema_url(keys, lambda here: here.owner)},
    lambda here: here.owner.resource,
)
SCOPE = Level(
    {**fields.SCOPE, "schema_url": lambda _where, keys: _schema_url(keys, _scope_url)},
    lambda here: here.scoped.scope,
)
SPAN = Level(fields.SPAN, lambda here: here.item)
EVENT = Level(fields.EVENT, lambda here: here.part)
LINK = Level(fields.LINK, lambda here: here.part)
METRIC = Level(fields.METRIC, lambda here: here.metric)
POINT = Level(fields.POINT, lambda here: here.item)
EXEMPLAR = Level(fields.EXEMPLAR, lambda here: here.part)
LOG = Level(fields.LOG, lambda here: here.item)
_CLIENT = Level(CLIENT, lambda here: here)


def _schema_url(keys: Sequence[Key], where: Where) -> Place:
    from airis.ottl.contexts.places import Text

    if keys:
        raise TakesNoKeys
    return Text(where, "schema_url")


_TRACES = {
    **{f"SPAN_KIND_{name}": number for number, name in enumerate(SPAN_KINDS)},
    "STATUS_CODE_UNSET": 0,
    "STATUS_CODE_OK": 1,
    "STATUS_CODE_ERROR": 2,
}
_METRICS = {
    **dict(AggregationTemporality.items()),
    **{f"METRIC_DATA_TYPE_{name}": number for name, number in fields.DATA_TYPES.items()},
}
_POINTS = {**_METRICS, "FLAG_NONE": 0, "FLAG_NO_RECORDED_VALUE": 1}
_LOGS = dict(SeverityNumber.items())

_ALIASES = {"instrumentation_scope": "scope"}


@dataclass(frozen=True)
class Context:
    """A kind of item that statements are carried out on."""

    name: str
    levels: Mapping[str, Level]
    """What paths can begin with, its own name first."""
    enumerators: Mapping[str, int]

    def place(self, names: Sequence[str], keys: Sequence[Sequence[Key]]) -> Place:
        """The place of a path, by its names and the keys behind each; raises LookupError that says what there is."""
        level_name, at = self.level_of(names, keys)
        level = self.levels[level_name]
        if names[at:] and names[at] == "cache":
            if level_name != self.name:
                raise LookupError(f"the cache of {level_name} is not at hand in {self.name}: write {self.name}.cache")
            return _made(cache, level, names[at:], keys[at:])
        return self._field(level_name, level, names[at:], keys[at:])

    def level_of(self, names: Sequence[str], keys: Sequence[Sequence[object]]) -> tuple[str, int]:
        """The level that a path begins at, and where in its names its field begins; raises LookupError."""
        first = _ALIASES.get(names[0], names[0])
        if first in self.levels and (len(names) > 1) and not keys[0]:
            return first, 1
        if first in self.levels and first != self.name and names[0] not in self.levels[self.name].table:
            raise LookupError(f"{names[0]} alone is nothing that can be used; its fields are: {self._fields(first)}")
        return self.name, 0

    def _field(self, level_name: str, level: Level, names: Sequence[str], keys: Sequence[Sequence[Key]]) -> Place:
        for length in range(len(names), 0, -1):
            make = level.table.get(".".join(names[:length]))
            if make is not None and length == len(names):
                return _made(make, level, names, keys)
            if make is not None:
                path = ".".join(names[:length])
                inner = [other for other in level.table if other.startswith(f"{path}.")]
                has = f"; there is {', '.join(inner)}" if inner else ""
                raise LookupError(f"{path} has no field {names[length]}{has}")
        close = difflib.get_close_matches(".".join(names), [*level.table, *self.levels], 1, 0.6)
        meant = f"; did you mean {close[0]}?" if close else f"; there is {self._fields(level_name)}"
        raise LookupError(f"{level_name} has no field {'.'.join(names)}{meant}")

    def _fields(self, level: str) -> str:
        return ", ".join([*self.levels[level].table, *(["cache"] if level == self.name else [])])


def _made(make: Any, level: Level, names: Sequence[str], keys: Sequence[Sequence[Key]]) -> Place:
    if any(keys[:-1]):
        where = next(index for index, some in enumerate(keys) if some)
        raise LookupError(f"a key can only come at the end of a path, not behind {names[where]}")
    try:
        place: Place = make(level.where, keys[-1])
    except TakesNoKeys:
        raise LookupError(f"{'.'.join(names)} takes no {'second ' if len(keys[-1]) > 1 else ''}key") from None
    return place


def _context(name: str, enumerators: Mapping[str, int], **levels: Level) -> Context:
    return Context(name, {**levels, "otelcol": _CLIENT}, enumerators)


CONTEXTS: Mapping[str, Context] = {
    made.name: made
    for made in (
        _context("resource", {}, resource=RESOURCE),
        _context("scope", {}, scope=SCOPE, resource=RESOURCE),
        _context("span", _TRACES, span=SPAN, scope=SCOPE, resource=RESOURCE),
        _context("spanevent", _TRACES, spanevent=EVENT, span=SPAN, scope=SCOPE, resource=RESOURCE),
        _context("spanlink", _TRACES, spanlink=LINK, span=SPAN, scope=SCOPE, resource=RESOURCE),
        _context("metric", _METRICS, metric=METRIC, scope=SCOPE, resource=RESOURCE),
        _context("datapoint", _POINTS, datapoint=POINT, metric=METRIC, scope=SCOPE, resource=RESOURCE),
        _context(
            "exemplar", _POINTS, exemplar=EXEMPLAR, datapoint=POINT, metric=METRIC, scope=SCOPE, resource=RESOURCE
        ),
        _context("log", _LOGS, log=LOG, scope=SCOPE, resource=RESOURCE),
    )
}
"""By name."""


def context(name: str) -> Context:
    """A context by its name; KeyError for one that there is not."""
    return CONTEXTS[_ALIASES.get(name, name)]
