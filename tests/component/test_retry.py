"""What is sent again, when, and what a caller is told at the end."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from airis.component import Partial, Permanent, Retryable, Status, Telemetry
from airis.component.retry import LEAST_WAIT_S, Retry, RetryConfig
from airis.component.sending import Attempt, Sending, SendingConfig, SendingQueueConfig
from airis.component.testing import FakeHost, ManualClock
from airis.data import Batch, Signal

MIDDLE = 0.5
A_MOMENT_S = 2**-10


def config(**options: Any) -> RetryConfig:
    return RetryConfig.model_validate(options)


class Server:
    """Fails as often as it is told to, and notes when it was asked."""

    def __init__(self, clock: ManualClock, errors: Sequence[Exception]) -> None:
        self.clock = clock
        self.errors = list(errors)
        self.asked: list[float] = []

    async def __call__(self) -> None:
        self.asked.append(self.clock.now)
        if self.errors:
            raise self.errors.pop(0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def telemetry() -> Telemetry:
    made = Telemetry("exporter", "test")
    made.health.report(Status.OK)
    return made


@pytest.fixture
def retry(clock: ManualClock, telemetry: Telemetry) -> Callable[..., Retry]:
    def make(**options: Any) -> Retry:
        return Retry(config(**options), telemetry, clock, clock.sleep, lambda: MIDDLE)

    return make


async def passing(clock: ManualClock, call: "asyncio.Task[None]", seconds: int) -> None:
    """Let time pass by the second until the call is done."""
    for _ in range(seconds):
        await clock.advance(1)
        if call.done():
            break


def away(retry_after: float | None = None) -> Retryable:
    return Retryable("away", retry_after)


SCHEDULES: dict[str, tuple[dict[str, Any], list[Exception], list[float]]] = {
    "the Collector's": ({}, [away()] * 6, [0, 5, 12.5, 23.75, 40.625, 65.9375, 95.9375]),
    "evenly": ({"multiplier": 1, "initial_interval": "2s"}, [away()] * 3, [0, 2, 4, 6]),
    "a first wait over the longest": (
        {"initial_interval": "9s", "max_interval": "3s"},
        [away()] * 3,
        [0, 9, 12, 15],
    ),
    "the server's, where it is longer": ({}, [away(60), away(1), away()], [0, 60, 67.5, 78.75]),
}


@pytest.mark.parametrize(("options", "errors", "times"), SCHEDULES.values(), ids=SCHEDULES)
async def test_it_is_sent_again_on_schedule(retry, clock, options, errors, times) -> None:
    server = Server(clock, errors)
    call = asyncio.create_task(retry(**options)(server))
    await clock.advance(0)
    for then, now in pairwise(times):
        await clock.advance(now - then - A_MOMENT_S)
        assert not call.done()
        asked = len(server.asked)
        await clock.advance(A_MOMENT_S)
        assert len(server.asked) == asked + 1

    await call
    assert server.asked == pytest.approx(times)


@given(
    initial=st.floats(0, 100),
    factor=st.floats(0, 1),
    multiplier=st.floats(0, 10),
    longest=st.floats(0, 1000),
    chance=st.lists(st.floats(0, 1), min_size=12, max_size=12),
)
def test_a_wait_is_never_longer_nor_shorter_than_the_share_of_chance(
    initial: float, factor: float, multiplier: float, longest: float, chance: list[float]
) -> None:
    made = RetryConfig.model_construct(
        initial_interval=initial,
        randomization_factor=factor,
        multiplier=multiplier,
        max_interval=longest,
        max_elapsed_time=0.0,
    )
    interval = initial
    for wait in islice(made.waits(iter(chance).__next__), len(chance)):
        assert wait >= LEAST_WAIT_S
        assert wait >= (1 - factor) * interval * (1 - 1e-9)
        assert wait <= max(LEAST_WAIT_S, (1 + factor) * interval * (1 + 1e-9))
        interval = min(interval * multiplier, longest)


@pytest.mark.parametrize("error", [Permanent("bad"), Partial(1, "one was bad"), ZeroDivisionError()])
async def test_what_would_fail_again_is_not_sent_again(retry, clock, error) -> None:
    server = Server(clock, [error])

    with pytest.raises(type(error)):
        await retry()(server)
    assert server.asked == [0]


async def test_without_it_a_failure_is_told_at_once(retry, clock) -> None:
    server = Server(clock, [away(7)])

    with pytest.raises(Retryable) as told:
        await retry(enabled=False)(server)
    assert told.value.retry_after == 7


@pytest.mark.parametrize(
    ("retry_after", "given_up_at"), [(None, 40), (200, 0)], ids=["its own schedule", "a server that wants longer"]
)
async def test_it_is_given_up_before_a_wait_that_would_be_too_long(retry, clock, retry_after, given_up_at) -> None:
    server = Server(clock, [away(retry_after)] * 100)
    call = asyncio.create_task(retry(max_elapsed_time="1m")(server))
    await passing(clock, call, 100)

    with pytest.raises(Retryable, match="not delivered within 1m: away") as told:
        await asyncio.wait_for(call, 10)
    assert told.value.retry_after == retry_after
    assert server.asked[-1] == pytest.approx(given_up_at, abs=3)


async def test_zero_is_for_ever(retry, clock) -> None:
    server = Server(clock, [away()] * 100)
    call = asyncio.create_task(retry(max_elapsed_time="0s")(server))
    await passing(clock, call, 4000)

    await call
    assert len(server.asked) == 101


async def test_a_caller_that_leaves_ends_its_wait(retry, clock) -> None:
    server = Server(clock, [away()] * 100)
    call = asyncio.create_task(retry()(server))
    await clock.advance(0)
    call.cancel()
    await clock.advance(100)

    assert call.cancelled()
    assert server.asked == [0]


async def test_at_the_end_who_waits_is_told_why_it_was_not_delivered(retry, clock) -> None:
    made = retry()
    call = asyncio.create_task(made(Server(clock, [away()] * 100)))
    await clock.advance(1)
    made.stop()

    with pytest.raises(Retryable, match="shutting down; it was not delivered: away"):
        await asyncio.wait_for(call, 10)


async def test_failures_are_counted_and_make_the_component_ill(retry, clock, telemetry) -> None:
    made = retry()
    call = asyncio.create_task(made(Server(clock, [away()] * 2)))
    await passing(clock, call, 100)

    await call
    assert made.failures.value == 2
    assert (telemetry.health.status, telemetry.health.error) == (Status.RECOVERABLE_ERROR, "away")


@pytest.mark.parametrize(
    "options",
    [
        {"max_elapsed_time": "1s"},
        {"max_elapsed_time": "20s"},
        {"randomization_factor": 1.5},
        {"multiplier": -1},
        {"initial_interval": "-1s"},
    ],
)
def test_what_makes_no_sense_is_refused_as_by_the_collector(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**options)


@pytest.mark.parametrize("options", [{"enabled": False, "max_elapsed_time": "1s"}, {"max_elapsed_time": "0s"}])
def test_what_the_collector_takes_is_taken(options: dict[str, Any]) -> None:
    config(**options)


async def sending(telemetry: Telemetry, folder: Path, **options: Any) -> Sending:
    async def prepare(batch: Batch) -> Attempt:
        raise AssertionError(batch)

    made = Sending(SendingConfig.model_validate({"sending_queue": options}), telemetry, prepare)
    await made.open(FakeHost(folder))
    return made


@pytest.mark.parametrize(
    ("options", "at_once"), [({"num_consumers": 3}, 3), ({"enabled": False}, 20)], ids=["bounded", "no queue"]
)
async def test_so_many_of_a_signal_have_their_turn_at_once(telemetry, tmp_path, options, at_once) -> None:
    made = await sending(telemetry, tmp_path, **options)
    gate = asyncio.Event()
    inside = most = 0

    async def send(signal: Signal) -> None:
        nonlocal inside, most
        async with made.turn(signal):
            inside += signal is Signal.TRACES
            most = max(most, inside)
            await gate.wait()
            inside -= signal is Signal.TRACES

    calls = [asyncio.create_task(send(Signal.TRACES)) for _ in range(20)]
    await asyncio.sleep(0.01)
    gate.set()
    await asyncio.gather(*calls)
    assert most == at_once

    gate.clear()
    calls = [asyncio.create_task(send(Signal.TRACES)) for _ in range(20)]
    await asyncio.sleep(0)
    other = asyncio.create_task(send(Signal.LOGS))
    gate.set()
    await asyncio.wait_for(other, 10)
    await asyncio.gather(*calls)


async def test_the_end_waits_for_who_sends_and_turns_away_who_waits(telemetry, tmp_path) -> None:
    made = await sending(telemetry, tmp_path, num_consumers=1)
    gate, entered = asyncio.Event(), asyncio.Event()

    async def send() -> None:
        async with made.turn(Signal.LOGS):
            entered.set()
            await gate.wait()

    first = asyncio.create_task(send())
    await entered.wait()
    second = asyncio.create_task(send())
    await asyncio.sleep(0)
    closing = asyncio.create_task(made.close())
    await asyncio.sleep(0.01)
    assert not closing.done()

    gate.set()
    await asyncio.wait_for(closing, 10)
    await first
    with pytest.raises(Retryable):
        await second
    with pytest.raises(Retryable):
        await send()
    await made.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"storage": "file_storage", "wait_for_result": True}, "wait_for_result has no use with storage"),
        ({"num_consumers": 0}, "greater than or equal to 1"),
        ({"batch": {"min_size": 10, "max_size": 5}}, "max_size \\(5\\) is under min_size \\(10\\)"),
        ({"batch": {"min_size": 2000}, "sizer": "items"}, "is over queue_size"),
        ({"batch": {"sizer": "requests"}}, "sizer"),
    ],
)
def test_a_queue_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SendingQueueConfig.model_validate(options)
