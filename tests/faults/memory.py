"""How much memory a process takes, and a limit on it where the machine lets us set one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_V1 = Path("/sys/fs/cgroup/memory")
_V2 = Path("/sys/fs/cgroup")


def peak_bytes(pid: int) -> int:
    """The most that was resident since `reset_peak`."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"process {pid} has no memory")


def reset_peak(pid: int) -> None:
    """Begin to look anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@contextmanager
def memory_limit(pid: int, limit_bytes: int) -> Iterator[bool]:
    """Let the system end a process that takes more; gives whether it could be told to."""
    is_v1 = (_V1 / "memory.limit_in_bytes").exists()
    group = (_V1 if is_v1 else _V2) / f"airis-faults-{os.getpid()}"
    limit = "memory.limit_in_bytes" if is_v1 else "memory.max"
    try:
        group.mkdir()
        (group / limit).write_text(str(limit_bytes))
        (group / "cgroup.procs").write_text(str(pid))
    except OSError:  # not our machine to set limits on
        with suppress(OSError):
            group.rmdir()
        yield False
        return
    try:
        yield True
    finally:
        root = _V1 if is_v1 else _V2
        with suppress(OSError):
            (root / "cgroup.procs").write_text(str(pid))
        with suppress(OSError):
            group.rmdir()
