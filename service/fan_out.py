"""One batch to several branches, each with its own acknowledgement."""

import asyncio
import time
from collections import Counter as Numbers
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from airis.component import ConsumeError, Consumer, Counter, Partial, Permanent, Retryable
from airis.data import Batch

RETRY_S = 5.0
"""How long a branch that refuses is tried again while another one has the batch already."""
FIRST_DELAY_S = 0.1
REMEMBER_S = 300.0
MOST_REMEMBERED = 4096

Outcome = BaseException | None
Outcomes = dict[Hashable, Outcome]
"""By branch."""


@dataclass(slots=True)
class Copies:
    """How the branches differ from what the source was acknowledged for, by branch."""

    ahead: Numbers[Hashable] = field(default_factory=Numbers[Hashable])
    """Items that a branch took and no sender was told to be taken, for want of another branch."""


class FanOut:
    """Hands every batch to all branches at once and answers when the last one has.

    A branch that has taken a batch is not given it again because another one has not: the branch that refuses
    is tried again for some seconds, and when the sender is told to try again after all, what it sends again is
    known by its bytes and goes to the branches that miss it. The same bytes from somebody who is still waiting are not
    taken for a repetition: two senders may say the same, and what is lost is worse than what comes twice. (Bytes
    that a batch processor joined with others are new: `torn` counts the items that some branches have and whose
    sender was told to send again.)

    What a sender is told is the worst that happened: that it should try again, if any branch says so; that
    something is broken here; that the batch is at fault; else the largest number of rejected items.
    """

    def __init__(
        self,
        branches: Mapping[Hashable, Consumer],
        torn: Counter | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        copies: Copies | None = None,
    ) -> None:
        """`copies` is filled in, for the ledger."""
        self.branches = dict(branches)
        self._torn = torn
        self._clock = clock
        self._sleep = sleep
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()
        self.copies = copies or Copies()

    def retarget(self, branches: Mapping[Hashable, Consumer]) -> None:
        """Hand on to these from now on; what those of the same name have is remembered."""
        self.branches = dict(branches)

    async def consume(self, batch: Batch) -> None:
        """Hand over to all; no branch is cut short because another one failed."""
        outcomes = self._recall(batch) if self._remembered else {}
        told = 0
        try:
            await self._offer(batch, outcomes)
            told = _acknowledged(outcomes, batch)
        finally:
            for name, outcome in outcomes.items():
                self.copies.ahead[name] += _taken(outcome, batch) - told
            # Also when the caller leaves: it will send again what it got no answer for.
            self._keep(batch, outcomes)
        _raise_worst(outcomes)

    async def _offer(self, batch: Batch, outcomes: Outcomes) -> None:
        """Fill in the outcome of every branch that has none."""
        give_up = self._clock() + RETRY_S
        delay = FIRST_DELAY_S
        while True:
            await asyncio.gather(
                *(
                    self._hand_over(batch, name, branch, outcomes)
                    for name, branch in self.branches.items()
                    if name not in outcomes or isinstance(outcomes[name], Retryable)
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

    async def _hand_over(self, batch: Batch, name: Hashable, branch: Consumer, outcomes: Outcomes) -> None:
        outcomes.pop(name, None)
        try:
            await branch.consume(batch)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            outcomes[name] = Retryable("it was cut short")
        except Exception as error:
            outcomes[name] = error
        else:
            outcomes[name] = None

    def _recall(self, batch: Batch) -> Outcomes:
        now = self._clock()
        while self._remembered and next(iter(self._remembered.values())).until < now:
            self._remembered.popitem(last=False)
        known = self._remembered.pop(_exactly(batch), None)
        if known is None:
            return {}
        outcomes = {name: error for name, error in known.outcomes.items() if name in self.branches}
        for name, outcome in outcomes.items():
            self.copies.ahead[name] -= _taken(outcome, batch)
        return outcomes

    def _keep(self, batch: Batch, outcomes: Outcomes) -> None:
        """Remember who has a batch that will come again."""
        done = {name: _alone(error) for name, error in outcomes.items() if not _comes_again(error)}
        if not done or len(done) == len(self.branches):
            return
        if self._torn is not None:
            self._torn.add(batch.items)
        self._remembered[_exactly(batch)] = _Remembered(done, self._clock() + REMEMBER_S)
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)


class _Remembered:
    """The branches that have answered a batch for good, for so long."""

    __slots__ = ("outcomes", "until")

    def __init__(self, outcomes: Outcomes, until: float) -> None:
        self.outcomes = outcomes
        self.until = until


def _taken(outcome: Outcome, batch: Batch) -> int:
    """Items that a branch has."""
    if isinstance(outcome, Partial):
        return batch.items - min(outcome.rejected, batch.items)
    return batch.items if outcome is None else 0


def _acknowledged(outcomes: Outcomes, batch: Batch) -> int:
    """Items that the sender is told to be taken, which is what the branch has that took least."""
    return min((_taken(outcome, batch) for outcome in outcomes.values()), default=batch.items)


def _comes_again(error: Outcome) -> bool:
    return error is not None and not isinstance(error, Permanent | Partial)


def _alone(error: Outcome) -> Outcome:
    """The outcome without its traceback, which would keep the batch in memory."""
    if isinstance(error, Partial):
        return Partial(error.rejected, error.reason)
    return None if error is None else Permanent(str(error))


def _sender(batch: Batch) -> tuple[Hashable, ...]:
    origin = batch.origin
    known = tuple(sorted(origin.metadata.items())), tuple(sorted(origin.auth.items()))
    return (origin.receiver, origin.tenant, *known)


def _exactly(batch: Batch) -> bytes:
    digest = blake2b(digest_size=16, person=batch.signal.value.encode())
    digest.update(repr(_sender(batch)).encode(errors="surrogateescape"))
    digest.update(batch.payload)
    return digest.digest()


def _raise_worst(outcomes: Outcomes) -> None:
    errors = [outcome for outcome in outcomes.values() if outcome is not None]
    retryable = [e for e in errors if isinstance(e, Retryable)]
    if retryable:
        raise max(retryable, key=lambda e: e.retry_after or 0)
    for error in errors:
        if not isinstance(error, ConsumeError):
            raise error
    for error in errors:
        if isinstance(error, Permanent):
            raise error
    partial = [e for e in errors if isinstance(e, Partial)]
    if partial:
        raise max(partial, key=lambda e: e.rejected)
