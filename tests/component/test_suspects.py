"""Who is tried next while some fail, and who is at fault: decided without a clock, a queue or a destination."""

from collections.abc import Iterator
from itertools import pairwise, repeat

import pytest

from airis.component import Retryable, Throttled
from airis.component.sending.suspects import (
    FAILURES_TO_CONDEMN,
    FAILURES_TO_CUT,
    PATIENCE,
    WINDOW,
    Suspect,
    Suspects,
)
from airis.component.testing import ManualClock

LATER = Retryable("later")
WAIT_S = 5.0


class Group:
    """Something with an identity."""


class Table:
    """Suspects with waits that are always the same."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.suspects: Suspects[Group] = Suspects(self.clock, self._waits)

    def _waits(self) -> Iterator[float]:
        return repeat(WAIT_S)

    def fresh(self) -> Suspect[Group]:
        self.suspects.fetch()
        return self.suspects.begin(Group())

    def fail(self, suspect: Suspect[Group], error: Retryable = LATER) -> None:
        """As often as it may before it is held."""
        for _ in range(self.suspects.patience(suspect)):
            self.suspects.failed(suspect, error)
        self.suspects.hold(suspect, error)

    def pass_(self, suspect: Suspect[Group]) -> None:
        self.suspects.passed()
        self.suspects.end(suspect)


@pytest.fixture
def table() -> Table:
    return Table()


def test_one_that_fails_keeps_its_place_for_a_while(table: Table):
    assert table.suspects.patience(table.fresh()) == PATIENCE


def test_then_another_is_asked_at_once_whether_the_destination_is_there(table: Table):
    table.fail(table.fresh())
    assert table.suspects.is_away
    assert table.suspects.lets_others_in
    assert table.suspects.next() is None
    scout = table.fresh()
    assert table.suspects.patience(scout) == 1
    assert not table.suspects.lets_others_in
    assert table.suspects.next() is None


def test_but_not_before_the_time_that_the_destination_asked_for(table: Table):
    table.fail(table.fresh(), Retryable("later", 60.0))
    assert not table.suspects.lets_others_in
    assert table.suspects.wait_s() == 60
    table.clock.now = 60
    assert table.suspects.lets_others_in


def test_while_nobody_goes_through_there_is_one_attempt_after_each_wait(table: Table):
    table.fail(table.fresh())
    attempts = 0
    for second in range(1, 1000):
        table.clock.now = float(second)
        suspect = table.suspects.next() or (table.fresh() if table.suspects.lets_others_in else None)
        if suspect is not None:
            attempts += 1
            table.fail(suspect)
        assert len(table.suspects.held) <= WINDOW
    assert attempts == pytest.approx(1000 / WAIT_S, abs=2)


def test_and_each_that_is_held_has_its_turn(table: Table):
    table.fail(table.fresh())
    seen: set[int] = set()
    for second in range(1, 2000):
        table.clock.now = float(second)
        suspect = table.suspects.next()
        if suspect is not None:
            seen.add(id(suspect))
        elif table.suspects.lets_others_in:
            suspect = table.fresh()
        if suspect is not None:
            table.fail(suspect)
    assert seen == {id(suspect) for suspect in table.suspects.held}
    assert len(seen) == WINDOW


def test_when_it_is_back_they_go_in_order_before_all_that_came_later(table: Table):
    for _ in range(4):
        table.clock.now += WAIT_S
        while (again := table.suspects.next()) is not None:
            table.fail(again)
            table.clock.now += WAIT_S
        table.fail(table.fresh())
    held = table.suspects.held
    table.clock.now += WAIT_S
    first = table.suspects.next() or table.fresh()
    table.pass_(first)
    order: list[Suspect[Group]] = []
    while (suspect := table.suspects.next()) is not None:
        order.append(suspect)
        table.pass_(suspect)
    assert order == [suspect for suspect in held if suspect is not first]


def test_one_that_fails_where_others_pass_has_every_second_turn_at_most(table: Table):
    bad = table.fresh()
    table.fail(bad)
    tried: list[bool] = []
    for _ in range(40):
        table.clock.now += WAIT_S
        suspect = table.suspects.next()
        tried.append(suspect is bad)
        if suspect is None:
            table.pass_(table.fresh())
        else:
            table.fail(suspect)
    assert not any(a and b for a, b in pairwise(tried))
    assert tried.count(True) >= 15


def rate_after(table: Table, suspect: Suspect[Group], *, passes: int, failures: int) -> int:
    """Failures until it is at fault, others passing and failing so often in between."""
    for count in range(1, 1000):
        for _ in range(failures):
            table.fail(table.fresh())
        for _ in range(passes):
            table.pass_(table.fresh())
        table.suspects.failed(suspect, LATER)
        if table.suspects.is_at_fault(suspect):
            return count
    return 1000


def held(table: Table) -> Suspect[Group]:
    suspect = table.fresh()
    table.fail(suspect)
    return suspect


def test_it_is_at_fault_when_it_failed_so_often_while_others_went_through(table: Table):
    assert rate_after(table, held(table), passes=2, failures=0) == FAILURES_TO_CONDEMN
    assert FAILURES_TO_CUT < FAILURES_TO_CONDEMN


def test_where_others_fail_as_well_it_takes_more_than_chance(table: Table):
    """A destination that refuses every second time refuses a good group ten times behind one another now and then."""
    assert rate_after(table, held(table), passes=3, failures=1) >= 2 * FAILURES_TO_CONDEMN


def test_a_destination_that_is_away_makes_nobody_guilty(table: Table):
    suspect = held(table)
    for _ in range(1000):
        table.suspects.failed(suspect, LATER)
    assert suspect.failures == 0
    assert not table.suspects.is_at_fault(suspect)


def test_throttling_makes_nobody_guilty(table: Table):
    suspect = held(table)
    for _ in range(1000):
        table.pass_(table.fresh())
        table.suspects.failed(suspect, Throttled("429", 1.0))
    assert suspect.failures >= FAILURES_TO_CUT
    assert not table.suspects.is_at_fault(suspect)


def test_while_one_is_being_fetched_the_others_wait_for_what_comes_of_it(table: Table):
    """Not for a time that has come already: they would look again and again."""
    table.fail(table.fresh())
    assert table.suspects.is_away
    table.clock.now += WAIT_S
    table.suspects.fetch()
    assert table.suspects.next() is None
    assert not table.suspects.lets_others_in
    assert table.suspects.wait_s() is None
    table.suspects.nobody_came()
    assert table.suspects.next() is not None
