"""Which group is tried next while some fail, and which of them is at fault itself.

A destination that takes others while one group is refused again and again tells that this group is at fault; one that
takes nobody is away. Nobody knows which of the two it is before somebody else was let go first.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from airis.component.errors import Retryable, Throttled

G = TypeVar("G")

PATIENCE = 3
"""So often a group fails while the others wait behind it; from then on they go first."""
WINDOW = 64
"""So many groups are tried one behind another, of which none goes through, before the destination is away for certain
and no further ones are taken out of their order."""
FAILURES_TO_CUT = 3
"""A group that failed so often, others going through each time, is cut in two: which half it is costs nothing."""
FAILURES_TO_CONDEMN = 10
"""And what cannot be cut any more is at fault from so many failures on, if `MOST_CHANCE` holds as well."""
LONGEST_LOOK_S = 1.0
"""For what comes into the queue, since somebody's time may come meanwhile."""
MOST_CHANCE = 1e-9
"""That what is as good as the others failed as often by mere chance, at the rate at which they fail."""


@dataclass(slots=True, eq=False)
class Suspect(Generic[G]):
    """A group that is tried, and how it went."""

    group: G
    waits: Iterator[float]
    passed_before: int
    """Groups that had gone through when it began, and when it failed the last time."""
    passed_at_start: int
    failed_at_start: int
    failures: int = 0
    """How often it failed while others went through."""
    throttled: int = 0
    """Of those, for no fault of its own."""
    own_failures: int = 0
    """Counted among those of all."""
    due: float = 0.0
    is_held: bool = False
    """Whether others are let go first."""
    is_under_way: bool = True

    @property
    def looks_guilty(self) -> bool:
        """Whether others went through where it did not."""
        return self.is_held and self.failures > 0


