"""Cut a payload into smaller ones without reading its items."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from airis.data.malformed import MalformedPayload
from airis.data.reference.validate import count_below, count_items, last_member
from airis.proto import otlp, wire

MAX_REPEATED_BYTES = 256 * 1024 * 1024
"""Owners may be repeated to so many bytes: a sender could make much of little."""


@dataclass(slots=True, eq=False)
class _Owner:
    """A message on the way to the items: its field number and all of it that is not on the way."""

    number: int
    header: bytes
    body: bytearray = field(default_factory=bytearray)


def split(signal: str, payload: bytes, max_items: int) -> list[bytes]:
    """Payloads of at most `max_items` items, in order; what owns the items is repeated in each part.

    A profile is never cut: one of more samples is a part by itself. A payload that is small enough is handed back as
    the same object. Raises MalformedPayload, also where owners would be repeated to more than 256 MiB.
    """
    if max_items < 1:
        raise ValueError("max_items must be at least 1")
    if count_items(signal, payload) <= max_items:
        return [payload]
    layout = otlp.layout(signal)
    outside, inside = layout.levels[: layout.unit], layout.levels[layout.unit :]
    parts: list[bytes] = []
    open_owners: list[_Owner] = []
    items = repeated = 0
    for owners, unit in _units(payload, 0, len(payload), outside, _Owner(0, b"")):
        more = 0 if unit is None else count_below(payload, unit.content, unit.end, inside)
        if unit and items and items + more > max_items:
            parts.append(_close(open_owners, 0))
            items = 0
        shared = 0
        while shared < min(len(open_owners), len(owners)) and open_owners[shared] is owners[shared]:
            shared += 1
        if open_owners:
            _close(open_owners, shared)
        for owner in owners[shared:]:
            repeated += len(owner.header)
            if repeated > MAX_REPEATED_BYTES:
                raise MalformedPayload("what owns the items would be repeated to more than 256 MiB")
            owner.body = bytearray(owner.header)
            open_owners.append(owner)
        if unit is not None:
            open_owners[-1].body += payload[unit.start : unit.end]
            items += more
    parts.append(_close(open_owners, 0))
    return parts


def _units(
    data: bytes, start: int, end: int, levels: Sequence[frozenset[int]], owner: _Owner, above: tuple[_Owner, ...] = ()
) -> Iterator[tuple[tuple[_Owner, ...], wire.Field | None]]:
    """All that is not cut, with its owners from the request down; owners of nothing come once, with None."""
    inside: list[wire.Field] = []
    header: list[bytes] = []
    for part in wire.fields(data, start, end):
        if part.number in levels[0] and part.wire_type == wire.LENGTH:
            inside.append(part)
        else:
            header.append(data[part.start : part.end])
    owner.header = b"".join(header)
    owners = (*above, owner)
    if not inside:
        yield owners, None
    for part in last_member(inside):
        if len(levels) == 1:
            yield owners, part
        else:
            yield from _units(data, part.content, part.end, levels[1:], _Owner(part.number, b""), owners)


def _close(owners: list[_Owner], keep: int) -> bytes:
    """Put the innermost owners into those around them until `keep` are left; the last one closed."""
    content = b""
    while len(owners) > keep:
        closed = owners.pop()
        content = bytes(closed.body)
        if owners:
            owners[-1].body += wire.length_delimited(closed.number, content)
    return content
