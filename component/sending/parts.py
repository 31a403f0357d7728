"""Batches in parts: what is larger than may be sent at once, and what is refused."""

from airis.component.sending.config import QueueBatchConfig
from airis.data import Batch, Signal, kernels, parts_of


def within(limits: QueueBatchConfig | None, batch: Batch) -> list[Batch]:
    """What is larger than batch::max_size by itself in parts, the same ones every time."""
    if limits is None or not limits.max_size or batch.signal is Signal.PROFILES:
        return [batch]
    is_items = limits.sizer == "items"
    if (batch.items if is_items else batch.size_bytes) <= limits.max_size:
        return [batch]
    return _cut(batch, limits.max_size, None) if is_items else _cut(batch, None, limits.max_size)


def halves(batch: Batch) -> list[Batch]:
    """A batch in two; one that cannot be read, or cut, is its only part."""
    return _cut(batch, -(-batch.items // 2), None) if batch.items > 1 else [batch]


def _cut(batch: Batch, max_items: int | None, max_bytes: int | None) -> list[Batch]:
    try:
        return parts_of(batch, max_items, max_bytes)
    except kernels.MalformedPayload:
        return [batch]
