"""Kept spans on their way: acknowledged, so that nobody but this has them, until they were taken behind."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from airis.component import Consumer, Partial, Permanent, Retryable, Telemetry
from airis.component.occasional import Occasional
from airis.component.retry import RetryConfig
from airis.data import Batch, Origin, Signal, kernels
from airis.processors.tail_sampling.held import Source

MOST_BATCH_BYTES = 8 * 1024 * 1024
RETRIES = RetryConfig.model_validate({"initial_interval": "1s"})


class Kept(NamedTuple):
    """Spans to be handed on."""

    source: Source
    view: "kernels.View"
    arrived_unix_nano: int
    size_bytes: int


class Outbox:
    """Hands kept spans on, one batch after the other, and each again for as long as it is refused for now.

    What comes while a batch is on its way goes on together. What is refused for good, or is still there when the
    shutdown is cut off, is lost, and counted: `lost` is told the items and the reason.
    """

    def __init__(
        self,
        downstream: Consumer,
        telemetry: Telemetry,
        lost: Callable[[int, str], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._downstream = downstream
        self._telemetry = telemetry
        self._lost = lost
        self._sleep = sleep
        self._waiting: deque[Kept] = deque()
        self.items = 0
        """What waits, and what is on its way."""
        self.size_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._log = Occasional()

    def put(self, source: Source, view: "kernels.View", arrived_unix_nano: int) -> None:
        """Take spans, which are handed on behind those that are there."""
        kept = Kept(source, view, arrived_unix_nano, view.size_bytes)
        self._waiting.append(kept)
        self.items += view.items
        self.size_bytes += kept.size_bytes
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Return when everything was handed on; what is left when this is cancelled is lost."""
        try:
            while self._task is not None:
                await asyncio.wait({self._task})
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait({self._task})
            if self.items:
                items, self.items, self.size_bytes = self.items, 0, 0
                self._waiting.clear()
                self._telemetry.log.error("kept spans were lost at the shutdown", items=items)
                self._lost(items, "shutdown")

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, size_bytes = self._next()
                await self._hand_on(batch)
                self.items -= batch.items
                self.size_bytes -= size_bytes
        finally:
            self._task = None

    def _next(self) -> tuple[Batch, int]:
        """The spans that wait for longest with those behind them from the same source, and their size."""
        first = self._waiting.popleft()
        together, size_bytes = [first], first.size_bytes
        while (
            self._waiting
            and self._waiting[0].source == first.source
            and size_bytes + self._waiting[0].size_bytes <= MOST_BATCH_BYTES
        ):
            together.append(self._waiting.popleft())
            size_bytes += together[-1].size_bytes
        arrived = min(kept.arrived_unix_nano for kept in together)
        view = kernels.concat([kept.view for kept in together])
        return Batch(Signal.TRACES, b"", 0, Origin(*first.source), arrived).with_view(view), size_bytes

    async def _hand_on(self, batch: Batch) -> None:
        waits = RETRIES.waits(random.random)
        while True:
            try:
                return await self._downstream.consume(batch)
            except Partial as error:
                return self._refused(min(error.rejected, batch.items), error.reason)
            except Permanent as error:
                return self._refused(batch.items, error.reason)
            except Retryable as error:
                wait = max(next(waits), error.retry_after or 0.0)
                if self._log.due():
                    self._telemetry.log.warning(
                        "kept spans were refused, to be handed on again",
                        reason=error.reason,
                        retry_in_s=round(wait, 3),
                        items=self.items,
                    )
            except Exception:  # a fault of ours; nobody else has the spans
                wait = next(waits)
                self._telemetry.log.exception("a consumer failed, kept spans are handed on again", items=batch.items)
            await self._sleep(wait)

    def _refused(self, items: int, reason: str) -> None:
        if self._log.due():
            self._telemetry.log.error("kept spans were refused for good", reason=reason, items=items)
        self._lost(items, "refused")
