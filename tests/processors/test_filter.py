"""The filter leaves out what conditions hold for, counts it, and hands on the rest."""

from typing import Any

import pytest
from pydantic import ValidationError

from airis.component import Kind, Partial, Permanent, Retryable
from airis.component.telemetry import Metrics
from airis.component.testing import Sink, build
from airis.data import Batch, Signal
from airis.processors.filter import FilterConfig, FilterProcessor
from airis.proto import otlp

from .requests import attributes, batch, items, pairs

pytestmark = pytest.mark.usefixtures("either_back_end")

A, B, C = {"k": "a"}, {"k": "b"}, {"k": "c"}


def processor(sink: Sink, options: dict[str, Any]) -> FilterProcessor:
    made = build("filter", options, sink, kind=Kind.PROCESSOR)
    assert isinstance(made, FilterProcessor)
    return made


async def left(options: dict[str, Any], given: Batch) -> list[dict[str, Any]]:
    """The attributes of the items that are handed on; what is not is counted, and that alone."""
    sink = Sink()
    made = processor(sink, options)

    await made.consume(given)

    assert made.filtered[given.signal].value + sink.items == given.items
    assert sum(counter.value for counter in made.filtered.values()) == given.items - sink.items
    assert sink.items == sum(len(items(one)) for one in sink.batches)
    return [found for one in sink.batches for found in attributes(items(one))]


# Every context, in the newer and in the older form

NEWER = [
    (Signal.TRACES, 'span.attributes["k"] == "a"', [B, C]),
    (Signal.TRACES, 'resource.attributes["service.name"] == "shop"', []),
    (Signal.TRACES, 'resource.attributes["service.name"] == "cart"', [A, B, C]),
    (Signal.TRACES, 'scope.name == "lib"', []),
    (Signal.TRACES, 'scope.version == "2"', [A, B, C]),
    (Signal.LOGS, 'log.attributes["k"] == "b"', [A, C]),
    (Signal.LOGS, 'resource.attributes["service.name"] == "shop"', []),
    (Signal.LOGS, 'scope.name == "lib"', []),
    (Signal.LOGS, 'log.attributes["k"] == "a" or log.attributes["k"] == "c"', [B]),
    (Signal.METRICS, "metric.type == METRIC_DATA_TYPE_SUM", [A, A, C, C]),
    (Signal.METRICS, 'datapoint.attributes["k"] == "b"', [A, A, C, C]),
    (Signal.METRICS, 'resource.attributes["service.name"] == "shop"', []),
    (Signal.METRICS, 'scope.name == "lib"', []),
    (Signal.METRICS, 'HasAttrOnDatapoint("k", "c")', None),
]
FIELDS = {
    Signal.TRACES: "trace_conditions",
    Signal.METRICS: "metric_conditions",
    Signal.LOGS: "log_conditions",
}


def three(signal: Signal) -> Batch:
    return batch(signal, A, B, C, resource={"service.name": "shop"}, scope=("lib", "1"))


@pytest.mark.parametrize(("signal", "condition", "expected"), NEWER)
async def test_leaves_out_what_a_condition_holds_for(
    signal: Signal, condition: str, expected: list[dict[str, Any]] | None
) -> None:
    if expected is None:
        with pytest.raises(ValidationError, match="no path says what it belongs to"):
            processor(Sink(), {FIELDS[signal]: [condition]})
        return
    assert await left({FIELDS[signal]: [condition]}, three(signal)) == expected


@pytest.mark.parametrize(
    ("signal", "context", "condition", "expected"),
    [
        (Signal.TRACES, "resource", 'attributes["service.name"] == "shop"', []),
        (Signal.TRACES, "span", 'attributes["k"] == "a"', [B, C]),
        (Signal.METRICS, "resource", 'attributes["service.name"] == "shop"', []),
        (Signal.METRICS, "metric", 'HasAttrOnDatapoint("k", "c")', [A, A, B, B]),
        (Signal.METRICS, "metric", 'HasAttrKeyOnDatapoint("k")', []),
        (Signal.METRICS, "datapoint", 'attributes["k"] != "a"', [A, A]),
        (Signal.LOGS, "resource", 'attributes["service.name"] == "shop"', []),
        (Signal.LOGS, "log_record", 'attributes["k"] == "a"', [B, C]),
    ],
)
async def test_both_forms_leave_out_the_same(
    signal: Signal, context: str, condition: str, expected: list[dict[str, Any]]
) -> None:
    newer = {FIELDS[signal]: [{"context": context.removesuffix("_record"), "conditions": [condition]}]}

    assert await left({str(signal): {context: [condition]}}, three(signal)) == expected
    assert await left(newer, three(signal)) == expected


