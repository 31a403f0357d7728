"""Telemetry goes to the pipelines of the routes whose conditions hold for it, and every item is accounted for."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from airis.component import ConsumeError, Kind, Outputs, Partial, Permanent, Retryable, StartError
from airis.component.testing import FakeHost, ManualClock, Sink, build
from airis.data import Batch, Signal
from airis.ottl.values import from_attributes
from airis.proto import otlp

from .telemetry import batch_of, otlp_items, span, spans

pytestmark = pytest.mark.usefixtures("either_back_end")


class Routing:
    """A connector, its pipelines, and the ledger's equation."""

    def __init__(self, *pipelines: str, **options: Any) -> None:
        self.sinks = {pipeline: Sink() for pipeline in pipelines}
        self.clock = ManualClock()
        self.connector = build("routing", options, Outputs({}, self.sinks), kind=Kind.CONNECTOR, sleep=self.clock.sleep)
        self.accepted = 0

    async def consume(self, batch: Batch) -> ConsumeError | None:
        """Hand over; every wait of the connector ends at once."""
        task = asyncio.create_task(self.connector.consume(batch))
        while not task.done():
            await self.clock.advance(10)
        error = task.exception()
        assert error is None or isinstance(error, ConsumeError), error
        if error is None or isinstance(error, Partial):
            self.accepted += batch.items - (error.rejected if error else 0)
        self.balance()
        return error

    def balance(self) -> None:
        """What came in and was made is what went out, was left out or is with senders who do not know."""
        own = self.connector
        came = self.accepted + own.made.value + own.unacknowledged.value
        given = sum(sink.items for sink in self.sinks.values())
        assert came == given + own.left_out.value

    def names(self) -> Mapping[str, list[str]]:
        """What every pipeline was given."""
        return {
            pipeline: [name for batch in sink.batches for name in _names(batch)]
            for pipeline, sink in self.sinks.items()
        }


class Rejecting(Sink):
    """Takes all but one item."""

    async def consume(self, batch: Batch) -> None:
        """Keep what is taken."""
        if batch.items > 1:
            view = batch.view().select(bytes([0]) + bytes([1]) * (batch.items - 1))
            self.batches.append(batch.with_view(view))
        raise Partial(1, "not this one")


def _names(batch: Batch) -> list[str]:
    request: Any = otlp.parse(batch.signal, batch.payload)
    if batch.signal is Signal.METRICS:
        points = otlp_items(batch.signal, request)
        return [str(point.as_int) for point in points]
    return [
        item.name if batch.signal is Signal.TRACES else item.body.string_value
        for item in otlp_items(batch.signal, request)
    ]


def traffic(**origin: Any) -> Batch:
    return spans(
        ({"env": "prod", "region": "east"}, [span("a", kind=2), span("b", kind=3)]),
        ({"env": "dev", "region": "east"}, [span("c", kind=2)]),
        ({"env": "test"}, [span("d", kind=3)]),
        **origin,
    )


def logs() -> Batch:
    request: Any = otlp.LAYOUTS["logs"].request()
    for env, severities in (("prod", (9, 17)), ("dev", (5,))):
        owner = request.resource_logs.add()
        owner.resource.attributes.add(key="env").value.string_value = env
        scoped = owner.scope_logs.add()
        for severity in severities:
            scoped.log_records.add(severity_number=severity).body.string_value = f"{env}{severity}"
    return batch_of(Signal.LOGS, request)


def metrics() -> Batch:
    request: Any = otlp.LAYOUTS["metrics"].request()
    scoped = request.resource_metrics.add().scope_metrics.add()
    for name, values in (("a", (1, 2)), ("empty", ()), ("b", (3,))):
        metric = scoped.metrics.add(name=name)
        metric.gauge.SetInParent()
        for value in values:
            metric.gauge.data_points.add(as_int=value)
    return batch_of(Signal.METRICS, request)


