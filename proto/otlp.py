"""Which messages carry a signal, and where in them its items are."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

MAX_DEPTH = 100
"""Messages inside one another below the request: the limit of protobuf's own parsers, here for every encoding."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The request message of a signal and the way to its items."""

    request: type[Message]
    levels: tuple[frozenset[int], ...]
    """Field numbers to follow from the request down to an item; more than one where a oneof lies on the way."""


_OWNERS = (frozenset({1}), frozenset({2}), frozenset({2}))
"""ResourceX in the request, ScopeX in it, the span, log record or metric in that."""

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "traces": Layout(ExportTraceServiceRequest, _OWNERS),
        "logs": Layout(ExportLogsServiceRequest, _OWNERS),
        # gauge, sum, histogram, exponential_histogram, summary; then data_points
        "metrics": Layout(ExportMetricsServiceRequest, (*_OWNERS, frozenset({5, 7, 9, 10, 11}), frozenset({1}))),
    }
)


def layout(signal: str) -> Layout:
    """The layout of a signal; raises ValueError for one that has none yet."""
    try:
        return LAYOUTS[signal]
    except KeyError:
        raise ValueError(f"{signal} is not supported") from None


def parse(signal: str, payload: bytes) -> Message:
    """The payload as one message; raises google.protobuf's DecodeError."""
    return layout(signal).request.FromString(payload)
