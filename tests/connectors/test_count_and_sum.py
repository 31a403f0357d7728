"""What telemetry adds up to: the metrics of the Collector's count and sum connectors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from airis.component import Kind, Outputs, Partial, Retryable
from airis.component.testing import Sink, build
from airis.data import Batch, Signal
from airis.proto import otlp

from .telemetry import batch_of, lines, span, spans

TESTDATA = Path(__file__).parent / "testdata"
S = 10**9
pytestmark = pytest.mark.usefixtures("either_back_end")


class Tallying:
    """A connector and what it hands on."""

    def __init__(self, kind: str, **options: Any) -> None:
        self.sink = Sink()
        self.connector = build(
            kind, options, Outputs({Signal.METRICS: self.sink}, {}), kind=Kind.CONNECTOR, clock=lambda: 99 * S
        )

    async def lines(self, batch: Batch) -> str:
        """What becomes of a batch."""
        self.sink.batches.clear()
        await self.connector.consume(batch)
        assert self.connector.tally.made.value == self.sink.items
        text: str = lines(*self.sink.batches)
        return text


def traces() -> Batch:
    return spans(
        (
            {"service.name": "shop"},
            [span("a", n=1, beep="boop", events=[("e", {"n": 2}), ("f", {})]), span("b", n="2.5")],
        ),
        ({"service.name": "pay"}, [span("a", n=True), span("c", n=4.0, beep="boop"), span("d", beep=7)]),
        ({"service.name": "idle"}, []),
        scope="http",
        tenant="acme",
    )


def metrics() -> Batch:
    request: Any = otlp.LAYOUTS["metrics"].request()
    scoped = request.resource_metrics.add().scope_metrics.add()
    for name, values in (("a", (1, 2)), ("empty", ()), ("b", (3,))):
        metric = scoped.metrics.add(name=name)
        metric.sum.SetInParent()
        for value in values:
            point = metric.sum.data_points.add(as_int=value, start_time_unix_nano=1 * S, time_unix_nano=(value + 4) * S)
            point.attributes.add(key="n").value.int_value = value
    return batch_of(Signal.METRICS, request)


def logs() -> Batch:
    request: Any = otlp.LAYOUTS["logs"].request()
    scoped = request.resource_logs.add().scope_logs.add()
    scoped.scope.attributes.add(key="team").value.string_value = "red"
    for severity, time in ((9, 7), (17, 0), (17, 3)):
        record = scoped.log_records.add(severity_number=severity, time_unix_nano=time * S)
        record.attributes.add(key="n").value.int_value = severity
    return batch_of(Signal.LOGS, request)


MAKERS = {"traces": traces, "metrics": metrics, "logs": logs}
PRESENT = 'attributes["beep"] != nil'
CASES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("count", "default", "traces", {}),
    ("count", "default", "metrics", {}),
    ("count", "default", "logs", {"spans": {}}),
    (
        "count",
        "conditions",
        "traces",
        {
            "spans": {
                "one": {"description": "One.", "conditions": [PRESENT]},
                "either": {"conditions": [PRESENT, 'name == "b"']},
                "none": {"conditions": ["false"]},
            },
            "spanevents": {"e": {"conditions": ['name == "e"', 'resource.attributes["service.name"] == "pay"']}},
        },
    ),
    (
        "count",
        "attributes",
        "traces",
        {
            "spans": {
                "by": {"attributes": [{"key": "beep"}, {"key": "service.name"}]},
                "with_default": {"attributes": [{"key": "beep", "default_value": 5}]},
            },
            "spanevents": {},
        },
    ),
    ("count", "of_scopes", "logs", {"logs": {"by_team": {"attributes": [{"key": "team"}]}}}),
    (
        "count",
        "conditions",
        "metrics",
        {
            "metrics": {"a": {"conditions": ['name == "a"']}},
            "datapoints": {"a": {"conditions": ["value_int > 1"], "attributes": [{"key": "n"}]}},
        },
    ),
    (
        "sum",
        "all",
        "traces",
        {
            "spans": {"total": {"source_attribute": "n", "attributes": [{"key": "beep", "default_value": "no"}]}},
            "spanevents": {"events": {"source_attribute": "n"}},
        },
    ),
    ("sum", "all", "metrics", {"datapoints": {"total": {"source_attribute": "n"}}}),
    (
        "sum",
        "all",
        "logs",
        {"logs": {"total": {"source_attribute": "n", "conditions": ["severity_number >= SEVERITY_NUMBER_ERROR"]}}},
    ),
]


@pytest.mark.parametrize(("kind", "name", "signal", "options"), CASES)
async def test_the_points(
    kind: str, name: str, signal: str, options: dict[str, Any], golden: Callable[[Path, str], None]
) -> None:
    tallying = Tallying(kind, **options)

    text = await tallying.lines(MAKERS[signal]())

    golden(TESTDATA / kind / f"{name}_of_{signal}.txt", text)


async def test_the_tenant_stays_and_the_rest_of_the_origin_does_not() -> None:
    tallying = Tallying("count")

    await tallying.lines(traces())

    (batch,) = tallying.sink.batches
    assert (batch.origin.tenant, batch.origin.receiver) == ("acme", "count")


async def test_nothing_is_handed_on_where_there_is_nothing() -> None:
    tallying = Tallying("sum", logs={"total": {"source_attribute": "absent"}})

    assert await tallying.lines(logs()) == "\n"
    assert await tallying.lines(traces()) == "\n"


async def test_what_a_condition_cannot_be_told_of_is_not_counted_and_that_is_told() -> None:
    tallying = Tallying("count", spans={"x": {"conditions": ['attributes["beep"]["x"] == 1']}}, spanevents={})

    assert await tallying.lines(traces()) == "\n"

    errors = tallying.connector.telemetry.metrics.of("airis_ottl_errors", "connector", "count")
    assert sum(errors.values()) == 3


async def test_refused_points_are_the_senders_to_send_again_and_rejected_ones_are_not() -> None:
    tallying = Tallying("count")
    tallying.sink.error = Retryable("full")
    with pytest.raises(Retryable):
        await tallying.connector.consume(logs())
    assert tallying.connector.tally.made.value == 0

    tallying.sink.error = Partial(1, "too old")
    await tallying.connector.consume(logs())

    assert tallying.connector.tally.dropped.value == 1
    assert tallying.connector.tally.made.value == 0


IMPOSSIBLE: list[tuple[str, dict[str, Any], str]] = [
    ("count", {"spans": {"": {}}}, "spans: a metric needs a name"),
    ("count", {"metrics": {"a": {"attributes": [{"key": "n"}]}}}, "metrics have no attributes; count datapoints"),
    ("count", {"spans": {"a": {"attributes": [{"key": ""}]}}}, "at least 1 character"),
    ("count", {"spans": {"a": {"attributes": [{"key": "n"}, {"key": "n"}]}}}, "names a key twice"),
    ("count", {"spans": {"a": {"conditions": ["severity_number == 1"]}}}, "severity_number"),
    ("count", {"profiles": {"a": {}}}, "profiles are not counted"),
    ("sum", {"spans": {"a": {}}}, "source_attribute"),
    ("sum", {"metrics": {"a": {"source_attribute": "n"}}}, "metrics have no attributes"),
]


@pytest.mark.parametrize(("kind", "options", "said"), IMPOSSIBLE)
def test_options_that_cannot_be(kind: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Tallying(kind, **options)
