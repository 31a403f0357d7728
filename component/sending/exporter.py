"""What exporters that send over a network do alike."""

from typing import Generic, Protocol, TypeVar

from airis.component.sending.sender import Sending
from airis.component.sending.snapshot import SendingSnapshot
from airis.data import Batch


class Client(Protocol):
    """Connections to a destination."""

    async def close(self) -> None:
        """Close them."""
        ...


K = TypeVar("K", bound=Client)


class Sends(Generic[K]):
    """Before `Exporter` among the bases of one: delivers by `sending`, over the connections of `client`.

    The constructor of the exporter sets the one, its start the other.
    """

    sending: Sending
    client: K | None = None
    """From the start to the shutdown."""

    @property
    def counts_itself(self) -> bool:
        """Whether there is a queue."""
        return self.sending.has_queue

    def sending_state(self) -> SendingSnapshot | None:
        """What is queued, under way and going wrong."""
        return self.sending.snapshot()

    async def consume(self, batch: Batch) -> None:
        """Return when the batch is delivered, or the queue has it."""
        await self.sending.consume(batch)

    async def shutdown(self) -> None:
        """Wait for the attempts under way, and close the connections."""
        try:
            await self.sending.close()
        finally:
            client, self.client = self.client, None
            if client is not None:
                await client.close()
