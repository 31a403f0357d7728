"""Requests and statements at random, and what two ways of carrying statements out have in common."""

import random
import struct
from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from airis.component import Permanent
from airis.data import Batch, Signal
from airis.ottl.functions import CONVERTERS, EDITORS, FILTER
from airis.ottl.values import held
from airis.proto import otlp

STATEMENTS = EDITORS.and_also(CONVERTERS)
CONDITIONS = FILTER

KEYS = ("", "a", "a.b", "total", "service.name", "ü", "new")
LITERALS = (
    *("nil", "true", "false", "0", "1", "-1", "77", "9007199254740993", "0.0", "2.5", "-0.5", '""', '"a"', '"total"'),
    *('"1"', "0xff", '"00000000000000000000000000000000"', '"ü"', "9007199254740992.5"),
)
COMPOUNDS = ("[]", "{}", '[1, "x", [nil]]', '{"a": {"b": 1}, "total": "x"}')
PATTERNS = ("^a", "[._]", "", "\\\\d", "(?i)TOTAL")

_COMMON = {
    "resource": ("attributes", "schema_url", "dropped_attributes_count"),
    "scope": ("attributes", "name", "version", "schema_url"),
}
_IDS = ("trace_id.string", "span_id.string", "trace_id", "span_id")
FIELDS = {
    **_COMMON,
    "span": (
        *("name", "kind", "kind.string", "status.code", "status.message", "trace_state", "flags", "parent_span_id"),
        *("start_time_unix_nano", "end_time_unix_nano", "dropped_events_count", "parent_span_id.string", *_IDS),
    ),
    "spanevent": ("name", "time_unix_nano", "dropped_attributes_count"),
    "spanlink": ("trace_state", "flags", *_IDS),
    "log": (
        *("severity_number", "severity_text", "body", "event_name", "time_unix_nano", "observed_time_unix_nano"),
        *("flags", 'body["a"]', "body[0]", 'body["a"][1]', "body.string", *_IDS),
    ),
    "metric": ("name", "description", "unit", "type", "aggregation_temporality", "is_monotonic"),
    "datapoint": (
        *("start_time_unix_nano", "time_unix_nano", "flags", "value_double", "value_int", "count", "sum", "scale"),
        "zero_count",
    ),
    "exemplar": ("time_unix_nano", "value_double", *_IDS),
}
ABOVE = {
    "resource": ("resource",),
    "scope": ("scope", "resource"),
    "span": ("span", "scope", "resource"),
    "spanevent": ("spanevent", "span", "resource"),
    "spanlink": ("spanlink", "span", "resource"),
    "metric": ("metric", "scope", "resource"),
    "datapoint": ("datapoint", "metric", "scope", "resource"),
    "exemplar": ("exemplar", "datapoint", "metric", "resource"),
    "log": ("log", "scope", "resource"),
}
MAPS = {"metric": "metadata", "exemplar": "filtered_attributes"}


