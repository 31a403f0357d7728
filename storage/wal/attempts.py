"""Attempts to deliver what a log has: beside one another, but for a batch that may be what ends the process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

LONGEST_S = 5.0
"""So long others are waited for, and wait: whatever ends a process is quicker, and a destination may be slow."""


class Attempts:
    """Who is suspected is tried alone, one after another, so that nobody else is under way when the process ends."""

    def __init__(self, longest_s: float = LONGEST_S) -> None:
        """`longest_s` bounds each wait: a destination that does not answer must not hold up those of others."""
        self._longest_s = longest_s
        self._under_way = 0
        self._suspected = 0
        """Under way, or waiting for their turn."""
        self._nobody = asyncio.Event()
        self._nobody.set()
        self._free = asyncio.Event()
        """Nobody is suspected, or who is takes too long."""
        self._free.set()
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def one(self, *, is_suspected: bool) -> AsyncGenerator[None]:
        """Around an attempt, which may have to wait for its turn."""
        if is_suspected:
            async with self._alone():
                yield
            return
        if not self._free.is_set():
            await self._free.wait()
        self._under_way += 1
        self._nobody.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._nobody.set()

    @asynccontextmanager
    async def _alone(self) -> AsyncGenerator[None]:
        self._suspected += 1
        self._free.clear()
        try:
            async with self._turn:
                self._free.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._longest_s):
                        await self._nobody.wait()
                too_long = asyncio.get_running_loop().call_later(self._longest_s, self._free.set)
                try:
                    yield
                finally:
                    too_long.cancel()
        finally:
            self._suspected -= 1
            if not self._suspected:
                self._free.set()
