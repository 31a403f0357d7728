"""The exporter `discard`: a sending queue before nothing, by which the log is measured and not a destination."""

from pydantic import Field

from airis.component import Exporter, Host, Retryable, Telemetry, exporter
from airis.component.sending import Attempt, Sending, SendingConfig
from airis.component.sending.exporter import Client, Sends
from airis.data import Batch


class DiscardConfig(SendingConfig):
    """What exporters that send have, and whether this one does."""

    takes: bool = Field(default=True, description="Off: all that comes is refused for now, and stays in the queue.")


@exporter("discard", traces="development", metrics="development", logs="development")
class DiscardExporter(Sends[Client], Exporter[DiscardConfig]):
    """Take what the queue gives, and drop it."""

    def __init__(self, config: DiscardConfig, telemetry: Telemetry) -> None:
        super().__init__(config, telemetry)
        self.sending = Sending(config, telemetry, self._prepare)

    async def start(self, host: Host) -> None:
        """Open the queue."""
        await self.sending.open(host)

    async def _prepare(self, batch: Batch) -> Attempt:
        return self._attempt

    async def _attempt(self) -> None:
        if not self.config.takes:
            raise Retryable("nothing is taken yet")
