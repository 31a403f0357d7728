"""One batch to several branches."""

import asyncio

import pytest

from airis.component import Partial, Permanent, Retryable
from airis.component.telemetry import Counter
from airis.component.testing import ManualClock, Sink
from airis.data import Batch, Origin, Signal
from airis.service.fan_out import MOST_REMEMBERED, REMEMBER_S, RETRY_S, FanOut

from .fakes import named


def batch(items: int = 3, payload: bytes = b"xyz") -> Batch:
    return Batch(Signal.TRACES, payload, items, Origin(receiver="in", transport="grpc"))


async def test_a_slow_branch_does_not_hold_up_another() -> None:
    slow, quick = Sink(), Sink()
    slow.gate.clear()
    handed_over = asyncio.create_task(FanOut(named(slow, quick)).consume(batch()))

    await quick.until(items=3)

    assert not handed_over.done()
    slow.gate.set()
    await handed_over
    assert slow.items == 3


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([Retryable("r"), Retryable("s")], Retryable),
        ([None, Retryable("r")], Retryable),
        ([Permanent("p"), Retryable("r")], Retryable),
        ([Permanent("p"), None], Permanent),
        ([Partial(1, "x"), Permanent("p")], Permanent),
        ([Partial(1, "x"), None], Partial),
        ([RuntimeError("bug"), Permanent("p")], RuntimeError),
        ([RuntimeError("bug"), Retryable("r")], Retryable),
    ],
)
async def test_the_sender_is_told_the_worst(errors: list[Exception | None], expected: type[Exception]) -> None:
    clock = ManualClock()
    sinks = [Sink() for _ in errors]
    for sink, error in zip(sinks, errors, strict=True):
        sink.error = error

    handed_over = asyncio.create_task(FanOut(named(*sinks), None, clock, clock.sleep).consume(batch()))

    with pytest.raises(expected):
        await finished(handed_over, clock)


async def test_the_longest_delay_is_asked_of_the_sender() -> None:
    sinks = [Sink(), Sink()]
    sinks[0].error, sinks[1].error = Retryable("a", retry_after=1), Retryable("b", retry_after=3)

    with pytest.raises(Retryable) as told:
        await FanOut(named(*sinks)).consume(batch())

    assert told.value.retry_after == 3


async def test_a_branch_that_refuses_for_a_while_does_not_repeat_the_data_of_another() -> None:
    clock = ManualClock()
    good, bad = Sink(), Sink()
    bad.error = Retryable("busy")
    handed_over = asyncio.create_task(FanOut(named(good, bad), None, clock, clock.sleep).consume(batch()))
    await clock.advance(0.2)
    bad.error = None

    await finished(handed_over, clock)

    assert (good.items, bad.items) == (3, 3)


async def test_the_delay_that_a_branch_asks_for_is_kept() -> None:
    clock = ManualClock()
    good, bad = Sink(), Sink()
    bad.error = Retryable("busy", retry_after=2)
    handed_over = asyncio.create_task(FanOut(named(good, bad), None, clock, clock.sleep).consume(batch()))
    await clock.advance(1.9)
    bad.error = None
    await clock.advance(0)

    assert bad.items == 0
    await finished(handed_over, clock)
    assert bad.items == 3


async def test_what_is_sent_again_goes_to_the_branch_that_misses_it() -> None:
    clock = ManualClock()
    good, bad = Sink(), Sink()
    torn = Counter()
    fan_out = FanOut(named(good, bad), torn, clock, clock.sleep)
    bad.error = Retryable("busy")
    with pytest.raises(Retryable):
        await finished(asyncio.create_task(fan_out.consume(batch())), clock)
    bad.error = None

    await fan_out.consume(batch())

    assert (good.items, bad.items) == (3, 3)
    assert torn.value == 3


async def test_a_caller_who_leaves_and_comes_again_repeats_nothing() -> None:
    good, slow = Sink(), Sink()
    slow.gate.clear()
    fan_out = FanOut(named(good, slow))
    first = asyncio.create_task(fan_out.consume(batch()))
    await good.until(items=3)
    await slow.until(waiting=1)
    first.cancel()
    await asyncio.wait({first})
    slow.gate.set()

    await fan_out.consume(batch())

    assert (good.items, slow.items) == (3, 3)


async def test_an_outcome_that_was_final_is_told_again() -> None:
    clock = ManualClock()
    refusing, busy = Sink(), Sink()
    refusing.error, busy.error = Permanent("too old"), Retryable("busy")
    fan_out = FanOut(named(refusing, busy), None, clock, clock.sleep)
    with pytest.raises(Retryable):
        await finished(asyncio.create_task(fan_out.consume(batch())), clock)
    refusing.error = busy.error = None

    with pytest.raises(Permanent):
        await fan_out.consume(batch())

    assert (refusing.items, busy.items) == (0, 3)


async def test_other_bytes_of_the_same_sender_are_other_data() -> None:
    clock = ManualClock()
    good, bad = Sink(), Sink()
    fan_out = FanOut(named(good, bad), None, clock, clock.sleep)
    bad.error = Retryable("busy")
    with pytest.raises(Retryable):
        await finished(asyncio.create_task(fan_out.consume(batch())), clock)
    bad.error = None

    await fan_out.consume(batch(payload=b"other"))

    assert (good.items, bad.items) == (6, 3)


async def test_the_memory_has_an_end() -> None:
    clock = ManualClock()
    good, bad = Sink(), Sink()
    fan_out = FanOut(named(good, bad), None, clock, clock.sleep)
    bad.error = Retryable("busy", retry_after=RETRY_S + 1)
    for number in range(MOST_REMEMBERED + 1):
        with pytest.raises(Retryable):
            await fan_out.consume(batch(payload=b"%d" % number))
    bad.error = None
    taken = good.items

    await fan_out.consume(batch(payload=b"0"))  # forgotten: there were too many after it
    assert good.items == taken + 3
    await fan_out.consume(batch(payload=b"1"))
    assert good.items == taken + 3
    clock.now += REMEMBER_S + 1
    await fan_out.consume(batch(payload=b"2"))  # forgotten: it was long ago
    assert good.items == taken + 6


async def finished(task: "asyncio.Task[None]", clock: ManualClock) -> None:
    """The outcome of the task, letting as much time pass as it takes."""
    while not task.done():
        await clock.advance(0.5)
    await task