PROD = 'attributes["env"] == "prod"'
EAST = 'resource.attributes["region"] == "east"'
CASES: list[Any] = [
    pytest.param(
        [{"condition": PROD, "pipelines": ["traces/1"]}, {"condition": EAST, "pipelines": ["traces/2"]}],
        {"default_pipelines": ["traces/0"]},
        {"traces/0": "d", "traces/1": "ab", "traces/2": "c"},
        id="the first that holds",
    ),
    pytest.param(
        [{"condition": PROD, "pipelines": ["traces/1"]}, {"condition": EAST, "pipelines": ["traces/2"]}],
        {},
        {"traces/0": "", "traces/1": "ab", "traces/2": "c"},
        id="what no route takes is left out",
    ),
    pytest.param(
        [
            {"condition": PROD, "pipelines": ["traces/1"], "action": "copy"},
            {"condition": EAST, "pipelines": ["traces/2"]},
        ],
        {"default_pipelines": ["traces/0"]},
        {"traces/0": "d", "traces/1": "ab", "traces/2": "cab"},
        id="a copy",
    ),
    pytest.param(
        [{"condition": PROD, "pipelines": ["traces/1", "traces/2"], "action": "copy"}],
        {"default_pipelines": ["traces/0"]},
        {"traces/0": "cdab", "traces/1": "ab", "traces/2": "ab"},
        id="copies and the default",
    ),
    pytest.param(
        [
            {"condition": PROD, "pipelines": ["traces/1"], "action": "copy"},
            {"condition": EAST, "pipelines": ["traces/2"], "action": "copy"},
        ],
        {},
        {"traces/0": "", "traces/1": "ab", "traces/2": "cab"},
        id="copies alone",
    ),
    pytest.param(
        [{"condition": PROD, "pipelines": ["traces/1"]}, {"condition": EAST, "pipelines": ["traces/2"]}],
        {"default_pipelines": ["traces/0"], "match_once": False},
        {"traces/0": "d", "traces/1": "ab", "traces/2": "cab"},
        id="more than once",
    ),
    pytest.param(
        [
            {"context": "span", "condition": "kind == SPAN_KIND_CLIENT", "pipelines": ["traces/1"]},
            {"context": "resource", "condition": PROD, "pipelines": ["traces/2"]},
        ],
        {"default_pipelines": ["traces/0"]},
        {"traces/0": "c", "traces/1": "bd", "traces/2": "a"},
        id="spans, then resources",
    ),
    pytest.param(
        [
            {"statement": f"route() where {PROD}", "pipelines": ["traces/1"]},
            {"condition": 'span.name == "c"', "pipelines": ["traces/2"]},
            {"statement": "route()", "pipelines": ["traces/0"]},
        ],
        {},
        {"traces/0": "d", "traces/1": "ab", "traces/2": "c"},
        id="statements",
    ),
    pytest.param(
        [
            {"context": "request", "condition": 'request["X-Tenant"] != "acme"', "pipelines": ["traces/1"]},
            {"context": "request", "condition": 'request["X-Other"] != "acme"', "pipelines": ["traces/1"]},
            {"context": "request", "condition": 'request["X-Tenant"] == "acme"', "pipelines": ["traces/2"]},
        ],
        {},
        {"traces/0": "", "traces/1": "", "traces/2": "abcd"},
        id="requests",
    ),
]


@pytest.mark.parametrize(("table", "options", "expected"), CASES)
async def test_what_goes_where(table: list[Any], options: dict[str, Any], expected: dict[str, str]) -> None:
    routing = Routing("traces/0", "traces/1", "traces/2", table=table, **options)

    assert await routing.consume(traffic(metadata={"x-tenant": ("acme",)})) is None

    assert {pipeline: "".join(names) for pipeline, names in routing.names().items()} == expected
    assert routing.connector.left_out.value == 4 - len(set("".join(expected.values())))


async def test_logs_by_severity_then_by_resource() -> None:
    table = [
        {"context": "log", "condition": "severity_number < SEVERITY_NUMBER_ERROR", "pipelines": ["logs/cheap"]},
        {"condition": PROD, "pipelines": ["logs/prod"]},
    ]
    routing = Routing("logs/cheap", "logs/prod", table=table)

    assert await routing.consume(logs()) is None

    assert routing.names() == {"logs/cheap": ["prod9", "dev5"], "logs/prod": ["prod17"]}


async def test_metrics_and_their_points() -> None:
    table = [
        {"context": "datapoint", "condition": "value_int == 2", "pipelines": ["metrics/two"]},
        {"context": "metric", "condition": 'name == "a"', "pipelines": ["metrics/a"]},
    ]
    routing = Routing("metrics/two", "metrics/a", "metrics/0", table=table, default_pipelines=["metrics/0"])

    assert await routing.consume(metrics()) is None

    assert routing.names() == {"metrics/two": ["2"], "metrics/a": ["1"], "metrics/0": ["3"]}


async def test_a_batch_that_one_route_takes_is_handed_on_as_it_is() -> None:
    routing = Routing("traces/1", table=[{"condition": 'attributes["env"] != nil', "pipelines": ["traces/1"]}])
    batch = spans(({"env": "prod"}, [span("a")]))

    await routing.consume(batch)

    assert routing.sinks["traces/1"].batches == [batch]


TWO = [{"condition": PROD, "pipelines": ["traces/1"]}, {"condition": EAST, "pipelines": ["traces/2", "traces/3"]}]


def two() -> Routing:
    return Routing("traces/1", "traces/2", "traces/3", table=TWO)


