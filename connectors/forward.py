"""Hands everything on unchanged: joins pipelines, or parts one pipeline into several."""

from airis.component import Config, Connector, connector
from airis.data import Batch, Signal


class ForwardConfig(Config):
    """There is nothing to choose."""


@connector("forward", {(signal, signal): "alpha" if signal is Signal.PROFILES else "beta" for signal in Signal})
class ForwardConnector(Connector[ForwardConfig]):
    """Hand on every batch to all pipelines of its signal that name the connector as a receiver."""

    keeps_items = True

    async def consume(self, batch: Batch) -> None:
        """Return when all these pipelines took the batch."""
        await self.downstream.by_signal[batch.signal].consume(batch)