class Suspects(Generic[G]):
    """The groups of one queue that are under way. It decides, and waits for nobody."""

    def __init__(self, clock: Callable[[], float], waits: Callable[[], Iterator[float]]) -> None:
        """`waits` gives the seconds between the attempts of one group."""
        self._clock = clock
        self._new_waits = waits
        self._tried: dict[int, Suspect[G]] = {}
        """By the identity of the group, oldest first."""
        self._passed = 0
        self._failed = 0
        """Attempts of groups that are not held."""
        self._failures_in_a_row = 0
        """Since anything went through."""
        self._waits = waits()
        self._due = 0.0
        """While nothing goes through: when somebody is tried again."""
        self._scout: Suspect[G] | None = None
        """While nothing goes through: the one that is tried."""
        self._is_fetching = False
        """While nothing goes through: whether one is being taken from the queue to be tried."""
        self._is_turn_of_others = True
        self._rotation = 0

    @property
    def held(self) -> list[Suspect[G]]:
        """Those that others go before, oldest first."""
        return [suspect for suspect in self._tried.values() if suspect.is_held]

    @property
    def is_away(self) -> bool:
        """Whether nobody has gone through since some began to be held."""
        return self._failures_in_a_row >= PATIENCE and any(s.is_held for s in self._tried.values())

    def begin(self, group: G) -> Suspect[G]:
        """A group was taken from the queue; while nothing goes through it is the one that is tried."""
        suspect = Suspect(group, self._new_waits(), self._passed, self._passed, self._failed)
        self._tried[id(group)] = suspect
        self._is_turn_of_others = self._is_fetching = False
        if self.is_away:
            self._scout = suspect
        return suspect

    def end(self, suspect: Suspect[G]) -> None:
        """It came to its end, whatever it was, or is somebody else's again."""
        self._tried.pop(id(suspect.group), None)
        if self._scout is suspect:
            self._scout = None

    # What is tried next

    def next(self) -> Suspect[G] | None:
        """One that is held, and whose turn it is; it is under way then."""
        now = self._clock()
        waiting = [suspect for suspect in self.held if not suspect.is_under_way]
        if not waiting:
            return None
        if self.is_away:
            if not self._may_try or self._is_turn_of_others_too:
                return None
            chosen = self._scout = self._rotated(waiting)
        else:
            due = [suspect for suspect in waiting if suspect.due <= now]
            innocent = [suspect for suspect in due if not suspect.looks_guilty]
            if not innocent and self._is_turn_of_others:
                return None
            if not due:
                return None
            chosen = (innocent or due)[0]
            self._is_turn_of_others = True
        chosen.is_under_way = True
        return chosen

    @property
    def lets_others_in(self) -> bool:
        """Whether a group may be taken from the queue."""
        return not self.is_away or (self._may_try and self._is_turn_of_others_too)

    @property
    def _may_try(self) -> bool:
        """While nothing goes through: whether it is time for somebody."""
        return self._scout is None and not self._is_fetching and self._clock() >= self._due

    @property
    def _is_turn_of_others_too(self) -> bool:
        return self._is_turn_of_others and len(self.held) < WINDOW

    def fetch(self) -> float:
        """A group is being taken from the queue: how many seconds may be waited for one."""
        wait = self.wait_s()
        self._is_fetching = self.is_away
        return LONGEST_LOOK_S if wait is None else min(wait, LONGEST_LOOK_S)

    def nobody_came(self) -> None:
        """There was nothing in the queue: the turn is that of the held ones."""
        if self._is_fetching:
            self._due = max(self._due, min((s.due for s in self.held if not s.is_under_way), default=0.0))
        self._is_turn_of_others = self._is_fetching = False

    def wait_s(self) -> float | None:
        """Until somebody's time comes; None where a change has to be waited for."""
        waiting = [suspect.due for suspect in self.held if not suspect.is_under_way]
        if not waiting or (self.is_away and (self._scout is not None or self._is_fetching)):
            return None
        return max(0.0, (self._due if self.is_away else min(waiting)) - self._clock())

    def _rotated(self, waiting: list[Suspect[G]]) -> Suspect[G]:
        """Every second time the oldest, in between the others in turn: one of them may be good, and the oldest not."""
        self._rotation += 1
        if self._rotation % 2 or len(waiting) == 1:
            return waiting[0]
        return waiting[1 + self._rotation // 2 % (len(waiting) - 1)]

    # What became of an attempt

    def patience(self, suspect: Suspect[G]) -> int:
        """How often it may fail before it is held (again)."""
        return 1 if suspect.is_held or self._scout is suspect else PATIENCE

    def passed(self) -> None:
        """The destination took something."""
        self._passed += 1
        self.answered()

    def answered(self) -> None:
        """The destination is there: it took something, or refused it for good."""
        if self.is_away:
            now = self._clock()
            for suspect in self.held:
                suspect.due = now  # in order, and before those that came later
            self._waits = self._new_waits()
        self._failures_in_a_row = 0
        self._scout = None

    def failed(self, suspect: Suspect[G], error: Retryable) -> None:
        """An attempt failed, for now."""
        self._failures_in_a_row += 1
        if not suspect.is_held:
            self._failed += 1
            suspect.own_failures += 1
        if self._passed > suspect.passed_before:
            suspect.failures += 1
            suspect.throttled += isinstance(error, Throttled)
        suspect.passed_before = self._passed

    def hold(self, suspect: Suspect[G], error: Retryable) -> float:
        """Let others go first; gives the seconds until it is tried again."""
        was_away = self.is_away
        now, asked = self._clock(), error.retry_after or 0.0
        wait = max(next(suspect.waits), asked)
        suspect.is_held, suspect.is_under_way, suspect.due = True, False, now + wait
        is_scout = self._scout is suspect
        if is_scout:
            self._scout = None
        if self.is_away:
            if not was_away:
                # Somebody else is asked at once, unless the destination said when.
                self._due, self._is_turn_of_others = now + asked, True
            elif is_scout:
                self._due = now + max(next(self._waits), asked)
                self._is_turn_of_others = not self._is_turn_of_others
        return wait

    def is_at_fault(self, suspect: Suspect[G]) -> bool:
        """Whether a group that failed, and cannot be cut, has had its chances."""
        passed = self._passed - suspect.passed_at_start
        failed = self._failed - suspect.failed_at_start - suspect.own_failures
        rate = (failed + 1) / (passed + failed + 2)
        # Who says how much is too much has nothing against the group; smaller parts may be what it wants.
        failures = suspect.failures - suspect.throttled
        is_enough = min(failures, passed) >= FAILURES_TO_CONDEMN
        return is_enough and failures * math.log(rate) <= math.log(MOST_CHANCE)

    def start_over(self, suspect: Suspect[G]) -> None:
        """What is tried of it from now on is a smaller part."""
        suspect.failures = suspect.throttled = suspect.own_failures = 0
        suspect.passed_at_start, suspect.failed_at_start = self._passed, self._failed
