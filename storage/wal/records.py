"""Records written and read by whichever kernels are in use."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from airis.data import kernels
from airis.storage.wal.format import Found

if TYPE_CHECKING or kernels.backend == "reference":
    from airis.storage.wal.format import frame, read
else:
    from airis._core import wal_frame as frame
    from airis._core import wal_read
    from airis.storage.wal.format import Head

    def read(log_id: bytes, data: bytes, start: int = 0, *, payloads: bool = True) -> Iterator[Found]:
        """What stands in `data` from an offset on, without a gap."""
        for offset, end, head, meta, payload, is_whole in wal_read(log_id, data, start, payloads):
            yield Found(offset, end, Head(*head) if head else None, meta, payload, is_whole)


__all__ = ["frame", "read"]
