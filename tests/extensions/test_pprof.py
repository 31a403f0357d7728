"""Profiles of the running process: what its threads and tasks do, where its CPU time goes, what holds its memory."""

import asyncio
import gzip
import re
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from pydantic import ValidationError

from airis.component import Kind, StartError
from airis.component.testing import FakeHost, build
from airis.extensions.pprof import Pprof, PprofConfig
from airis.extensions.pprof.cpu import CpuSampler
from airis.extensions.pprof.heap import stop_tracing

counts_cpu_time = pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(), reason="this system does not say how much CPU time a thread used"
)


def burn(until: threading.Event) -> None:
    """Use CPU time, in a function that a profile has to show."""
    while not until.is_set():
        sum(range(1000))


def wait_idly(until: threading.Event) -> None:
    """Use none."""
    until.wait()


@contextmanager
def busy_process() -> Iterator[None]:
    """One thread that works and one that waits."""
    until = threading.Event()
    threads = [
        threading.Thread(target=burn, args=(until,), name="the busy one; really"),
        threading.Thread(target=wait_idly, args=(until,), name="the idle one"),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        until.set()
        for thread in threads:
            thread.join()


class Running:
    """A started extension and a client for it."""

    def __init__(self, session: aiohttp.ClientSession, pprof: Pprof) -> None:
        self.session = session
        self.pprof = pprof
        self.url = pprof.endpoints()["pprof"]

    async def get(self, path: str, method: str = "GET", **options: Any) -> tuple[int, bytes]:
        async with self.session.request(method, self.url + path, **options) as response:
            return response.status, await response.read()

    async def text(self, path: str, method: str = "GET") -> str:
        status, body = await self.get(path, method)
        assert status == 200, body
        return body.decode()


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def start(**options: Any) -> Running:
            pprof: Pprof = build("pprof", {"endpoint": "127.0.0.1:0", **options}, kind=Kind.EXTENSION)
            await pprof.start(FakeHost(tmp_path))
            stack.push_async_callback(pprof.shutdown)
            return Running(session, pprof)

        yield start


async def test_the_index_says_what_there_is_and_what_it_costs(start: Start) -> None:
    text = await (await start()).text("")

    assert {"goroutine", "profile?seconds=30", "heap"} <= set(text.split())
    assert "slower" in text


@pytest.mark.parametrize("path", ["goroutine", "goroutine?debug=2"])
async def test_every_thread_and_task_is_shown_with_its_stack(start: Start, path: str) -> None:
    async def inner() -> None:
        await asyncio.Event().wait()

    async def outer() -> None:
        await inner()

    task = asyncio.create_task(outer(), name="the held one")
    running = await start()
    with busy_process():
        text = await running.text(path)
    task.cancel()

    threads, _, tasks = text.partition("\n\nTasks")
    (idle,) = [part for part in threads.split("\n\n") if "the idle one" in part.splitlines()[0]]
    assert "wait_idly" in idle
    assert "MainThread" in threads
    (held,) = [part for part in tasks.split("\n\n") if "the held one" in part.splitlines()[0]]
    assert held.index("inner") < held.index("outer", held.index("inner"))
    assert "Event.wait" in held


@counts_cpu_time
async def test_a_profile_shows_where_cpu_time_went_and_nothing_that_waited(start: Start) -> None:
    running = await start()
    with busy_process():
        text = await running.text("profile?seconds=0.3")

    stacks = dict(line.rsplit(" ", 1) for line in text.splitlines())
    burnt = sum(int(cpu_us) for stack, cpu_us in stacks.items() if "burn (" in stack)
    assert 30_000 < burnt < 1_000_000
    assert any(stack.startswith("the busy one, really;") for stack in stacks)
    assert not any("wait_idly" in stack for stack in stacks)


@counts_cpu_time
def test_short_work_between_waits_is_told_as_work() -> None:
    until = threading.Event()

    def work_briefly() -> None:
        done = time.thread_time() + 0.002
        while time.thread_time() < done:
            sum(range(100))

    def work_and_wait() -> None:
        while not until.wait(0.008):
            work_briefly()

    thread = threading.Thread(target=work_and_wait, name="by turns")
    sampler = CpuSampler(interval_s=0.003)
    thread.start()
    sampler.start()
    time.sleep(0.5)
    profile = sampler.stop()
    until.set()
    thread.join()

    stacks = dict(line.rsplit(" ", 1) for line in profile.collapsed().splitlines())
    own = {stack: int(cpu_us) for stack, cpu_us in stacks.items() if stack.startswith("by turns")}
    at_work = sum(cpu_us for stack, cpu_us in own.items() if "work_briefly" in stack)
    assert at_work > 0.7 * sum(own.values()) > 0


@counts_cpu_time
async def test_a_profile_is_for_pprof_where_that_is_asked_for(start: Start) -> None:
    running = await start()
    with busy_process():
        status, body = await running.get("profile?seconds=0.3&format=pprof")

    assert status == 200
    profile = decoded(body)
    types = [(profile.string_table[t.type], profile.string_table[t.unit]) for t in profile.sample_type]
    assert types == [("samples", "count"), ("cpu", "nanoseconds")]
    burnt = sum(sample.value[1] for sample in profile.sample if "burn" in functions(profile, sample))
    assert 30_000_000 < burnt < 1_000_000_000
    (busy,) = [s for s in profile.sample if "burn" in functions(profile, s)][:1]
    assert functions(profile, busy)[-1].startswith("Thread.")
    assert profile.string_table[busy.label[0].str] == "the busy one; really"
    assert profile.duration_nanos >= 300_000_000
    assert profile.period == 10_000_000


@counts_cpu_time
def test_cpu_time_of_threads_without_python_is_told_as_that() -> None:
    sampler = CpuSampler(process_time_ns=iter([0, 5_000_000_000]).__next__)

    sampler.start()
    profile = sampler.stop()

    assert profile.collapsed().splitlines()[-1].startswith("(threads without Python) 49")


def test_where_the_cpu_time_of_a_thread_is_not_known_time_is_told_and_that_is_said(tmp_path: Path) -> None:
    sampler = CpuSampler(proc=tmp_path)

    with busy_process():
        sampler.start()
        time.sleep(0.2)
        profile = sampler.stop()

    assert profile.of_wall_time
    assert any("wait_idly" in line for line in profile.collapsed().splitlines())


def test_stacks_without_end_do_not_fill_the_memory() -> None:
    until = threading.Event()

    def deeper(depth: int) -> None:
        if depth:
            deeper(depth - 1)
        else:
            sum(range(10_000))

    def burn_everywhere() -> None:
        while not until.is_set():
            for depth in range(40):
                deeper(depth)

    sampler = CpuSampler(interval_s=0.002, most_stacks=3)
    thread = threading.Thread(target=burn_everywhere)
    thread.start()
    sampler.start()
    time.sleep(0.3)
    profile = sampler.stop()
    until.set()
    thread.join()

    assert len(profile.stacks) == 3
    assert profile.other.cpu_ns > 30_000_000
    assert "(other stacks) " in profile.collapsed()


async def test_there_is_one_profile_at_a_time(start: Start) -> None:
    running = await start()
    first = asyncio.create_task(running.get("profile?seconds=30"))
    await running.pprof.profiling.wait()

    status, body = await running.get("profile?seconds=1")

    assert (status, body) == (409, b"a profile is being made already\n")
    await running.pprof.shutdown()
    assert (await first)[0] == 200


async def test_a_client_that_leaves_ends_its_profile(start: Start) -> None:
    running = await start()
    leaving = asyncio.create_task(running.get("profile?seconds=30"))
    await running.pprof.profiling.wait()

    leaving.cancel()

    async with asyncio.timeout(10):
        await running.pprof.idle.wait()


@pytest.mark.parametrize("query", ["seconds=0", "seconds=-1", "seconds=x", "seconds=601", "seconds=1&format=svg"])
async def test_a_profile_that_makes_no_sense_is_refused(start: Start, query: str) -> None:
    assert (await (await start()).get(f"profile?{query}"))[0] == 400


async def test_a_profile_of_the_whole_run_is_saved_at_the_shutdown(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "cpu.pprof"
    running = await start(save_to_file=str(file))
    with busy_process():
        await asyncio.sleep(0.3)
        assert (await running.get("profile?seconds=1"))[0] == 409

    await running.pprof.shutdown()

    profile = decoded(file.read_bytes())
    assert any("burn" in functions(profile, sample) for sample in profile.sample)
    assert file.stat().st_mode & 0o077 == 0


async def test_a_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    pprof = build("pprof", {"endpoint": "127.0.0.1:0", "save_to_file": str(tmp_path)}, kind=Kind.EXTENSION)

    with pytest.raises(StartError, match="Is a directory") as told:
        await pprof.start(FakeHost(tmp_path))

    assert told.value.option == "save_to_file"
    await pprof.shutdown()


@pytest.fixture
def _no_tracing() -> Iterator[None]:
    yield
    stop_tracing()


@pytest.mark.usefixtures("_no_tracing")
class TestHeap:
    """Memory is traced only when somebody asks for it."""

    async def test_nothing_is_traced_without_being_asked_for(self, start: Start) -> None:
        status, body = await (await start()).get("heap")

        assert status == 409
        assert b"POST /debug/pprof/heap/start" in body
        assert not tracemalloc.is_tracing()

    async def test_what_holds_memory_is_told_between_start_and_stop(self, start: Start) -> None:
        running = await start()

        await running.text("heap/start?frames=3", "POST")
        held = [bytes(1000) for _ in range(1000)]
        text = await running.text("heap?top=3")
        await running.text("heap/stop", "POST")

        assert len(held) == 1000
        assert "test_pprof.py" in text
        (most,) = [int(count) for count in re.findall(r"in (100\d) blocks", text)]
        assert 1000 <= most < 1010
        assert not tracemalloc.is_tracing()

    async def test_a_shutdown_ends_what_was_started(self, start: Start) -> None:
        running = await start()
        await running.text("heap/start", "POST")

        await running.pprof.shutdown()

        assert not tracemalloc.is_tracing()

    @pytest.mark.parametrize("path", ["heap/start", "heap/stop"])
    async def test_it_is_not_switched_by_reading(self, start: Start, path: str) -> None:
        assert (await (await start()).get(path))[0] == 405

    @pytest.mark.parametrize("query", ["frames=0", "frames=101", "frames=x"])
    async def test_a_start_that_makes_no_sense_is_refused(self, start: Start, query: str) -> None:
        assert (await (await start()).get(f"heap/start?{query}", "POST"))[0] == 400
        assert not tracemalloc.is_tracing()


@pytest.mark.parametrize("path", ["block", "mutex", "trace", "cmdline", "allocs"])
async def test_what_python_does_not_have_is_said(start: Start, path: str) -> None:
    status, body = await (await start()).get(path)

    assert status == 404
    assert b"/debug/pprof/goroutine" in body


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:1777"}, 200),
        ({"Host": "rebound.example:1777"}, 403),
        ({"Origin": "https://page.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
    ids=str,
)
async def test_pages_of_other_sites_are_refused(start: Start, headers: dict[str, str], status: int) -> None:
    assert (await (await start()).get("goroutine", headers=headers))[0] == status


async def test_a_taken_port_stops_the_start(start: Start, tmp_path: Path) -> None:
    taken = (await start()).url.split("/")[2]

    with pytest.raises(StartError, match="the port is taken"):
        await build("pprof", {"endpoint": taken}, kind=Kind.EXTENSION).start(FakeHost(tmp_path))


async def test_shutdown_may_come_twice_and_before_start() -> None:
    pprof: Pprof = build("pprof", kind=Kind.EXTENSION)

    await pprof.shutdown()
    await pprof.shutdown()


def test_the_options_are_those_of_the_collector() -> None:
    config = PprofConfig.model_validate({"block_profile_fraction": 3, "mutex_profile_fraction": 5})

    assert (config.endpoint, config.save_to_file) == ("localhost:1777", "")
    with pytest.raises(ValidationError, match="has no port"):
        PprofConfig.model_validate({"endpoint": "localhost"})


def functions(profile: Any, sample: Any) -> list[str]:
    """The names of a sample's functions, innermost first."""
    names = {function.id: profile.string_table[function.name] for function in profile.function}
    lines = {location.id: names[location.line[0].function_id] for location in profile.location}
    return [lines[number] for number in sample.location_id]


def decoded(body: bytes) -> Any:
    """The message in a gzipped profile, by the definition of its format (profile.proto)."""
    file = descriptor_pb2.FileDescriptorProto(name="profile.proto", package="test", syntax="proto3")
    for message, fields in PROFILE_PROTO.items():
        described = file.message_type.add(name=message)
        for number, (name, kind, repeated) in fields.items():
            field = described.field.add(name=name, number=number, label=3 if repeated else 1)
            if kind in PROFILE_PROTO:
                field.type, field.type_name = 11, f".test.{kind}"
            else:
                field.type = {"int64": 3, "uint64": 4, "string": 9}[kind]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    profile = message_factory.GetMessageClass(pool.FindMessageTypeByName("test.Profile"))()
    profile.ParseFromString(gzip.decompress(body))
    return profile


PROFILE_PROTO: dict[str, dict[int, tuple[str, str, bool]]] = {
    "Profile": {
        1: ("sample_type", "ValueType", True),
        2: ("sample", "Sample", True),
        4: ("location", "Location", True),
        5: ("function", "Function", True),
        6: ("string_table", "string", True),
        9: ("time_nanos", "int64", False),
        10: ("duration_nanos", "int64", False),
        11: ("period_type", "ValueType", False),
        12: ("period", "int64", False),
    },
    "ValueType": {1: ("type", "int64", False), 2: ("unit", "int64", False)},
    "Sample": {1: ("location_id", "uint64", True), 2: ("value", "int64", True), 3: ("label", "Label", True)},
    "Label": {1: ("key", "int64", False), 2: ("str", "int64", False)},
    "Location": {1: ("id", "uint64", False), 4: ("line", "Line", True)},
    "Line": {1: ("function_id", "uint64", False), 2: ("line", "int64", False)},
    "Function": {
        1: ("id", "uint64", False),
        2: ("name", "int64", False),
        4: ("filename", "int64", False),
        5: ("start_line", "int64", False),
    },
}
