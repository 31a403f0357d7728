"""Protections switched off, one each: with it the cell that tests the protection must fail."""

import asyncio
import os
from typing import Any

from .injections import injection


@injection
def ack_before_write() -> None:
    """A sending queue answers when a batch is on its way to the log, and not when it is there."""
    from airis.component.sending.durable import DurableQueue

    put = DurableQueue.put
    later: set[asyncio.Task[None]] = set()

    async def put_later(self: DurableQueue, batch: Any, enqueued: Any) -> None:
        async def write() -> None:
            await asyncio.sleep(0.2)
            await put(self, batch, enqueued)

        task = asyncio.create_task(write())
        later.add(task)
        task.add_done_callback(later.discard)

    DurableQueue.put = put_later  # type: ignore[method-assign]


@injection
def no_token() -> None:
    """The store is not told that an insert is the same as one before."""
    from airis.storage import Store

    insert = Store.insert

    async def insert_as_new(self: Store, table: str, blocks: Any, token: str) -> None:
        await insert(self, table, blocks, os.urandom(16).hex())

    Store.insert = insert_as_new  # type: ignore[method-assign]
