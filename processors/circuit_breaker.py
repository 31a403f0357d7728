"""Leave what follows alone while it fails again and again, so that senders are told so at once."""

import time
from collections.abc import Callable

from airis.component import Consumer, Processor, Telemetry, processor
from airis.component.sending.breaker import CircuitBreaker, CircuitBreakerConfig, CircuitOpen
from airis.component.telemetry import by_signal
from airis.data import Batch


class CircuitBreakerProcessorConfig(CircuitBreakerConfig):
    """When what follows in the pipeline is left alone, and for how long."""


@processor("circuit_breaker", traces="alpha", metrics="alpha", logs="alpha", profiles="alpha")
class CircuitBreakerProcessor(Processor[CircuitBreakerProcessorConfig]):
    """Refuse data at once, with "try again later", while what follows in the pipeline fails again and again.

    After `timeout` some batches are let through as a trial; when they are taken, all are. "Try again later" is a
    failure; what is refused for good, wholly or in part, is an answer like any other.

    This is for exporters without a queue. They hold their senders through all retries, so that only the last outcome
    is seen here, unless they have `retry_on_failure: {enabled: false}`. A queue takes data whatever its destination
    does: behind one, the exporter's own option `circuit_breaker` does the same.
    """

    def __init__(
        self,
        config: CircuitBreakerProcessorConfig,
        downstream: Consumer,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(config, downstream, telemetry)
        self.breaker = CircuitBreaker(config, telemetry, clock)
        self.refused = by_signal(telemetry, "airis_circuit_breaker_refused", "refused while the circuit was open")

    async def consume(self, batch: Batch) -> None:
        """Hand the batch on; raises CircuitOpen, a Retryable with the time until the next trial, instead."""
        is_let_through = False
        try:
            async with self.breaker.watch():
                is_let_through = True
                await self.downstream.consume(batch)
        except CircuitOpen:
            if not is_let_through:  # else it is of a breaker that follows
                self.refused[batch.signal].add(batch.items)
            raise
