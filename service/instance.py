"""Who runs on a data directory: a lock that one process can hold, and a small file for other commands."""

import contextlib
import fcntl
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from airis import __version__
from airis.config.model import Sources

_FILE = "instance.json"
_LOCK = "instance.lock"

LOCK_TRIES = 20
LOCK_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class Instance:
    """A running airis."""

    pid: int
    version: str
    started_unix_s: int
    configs: Sequence[str]
    """What its configuration is read from, paths absolute; empty for the built-in one."""
    sets: Sequence[str]
    endpoints: Mapping[str, str]
    """What listens where, by the name a person knows it by."""
    metrics_address: str
    """Where its own metrics are; empty when they are off."""
    admin_socket: str = ""
    """Where the admin API listens."""

    def sources(self) -> Sources:
        """What it was started with."""
        return Sources(tuple(self.configs), tuple(self.sets))


class InUse(Exception):
    """Another process runs on the directory."""


class Claim:
    """The right to run on a data directory, until `release` or the end of the process, however that comes about.

    A lock and not a process id: ids are used again, in containers at once.
    """

    def __init__(self, data_dir: Path) -> None:
        """Raises InUse, OSError."""
        self._data_dir = data_dir
        self._lock = os.open(data_dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not self._locked():
            os.close(self._lock)
            other = running(data_dir)
            who = f"airis with process id {other.pid}" if other else "another airis"
            raise InUse(f"{data_dir} is in use by {who}")
        (data_dir / _FILE).unlink(missing_ok=True)

    def _locked(self) -> bool:
        """Take the lock; a command that looks who runs has it for a moment as well, so one try says nothing."""
        for _ in range(LOCK_TRIES):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            time.sleep(LOCK_PAUSE_S)
        return False

    def announce(
        self,
        started_unix_s: int,
        sources: Sources,
        endpoints: Mapping[str, str],
        metrics_address: str,
        admin_socket: str = "",
    ) -> None:
        """Tell other commands about this process."""
        configs = [str(path.absolute()) if (path := Path(c)).exists() else c for c in sources.configs]
        told = Instance(
            os.getpid(),
            __version__,
            started_unix_s,
            configs,
            sources.sets,
            endpoints,
            metrics_address,
            admin_socket,
        )
        written = self._data_dir / f"{_FILE}.new"
        written.touch(mode=0o600)  # what was set on the command line may be secret
        written.write_bytes(orjson.dumps(asdict(told)))
        written.replace(self._data_dir / _FILE)

    def release(self) -> None:
        """Let another process run on the directory."""
        with contextlib.suppress(FileNotFoundError):
            (self._data_dir / _FILE).unlink()
        os.close(self._lock)


def running(data_dir: Path) -> Instance | None:
    """The airis that runs on the data directory; None if none does, as after a kill, or while it starts."""
    if not is_claimed(data_dir):
        return None
    with contextlib.suppress(FileNotFoundError, orjson.JSONDecodeError, TypeError):
        return Instance(**orjson.loads((data_dir / _FILE).read_bytes()))
    return None


def is_claimed(data_dir: Path) -> bool:
    """Whether an airis runs on the data directory, or is about to."""
    try:
        lock = os.open(data_dir / _LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
