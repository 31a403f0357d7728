"""Values and attributes as the `debug` exporter writes them."""

import base64
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue


def attribute_lines(title: str, values: Sequence[KeyValue], indent: str = "     -> ") -> Iterator[str]:
    """A line for each, under a title; none where there are none."""
    if values:
        yield f"{title}:"
    yield from (f"{indent}{a.key}: {typed(a.value)}" for a in values)


def dropped_line(title: str, count: int) -> Iterator[str]:
    """A line, unless it is 0."""
    if count:
        yield f"{title}: {count}"


def columns(*rows: tuple[str, str]) -> Iterator[str]:
    """A line for each name and its value."""
    yield from (f"    {name:<15}: {value}" for name, value in rows)


def pairs(attributes: Sequence[KeyValue]) -> str:
    """``key=value``, on one line."""
    return " ".join(f"{a.key}={text_of(a.value)}" for a in attributes)


def words(*given: str) -> str:
    """Those that are not empty, on one line."""
    return " ".join(word for word in given if word)


def bracketed(words: str) -> str:
    """``[words]``, or nothing."""
    return f"[{words}]" if words else ""


_TYPE_NAMES = {
    "string_value": "Str",
    "bool_value": "Bool",
    "int_value": "Int",
    "double_value": "Double",
    "array_value": "Slice",
    "kvlist_value": "Map",
    "bytes_value": "Bytes",
}


def typed(value: AnyValue) -> str:
    """The value with its type, ``Int(1)``."""
    return f"{_TYPE_NAMES.get(value.WhichOneof('value') or '', 'Empty')}({text_of(value)})"


def text_of(value: AnyValue) -> str:
    """The value alone; arrays and maps as JSON."""
    plain = _plain(value)
    if plain is None:
        return ""
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _plain(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case "array_value":
            return [_plain(item) for item in value.array_value.values]
        case "kvlist_value":
            return {item.key: _plain(item.value) for item in value.kvlist_value.values}
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode("ascii")
        case None:
            return None
        case kind:
            return getattr(value, kind)


def number_of(point: Any) -> str:
    """The value of a data point or an exemplar."""
    kind = point.WhichOneof("value")
    return short(getattr(point, kind)) if kind else ""


def short(number: float) -> str:
    """The shortest decimal that is read back as the same number; whole ones without a point."""
    return repr(number).removesuffix(".0")


def enum_name(names: Any, number: int, prefix: str) -> str:
    """``SPAN_KIND_SERVER`` as ``Server``; a number without a name as it is."""
    try:
        return str(names.Name(number)).removeprefix(prefix).capitalize()
    except ValueError:
        return str(number)


def timestamp(unix_nano: int) -> str:
    """As the Collector writes it, ``2020-02-11 20:26:12.000000321 +0000 UTC``."""
    seconds, nano = divmod(unix_nano, 1_000_000_000)
    fraction = f".{nano:09d}".rstrip("0").rstrip(".")
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"
