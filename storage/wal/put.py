"""What is put into the log, and how it may be refused."""

from collections.abc import Sequence
from typing import NamedTuple

from airis.storage.wal import format as layout
from airis.storage.wal.format import Head, Kind
from airis.storage.wal.segment import Lane


class Full(Exception):
    """There is no room for more; what was to be written is not."""


class Put(NamedTuple):
    """A batch for some subscribers."""

    lanes: frozenset[Lane]
    signal: int
    items: int
    requests: int
    wall_unix_nano: int
    batch_id: bytes
    meta: bytes
    payload: bytes

    @property
    def content_bytes(self) -> int:
        """Of meta and payload."""
        return len(self.meta) + len(self.payload)


class Joined(NamedTuple):
    """A record to write: a batch that one or more puts gave for different subscribers."""

    put: Put
    slots: int
    places: tuple[int, ...]
    """Of the puts among those that were given."""

    @property
    def size_bytes(self) -> int:
        """Of the record."""
        return layout.HEAD_BYTES + self.put.content_bytes

    def head(self, sequence: int, now_unix_nano: int) -> Head:
        """What the record begins with."""
        put = self.put
        arrived = put.wall_unix_nano or now_unix_nano
        return Head(sequence, Kind.BATCH, 0, put.signal, put.items, put.requests, arrived, put.batch_id, self.slots)


def joined(puts: Sequence[Put]) -> list[Joined]:
    """The same batch for several subscribers becomes one record; the order stays."""
    records: list[Joined] = []
    latest: dict[tuple[int, bytes, bytes], int] = {}
    for place, put in enumerate(puts):
        key = (put.signal, put.batch_id, put.meta)
        slots = sum(1 << lane.slot for lane in put.lanes)
        same = latest.get(key)
        if same is not None and not records[same].slots & slots:
            records[same] = Joined(put, slots | records[same].slots, (*records[same].places, place))
        else:  # one who puts it twice is given it twice, as were two pipelines in the Collector
            latest[key] = len(records)
            records.append(Joined(put, slots, (place,)))
    return records
