"""What both protocols share: check a request once, make it a batch, hold the caller until it is taken."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

from airis.component import ConsumeError, Consumer, Retryable, Telemetry
from airis.component.occasional import Occasional
from airis.data import NO_METADATA, Batch, Origin, Signal, kernels

Encoding = Literal["protobuf", "json"]
Metadata = Mapping[str, tuple[str, ...]]

THREAD_BYTES: Mapping[Encoding, int] = {"protobuf": 1024 * 1024, "json": 64 * 1024}
"""A request larger than this is checked in a thread, so that the loop stays responsive. JSON takes much longer."""

WITHHELD = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "accept",
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "grpc-accept-encoding",
        "grpc-encoding",
        "grpc-timeout",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that never go on with the data. Credentials must not get into queues on disk; what describes one message or
one hop says nothing about the data, and would keep batches from being joined."""


def metadata_of(headers: Iterable[tuple[str, str]]) -> Metadata:
    """Request headers by lower-case name, but for credentials and what belongs to the message or the hop."""
    kept: dict[str, tuple[str, ...]] = {}
    for name, value in headers:
        if name not in WITHHELD:
            kept[name] = (*kept.get(name, ()), value)
    return MappingProxyType(kept)


class Admission:
    """The door of the receiver."""

    def __init__(
        self, downstream: Mapping[Signal, Consumer], telemetry: Telemetry, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self.downstream = downstream
        self.repaired = telemetry.counter(
            "airis_receiver_repaired_strings", "{string}", "Strings whose invalid UTF-8 was replaced by U+FFFD."
        )
        self.unreadable = telemetry.counter(
            "airis_receiver_unreadable_requests", "{request}", "Requests refused because they could not be read."
        )
        self._telemetry = telemetry
        self._clock = clock
        self._held: set[asyncio.Task[object]] = set()
        self._refusing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._origins = {name: Origin(receiver=telemetry.component_id, transport=name) for name in ("grpc", "http")}
        self._repaired_log = Occasional()
        self._fault_log = Occasional()

    async def take(
        self, signal: Signal, body: bytes, encoding: Encoding, transport: str, metadata: Metadata = NO_METADATA
    ) -> None:
        """Return when the request's items were taken behind; one without items is taken here.

        Raises MalformedPayload for a body that cannot be read, else Retryable, Permanent or Partial.
        """
        try:
            payload, items, repaired = await _checked(signal, body, encoding)
        except kernels.MalformedPayload:
            self.note_unreadable(transport, "malformed")
            raise
        self.note_repaired(repaired)
        if not items:
            return
        await self.hand_on(self.batch(signal, payload, items, transport, metadata))

    def batch(
        self, signal: Signal, payload: bytes, items: int, transport: str, metadata: Metadata, requests: int = 1
    ) -> Batch:
        """A batch of a checked payload, arrived now."""
        origin = self._origins[transport]
        if metadata is not NO_METADATA:
            origin = replace(origin, metadata=metadata)
        return Batch(signal, payload, items, origin, arrived_unix_nano=self._clock(), requests=requests)

    def refuse_held(self) -> None:
        """Let every caller that is held go with Retryable, and from now on every new one."""
        self._refusing = True
        for task in self._held:
            task.cancel()

    def note_unreadable(self, transport: str, reason: str) -> None:
        """Count a request that never became a batch."""
        self.unreadable.add(1, transport=transport, reason=reason)

    async def hand_on(self, batch: Batch) -> None:
        """Return when the batch was taken behind; raises Retryable, Permanent or Partial."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        # Asked for the loop, Python 3.11 asks the system for its process id, which costs more than all else here.
        task = asyncio.current_task(self._loop)
        assert task is not None
        if self._refusing:
            raise Retryable("shutting down")
        self._held.add(task)
        try:
            await self.downstream[batch.signal].consume(batch)
        except asyncio.CancelledError:
            if not self._refusing:
                raise  # the client left
            task.uncancel()
            raise Retryable("shutting down") from None
        except ConsumeError:
            raise
        except Exception as error:
            # A fault of ours; the data may be good, and its sender is the only one who has it.
            if self._fault_log.due():
                self._telemetry.log.exception("a consumer failed", signal=batch.signal)
            raise Retryable("internal error; the server's log has the details") from error
        finally:
            self._held.discard(task)

    def note_repaired(self, strings: int) -> None:
        """Count strings whose UTF-8 was repaired."""
        if not strings:
            return
        self.repaired.add(strings)
        if self._repaired_log.due():
            self._telemetry.log.warning("invalid UTF-8 was repaired", strings=int(self.repaired.value))


def _check(signal: Signal, body: bytes, encoding: Encoding) -> tuple[bytes, int, int]:
    """Payload, items and repaired strings of a request."""
    return kernels.validate(signal, kernels.from_json(signal, body) if encoding == "json" else body)


async def _checked(signal: Signal, body: bytes, encoding: Encoding) -> tuple[bytes, int, int]:
    if len(body) > THREAD_BYTES[encoding]:
        return await asyncio.to_thread(_check, signal, body, encoding)
    return _check(signal, body, encoding)
