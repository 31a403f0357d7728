"""The file exporter: what is acknowledged is in the file, whole, and nothing else is."""

import asyncio
import json
import resource
import signal
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pydantic import ValidationError

from airis.component import Kind, Permanent, Retryable, StartError
from airis.component.testing import FakeHost, build
from airis.data import Batch, Signal
from airis.exporters.file import FileExporter

MIB = 1024 * 1024


def spans(*names: str) -> Batch:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add().scope_spans.add()
    for name in names:
        group.spans.add(name=name)
    return Batch(Signal.TRACES, request.SerializeToString(), len(names))


async def started(path: Path, options: dict[str, Any] | None = None, **replaced: Any) -> FileExporter:
    made = build("file", {"path": str(path), **(options or {})}, kind=Kind.EXPORTER, **replaced)
    assert isinstance(made, FileExporter)
    await made.start(FakeHost(path.parent))
    return made


async def write(path: Path, batches: list[Batch], options: dict[str, Any] | None = None) -> None:
    exporter = await started(path, options)
    for batch in batches:
        await exporter.consume(batch)
    await exporter.shutdown()


def frames(data: bytes) -> list[bytes]:
    found: list[bytes] = []
    while data:
        end = 4 + int.from_bytes(data[:4], "big")
        assert end <= len(data), "torn frame"
        found.append(data[4:end])
        data = data[end:]
    return found


def aside(folder: Path, written: str = "out.pb") -> list[str]:
    """Names of the other files in the folder."""
    return sorted(path.name for path in folder.iterdir() if path.name != written)


def names_in_line(line: str) -> list[str]:
    return [s["name"] for r in json.loads(line)["resourceSpans"] for g in r["scopeSpans"] for s in g["spans"]]


async def test_json_is_one_object_a_line(tmp_path: Path) -> None:
    path = tmp_path / "out.json"

    await write(path, [spans("a", "two\nlines"), spans("c")])

    text = path.read_text()
    assert text.endswith("\n")
    assert [names_in_line(line) for line in text.splitlines()] == [["a", "two\nlines"], ["c"]]


async def test_proto_is_frames(tmp_path: Path) -> None:
    path = tmp_path / "out.pb"
    batches = [spans("a", "b"), spans("c")]

    await write(path, batches, {"format": "proto"})

    assert frames(path.read_bytes()) == [batch.payload for batch in batches]


@pytest.mark.parametrize("file_format", ["json", "proto"])
async def test_compressed_records_are_framed(tmp_path: Path, file_format: str) -> None:
    path = tmp_path / "out"
    batches = [spans("a"), spans("b")]

    await write(path, batches, {"format": file_format, "compression": "zstd"})

    records = [zstandard.decompress(frame) for frame in frames(path.read_bytes())]
    if file_format == "proto":
        assert records == [batch.payload for batch in batches]
    else:
        assert [names_in_line(record.decode()) for record in records] == [["a"], ["b"]]


async def test_an_acknowledged_batch_is_in_the_file_already(tmp_path: Path) -> None:
    path = tmp_path / "out.pb"
    exporter = await started(path, {"format": "proto", "flush_interval": "1h"})

    await exporter.consume(spans("a"))

    assert frames(path.read_bytes()) == [spans("a").payload]
    await exporter.shutdown()


@pytest.mark.parametrize(("append", "kept"), [(True, ["old", "new"]), (False, ["new"])], ids=["append", "truncate"])
async def test_append_keeps_what_was_there(tmp_path: Path, append: bool, kept: list[str]) -> None:
    path = tmp_path / "out.json"
    await write(path, [spans("old")])

    await write(path, [spans("new")], {"append": append})

    assert [names_in_line(line) for line in path.read_text().splitlines()] == [[name] for name in kept]


async def test_callers_at_once_get_whole_records(tmp_path: Path) -> None:
    path = tmp_path / "out.pb"
    exporter = await started(path, {"format": "proto"})
    batches = [spans(str(i) * 1000) for i in range(50)]

    await asyncio.gather(*(exporter.consume(batch) for batch in batches))

    assert frames(path.read_bytes()) == [batch.payload for batch in batches]
    await exporter.shutdown()


async def test_shutdown_writes_what_was_handed_over(tmp_path: Path) -> None:
    path = tmp_path / "out.pb"
    exporter = await started(path, {"format": "proto"})

    tasks = [asyncio.create_task(exporter.consume(spans(str(i)))) for i in range(20)]
    await asyncio.sleep(0)
    await exporter.shutdown()
    await asyncio.gather(*tasks)

    assert len(frames(path.read_bytes())) == 20
    with pytest.raises(Retryable):
        await exporter.consume(spans("late"))
    await exporter.shutdown()


