"""Protections switched off, one each: with it the cell that tests the protection must fail."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from .injections import injection

# Processes that end


@injection
def ack_before_write() -> None:
    """A sending queue answers when a batch is on its way to the log, and not when it is there."""
    from airis.component.sending.durable import DurableQueue

    put = DurableQueue.put
    later: set[asyncio.Task[None]] = set()

    async def put_later(self: DurableQueue, batch: Any, enqueued: Any) -> None:
        async def write() -> None:
            await asyncio.sleep(0.2)
            await put(self, batch, enqueued)

        task = asyncio.create_task(write())
        later.add(task)
        task.add_done_callback(later.discard)

    DurableQueue.put = put_later  # type: ignore[method-assign]


@injection
def forget_dispatched() -> None:
    """What was under way at the end of the process counts as delivered, as where it is deleted to be queued again."""
    from airis.storage.wal.journal import Journal

    open_journal = Journal.open.__func__  # type: ignore[attr-defined]

    def forget(cls: type[Journal], *arguments: Any) -> Journal:
        journal: Journal = open_journal(cls, *arguments)
        for token in list(journal.state.groups):
            journal.settled(token)
        return journal

    Journal.open = classmethod(forget)  # type: ignore[assignment,method-assign]


@injection
def batch_acknowledges_early() -> None:
    """The batch processor answers before the stage behind it did, as the Collector's does."""
    from airis.processors.batch import BatchProcessor

    consume = BatchProcessor.consume
    later: set[asyncio.Task[None]] = set()

    async def answer_first(self: BatchProcessor, batch: Any) -> None:
        async def go_on() -> None:
            await asyncio.sleep(1.0)
            await consume(self, batch)

        task = asyncio.create_task(go_on())
        later.add(task)
        task.add_done_callback(later.discard)

    BatchProcessor.consume = answer_first  # type: ignore[method-assign]


@injection
def reload_starts_all_anew() -> None:
    """A reload closes and opens what did not change as well."""
    from airis.service.graph import Graph

    Graph.differing = lambda _self, new: dict.fromkeys(new.components, "changed")  # type: ignore[method-assign]


@injection
def no_supervisor() -> None:
    """Nobody starts the store again."""
    from airis.storage.process import StoreProcess

    async def watch(_self: StoreProcess) -> None:
        await asyncio.Event().wait()

    StoreProcess._watch = watch  # type: ignore[method-assign]


@injection
def no_crash_breaker() -> None:
    """A batch is tried again at every start, however often it ended the process."""
    from airis.storage.wal import subscriber

    subscriber.CRASHES = 1 << 30


# Disks


@injection
def no_fsync() -> None:
    """Nothing is synced."""
    from airis.storage.wal.files import OsFile, OsFiles

    OsFile.sync = OsFiles.sync = lambda _self: None  # type: ignore[assignment,method-assign,misc]


@injection
def fsync_again() -> None:
    """After an fsync that failed, the next one is believed."""
    from airis.storage.wal.segment import Writer

    sync = Writer.sync

    def twice(self: Writer) -> None:
        try:
            sync(self)
        except Exception:
            sync(self)

    Writer.sync = twice  # type: ignore[method-assign]


@injection
def full_disk_acknowledges() -> None:
    """A batch that found no room is acknowledged."""
    from airis.component.errors import Retryable
    from airis.component.sending.durable import DurableQueue

    put = DurableQueue.put

    async def put_or_not(self: DurableQueue, batch: Any, enqueued: Any) -> None:
        with suppress(Retryable):
            await put(self, batch, enqueued)

    DurableQueue.put = put_or_not  # type: ignore[method-assign]


@injection
def no_checksums() -> None:
    """What stands where a record is expected is one."""
    os.environ["AIRIS_KERNELS"] = "reference"
    from airis.storage.wal import format as layout

    def read(_log_id: bytes, data: bytes, start: int = 0, *, payloads: bool = True) -> Iterator[layout.Found]:
        at = start
        while (body := at + layout.HEAD_BYTES) <= len(data):
            _, size, meta_size, *fields = layout._HEAD.unpack_from(data, at + layout._CHECKED_FROM)
            end = min(body + size, len(data))
            content = data[body:end] if payloads else b""
            head = layout.Head(*fields)
            yield layout.Found(at, end, head, data[body : body + meta_size], content[meta_size:], is_whole=True)
            at = end

    layout.read = read


@injection
def any_version() -> None:
    """A file of another version is treated as damaged."""
    from airis.storage.wal.format import NotOurs, SegmentHeader, WrongVersion

    unpack = SegmentHeader.unpack.__func__  # type: ignore[attr-defined]

    def unpack_any(cls: type[SegmentHeader], data: bytes) -> SegmentHeader:
        try:
            header: SegmentHeader = unpack(cls, data)
        except WrongVersion as error:
            raise NotOurs(str(error)) from error
        return header

    SegmentHeader.unpack = classmethod(unpack_any)  # type: ignore[assignment,method-assign]


