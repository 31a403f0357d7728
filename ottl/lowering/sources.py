"""Paths as sources of the kernels, with what statements read where the kernels find nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from airis.data import fields
from airis.data.expressions import AllOf, AnyOf, Exists, Expression, HasType, Not, Type
from airis.data.fields import Level, Source
from airis.ottl import syntax
from airis.ottl.contexts import Context
from airis.ottl.contexts.fields import SPAN_ID_BYTES, TRACE_ID_BYTES
from airis.ottl.values import EvaluationError, Value, negated

Kind = Literal["value", "text", "int", "double", "bool", "id", "id_text"]
"""What is at a place; a value is of any type, an id is bytes that equal no literal."""

LEVELS: Mapping[str, Level] = {
    "resource": "resource",
    "scope": "scope",
    "metric": "metric",
    "span": "item",
    "log": "item",
    "datapoint": "item",
    "spanevent": "event",
    "spanlink": "link",
    "exemplar": "exemplar",
}
"""Contexts, and beginnings of paths, by what the kernels call them."""
REPEATED: tuple[Level, ...] = ("event", "link", "exemplar")
"""Levels that an item can have several of; kernels choose items, not these."""

_ALL_TYPES: frozenset[Type] = frozenset(("text", "bool", "int", "double", "bytes", "array", "map"))
_ATTRIBUTES: Mapping[str, str] = {"metric": "metadata", "exemplar": "filtered_attributes"}

_TEXT, _INT = "text", "int"
_FIELDS: Mapping[str, Mapping[Kind, str]] = {
    "resource": {"text": "schema_url", "int": "dropped_attributes_count"},
    "scope": {"text": "name version schema_url", "int": "dropped_attributes_count"},
    "span": {
        "text": "name trace_state status.message kind.string kind.deprecated_string",
        "int": "kind status.code flags start_time_unix_nano end_time_unix_nano dropped_attributes_count "
        "dropped_events_count dropped_links_count",
        "id": "trace_id span_id parent_span_id",
        "id_text": "trace_id.string span_id.string parent_span_id.string",
    },
    "spanevent": {"text": "name", "int": "time_unix_nano dropped_attributes_count"},
    "spanlink": {
        "text": "trace_state",
        "int": "flags dropped_attributes_count",
        "id": "trace_id span_id",
        "id_text": "trace_id.string span_id.string",
    },
    "log": {
        "text": "severity_text event_name",
        "int": "time_unix_nano observed_time_unix_nano severity_number flags dropped_attributes_count",
        "id": "trace_id span_id",
        "id_text": "trace_id.string span_id.string",
        "value": "body",
    },
    "metric": {"text": "name description unit", "int": "type aggregation_temporality", "bool": "is_monotonic"},
    "datapoint": {
        "int": "start_time_unix_nano time_unix_nano flags count scale zero_count value_int",
        "double": "value_double sum",
    },
    "exemplar": {"int": "time_unix_nano", "id": "trace_id span_id", "id_text": "trace_id.string span_id.string"},
}
"""The fields that statements and kernels read alike, by what is in them."""
_KINDS: Mapping[tuple[str, str], Kind] = {
    (level, name): kind
    for level, by_kind in _FIELDS.items()
    for kind, names in by_kind.items()
    for name in names.split()
}
_UNSET: Mapping[str, Value] = {"value_int": 0, "value_double": 0.0, "sum": 0.0}
"""What statements read of fields that need not be set, where the kernels find nothing."""


class NotLowered(Exception):
    """Why something goes item by item, and the part of it that prevents it."""

    def __init__(self, reason: str, node: syntax.Node) -> None:
        super().__init__(reason)
        self.reason = reason
        self.node = node


@dataclass(frozen=True, slots=True)
class Read:
    """What a path reads."""

    source: Source
    kind: Kind
    doubt: Expression | None = None
    """Holds for items that it cannot be read of without an error."""
    unset: Value = None
    """What is read where the kernels find nothing."""
    id_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    """What a path writes."""

    source: Source
    doubt: Expression | None


def any_of(*conditions: Expression | None) -> Expression | None:
    """One condition of several, without those that there are not."""
    there = [condition for condition in conditions if condition is not None]
    return (there[0] if len(there) == 1 else AnyOf(there)) if there else None


def of_other_types(source: Source, *types: Type) -> Expression:
    """Holds where a value is there and of another type."""
    return HasType(source, _ALL_TYPES - set(types))


@dataclass(frozen=True, slots=True)
class Located:
    """A path apart: the level it begins at, the field, and the keys behind it."""

    level_name: str
    field: str
    keys: tuple[str | int, ...]

    @property
    def level(self) -> Level:
        """What the kernels call its level."""
        return LEVELS[self.level_name]

    @property
    def is_attributes(self) -> bool:
        """Whether it is all attributes, or something in them."""
        return self.field == _ATTRIBUTES.get(self.level_name, "attributes")

    def source(self, count: int | None = None) -> Source:
        """The source for the first `count` keys; of attributes there is at least one."""
        keys = self.keys[:count]
        if self.is_attributes:
            return fields.Attribute(self.level, cast(str, keys[0]), keys[1:])
        return fields.Field(self.level, self.field, keys)

    def steps(self) -> Sequence[tuple[Source, str | int, Source]]:
        """For each key that leads into a value, that value, the key and what is there."""
        first = 1 if self.is_attributes else 0
        return [(self.source(n), self.keys[n], self.source(n + 1)) for n in range(first, len(self.keys))]


def located(context: Context, path: syntax.Path) -> Located:
    """A path apart; raises NotLowered."""
    names = [segment.name for segment in path.segments]
    level_name, at = context.level_of(names, [segment.keys for segment in path.segments])
    if names[at] == "cache":
        raise NotLowered("the cache is kept for every item", path)
    if level_name not in LEVELS:
        raise NotLowered(f"{level_name} is nothing that is in the data", path)
    keys = tuple(_key(key) for key in path.segments[-1].keys)
    return Located(level_name, ".".join(names[at:]), keys)


def _key(node: syntax.Expression) -> str | int:
    if isinstance(node, syntax.Literal) and isinstance(node.value, str | int) and not isinstance(node.value, bool):
        return node.value
    raise NotLowered("a key that is not written out", node)


def read(context: Context, path: syntax.Path) -> Read:
    """What a path reads; raises NotLowered."""
    at = located(context, path)
    if at.is_attributes:
        if not at.keys:
            raise NotLowered("all attributes as a value", path)
        _check_first_key(at, path)
        return Read(at.source(), "value", _reading_doubt(at))
    kind = _KINDS.get((at.level_name, at.field))
    if kind is None or (at.keys and kind != "value"):
        raise NotLowered(f"the kernels read no {at.level_name}.{at.field}{'[…]' * bool(at.keys)} as OTTL does", path)
    id_bytes = 0
    if kind in ("id", "id_text"):
        id_bytes = TRACE_ID_BYTES if at.field.startswith("trace_id") else SPAN_ID_BYTES
    return Read(at.source(), kind, _reading_doubt(at), _UNSET.get(at.field), id_bytes)


def written(context: Context, path: syntax.Path) -> Written:
    """What a path writes; raises NotLowered."""
    at = located(context, path)
    if at.is_attributes and not at.keys:
        raise NotLowered("all attributes at once", path)
    if at.is_attributes:
        _check_first_key(at, path)
    doubts: list[Expression] = []
    for holder, key, inside in at.steps():
        if isinstance(key, str):
            doubts.append(of_other_types(holder, "map"))
        else:
            doubts.append(Not(AllOf([HasType(holder, ["array"]), Exists(inside)])))
    return Written(at.source(), any_of(*doubts))


def _check_first_key(at: Located, path: syntax.Path) -> None:
    if not isinstance(at.keys[0], str):
        raise NotLowered("a key of attributes that is no string", path)


def _reading_doubt(at: Located) -> Expression | None:
    doubts: list[Expression] = []
    for holder, key, inside in at.steps():
        if isinstance(key, str):
            doubts.append(of_other_types(holder, "map"))
        else:
            doubts.append(of_other_types(holder, "array"))
            doubts.append(AllOf([HasType(holder, ["array"]), Not(Exists(inside))]))
    return any_of(*doubts)


def is_constant(node: Any) -> bool:
    """Whether a value is written out."""
    match node:
        case syntax.Literal() | syntax.Symbol():
            return True
        case syntax.Negative():
            return is_constant(node.operand)
        case syntax.ListOf():
            return all(map(is_constant, node.items))
        case syntax.MapOf():
            return all(is_constant(value) for _, value in node.items)
        case _:
            return False


def constant(context: Context, node: Any) -> Value:
    """A value that is written out; raises NotLowered for another."""
    match node:
        case syntax.Literal():
            return node.value
        case syntax.Symbol() if node.name in context.enumerators:
            return context.enumerators[node.name]
        case syntax.Negative():
            try:
                return negated(constant(context, node.operand))
            except EvaluationError as error:
                raise NotLowered(str(error), node) from None
        case syntax.ListOf():
            return [constant(context, item) for item in node.items]
        case syntax.MapOf():
            return {key: constant(context, value) for key, value in node.items}
        case _:
            raise NotLowered("a value that is neither written out nor a path", node)
