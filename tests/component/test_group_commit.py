"""Group commit: who waits for what, and who is told what."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis.component import Partial, Permanent, Retryable
from airis.component.group_commit import GroupCommit, Limits
from airis.component.testing import ManualClock
from airis.data import Batch, Signal


class Stage:
    """A stage behind that keeps the groups it was given, and is busy while its gate is closed."""

    def __init__(self) -> None:
        self.groups: list[list[bytes]] = []
        self.bad: dict[bytes, Exception] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.busy = asyncio.Event()

    async def __call__(self, batches: Sequence[Batch]) -> None:
        self.busy.set()
        await self.gate.wait()
        payloads = [batch.payload for batch in batches]
        self.groups.append(payloads)
        for payload in payloads:
            if payload in self.bad:
                raise self.bad[payload]


def batch(name: str) -> Batch:
    return Batch(Signal.LOGS, name.encode(), 1)


async def held(group: GroupCommit, *names: str) -> list[asyncio.Task[None]]:
    """Callers whose batches wait while the stage is busy with another one."""
    tasks = [asyncio.create_task(group.submit(batch(name))) for name in names]
    await asyncio.sleep(0)
    return tasks


async def busy_with_first(stage: Stage, limits: Limits = Limits()) -> tuple[GroupCommit, asyncio.Task[None]]:  # noqa: B008
    group = GroupCommit(stage, limits)
    stage.gate.clear()
    first = asyncio.create_task(group.submit(batch("first")))
    await stage.busy.wait()
    return group, first


async def test_batches_that_cannot_be_joined_go_one_after_the_other() -> None:
    group, first = await busy_with_first(stage := Stage())
    profiles = [Batch(Signal.PROFILES, name, items) for name, items in ((b"a", 0), (b"b", 0), (b"c", 3))]
    callers = [asyncio.create_task(group.submit(each)) for each in profiles]
    await asyncio.sleep(0)

    stage.gate.set()
    await asyncio.gather(first, *callers)

    assert stage.groups == [[b"first"], [b"a"], [b"b"], [b"c"]]


async def test_an_idle_stage_gets_a_batch_at_once() -> None:
    clock = ManualClock()
    group = GroupCommit(stage := Stage(), Limits(interval_s=10), clock, clock.sleep)

    await group.submit(batch("a"))

    assert stage.groups == [[b"a"]]
    assert clock.now == 0


async def test_what_comes_while_the_stage_is_busy_goes_together() -> None:
    stage = Stage()
    group, first = await busy_with_first(stage)
    others = await held(group, "b", "c", "d")

    stage.gate.set()
    await asyncio.gather(first, *others)

    assert stage.groups == [[b"first"], [b"b", b"c", b"d"]]


async def test_a_group_has_a_largest_size() -> None:
    stage = Stage()
    group, first = await busy_with_first(stage, Limits(items=2))
    others = await held(group, "b", "c", "d")

    stage.gate.set()
    await asyncio.gather(first, *others)

    assert stage.groups == [[b"first"], [b"b", b"c"], [b"d"]]


async def test_deliveries_are_no_more_frequent_than_asked() -> None:
    clock = ManualClock()
    group = GroupCommit(stage := Stage(), Limits(interval_s=0.1), clock, clock.sleep)
    await group.submit(batch("a"))
    waiting = await held(group, "b", "c")
    assert stage.groups == [[b"a"]]

    await clock.advance(0.1)
    await asyncio.gather(*waiting)

    assert stage.groups == [[b"a"], [b"b", b"c"]]


async def test_a_full_group_does_not_wait() -> None:
    clock = ManualClock()
    group = GroupCommit(stage := Stage(), Limits(items=2, interval_s=10), clock, clock.sleep)
    await group.submit(batch("a"))
    waiting = await held(group, "b")
    await asyncio.sleep(0)
    assert stage.groups == [[b"a"]]

    waiting += await held(group, "c")
    await asyncio.gather(*waiting)

    assert stage.groups == [[b"a"], [b"b", b"c"]]
    assert clock.now == 0


async def test_deliveries_take_no_more_than_their_share_of_the_time() -> None:
    clock = ManualClock()
    stage = Stage()
    group = GroupCommit(stage, Limits(share=0.25), clock, clock.sleep)
    stage.gate.clear()
    first = asyncio.create_task(group.submit(batch("a")))
    await stage.busy.wait()
    await clock.advance(0.2)
    stage.gate.set()
    await first
    waiting = await held(group, "b")

    await clock.advance(0.5)
    assert stage.groups == [[b"a"]]
    await clock.advance(0.2)
    await asyncio.gather(*waiting)
    assert stage.groups == [[b"a"], [b"b"]]


async def test_those_who_were_answered_together_go_together_again() -> None:
    clock = ManualClock()
    stage = Stage()
    group = GroupCommit(stage, Limits(), clock, clock.sleep)
    stage.gate.clear()
    first = await held(group, "a", "b")
    await stage.busy.wait()
    between = await held(group, "c")
    await clock.advance(1)
    stage.gate.set()
    await asyncio.gather(*first)

    back = await held(group, "a again")
    await clock.advance(0.04)
    back += await held(group, "b again")
    await clock.advance(0.04)
    assert stage.groups == [[b"a", b"b"]]
    await clock.advance(0.07)

    await asyncio.wait_for(asyncio.gather(*between, *back), 10)
    assert stage.groups == [[b"a", b"b"], [b"c", b"a again", b"b again"]]


async def test_who_comes_later_finds_an_idle_stage() -> None:
    clock = ManualClock()
    stage = Stage()
    group = GroupCommit(stage, Limits(), clock, clock.sleep)
    stage.gate.clear()
    first = await held(group, "a")
    await stage.busy.wait()
    await clock.advance(1)
    stage.gate.set()
    await asyncio.gather(*first)
    await clock.advance(0.26)
    now = clock.now

    await asyncio.wait_for(group.submit(batch("b")), 10)

    assert clock.now == now


async def test_nobody_waits_long_for_others_to_come_back() -> None:
    clock = ManualClock()
    stage = Stage()
    group = GroupCommit(stage, Limits(), clock, clock.sleep)
    stage.gate.clear()
    first = await held(group, "a")
    await stage.busy.wait()
    await clock.advance(1)
    stage.gate.set()
    await asyncio.gather(*first)

    waiting: list[asyncio.Task[None]] = []
    while len(stage.groups) == 1 and len(waiting) < 20:
        waiting += await held(group, f"{len(waiting)}")
        await clock.advance(0.04)

    assert 0.2 <= len(waiting) * 0.04 <= 0.3
    await asyncio.gather(*waiting)


async def test_after_a_delivery_that_hung_the_next_one_rests_a_second() -> None:
    clock = ManualClock()
    stage = Stage()
    group = GroupCommit(stage, Limits(share=0.5), clock, clock.sleep)
    stage.gate.clear()
    first = asyncio.create_task(group.submit(batch("a")))
    await stage.busy.wait()
    await clock.advance(15)
    stage.gate.set()
    await first
    waiting = await held(group, "b")

    await clock.advance(1.1)
    await asyncio.gather(*waiting)
    assert stage.groups == [[b"a"], [b"b"]]


async def test_a_bad_batch_does_not_refuse_the_good_ones_it_was_joined_with() -> None:
    stage = Stage()
    stage.bad[b"bad"] = Permanent("unreadable")
    group, first = await busy_with_first(stage)
    others = await held(group, "b", "bad", "d")

    stage.gate.set()
    outcomes = await asyncio.gather(first, *others, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [type(None), type(None), Permanent, type(None)]
    assert stage.groups[-3:] == [[b"b"], [b"bad"], [b"d"]]


@pytest.mark.parametrize("error", [Retryable("busy", 1.0), Partial(1, "old"), RuntimeError("bug")])
async def test_every_caller_of_a_group_is_told_its_outcome(error: Exception) -> None:
    stage = Stage()
    group, first = await busy_with_first(stage)
    stage.bad[b"b"] = error
    others = await held(group, "b", "c")

    stage.gate.set()
    outcomes = await asyncio.gather(first, *others, return_exceptions=True)

    assert outcomes == [None, error, error]


async def test_a_stage_that_takes_nothing_now_tells_all_who_wait_so() -> None:
    stage = Stage()
    group, first = await busy_with_first(stage, Limits(items=2))
    stage.bad[b"first"] = Retryable("busy", 1.0)
    others = await held(group, "b", "c", "d")

    stage.gate.set()
    outcomes = await asyncio.gather(first, *others, return_exceptions=True)

    assert outcomes == [stage.bad[b"first"]] * 4
    assert stage.groups == [[b"first"]]
    await group.submit(batch("e"))
    assert stage.groups == [[b"first"], [b"e"]]


async def test_what_the_good_ones_meet_on_their_own_is_told_to_the_rest() -> None:
    stage = Stage()
    stage.bad = {b"bad": Permanent("unreadable"), b"b": Retryable("busy")}
    group, first = await busy_with_first(stage)
    others = await held(group, "bad", "b", "c")

    stage.gate.set()
    outcomes = await asyncio.gather(first, *others, return_exceptions=True)

    assert outcomes == [None, stage.bad[b"bad"], stage.bad[b"b"], stage.bad[b"b"]]


async def test_a_delivery_that_came_to_nothing_does_not_count_in_the_share() -> None:
    clock = ManualClock()
    stage = Stage()
    stage.bad[b"a"] = Retryable("busy")
    group = GroupCommit(stage, Limits(share=0.25), clock, clock.sleep)
    stage.gate.clear()
    first = asyncio.create_task(group.submit(batch("a")))
    await stage.busy.wait()
    await clock.advance(8)
    stage.gate.set()
    with pytest.raises(Retryable):
        await first

    await asyncio.wait_for(group.submit(batch("b")), 10)

    assert stage.groups == [[b"a"], [b"b"]]
    assert clock.now == 8


async def test_what_callers_that_left_had_is_not_kept() -> None:
    stage = Stage()
    group, first = await busy_with_first(stage)
    others = await held(group, "b", "c")
    assert group.pending == 2

    for other in others:
        other.cancel()
    await asyncio.wait(others)

    assert group.pending == 0
    stage.gate.set()
    await first
    assert stage.groups == [[b"first"]]


async def test_a_caller_that_left_takes_nobody_along() -> None:
    stage = Stage()
    group, first = await busy_with_first(stage)
    gone, stays = await held(group, "gone", "stays")
    gone.cancel()

    stage.gate.set()
    await asyncio.gather(first, stays)

    assert stage.groups == [[b"first"], [b"stays"]]


async def test_close_waits_until_all_are_answered() -> None:
    stage = Stage()
    group, first = await busy_with_first(stage)
    others = await held(group, "b")
    closing = asyncio.create_task(group.close())
    await asyncio.sleep(0)
    assert not closing.done()

    stage.gate.set()
    await closing

    assert first.done()
    assert others[0].done()


class Lanes:
    """A stage behind that takes several groups at once, each until it is let go."""

    def __init__(self) -> None:
        self.under_way: dict[bytes, asyncio.Future[None]] = {}
        """By the first payload of each group."""
        self.groups: list[list[bytes]] = []
        self.changed = asyncio.Event()

    async def __call__(self, batches: Sequence[Batch]) -> None:
        payloads = [batch.payload for batch in batches]
        self.under_way[payloads[0]] = done = asyncio.get_running_loop().create_future()
        self.groups.append(payloads)
        self.changed.set()
        try:
            await done
        finally:
            del self.under_way[payloads[0]]

    async def end(self, first: bytes, error: Exception | None = None) -> None:
        """Let a group go, and give the others time to begin."""
        done = self.under_way[first]
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
        for _ in range(10):
            await asyncio.sleep(0)


async def flying(stage: Lanes, *names: str, in_flight: int = 2) -> tuple[GroupCommit, list[asyncio.Task[None]]]:
    """Groups of two at most; the first batch is under way by itself."""
    group = GroupCommit(stage, Limits(items=2, in_flight=in_flight))
    tasks = await held(group, names[0])
    await stage.changed.wait()
    for name in names[1:]:
        tasks += await held(group, name)
    for _ in range(10):
        await asyncio.sleep(0)
    return group, tasks


@pytest.mark.parametrize(
    ("names", "in_flight", "begun"),
    [
        ("ab", 2, ["a"]),
        ("abc", 1, ["a"]),
        ("abc", 2, ["a", "bc"]),
        ("abcde", 2, ["a", "bc"]),
        ("abcde", 3, ["a", "bc", "de"]),
        ("abcdefg", 3, ["a", "bc", "de"]),
    ],
    ids=["not full", "one at a time", "full", "two full", "room for both", "no room for more"],
)
async def test_a_further_delivery_begins_where_a_full_group_waits(names: str, in_flight: int, begun: list[str]) -> None:
    stage = Lanes()
    group, tasks = await flying(stage, *names, in_flight=in_flight)

    assert [b"".join(each).decode() for each in stage.groups] == begun

    while stage.under_way:
        await stage.end(next(iter(stage.under_way)))
    await asyncio.wait_for(asyncio.gather(*tasks, group.close()), 10)
    assert sorted(b"".join(payload for each in stage.groups for payload in each).decode()) == list(names)


async def test_what_came_at_once_begins_at_once() -> None:
    stage = Lanes()
    group = GroupCommit(stage, Limits(items=2, in_flight=2))
    tasks = await held(group, *"abcd")
    for _ in range(10):
        await asyncio.sleep(0)
    assert stage.groups == [[b"a", b"b"], [b"c", b"d"]]

    for first in (b"a", b"c"):
        await stage.end(first)
    await asyncio.wait_for(asyncio.gather(*tasks), 10)


async def test_what_is_less_than_full_waits_for_all_that_is_under_way() -> None:
    stage = Lanes()
    _, tasks = await flying(stage, "a", "b", "c", "d")

    await stage.end(b"a")
    assert stage.groups == [[b"a"], [b"b", b"c"]]
    await stage.end(b"b")
    assert stage.groups == [[b"a"], [b"b", b"c"], [b"d"]]
    await stage.end(b"d")
    await asyncio.wait_for(asyncio.gather(*tasks), 10)


async def test_who_comes_when_the_first_delivery_has_ended_waits_for_the_further_one() -> None:
    stage = Lanes()
    group, tasks = await flying(stage, "a", "b", "c")
    await stage.end(b"a")
    tasks += await held(group, "d")
    for _ in range(10):
        await asyncio.sleep(0)
    assert stage.groups == [[b"a"], [b"b", b"c"]]

    tasks += await held(group, "e")
    for _ in range(10):
        await asyncio.sleep(0)
    assert stage.groups == [[b"a"], [b"b", b"c"], [b"d", b"e"]]
    for first in (b"d", b"b"):
        await stage.end(first)
    await asyncio.wait_for(asyncio.gather(*tasks), 10)


async def test_a_group_at_fault_leaves_the_one_beside_it_alone() -> None:
    stage = Lanes()
    _, (first, good, bad) = await flying(stage, "a", "b", "bad")

    await stage.end(b"b", Permanent("unreadable"))
    await stage.end(b"b")
    await stage.end(b"bad", Permanent("unreadable"))
    assert not first.done()
    await stage.end(b"a")

    outcomes = await asyncio.gather(first, good, bad, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), type(None), Permanent]


async def test_where_one_of_several_is_told_to_come_back_those_who_wait_are_too() -> None:
    stage = Lanes()
    _, tasks = await flying(stage, "a", "b", "c", "d")

    await stage.end(b"b", Retryable("busy"))
    await stage.end(b"a")

    outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert [type(outcome) for outcome in outcomes] == [type(None), Retryable, Retryable, Retryable]


async def test_close_waits_for_all_that_is_under_way() -> None:
    stage = Lanes()
    group, tasks = await flying(stage, "a", "b", "c")
    closing = asyncio.create_task(group.close())
    await stage.end(b"a")
    assert not closing.done()

    await stage.end(b"b")
    await asyncio.wait_for(closing, 10)
    assert all(task.done() for task in tasks)


@given(
    sizes=st.lists(st.integers(1, 5), max_size=20),
    bad=st.sets(st.integers(0, 19)),
    limit=st.integers(1, 8),
    in_flight=st.integers(1, 3),
    turns=st.lists(st.integers(0, 3), max_size=20),
)
def test_every_batch_is_delivered_once_or_its_caller_is_told(
    sizes: list[int], bad: set[int], limit: int, in_flight: int, turns: list[int]
) -> None:
    async def run() -> None:
        stored: list[bytes] = []
        under_way = 0
        lengths = iter(turns)

        async def deliver(batches: Sequence[Batch]) -> None:
            nonlocal under_way
            under_way += 1
            assert under_way <= in_flight
            for _ in range(1 + next(lengths, 0)):
                await asyncio.sleep(0)
            under_way -= 1
            if any(int(b.payload) in bad for b in batches):
                raise Permanent("bad")
            stored.extend(b.payload for b in batches)

        group = GroupCommit(deliver, Limits(items=limit, in_flight=in_flight))
        batches = [Batch(Signal.LOGS, str(i).encode(), size) for i, size in enumerate(sizes)]
        outcomes = await asyncio.gather(*map(group.submit, batches), return_exceptions=True)

        good = [b.payload for i, b in enumerate(batches) if i not in bad]
        assert stored == good if in_flight == 1 else sorted(stored) == sorted(good)
        assert [o is None for o in outcomes] == [i not in bad for i in range(len(sizes))]

    asyncio.run(run())
