"""The batch processor joins only what has to wait anyway, and tells every caller the truth."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2 import ExportProfilesServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pydantic import ValidationError

from airis.component import ConsumeError, Kind, Partial, Permanent, Retryable
from airis.component.testing import Sink, build
from airis.data import Batch, Origin, Signal
from airis.processors.batch import BatchConfig, BatchProcessor


def spans(*names: str, origin: Origin | None = None, arrived: int = 0) -> Batch:
    """A batch of spans with these names."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add().scope_spans.add()
    for name in names:
        group.spans.add(name=name)
    return Batch(Signal.TRACES, request.SerializeToString(), len(names), origin or Origin("otlp", "grpc"), arrived)


def names_in(batch: Batch) -> list[str]:
    request = ExportTraceServiceRequest.FromString(batch.payload)
    return [span.name for r in request.resource_spans for s in r.scope_spans for span in s.spans]


def processor_before(sink: Any, options: dict[str, Any] | None = None) -> BatchProcessor:
    made = build("batch", options, sink, kind=Kind.PROCESSOR)
    assert isinstance(made, BatchProcessor)
    return made


async def outcomes(calls: Iterable[Awaitable[None]]) -> list[object]:
    return list(await asyncio.gather(*calls, return_exceptions=True))


async def submit_while_busy(processor: BatchProcessor, sink: Sink, batches: list[Batch]) -> list[asyncio.Task[None]]:
    """Tasks of callers that arrive, one after the other, while the first batch is held behind the processor."""
    sink.gate.clear()
    tasks = [asyncio.create_task(processor.consume(batches[0]))]
    await sink.until(waiting=1)
    for batch in batches[1:]:
        tasks.append(asyncio.create_task(processor.consume(batch)))
        await asyncio.sleep(0)
    return tasks


class Judge:
    """A consumer that answers by the names of the spans in a batch."""

    def __init__(self, verdict: Callable[[list[str]], ConsumeError | None]) -> None:
        self.verdict = verdict
        self.busy = asyncio.Event()
        self.gate = asyncio.Event()
        self.handed: list[list[str]] = []
        self.stored: list[str] = []

    async def consume(self, batch: Batch) -> None:
        self.busy.set()
        await self.gate.wait()
        names = names_in(batch)
        assert batch.items == len(names)
        self.handed.append(names)
        error = self.verdict(names)
        if error is None or isinstance(error, Partial):
            self.stored += names
        if error is not None:
            raise error


def refuse(name: str, error: ConsumeError) -> Callable[[list[str]], ConsumeError | None]:
    return lambda names: error if name in names else None


async def ask_all(processor: BatchProcessor, judge: Judge, batches: list[Batch]) -> list[object]:
    """Outcomes of the batches; the first is handed on alone, and the others wait for it together."""
    tasks = [asyncio.create_task(processor.consume(batches[0]))]
    await judge.busy.wait()
    for batch in batches[1:]:
        tasks.append(asyncio.create_task(processor.consume(batch)))
        await asyncio.sleep(0)
    judge.gate.set()
    return await outcomes(tasks)


async def test_one_client_with_one_request_in_flight_meets_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[object] = []

    def note_timer(*arguments: object, **_options: object) -> None:
        timers.append(arguments)

    monkeypatch.setattr(asyncio.get_running_loop(), "call_at", note_timer)
    sink = Sink()
    processor = processor_before(sink, {"timeout": "10s", "send_batch_size": 8192})

    for i in range(100):
        await processor.consume(spans(str(i)))
        assert sink.items == i + 1

    await processor.shutdown()
    assert timers == []


async def test_is_not_answered_before_the_stage_behind_answered() -> None:
    sink = Sink()
    processor = processor_before(sink)

    [first, second] = await submit_while_busy(processor, sink, [spans("a"), spans("b")])

    assert not first.done()
    assert not second.done()
    sink.gate.set()
    await asyncio.gather(first, second)
    assert sink.items == 2


async def test_what_arrives_while_busy_goes_on_together_in_order() -> None:
    sink = Sink()
    processor = processor_before(sink)

    tasks = await submit_while_busy(processor, sink, [spans(str(i), arrived=100 - i) for i in range(20)])
    sink.gate.set()
    await asyncio.gather(*tasks)

    assert [names_in(batch) for batch in sink.batches] == [["0"], [str(i) for i in range(1, 20)]]
    assert sink.batches[1].items == 19
    assert sink.batches[1].arrived_unix_nano == 81


