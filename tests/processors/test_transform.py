"""The transform processor carries out statements on every signal, and says where they cannot be."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from airis.component import Kind, Permanent
from airis.component.telemetry import Counter, Metrics
from airis.component.testing import Sink, build
from airis.config import ConfigError, read_configuration
from airis.data import Batch, Signal

from .requests import attributes, batch, items, resources

LISTS = {Signal.TRACES: "trace_statements", Signal.METRICS: "metric_statements", Signal.LOGS: "log_statements"}
CONTEXT = {Signal.TRACES: "span", Signal.METRICS: "datapoint", Signal.LOGS: "log"}


async def transformed(given: Batch, statements: list[Any], metrics: Metrics | None = None, **options: Any) -> Batch:
    """The batch after the statements for its signal."""
    sink = Sink()
    made = build("transform", {LISTS[given.signal]: statements, **options}, sink, kind=Kind.PROCESSOR, metrics=metrics)
    await made.consume(given)
    assert sink.items == given.items
    (after,) = sink.batches
    return after


async def own(given: Batch, statements: list[Any], **options: Any) -> list[dict[str, Any]]:
    """The attributes of the items after the statements."""
    return attributes(items(await transformed(given, statements, **options)))


def errors_in(metrics: Metrics) -> float:
    """How many statements and conditions could not be carried out."""
    return sum(
        metric.instrument.value
        for metric in metrics
        if metric.name == "airis_ottl_errors" and isinstance(metric.instrument, Counter)
    )


@pytest.mark.parametrize("signal", LISTS)
class TestOnEverySignal:
    """What is the same for spans, data points and log records."""

    async def test_a_flat_statement_says_with_each_path_what_it_belongs_to(self, signal: Signal) -> None:
        name = CONTEXT[signal]
        statement = f'set({name}.attributes["b"], {name}.attributes["a"]) where {name}.attributes["a"] == 1'

        found = await own(batch(signal, {"a": 1}, {"a": 2}), [statement])

        points = 2 if signal is Signal.METRICS else 1
        assert found == [{"a": 1, "b": 1}] * points + [{"a": 2}] * points

    async def test_a_group_with_a_context_needs_no_such_names(self, signal: Signal) -> None:
        group = {"context": CONTEXT[signal], "statements": ['set(attributes["b"], Len(attributes["a"]))']}

        found = await own(batch(signal, {"a": "xyz"}), [group])

        assert {tuple(one.items()) for one in found} == {(("a", "xyz"), ("b", 3))}

    async def test_a_group_has_conditions_of_which_one_must_hold(self, signal: Signal) -> None:
        group = {
            "context": CONTEXT[signal],
            "conditions": ['attributes["a"] == 1', 'IsMatch(attributes["a"], "^x")'],
            "statements": ['set(attributes["seen"], true)'],
        }

        found = await own(batch(signal, {"a": 1}, {"a": "xyz"}, {"a": 2}), [group])

        assert [one["a"] for one in found if "seen" in one] == [one["a"] for one in found if one["a"] != 2]

    async def test_statements_are_carried_out_in_order(self, signal: Signal) -> None:
        name = CONTEXT[signal]
        statements = [
            f'set({name}.attributes["a"], 1)',
            {"context": name, "statements": ['set(attributes["a"], attributes["a"] + 1)']},
            f'set({name}.attributes["a"], {name}.attributes["a"] * 10)',
        ]

        assert {one["a"] for one in await own(batch(signal, {"a": 0}), statements)} == {20}

    async def test_statements_on_resources_are_carried_out_once_for_each(self, signal: Signal) -> None:
        given = batch(signal, {}, {}, resource={"n": 1})

        after = await transformed(given, ['set(resource.attributes["n"], resource.attributes["n"] + 1)'])

        assert attributes(resources(after)) == [{"n": 2}]

    async def test_the_cache_is_that_of_an_item_in_a_group(self, signal: Signal) -> None:
        name = CONTEXT[signal]
        group = {
            "context": name,
            "statements": [
                'set(cache["x"], attributes["a"]) where attributes["a"] == 1',
                'set(attributes["b"], cache["x"])',
            ],
        }
        other = {"context": name, "statements": ['set(attributes["c"], cache["x"])']}

        found = await own(batch(signal, {"a": 1}, {"a": 2}), [group, other])

        assert [one for one in found if "b" in one] == [{"a": 1, "b": 1}] * (len(found) // 2)
        assert not any("c" in one for one in found)

    async def test_the_headers_of_the_client_can_be_read(self, signal: Signal) -> None:
        given = batch(signal, {}, metadata={"x-tenant": ("one", "two")})
        name = CONTEXT[signal]

        found = await own(given, [f'set({name}.attributes["t"], otelcol.client.metadata["X-Tenant"][1])'])

        assert {one["t"] for one in found} == {"two"}

    @pytest.mark.parametrize("condition", ["false", '{}.attributes["a"] == 2'])
    async def test_a_batch_in_which_nothing_changes_is_handed_on_as_it_is(self, signal: Signal, condition: str) -> None:
        given = batch(signal, {"a": 1}, resource={"b": 1})
        name = CONTEXT[signal]

        after = await transformed(given, [f'set({name}.attributes["a"], 3) where {condition.format(name)}'])

        assert after is given

    async def test_ignore_tells_of_what_cannot_be_done_and_goes_on(self, signal: Signal) -> None:
        group = {"context": CONTEXT[signal], "statements": ['set(attributes["b"], 1 / 0)', 'set(attributes["c"], 1)']}

        metrics = Metrics()
        with capture_logs() as logs:
            found = await own(batch(signal, {}, {}), [group], metrics=metrics)

        assert all(one == {"c": 1} for one in found)
        assert errors_in(metrics) == len(found)
        (told,) = logs  # once, and not for every item
        assert told["error"] == "attempted to divide by 0"
        assert told["statement"] == 'set(attributes["b"], 1 / 0)'

    async def test_silent_only_goes_on(self, signal: Signal) -> None:
        group = {"context": CONTEXT[signal], "statements": ['set(attributes["b"], 1 / 0)', 'set(attributes["c"], 1)']}

        with capture_logs() as logs:
            found = await own(batch(signal, {}), [group], error_mode="silent")

        assert all(one == {"c": 1} for one in found)
        assert logs == []

    async def test_propagate_refuses_the_batch(self, signal: Signal) -> None:
        group = {"context": CONTEXT[signal], "statements": ['set(attributes["b"], 1 / 0)']}

        with pytest.raises(Permanent, match="divide by 0"):
            await own(batch(signal, {}), [group], error_mode="propagate")

    async def test_a_group_has_an_error_mode_of_its_own(self, signal: Signal) -> None:
        group = {"context": CONTEXT[signal], "error_mode": "propagate", "statements": ['set(attributes["b"], 1 / 0)']}

        with pytest.raises(Permanent, match="divide by 0"):
            await own(batch(signal, {}), [group], error_mode="ignore")

    async def test_a_condition_that_cannot_be_told_does_not_hold(self, signal: Signal) -> None:
        group = {
            "context": CONTEXT[signal],
            "conditions": ['HasPrefix(attributes["a"], "x")'],
            "statements": ['set(attributes["b"], 1)'],
        }

        found = await own(batch(signal, {"a": 1}, {"a": "xy"}), [group], error_mode="silent")

        assert {one["a"] for one in found if "b" in one} == {"xy"}


async def test_the_context_is_the_innermost_one_that_is_named() -> None:
    given = batch(Signal.TRACES, {}, {}, resource={"service.name": "shop"})
    statements = ['set(span.attributes["service"], resource.attributes["service.name"]) where scope.name == ""']

    assert await own(given, statements) == [{"service": "shop"}] * 2


async def test_functions_of_one_context_alone_can_be_used_there() -> None:
    given = batch(Signal.TRACES, {})

    assert await own(given, ['set(span.attributes["root"], IsRootSpan())']) == [{"root": True}]


async def test_metrics_and_their_points_can_be_changed() -> None:
    given = batch(Signal.METRICS, {"host": "a"}, name="cpu.utilizationPercent")
    statements = ["set(metric.name, ToSnakeCase(metric.name))", 'delete_key(datapoint.attributes, "host")']

    after = await transformed(given, statements)

    assert b"cpu_utilization_percent" in after.payload
    assert attributes(items(after)) == [{}, {}]


async def test_what_a_log_says_can_be_taken_apart() -> None:
    given = batch(Signal.LOGS, {}, body="2023-05-26 12:34:56 ERROR it is full")
    statements = [
        'set(log.time, Time(Substring(log.body, 0, 19), "%Y-%m-%d %H:%M:%S", "UTC"))',
        'set(log.severity_text, Split(log.body, " ")[2])',
        'set(log.attributes["words"], Filter(Split(log.body, " "), (i, _) => i > 2))',
    ]

    (record,) = items(await transformed(given, statements))

    assert record.time_unix_nano == 1_685_104_496_000_000_000
    assert record.severity_text == "ERROR"
    assert attributes([record]) == [{"words": ["it", "is", "full"]}]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("{trace_statements: ['set(span.nam, 1)']}", "span has no field nam; did you mean name?"),
        ("{trace_statements: ['set(name, 1)']}", "no path says what it belongs to"),
        ("{log_statements: ['set(span.name, \"a\")']}", "logs have no span"),
        ("{log_statements: ['set(log.body, Lenn(log.body))']}", "there is no converter Lenn; did you mean Len?"),
        ("{log_statements: ['set(log.body, Len(log.body)']}", 'expected ","'),
        ("{log_statements: [{context: log, statements: []}]}", "needs statements"),
        ("{metric_statements: ['set(datapoint.attributes, IsRootSpan())']}", "IsRootSpan works in the context span"),
        ("{error_mode: loud}", "ignore"),
        ("{profile_statements: ['set(profile.x, 1)']}", "not supported"),
        ("{statements: []}", 'unknown option "statements"'),
    ],
)
def test_what_cannot_be_is_an_error_at_its_place(options: str, expected: str) -> None:
    text = f"""\
receivers: {{otlp: {{protocols: {{grpc: }}}}}}
exporters: {{nop: }}
processors: {{transform: {options}}}
service: {{pipelines: {{logs: {{receivers: [otlp], processors: [transform], exporters: [nop]}}}}}}
"""
    with pytest.raises(ConfigError) as caught:
        read_configuration(text, "t.yaml", {})

    (problem,) = caught.value.problems
    assert str(problem).startswith("t.yaml:3:")
    assert "processors::transform" in str(problem)
    assert expected in str(problem)
