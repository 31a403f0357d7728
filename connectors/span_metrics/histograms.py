"""Distributions of durations, which a batch is added to as a whole."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, Protocol, Self

_MAX_SCALE, _MIN_SCALE = 20, -10


class Distribution(Protocol):
    """What durations were added to, in nanoseconds."""

    def add(self, durations: Sequence[int]) -> None:
        """Add ascending durations, none of them negative."""
        ...

    def absorb(self, other: Self) -> None:
        """Add all that another one has."""
        ...

    def write(self, point: Any) -> None:
        """Write the counts into a data point of the kind's message."""
        ...


class Explicit:
    """In buckets with fixed bounds, each of which is part of the bucket below it."""

    def __init__(self, bounds: Sequence[int], unit: int) -> None:
        self.bounds = bounds
        self.unit = unit
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0

    def add(self, durations: Sequence[int]) -> None:
        """Add ascending durations."""
        self.total += sum(durations)
        counts, bounds = self.counts, self.bounds
        if len(durations) <= len(bounds):
            for duration in durations:
                counts[bisect_left(bounds, duration)] += 1
            return
        below = 0
        for bucket, bound in enumerate(bounds):
            above = bisect_right(durations, bound, below)
            counts[bucket] += above - below
            below = above
        counts[-1] += len(durations) - below

    def absorb(self, other: "Explicit") -> None:
        """Add all that another one has."""
        self.total += other.total
        self.counts = [own + its for own, its in zip(self.counts, other.counts, strict=True)]

    def write(self, point: Any) -> None:
        """Into a HistogramDataPoint."""
        point.count = sum(self.counts)
        point.sum = self.total / self.unit
        point.explicit_bounds.extend(bound / self.unit for bound in self.bounds)
        point.bucket_counts.extend(self.counts)


class Exponential:
    """In buckets whose bounds are powers of 2^(2^-scale), of the largest scale that needs no more than `max_size`."""

    def __init__(self, max_size: int, unit: int) -> None:
        self.max_size = max_size
        self.unit = unit
        self.scale = _MAX_SCALE
        self.counts: dict[int, int] = {}
        """By the index of the bucket."""
        self.zeros = 0
        self.total = 0
        self.least: int | None = None
        self.most = 0

    def add(self, durations: Sequence[int]) -> None:
        """Add ascending durations."""
        self.total += sum(durations)
        self._reach(durations[0], durations[-1])
        zeros = bisect_right(durations, 0)
        self.zeros += zeros
        if zeros == len(durations):
            return
        first, last = self._index(durations[zeros]), self._index(durations[-1])
        self._fit(first, last)
        counts = self.counts
        for position in range(zeros, len(durations)):
            index = self._index(durations[position])
            counts[index] = counts.get(index, 0) + 1

    def absorb(self, other: "Exponential") -> None:
        """Add all that another one has."""
        self.total += other.total
        self.zeros += other.zeros
        if other.least is not None:
            self._reach(other.least, other.most)
        if self.scale > other.scale:
            self._coarsen(self.scale - other.scale)
        coarser = other.scale - self.scale
        if other.counts:
            self._fit(min(other.counts) >> coarser, max(other.counts) >> coarser)
        coarser = other.scale - self.scale
        for index, count in other.counts.items():
            self.counts[index >> coarser] = self.counts.get(index >> coarser, 0) + count

    def write(self, point: Any) -> None:
        """Into an ExponentialHistogramDataPoint."""
        point.count = self.zeros + sum(self.counts.values())
        point.sum = self.total / self.unit
        point.scale = self.scale
        point.zero_count = self.zeros
        if self.least is not None:
            point.min = self.least / self.unit
            point.max = self.most / self.unit
        if self.counts:
            first = min(self.counts)
            point.positive.offset = first
            point.positive.bucket_counts.extend(
                self.counts.get(index, 0) for index in range(first, max(self.counts) + 1)
            )

    def _reach(self, least: int, most: int) -> None:
        self.least = least if self.least is None else min(self.least, least)
        self.most = max(self.most, most)

    def _index(self, duration: int) -> int:
        """The bucket of a duration above 0: that whose upper bound is the first not below it."""
        fraction, exponent = math.frexp(duration / self.unit)
        if fraction == 0.5:  # a power of two is a bound, which rounding must not move
            whole = exponent - 1
            return (whole << self.scale) - 1 if self.scale >= 0 else (whole - 1) >> -self.scale
        if self.scale <= 0:
            return (exponent - 1) >> -self.scale
        return math.ceil((math.log2(fraction) + exponent) * (1 << self.scale)) - 1

    def _fit(self, first: int, last: int) -> None:
        """Coarsen until all that is here and what lies from first to last, by the scale of now, has room."""
        if self.counts:
            first, last = min(first, *self.counts), max(last, *self.counts)
        steps = 0
        while (last >> steps) - (first >> steps) >= self.max_size and self.scale - steps > _MIN_SCALE:
            steps += 1
        self._coarsen(steps)

    def _coarsen(self, steps: int) -> None:
        if not steps:
            return
        self.scale -= steps
        before, self.counts = self.counts, {}
        for index, count in before.items():
            self.counts[index >> steps] = self.counts.get(index >> steps, 0) + count
