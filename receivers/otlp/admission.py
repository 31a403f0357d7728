"""What both protocols share: check a request once, make it a batch, hold the caller until it is taken."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from airis.component import Consumer, Telemetry
from airis.component.headers import Metadata
from airis.component.held import Held
from airis.component.occasional import Occasional
from airis.data import NO_AUTH, NO_METADATA, Batch, Origin, Signal, kernels

Encoding = Literal["protobuf", "json"]

THREAD_BYTES: Mapping[Encoding, int] = {"protobuf": 1024 * 1024, "json": 64 * 1024}
"""A request larger than this is checked in a thread, so that the loop stays responsive. JSON takes much longer."""


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
        self._held = Held(downstream, telemetry)
        self._origins = {name: Origin(receiver=telemetry.component_id, transport=name) for name in ("grpc", "http")}
        self._repaired_log = Occasional()

    async def take(
        self,
        signal: Signal,
        body: bytes,
        encoding: Encoding,
        transport: str,
        metadata: Metadata = NO_METADATA,
        auth: Mapping[str, str] = NO_AUTH,
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
        await self.hand_on(self.batch(signal, payload, items, transport, metadata, auth=auth))

    def batch(
        self,
        signal: Signal,
        payload: bytes,
        items: int,
        transport: str,
        metadata: Metadata,
        requests: int = 1,
        auth: Mapping[str, str] = NO_AUTH,
    ) -> Batch:
        """A batch of a checked payload, arrived now; `auth` is what an authenticator knows of the client."""
        origin = self._origins[transport]
        if metadata is not NO_METADATA or auth:
            origin = replace(origin, metadata=metadata, auth=auth)
        return Batch(
            signal, payload, items, origin, arrived_unix_nano=self._clock(), requests=requests, is_validated=True
        )

    def refuse_held(self) -> None:
        """Let every caller that is held go with Retryable, and from now on every new one."""
        self._held.refuse()

    def note_unreadable(self, transport: str, reason: str) -> None:
        """Count a request that never became a batch."""
        self.unreadable.add(1, transport=transport, reason=reason)

    async def hand_on(self, batch: Batch) -> None:
        """Return when the batch was taken behind; raises Retryable, Permanent or Partial."""
        await self._held.hand_on(batch)

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
