"""Look into the running process: stacks of threads and tasks, a CPU profile, and what holds memory."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from pydantic import Field, field_validator
from starlette.types import Receive, Scope, Send

from airis.component import Config, Extension, Host, StartError, Telemetry, extension
from airis.component.browsers import other_site
from airis.component.http import HttpServer, HttpServerConfig, answer
from airis.component.listen import is_loopback, parse_endpoint
from airis.extensions.pprof import heap, proto, stacks
from airis.extensions.pprof.cpu import CpuSampler, Profile

PREFIX = "/debug/pprof/"
DEFAULT_SECONDS = 30.0
MOST_SECONDS = 600.0
DEFAULT_FRAMES = 10
DEFAULT_PLACES = 50

_NO_STORE = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


class PprofConfig(Config):
    """Where the process can be looked into."""

    endpoint: str = Field(default="localhost:1777", description="host:port to listen on.")
    block_profile_fraction: int = Field(
        default=0, description="Has no effect: Python does not count what blocks; see /debug/pprof/goroutine."
    )
    mutex_profile_fraction: int = Field(
        default=0, description="Has no effect: Python does not count what waits for locks."
    )
    save_to_file: str = Field(
        default="",
        description="File that a CPU profile of the whole run is written to at the shutdown, in the format of pprof; "
        "empty: none. Sampling a hundred times a second takes one to five percent of a core.",
    )

    @field_validator("endpoint")
    @classmethod
    def _endpoint_can_be_read(cls, endpoint: str) -> str:
        parse_endpoint(endpoint)
        return endpoint


class Refused(Exception):
    """A request that is not answered with what it asks for: the status, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Body:
    """An answer."""

    content: bytes
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """What a handler gets to know."""

    query: Mapping[str, list[str]]
    receive: Receive

    def number(self, name: str, default: float, least: float, most: float) -> float:
        """A number in the query; raises Refused."""
        text = self.query.get(name, [str(default)])[0]
        try:
            value = float(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise Refused(400, f"{name} must be a number from {least:g} to {most:g}")
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """One of the choices, by default the first; raises Refused."""
        text = self.query.get(name, [choices[0]])[0]
        if text not in choices:
            raise Refused(400, f"{name} must be one of {', '.join(choices)}")
        return text


@extension("pprof")
class Pprof(Extension[PprofConfig]):
    """Serve `/debug/pprof/`: stacks of all threads and tasks, a CPU profile, and what holds memory.

    For whoever reaches it on this machine; pages of other sites are refused.
    """

    def __init__(self, config: PprofConfig, telemetry: Telemetry) -> None:
        super().__init__(config, telemetry)
        self.profiling = asyncio.Event()
        """Set while a CPU profile is made."""
        self.idle = asyncio.Event()
        """Set while none is."""
        self.idle.set()
        self._stopping = asyncio.Event()
        self._server = HttpServer(self._serve, HttpServerConfig(endpoint=config.endpoint), telemetry)
        self._whole_run: CpuSampler | None = None
        self._file = -1
        self._traces = False
        self._handlers: Mapping[tuple[str, str], Callable[[Request], Awaitable[Body]]] = {
            ("GET", ""): self._index,
            ("GET", "goroutine"): self._goroutine,
            ("GET", "profile"): self._profile,
            ("GET", "heap"): self._heap,
            ("POST", "heap/start"): self._start_heap,
            ("POST", "heap/stop"): self._stop_heap,
        }

    async def start(self, host: Host) -> None:
        """Listen, and begin the profile of the whole run where one is asked for."""
        if self.config.save_to_file:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
            try:
                self._file = os.open(self.config.save_to_file, flags, 0o600)
            except OSError as error:
                reason = f"{self.config.save_to_file}: {error.strerror}"
                raise StartError(reason, "save_to_file") from error
            self._whole_run = self._begin()
        await self._server.start()

    async def shutdown(self) -> None:
        """Stop listening, end what is under way, and write the profile of the whole run."""
        self._stopping.set()
        await self._server.shutdown()
        if self._traces:
            self._traces = False
            heap.stop_tracing()
        if self._whole_run is not None:
            profile = await self._end(self._whole_run)
            self._whole_run = None
            await asyncio.to_thread(self._save, profile)

    def endpoints(self) -> Mapping[str, str]:
        """The URL of the index."""
        return {"pprof": f"{self._server.url}{PREFIX}"}

    def _begin(self) -> CpuSampler:
        sampler = CpuSampler()
        self.idle.clear()
        self.profiling.set()
        sampler.start()
        return sampler

    async def _end(self, sampler: CpuSampler) -> Profile:
        try:
            return await asyncio.to_thread(sampler.stop)
        finally:
            self.profiling.clear()
            self.idle.set()

    def _save(self, profile: Profile) -> None:
        with os.fdopen(self._file, "wb") as file:
            file.write(proto.encode(profile, round(CpuSampler().interval_s * 1e9)))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"].removeprefix("/debug").removeprefix("/pprof").strip("/")
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        try:
            if reason := self._other_site(scope):
                raise Refused(403, reason)
            handler = self._handlers.get((method, name))
            if handler is None:
                raise self._not_there(name)
            body = await handler(Request(query, receive))
        except Refused as refused:
            await answer(send, refused.status, f"{refused.reason}\n".encode(), headers=_NO_STORE)
        else:
            await answer(send, 200, body.content, body.content_type, _NO_STORE)

    def _not_there(self, name: str) -> Refused:
        methods = [method for method, known in self._handlers if known == name]
        if methods:
            return Refused(405, f"{PREFIX}{name} takes {', '.join(methods)}")
        known = "\n".join(f"  {method:<5} {PREFIX}{path}" for method, path in self._handlers)
        return Refused(404, f"there is no {name or 'such page'} of a Python process; there is\n{known}")

    def _other_site(self, scope: Scope) -> str:
        host = parse_endpoint(self.config.endpoint)[0]
        return other_site(scope, host, any_name=not is_loopback(host))

    async def _index(self, _request: Request) -> Body:
        return Body(_INDEX.encode())

    async def _goroutine(self, _request: Request) -> Body:
        return Body(stacks.dump().encode())

    async def _profile(self, request: Request) -> Body:
        seconds = request.number("seconds", DEFAULT_SECONDS, 0.01, MOST_SECONDS)
        form = request.choice("format", ("collapsed", "pprof"))
        if self.profiling.is_set():
            raise Refused(409, "a profile is being made already")
        sampler = self._begin()
        try:
            await self._pass_time(seconds, request.receive)
        finally:
            profile = await self._end(sampler)
        if form == "pprof":
            content = await asyncio.to_thread(proto.encode, profile, round(sampler.interval_s * 1e9))
            return Body(content, "application/octet-stream")
        return Body((await asyncio.to_thread(profile.collapsed)).encode())

    async def _pass_time(self, seconds: float, receive: Receive) -> None:
        """Return after so long, or when the client leaves, or the shutdown begins."""
        waiting = [asyncio.create_task(_until_gone(receive)), asyncio.create_task(self._stopping.wait())]
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    async def _heap(self, request: Request) -> Body:
        most = request.number("top", DEFAULT_PLACES, 1, heap.MOST_PLACES)
        if not heap.is_tracing():
            raise Refused(409, "allocations are not traced; begin with POST /debug/pprof/heap/start")
        return Body((await asyncio.to_thread(heap.report, round(most))).encode())

    async def _start_heap(self, request: Request) -> Body:
        frames = request.number("frames", DEFAULT_FRAMES, 1, heap.MOST_FRAMES)
        heap.start_tracing(round(frames))
        self._traces = True
        self.telemetry.log.warning("tracing allocations, which takes time and memory", frames=round(frames))
        return Body(b"tracing; look with GET /debug/pprof/heap, end with POST /debug/pprof/heap/stop\n")

    async def _stop_heap(self, _request: Request) -> Body:
        heap.stop_tracing()
        self._traces = False
        self.telemetry.log.info("tracing of allocations ended")
        return Body(b"no longer tracing\n")


async def _until_gone(receive: Receive) -> None:
    """Return when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


_INDEX = f"""\
What a running airis does. Stacks are of Python: what native code does counts for the function that called it, and
what the event loop does for the functions that it calls.

  goroutine             every thread and every asyncio task with its stack
  profile?seconds={DEFAULT_SECONDS:g}    CPU profile: collapsed stacks with microseconds, for flame graph tools; with
                        &format=pprof gzipped protobuf, as for
                        go tool pprof 'http://localhost:1777{PREFIX}profile?seconds=30&format=pprof'
                        One at a time; takes one to five percent of a core meanwhile.
  heap                  what holds memory, once tracing was begun
    POST heap/start     trace allocations (?frames={DEFAULT_FRAMES}); Python is two to four times slower until
    POST heap/stop      and takes about as much memory again

All below {PREFIX}
"""
