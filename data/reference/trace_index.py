"""Which spans belong to one trace, and what can be said of a trace without looking into attributes."""

import struct
from collections.abc import Sequence

from airis.data.reference.places import kept, places
from airis.data.reference.view import View
from airis.proto.wire import to_varint

SAMPLED, ROOT = 1, 2
NO_ID = bytes(16)


class TraceIndex:
    """The traces of a view of spans, in the order in which the first span of each comes; numbers are little-endian."""

    def __init__(self, view: View) -> None:
        if view.signal != "traces":
            raise ValueError(f"{view.signal} have no traces")
        self._view = view
        by_id: dict[bytes, list[int]] = {}
        spans = [place.item for place in places("traces", view.message)]
        for index, span in enumerate(spans):
            by_id.setdefault(span.trace_id if len(span.trace_id) == 16 else NO_ID, []).append(index)
        traces = [[spans[index] for index in places_of] for places_of in by_id.values()]
        self._count = len(traces)
        self._numbers = [0] * len(spans)
        for number, places_of in enumerate(by_id.values()):
            for index in places_of:
                self._numbers[index] = number
        self.ids = b"".join(by_id)
        self.spans = _numbers("I", [len(trace) for trace in traces])
        self.sizes = _numbers("Q", [sum(_sized(span.ByteSize()) for span in trace) for trace in traces])
        starts: list[list[int]] = [[span.start_time_unix_nano for span in trace] for trace in traces]
        self.starts = _numbers("Q", [min((time for time in times if time), default=0) for times in starts])
        self.ends = _numbers("Q", [max(span.end_time_unix_nano for span in trace) for trace in traces])
        self.marks = bytes(
            SAMPLED * any(span.flags & 1 for span in trace) + ROOT * any(not any(span.parent_span_id) for span in trace)
            for trace in traces
        )

    def __len__(self) -> int:
        return self._count

    def any(self, mask: bytes) -> bytes:
        """For every trace 1 where the byte of one of its spans is not 0, of one byte for each span, else 0."""
        if len(mask) != len(self._numbers):
            raise ValueError(f"a mask of {len(mask)} bytes for {len(self._numbers)} spans")
        found = {number for number, byte in zip(self._numbers, mask, strict=True) if byte}
        return bytes(number in found for number in range(self._count))

    def split(self, parts: bytes, count: int) -> list[View]:
        """So many views, each with the spans of the traces that have its number, of 4 bytes for each trace.

        The spans of other numbers are in none of them. Where there is one part with everything, it is the view itself.
        """
        if len(parts) != 4 * self._count:
            raise ValueError(f"{len(parts)} bytes of numbers for {self._count} traces")
        of_traces = struct.unpack(f"<{self._count}I", parts)
        if not of_traces:
            return []
        if count == 1 and not any(of_traces):
            return [self._view]
        masks = ([of_traces[number] == part for number in self._numbers] for part in range(count))
        return [View("traces", kept("traces", self._view.message, mask)) for mask in masks]

    def hashes(self, salt: bytes) -> bytes:
        """For every trace the FNV-1a hash of the salt with the id behind it, 8 bytes each."""
        ids = (self.ids[at : at + 16] for at in range(0, len(self.ids), 16))
        return _numbers("Q", [_fnv1a(salt + trace_id) for trace_id in ids])


def _numbers(kind: str, numbers: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}{kind}", *numbers)


def _sized(size: int) -> int:
    return 1 + len(to_varint(size)) + size


def _fnv1a(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value