@contextmanager
def disk_with_room_for(size_bytes: int) -> Generator[None]:
    """Files of this process may not grow beyond this: a write is cut short, the next one fails, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)


async def test_a_full_disk_is_retryable_and_leaves_no_torn_record(tmp_path: Path) -> None:
    path = tmp_path / "out.pb"
    exporter = await started(path, {"format": "proto"})
    before, large, after = spans("before"), spans("x" * 10_000), spans("after")
    await exporter.consume(before)

    with disk_with_room_for(5000):
        with pytest.raises(Retryable, match=r"out\.pb"):
            await exporter.consume(large)
        assert frames(path.read_bytes()) == [before.payload]
        await exporter.consume(after)

    await exporter.consume(large)
    assert frames(path.read_bytes()) == [before.payload, after.payload, large.payload]
    await exporter.shutdown()


async def test_a_device_without_room_is_retryable() -> None:
    exporter = await started(Path("/dev/full"))

    with pytest.raises(Retryable, match="No space left"):
        await exporter.consume(spans("a"))

    await exporter.shutdown()


@pytest.mark.parametrize(
    ("options", "torn"),
    [
        ({"format": "json", "append": True}, b'{"resourceSpans":[{'),
        ({"format": "proto", "append": True}, b"\0\0\0\x09abc"),
        ({"format": "proto", "rotation": {}}, b"\0\0"),
        ({"format": "json", "compression": "zstd", "append": True}, b"\0\0\0\x09abc"),
    ],
    ids=["json", "proto", "proto, in the length", "compressed"],
)
async def test_a_file_that_a_crash_left_torn_is_put_aside(tmp_path: Path, options: dict[str, Any], torn: bytes) -> None:
    path = tmp_path / "out.data"
    await write(path, [spans("old")], options)
    whole = path.read_bytes()
    path.write_bytes(whole + torn)

    await write(path, [spans("old")], options)

    assert path.read_bytes() == whole
    [name] = aside(tmp_path, path.name)
    assert (tmp_path / name).read_bytes() == whole + torn


class Calendar:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, 0, 123_000, UTC)

    def __call__(self) -> datetime:
        return self.now


async def test_puts_the_file_aside_before_it_becomes_too_large(tmp_path: Path) -> None:
    path = tmp_path / "out.pb"
    options = {"format": "proto", "rotation": {"max_megabytes": 1}}
    exporter = await started(path, options, now=Calendar())
    batches = [spans(str(i) * (MIB // 2)) for i in range(5)]

    for batch in batches:
        await exporter.consume(batch)
    await exporter.shutdown()

    names = aside(tmp_path)
    assert names == [f"out-2026-03-01T12-00-00.{ms}.pb" for ms in (123, 124, 125, 126)]
    written = [frame for name in [*names, "out.pb"] for frame in frames((tmp_path / name).read_bytes())]
    assert written == [batch.payload for batch in batches]


async def test_a_file_is_continued_after_a_restart_with_rotation(tmp_path: Path) -> None:
    path = tmp_path / "out.pb"
    options = {"format": "proto", "rotation": {"max_megabytes": 1}}

    for name in "ab":
        await write(path, [spans(name)], options)

    assert frames(path.read_bytes()) == [spans("a").payload, spans("b").payload]


async def test_deletes_the_oldest_files_put_aside_and_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "out.pb"
    calendar = Calendar()
    foreign = tmp_path / "out-of-reach.pb"
    foreign.touch()
    options = {"format": "proto", "rotation": {"max_megabytes": 1, "max_backups": 2, "max_days": 3}}
    exporter = await started(path, options, now=calendar)

    async def fill(days_later: int) -> list[str]:
        calendar.now += timedelta(days=days_later)
        await exporter.consume(spans("x" * (MIB - 100)))
        return [name for name in aside(tmp_path) if name != foreign.name]

    day = "out-2026-03-{}T12-00-00.123.pb".format
    assert await fill(0) == []
    assert await fill(1) == [day("02")]
    assert await fill(1) == [day("02"), day("03")]
    assert await fill(1) == [day("03"), day("04")]
    assert await fill(3) == [day("04"), day("07")]
    assert await fill(3) == [day("07"), day("10")]
    assert await fill(9) == [day("19")]
    assert foreign.exists()
    await exporter.shutdown()


async def test_rotation_goes_on_where_it_failed(tmp_path: Path) -> None:
    path = tmp_path / "out.pb"
    exporter = await started(path, {"format": "proto", "rotation": {"max_megabytes": 1}}, now=Calendar())
    first, second = spans("a" * (MIB - 100)), spans("b" * 1000)
    await exporter.consume(first)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with pytest.raises(Retryable):
            await exporter.consume(second)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    await exporter.consume(second)

    [name] = aside(tmp_path)
    assert frames((tmp_path / name).read_bytes()) == [first.payload]
    assert frames(path.read_bytes()) == [second.payload]
    await exporter.shutdown()


async def test_a_path_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"path: cannot write to .*: No such file or directory"):
        await started(tmp_path / "missing/out.json")
    with pytest.raises(StartError) as raised:
        await started(tmp_path)
    assert raised.value.option == "path"


async def test_creates_the_folder_when_told_to(tmp_path: Path) -> None:
    path = tmp_path / "a/b/out.json"

    await write(path, [spans("a")], {"create_directory": True})

    assert path.read_text()


async def test_what_cannot_be_written_as_json_is_permanent(tmp_path: Path) -> None:
    exporter = await started(tmp_path / "out.json")

    with pytest.raises(Permanent):
        await exporter.consume(Batch(Signal.TRACES, b"\x0a\x7f", 1))

    assert (tmp_path / "out.json").read_bytes() == b""
    await exporter.shutdown()


async def test_the_longest_time_that_files_are_kept_can_be_counted(tmp_path: Path) -> None:
    path = tmp_path / "out.pb"
    with pytest.raises(ValidationError, match="less than or equal to 36500"):
        await started(path, {"format": "proto", "rotation": {"max_days": 1_000_000}})
    exporter = await started(path, {"format": "proto", "rotation": {"max_megabytes": 1, "max_days": 36_500}})

    for name in "ab":
        await exporter.consume(spans(name * (MIB - 100)))

    assert len(aside(tmp_path)) == 1
