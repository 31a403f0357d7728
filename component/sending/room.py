"""Room in a queue: waited for, or refused."""

import asyncio
from collections.abc import Callable

from airis.component.errors import Retryable
from airis.component.sending.config import SendingQueueConfig

FULL_RETRY_S = 1.0
"""When a sender may come again who came when there was no room."""


class Room:
    """How much a queue may hold, and who waits for a change in it."""

    def __init__(self, config: SendingQueueConfig, limit: int, used: Callable[[], float]) -> None:
        """`limit` is 0 for none; `used` is how much of it is taken, in the same unit."""
        self.limit = limit
        self.is_closed = False
        self._config = config
        self._used = used
        self._changed = asyncio.Condition()

    async def for_(self, size: int) -> None:
        """Return when there is room for so much more; raises Retryable where there is not, or never will be.

        Nobody else comes between if it is taken at once. What is larger than the limit has an empty queue for itself.
        """
        async with self._changed:
            while not self.is_closed and self.limit and (used := self._used()) and used + size > self.limit:
                if not self._config.block_on_overflow:
                    raise Retryable(f"the sending queue is full ({self.limit} {self._config.sizer})", FULL_RETRY_S)
                await self._changed.wait()
            if self.is_closed:
                raise Retryable("the exporter is shut down")

    async def change(self) -> None:
        """Wake all who wait: something came, or went."""
        async with self._changed:
            self._changed.notify_all()

    async def changed(self, within_s: float | None) -> None:
        """Return at the next change, or when so much time has passed; at once where it is closed."""
        async with self._changed:
            if self.is_closed:
                return
            try:
                async with asyncio.timeout(within_s):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def close(self) -> None:
        """Let nobody in any more."""
        self.is_closed = True
        await self.change()