async def test_as_much_as_one_hand_over_may_be_goes_on_beside_the_one_before() -> None:
    sink = Sink()
    processor = processor_before(sink, {"send_batch_size": 1, "send_batch_max_size": 2})

    tasks = await submit_while_busy(processor, sink, [spans(name) for name in "abcdef"])
    await sink.until(waiting=2)
    sink.gate.set()
    await asyncio.gather(*tasks)

    assert sorted("".join(names_in(batch)) for batch in sink.batches) == ["a", "bc", "de", "f"]


async def test_joining_ends_at_what_fills_an_insert() -> None:
    sink = Sink()
    processor = processor_before(sink)
    large = replace(spans("many"), items=40_000)

    tasks = await submit_while_busy(processor, sink, [spans("a"), large, replace(large, id=b"other")])
    sink.gate.set()
    await asyncio.gather(*tasks)

    assert sorted(batch.items for batch in sink.batches) == [1, 40_000, 40_000]


def profiles(*samples: int) -> Batch:
    """A batch of profiles with so many samples each, of which the first stack has a name of its own."""
    request = ExportProfilesServiceRequest()
    request.dictionary.string_table.extend(["", f"stack of {samples}"])
    group = request.resource_profiles.add().scope_profiles.add()
    for count in samples:
        profile = group.profiles.add()
        for _ in range(count):
            profile.samples.add(stack_index=1)
    return Batch(Signal.PROFILES, request.SerializeToString(), sum(samples), Origin("otlp", "grpc"))


async def test_profiles_go_on_one_request_after_the_other() -> None:
    processor, batches = processor_before(sink := Sink()), [profiles(1), profiles(2), profiles(1, 1)]

    tasks = await submit_while_busy(processor, sink, batches)
    sink.gate.set()
    await asyncio.gather(*tasks)

    assert [batch.payload for batch in sink.batches] == [batch.payload for batch in batches]
    assert [batch.id for batch in sink.batches] == [batch.id for batch in batches]


async def test_profiles_are_parted_between_profiles_with_the_tables_in_every_part() -> None:
    processor = processor_before(sink := Sink(), {"send_batch_max_size": 3, "send_batch_size": 1})

    await processor.consume(batch := profiles(2, 1, 5, 1))

    assert [part.items for part in sink.batches] == [3, 5, 1]
    parts = [ExportProfilesServiceRequest.FromString(part.payload) for part in sink.batches]
    whole = ExportProfilesServiceRequest.FromString(batch.payload)
    assert all(part.dictionary == whole.dictionary for part in parts)
    assert [profile for part in parts for profile in part.resource_profiles[0].scope_profiles[0].profiles] == list(
        whole.resource_profiles[0].scope_profiles[0].profiles
    )


async def test_what_cannot_be_split_is_permanent() -> None:
    processor = processor_before(sink := Sink(), {"send_batch_max_size": 1, "send_batch_size": 1})

    with pytest.raises(Permanent, match="it cannot be split: "):
        await processor.consume(Batch(Signal.TRACES, b"\x0a\x05", 2))
    assert not sink.batches


async def test_a_batch_alone_keeps_its_id() -> None:
    sink = Sink()
    batch = spans("a")

    await processor_before(sink).consume(batch)

    assert [taken.id for taken in sink.batches] == [batch.id]


@pytest.mark.parametrize(
    ("sizes", "handed_on"),
    [
        ([1, 3, 3, 3], [1, 3, 3, 3]),
        ([1, 2, 2, 4, 1], [1, 4, 4, 1]),
        ([9], [4, 4, 1]),
        ([1, 1, 9, 1], [1, 1, 4, 4, 1, 1]),
    ],
    ids=["too large together", "joined up to the limit", "one split", "a large one between small ones"],
)
async def test_hands_on_at_most_send_batch_max_size(sizes: list[int], handed_on: list[int]) -> None:
    sink = Sink()
    processor = processor_before(sink, {"send_batch_size": 4, "send_batch_max_size": 4})
    batches = [spans(*(f"{n}.{i}" for i in range(size))) for n, size in enumerate(sizes)]

    tasks = await submit_while_busy(processor, sink, batches)
    sink.gate.set()
    await asyncio.gather(*tasks)

    assert [batch.items for batch in sink.batches] == handed_on
    assert [n for b in sink.batches for n in names_in(b)] == [n for b in batches for n in names_in(b)]


async def test_parts_of_the_same_batch_have_the_same_ids_again() -> None:
    sink = Sink()
    processor = processor_before(sink, {"send_batch_size": 2, "send_batch_max_size": 2})
    batch = spans("a", "b", "c")

    await processor.consume(batch)
    await processor.consume(batch)

    ids = [taken.id for taken in sink.batches]
    assert ids[:2] == ids[2:]
    assert len({*ids, batch.id}) == 3


