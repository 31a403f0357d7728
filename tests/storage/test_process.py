"""The supervised store process: starts or says why not, comes back after a crash, ends with its parent."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from airis.component import StartError
from airis.component.testing import ManualClock
from airis.storage import Address, Store, StoreError
from airis.storage.options import StoreOptions
from airis.storage.process import FIRST_RESTART_S, StoreProcess

Start = Callable[..., Awaitable[StoreProcess]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start a store with these options in the test's folder."""
    started: list[StoreProcess] = []

    async def begin(*, directory: Path = tmp_path / "store", socket_name: str = "s.sock", listen: str = "", **more):
        process = StoreProcess(StoreOptions(directory, tmp_path / socket_name, listen, lock_wait_s=0), **more)
        started.append(process)
        await process.start()
        return process

    yield begin
    for process in started:
        await process.stop()


def store_of(process: StoreProcess) -> Store:
    return Store(Address(socket=str(process.options.socket)), "default")


async def test_it_serves_the_socket_and_ends_when_told(start: Start) -> None:
    process = await start()
    store = store_of(process)

    assert await store.ping()
    assert await store.rows("SELECT {x:String} AS x", parameters={"x": "a'b\\\t\n"}) == [{"x": "a'b\\\t\n"}]

    for size in (10, 30_000, 1_000_000):  # in the URL, and in a form
        long = "a'b\\\t\n\0é\x85\r\n--" * (size // 10)
        sql = "SELECT {x:String} AS x, {y:UInt8} AS y"
        assert await store.rows(sql, parameters={"x": long, "y": 7}) == [{"x": long, "y": 7}]

    pid = process.pid
    await process.stop()
    assert process.pid is None
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(StoreError) as told:
        await store.rows("SELECT 1")
    assert told.value.retryable
    await store.close()


async def test_a_query_is_waited_for_as_long_as_it_may_run(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airis.storage.client.READ_TIMEOUT_S", 0.2)
    address = Address(socket=str((await start()).options.socket))
    hasty, patient = Store(address, "default", longest_query_s=0), Store(address, "default", longest_query_s=10)

    with pytest.raises(StoreError, match="no answer in time"):
        await hasty.rows("SELECT sleep(1) AS x")
    assert await patient.rows("SELECT sleep(1) AS x") == [{"x": 0}]
    settings = {"max_execution_time": "10"}
    async with hasty.query("SELECT sleep(1)", output_format="TSV", settings=settings) as answer:
        assert await answer.body() == b"0\n"
    await hasty.close()
    await patient.close()


async def test_what_was_written_is_there_after_a_kill_and_it_serves_again(start: Start) -> None:
    clock, served = ManualClock(), asyncio.Event()
    process = await start(sleep=clock.sleep, on_restart=served.set)
    store = store_of(process)
    await store.command("CREATE TABLE t (x Int64) ENGINE = MergeTree ORDER BY x SETTINGS fsync_after_insert = 1")
    await store.command("INSERT INTO t VALUES (42)")

    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    async with asyncio.timeout(60):
        while not served.is_set():
            await clock.advance(FIRST_RESTART_S)
            await asyncio.sleep(0)
        while not await store.ping():  # noqa: ASYNC110  (the child has no other way to tell a stranger)
            await asyncio.sleep(0.01)

    assert await store.rows("SELECT x FROM t") == [{"x": 42}]
    assert process.restarts == 1
    await store.close()


async def test_a_taken_port_is_named(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StartError, match="the port is taken") as told:
            await start(listen=endpoint)
    assert told.value.option == "listen"


async def test_a_directory_that_is_none_is_named(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError) as told:
        await start(directory=tmp_path / "file")
    assert told.value.option == "directory"
    assert str(tmp_path / "file") in told.value.reason


async def test_a_directory_in_use_is_named_with_who_uses_it(start: Start) -> None:
    first = await start()
    with pytest.raises(StartError) as told:
        await start(socket_name="second.sock")
    assert told.value.option == "directory"
    assert str(first.pid) in told.value.reason


async def test_a_path_too_long_for_a_socket_is_named(start: Start) -> None:
    with pytest.raises(StartError, match="too long") as told:
        await start(socket_name="x" * 120)
    assert told.value.option == "directory"


async def test_whatever_the_store_writes_to_stderr_is_read(tmp_path: Path) -> None:
    script = "import sys; sys.stderr.write('x' * 1_000_000 + '\\nno disk\\n'); sys.exit(1)"

    class Options(StoreOptions):
        def command(self) -> list[str]:
            return [sys.executable, "-c", script]

    async with asyncio.timeout(20):
        with pytest.raises(StartError, match=r"exit code 1\): no disk"):
            await StoreProcess(Options(tmp_path, tmp_path / "s.sock")).start()
