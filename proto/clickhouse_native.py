"""ClickHouse's Native format: blocks of whole columns, written and read.

A block is the numbers of columns and rows as varints, then of each column its name, its type and its values
(clickhouse.com/docs, "Native format"; what is not written down there was read off the engine).
"""

import re
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import accumulate, chain
from typing import Any

from airis.proto.wire import to_varint, varint

_LOW_CARDINALITY_VERSION = 1
_HAS_ADDITIONAL_KEYS, _NEED_UPDATE_DICTIONARY = 0x200, 0x400
_INDEX_FORMATS = "BHIQ"


class Reader:
    """A position in received bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def number(self) -> int:
        """A varint."""
        value, self.position = varint(self.data, self.position, len(self.data))
        return value

    def text(self) -> str:
        """A string with its length."""
        return self.take(self.number()).decode("utf-8", "surrogateescape")

    def take(self, size: int) -> bytes:
        """So many bytes; raises EOFError when there are fewer."""
        end = self.position + size
        if end > len(self.data):
            raise EOFError("the block ends inside a column")
        self.position, start = end, self.position
        return self.data[start:end]

    def numbers(self, code: str, count: int) -> tuple[Any, ...]:
        """So many little-endian numbers of a struct format."""
        form = struct.Struct(f"<{count}{code}")
        return form.unpack(self.take(form.size))


class ColumnType(ABC):
    """How the values of a column are laid out."""

    def prefix(self) -> bytes:
        """What stands before the data of the whole column, inner columns' prefixes included."""
        return b""

    def read_prefix(self, reader: Reader) -> None:
        """Skip the prefix."""
        reader.take(len(self.prefix()))

    @abstractmethod
    def write(self, values: Sequence[Any]) -> bytes:
        """The data of the values."""

    @abstractmethod
    def read(self, reader: Reader, count: int) -> list[Any]:
        """So many values."""


class Fixed(ColumnType):
    """Numbers of one width."""

    def __init__(self, code: str) -> None:
        self.code = code

    def write(self, values: Sequence[Any]) -> bytes:
        """Little-endian; of an integer that is too wide the low bits."""
        if self.code in "fd":
            return struct.pack(f"<{len(values)}{self.code}", *values)
        size = struct.calcsize(self.code)
        mask = (1 << 8 * size) - 1
        return b"".join([(value & mask).to_bytes(size, "little") for value in values])

    def read(self, reader: Reader, count: int) -> list[Any]:
        """As Python numbers."""
        return list(reader.numbers(self.code, count))


class Enum(Fixed):
    """Numbers that have names; names are what is written and read."""

    def __init__(self, names: str) -> None:
        super().__init__("b")
        self.numbers = {name: int(number) for name, number in re.findall(r"'(\w+)' *= *(-?\d+)", names)}
        self.names = {number: name for name, number in self.numbers.items()}

    def write(self, values: Sequence[Any]) -> bytes:
        """By name."""
        return super().write([self.numbers[value] for value in values])

    def read(self, reader: Reader, count: int) -> list[Any]:
        """By name."""
        return [self.names[number] for number in super().read(reader, count)]


class Bool(Fixed):
    """True and False."""

    def __init__(self) -> None:
        super().__init__("B")

    def read(self, reader: Reader, count: int) -> list[Any]:
        """As bool."""
        return [bool(value) for value in super().read(reader, count)]


class String(ColumnType):
    """Texts with their lengths."""

    def write(self, values: Sequence[Any]) -> bytes:
        """UTF-8."""
        encoded = [value.encode("utf-8", "surrogateescape") for value in values]
        return b"".join(chain.from_iterable((to_varint(len(text)), text) for text in encoded))

    def read(self, reader: Reader, count: int) -> list[Any]:
        """As str."""
        return [reader.text() for _ in range(count)]


class LowCardinality(ColumnType):
    """Texts as indexes into a dictionary, whose first entry is the empty text."""

    def prefix(self) -> bytes:
        """The version of the layout."""
        return _LOW_CARDINALITY_VERSION.to_bytes(8, "little")

    def write(self, values: Sequence[Any]) -> bytes:
        """The dictionary in order of first appearance, and the narrowest indexes that reach all of it."""
        if not values:
            return b""
        positions: dict[str, int] = {"": 0}
        indexes = [positions.setdefault(value, len(positions)) for value in values]
        width = next(w for w, code in enumerate(_INDEX_FORMATS) if len(positions) <= 256 ** struct.calcsize(code))
        flags = _HAS_ADDITIONAL_KEYS | _NEED_UPDATE_DICTIONARY | width
        head = struct.pack("<QQ", flags, len(positions))
        rows = struct.pack(f"<Q{len(indexes)}{_INDEX_FORMATS[width]}", len(indexes), *indexes)
        return head + String().write(list(positions)) + rows

    def read(self, reader: Reader, count: int) -> list[Any]:
        """As str."""
        if not count:
            return []
        flags, size = reader.numbers("Q", 2)
        keys = String().read(reader, size)
        (rows,) = reader.numbers("Q", 1)
        return [keys[index] for index in reader.numbers(_INDEX_FORMATS[flags & 0xFF], rows)]