async def test_retryable_reaches_all_callers_of_the_joined_batch_and_no_others() -> None:
    judge = Judge(refuse("b", Retryable("later", retry_after=3)))
    processor = processor_before(judge)

    first, second, third = await ask_all(processor, judge, [spans("a"), spans("b"), spans("c")])

    assert first is None
    assert isinstance(second, Retryable)
    assert isinstance(third, Retryable)
    assert second.retry_after == 3
    assert judge.stored == ["a"]


async def test_one_bad_batch_does_not_refuse_those_it_was_joined_with() -> None:
    judge = Judge(refuse("bad", Permanent("broken")))
    processor = processor_before(judge)

    told = await ask_all(processor, judge, [spans("a"), spans("b"), spans("bad"), spans("c")])

    assert [type(outcome) for outcome in told] == [type(None), type(None), Permanent, type(None)]
    assert judge.handed == [["a"], ["b", "bad", "c"], ["b"], ["bad"], ["c"]]
    assert judge.stored == ["a", "b", "c"]


async def test_what_callers_are_told_after_partial_adds_up_to_what_was_rejected() -> None:
    judge = Judge(refuse("b0", Partial(5, "too old")))
    processor = processor_before(judge)
    batches = [
        spans("a"),
        *(spans(*(f"{name}{i}" for i in range(size))) for name, size in (("b", 4), ("c", 1), ("d", 3))),
    ]

    first, *others = await ask_all(processor, judge, batches)

    assert first is None
    told = [outcome for outcome in others if isinstance(outcome, Partial)]
    assert len(told) == 3
    assert sum(partial.rejected for partial in told) == 5
    assert all(p.rejected <= b.items for p, b in zip(told, batches[1:], strict=True))
    assert told[0].reason == "5 of 8 items in 3 joined requests were rejected: too old"
    assert judge.handed == [["a"], ["b0", "b1", "b2", "b3", "c0", "d0", "d1", "d2"]], "stored ones must not come again"


async def test_partial_of_one_caller_is_exact() -> None:
    judge = Judge(refuse("a", Partial(1, "too old")))
    processor = processor_before(judge)

    [told] = await ask_all(processor, judge, [spans("a", "b")])

    assert isinstance(told, Partial)
    assert (told.rejected, told.reason) == (1, "too old")


@pytest.mark.parametrize(
    ("bad", "expected", "rejected"),
    [(["a"], Partial, 2), (["a", "c", "e"], Permanent, None), ([], type(None), None)],
    ids=["one part", "all parts", "none"],
)
async def test_outcomes_of_the_parts_of_a_large_batch_are_put_together(
    bad: list[str], expected: type, rejected: int | None
) -> None:
    judge = Judge(lambda names: Permanent("broken") if set(bad) & set(names) else None)
    processor = processor_before(judge, {"send_batch_size": 2, "send_batch_max_size": 2})

    [told] = await ask_all(processor, judge, [spans("a", "b", "c", "d", "e")])

    assert type(told) is expected
    assert getattr(told, "rejected", None) == rejected


async def test_a_part_to_be_sent_again_makes_the_whole_batch_retryable() -> None:
    judge = Judge(refuse("c", Retryable("later")))
    processor = processor_before(judge, {"send_batch_size": 2, "send_batch_max_size": 2})

    [told] = await ask_all(processor, judge, [spans("a", "b", "c", "d", "e")])

    assert isinstance(told, Retryable)
    assert judge.handed == [["a", "b"], ["c", "d"]]
    assert processor.unacknowledged.value == 2, "a and b are behind, and come again"


async def test_a_client_that_left_takes_nobody_along() -> None:
    sink = Sink()
    processor = processor_before(sink)
    in_flight, waiting, staying = await submit_while_busy(processor, sink, [spans("a"), spans("b"), spans("c")])

    in_flight.cancel()
    waiting.cancel()
    await outcomes([in_flight, waiting])
    sink.gate.set()
    await staying
    await processor.shutdown()

    assert "c" in [name for batch in sink.batches for name in names_in(batch)]
    assert processor.cardinality.value == 0


async def test_a_hand_over_whose_caller_left_still_keeps_its_group_to_one_at_a_time() -> None:
    sink = Sink()
    processor = processor_before(sink)
    [left] = await submit_while_busy(processor, sink, [spans("a")])
    left.cancel()
    await outcomes([left])

    next_caller = asyncio.create_task(processor.consume(spans("b")))
    for _ in range(5):
        await asyncio.sleep(0)

    assert sink.waiting == 1
    sink.gate.set()
    await next_caller


