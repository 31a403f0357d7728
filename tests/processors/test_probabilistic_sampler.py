"""The probabilistic sampler keeps the share asked for, counts what it leaves out, and refuses as the Collector does."""

from typing import Any

import pytest
from pydantic import ValidationError

from airis.component import Kind, Permanent, Retryable
from airis.component.testing import Sink, build
from airis.data import Batch, Signal
from airis.processors.probabilistic_sampler import ProbabilisticSampler, ProbabilisticSamplerConfig

from .requests import attributes, batch, items

pytestmark = pytest.mark.usefixtures("either_back_end")

HIGH = b"\xff" * 16
LOW = b"\xff" * 9 + bytes(7)


def sampler(sink: Sink, **options: Any) -> ProbabilisticSampler:
    made = build("probabilistic_sampler", options, sink, kind=Kind.PROCESSOR)
    assert isinstance(made, ProbabilisticSampler)
    return made


def counted(made: ProbabilisticSampler, signal: Signal) -> dict[tuple[str, str], float]:
    """Items by policy and whether they were sampled."""
    return {(dict(of)["policy"], dict(of)["sampled"]): count for of, count in made.decided[signal].values.items()}


@pytest.mark.parametrize("signal", [Signal.TRACES, Signal.LOGS])
async def test_keeps_the_configured_share_and_says_so(signal):
    sink = Sink()
    made = sampler(sink, mode="proportional", sampling_percentage=25)
    kept = batch(signal, {}, {}, trace_id=HIGH)

    await made.consume(kept)
    await made.consume(batch(signal, {}, {}, {}, trace_id=LOW))

    assert sink.items == 2
    assert counted(made, signal) == {("trace_id_w3c", "true"): 2, ("trace_id_w3c", "false"): 3}
    assert not made.faults.values
    [handed_on] = sink.batches
    assert handed_on.id != kept.id
    if signal is Signal.TRACES:
        assert [span.trace_state for span in items(handed_on)] == ["ot=th:c"] * 2
    else:
        assert attributes(items(handed_on)) == [{"sampling.threshold": "c"}] * 2


async def test_hands_on_the_very_batch_where_nothing_changes():
    sink = Sink()
    given = batch(Signal.TRACES, {}, {}, trace_id=HIGH, trace_state="ot=th:8")

    await sampler(sink, mode="equalizing", sampling_percentage=50).consume(given)

    assert sink.batches == [given]
    assert sink.batches[0] is given


async def test_acknowledges_a_batch_with_nothing_left():
    sink = Sink()
    sink.error = Retryable("must not be asked")
    made = sampler(sink)

    await made.consume(batch(Signal.TRACES, {}, {}, trace_id=HIGH))

    assert counted(made, Signal.TRACES) == {("sampling_priority", "false"): 2}


async def test_hashes_by_default_with_the_seed():
    seeds: dict[int, bool] = {}
    for seed in range(20):
        sink = Sink()
        made = sampler(sink, sampling_percentage=50, hash_seed=seed)
        await made.consume(batch(Signal.TRACES, {}, trace_id=HIGH))
        seeds[seed] = sink.items == 1
        assert counted(made, Signal.TRACES) == {("trace_id_hash", "true" if seeds[seed] else "false"): 1}

    assert set(seeds.values()) == {True, False}


@pytest.mark.parametrize("source", ["traceID", "record"])
async def test_hashes_what_the_options_say_of_a_log_record(source):
    sink = Sink()
    made = sampler(sink, sampling_percentage=100, attribute_source=source, from_attribute="id")

    await made.consume(batch(Signal.LOGS, {"id": "x"}, trace_id=HIGH))
    await made.consume(batch(Signal.LOGS, {"id": "x"}))

    hashed = attributes(items(sink.batches[0]))[0]["sampling.randomness"]
    assert (hashed == attributes(items(sink.batches[1]))[0]["sampling.randomness"]) == (source == "record")
    expected = {("id", "true"): 2} if source == "record" else {("trace_id_hash", "true"): 1, ("id", "true"): 1}
    assert counted(made, Signal.LOGS) == expected


async def test_a_record_has_the_share_of_its_priority():
    sink = Sink()
    made = sampler(sink, sampling_priority="p", sampling_precision=2)

    await made.consume(batch(Signal.LOGS, {"p": 40}, {"q": 40}, trace_id=HIGH))

    assert attributes(items(sink.batches[0])) == [{"p": 40, "sampling.threshold": "9a"}]
    assert counted(made, Signal.LOGS) == {("sampling_priority", "true"): 1, ("sampling_priority", "false"): 1}


@pytest.mark.parametrize(("fail_closed", "kept"), [(True, 0), (False, 1)])
async def test_fails_closed_unless_told_otherwise(fail_closed, kept):
    sink = Sink()
    made = sampler(sink, mode="equalizing", sampling_percentage=50, fail_closed=fail_closed)

    await made.consume(batch(Signal.TRACES, {}, trace_id=HIGH, trace_state="ot=th:zz"))

    assert sink.items == kept
    assert made.faults.values == {(("fault", "malformed"), ("sampled", str(kept == 1).lower())): 1}
    assert counted(made, Signal.TRACES) == {("missing_randomness", str(kept == 1).lower()): 1}


async def test_a_batch_that_is_refused_and_sent_again_counts_once():
    sink = Sink()
    made = sampler(sink, mode="equalizing", sampling_percentage=50)
    given = batch(Signal.TRACES, {}, trace_id=HIGH)

    sink.error = Retryable("full")
    with pytest.raises(Retryable):
        await made.consume(given)
    assert counted(made, Signal.TRACES) == {}
    sink.error = None
    await made.consume(given)

    assert counted(made, Signal.TRACES) == {("trace_id_w3c", "true"): 1}
    assert sink.items == 1


async def test_refuses_metrics():
    with pytest.raises(Permanent, match="metrics cannot be sampled"):
        await sampler(Sink()).consume(Batch(Signal.METRICS, b"", 0))


def test_counts_under_the_collectors_names():
    made = sampler(Sink())
    names = {metric.name for metric in made.telemetry.metrics}

    assert names >= {
        "otelcol_processor_probabilistic_sampler_count_traces_sampled",
        "otelcol_processor_probabilistic_sampler_count_logs_sampled",
    }


def test_the_options_are_the_collectors():
    assert ProbabilisticSamplerConfig().model_dump() == {
        "mode": "hash_seed",
        "sampling_percentage": 0.0,
        "hash_seed": 0,
        "fail_closed": True,
        "sampling_precision": 4,
        "attribute_source": "traceID",
        "from_attribute": "",
        "sampling_priority": "",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampling_percentage": -1}, "greater than or equal to 0"),
        ({"sampling_percentage": float("inf")}, "finite number"),
        ({"sampling_percentage": float("nan")}, "greater than or equal to 0|finite number"),
        ({"sampling_percentage": 1e-20}, "1e-20% is too small"),
        ({"sampling_percentage": 1e-300}, "1e-300% is too small"),
        ({"sampling_precision": 0}, "greater than or equal to 1"),
        ({"sampling_precision": 15}, "less than or equal to 14"),
        ({"hash_seed": 1 << 32}, "less than 4294967296"),
        ({"mode": "random"}, "'hash_seed', 'proportional' or 'equalizing'"),
        ({"attribute_source": "resource"}, "'traceID' or 'record'"),
    ],
)
def test_refuses_options_as_the_collector(options, message):
    with pytest.raises(ValidationError, match=message):
        ProbabilisticSamplerConfig.model_validate(options)
