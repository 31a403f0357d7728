"""The callers of a receiver, held until their data was taken behind."""

import asyncio
from collections.abc import Mapping

from airis.component.errors import ConsumeError, Retryable
from airis.component.lifecycle import Consumer
from airis.component.occasional import Occasional
from airis.component.telemetry import Telemetry
from airis.data import Batch, Signal


class Held:
    """Who waits for an answer, and the way to let all go at a shutdown."""

    def __init__(self, downstream: Mapping[Signal, Consumer], telemetry: Telemetry) -> None:
        self.downstream = downstream
        self._telemetry = telemetry
        self._held: set[asyncio.Task[object]] = set()
        self._refusing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fault_log = Occasional()

    def refuse(self) -> None:
        """Let every caller that is held go with Retryable, and from now on every new one."""
        self._refusing = True
        for task in self._held:
            task.cancel()

    async def hand_on(self, batch: Batch) -> None:
        """Return when the batch was taken behind; raises Retryable, Permanent or Partial."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        # Asked for the loop, Python 3.11 asks the system for its process id, which costs more than all else here.
        task = asyncio.current_task(self._loop)
        assert task is not None
        if self._refusing:
            raise Retryable("shutting down")
        self._held.add(task)
        try:
            await self.downstream[batch.signal].consume(batch)
        except asyncio.CancelledError:
            if not self._refusing:
                raise  # the client left
            task.uncancel()
            raise Retryable("shutting down") from None
        except ConsumeError:
            raise
        except Exception as error:
            # A fault of ours; the data may be good, and its sender is the only one who has it.
            if self._fault_log.due():
                self._telemetry.log.exception("a consumer failed", signal=batch.signal)
            raise Retryable("internal error; the server's log has the details") from error
        finally:
            self._held.discard(task)