async def test_tenants_and_metadata_keys_are_never_mixed() -> None:
    sink = Sink()
    processor = processor_before(sink, {"metadata_keys": ["X-Team"]})

    def origin(team: str, tenant: str = "", other: str = "") -> Origin:
        return Origin("otlp", "grpc", tenant, {"x-team": (team,), "x-other": (other,)})

    firsts = [spans("first", origin=o) for o in (origin("a"), origin("b"), origin("a", "acme"))]
    others = [
        spans("1", origin=origin("a", other="1")),
        spans("2", origin=origin("b")),
        spans("3", origin=origin("a", "acme")),
        spans("4", origin=origin("a", other="2")),
    ]

    tasks = await submit_while_busy(processor, sink, firsts)
    await sink.until(waiting=3)
    tasks += await submit_while_busy(processor, sink, others)
    assert processor.cardinality.value == 3
    sink.gate.set()
    await asyncio.gather(*tasks)

    joined = sorted((b for b in sink.batches if names_in(b) != ["first"]), key=names_in)
    assert [(b.origin.tenant, b.origin.metadata, names_in(b)) for b in joined] == [
        ("", {"x-team": ("a",)}, ["1", "4"]),
        ("", {"x-team": ("b",)}, ["2"]),
        ("acme", {"x-team": ("a",)}, ["3"]),
    ]


@pytest.mark.parametrize(
    ("keys", "hands_on"),
    [
        (["auth.subject"], [("1", {"subject": "alice"}), ("2", {"subject": "bob"}), ("3", {"subject": "alice"})]),
        ([], [("1", {}), ("2", {}), ("3", {})]),
    ],
)
async def test_clients_are_kept_apart_by_who_they_are_where_that_is_a_key(
    keys: list[str], hands_on: list[tuple[str, dict[str, str]]]
) -> None:
    sink = Sink()
    processor = processor_before(sink, {"metadata_keys": keys})
    clients = [("1", "alice"), ("2", "bob"), ("3", "alice")]
    for name, subject in clients:
        await processor.consume(spans(name, origin=Origin("otlp", "grpc", auth={"subject": subject, "group": "g"})))
    assert [dict(batch.origin.auth) for batch in sink.batches] == [auth for _, auth in hands_on]

    sink.batches.clear()
    sink.gate.clear()
    firsts = [spans(name, origin=Origin("otlp", "grpc", auth={"subject": subject})) for name, subject in clients[:2]]
    tasks = await submit_while_busy(processor, sink, firsts)
    tasks += await submit_while_busy(processor, sink, firsts * 2)
    sink.gate.set()
    await asyncio.gather(*tasks)
    subjects = {batch.origin.auth.get("subject") for batch in sink.batches}
    assert subjects == ({"alice", "bob"} if keys else {None})


async def test_too_many_metadata_values_are_retryable_and_only_while_they_are_on_the_way() -> None:
    sink = Sink()
    processor = processor_before(sink, {"metadata_keys": ["team"], "metadata_cardinality_limit": 1})
    one, two = (spans(team, origin=Origin("otlp", "grpc", "", {"team": (team,)})) for team in "ab")
    [first] = await submit_while_busy(processor, sink, [one])

    with pytest.raises(Retryable, match="metadata_cardinality_limit"):
        await processor.consume(two)

    sink.gate.set()
    await first
    await processor.consume(two)
    assert sink.items == 2


async def test_shutdown_hands_on_what_is_held_and_refuses_what_comes_after() -> None:
    sink = Sink()
    processor = processor_before(sink)
    tasks = await submit_while_busy(processor, sink, [spans("a"), spans("b")])

    shutdown = asyncio.create_task(processor.shutdown())
    await asyncio.sleep(0)
    assert not shutdown.done()
    with pytest.raises(Retryable):
        await processor.consume(spans("late"))
    sink.gate.set()
    await shutdown

    assert sink.items == 2
    assert all(task.done() for task in tasks)
    await processor.shutdown()