class Array(ColumnType):
    """Lists: where each ends, then the elements of all."""

    def __init__(self, inner: ColumnType) -> None:
        self.inner = inner

    def prefix(self) -> bytes:
        """The elements' prefix."""
        return self.inner.prefix()

    def write(self, values: Sequence[Any]) -> bytes:
        """The ends, then the elements."""
        ends = accumulate(map(len, values))
        return struct.pack(f"<{len(values)}Q", *ends) + self.inner.write(list(chain.from_iterable(values)))

    def read(self, reader: Reader, count: int) -> list[Any]:
        """As list of lists."""
        ends = reader.numbers("Q", count)
        elements = self.inner.read(reader, ends[-1] if ends else 0)
        return [elements[start:end] for start, end in zip((0, *ends), ends, strict=False)]


class Tuple(ColumnType):
    """Tuples: the first elements of all, then the second ones, and so on."""

    def __init__(self, inner: Sequence[ColumnType]) -> None:
        self.inner = tuple(inner)

    def prefix(self) -> bytes:
        """The elements' prefixes."""
        return b"".join(column.prefix() for column in self.inner)

    def write(self, values: Sequence[Any]) -> bytes:
        """Column by column."""
        return b"".join(c.write([value[i] for value in values]) for i, c in enumerate(self.inner))

    def read(self, reader: Reader, count: int) -> list[Any]:
        """As tuples."""
        return list(zip(*(column.read(reader, count) for column in self.inner), strict=True))


class Nullable(ColumnType):
    """Values that may be missing: which ones, then all, with zero in the place of a missing one."""

    def __init__(self, inner: ColumnType) -> None:
        self.inner = inner

    def write(self, values: Sequence[Any]) -> bytes:
        """None is missing."""
        return bytes(value is None for value in values) + self.inner.write(
            [0 if value is None else value for value in values]
        )

    def read(self, reader: Reader, count: int) -> list[Any]:
        """None is missing."""
        missing = reader.take(count)
        return [None if gone else value for gone, value in zip(missing, self.inner.read(reader, count), strict=True)]


_SIMPLE: dict[str, str] = {
    **{f"UInt{8 << i}": "BHIQ"[i] for i in range(4)},
    **{f"Int{8 << i}": "bhiq"[i] for i in range(4)},
    "Float32": "f",
    "Float64": "d",
    "Date": "H",
    "DateTime": "I",
}


@cache
def column_type(name: str) -> ColumnType:
    """The layout of a ClickHouse type; times are integers. Raises ValueError for a type that is not known here."""
    if name in _SIMPLE:
        return Fixed(_SIMPLE[name])
    if name == "String":
        return String()
    if name == "Bool":
        return Bool()
    outer, _, rest = name.partition("(")
    inner = rest.removesuffix(")")
    if outer == "DateTime64":
        return Fixed("q")
    if outer == "DateTime":
        return Fixed("I")
    if outer == "Enum8":
        return Enum(inner)
    if name == "LowCardinality(String)":
        return LowCardinality()
    if outer == "Array":
        return Array(column_type(inner))
    if outer == "Nullable":
        return Nullable(column_type(inner))
    if outer == "Tuple":
        return Tuple([column_type(part) for part in _arguments(inner)])
    if outer == "Map":
        return Array(Tuple([column_type(part) for part in _arguments(inner)]))
    raise ValueError(f"the ClickHouse type {name} is not known here")


def write_block(columns: Iterable[tuple[str, str, Sequence[Any]]]) -> bytes:
    """One block of columns, each a name, a type and its values; a map is a list of pairs."""
    listed = list(columns)
    parts = [to_varint(len(listed)), to_varint(len(listed[0][2]) if listed else 0)]
    for name, type_name, values in listed:
        column = column_type(type_name)
        parts += [String().write([name, type_name]), column.prefix(), column.write(values)]
    return b"".join(parts)


def read_blocks(data: bytes) -> dict[str, list[Any]]:
    """The columns of all blocks, by name."""
    reader = Reader(data)
    found: dict[str, list[Any]] = {}
    while reader.position < len(data):
        columns, rows = reader.number(), reader.number()
        for _ in range(columns):
            name, type_name = reader.text(), reader.text()
            column = column_type(type_name)
            if rows:
                column.read_prefix(reader)
            found.setdefault(name, []).extend(column.read(reader, rows))
    return found


def _arguments(text: str) -> list[str]:
    """The arguments of a type, split at the commas between them."""
    parts: list[str] = []
    depth = start = 0
    for index, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and not depth:
            parts.append(text[start:index].strip())
            start = index + 1
    return [*parts, text[start:].strip()]
