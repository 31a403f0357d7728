"""The native transport: what `airis._core.Intake` read, checked and joined is decided and answered here.

Python works once for all requests that came while it was busy. Whatever is not regular comes by itself, and is
answered in the same words as over the Python transport.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from google.rpc.code_pb2 import Code

from airis.component import ConsumeError, Host, Partial, Permanent, Retryable, StartError, Telemetry
from airis.component.authentication import (
    Forbidden,
    ServerAuthenticator,
    Unauthenticated,
    Undecided,
    server_authenticator,
)
from airis.component.door import Decision, Door
from airis.component.headers import WITHHELD, Metadata, metadata_of
from airis.component.http import warn_of_exposure
from airis.component.intake import TooLarge, Undecodable, UnknownEncoding
from airis.component.listen import address_of, bind
from airis.data import NO_AUTH, NO_METADATA, Signal
from airis.data.malformed import MalformedPayload
from airis.receivers.otlp.admission import Admission, Encoding
from airis.receivers.otlp.http import encoding_of
from airis.receivers.otlp.listeners import Certificate, Error, Listener
from airis.receivers.otlp.services import CallError, Method, Services
from airis.receivers.otlp.status import refusal

if TYPE_CHECKING:
    from airis._core import Asked, Intake, Joined, Reply

MAX_ITEMS, MAX_BYTES = 65_536, 4 * 1024 * 1024
"""How large joined requests become; a single one may be larger."""
MAX_WAITING = 10_000
"""Requests that may wait for space; who comes then is refused at once."""
MAX_CONNECTIONS = 20_000
"""Open connections of a listener; more wait in the system's queue."""
MAX_CALLS = 1000
"""gRPC calls that bring no telemetry, such as those that watch the health, at the same time."""
MAX_CALL_MESSAGE_BYTES = 64 * 1024
"""Largest message of such a call; the core knows the number, too."""
FULL_RETRY_S = 1.0
REASONS = (Unauthenticated.kind, Forbidden.kind, Undecided.kind)
"""Why a client is not let in, by the numbers that the core knows."""