async def test_counts_hand_overs_by_whether_they_were_full() -> None:
    sink = Sink()
    processor = processor_before(sink, {"send_batch_size": 2})

    tasks = await submit_while_busy(processor, sink, [spans("a"), spans("b"), spans("c")])
    sink.gate.set()
    await asyncio.gather(*tasks)
    sink.error = Retryable("no")
    await outcomes([processor.consume(spans("d"))])

    assert (processor.full.value, processor.not_full.value) == (1, 1)
    assert processor.sizes.sum == 3
    assert processor.sizes_bytes.sum == sum(batch.size_bytes for batch in sink.batches)
    assert [metric.name for metric in processor.telemetry.metrics] == [
        "airis_processor_unacknowledged_items",
        "otelcol_processor_batch_batch_size_trigger_send",
        "otelcol_processor_batch_timeout_trigger_send",
        "otelcol_processor_batch_batch_send_size",
        "otelcol_processor_batch_batch_send_size_bytes",
        "otelcol_processor_batch_metadata_cardinality",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"send_batch_max_size": 100}, "send_batch_max_size (100) must be 0 or at least send_batch_size (8192)"),
        ({"metadata_keys": ["Team", "team"]}, "twice"),
        ({"timeout": "-1s"}, "greater than or equal to 0"),
        ({"timeout": 5}, "needs a unit"),
    ],
)
def test_options_that_cannot_be_meant_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        BatchConfig.model_validate(options)
    assert message in str(raised.value)


VERDICTS = st.sampled_from(["ok", "ok", "retryable", "permanent", "partial"])


@settings(max_examples=150, deadline=None)
@given(
    callers=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3), st.booleans()), min_size=1, max_size=12),
    verdicts=st.lists(VERDICTS, max_size=40),
    max_size=st.sampled_from([0, 3, 5]),
    slowness=st.integers(0, 4),
)
def test_every_item_is_handed_on_exactly_once_or_its_caller_was_told(
    callers: list[tuple[int, int, bool]], verdicts: list[str], max_size: int, slowness: int
) -> None:
    """Callers of some items each arrive after some pauses; some leave; the stage behind answers as it likes."""
    left_to_say = list(reversed(verdicts))
    stored: list[str] = []
    rejected = taken = 0

    class Behind:
        async def consume(self, batch: Batch) -> None:
            nonlocal rejected, taken
            for _ in range(slowness):
                await asyncio.sleep(0)
            names = names_in(batch)
            assert not max_size or len(names) <= max_size
            match left_to_say.pop() if left_to_say else "ok":
                case "retryable":
                    raise Retryable("later")
                case "permanent":
                    raise Permanent("broken")
                case "partial" if names:
                    stored.extend(names)
                    rejected += 1
                    taken += batch.items - 1
                    raise Partial(1, "one of them")
                case _:
                    stored.extend(names)
                    taken += batch.items

    async def caller(processor: BatchProcessor, batch: Batch, pauses: int) -> None:
        for _ in range(pauses):
            await asyncio.sleep(0)
        await processor.consume(batch)

    async def run() -> None:
        size = {"send_batch_size": 1, "send_batch_max_size": max_size}
        processor = processor_before(Behind(), size)
        batches = [spans(*(f"{n}.{i}" for i in range(items))) for n, (items, _, _) in enumerate(callers)]
        tasks = [
            asyncio.create_task(caller(processor, batch, pauses))
            for batch, (_, pauses, _) in zip(batches, callers, strict=True)
        ]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for task, (_, _, leaves) in zip(tasks, callers, strict=True):
            if leaves:
                task.cancel()
        told = await outcomes(tasks)
        await processor.shutdown()

        told_rejected = 0
        for batch, outcome in zip(batches, told, strict=True):
            there = [stored.count(name) for name in names_in(batch)]
            assert all(count <= 1 for count in there), "handed on twice"
            if outcome is None:
                assert all(there), "acknowledged but not handed on"
            elif isinstance(outcome, Partial):
                told_rejected += outcome.rejected
                assert 0 <= outcome.rejected <= batch.items
                assert batch.items - sum(there) <= outcome.rejected, "lost beyond what the caller was told"
            elif isinstance(outcome, Permanent):
                assert not any(there)
            else:
                assert isinstance(outcome, Retryable | asyncio.CancelledError)
        acknowledged = sum(
            batch.items - (outcome.rejected if isinstance(outcome, Partial) else 0)
            for batch, outcome in zip(batches, told, strict=True)
            if outcome is None or isinstance(outcome, Partial)
        )
        assert taken == acknowledged + processor.unacknowledged.value, "the ledger does not add up"
        if not any(leaves for _, _, leaves in callers) and not any(isinstance(o, Retryable) for o in told):
            lost = sum(batch.items for batch, o in zip(batches, told, strict=True) if isinstance(o, Permanent))
            missing = sum(batch.items for batch in batches) - len(stored) - lost
            assert told_rejected == missing + rejected

    asyncio.run(run())
