"""Native histograms of Prometheus as OTLP has them: checked as Prometheus does, their spans filled up to buckets."""

import math
import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from opentelemetry.proto.metrics.v1.metrics_pb2 import DataPointFlags

CUSTOM_BUCKETS = -53
"""The schema of histograms with bounds of their own."""
EXPONENTIAL = range(-4, 53)
"""Prometheus knows those up to 8 and would merge the buckets of finer ones; OTLP has them all."""
MAX_BUCKETS = 16_384

_GAUGE = 3
_MAX_MILLI = (2**63 - 1) // 10**6
STALE_MARKER = 0x7FF0_0000_0000_0002
"""Bits of the value of a stale marker."""


class LeftOut(Exception):
    """Something cannot be taken, and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def nano(milli: int) -> int | None:
    """A time in milliseconds as OTLP has it; None for one that it cannot have."""
    return milli * 10**6 if 0 < milli <= _MAX_MILLI else None


def is_stale(value: float) -> bool:
    """Whether a value is Prometheus' stale marker."""
    return struct.pack("<d", value) == STALE_MARKER.to_bytes(8, "little")


def check_histogram(histogram: Any) -> None:
    """Raise LeftOut for a histogram that makes no sense, or that OTLP has no room for."""
    if histogram.schema != CUSTOM_BUCKETS and histogram.schema not in EXPONENTIAL:
        raise LeftOut("histogram_schema")
    if nano(histogram.timestamp) is None:
        raise LeftOut("time")
    if is_stale(histogram.sum):
        return
    if histogram.reset_hint == _GAUGE:
        raise LeftOut("histogram_gauge")
    counts = [*_buckets(histogram, "positive"), *_buckets(histogram, "negative")]
    count, zero_count = _count(histogram), _zero_count(histogram)
    _check_bounds(histogram, zero_count)
    if not _is_float(histogram):
        observed = sum(counts) + zero_count
        # What is no number is in no bucket; the sum tells of it.
        if observed != count if not math.isnan(histogram.sum) else observed > count:
            raise LeftOut("histogram_count")


def write_exponential(point: Any, histogram: Any) -> None:
    """Fill an ExponentialHistogramDataPoint."""
    point.time_unix_nano = nano(histogram.timestamp)
    point.scale = histogram.schema
    point.zero_threshold = histogram.zero_threshold
    if is_stale(histogram.sum):
        point.flags = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
        return
    point.count, point.sum, point.zero_count = _count(histogram), histogram.sum, _zero_count(histogram)
    for side in ("positive", "negative"):
        counts = _buckets(histogram, side)
        if counts:
            buckets = getattr(point, side)
            # Prometheus numbers a bucket by its upper bound, OTLP by its lower one.
            buckets.offset = getattr(histogram, f"{side}_spans")[0].offset - 1
            buckets.bucket_counts.extend(counts)


def write_explicit(point: Any, histogram: Any) -> None:
    """Fill a HistogramDataPoint."""
    point.time_unix_nano = nano(histogram.timestamp)
    if is_stale(histogram.sum):
        point.flags = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
        return
    point.count, point.sum = _count(histogram), histogram.sum
    offset = histogram.positive_spans[0].offset if histogram.positive_spans else 0
    counts = [0] * offset + _buckets(histogram, "positive")
    point.explicit_bounds.extend(histogram.custom_values)
    point.bucket_counts.extend(counts + [0] * (len(histogram.custom_values) + 1 - len(counts)))


def _check_bounds(histogram: Any, zero_count: int) -> None:
    bounds: Sequence[float] = histogram.custom_values
    if histogram.schema != CUSTOM_BUCKETS:
        if bounds:
            raise LeftOut("histogram_buckets")
        return
    rises = all(one < other for one, other in pairwise(bounds))
    is_open = not bounds or bounds[-1] < math.inf  # NaN is not, either
    others = zero_count or histogram.zero_threshold or histogram.negative_spans
    offset = histogram.positive_spans[0].offset if histogram.positive_spans else 0
    end = offset + len(_buckets(histogram, "positive"))
    if not rises or not is_open or others or offset < 0 or end > len(bounds) + 1:
        raise LeftOut("histogram_buckets")
    if len(bounds) > MAX_BUCKETS:
        raise LeftOut("histogram_width")


def _buckets(histogram: Any, side: str) -> list[int]:
    """The counts of all buckets from the first to the last one."""
    spans = getattr(histogram, f"{side}_spans")
    is_float = _is_float(histogram)
    given: Sequence[float] = getattr(histogram, f"{side}_{'counts' if is_float else 'deltas'}")
    spanned = sum(span.length for span in spans)
    if any(span.offset < 0 for span in spans[1:]) or spanned != len(given):
        raise LeftOut("histogram_buckets")
    if spanned + sum(span.offset for span in spans[1:]) > MAX_BUCKETS:
        raise LeftOut("histogram_width")
    if spans and spans[0].offset == -(2**31):
        raise LeftOut("histogram_buckets")
    buckets: list[int] = []
    counts = iter(given)
    last = 0
    for index, span in enumerate(spans):
        buckets += [0] * (span.offset if index else 0)
        for _ in range(span.length):
            count = next(counts)
            if is_float:
                buckets.append(_whole(count))
                continue
            last += int(count)
            if not 0 <= last < 2**63:
                raise LeftOut("histogram_buckets")
            buckets.append(last)
    return buckets


def _is_float(histogram: Any) -> bool:
    return bool(histogram.WhichOneof("count") == "count_float")


def _count(histogram: Any) -> int:
    return _whole(histogram.count_float) if _is_float(histogram) else int(histogram.count_int)


def _zero_count(histogram: Any) -> int:
    is_float = histogram.WhichOneof("zero_count") == "zero_count_float"
    return _whole(histogram.zero_count_float) if is_float else int(histogram.zero_count_int)


def _whole(count: float) -> int:
    """A count that OTLP can have."""
    if not 0 <= count < 2**64:
        raise LeftOut("histogram_buckets")
    if count != int(count):
        raise LeftOut("histogram_fraction")
    return int(count)
