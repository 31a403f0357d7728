"""How much memory this process uses, how much there is for it, and giving some back."""

import ctypes
import gc
import os
import subprocess
from pathlib import Path


def read_resident_bytes(proc: Path = Path("/proc")) -> int:
    """Memory of this process that is resident: from Linux's ``statm``, elsewhere from ``ps``."""
    try:
        return int((proc / "self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        told = subprocess.run(["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, text=True, check=True)
        return int(told.stdout) * 1024


def read_total_bytes(root: Path = Path("/")) -> int:
    """The least of the machine's memory and the limits of the control groups (v1 and v2) this process is in."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for folder, name in _control_groups(root):
        try:
            text = (folder / name).read_text().strip()
        except OSError:  # not mounted, or the path is one of the host's that a container does not see
            continue
        if text.isdigit():  # v2 says "max" for no limit, v1 a number larger than any machine
            limits.append(int(text))
    return min(limits)


def _control_groups(root: Path) -> list[tuple[Path, str]]:
    """Folders and file names that may hold a limit, from the group's own up to the mount."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found: list[tuple[Path, str]] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mount, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            mount, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        group = mount / path.lstrip("/")
        found += [(folder, name) for folder in (group, *group.parents) if folder.is_relative_to(mount)]
    return found


def free_memory() -> None:
    """Collect cycles, and give what the allocator keeps back to the system where it can (glibc)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
