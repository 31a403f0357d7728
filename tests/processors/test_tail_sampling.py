"""Tail sampling holds what is acknowledged, decides in time, bounds what it holds, and loses nothing silently."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from airis.component import Kind, Partial, Permanent, Retryable
from airis.component.telemetry import HELD, Metrics
from airis.component.testing import FakeHost, ManualClock, Sink, build
from airis.data import Batch, Origin, Signal
from airis.processors.tail_sampling import TailSampling, TailSamplingConfig
from airis.proto import otlp

from .requests import attributes, batch
from .traces import Span, batch_of, numbers, sampler

pytestmark = pytest.mark.usefixtures("either_back_end")

ERRORS = {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}
FAILED, FINE = {"status": 2}, {"status": 0}
KEPT_LATER = {"decision_cache": {"sampled_cache_size": 100, "non_sampled_cache_size": 100}}


def held(made: TailSampling) -> int:
    """What the ledger is told to be held."""
    [found] = [m for m in made.telemetry.metrics if m.name == HELD.format(kind="processor")]
    return int(found.instrument.value)  # type: ignore[union-attr]


def by(counter: Any, name: str) -> dict[str, float]:
    """The values of a counter by one of its labels."""
    found: dict[str, float] = {}
    for labels, value in counter.values.items():
        key = dict(labels)[name]
        found[key] = found.get(key, 0) + value
    return found


async def passes(made: TailSampling, clock: ManualClock, seconds: float) -> None:
    """Let time pass, tick as the sampler would, and let what is kept be taken."""
    await made.tick()
    clock.now += seconds
    await made.tick()
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_trace_is_decided_on_when_its_first_span_has_waited_long_enough():
    clock, sink = ManualClock(), Sink()
    made = sampler(sink, clock, policies=[ERRORS], decision_wait="30s")

    await made.consume(batch_of([Span(trace=1), Span(trace=2)]))
    await passes(made, clock, 29.9)
    await made.consume(batch_of([Span(trace=1, **FAILED)]))
    assert (sink.items, held(made)) == (0, 3)
    await passes(made, clock, 1.0)

    assert numbers(sink.batches) == [1, 1]
    assert by(made.left_out, "reason") == {"sampled": 1}
    assert held(made) == 0
    await made.shutdown()


async def test_ticks_come_by_themselves_once_it_is_started(tmp_path):
    clock, sink = ManualClock(), Sink()
    made = sampler(sink, clock, decision_wait="10s")
    await made.start(FakeHost(tmp_path))

    await made.consume(batch_of([Span()]))
    for _ in range(30):
        await clock.advance(0.5)

    assert sink.items == 1
    await made.shutdown()


async def test_the_traces_of_a_tick_go_on_together():
    clock, sink = ManualClock(), Sink()
    made = sampler(sink, clock, decision_wait="30s")

    for number in range(1, 40):
        await made.consume(batch_of([Span(trace=number), Span(trace=number % 7 + 1)]))
    await passes(made, clock, 31)

    assert [batch.items for batch in sink.batches] == [78]
    await made.shutdown()


@pytest.mark.parametrize("options", [{}, KEPT_LATER], ids=["remembered", "cached"])
async def test_spans_that_come_late_follow_the_decision(options):
    clock, sink = ManualClock(), Sink()
    made = sampler(sink, clock, policies=[ERRORS], decision_wait="1s", **options)
    await made.consume(batch_of([Span(trace=1, **FAILED), Span(trace=2)]))
    await passes(made, clock, 5)

    await made.consume(batch_of([Span(trace=1), Span(trace=2, **FAILED), Span(trace=1)]))
    await passes(made, clock, 20)

    assert numbers(sink.batches) == [1, 1, 1]
    assert by(made.left_out, "reason") == {"sampled": 2}
    assert made.new.value == 2
    assert sum(made.late_age.counts) == 2
    assert by(made.released, "sampled") == ({"true": 2, "false": 1} if options else {})
    await made.shutdown()


async def test_decisions_are_remembered_for_as_many_traces_as_are_asked_for():
    clock, sink = ManualClock(), Sink()
    cache = {"sampled_cache_size": 3, "non_sampled_cache_size": 2}
    made = sampler(sink, clock, policies=[ERRORS], decision_wait="1s", decision_cache=cache)

    for number in range(1, 9):
        await made.consume(batch_of([Span(trace=number, status=2 * (number % 2)) for _ in range(2)]))
        await passes(made, clock, 5)
        await made.consume(batch_of([Span(trace=1)]))  # what is used stays
        await passes(made, clock, 0)

    assert len(made._memory) == 5
    assert made.new.value == 8
    assert sum(number == 1 for number in numbers(sink.batches)) == 10
    await made.shutdown()


async def test_without_caches_decisions_have_the_room_that_held_traces_leave():
    clock, sink = ManualClock(), Sink()
    made = sampler(sink, clock, decision_wait="1s", num_traces=10)

    for start in range(1, 60, 6):
        await made.consume(batch_of(Span(trace=start + each) for each in range(6)))
        await made.tick()
        assert len(made._memory) + made._held.traces <= 10
        await passes(made, clock, 5)

    assert sink.items == 60
    await made.shutdown()


async def test_what_was_decided_when_there_was_no_more_room_is_remembered():
    clock, sink = ManualClock(), Sink()
    made = sampler(sink, clock, policies=[ERRORS], decision_wait="1s", num_traces=4)
    await made.consume(batch_of([Span(trace=1, **FAILED), Span(trace=2), Span(trace=3), Span(trace=4)]))
    await passes(made, clock, 5)

    await made.consume(batch_of([Span(trace=1), Span(trace=2, **FAILED)]))
    await passes(made, clock, 5)

    assert (numbers(sink.batches), made.new.value) == ([1, 1], 4)
    await made.shutdown()


async def test_a_fault_in_its_ticks_ends_the_service_rather_than_hold_everything(tmp_path):
    clock = ManualClock()
    made = sampler(Sink(), clock, decision_wait="1s")
    host = FakeHost(tmp_path)
    await made.start(host)
    made.tick_took = None  # type: ignore[assignment]

    await clock.advance(1)
    await clock.advance(1)

    assert [component for component, _ in host.failures] == ["processors::tail_sampling"]
    await made.shutdown()


async def test_where_there_are_too_many_traces_the_oldest_are_decided_on_early_and_counted():
    clock, sink = ManualClock(), Sink()
    made = sampler(sink, clock, policies=[ERRORS], num_traces=10)

    for number in range(1, 26):
        await made.consume(batch_of([Span(trace=number, **(FAILED if number % 2 else FINE))]))
        await made.tick()
    await passes(made, clock, 0)

    assert made._held.traces == 10
    assert numbers(sink.batches) == [1, 3, 5, 7, 9, 11, 13, 15]
    assert by(made.early, "reason") == {"num_traces": 15}
    assert made.too_early.value == 15
    assert by(made.left_out, "reason") == {"sampled": 7}
    assert sink.items + made.left_out.value + held(made) == 25
    await made.shutdown()


async def test_where_they_are_too_large_the_oldest_are_decided_on_early_and_counted():
    clock, sink = ManualClock(), Sink()
    made = sampler(sink, clock, policies=[ERRORS], max_held_mib=1)
    text = "x" * 1000

    for number in range(1, 3001):
        await made.consume(batch_of([Span(trace=number, attributes={"a": text})]))
        if number % 100 == 0:
            await made.tick()
            assert made._held.size_bytes <= 1024 * 1024

    assert by(made.early, "reason").keys() == {"max_held_mib"}
    assert made.left_out.value + held(made) == 3000
    assert made.left_out.value < 2500
    await made.shutdown()


async def test_senders_are_refused_while_what_follows_takes_too_little():
    clock, sink = ManualClock(), Sink()
    sink.gate.clear()
    made = sampler(sink, clock, max_held_mib=1)
    text = "x" * 10_000

    async def send() -> None:
        for number in range(1, 1000):
            await made.consume(batch_of([Span(trace=number, attributes={"a": text})]))
            await made.tick()

    with pytest.raises(Retryable) as refused:
        await send()
    assert refused.value.retry_after == 1.0
    taken = held(made)
    assert taken * 10_000 < 3 * 1024 * 1024

    sink.gate.set()
    await made.shutdown()
    assert (sink.items, held(made)) == (taken, 0)


async def test_a_trace_whose_root_is_there_is_decided_on_earlier():
    clock, sink = ManualClock(), Sink()
    made = sampler(sink, clock, decision_wait="30s", decision_wait_after_root_received="5s")
    await made.consume(batch_of([Span(trace=1), Span(trace=2), Span(trace=3, is_root=True)]))
    await passes(made, clock, 2)
    await made.consume(batch_of([Span(trace=1, is_root=True), Span(trace=1, is_root=True)]))

    await passes(made, clock, 4)
    assert numbers(sink.batches) == [3]
    await passes(made, clock, 2)
    assert numbers(sink.batches) == [1, 1, 1, 3]
    assert (made._held.traces, held(made)) == (1, 1)
    await passes(made, clock, 30)

    assert numbers(sink.batches) == [1, 1, 1, 2, 3]
    await made.shutdown()


async def test_what_leaves_its_cohort_early_takes_nothing_else_along():
    clock, sink = ManualClock(), Sink()
    made = sampler(sink, clock, decision_wait="30s", decision_wait_after_root_received="5s")
    for spans in ([1, 2], [3, 1, 2], [2, 2], [1]):  # one cohort, in several parts
        await made.consume(batch_of(Span(trace=number) for number in spans))
        await made.tick()
    await made.consume(batch_of([Span(trace=1, is_root=True)]))

    await passes(made, clock, 6)
    assert (numbers(sink.batches), held(made)) == ([1, 1, 1, 1], 5)
    await passes(made, clock, 30)

    assert numbers(sink.batches) == [1, 1, 1, 1, 2, 2, 2, 2, 3]
    await made.shutdown()


async def test_a_root_that_comes_last_does_not_make_a_trace_wait_longer():
    clock, sink = ManualClock(), Sink()
    made = sampler(sink, clock, decision_wait="30s", decision_wait_after_root_received="5s")
    await made.consume(batch_of([Span(trace=1)]))
    await passes(made, clock, 29)
    await made.consume(batch_of([Span(trace=1, is_root=True)]))
    await passes(made, clock, 1.6)

    assert sink.items == 2
    await made.shutdown()


async def test_a_trace_that_is_too_large_is_left_out_at_once_and_for_good():
    clock, sink = ManualClock(), Sink()
    made = sampler(sink, clock, maximum_trace_size_bytes=600)
    large = Span(trace=1, attributes={"a": "x" * 150})
    await made.consume(batch_of([large, large, Span(trace=2)]))
    await made.tick()
    assert held(made) == 3

    await made.consume(batch_of([large, large]))
    await made.tick()
    assert (held(made), made._held.traces) == (1, 1)
    await made.consume(batch_of([Span(trace=1)]))
    await passes(made, clock, 40)

    assert numbers(sink.batches) == [2]
    assert by(made.left_out, "reason") == {"too_large": 5}
    assert made.too_large.value == 1
    await made.shutdown()


async def test_senders_wait_for_room_where_that_is_wished():
    clock, sink = ManualClock(), Sink()
    made = sampler(sink, clock, num_traces=2, decision_wait="5s", block_on_overflow=True)
    await made.consume(batch_of([Span(trace=1), Span(trace=2)]))
    await made.tick()

    waiting = asyncio.create_task(made.consume(batch_of([Span(trace=3)])))
    await passes(made, clock, 4)
    assert not waiting.done()
    await passes(made, clock, 4)
    await waiting

    assert numbers(sink.batches) == [1, 2]
    assert not made.early.values
    await made.shutdown()
    assert sink.items == 3


async def test_who_waits_for_room_is_told_to_come_again_at_a_shutdown():
    made = sampler(Sink(), num_traces=1, block_on_overflow=True)
    await made.consume(batch_of([Span(trace=1)]))
    await made.tick()
    waiting = asyncio.create_task(made.consume(batch_of([Span(trace=2)])))
    await asyncio.sleep(0)

    await made.shutdown()

    with pytest.raises(Retryable):
        await waiting


async def test_a_shutdown_decides_by_what_there_is_and_refuses_what_comes():
    sink = Sink()
    made = sampler(sink, policies=[ERRORS])
    await made.consume(batch_of([Span(trace=1, **FAILED), Span(trace=2)]))

    await made.shutdown()
    await made.shutdown()

    assert numbers(sink.batches) == [1]
    assert by(made.early, "reason") == {"shutdown": 2}
    with pytest.raises(Retryable, match="shutting down"):
        await made.consume(batch_of([Span()]))


async def test_a_shutdown_drops_what_is_pending_where_that_is_wished_and_counts_it():
    sink = Sink()
    made = sampler(sink, drop_pending_traces_on_shutdown=True)
    await made.consume(batch_of([Span(trace=1), Span(trace=2)]))

    await made.shutdown()

    assert (sink.items, by(made.left_out, "reason"), held(made)) == (0, {"shutdown": 2}, 0)


async def test_what_is_refused_for_now_is_held_and_handed_on_again():
    clock, sink = ManualClock(), Sink()
    made = sampler(sink, clock, decision_wait="1s")
    sink.error = Retryable("not now", retry_after=7.0)
    await made.consume(batch_of([Span()]))
    await passes(made, clock, 3)
    assert held(made) == 1

    sink.error = None
    await clock.advance(6.9)
    assert sink.items == 0
    await clock.advance(0.1)

    assert (sink.items, held(made), made.left_out.value) == (1, 0, 0)
    await made.shutdown()


@pytest.mark.parametrize(
    ("error", "lost"), [(Permanent("never"), 2), (Partial(1, "one of them"), 1), (Partial(9, "all"), 2)], ids=str
)
async def test_what_is_refused_for_good_is_counted(error, lost):
    sink = Sink()
    made = sampler(sink)
    sink.error = error
    await made.consume(batch_of([Span(trace=1), Span(trace=2)]))

    await made.shutdown()

    assert (by(made.left_out, "reason"), held(made)) == ({"refused": lost}, 0)


async def test_a_fault_behind_it_loses_nothing():
    clock, sink = ManualClock(), Sink()
    made = sampler(sink, clock, decision_wait="1s")
    sink.error = RuntimeError("a fault")
    await made.consume(batch_of([Span()]))
    await passes(made, clock, 3)

    sink.error = None
    await clock.advance(2)

    assert (sink.items, held(made)) == (1, 0)
    await made.shutdown()


async def test_what_is_not_taken_before_a_shutdown_is_cut_off_is_counted():
    sink = Sink()
    sink.gate.clear()
    made = sampler(sink)
    await made.consume(batch_of([Span(trace=1), Span(trace=2)]))

    closing = asyncio.create_task(made.shutdown())
    await sink.until(waiting=1)
    closing.cancel()
    await asyncio.wait({closing})

    assert (by(made.left_out, "reason"), held(made)) == ({"shutdown": 2}, 0)


def scopes(of: Batch) -> list[Any]:
    request = otlp.parse(of.signal, of.payload)
    return [scoped.scope for owner in request.resource_spans for scoped in owner.scope_spans]


async def test_the_policy_that_kept_a_span_is_written_where_that_is_wished():
    clock, sink = ManualClock(), Sink()
    parts = {
        "max_total_spans_per_second": 100,
        "composite_sub_policy": [{"name": "part", "type": "always_sample"}],
        "rate_allocation": [{"policy": "part", "percent": 100}],
    }
    policies = [ERRORS, {"name": "shared", "type": "composite", "composite": parts}]
    made = sampler(sink, clock, policies=policies, decision_wait="1s", record_policy=True)
    await made.consume(batch_of([Span(trace=1, **FAILED), Span(trace=2)]))
    await passes(made, clock, 5)
    await made.consume(batch_of([Span(trace=1)]))
    await passes(made, clock, 0)

    first, late = sink.batches
    composite = {"tailsampling.composite_policy": "part"}
    assert sorted(attributes(scopes(first)), key=lambda each: each["tailsampling.policy"]) == [
        {"tailsampling.policy": "errors", **composite},
        {"tailsampling.policy": "shared", **composite},
    ]
    assert attributes(scopes(late)) == [{"tailsampling.policy": "errors", "tailsampling.cached_decision": True}]
    await made.shutdown()


async def test_spans_of_a_trace_are_decided_on_together_wherever_they_came_from():
    sink = Sink()
    made = sampler(sink, policies=[ERRORS])
    await made.consume(batch_of([Span(trace=1)], Origin("otlp", "grpc", metadata={"who": ("a",)})))
    await made.consume(batch_of([Span(trace=1, **FAILED)], Origin("otlp/b", "http")))

    await made.shutdown()

    assert [(b.origin, b.items) for b in sink.batches] == [(Origin("otlp", "grpc"), 1), (Origin("otlp/b", "http"), 1)]


async def test_what_one_tenant_sends_decides_nothing_for_another():
    clock, sink = ManualClock(), Sink()
    made = sampler(sink, clock, policies=[ERRORS], decision_wait="1s")
    ours, theirs = Origin("otlp", tenant="a"), Origin("otlp", tenant="b")
    await made.consume(batch_of([Span(trace=1)], ours))
    await made.consume(batch_of([Span(trace=1, **FAILED)], theirs))
    await passes(made, clock, 3)
    await made.consume(batch_of([Span(trace=1)], ours))
    await made.consume(batch_of([Span(trace=1)], theirs))
    await passes(made, clock, 3)

    assert [(b.origin.tenant, b.items) for b in sink.batches] == [("b", 1), ("b", 1)]
    await made.shutdown()


async def test_what_cannot_be_read_harms_nothing_else():
    sink = Sink()
    made = sampler(sink)
    await made.consume(batch_of([Span()]))
    await made.consume(Batch(Signal.TRACES, b"\x0a\xff", 3, Origin("otlp", "grpc")))

    await made.shutdown()

    assert (sink.items, by(made.left_out, "reason")) == (1, {"malformed": 3})


async def test_other_signals_are_refused():
    with pytest.raises(Permanent):
        await sampler(Sink()).consume(batch(Signal.LOGS, {}))


async def test_metrics_have_the_collectors_names():
    metrics = Metrics()
    made = build(
        "tail_sampling/a", {"policies": [ERRORS]}, Sink(), kind=Kind.PROCESSOR, metrics=metrics, clock=ManualClock()
    )
    await made.consume(batch_of([Span(trace=1, **FAILED), Span(trace=2)]))
    await made.shutdown()

    named = {m.name.removeprefix("otelcol_processor_tail_sampling_"): m for m in metrics if "tail_sampling_" in m.name}
    assert named.keys() >= {
        "count_bytes_sampled",
        "count_spans_sampled",
        "count_traces_sampled",
        "early_releases_from_cache_decision",
        "global_count_traces_sampled",
        "new_trace_id_received",
        "sampling_decision_timer_latency",
        "sampling_late_span_age",
        "sampling_policy_evaluation_error",
        "sampling_policy_execution_count",
        "sampling_policy_execution_time_sum",
        "sampling_trace_dropped_too_early",
        "sampling_trace_removal_age",
        "sampling_traces_on_memory",
        "traces_dropped_too_large",
    }
    counted = {tuple(dict(labels).values()): n for labels, n in named["count_traces_sampled"].instrument.values.items()}
    assert counted == {("sampled", "a.errors", "true"): 1, ("not_sampled", "a.errors", "false"): 1}
    assert sum(named["sampling_trace_removal_age"].instrument.counts) == 2


STEP = st.one_of(
    st.tuples(st.just("spans"), st.lists(st.tuples(st.integers(1, 12), st.booleans(), st.booleans()), max_size=6)),
    st.tuples(st.just("pass"), st.sampled_from([0.1, 1.0, 4.0])),
    st.tuples(st.just("behind"), st.sampled_from([None, Retryable("later"), Permanent("never"), Partial(1, "some")])),
)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(STEP, max_size=25),
    options=st.fixed_dictionaries(
        {
            "num_traces": st.sampled_from([2, 5, 100]),
            "maximum_trace_size_bytes": st.sampled_from([0, 150]),
            "drop_pending_traces_on_shutdown": st.booleans(),
            "decision_wait_after_root_received": st.sampled_from(["0s", "1s"]),
            "decision_cache": st.sampled_from([{}, {"sampled_cache_size": 3}, {"non_sampled_cache_size": 2}]),
        }
    ),
)
async def test_everything_that_was_taken_is_handed_on_left_out_or_held(steps, options):
    clock, sink = ManualClock(), Sink()
    made = sampler(sink, clock, policies=[ERRORS], decision_wait="2s", **options)
    taken = partly = 0

    class Behind:
        async def consume(self, batch: Batch) -> None:
            nonlocal partly
            try:
                await sink.consume(batch)
            except Partial as error:
                partly += batch.items - min(error.rejected, batch.items)
                raise

    made._outbox._downstream = Behind()
    for kind, what in steps:
        if kind == "spans":
            batch = batch_of(Span(trace=n, status=2 * failed, is_root=root) for n, failed, root in what)
            await made.consume(batch)
            taken += batch.items
        elif kind == "pass":
            await made.tick()
            await clock.advance(what)
            await made.tick()
            await clock.advance(0)
            assert made._held.traces <= options["num_traces"]
        else:
            sink.error = what
        assert taken == sink.items + partly + made.left_out.value + held(made)
    sink.error = None
    closing = asyncio.create_task(made.shutdown())
    while not closing.done():
        await clock.advance(60)
    assert (held(made), made._held.spans, made._held.size_bytes) == (0, 0, 0)
    assert taken == sink.items + partly + made.left_out.value


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "policies"),
        ({"policies": []}, "at least one policy"),
        ({"policies": [{"type": "always_sample"}]}, "every policy needs a name"),
        ({"policies": [ERRORS, ERRORS]}, 'two policies have the name "errors"'),
        ({"policies": [{"name": "a", "type": "latencies"}]}, "latency"),
        ({"policies": [{"name": "a", "type": "status_code"}]}, "status_codes"),
        ({"policies": [{"name": "a", "type": "numeric_attribute", "numeric_attribute": {"key": "a"}}]}, "min_value"),
        ({"policies": [{"name": "a", "type": "ottl_condition"}]}, "conditions in span"),
        ({"policies": [{"name": "a", "type": "ottl_condition", "ottl_condition": {"span": ["nam == 1"]}}]}, "nam"),
        ({"policies": [{"name": "a", "type": "and"}]}, "needs the section and"),
        (
            {
                "policies": [
                    {
                        "name": "a",
                        "type": "string_attribute",
                        "string_attribute": {"values": ["("], "enabled_regex_matching": True},
                    }
                ]
            },
            "string_attribute",
        ),
        ({"policies": [ERRORS], "sampling_strategy": "span-ingest"}, "span-ingest is not supported"),
        ({"policies": [ERRORS], "tail_storage": "file_storage"}, "not supported"),
        ({"policies": [ERRORS], "num_trace": 1}, "num_trace"),
    ],
)
def test_options_that_cannot_be_honoured_are_errors_that_say_so(options, words):
    with pytest.raises(ValidationError) as error:
        TailSamplingConfig.model_validate(options)
    assert words in str(error.value)
