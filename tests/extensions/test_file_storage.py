"""The write-ahead log as an extension: opened, claimed, refused, closed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from airis.component import Kind, StartError
from airis.component.testing import FakeHost, build
from airis.extensions.file_storage import FileStorage, FileStorageConfig
from airis.storage.wal.log import Put
from airis.storage.wal.segment import Lane


@pytest.fixture
async def storages(tmp_path: Path) -> AsyncIterator[Any]:
    """Builds extensions that are shut down at the end."""
    built: list[FileStorage] = []

    def new(options: dict[str, Any] | None = None) -> FileStorage:
        built.append(build("file_storage", options or {}, kind=Kind.EXTENSION))
        return built[-1]

    yield new
    for storage in built:
        await storage.shutdown()


def a_batch(number: int) -> Put:
    return Put(frozenset([Lane(1, 0)]), 1, 1, 1, 0, number.to_bytes(16, "big"), b"", b"payload")


async def test_what_it_took_is_there_after_a_restart(storages: Any, tmp_path: Path):
    host = FakeHost(tmp_path)
    first = storages()
    await first.start(host)
    log = first.provides()
    await log.run(lambda: log.log.subscriber("exporters/store", 1))
    await log.put(a_batch(1))
    await first.shutdown()

    second = storages()
    await second.start(host)
    log = second.provides()
    assert (tmp_path / "wal").is_dir()
    assert log.log.subscribers["exporters/store"].owed.batches == 1


async def test_a_log_has_one_process(storages: Any, tmp_path: Path):
    host = FakeHost(tmp_path)
    await storages().start(host)
    with pytest.raises(StartError, match="another process uses the log"):
        await storages().start(host)


async def test_a_log_of_another_version_is_left_as_it_is(storages: Any, tmp_path: Path):
    host = FakeHost(tmp_path)
    first = storages()
    await first.start(host)
    log = first.provides()
    await log.run(lambda: log.log.subscriber("exporters/store", 1))
    await log.put(a_batch(1))
    await first.shutdown()
    segment = next((tmp_path / "wal").glob("*.wal"))
    newer = segment.read_bytes()[:8] + b"\x02\x00" + segment.read_bytes()[10:]
    segment.write_bytes(newer)
    names = sorted(path.name for path in (tmp_path / "wal").iterdir())

    with pytest.raises(StartError, match="version 2 of the format; this airis knows version 1"):
        await storages().start(host)
    assert segment.read_bytes() == newer
    assert sorted(path.name for path in (tmp_path / "wal").iterdir()) == names


async def test_a_directory_that_is_not_there_may_be_an_error(storages: Any, tmp_path: Path):
    with pytest.raises(StartError, match="is not there; make it, or set create_directory"):
        await storages({"directory": str(tmp_path / "x" / "y"), "create_directory": False}).start(FakeHost(tmp_path))


async def test_it_is_made_with_the_permissions_asked_for(storages: Any, tmp_path: Path):
    directory = tmp_path / "x" / "y"
    await storages({"directory": str(directory), "directory_permissions": "0700"}).start(FakeHost(tmp_path))
    assert directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("permissions", ["", "rwx", "0999", "1777", "-1"])
def test_permissions_are_octal_digits(permissions: str):
    with pytest.raises(ValidationError, match="octal digits"):
        FileStorageConfig(directory_permissions=permissions)
