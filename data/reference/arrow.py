"""Items as Arrow tables, made by pyarrow of Python's values."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from airis.data.arrow import ArrowType, Column, ResolvedColumn, resolved
from airis.data.fields import Field, Source
from airis.data.malformed import MalformedPayload
from airis.data.reference.fields import REPEATED, Found, Item, reader
from airis.data.reference.group import python_value
from airis.data.reference.values import encode_value

MAX_BYTES = 1 << 30
_OFFSET_BYTES, _ELEMENT_BYTES = 4, 8

_RANGES: Mapping[ArrowType, range] = {
    "int32": range(-(1 << 31), 1 << 31),
    "uint32": range(1 << 32),
    "int64": range(-(1 << 63), 1 << 63),
    "uint64": range(1 << 64),
    "timestamp": range(-(1 << 63), 1 << 63),
}
_TYPES: Mapping[ArrowType, type] = {"bool": bool, "binary": bytes, "float64_list": list, "quantile_list": list}
_IDS = ("trace_id", "span_id", "parent_span_id")


class ArrowTable:
    """The items of a view as a table, which is made when it is asked for."""

    def __init__(self, signal: str, items: Sequence[Item], columns: Mapping[str, Source | Column] | None) -> None:
        self._columns = resolved(signal, columns)
        self._readers = [reader(signal, source) for _, source, _, _ in self._columns]
        self._items = items
        try:
            self._arrow: Any = import_module("pyarrow")  # has no types
        except ImportError:
            raise ImportError("without the native core Arrow tables need pyarrow: install airis[arrow]") from None

    def __arrow_c_schema__(self) -> object:
        """A capsule with the types."""
        return self._schema().__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """A capsule with the table; another type is left to who reads it.

        Raises MalformedPayload where the texts or lists of a column would be larger than 1 GiB.
        """
        schema = self._schema()
        arrays = [
            self._arrow.array(self._values(column, read), made.type)
            for column, read, made in zip(self._columns, self._readers, schema, strict=True)
        ]
        batch = self._arrow.record_batch(arrays, schema=schema)
        return self._arrow.RecordBatchReader.from_batches(schema, [batch]).__arrow_c_stream__()

    def _schema(self) -> Any:
        return self._arrow.schema([(column[0], self._type(column)) for column in self._columns])

    def _type(self, column: ResolvedColumn) -> Any:
        _, source, type_name, _ = column
        arrow = self._arrow
        match type_name:
            case "text":
                made = arrow.string()
            case "dictionary":
                made = arrow.dictionary(arrow.int32(), arrow.string())
            case "timestamp":
                made = arrow.timestamp("ns", "UTC")
            case "map":
                made = arrow.map_(arrow.string(), arrow.string())
            case "uint64_list":
                made = arrow.list_(arrow.uint64())
            case "float64_list":
                made = arrow.list_(arrow.float64())
            case "quantile_list":
                made = arrow.list_(arrow.struct({"quantile": arrow.float64(), "value": arrow.float64()}))
            case _:
                made = arrow.type_for_alias(type_name)
        return arrow.list_(made) if source.level in REPEATED else made

    def _values(self, column: ResolvedColumn, read: Callable[[Item], Found]) -> list[Any]:
        """What every item has in a column, as Python has it."""
        _, source, type_name, words = column
        is_id = isinstance(source, Field) and source.name.removesuffix(".string") in _IDS
        sizes = _Sizes()

        def value(item: Item) -> Any:
            found = read(item)
            if found is None:
                return None
            if is_id and type_name == "binary" and isinstance(found, AnyValue):
                converted: Any = bytes.fromhex(found.string_value)
            else:
                converted = _converted(found, type_name, words)
            sizes.add(converted, is_shared=type_name == "dictionary")
            return converted

        if source.level in REPEATED:
            lists = [[value(element) for element in item.elements(source.level)] for item in self._items]
            sizes.add_elements(sum(map(len, lists)))
            return lists
        return [value(item) for item in self._items]


def _converted(found: AnyValue | int, type_name: ArrowType, words: Sequence[str]) -> Any:
    """What was found as a value of a type, None where it is none."""
    value: Any = found if isinstance(found, int) else python_value(found)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if type_name in ("text", "dictionary"):
        if is_whole and 0 <= value < len(words):
            return words[value]
        return str(found) if isinstance(found, int) else encode_value(found)[0]
    if type_name in _RANGES:
        number = value if is_whole and value in _RANGES[type_name] else None
        # 0 is how OTLP says that a time is not known.
        return number or None if type_name == "timestamp" else number
    if type_name == "map":
        return _texts(found) if isinstance(value, dict) else None
    if type_name == "float64":
        return float(value) if is_whole or isinstance(value, float) else None
    if type_name == "uint64_list":
        return _counts(found)
    return value if isinstance(value, _TYPES[type_name]) else None


def _counts(found: Any) -> list[int]:
    """The numbers of a list, which were wrapped to have a sign."""
    return [value.int_value % (1 << 64) for value in found.array_value.values]


def _texts(found: Any) -> list[tuple[str, str]]:
    """The entries of a map; of those with the same key the first."""
    entries: dict[str, str] = {}
    for entry in found.kvlist_value.values:
        entries.setdefault(entry.key, encode_value(entry.value)[0])
    return list(entries.items())


class _Sizes:
    """The bytes of a column's texts and lists: a sender could make much of little."""

    def __init__(self) -> None:
        self.texts = 0
        self.keys = 0
        self.elements = 0
        self.known: set[str] = set()

    def add(self, value: Any, *, is_shared: bool) -> None:
        """Count a value; raises MalformedPayload where it is too much."""
        match value:
            case str() if is_shared:
                self.texts += 0 if value in self.known else _size(value)
                self.known.add(value)
            case str() | bytes():
                self.texts += _size(value)
            case [(_, _), *_]:
                self.keys += sum(_size(key) for key, _ in value)
                self.texts += sum(_size(text) for _, text in value)
            case [*elements]:
                self.elements += _ELEMENT_BYTES * len(elements)
            case _:
                pass
        self.check()

    def add_elements(self, count: int) -> None:
        """Count elements of lists; raises MalformedPayload where it is too much."""
        self.elements += _ELEMENT_BYTES * count
        self.check()

    def check(self) -> None:
        """Raise MalformedPayload where there is too much of something."""
        if max(self.texts, self.keys, self.elements) > MAX_BYTES:
            raise MalformedPayload("the texts or lists of a column would be larger than 1 GiB")


def _size(text: str | bytes) -> int:
    return _OFFSET_BYTES + len(text if isinstance(text, bytes) else text.encode())
