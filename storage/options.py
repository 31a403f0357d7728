"""What the store process is started with, as its parent says it and as the process reads it."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from airis.storage.guard import Limits


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Where the store keeps its data, where it serves it, and how much a query may take."""

    data_dir: Path
    """What the engine owns."""
    socket: Path
    listen: str = ""
    """``host:port`` to serve on as well, read-only unless `allow_writes`; empty for the socket alone."""
    allow_writes: bool = False
    """Let whoever reaches `listen` write, with all that the process may do: SQL that writes can also name files."""
    readers: int = 4
    """Queries that run at the same time."""
    limits: Limits = field(default_factory=Limits)
    lock_wait_s: float = 10.0
    """How long to wait for another process to leave the directory: one whose parent was killed is about to."""

    def command(self) -> Sequence[str]:
        """The command line that starts the process."""
        words = [sys.executable, "-m", "airis", "store", "--data-dir", str(self.data_dir), "--socket", str(self.socket)]
        if self.listen:
            words += ["--listen", self.listen]
        if self.allow_writes:
            words.append("--allow-writes")
        numbers = {
            "--readers": self.readers,
            "--max-query-seconds": self.limits.seconds,
            "--max-query-memory-bytes": self.limits.memory_bytes,
            "--max-result-rows": self.limits.result_rows,
            "--lock-wait-seconds": self.lock_wait_s,
        }
        return [*words, *(word for name, number in numbers.items() for word in (name, str(number)))]
