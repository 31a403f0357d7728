"""Options of exporters that send over a network: queue, retries, breaker, and how much is sent at once."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from airis.component.config import Config, Duration, NamesExtension
from airis.component.retry import RetryConfig
from airis.component.sending.breaker import CircuitBreakerConfig
from airis.component.sending.bulkhead import BulkheadConfig


class PartitionConfig(Config):
    """What must not be joined."""

    metadata_keys: list[str] = Field(
        default_factory=list[str],
        description="Client metadata (names in any case) whose values are kept apart; auth.subject is what an "
        "authenticator says of the client.",
    )
    cache_size: int = Field(
        default=10_000, ge=0, description="Has no effect: a partition lasts as long as something of it is queued."
    )
    idle_timeout: Duration = Field(default=90.0, ge=0, description="Has no effect, for the same reason.")


class QueueBatchConfig(Config):
    """How batches in the queue are joined."""

    flush_timeout: Duration = Field(default=0.2, gt=0, description="Longest wait for a batch to fill.")
    min_size: int = Field(default=8192, ge=0, description="Size from which a batch is sent at once.")
    max_size: int = Field(
        default=0, ge=0, description="Largest size of a batch, what is larger by itself is split; 0: without a limit."
    )
    sizer: Literal["items", "bytes"] = Field(default="items", description="What sizes are numbers of.")
    partition: PartitionConfig = Field(default=PartitionConfig(), description="What is not joined.")

    @model_validator(mode="after")
    def _room_between_sizes(self) -> Self:
        if self.max_size and self.max_size < self.min_size:
            raise ValueError(f"max_size ({self.max_size}) is under min_size ({self.min_size})")
        return self


class SendingQueueConfig(Config):
    """What waits to be sent, and how it is sent.

    Left out, there is no queue: a sender is held until its data is delivered. Written, senders are answered when their
    data is in the queue: in memory, where a crash loses it, or on disk with `storage`.
    """

    enabled: bool = Field(
        default=True,
        description="Off: no queue, and as many requests are sent at once as come in. A sender is held until its data "
        "is delivered.",
    )
    num_consumers: int = Field(
        default=10, ge=1, description="Most requests of a signal that are under way at once, retries included."
    )
    queue_size: int = Field(
        default=1000,
        ge=1,
        description="Most that is in the queue of a signal, what is under way included. With `storage` and without "
        "this option there is no limit but the storage's.",
    )
    sizer: Literal["requests", "items", "bytes"] = Field(
        default="requests", description="What queue_size is a number of."
    )
    block_on_overflow: bool = Field(
        default=False, description="Hold senders while the queue is full, rather than tell them to try again later."
    )
    wait_for_result: bool = Field(
        default=False,
        description="Answer senders only when their data is delivered, with the outcome. Not with `storage`, whose "
        "queue is as safe.",
    )
    storage: Annotated[str, NamesExtension()] = Field(
        default="",
        description="Id of the extension that keeps the queue, such as file_storage: what is in it survives a crash.",
    )
    batch: QueueBatchConfig | None = Field(default=None, description="Join what is in the queue.")

    @model_validator(mode="after")
    def _queue_holds_a_batch(self) -> Self:
        if self.batch and self.batch.sizer == self.sizer and self.batch.min_size > self.queue_size:
            raise ValueError(f"batch::min_size ({self.batch.min_size}) is over queue_size ({self.queue_size})")
        if self.storage and self.wait_for_result:
            raise ValueError("wait_for_result has no use with storage: the queue on disk is as safe; leave one out")
        return self


class SendingConfig(Config):
    """How data is sent, and what becomes of it while it cannot be."""

    retry_on_failure: RetryConfig = Field(
        default=RetryConfig(), description="Sending again what was refused for now, or got no answer."
    )
    sending_queue: SendingQueueConfig = Field(
        default=SendingQueueConfig(),
        description="What waits to be sent. Left out, senders are held until their data is delivered.",
    )
    circuit_breaker: CircuitBreakerConfig | None = Field(
        default=None, description="Leave a destination alone that fails again and again."
    )
    bulkhead: BulkheadConfig | None = Field(
        default=None, description="Bound, or find out, how many requests are under way at once."
    )

    @classmethod
    def of(cls, queue: SendingQueueConfig, retries: RetryConfig, *, is_written: bool) -> "SendingConfig":
        """Of an exporter with options and defaults of its own; `is_written` says that there is a queue."""
        written = {"sending_queue"} if is_written else set[str]()
        return cls.model_construct(written, sending_queue=queue, retry_on_failure=retries)
