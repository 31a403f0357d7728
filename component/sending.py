"""What exporters that send over a network share: how many requests are under way, retries, and an orderly end."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from airis.component.config import Config, Duration
from airis.component.errors import Partial, Retryable
from airis.component.occasional import Occasional
from airis.component.retry import Retry, RetryConfig
from airis.component.telemetry import Telemetry
from airis.component.unsupported import not_supported
from airis.component.words import quoted
from airis.data import Batch, Signal

NO_STORAGE = (
    "a queue on disk is not supported yet; leave storage out: senders are held until their data is delivered, "
    "so that nothing is lost"
)
_NO_QUEUE = "Without effect until there is a queue"


class PartitionConfig(Config):
    """What must not be joined."""

    metadata_keys: list[str] = Field(
        default_factory=list[str], description=f"{_NO_QUEUE}: client metadata whose values are kept apart."
    )
    cache_size: int = Field(default=10_000, ge=0, description=f"{_NO_QUEUE}: partitions remembered.")
    idle_timeout: Duration = Field(default=90.0, ge=0, description=f"{_NO_QUEUE}: how long one is remembered.")


class QueueBatchConfig(Config):
    """How batches in the queue are joined."""

    flush_timeout: Duration = Field(default=0.2, gt=0, description=f"{_NO_QUEUE}: longest wait for a batch to fill.")
    min_size: int = Field(default=8192, ge=0, description=f"{_NO_QUEUE}: size from which a batch is sent at once.")
    max_size: int = Field(default=0, ge=0, description=f"{_NO_QUEUE}: largest size of a batch; 0: without a limit.")
    sizer: Literal["items", "bytes"] = Field(default="items", description=f"{_NO_QUEUE}: what sizes are numbers of.")
    partition: PartitionConfig = Field(default=PartitionConfig(), description=f"{_NO_QUEUE}: what is not joined.")

    @model_validator(mode="after")
    def _room_between_sizes(self) -> Self:
        if self.max_size and self.max_size < self.min_size:
            raise ValueError(f"max_size ({self.max_size}) is under min_size ({self.min_size})")
        return self


class SendingQueueConfig(Config):
    """How many requests are sent at once. There is no queue yet: a sender is held until its data is delivered."""

    enabled: bool = Field(
        default=True, description="Off: as many requests are sent at once as come in. Without a queue either way."
    )
    num_consumers: int = Field(
        default=10,
        ge=1,
        description="Most requests of a signal that are under way at once, with those that wait to be sent again. "
        "Other senders wait for their turn.",
    )
    queue_size: int = Field(default=1000, ge=1, description=f"{_NO_QUEUE}: largest size of the queue.")
    sizer: Literal["requests", "items", "bytes"] = Field(
        default="requests", description=f"{_NO_QUEUE}: what its size is a number of."
    )
    block_on_overflow: bool = Field(
        default=False, description=f"{_NO_QUEUE}: wait for space in it. Today senders always wait."
    )
    wait_for_result: bool = Field(
        default=False, description=f"{_NO_QUEUE}: answer senders only when their data is delivered, as is done today."
    )
    storage: Annotated[str, not_supported(NO_STORAGE)] = Field(
        default="", description="Not supported yet: the extension that keeps the queue on disk. Anything is an error."
    )
    batch: QueueBatchConfig | None = Field(default=None, description=f"{_NO_QUEUE}: join what is in it.")

    @model_validator(mode="after")
    def _queue_holds_a_batch(self) -> Self:
        if self.batch and self.batch.sizer == self.sizer and self.batch.min_size > self.queue_size:
            raise ValueError(f"batch::min_size ({self.batch.min_size}) is over queue_size ({self.queue_size})")
        return self


class Sending:
    """The turns in which senders deliver; senders beyond `num_consumers` of a signal are held until it is theirs."""

    def __init__(
        self,
        queue: SendingQueueConfig,
        retry: RetryConfig,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self.retry = Retry(retry, telemetry, clock, sleep, rng)
        self._telemetry = telemetry
        self._warned = Occasional(clock)
        self._turns: defaultdict[Signal, AbstractAsyncContextManager[Any]] = defaultdict(
            (lambda: asyncio.Semaphore(queue.num_consumers)) if queue.enabled else nullcontext
        )
        self._is_open = False
        self._held = 0
        self._idle = asyncio.Event()

    def open(self) -> None:
        """Let senders in."""
        self._is_open = True

    @asynccontextmanager
    async def turn(self, signal: Signal) -> AsyncGenerator[None]:
        """A sender's turn; raises Retryable where nothing is sent any more, or not yet."""
        self._held += 1
        self._idle.clear()
        try:
            self._check()
            async with self._turns[signal]:
                self._check()
                yield
        finally:
            self._held -= 1
            if not self._held:
                self._idle.set()

    def accept(self, batch: Batch, rejected: int, message: str) -> None:
        """Take a server's partial success, the message of which is hostile; raises Partial for what it rejects."""
        if rejected:
            raise Partial(min(rejected, batch.items), f"the server rejected {rejected} items: {quoted(message)}")
        if message and self._warned.due():
            self._telemetry.log.warning("the server took it with a warning", message=quoted(message))

    async def close(self) -> None:
        """Return when attempts under way have come to their end; all others are told Retryable."""
        self._is_open = False
        self.retry.stop()
        if self._held:
            await self._idle.wait()

    def _check(self) -> None:
        if not self._is_open:
            raise Retryable("the exporter is shut down")
