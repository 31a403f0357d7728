"""Acknowledge everything and keep nothing: for tests, and to measure the pipeline before it."""

from airis.component import Config, Exporter, exporter
from airis.data import Batch


class NopConfig(Config):
    """No options."""


@exporter("nop", traces="stable", metrics="stable", logs="stable", profiles="alpha")
class NopExporter(Exporter[NopConfig]):
    """Acknowledge everything and discard it."""

    async def consume(self, batch: Batch) -> None:
        """Return at once."""
