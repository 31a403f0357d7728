"""Prometheus remote write, 1.0 and 2.0: what Prometheus, its agents and many others send."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.message import Message

from pydantic import Field
from starlette.types import Receive, Scope, Send

from airis.component import (
    ConsumeError,
    Consumer,
    Host,
    Partial,
    Receiver,
    Retryable,
    Telemetry,
    receiver,
)
from airis.component.headers import as_text, metadata_of
from airis.component.held import Held
from airis.component.http import (
    FLUSH_S,
    SHUTDOWN_GRACE_S,
    THREAD_BYTES,
    ClientGone,
    HttpServer,
    HttpServerConfig,
    answer,
    header,
    read_body,
)
from airis.component.http_door import identity_of
from airis.component.intake import IntakeError, TooLarge, UnknownEncoding, decompress
from airis.component.occasional import Occasional
from airis.data import NO_METADATA, Batch, Origin, Signal, kernels

PATH = "/api/v1/write"
DEFAULT_ENCODING = "snappy"
"""What a body is whose sender does not say: the first ones did not."""

EXPANSION = 16
"""How many times larger than the largest body its metrics may become: 2.0 writes a text once and refers to it."""
MAX_REASONS = 5
"""Of what was left out so many reasons are told in an answer."""

_MEDIA_TYPE = "application/x-protobuf"
_MESSAGES = {"prometheus.WriteRequest": 1, "io.prometheus.write.v2.Request": 2}
_REASONS = {
    "symbol": "labels, help or unit refer to a symbol that there is not",
    "labels": "more than 4096 labels, or more than 1 MiB of them",
    "label_name": "a label has no name",
    "duplicate_label": "a label is there twice",
    "no_name": "there is no label __name__",
    "empty": "there are neither samples nor histograms",
    "time": "the timestamp is not after 1970, or after 2262",
    "histogram_schema": "the histogram's schema is neither from -4 to 52 nor -53",
    "histogram_buckets": "the histogram's spans, counts and bounds do not fit one another",
    "histogram_count": "the histogram's count is another one than its buckets have",
    "histogram_gauge": "it is a gauge histogram, which OTLP does not have",
    "histogram_fraction": "the histogram has counts that are not whole, which OTLP does not have",
    "histogram_width": "the histogram has more than 16384 buckets",
    "exemplar_labels": "an exemplar's labels cannot be looked up, or are too large",
}
"""What a sender is told; that an exemplar came without a point is no fault of its own."""


class PrometheusRemoteWriteConfig(HttpServerConfig):
    """Where Prometheus sends to."""

    endpoint: str = Field(
        default="localhost:9090",
        description="host:port to listen on, or the path of the socket with transport unix; the path is /api/v1/write. "
        "It may be the endpoint of an extension such as query, which then keeps its other paths.",
    )
    max_request_body_size: int = Field(
        default=10 * 1024 * 1024,
        ge=0,
        description="Largest request body after decompression, in bytes; its metrics may be 16 times larger as OTLP. "
        "0: 20971520.",
    )
    compression_algorithms: list[str] = Field(
        default_factory=lambda: [DEFAULT_ENCODING],
        description="Content-Encodings that are accepted of request bodies; the specification knows snappy alone.",
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    """A status with its reason, and how much was taken."""

    status: int
    text: str = ""
    samples: int = 0
    histograms: int = 0
    exemplars: int = 0
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def written(self) -> list[tuple[bytes, bytes]]:
        """The counts as headers, which a sender of 2.0 compares with what it sent."""
        counts = {"samples": self.samples, "histograms": self.histograms, "exemplars": self.exemplars}
        return [(f"x-prometheus-remote-write-{name}-written".encode(), b"%d" % n) for name, n in counts.items()]


@receiver("prometheus_remote_write", metrics="alpha")
class PrometheusRemoteWriteReceiver(Receiver[PrometheusRemoteWriteConfig]):
    """Take Prometheus remote write 1.0 and 2.0, and answer a sender when its data was taken behind.

    A series that cannot be taken is left out and the rest is taken; the sender is answered 400 then, with the reason.
    What was refused for now is answered 503, which makes senders try again.
    """

    def __init__(
        self,
        config: PrometheusRemoteWriteConfig,
        downstream: Mapping[Signal, Consumer],
        telemetry: Telemetry,
        clock: Callable[[], int] = time.time_ns,
        grace_s: float = SHUTDOWN_GRACE_S,
    ) -> None:
        """`clock` gives the wall time in nanoseconds; `grace_s` is how long held clients may wait at shutdown."""
        super().__init__(config, downstream, telemetry)
        self.announced = kernels.Announced()
        self.repaired = telemetry.counter(
            "airis_receiver_repaired_strings", "{string}", "Strings whose invalid UTF-8 was replaced by U+FFFD."
        )
        self.unreadable = telemetry.counter(
            "airis_receiver_unreadable_requests", "{request}", "Requests refused because they could not be read."
        )
        self.left_out = telemetry.counter(
            "airis_receiver_left_out", "{item}", "Samples, histograms and exemplars left out of a request, by reason."
        )
        self._held = Held(downstream, telemetry)
        self._clock = clock
        self._grace_s = grace_s
        self._origin = Origin(receiver=telemetry.component_id, transport="http")
        self._server = HttpServer(self._serve, config, telemetry, paths=[PATH])
        self._left_out_log = Occasional()

    async def start(self, host: Host) -> None:
        """Listen; raises StartError."""
        await self._server.start(host)

    def endpoints(self) -> Mapping[str, str]:
        """The URL that senders are to have."""
        url = self._server.url
        return {"Prometheus remote write": url if self.config.transport == "unix" else f"{url}{PATH}"}

    async def shutdown(self) -> None:
        """Take nothing new and wait for those held; who is still held after the grace is told to come back."""
        refusing = asyncio.get_running_loop().call_later(self._grace_s, self._held.refuse)
        try:
            # The server's own deadline is longer: it cuts clients off, a refusal lets them send again at once.
            await self._server.shutdown(self._grace_s + FLUSH_S)
        finally:
            refusing.cancel()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; its sender is held until the data was taken."""
        version = version_of(header(scope, b"content-type"))
        reply = self._wrong(scope, version)
        if version and reply is None:
            reply = await self._take(version, scope, receive)
        assert reply is not None
        headers = [*reply.headers, *(reply.written() if version == 2 and scope["path"] == PATH else ())]
        if reply.status == 204:
            await send({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
        else:
            await answer(send, reply.status, f"{reply.text}\n".encode(), headers=headers)

    def _wrong(self, scope: Scope, version: int | None) -> _Answer | None:
        """What is wrong with the head of a request; None where nothing is."""
        if scope["path"] != PATH or Signal.METRICS not in self.downstream:
            return _Answer(404, f"remote write is at {PATH}")
        if scope["method"] != "POST":
            return _Answer(405, "405 method not allowed, supported: [POST]", headers=((b"allow", b"POST"),))
        if version is None:
            self.unreadable.add(1, transport="http", reason="content_type")
            types = ", ".join(f"{_MEDIA_TYPE};proto={message}" for message in _MESSAGES)
            return _Answer(415, f"415 unsupported media type, supported: [{types}]")
        encoding = header(scope, b"content-encoding").strip().lower() or DEFAULT_ENCODING
        if encoding not in self.config.compression_algorithms:
            return self._refusal(UnknownEncoding(encoding, tuple(self.config.compression_algorithms)))
        return None

    async def _take(self, version: int, scope: Scope, receive: Receive) -> _Answer:
        try:
            written = await self._read(version, scope, receive)
        except ClientGone:
            self.unreadable.add(1, transport="http", reason="cut_off")
            raise
        except (IntakeError, kernels.MalformedPayload) as error:
            return self._refusal(error)
        self._note(written)
        if not written.items:
            return _taken(written)
        try:
            await self._held.hand_on(self._batch(written, scope))
        except Partial as partial:
            return _taken(written, partial)
        except ConsumeError as error:
            return _refused(error)
        return _taken(written)

    async def _read(self, version: int, scope: Scope, receive: Receive) -> "kernels.RemoteWritten":
        body = await read_body(scope, receive, self.config)
        is_plain = not header(scope, b"content-encoding")

        def convert() -> kernels.RemoteWritten:
            limit = self.config.max_body_bytes
            inflated = decompress(DEFAULT_ENCODING, body, limit) if is_plain else body
            return kernels.from_remote_write(version, inflated, self.announced, EXPANSION * limit)

        return await asyncio.to_thread(convert) if len(body) > THREAD_BYTES else convert()

    def _batch(self, written: "kernels.RemoteWritten", scope: Scope) -> Batch:
        origin, auth, metadata = self._origin, identity_of(scope), NO_METADATA
        if self.config.include_metadata:
            metadata = metadata_of(as_text(scope["headers"]))
        if metadata or auth:
            origin = replace(origin, metadata=metadata, auth=auth)
        return Batch(
            Signal.METRICS, written.payload, written.items, origin, arrived_unix_nano=self._clock(), is_validated=True
        )

    def _note(self, written: "kernels.RemoteWritten") -> None:
        """Remember what was announced, and count what does not go on as it came."""
        self.announced.add(written)
        self.repaired.add(written.repaired)
        for reason, (count, _) in written.left_out.items():
            self.left_out.add(count, reason=reason)
        if written.left_out and self._left_out_log.due():
            reason, (count, metric) = next(iter(written.left_out.items()))
            self.telemetry.log.warning("a part of a request was left out", reason=reason, items=count, metric=metric)

    def _refusal(self, error: IntakeError | kernels.MalformedPayload) -> _Answer:
        """Nothing was read."""
        self.unreadable.add(1, transport="http", reason=getattr(error, "kind", "malformed"))
        status = 413 if isinstance(error, TooLarge) else 415 if isinstance(error, UnknownEncoding) else 400
        return _Answer(status, str(error))


def version_of(content_type: str) -> int | None:
    """The version that a Content-Type means, 1.0 where it does not say; None for one that is not taken."""
    message = Message()
    message["Content-Type"] = content_type
    if content_type.partition(";")[0].strip().lower() != _MEDIA_TYPE:
        return None
    proto = message.get_param("proto")
    return 1 if proto is None else _MESSAGES.get(proto) if isinstance(proto, str) else None


def _taken(written: "kernels.RemoteWritten", partial: Partial | None = None) -> _Answer:
    """All was taken but what was left out here, and what `partial` says was rejected behind."""
    rejected = partial.rejected if partial else 0
    samples = max(written.samples - rejected, 0)
    # Nobody says which points were rejected; there are hardly ever both.
    histograms = written.histograms - max(rejected - written.samples, 0)
    reasons = [
        f"{count} left out: {_REASONS[reason]}" + (f", first in {name!a}" if name else "")
        for reason, (count, name) in written.left_out.items()
        if reason in _REASONS
    ]
    reasons += [f"{partial.rejected} rejected: {partial.reason}"] if partial else []
    if not reasons:
        return _Answer(204, "", samples, histograms, written.exemplars)
    more = [f"and {len(reasons) - MAX_REASONS} more reasons"] if len(reasons) > MAX_REASONS else []
    return _Answer(400, "\n".join([*reasons[:MAX_REASONS], *more]), samples, histograms, written.exemplars)


def _refused(error: ConsumeError) -> _Answer:
    """Nothing was taken. Many senders give up after 429, so that what may come again is 503."""
    if not isinstance(error, Retryable):
        return _Answer(400, error.reason)
    if error.retry_after is None:
        return _Answer(503, error.reason)
    return _Answer(503, error.reason, headers=((b"retry-after", b"%d" % math.ceil(error.retry_after)),))