class Statements:
    """Statements and conditions of one context, from one seed."""

    def __init__(self, context: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.context = context

    def statements(self) -> list[str]:
        return [self.statement() for _ in range(self.random.randint(1, 4))]

    def statement(self) -> str:
        where = f" where {self.condition()}" if self.random.random() < 0.5 else ""
        return f"{self.editor()}{where}"

    def editor(self) -> str:
        choice = self.random.choice
        own = self.context if self.random.random() < 0.95 else choice(ABOVE[self.context])
        everything = f"{own}.{MAPS.get(own, 'attributes')}"
        keys = ", ".join(f'"{key}"' for key in self.random.sample(KEYS, 3))
        match self.random.randrange(12):
            case 0 | 1 | 2:
                return f"set({self.path(own)}, {choice((*LITERALS, *COMPOUNDS))})"
            case 3 | 4 | 5:
                return f"set({self.path(own)}, {self.path()})"
            case 6:
                return f'delete_key({choice([everything, everything, self.attribute(own)])}, "{choice(KEYS)}")'
            case 7:
                return f'{choice(["delete", "keep"])}_matching_keys({everything}, "{choice(PATTERNS)}")'
            case 8:
                return f"keep_keys({everything}, [{keys}])"
            case 9:
                return f"truncate_all({everything}, {choice([0, 1, 2, 3, 100])})"
            case 10:
                strategy = choice(["insert", "update", "upsert"])
                return f'merge_maps({everything}, {{"a": {choice(LITERALS)}, "new": 1}}, "{strategy}")'
            case _:
                return choice([f'append({self.attribute(own)}, "x")', f'set({self.context}.cache["a"], {self.path()})'])

    def path(self, level: str | None = None) -> str:
        level = level or self.random.choice(ABOVE[self.context])
        fields = [f for f in FIELDS[level] if f != "attributes"]
        if fields and self.random.random() < 0.5:
            return f"{level}.{self.random.choice(fields)}"
        return self.attribute(level)

    def attribute(self, level: str) -> str:
        key = f'["{self.random.choice(KEYS)}"]'
        inside = self.random.choice(["", "", "", '["a"]', "[0]", '["a"]["new"]', '[1]["a"]'])
        return f"{level}.{MAPS.get(level, 'attributes')}{key}{inside}"

    def condition(self, depth: int = 0) -> str:
        choice = self.random.choice
        match self.random.randrange(12 if depth < 3 else 8):
            case 0 | 1 | 2 | 3:
                operator = choice(["==", "==", "!=", "<", "<=", ">", ">="])
                sides = [self.path(), choice(LITERALS)]
                self.random.shuffle(sides)
                return f" {operator} ".join(sides)
            case 4:
                return f"{self.path()} {choice(['==', '!=', '<', '>='])} {self.path()}"
            case 5:
                return f'IsMatch({self.path()}, "{choice(PATTERNS)}")'
            case 6:
                function = choice(["HasPrefix", "HasSuffix"])
                return f'{function}({self.path()}, "{choice(["", "a", "l"])}")'
            case 7:
                return f"{choice(['IsString', 'IsInt', 'IsBool', 'IsDouble', 'IsMap', 'IsList'])}({self.path()})"
            case 8:
                return f"not ({self.condition(depth + 1)})"
            case 9:
                path = self.path()
                return " or ".join(f"{path} == {choice(LITERALS)}" for _ in range(4))
            case other:
                word = "and" if other == 10 else "or"
                return f"({self.condition(depth + 1)} {word} {self.condition(depth + 1)})"


class Counting:
    """Telemetry that counts errors."""

    def __init__(self) -> None:
        self.errors = 0
        self.log = self

    def counter(self, *_: str) -> "Counting":
        return self

    def add(self, number: int, **_: Any) -> None:
        self.errors += number

    def warning(self, *_: Any, **__: Any) -> None:
        pass


def outcome(work: Any, telemetry: Counting, signal: Signal, payload: bytes) -> Any:
    """What is made of a payload, and the errors on the way; "refused" where it is."""
    batch = Batch(signal, payload, 0)
    try:
        return meaning(signal, work(batch).payload), telemetry.errors
    except Permanent:
        return "refused"


def with_items(signal: str, payload: bytes) -> bytes:
    """A payload without resources, scopes and metrics that have no items, the very same if it has none of these."""
    request = otlp.parse(signal, payload)
    before = request.ByteSize()
    _prune_all(request)
    return payload if request.ByteSize() == before else request.SerializeToString()


def meaning(signal: str, payload: bytes) -> Any:
    """What a payload says: the first attribute of a key counts, and what has no items says nothing."""
    request = otlp.parse(signal, payload)
    _prune_all(request)
    return _message(request)


def _prune_all(request: Any) -> None:
    for field, content in request.ListFields():
        if field.is_repeated:
            _prune(content)


def _prune(messages: Any) -> None:
    for index in reversed(range(len(messages))):
        message = messages[index]
        if "data_points" in (name := _holds(message)):
            inside = getattr(message, message.WhichOneof("data")).data_points
        elif name in _HOLDING:
            inside = getattr(message, name)
            _prune(inside)
        elif name == "nothing":
            inside = ()
        else:
            return
        if not len(inside):
            del messages[index]


def _holds(message: Any) -> str:
    """The field that its members are in."""
    if "data" in message.DESCRIPTOR.oneofs_by_name:
        return "data_points" if message.WhichOneof("data") else "nothing"
    return next((name for name in _HOLDING if name in message.DESCRIPTOR.fields_by_name), "")


_HOLDING = ("scope_spans", "scope_metrics", "scope_logs", "spans", "metrics", "log_records")


def _message(message: Any) -> Any:
    if isinstance(message, AnyValue):
        return _value(message)
    found: dict[str, Any] = {}
    for field, content in message.ListFields():
        if field.message_type is KeyValue.DESCRIPTOR:
            found[field.name] = _attributes(content)
        elif field.type != FieldDescriptor.TYPE_MESSAGE:
            found[field.name] = _plain(content if not field.is_repeated else list(content))
        else:
            found[field.name] = [_message(one) for one in content] if field.is_repeated else _message(content)
    return found


def _attributes(attributes: Sequence[KeyValue]) -> list[tuple[str, Any]]:
    """In order."""
    first: dict[str, Any] = {}
    for attribute in attributes:
        first.setdefault(attribute.key, _value(attribute.value))
    return list(first.items())


def _value(value: AnyValue) -> Any:
    match held(value):
        case None:
            return None
        case "array_value":
            return [_value(item) for item in value.array_value.values]
        case "kvlist_value":
            return {"map": _attributes(value.kvlist_value.values)}
        case kind:
            return kind, _plain(getattr(value, kind))


def _plain(content: Any) -> Any:
    """A double by its bits, in which NaN is what it is."""
    if isinstance(content, list):
        numbers: list[Any] = content
        return [_plain(number) for number in numbers]
    return struct.pack("<d", content) if isinstance(content, float) else content
