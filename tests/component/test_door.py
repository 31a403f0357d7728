"""The door of a server: decisions are asked for once, remembered within bounds, and forgotten when they end."""

import asyncio

import pytest
from structlog.testing import capture_logs

from airis.component import Kind, Metrics, Telemetry, door
from airis.component.authentication import ANYBODY, Credentials, Forbidden, Identity, Unauthenticated, Undecided
from airis.component.door import DECIDE_S, DENIED_S, MAX_ADMITTED, MAX_DENIED, Door
from airis.component.testing import ManualClock

from ..authenticators import Known, named


def made(authenticator: Known, clock: ManualClock | None = None) -> Door:
    return Door(authenticator, Telemetry(Kind.RECEIVER, "otlp", Metrics()), clock or ManualClock())


def with_(value: str) -> Credentials:
    return {"authorization": (value,)}


async def test_a_decision_is_remembered_whichever_it_is() -> None:
    known = Known(a=named("a"), f=Forbidden("not here"))
    at = made(known)
    for _ in range(2):
        assert (await at.decide(with_("a"))).identity == named("a")
        assert isinstance((await at.decide(with_("f"))).denied, Forbidden)
        assert isinstance((await at.decide(with_("x"))).denied, Unauthenticated)
    assert known.asked == ["a", "f", "x"]


async def test_of_many_that_bring_the_same_it_is_asked_once_and_who_leaves_does_not_undo_it() -> None:
    known = Known(a=named("a"))
    known.gate.clear()
    at = made(known)
    callers = [asyncio.create_task(at.decide(with_("a"))) for _ in range(20)]
    await known.until_asked(1)
    callers.pop(0).cancel()
    await asyncio.sleep(0)
    known.gate.set()
    assert [decision.identity for decision in await asyncio.gather(*callers)] == [named("a")] * 19
    assert known.asked == ["a"]


async def test_it_is_forgotten_after_its_time_and_a_wrong_one_after_ours() -> None:
    clock, known = ManualClock(), Known(a=named("a", valid_s=30.0))
    at = made(known, clock)
    for passed, asked in [(0.0, 1), (29.0, 1), (2.0, 2)]:
        await clock.advance(passed)
        await at.decide(with_("a"))
        assert known.asked.count("a") == asked
    await at.decide(with_("x"))
    await clock.advance(DENIED_S - 1)
    await at.decide(with_("x"))
    assert known.asked.count("x") == 1
    await clock.advance(2)
    known.known["x"] = ANYBODY
    assert (await at.decide(with_("x"))).identity is ANYBODY


async def test_after_a_change_all_are_asked_about_again_and_what_was_being_decided_is_not_kept() -> None:
    known = Known(a=named("a"), b=named("b"))
    at = made(known)
    await at.decide(with_("a"))
    known.gate.clear()
    deciding = asyncio.create_task(at.decide(with_("b")))
    await known.until_asked(2)
    known.changed()
    known.gate.set()
    await deciding
    await at.decide(with_("a"))
    await at.decide(with_("b"))
    assert known.asked == ["a", "b", "a", "b"]


async def test_who_comes_after_a_change_does_not_get_what_was_decided_before_it() -> None:
    known = Known(a=named("a"))
    at = made(known)
    known.gate.clear()
    before = asyncio.create_task(at.decide(with_("a")))
    await known.until_asked(1)
    known.changed()
    after = asyncio.create_task(at.decide(with_("a")))
    async with asyncio.timeout(10):
        await known.until_asked(2)
    known.gate.set()
    await asyncio.gather(before, after)
    await at.decide(with_("a"))
    assert known.asked == ["a", "a"]


async def test_a_flood_of_wrong_ones_takes_a_bounded_space_and_does_not_push_right_ones_out() -> None:
    known = Known(a=named("a"))
    at = made(known)
    await at.decide(with_("a"))
    for number in range(MAX_DENIED + 100):
        await at.decide(with_(f"wrong {number}"))
    assert (await at.decide(with_("a"))).identity == named("a")
    assert known.asked.count("a") == 1
    assert len(at._refused) == MAX_DENIED


async def test_right_ones_are_bounded_too_and_the_last_used_stay() -> None:
    known = Known(**{f"u{number}": ANYBODY for number in range(MAX_ADMITTED + 1)})
    at = made(known)
    for number in range(MAX_ADMITTED + 1):
        await at.decide(with_(f"u{number}"))
        await at.decide(with_("u0"))
    assert known.asked.count("u0") == 1
    assert len(at._admitted) == MAX_ADMITTED
    await at.decide(with_("u1"))
    assert known.asked.count("u1") == 2


async def test_when_too_many_are_asked_about_others_are_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MAX_ASKED", 3)
    known = Known(a=named("a"))
    known.gate.clear()
    at = made(known)
    waiting = [asyncio.create_task(at.decide(with_(str(number)))) for number in range(3)]
    await known.until_asked(3)
    assert isinstance((await at.decide(with_("a"))).denied, Undecided)
    known.gate.set()
    await asyncio.gather(*waiting)
    assert (await at.decide(with_("a"))).identity == named("a")


async def test_what_is_undecided_is_not_remembered() -> None:
    known = Known(a=Undecided("the server of keys is away"))
    at = made(known)
    assert isinstance((await at.decide(with_("a"))).denied, Undecided)
    known.known["a"] = named("a")
    assert (await at.decide(with_("a"))).identity == named("a")


async def test_an_authenticator_that_fails_lets_nobody_in_and_its_words_are_not_logged() -> None:
    class Failing(Known):
        async def authenticate(self, credentials: Credentials) -> Identity:
            raise RuntimeError(f"cannot look up {credentials}")

    with capture_logs() as logged:
        decision = await made(Failing()).decide(with_("hush"))
    assert isinstance(decision.denied, Undecided)
    assert [entry["fault"] for entry in logged] == ["RuntimeError"]
    assert "hush" not in repr(logged) + decision.denied.reason


async def test_a_decision_takes_no_longer_than_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "DECIDE_S", 0.0)
    known = Known(a=named("a"))
    known.gate.clear()
    assert isinstance((await made(known).decide(with_("a"))).denied, Undecided)
    assert DECIDE_S > 0


async def test_who_waits_when_it_closes_is_told_to_come_again() -> None:
    known = Known(a=named("a"))
    known.gate.clear()
    at = made(known)
    waiting = asyncio.create_task(at.decide(with_("a")))
    await known.until_asked(1)
    await at.close()
    assert isinstance((await waiting).denied, Undecided)
    assert not known.has_listeners


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("xy",), ("x", "y")),
        (("x", "y"), ("y", "x")),
        ((), ("",)),
        (("a",), ("a", "")),
    ],
)
async def test_different_credentials_are_never_taken_for_each_other(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    known = Known()
    at = made(known)
    await at.decide({"authorization": one})
    await at.decide({"authorization": other})
    assert len(known.asked) == 2
