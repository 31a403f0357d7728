"""Protobuf's wire format without messages: skim, cut, repair (protobuf.dev, "Encoding")."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor

from airis.data.malformed import MalformedPayload
from airis.proto.otlp import MAX_DEPTH

VARINT, FIXED64, LENGTH, GROUP, GROUP_END, FIXED32 = range(6)


class Field(NamedTuple):
    """Where a field stands: its tag begins at `start`, its content is ``[content, end)``."""

    number: int
    wire_type: int
    start: int
    content: int
    end: int


def fields(data: bytes, start: int, end: int) -> Iterator[Field]:
    """The fields of the message in ``data[start:end]``, a group being one; raises MalformedPayload."""
    position = start
    while position < end:
        tag, content = _short_varint(data, position, end)
        number, wire_type = tag >> 3, tag & 7
        if not number:
            raise MalformedPayload(f"field number 0 at byte {position}")
        after, content = _content(data, content, end, number, wire_type)
        yield Field(number, wire_type, position, content, after)
        position = after


def varint(data: bytes, position: int, end: int, limit: int = 10) -> tuple[int, int]:
    """The unsigned varint of at most `limit` bytes at `position`, and the position behind it."""
    value = shift = 0
    for index in range(position, min(position + limit, end)):
        byte = data[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, index + 1
        shift += 7
    fault = f"a varint is longer than {limit} bytes" if position + limit <= end else "the message ends inside a number"
    raise MalformedPayload(f"{fault}, at byte {position}")


def _short_varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A varint of 32 bits: a tag or a length."""
    value, after = varint(data, position, end, limit=5)
    if value >= 1 << 32:
        raise MalformedPayload(f"a number of more than 32 bits, at byte {position}")
    return value, after


def to_varint(value: int) -> bytes:
    """The unsigned varint of a number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def length_delimited(number: int, content: bytes) -> bytes:
    """A field with its tag and length."""
    return to_varint(number << 3 | LENGTH) + to_varint(len(content)) + content


def _content(data: bytes, position: int, end: int, number: int, wire_type: int) -> tuple[int, int]:
    """The end of the field and the start of its content, which begins at or behind `position`."""
    if wire_type == VARINT:
        return varint(data, position, end)[1], position
    if wire_type == GROUP:
        return _group_end(data, position, end, number), position
    if wire_type == LENGTH:
        size, position = _short_varint(data, position, end)
    elif wire_type in (FIXED64, FIXED32):
        size = 8 if wire_type == FIXED64 else 4
    else:
        raise MalformedPayload(f"wire type {wire_type} at byte {position}")
    if size > end - position:
        raise MalformedPayload(f"a field of {size} bytes where {end - position} are left, at byte {position}")
    return position + size, position


def _group_end(data: bytes, position: int, end: int, number: int) -> int:
    """The position behind the end of a group; groups are long out of use, and skipped."""
    open_groups = [number]
    while position < end:
        tag, position = _short_varint(data, position, end)
        if tag & 7 == GROUP_END:
            if open_groups.pop() != tag >> 3:
                break
            if not open_groups:
                return position
        elif tag & 7 == GROUP:
            open_groups.append(tag >> 3)
            if len(open_groups) > MAX_DEPTH:
                break
        else:
            position = _content(data, position, end, tag >> 3, tag & 7)[0]
    raise MalformedPayload(f"a group without its end, at byte {position}")


def repair(data: bytes, message: Any) -> tuple[bytes, int]:
    """The message with U+FFFD for what is not UTF-8 in its string fields, and how many strings that were.

    `message` is the descriptor of its type. Raises MalformedPayload for what cannot be read at all, and for more
    than `MAX_DEPTH` messages in one another.
    """
    return _repair(data, 0, len(data), message, MAX_DEPTH)


def _repair(data: bytes, start: int, end: int, message: Any, depth: int) -> tuple[bytes, int]:
    parts: list[bytes] = []
    repaired = 0
    for field in fields(data, start, end):
        known = message.fields_by_number.get(field.number)
        whole = data[field.start : field.end]
        if known is not None and field.wire_type == LENGTH:
            if known.type == FieldDescriptor.TYPE_MESSAGE:
                if not depth:
                    raise MalformedPayload(f"more than {MAX_DEPTH} messages in one another, at byte {field.start}")
                inner, count = _repair(data, field.content, field.end, known.message_type, depth - 1)
                if count:
                    whole = length_delimited(field.number, inner)
                    repaired += count
            elif known.type == FieldDescriptor.TYPE_STRING:
                content = data[field.content : field.end]
                sound = content.decode("utf-8", "replace").encode()
                if sound != content:
                    whole = length_delimited(field.number, sound)
                    repaired += 1
        parts.append(whole)
    return b"".join(parts), repaired
