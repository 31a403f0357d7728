"""Those who empty the queue of one signal: they try, try again, and settle what came to its end."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from airis.component import failpoints
from airis.component.errors import ConsumeError, Partial, Permanent, Retryable
from airis.component.occasional import Occasional
from airis.component.retry import Retry
from airis.component.sending import parts
from airis.component.sending.config import SendingQueueConfig
from airis.component.sending.destination import NOT_SENT, Destination
from airis.component.sending.outcomes import Outcomes
from airis.component.sending.progress import reason_of
from airis.component.sending.queue import Queue, Taken
from airis.component.sending.suspects import FAILURES_TO_CUT, Suspect, Suspects
from airis.component.telemetry import Telemetry
from airis.data import Batch, Signal

PAUSE_S = 1.0
"""After what must not happen, such as a log that cannot be read."""
HOPELESS_PARTS = 16
"""When so many parts of a batch are refused behind one another, the rest is not tried part by part."""


class _ToBeSplit(Exception):
    """A group of several batches was refused: a bad one must not take the good ones with it."""


class _ToBeCut(Permanent):
    """What failed while others went through, and has parts of which some may be good."""


class Consumers:
    """What they take from memory is delivered within the time for it, or given up.

    What they take from the disk is tried for as long as it takes; what fails while others go through is cut in parts,
    as is what is refused for good, and the part at fault is a dead letter.
    """

    def __init__(
        self,
        queue: Queue,
        signal: Signal,
        config: SendingQueueConfig,
        destination: Destination,
        retry: Retry,
        outcomes: Outcomes,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.queue = queue
        self.under_way = 0
        """Groups whose turn it is."""
        self._signal = signal
        self._config = config
        self._destination = destination
        self._retry = retry
        self._outcomes = outcomes
        self._telemetry = telemetry
        self._warned = Occasional(clock)
        self._suspects: Suspects[Taken] = Suspects(clock, retry.waits)
        self._stir: asyncio.Event | None = None
        """Of those who wait for their time."""
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to take."""
        for _ in range(self._config.num_consumers):
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Return when attempts under way have come to their end, and what is in memory had one; see `abandon`."""
        await self.queue.close()
        self._stirred()
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._give_back_held()

    async def abandon(self) -> None:
        """There is no more time: what is left in memory is given up."""
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self.queue.close()
        while not self.queue.is_over:  # of a queue in memory
            taken = await self.queue.take(0)
            if taken is not None:
                await self._leave(taken)
        await self._give_back_held()

    async def _give_back_held(self) -> None:
        for suspect in reversed(self._suspects.held):
            self._suspects.end(suspect)
            with suppress(OSError):  # the log is closed: it comes again at the next start
                await self.queue.give_back(suspect.group)

    # What is next

    async def _work(self) -> None:
        while True:
            suspect: Suspect[Taken] | None = None
            try:
                suspect = await self._next()
                if suspect is None:
                    return
                self.under_way += 1
                try:
                    await self._send(suspect)
                finally:
                    self.under_way -= 1
                    self._stirred()
            except asyncio.CancelledError:
                if suspect is not None:
                    await self._drop(suspect)
                raise
            except Exception as error:  # whatever it is, a queue must not stand still
                if self._warned.due():
                    known = isinstance(error, OSError)
                    words = "the log cannot be used" if known else "the queue stumbled"
                    self._telemetry.log.error(words, error=str(error), exc_info=None if known else error)
                if suspect is not None:
                    await self._drop(suspect)
                await self._retry.pause(Retryable("the queue cannot be used", PAUSE_S))

    async def _next(self) -> Suspect[Taken] | None:
        """What is tried next, waited for; None when there will be no more."""
        suspects = self._suspects
        while not self.queue.is_over:
            suspect = suspects.next()
            if suspect is not None:
                if await self._is_there(suspect):
                    return suspect
            elif suspects.lets_others_in:
                taken = await self._fetched()
                if taken is not None:
                    return suspects.begin(taken)
                suspects.nobody_came()
                self._stirred()
            else:
                await self._stirred_within(suspects.wait_s())
        return None

    async def _fetched(self) -> Taken | None:
        wait = self._suspects.fetch()
        try:
            return await self.queue.take(wait if self.queue.is_durable else None)
        except BaseException:
            self._suspects.nobody_came()
            self._stirred()
            raise

    async def _is_there(self, suspect: Suspect[Taken]) -> bool:
        try:
            if await self.queue.read(suspect.group):
                return True
        except BaseException as error:
            self._suspects.hold(suspect, Retryable(reason_of(error) if isinstance(error, Exception) else "left"))
            raise
        self._suspects.end(suspect)
        return False

    def _stirred(self) -> None:
        """Whoever waits is to look again."""
        if self._stir is not None:
            self._stir.set()
            self._stir = None

    async def _stirred_within(self, seconds: float | None) -> None:
        stir = self._stir = self._stir or asyncio.Event()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await stir.wait()

    async def _drop(self, suspect: Suspect[Taken]) -> None:
        self._suspects.end(suspect)
        await self._leave(suspect.group)

    async def _leave(self, taken: Taken) -> None:
        """What did not come to its end stays on disk, and is lost in memory; what did is left as it is."""
        if taken.is_done:
            return
        if self.queue.is_durable:
            with suppress(OSError):  # the log is closed: it comes again at the next start
                await self.queue.give_back(taken)
            return
        if self._retry.is_stopped:
            await self._give_up(taken, "shutdown", Retryable("the exporter is shut down"))
        else:
            await self._give_up(taken, "refused", Retryable("the queue stumbled"))

    # What becomes of it

    async def _send(self, suspect: Suspect[Taken]) -> None:
        taken = suspect.group
        try:
            for part in parts.within(self._config.batch, taken.batch):
                await self._deliver(suspect, part)
        except _ToBeSplit:
            await self.queue.split(taken)
        except Retryable as error:
            await self._postpone(suspect, error)
            return
        else:
            await self._settle(taken, taken.progress.outcome(taken.batch.items))
        self._suspects.end(suspect)

    async def _postpone(self, suspect: Suspect[Taken], error: Retryable) -> None:
        taken = suspect.group
        if not self.queue.is_durable:
            self._suspects.end(suspect)
            await self._give_up(taken, "shutdown" if self._retry.is_stopped else "retries", error)
        elif self._retry.is_stopped:
            self._suspects.end(suspect)
            await self._leave(taken)
        else:
            await self.queue.let_go(taken)
            self._retry.tell(error, self._suspects.hold(suspect, error))

    async def _give_up(self, taken: Taken, reason: str, error: Retryable) -> None:
        """There is no other time for what is in memory."""
        taken.progress.give_up_rest(taken.batch.items, reason, error)
        await self._settle(taken, error)

    async def _settle(self, taken: Taken, error: Exception | None) -> None:
        failpoints.passed("sending.sent")
        taken.is_done = True

        def settled(owed: int) -> None:
            self._outcomes.settled(self._signal, taken.progress, owed, is_resent=taken.is_resent)

        await self.queue.settle(taken, error, settled)
        failpoints.passed("sending.settled")

    async def _deliver(self, suspect: Suspect[Taken], whole: Batch) -> None:
        """Bring a part of a group, which may be all, to its end; raises Retryable where that is not now."""
        error = await self._try(suspect, whole, may_be_cut=True)
        if error is None:
            return
        taken = suspect.group
        if not taken.is_alone:
            raise _ToBeSplit
        refused = [(whole, error)]
        refused_in_a_row = 0
        while refused:
            batch, error = refused.pop()
            is_hopeless = refused_in_a_row >= HOPELESS_PARTS or not self.queue.is_durable
            if is_hopeless and isinstance(error, _ToBeCut):
                taken.progress.refused.pop(batch.id, None)
                again = await self._try(suspect, batch, may_be_cut=False)
                if again is None:
                    refused_in_a_row = 0
                    continue
                error = again
            pieces = [batch] if is_hopeless else parts.halves(batch)
            if len(pieces) == 1:
                await self._bury(taken, batch, error)
                continue
            for piece in reversed(pieces):
                again = await self._try(suspect, piece, may_be_cut=True)
                refused_in_a_row = refused_in_a_row + 1 if again is not None else 0
                if again is not None:
                    refused.append((piece, again))

    async def _bury(self, taken: Taken, batch: Batch, error: Exception) -> None:
        if batch.id in taken.progress.done:
            return
        if self.queue.is_durable:
            try:
                await self.queue.bury(taken, reason_of(error), batch)
            except OSError as trouble:  # a full disk: what is known of the other parts must not be forgotten for it
                raise Retryable(f"a dead letter cannot be kept: {reason_of(trouble)}") from trouble
        taken.progress.give_up(batch, "dead_letter" if self.queue.is_durable else "refused", error)

    async def _try(self, suspect: Suspect[Taken], batch: Batch, *, may_be_cut: bool) -> Exception | None:
        """Attempt until there is an outcome; gives why it is refused for good, raises Retryable."""
        progress = suspect.group.progress
        known = progress.refused.get(batch.id)
        if known is not None or batch.id in progress.done:
            return known
        try:
            await self._attempted(suspect, batch, may_be_cut=may_be_cut)
        except Partial as error:
            self._suspects.passed()
            progress.deliver(batch, error)
        except Retryable:
            raise
        except Exception as error:
            if not isinstance(error, ConsumeError):
                self._telemetry.log.error("export failed", exc_info=error)
            # Without what hangs on it: it is kept for as long as others go first.
            progress.refused[batch.id] = (_ToBeCut if isinstance(error, _ToBeCut) else Permanent)(reason_of(error))
            self._stirred()  # an answer says that the destination is there
            return error
        else:
            self._suspects.passed()
            progress.deliver(batch)
        self._stirred()
        return None

    async def _attempted(self, suspect: Suspect[Taken], batch: Batch, *, may_be_cut: bool) -> None:
        """Return when it was delivered; raises what the destination says, and Permanent for what is at fault itself."""
        attempt = self._destination.attempts(batch)
        if not self.queue.is_durable:
            await self._retry(attempt)
            return
        suspects, patience = self._suspects, self._suspects.patience(suspect)
        waits = self._retry.waits()
        while True:
            try:
                async with self.queue.attempt(suspect.group, batch):
                    return await attempt()
            except NOT_SENT as error:
                failure: Retryable = error
            except Retryable as error:
                failure = error
                suspects.failed(suspect, error)
                self._judge(suspect, batch, error, may_be_cut=may_be_cut)
                patience -= 1
            except Permanent:
                suspects.answered()
                raise
            self._retry.failures.add(1)
            if not patience:
                raise failure
            wait = max(next(waits), failure.retry_after or 0.0)
            self._retry.tell(failure, wait)
            if not await self._retry.wait(wait):
                raise failure

    def _judge(self, suspect: Suspect[Taken], batch: Batch, error: Retryable, *, may_be_cut: bool) -> None:
        """Raise Permanent for what has had its chances."""
        if suspect.failures < FAILURES_TO_CUT:
            return
        can_be_cut = not suspect.group.is_alone or (may_be_cut and len(parts.halves(batch)) > 1)
        if can_be_cut or self._suspects.is_at_fault(suspect):
            words = f"it failed {suspect.failures} times while others went through: {error.reason}"
            self._suspects.start_over(suspect)
            raise (_ToBeCut if can_be_cut else Permanent)(words) from error
