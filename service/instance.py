"""What a running airis tells other commands about itself: a small file in its data directory."""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from airis import __version__

_FILE = "instance.json"


@dataclass(frozen=True, slots=True)
class Instance:
    """A running airis."""

    pid: int
    version: str
    started_unix_s: int
    configuration: str
    endpoints: Mapping[str, str]
    """What listens where, by the name a person knows it by."""
    metrics_address: str
    """Where its own metrics are; empty when they are off."""


def announce(
    data_dir: Path, started_unix_s: int, configuration: str, endpoints: Mapping[str, str], metrics_address: str
) -> None:
    """Say that this process runs on the data directory."""
    instance = Instance(os.getpid(), __version__, started_unix_s, configuration, endpoints, metrics_address)
    written = data_dir / f"{_FILE}.{os.getpid()}"
    written.write_bytes(orjson.dumps(asdict(instance)))
    written.replace(data_dir / _FILE)


def withdraw(data_dir: Path) -> None:
    """Say that it does not any more."""
    with contextlib.suppress(FileNotFoundError):
        (data_dir / _FILE).unlink()


def running(data_dir: Path) -> Instance | None:
    """The airis that runs on the data directory; None if none does, as after a kill."""
    try:
        instance = Instance(**orjson.loads((data_dir / _FILE).read_bytes()))
    except (FileNotFoundError, orjson.JSONDecodeError, TypeError):
        return None
    try:
        os.kill(instance.pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # it runs, as another user
    return instance
