"""Time for what is looked at again and again in threads, by a clock that tests control."""

import asyncio
from collections.abc import Callable

from airis.component.testing import ManualClock


async def passes_until(clock: ManualClock, is_so: Callable[[], object]) -> None:
    """Let time pass until it is so."""
    async with asyncio.timeout(20):
        while not is_so():
            await clock.advance(1.0)
            await asyncio.sleep(0.001)
