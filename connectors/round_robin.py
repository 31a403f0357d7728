"""Gives every batch to one of several pipelines, to each in its turn."""

from airis.component import Config, Connector, Outputs, Retryable, Telemetry, connector
from airis.data import Batch, Signal


class RoundRobinConfig(Config):
    """There is nothing to choose."""


@connector("round_robin", {(signal, signal): "beta" for signal in (Signal.TRACES, Signal.METRICS, Signal.LOGS)})
class RoundRobinConnector(Connector[RoundRobinConfig]):
    """Share the batches of a signal out among all its pipelines that name the connector as a receiver.

    They are shared out by number, not by size. What a pipeline refuses is refused; when it is sent again it is the turn
    of the next one.
    """

    keeps_items = True

    def __init__(self, config: RoundRobinConfig, downstream: Outputs, telemetry: Telemetry) -> None:
        super().__init__(config, downstream, telemetry)
        self._turns = dict.fromkeys(Signal, 0)

    async def consume(self, batch: Batch) -> None:
        """Return when the pipeline whose turn it is took the batch."""
        by_pipeline = self.downstream.by_pipeline
        pipelines = [name for name in by_pipeline if name.partition("/")[0] == batch.signal]
        if not pipelines:
            raise Retryable(f"there is no pipeline of {batch.signal} behind round_robin")
        turn = self._turns[batch.signal]
        self._turns[batch.signal] = turn + 1
        await by_pipeline[pipelines[turn % len(pipelines)]].consume(batch)
