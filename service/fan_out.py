"""One batch to several branches, each with its own acknowledgement."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b

from airis.component import ConsumeError, Consumer, Counter, Partial, Permanent, Retryable
from airis.data import Batch

RETRY_S = 5.0
"""How long a branch that refuses is tried again while another one has the batch already."""
FIRST_DELAY_S = 0.1
REMEMBER_S = 300.0
MOST_REMEMBERED = 4096

Outcome = BaseException | None


class FanOut:
    """Hands every batch to all branches at once and answers when the last one has.

    A branch that has taken a batch is not given it again because another one has not: the branch that refuses
    is tried again for some seconds, and when the sender is told to try again after all, what it sends again is
    known by its bytes and goes to the branches that miss it. (Bytes that a batch processor joined with others
    are new: `torn` counts the items that some branches have and whose sender was told to send again.)

    What a sender is told is the worst that happened: that it should try again, if any branch says so;
    that the batch is at fault, if any says that; else the largest number of rejected items.
    """

    def __init__(
        self,
        branches: Sequence[Consumer],
        torn: Counter | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.branches = tuple(branches)
        self._torn = torn
        self._clock = clock
        self._sleep = sleep
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()

    async def consume(self, batch: Batch) -> None:
        """Hand over to all; no branch is cut short because another one failed."""
        known = self._recall(batch) if self._remembered else None
        outcomes: dict[int, Outcome] = dict(known.outcomes) if known else {}
        try:
            await self._offer(batch, outcomes)
        finally:
            # Also when the caller leaves: it will send again what it got no answer for.
            self._keep(batch, outcomes)
        _raise_worst(list(outcomes.values()))

    async def _offer(self, batch: Batch, outcomes: dict[int, Outcome]) -> None:
        """Fill in the outcome of every branch that has none."""
        give_up = self._clock() + RETRY_S
        delay = FIRST_DELAY_S
        while True:
            await asyncio.gather(
                *(
                    self._hand_over(batch, place, branch, outcomes)
                    for place, branch in enumerate(self.branches)
                    if place not in outcomes or isinstance(outcomes[place], Retryable)
                )
            )
            asked = [error.retry_after or 0.0 for error in outcomes.values() if isinstance(error, Retryable)]
            if not asked or len(asked) == len(outcomes):
                return
            wait = max(delay, *asked)
            if self._clock() + wait > give_up:
                return
            await self._sleep(wait)
            delay *= 2

    async def _hand_over(self, batch: Batch, place: int, branch: Consumer, outcomes: dict[int, Outcome]) -> None:
        outcomes.pop(place, None)
        try:
            await branch.consume(batch)
        except Exception as error:
            outcomes[place] = error
        else:
            outcomes[place] = None

    def _recall(self, batch: Batch) -> "_Remembered | None":
        now = self._clock()
        while self._remembered and next(iter(self._remembered.values())).until < now:
            self._remembered.popitem(last=False)
        return self._remembered.pop(_digest(batch), None)

    def _keep(self, batch: Batch, outcomes: dict[int, Outcome]) -> None:
        """Remember who has a batch that will come again."""
        done = {place: error for place, error in outcomes.items() if not _comes_again(error)}
        if not done or len(done) == len(self.branches):
            return
        if self._torn is not None:
            self._torn.add(batch.items)
        self._remembered[_digest(batch)] = _Remembered(done, self._clock() + REMEMBER_S)
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)


class _Remembered:
    """The branches that have answered a batch for good, for so long."""

    __slots__ = ("outcomes", "until")

    def __init__(self, outcomes: dict[int, Outcome], until: float) -> None:
        self.outcomes = outcomes
        self.until = until


def _comes_again(error: Outcome) -> bool:
    return error is not None and not isinstance(error, Permanent | Partial)


def _digest(batch: Batch) -> bytes:
    return blake2b(batch.payload, digest_size=16, person=batch.signal.value.encode()).digest()


def _raise_worst(outcomes: Sequence[Outcome]) -> None:
    errors = [outcome for outcome in outcomes if outcome is not None]
    for error in errors:
        if not isinstance(error, ConsumeError):
            raise error
    retryable = [e for e in errors if isinstance(e, Retryable)]
    if retryable:
        raise max(retryable, key=lambda e: e.retry_after or 0)
    for error in errors:
        if isinstance(error, Permanent):
            raise error
    partial = [e for e in errors if isinstance(e, Partial)]
    if partial:
        raise max(partial, key=lambda e: e.rejected)
