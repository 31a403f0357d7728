"""Traces that are decided on together."""

from array import array
from collections.abc import Sequence
from functools import cached_property
from operator import sub
from struct import iter_unpack

from airis.data import kernels

ID_BYTES = 16
NO_ID = bytes(ID_BYTES)
"""Of spans whose id has another length."""
SAMPLED_MARK, ROOT_MARK = 1, 2


class Traces:
    """Spans, and what is known of each of their traces, by its number."""

    def __init__(self, view: "kernels.View", now: float) -> None:
        """`now` is what rates go by, in seconds."""
        self.view = view
        self.now = now
        self.index = kernels.TraceIndex(view)
        self.ids = ids_of(self.index)
        self.parts: dict[int, str] = {}
        """Of traces that a composite policy kept the name of the policy in it."""

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def spans(self) -> Sequence[int]:
        """How many spans each has."""
        return memoryview(self.index.spans).cast("I").tolist()

    @cached_property
    def sizes(self) -> Sequence[int]:
        """The bytes of the spans of each, without resources and scopes."""
        return sizes_of(self.index)

    @cached_property
    def took_ns(self) -> Sequence[int]:
        """Nanoseconds from the first start to the last end of each; less than 0 where clocks disagree."""
        starts, ends = memoryview(self.index.starts).cast("Q"), memoryview(self.index.ends).cast("Q")
        return list(map(sub, ends, starts))

    def has_sampled_flag(self, number: int) -> bool:
        """Whether one of its spans has the W3C flag "sampled"."""
        return bool(self._marks[number] & SAMPLED_MARK)

    def of(self, numbers: Sequence[int]) -> "kernels.View":
        """The spans of some traces."""
        if len(numbers) == len(self):
            return self.view
        parts = [1] * len(self)
        for number in numbers:
            parts[number] = 0
        return split(self.index, parts, 1)[0]

    @cached_property
    def _marks(self) -> bytes:
        return self.index.marks


def ids_of(index: "kernels.TraceIndex") -> list[bytes]:
    """The ids of traces in order."""
    return [trace_id for (trace_id,) in iter_unpack(f"{ID_BYTES}s", index.ids)]


def sizes_of(index: "kernels.TraceIndex") -> list[int]:
    """The bytes of the spans of each trace, without resources and scopes."""
    return memoryview(index.sizes).cast("Q").tolist()


def split(index: "kernels.TraceIndex", parts: Sequence[int], count: int) -> "list[kernels.View]":
    """So many views, each with the spans of the traces that have its number, of one for each."""
    return index.split(array("I", parts).tobytes(), count)