async def test_one_condition_of_several_is_enough() -> None:
    conditions = ['span.attributes["k"] == "a"', 'span.attributes["k"] == "c"']

    assert await left({"trace_conditions": conditions}, three(Signal.TRACES)) == [B]
    assert await left({"traces": {"span": ['attributes["k"] == "a"', "false"]}}, three(Signal.TRACES)) == [B, C]


async def test_what_is_around_an_item_is_asked_first() -> None:
    """A condition on an item cannot fail on one that goes with its resource."""
    options = {
        "error_mode": "propagate",
        "trace_conditions": ['span.attributes["k"] / 0 == 1', 'resource.attributes["service.name"] == "shop"'],
    }

    assert await left(options, three(Signal.TRACES)) == []


async def test_a_condition_with_functions_can_be_used() -> None:
    options = {"log_conditions": ['ParseJSON(log.body)["level"] == "debug"']}

    assert await left(options, batch(Signal.LOGS, A, body='{"level": "debug"}')) == []
    assert await left(options, batch(Signal.LOGS, A, body='{"level": "info"}')) == [A]


# Parts of items


def with_events(*names: str) -> Batch:
    request = otlp.layout(Signal.TRACES).request()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    for name in names:
        span.events.add(name=name)
    return Batch(Signal.TRACES, request.SerializeToString(), 1)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [('name == "x"', ["y"]), ("true", []), ("event_index == 0", ["y"]), ("false", ["x", "y"])],
)
async def test_a_span_stays_without_its_events(condition: str, expected: list[str]) -> None:
    sink = Sink()
    made = processor(sink, {"traces": {"spanevent": [condition]}})

    await made.consume(with_events("x", "y"))

    [span] = items(sink.batches[0])
    assert [event.name for event in span.events] == expected
    assert made.filtered[Signal.TRACES].value == 0


async def test_a_metric_goes_with_its_last_data_point() -> None:
    sink = Sink()
    made = processor(sink, {"metric_conditions": ['datapoint.attributes["k"] == "a"']})

    await made.consume(batch(Signal.METRICS, A, B))

    request = otlp.parse(Signal.METRICS, sink.batches[0].payload)
    [scoped] = request.resource_metrics[0].scope_metrics
    assert [metric.WhichOneof("data") for metric in scoped.metrics] == ["sum"]
    assert (made.filtered[Signal.METRICS].value, sink.items) == (2, 2)


async def test_a_resource_goes_with_its_last_item() -> None:
    request = otlp.layout(Signal.LOGS).request()
    for key in ("a", "b"):
        record = request.resource_logs.add().scope_logs.add().log_records.add()
        record.attributes.extend(pairs({"k": key}))
    sink = Sink()

    await processor(sink, {"log_conditions": ['log.attributes["k"] == "a"']}).consume(
        Batch(Signal.LOGS, request.SerializeToString(), 2)
    )

    left_of_it = otlp.parse(Signal.LOGS, sink.batches[0].payload)
    assert len(left_of_it.resource_logs) == 1
    assert attributes(items(sink.batches[0])) == [B]


# Handing on


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"trace_conditions": ['span.attributes["k"] == "z"']},
        {"traces": {"span": ["false"]}},
        {"spans": {"exclude": {"match_type": "strict", "span_names": ["z"]}}},
        {"log_conditions": ["true or log.severity_number == 1"]},
    ],
)
async def test_hands_on_the_very_batch_where_nothing_is_left_out(options: dict[str, Any]) -> None:
    sink = Sink()
    given = three(Signal.TRACES)

    await processor(sink, options).consume(given)

    assert sink.batches[0] is given