@injection
def backlog_first() -> None:
    """A start waits until the backlog is delivered."""
    from airis.component.sending.sender import Sending

    begin = Sending.open

    async def open_when_empty(self: Sending, host: Any) -> None:
        await begin(self, host)
        while any(consumers.queue.size() for consumers in self._consumers.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    Sending.open = open_when_empty  # type: ignore[method-assign]


# Destinations


@injection
def no_token() -> None:
    """The store is not told that an insert is the same as one before."""
    from airis.storage import Store

    insert = Store.insert

    async def insert_as_new(self: Store, table: str, blocks: Any, token: str) -> None:
        await insert(self, table, blocks, os.urandom(16).hex())

    Store.insert = insert_as_new  # type: ignore[method-assign]


@injection
def retries_end() -> None:
    """What could not be delivered for a while is given up, as the Collector does after 300 s."""
    from airis.component.sending.consumers import Consumers

    async def give_up(self: Consumers, suspect: Any, error: Any) -> None:
        self._suspects.end(suspect)
        await self._give_up(suspect.group, "retries", error)

    Consumers._postpone = give_up  # type: ignore[method-assign]


@injection
def no_timeout() -> None:
    """An attempt may take for ever."""
    from airis.exporters.otlp_grpc import OtlpGrpcConfig, OtlpGrpcExporter

    begin = OtlpGrpcExporter.__init__

    def init(self: OtlpGrpcExporter, config: OtlpGrpcConfig, *more: Any) -> None:
        begin(self, config.model_copy(update={"timeout": 0.0}), *more)

    OtlpGrpcExporter.__init__ = init  # type: ignore[method-assign]


@injection
def retry_when_it_suits() -> None:
    """What a server says about when to come again is not heeded."""
    from airis.component.errors import Retryable

    begin = Retryable.__init__

    def init(self: Retryable, reason: str, _retry_after: float | None = None) -> None:
        begin(self, reason, None)

    Retryable.__init__ = init  # type: ignore[method-assign]


@injection
def every_code_is_final() -> None:
    """No code of gRPC means that the same may be sent again."""
    from airis.exporters import otlp_grpc

    otlp_grpc.RETRYABLE = frozenset()


@injection
def partial_success_is_retried() -> None:
    """A request of which the server rejected some is sent again."""
    from airis.component.errors import Retryable
    from airis.component.sending.sender import Sending

    def accept(_self: Sending, _batch: Any, rejected: int, _message: str) -> None:
        if rejected:
            raise Retryable("some were rejected")

    Sending.accept = accept  # type: ignore[method-assign]


@injection
def no_bisection() -> None:
    """A batch with something bad in it is given up whole."""
    from airis.component.sending import parts
    from airis.component.sending.consumers import Consumers

    parts.halves = lambda batch: [batch]
    begin = Consumers._send

    async def send_whole(self: Consumers, suspect: Any) -> None:
        suspect.group.is_alone = True
        await begin(self, suspect)

    Consumers._send = send_whole  # type: ignore[method-assign]


@injection
def one_is_enough() -> None:
    """A segment is deleted when one of several destinations of a signal has all of it."""
    from airis.storage.wal.room import Room

    def is_needed_by_all(self: Room, segment: Any) -> bool:
        by_signal: dict[int, list[bool]] = {}
        for subscriber in self._log.subscribers.values():
            by_signal.setdefault(subscriber.state.signal, []).append(subscriber.needs(segment))
        return any(all(needs) for needs in by_signal.values())

    Room._is_needed = is_needed_by_all  # type: ignore[method-assign]


# Clocks and counts


@injection
def trust_the_clock() -> None:
    """What the clock says came in the future is waited for."""
    from airis.component.sending import durable

    limits = durable.Limits
    durable.Limits = lambda *bounds, **more: limits(*bounds[:5], **more)  # type: ignore[assignment,misc]


@injection
def uncounted() -> None:
    """What is given up is not counted."""
    from airis.component.sending.outcomes import Outcomes

    Outcomes.given_up = lambda *_arguments: None  # type: ignore[method-assign]


@injection
def no_limits() -> None:
    """Bodies may be as large as they like, and nobody watches the memory."""
    from airis.component.http import HttpServerConfig
    from airis.processors.memory_limiter import MemoryLimiter
    from airis.receivers.otlp.native import NativeTransport

    HttpServerConfig.max_body_bytes = property(lambda _self: 1 << 40)  # type: ignore[assignment,method-assign]
    MemoryLimiter._limits = lambda _self: (1 << 40, 1 << 40)  # type: ignore[method-assign]
    begin = NativeTransport.__init__

    def init(self: NativeTransport, admission: Any, telemetry: Any, _limit_bytes: int, max_wait_s: float) -> None:
        begin(self, admission, telemetry, 1 << 40, max_wait_s)

    NativeTransport.__init__ = init  # type: ignore[method-assign]


@injection
def unchecked() -> None:
    """What comes in is not looked at."""
    from airis.receivers.otlp import OtlpReceiver, admission

    OtlpReceiver._native = lambda _self: None  # type: ignore[method-assign]
    admission._check = lambda _signal, body, _encoding: (body, 1, 0)
