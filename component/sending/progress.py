"""What became of the parts of a group so far: nothing of it is counted before the group is settled.

What is not settled comes again after a crash, or with another exporter: it would be counted twice.
"""

from collections import Counter
from dataclasses import dataclass, field

from airis.component.errors import ConsumeError, Partial
from airis.data import Batch


@dataclass(slots=True)
class Progress:
    """By the ids of the parts, which are the same whenever the group is tried again."""

    done: set[bytes] = field(default_factory=set[bytes])
    """Parts that came to their end."""
    refused: dict[bytes, Exception] = field(default_factory=dict[bytes, Exception])
    """Parts that were refused for good, and are to be cut."""
    delivered: int = 0
    """Items."""
    given_up: Counter[str] = field(default_factory=Counter[str])
    """Items by reason."""
    error: Exception | None = None
    """Why, the last time."""

    @property
    def items(self) -> int:
        """Those that came to their end."""
        return self.delivered + self.given_up.total()

    def deliver(self, part: Batch, but: Partial | None = None) -> None:
        """A part was delivered, all of it or but for what was rejected."""
        self.done.add(part.id)
        rejected = min(but.rejected, part.items) if but else 0
        self.delivered += part.items - rejected
        self._note("rejected", rejected, but)

    def give_up(self, part: Batch, reason: str, error: Exception) -> None:
        """A part will never be delivered."""
        self.done.add(part.id)
        self._note(reason, part.items, error)

    def give_up_rest(self, items: int, reason: str, error: Exception) -> None:
        """What is left of so many items will never be delivered."""
        self._note(reason, max(0, items - self.items), error)

    def _note(self, reason: str, items: int, error: Exception | None) -> None:
        if items and error is not None:
            self.given_up[reason] += items
            self.error = error

    def outcome(self, items: int) -> Exception | None:
        """What senders of so many items are told who wait for it."""
        missed = self.given_up.total()
        if self.error is None or not missed:
            return None
        if missed >= items and not isinstance(self.error, Partial):
            return self.error
        return Partial(missed, reason_of(self.error))


def reason_of(error: Exception) -> str:
    """In words."""
    return error.reason if isinstance(error, ConsumeError) else f"{type(error).__name__}: {error}"
