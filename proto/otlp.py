"""Which messages carry a signal, and where in them its items are."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2 import ExportProfilesServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

MAX_DEPTH = 100
"""Messages inside one another below the request: the limit of protobuf's own parsers, here for every encoding."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The request message of a signal and the way to its items."""

    request: type[Message]
    levels: tuple[frozenset[int], ...]
    """Field numbers to follow from the request down to an item; more than one where a oneof lies on the way."""
    unit: int
    """How many of the levels lead to what is never cut: an item, or a profile with its samples."""


_OWNERS = (frozenset({1}), frozenset({2}), frozenset({2}))
"""ResourceX in the request, ScopeX in it, the span, log record, metric or profile in that."""

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "traces": Layout(ExportTraceServiceRequest, _OWNERS, 3),
        "logs": Layout(ExportLogsServiceRequest, _OWNERS, 3),
        # gauge, sum, histogram, exponential_histogram, summary; then data_points
        "metrics": Layout(ExportMetricsServiceRequest, (*_OWNERS, frozenset({5, 7, 9, 10, 11}), frozenset({1})), 5),
        "profiles": Layout(ExportProfilesServiceRequest, (*_OWNERS, frozenset({2})), 3),  # samples of a profile
    }
)


def layout(signal: str) -> Layout:
    """The layout of a signal; raises ValueError for one that has none."""
    try:
        return LAYOUTS[signal]
    except KeyError:
        raise ValueError(f"{signal} is not supported") from None


def parse(signal: str, payload: bytes) -> Message:
    """The payload as one message; raises google.protobuf's DecodeError."""
    return layout(signal).request.FromString(payload)