async def test_acknowledges_a_batch_with_nothing_left() -> None:
    sink = Sink()
    sink.error = Retryable("must not be asked")
    made = processor(sink, {"traces": {"span": ["true"]}})

    await made.consume(three(Signal.TRACES))

    assert made.filtered[Signal.TRACES].value == 3


async def test_counts_what_was_refused_and_sent_again_once() -> None:
    sink = Sink()
    made = processor(sink, {"trace_conditions": ['span.attributes["k"] == "a"']})
    sink.error = Retryable("not now")
    with pytest.raises(Retryable):
        await made.consume(three(Signal.TRACES))
    assert made.filtered[Signal.TRACES].value == 0

    sink.error = None
    await made.consume(three(Signal.TRACES))

    assert (made.filtered[Signal.TRACES].value, sink.items) == (1, 2)


async def test_counts_what_was_left_out_of_a_batch_that_was_taken_in_part() -> None:
    sink = Sink()
    sink.error = Partial(1, "one is too old")
    made = processor(sink, {"trace_conditions": ['span.attributes["k"] == "a"']})

    with pytest.raises(Partial):
        await made.consume(three(Signal.TRACES))

    assert made.filtered[Signal.TRACES].value == 1
    assert made.left_out.values == {(("reason", "filtered"),): 1}


async def test_counters_are_called_what_the_collector_calls_them() -> None:
    metrics = Metrics()
    made = build("filter", {"traces": {"span": ["true"]}}, Sink(), kind=Kind.PROCESSOR, metrics=metrics)

    await made.consume(three(Signal.TRACES))

    counts = {name: metric.instrument.value for (name, _), metric in metrics.registered.items() if "_filtered" in name}
    assert counts == {
        "otelcol_processor_filter_spans_filtered": 3,
        "otelcol_processor_filter_datapoints_filtered": 0,
        "otelcol_processor_filter_logs_filtered": 0,
    }


async def test_profiles_are_refused() -> None:
    with pytest.raises(Permanent, match="profiles cannot be filtered"):
        await processor(Sink(), {}).consume(Batch(Signal.PROFILES, b"", 0))


async def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(Permanent, match="it cannot be read"):
        await processor(Sink(), {"trace_conditions": ['span.name == "a"']}).consume(Batch(Signal.TRACES, b"\xff", 1))


# Errors on items

FAILING = 'span.attributes["k"] / 0 == 1'


@pytest.mark.parametrize("mode", ["ignore", "silent"])
async def test_a_condition_that_cannot_be_told_holds_for_nothing(mode: str) -> None:
    options = {"error_mode": mode, "trace_conditions": [FAILING, 'span.attributes["k"] == "b"']}
    assert await left(options, three(Signal.TRACES)) == [A, C]


async def test_an_error_can_refuse_the_batch() -> None:
    sink = Sink()
    made = processor(sink, {"error_mode": "propagate", "trace_conditions": [FAILING]})

    with pytest.raises(Permanent, match="cannot be reckoned"):
        await made.consume(three(Signal.TRACES))

    assert (sink.batches, made.filtered[Signal.TRACES].value) == ([], 0)


async def test_a_group_has_an_error_mode_of_its_own() -> None:
    group = {"context": "span", "error_mode": "silent", "conditions": ['attributes["k"] / 0 == 1']}
    options = {"error_mode": "propagate", "trace_conditions": [group]}
    assert await left(options, three(Signal.TRACES)) == [A, B, C]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"trace_conditions": ["span.nam == 1"]}, "column 1: span has no field nam; did you mean"),
        ({"trace_conditions": ['span.name = "a"']}, 'a comparison is written "=="'),
        ({"trace_conditions": ['set(span.name, "a")']}, "set would be an editor"),
        ({"log_conditions": ["span.name == nil"]}, "logs have no span"),
        ({"traces": {"metric": ["true"]}}, "metric"),
        ({"profile_conditions": ["true"]}, "conditions on profiles are not supported"),
        ({"log_conditions": ["ParseCLF(log.body) == nil"]}, "there is no converter ParseCLF"),
    ],
)
def test_what_is_no_condition_is_said_at_load(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        FilterConfig.model_validate(options)
