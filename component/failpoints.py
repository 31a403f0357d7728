"""Faults on purpose at the points where data changes hands, for the tests of what then becomes of it.

``AIRIS_FAILPOINTS=wal.written=crash@3,journal.settled=EIO`` does something where a point of that name is passed:

- ``crash`` ends the process as kill -9 does;
- the name of an error number (``ENOSPC``, ``EIO``, …) raises that OSError;
- ``sleep:0.5`` stands still for so many seconds.

``@3`` is for the third time alone, ``@3+`` for the third and all later ones; without it each time counts. Unset, a
point is one look at an empty mapping.
"""

import errno
import os
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass

VARIABLE = "AIRIS_FAILPOINTS"
POINTS = (
    "wal.write",
    "wal.written",
    "wal.sync",
    "wal.synced",
    "wal.rotate",
    "wal.open",
    "wal.opened",
    "wal.complete",
    "wal.collect",
    "journal.took",
    "journal.settled",
    "journal.replace",
    "sending.sent",
    "sending.settled",
    "store.insert",
    "store.inserted",
)
"""All there are. Errors are for wal.write, wal.sync, wal.rotate and journal.replace, where the system may have one; the
others are for ends and waits."""


@dataclass(frozen=True, slots=True)
class Action:
    """What happens at a point, and at which of the times that it is passed."""

    what: str
    seconds: float = 0.0
    first: int = 1
    last: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Action":
        """Raises ValueError for what is no action."""
        what, _, when = text.partition("@")
        first = int(when.rstrip("+")) if when else 1
        last = first if when and not when.endswith("+") else None
        name, _, seconds = what.partition(":")
        if name == "sleep":
            return cls(name, float(seconds), first, last)
        if seconds or (name != "crash" and not hasattr(errno, name)):
            raise ValueError(f'"{text}" is no action; write crash, sleep:SECONDS, or an error such as EIO')
        return cls(name, 0.0, first, last)

    def act(self, name: str) -> None:
        """Do it."""
        if self.what == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.what == "sleep":
            time.sleep(self.seconds)
        else:
            number: int = getattr(errno, self.what)
            raise OSError(number, f"{os.strerror(number)} (failpoint {name})")


def parse(text: str) -> dict[str, Action]:
    """The actions by point; raises ValueError that says what is wrong."""
    found: dict[str, Action] = {}
    for each in filter(None, map(str.strip, text.split(","))):
        name, equals, action = each.partition("=")
        if name not in POINTS or not equals:
            raise ValueError(f'{VARIABLE}: "{each}" is not NAME=ACTION with a NAME of {", ".join(POINTS)}')
        try:
            found[name] = Action.parse(action)
        except ValueError as error:
            raise ValueError(f"{VARIABLE}: {name}: {error}") from error
    return found


_actions = parse(os.environ.get(VARIABLE, ""))
_passed: Counter[str] = Counter()
_lock = threading.Lock()


def passed(name: str) -> None:
    """Do what is asked for at a point; raises OSError where that is an error."""
    action = _actions.get(name) if _actions else None
    if action is None:
        return
    with _lock:
        _passed[name] += 1
        times = _passed[name]
    if action.first <= times and (action.last is None or times <= action.last):
        action.act(name)
