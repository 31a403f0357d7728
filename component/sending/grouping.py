"""How what is in a queue is put together."""

from dataclasses import dataclass

from airis.component.sending.config import SendingQueueConfig


@dataclass(frozen=True, slots=True)
class Grouping:
    """How large groups become, and how long is waited for them."""

    max_items: int = 1 << 62
    max_bytes: int = 32 * 1024 * 1024
    min_items: int = 0
    min_bytes: int = 0
    flush_timeout_s: float = 0.0
    interval_s: float = 0.0
    """Least time between two groups that are less than full: who is idle is given at once what there is."""
    metadata_keys: tuple[str, ...] = ()


def grouping_of(config: SendingQueueConfig, default: Grouping) -> Grouping:
    """What the options say; without a `batch` section what suits the exporter."""
    batch = config.batch
    if batch is None:
        return default
    limit, keys = batch.max_size or (1 << 62), tuple(key.lower() for key in batch.partition.metadata_keys)
    if batch.sizer == "items":
        return Grouping(limit, min_items=batch.min_size, flush_timeout_s=batch.flush_timeout, metadata_keys=keys)
    return Grouping(max_bytes=limit, min_bytes=batch.min_size, flush_timeout_s=batch.flush_timeout, metadata_keys=keys)