async def test_a_pipeline_that_is_busy_is_tried_again() -> None:
    routing = two()
    routing.sinks["traces/2"].error = Retryable("full")
    consuming = asyncio.create_task(routing.connector.consume(traffic()))
    await routing.sinks["traces/3"].until(items=1)
    await routing.clock.advance(0)
    routing.sinks["traces/2"].error = None

    await routing.clock.advance(10)
    await consuming

    routing.accepted = 4
    routing.balance()
    assert routing.names() == {"traces/1": ["a", "b"], "traces/2": ["c"], "traces/3": ["c"]}


async def test_a_sender_is_told_to_come_again_when_a_pipeline_stays_busy() -> None:
    routing = two()
    routing.sinks["traces/2"].error = Retryable("full", retry_after=7)

    error = await routing.consume(traffic())

    assert isinstance(error, Retryable)
    assert error.retry_after == 7
    assert routing.connector.unacknowledged.value == 2
    assert routing.connector.made.value == 1


async def test_nothing_is_tried_again_when_nothing_was_taken() -> None:
    routing = two()
    for sink in routing.sinks.values():
        sink.error = Retryable("full")

    with pytest.raises(Retryable):
        await routing.connector.consume(traffic())


async def test_what_is_rejected_is_told() -> None:
    routing = two()
    routing.sinks["traces/1"].error = Permanent("no")
    error = await routing.consume(traffic())
    assert isinstance(error, Partial)
    assert error.rejected == 2

    routing = two()
    routing.sinks["traces/1"] = routing.connector.downstream.by_pipeline["traces/1"] = Rejecting()
    error = await routing.consume(traffic())
    assert isinstance(error, Partial)
    assert error.rejected == 1

    routing = Routing("traces/1", table=[{"statement": "route()", "pipelines": ["traces/1"]}])
    routing.sinks["traces/1"].error = Permanent("no")
    assert isinstance(await routing.consume(traffic()), Permanent)


async def test_what_was_taken_when_the_caller_leaves_is_counted() -> None:
    routing = two()
    routing.sinks["traces/2"].gate.clear()
    consuming = asyncio.create_task(routing.connector.consume(traffic()))
    await routing.sinks["traces/1"].until(items=2)
    await routing.sinks["traces/3"].until(items=1)

    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming

    routing.balance()
    assert routing.connector.unacknowledged.value == 2


@pytest.mark.parametrize(("mode", "outcome"), [("ignore", None), ("silent", None), ("propagate", Permanent)])
async def test_a_condition_that_fails(mode: str, outcome: type[ConsumeError] | None) -> None:
    table = [{"context": "span", "condition": 'attributes["n"]["x"] == 1', "pipelines": ["traces/1"]}]
    routing = Routing("traces/1", "traces/0", table=table, default_pipelines=["traces/0"], error_mode=mode)

    error = await routing.consume(spans(({}, [span("a", n=1)])))

    assert type(error) is (outcome or type(None))
    assert routing.sinks["traces/0"].items == (1 if outcome is None else 0)


async def test_a_pipeline_that_it_does_not_feed_stops_the_start(tmp_path: Any) -> None:
    routing = Routing("traces/1", table=TWO)

    with pytest.raises(StartError, match='no pipeline "traces/2" has this connector as a receiver'):
        await routing.connector.start(FakeHost(tmp_path))


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({}, "table needs a route"),
    ({"table": [{"condition": PROD}]}, "needs pipelines"),
    ({"table": [{"pipelines": ["traces"]}]}, "needs either a condition or a statement"),
    ({"table": [{"condition": PROD, "statement": "route()", "pipelines": ["traces"]}]}, "needs either a condition"),
    ({"table": [{"condition": PROD, "pipelines": ["traces", "logs"]}]}, "must be of one signal"),
    ({"table": [{"condition": PROD, "pipelines": ["profiles"]}]}, "no pipeline of traces, metrics or logs"),
    ({"table": [{"condition": "nonsense ==", "pipelines": ["traces"]}]}, "nonsense|expected"),
    (
        {"table": [{"condition": "severity_number == 1", "context": "log", "pipelines": ["traces"]}]},
        "not routed by log",
    ),
    ({"table": [{"condition": 'request["a"] < "b"', "context": "request", "pipelines": ["traces"]}]}, "a condition is"),
    ({"table": [{"statement": "route()", "context": "request", "pipelines": ["traces"]}]}, "only conditions"),
    ({"table": [{"statement": 'delete_key(attributes, "a")', "pipelines": ["traces"]}]}, "transform processor"),
]


@pytest.mark.parametrize(("options", "said"), IMPOSSIBLE)
def test_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Routing(**options)


async def test_attributes_stay_with_their_items() -> None:
    routing = two()

    await routing.consume(traffic())

    (batch,) = routing.sinks["traces/2"].batches
    request: Any = otlp.parse(Signal.TRACES, batch.payload)
    assert from_attributes(request.resource_spans[0].resource.attributes) == {"env": "dev", "region": "east"}
