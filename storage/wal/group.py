"""What a subscriber takes at once, and what it may be."""

from dataclasses import dataclass

from airis.storage.wal.segment import Entry


@dataclass(frozen=True, slots=True)
class Limits:
    """What a group may be."""

    max_items: int = 1 << 62
    max_bytes: int = 1 << 62
    min_items: int = 0
    """Fewer are waited for, unless the oldest came before `due_unix_nano`."""
    min_bytes: int = 0
    due_unix_nano: int = 1 << 62
    now_unix_nano: int = 1 << 63
    """What came later than this came before the clock was put back, and is not waited for."""


NO_LIMITS = Limits()


@dataclass(slots=True)
class Group:
    """Batches that are delivered together, all with the same `meta`."""

    token: bytes
    """16 bytes; the same for the same batches."""
    entries: list[Entry]
    starts: int = 0
    """How often, one time after another, the process ended while an attempt to deliver it was under way."""
    is_tried: bool = True
    """Whether the journal says that an attempt is under way."""

    @property
    def items(self) -> int:
        """In all batches."""
        return sum(entry.head.items for entry in self.entries)
