"""Payloads kept in memory for subscribers that keep up, so that they are not read from the disk."""

from collections import OrderedDict


class PayloadCache:
    """By sequence; each is kept until all who are to have it have read it, or there is no room for it."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._kept: OrderedDict[int, tuple[bytes, int]] = OrderedDict()
        """The payload, and the slots that have not read it."""

    def add(self, sequence: int, payload: bytes, slots: int) -> None:
        """Keep a payload for these slots; the oldest go where it becomes too much."""
        self._kept[sequence] = (payload, slots)
        self._size_bytes += len(payload)
        while self._size_bytes > self._max_bytes:
            _, (gone, _) = self._kept.popitem(last=False)
            self._size_bytes -= len(gone)

    def read(self, sequence: int, slot: int) -> bytes | None:
        """The payload for one of its slots, which does not ask again; None for one that is not kept."""
        kept = self._kept.get(sequence)
        if kept is None:
            return None
        payload, slots = kept
        slots &= ~(1 << slot)
        if slots:
            self._kept[sequence] = (payload, slots)
        else:
            del self._kept[sequence]
            self._size_bytes -= len(payload)
        return payload