class NativeTransport:
    """Listens where it is told to; callers are held in the core until their data was taken.

    Joined requests get the outcome of all: Retryable goes to every one of them; after Permanent each is handed on by
    itself, so that a bad one does not refuse the others; of what Partial rejected each is told a share by size.
    """

    def __init__(self, admission: Admission, telemetry: Telemetry, limit_bytes: int, max_wait_s: float) -> None:
        """Requests may take `limit_bytes` together; those that come then wait `max_wait_s` for space."""
        from airis._core import Intake, Reply

        self.admission = admission
        self.telemetry = telemetry
        self.services = Services(admission.downstream)
        self._new_intake = partial(Intake, limit_bytes, max_wait_s, MAX_WAITING)
        self.intake: Intake | None = None
        """The core, from the first listener to the end."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: list[Listener] = []
        self._certificates: list[Certificate | None] = []
        self._doors: list[Door | None] = []
        self._deciding: set[asyncio.Task[None]] = set()
        self._sockets: list[Path] = []
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._calls: dict[int, asyncio.Queue[bytes | Error | None]] = {}
        self._drained = asyncio.Event()
        self._new = Reply

    async def listen(self, listener: Listener, host: Host) -> str:
        """Listen, and give the address: ``host:port``, or the path of the socket.

        Raises StartError that names the option at fault, as Unsupported where the Python transport would do.
        """
        try:
            listener.check()
            return self._listen(listener, server_authenticator(listener.config.auth, host))
        except StartError as error:
            error.option = f"protocols::{listener.transport}::{error.option}"
            raise

    def _listen(self, listener: Listener, authenticator: ServerAuthenticator | None) -> str:
        config = listener.config
        certificate = Certificate(config.tls, listener.alpn, self.telemetry) if config.tls else None
        tls = certificate.load() if certificate else None
        sock = bind(config.endpoint, config.transport)
        address = address_of(sock)
        is_unix = sock.family == socket.AF_UNIX
        warn_of_exposure(config, self.telemetry)
        sock.listen(2048)
        reads = authenticator.reads if authenticator else ()
        number = self._started().listen(
            sock.detach(),
            is_unix=is_unix,
            encodings=listener.encodings,
            max_message_bytes=listener.max_message_bytes,
            withheld=sorted(WITHHELD.union(reads)) if config.include_metadata else None,
            max_connections=MAX_CONNECTIONS,
            tls=tls,
            asks_before_handshake=certificate is not None and certificate.may_change,
            reads=reads if authenticator else None,
            **listener.arguments(),
        )
        self._listeners.append(listener)
        self._certificates.append(certificate)
        # Not before it listens: the authenticator would keep the door of a start that failed.
        door = Door(authenticator, self.telemetry) if authenticator else None
        self._doors.append(door)
        if door is not None:
            door.on_forget(partial(self._forget, number))
        if is_unix:
            self._sockets.append(Path(address))
        return address

    def _started(self) -> "Intake":
        if self.intake is None:
            self.intake = self._new_intake()
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self.intake.fd, self.take)
        return self.intake

    async def shutdown(self, deadline_s: float) -> None:
        """Take nothing new, wait for the calls in progress, cut them off after the deadline."""
        if self.intake is None or self._loop is None:
            return
        self.services.stop()
        self.intake.stop()
        await asyncio.gather(*(door.close() for door in self._doors if door))
        try:
            async with asyncio.timeout(deadline_s):
                await self._drained.wait()
        except TimeoutError:
            pass
        self._loop.remove_reader(self.intake.fd)
        await asyncio.to_thread(self.intake.end)
        tasks = [*self._tasks.values(), *self._deciding]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for path in self._sockets:
            path.unlink(missing_ok=True)
        self.intake = None

    def take(self) -> None:
        """Take what waits; called by the loop when there is something."""
        assert self.intake is not None
        batches, asked = self.intake.take(MAX_ITEMS, MAX_BYTES)
        for joined in batches:
            self._work(joined.token, self._listeners[joined.listener], self._settle(joined), joined.encoding)
        for each in asked:
            try:
                self._hear(each)
            except Exception as error:
                self._fail(each.token, self._listeners[each.listener], _encoding(each), error)

    def _work(
        self, token: int, listener: Listener, work: Coroutine[Any, Any, None], encoding: Encoding = "protobuf"
    ) -> None:
        """Let work go on that ends with an answer."""
        assert self._loop is not None
        self._tasks[token] = task = self._loop.create_task(work)
        task.add_done_callback(partial(self._done, token, listener, encoding))

    def _done(self, token: int, listener: Listener, encoding: Encoding, task: "asyncio.Task[None]") -> None:
        del self._tasks[token]
        if task.cancelled():  # whoever waited left, or is cut off
            self._answer(token, listener.to_error(Retryable("shutting down"), encoding))
        elif error := task.exception():
            self._fail(token, listener, encoding, error)

    def _fail(self, token: int, listener: Listener, encoding: Encoding, error: BaseException) -> None:
        """Answer for a fault of ours; nobody is to wait for ever."""
        self.telemetry.log.error("request failed", transport=listener.transport, exc_info=error)
        told = Retryable("internal error; the server's log has the details")
        self._answer(token, listener.to_error(told, encoding))

    def _answer(self, token: int, reply: "Reply") -> None:
        if self.intake is not None:
            self.intake.answer(token, reply)

    async def _settle(self, joined: "Joined") -> None:
        listener = self._listeners[joined.listener]
        signal = cast(Signal, joined.signal)
        self.admission.note_repaired(joined.repaired)
        unserved = listener.to_unserved(signal)
        if unserved is not None:  # a reload may bring a pipeline, or take it away
            self._answer(joined.token, unserved)
            return
        try:
            if joined.items:
                await self._hand_on(listener, joined, joined.payload, joined.items, joined.requests)
        except Permanent as error:
            if joined.requests > 1:
                await self._settle_each(listener, joined)
            else:
                self._answer(joined.token, listener.to_error(error, joined.encoding))
        except Partial as error:
            self._answer_shares(listener, joined, error)
        except ConsumeError as error:
            self._answer(joined.token, listener.to_error(error, joined.encoding))
        else:
            self._answer(joined.token, listener.to_success(signal, joined.encoding))

    async def _hand_on(
        self, listener: Listener, joined: "Joined", payload: bytes, items: int, requests: int = 1
    ) -> None:
        signal = cast(Signal, joined.signal)
        auth = dict(joined.identity) if joined.identity else NO_AUTH
        batch = self.admission.batch(signal, payload, items, listener.transport, _metadata(joined), requests, auth)
        await self.admission.hand_on(batch)

    async def _settle_each(self, listener: Listener, joined: "Joined") -> None:
        """Hand every request on by itself."""
        parts = enumerate(joined.parts())
        await asyncio.gather(*(self._settle_part(listener, joined, place, *part) for place, part in parts))

    async def _settle_part(self, listener: Listener, joined: "Joined", place: int, payload: bytes, items: int) -> None:
        signal = cast(Signal, joined.signal)
        try:
            if items:
                await self._hand_on(listener, joined, payload, items)
            reply = listener.to_success(signal, joined.encoding)
        except Partial as error:
            reply = listener.to_success(signal, joined.encoding, error)
        except ConsumeError as error:
            reply = listener.to_error(error, joined.encoding)
        if self.intake is not None:
            self.intake.answer_part(joined.token, place, reply)

    def _answer_shares(self, listener: Listener, joined: "Joined", error: Partial) -> None:
        signal = cast(Signal, joined.signal)
        if joined.requests == 1:
            self._answer(joined.token, listener.to_success(signal, joined.encoding, error))
            return
        told = error.shares([items for _, items in joined.parts()])
        for place, share in enumerate(told):
            if self.intake is not None:
                self.intake.answer_part(joined.token, place, listener.to_success(signal, joined.encoding, share))

    def _hear(self, asked: "Asked") -> None:
        """Decide what is not regular."""
        listener = self._listeners[asked.listener]
        match asked.kind:
            case "gone":
                if task := self._tasks.get(asked.token):
                    task.cancel()
            case "drained":
                self._drained.set()
            case "cut_off":
                self.admission.note_unreadable(listener.transport, "cut_off")
            case "handshake":
                self._renew(asked)
            case "credentials":
                assert self._loop is not None
                self._deciding.add(task := self._loop.create_task(self._decide(listener, asked)))
                task.add_done_callback(self._deciding.discard)
            case "refused":
                self._note_refused(asked.listener)
            case "head":
                signal = cast("Signal | None", asked.signal)
                self._answer(asked.token, listener.to_head(signal, asked.method, asked.content_type))
            case "call":
                self._open_call(listener, asked)
            case "message" | "end":
                if call := self._calls.get(asked.token):
                    call.put_nowait(asked.payload if asked.kind == "message" else None)
            case _:
                self._hear_fault(listener, asked)

    def _hear_fault(self, listener: Listener, asked: "Asked") -> None:
        if call := self._calls.get(asked.token):
            call.put_nowait(_error(asked, listener.encodings, MAX_CALL_MESSAGE_BYTES))
            return
        error = _error(asked, listener.encodings, listener.max_message_bytes)
        unserved = listener.to_unserved(cast("Signal | None", asked.signal))
        if unserved is None:
            self.admission.note_unreadable(listener.transport, asked.kind)
        self._answer(asked.token, unserved or listener.to_error(error, _encoding(asked)))

    async def _decide(self, listener: Listener, asked: "Asked") -> None:
        """Let a client in, or not; the core remembers which."""
        door = self._doors[asked.listener]
        assert door is not None
        try:
            self._tell(listener, door, asked, await door.decide(door.credentials(asked.credentials)))
        except Exception as error:  # nobody is to wait for ever
            self._tell(listener, door, asked, door.failed(error))

    def _tell(self, listener: Listener, door: Door, asked: "Asked", decision: Decision) -> None:
        if self.intake is None:
            return
        remember_s = None if decision.until is None else max(0.0, decision.until - door.clock())
        if decision.denied is None:
            assert decision.identity is not None
            attributes = list(decision.identity.attributes.items())
            self.intake.admit(asked.listener, asked.token, attributes, remember_s)
        else:
            reply = listener.to_denied(decision.denied, asked.content_type, door)
            kind = REASONS.index(decision.denied.kind)
            self.intake.refuse(asked.listener, asked.token, reply, kind, remember_s or 0.0)

    def _note_refused(self, number: int) -> None:
        door = self._doors[number]
        if self.intake is not None and door is not None:
            for reason, requests in zip(REASONS, self.intake.take_refused(number), strict=True):
                if requests:
                    door.note_denied(reason, requests)

    def _forget(self, number: int) -> None:
        if self.intake is not None:
            self.intake.forget(number)

    def _renew(self, asked: "Asked") -> None:
        """Let a TLS client in, after a look at the files of the certificate where that is due."""
        certificate = self._certificates[asked.listener]
        tls = certificate.renewed() if certificate else None
        if tls and self.intake is not None:
            self.intake.renew(asked.listener, tls)
        self._answer(asked.token, self._new.grpc(Code.OK))

    def _open_call(self, listener: Listener, asked: "Asked") -> None:
        method = self.services.method(asked.path)
        if method is None:
            self._answer(asked.token, self._new.grpc(Code.UNIMPLEMENTED, f"unknown method {asked.path}"))
        elif len(self._calls) >= MAX_CALLS:
            self._answer(asked.token, self._new.grpc(Code.RESOURCE_EXHAUSTED, f"{MAX_CALLS} calls are open"))
        else:
            messages: asyncio.Queue[bytes | Error | None] = asyncio.Queue()
            self._calls[asked.token] = messages
            self._work(asked.token, listener, self._serve_call(asked.token, method, messages))

    async def _serve_call(self, token: int, method: Method, messages: "asyncio.Queue[bytes | Error | None]") -> None:
        async def received() -> AsyncIterator[bytes]:
            while (message := await messages.get()) is not None:
                if isinstance(message, Exception):
                    raise CallError(refusal(message).code, str(message))
                yield message

        reply = self._new.grpc(Code.OK)
        try:
            async for message in method(received()):
                if self.intake is not None:
                    self.intake.send(token, message)
        except CallError as error:
            reply = self._new.grpc(error.code, error.message)
        finally:
            del self._calls[token]
        self._answer(token, reply)


def _metadata(joined: "Joined") -> Metadata:
    return NO_METADATA if joined.metadata is None else metadata_of(joined.metadata)


def _encoding(asked: "Asked") -> Encoding:
    return encoding_of(asked.content_type) or "protobuf"


def _error(asked: "Asked", encodings: tuple[str, ...], max_message_bytes: int) -> Error:
    """What is wrong with a request."""
    match asked.kind:
        case "too_large":
            return TooLarge(max_message_bytes)
        case "encoding":
            return UnknownEncoding(asked.detail, encodings)
        case "corrupt":
            return Undecodable(asked.detail)
        case "malformed":
            return MalformedPayload(asked.detail)
        case "full":
            return Retryable("no space for more requests", FULL_RETRY_S)
        case _:
            return Retryable("the request did not come in time")
