"""What statements and conditions cost, in CPU-seconds per million spans: with the kernels, and item by item.

``python benchmarks/ottl_cost.py``; the payload is 512 spans of some 410 bytes, and what comes out is asked for as
bytes. The smallest of many runs counts: whatever else the machine does disturbs the fewest of those.
"""

import time
from collections.abc import Callable
from typing import Any, cast

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from airis.component import Telemetry
from airis.data import Batch, Signal, kernels
from airis.ottl.filtering import Filter
from airis.ottl.functions import FILTER, TRANSFORM
from airis.ottl.options import ConditionsConfig, StatementsConfig, compiled
from airis.ottl.running import Faults, Runner

SPANS = 512
SECONDS = 2.0
STATEMENTS = [
    'set(span.attributes["deployment.environment.name"], "production")',
    'delete_key(span.attributes, "user_agent.original")',
    'set(span.attributes["http.ok"], true) where span.attributes["http.response.status_code"] == 200',
]
PROGRAMS = {**{statement: [statement] for statement in STATEMENTS}, "the three": STATEMENTS}
CONDITIONS = [
    'span.attributes["http.route"] == "/health"',
    'IsMatch(span.attributes["url.path"], "^/(health|ready|metrics)")',
]


class _Silent:
    """Telemetry that nobody reads."""

    def __init__(self) -> None:
        self.log = self

    def counter(self, *_: str) -> "_Silent":
        return self


def payload() -> bytes:
    """A request."""
    request = ExportTraceServiceRequest()
    owner = request.resource_spans.add()
    for number in range(10):
        owner.resource.attributes.add(key=f"resource.attribute.{number}").value.string_value = "value"
    scoped = owner.scope_spans.add()
    for number in range(SPANS):
        span = scoped.spans.add(
            name="GET /products/7", kind=2, start_time_unix_nano=1 << 60, end_time_unix_nano=1 << 60
        )
        span.trace_id, span.span_id, span.parent_span_id = number.to_bytes(16), number.to_bytes(8), bytes(8)
        for key, value in (
            ("http.request.method", "GET"),
            ("url.path", f"/products/{number % 97}"),
            ("url.scheme", "https"),
            ("server.address", "shop.example"),
            ("client.address", f"10.0.{number % 7}.{number % 251}"),
            ("user_agent.original", "benchmark/1.0"),
            ("network.protocol.version", "1.1"),
            ("http.route", "/products/{id}"),
        ):
            span.attributes.add(key=key).value.string_value = value
        span.attributes.add(key="http.response.status_code").value.int_value = 200 if number % 2 else 500
        span.attributes.add(key="server.port").value.int_value = 443
    return request.SerializeToString()


def cost(work: Callable[[Batch], Batch]) -> float:
    """CPU-seconds per million spans, of a scan, the work, and bytes."""
    raw = payload()
    best = float("inf")
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        batch = Batch(Signal.TRACES, raw, SPANS)
        started = time.thread_time()
        made = work(batch)
        len(made.payload)
        best = min(best, time.thread_time() - started)
    return best / SPANS * 1e6


def _scanned(batch: Batch) -> Batch:
    batch.view()
    return batch


def main() -> None:
    """Print a line for each."""
    telemetry = cast(Telemetry, _Silent())
    print(f"{'CPU-s per million spans, ' + kernels.backend + ' kernels':78}{'kernels':>9}{'by item':>9}")
    print(f"{'a scan alone':78}{cost(_scanned):9.3f}")
    for name, statements in PROGRAMS.items():
        config = StatementsConfig(statements=statements)
        group = compiled(config, Signal.TRACES, "ignore", TRANSFORM)
        ways: list[Any] = [Runner(Signal.TRACES, [group], telemetry, lower=lower) for lower in (True, False)]
        print(f"{name[:76]:78}" + "".join(f"{cost(way.transformed):9.3f}" for way in ways))
    for condition in CONDITIONS:
        group = compiled(ConditionsConfig(conditions=[condition]), Signal.TRACES, "ignore", FILTER)
        ways = [Filter(Signal.TRACES, [group], Faults(telemetry), lower=lower) for lower in (True, False)]
        print(f"{condition[:76]:78}" + "".join(f"{cost(way.left_of):9.3f}" for way in ways))


if __name__ == "__main__":
    main()
