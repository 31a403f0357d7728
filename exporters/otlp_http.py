"""OTLP over HTTP to a Collector, another airis, or a vendor: the bytes go out as they came in, or as JSON."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from airis.component import Duration, Exporter, Host, Permanent, Retryable, Telemetry, exporter
from airis.component.http_client import (
    Answer,
    HttpClient,
    HttpClientConfig,
    NoAnswer,
    open_http_client,
    refusal,
)
from airis.component.sending import Attempt, Sending, SendingConfig, Sends
from airis.component.words import quoted
from airis.data import Batch, Signal, kernels
from airis.proto.otlp_answers import UnreadableAnswer, partial_success, status_message

RETRYABLE = frozenset({429, 502, 503, 504})
"""docs/specification.md, "Failures"."""
PATHS = {signal: f"/{'v1development' if signal is Signal.PROFILES else 'v1'}/{signal}" for signal in Signal}
PROTOBUF, JSON = "application/x-protobuf", "application/json"


class OtlpHttpConfig(HttpClientConfig, SendingConfig):
    """Where telemetry is sent over HTTP."""

    endpoint: str = Field(default="", description="http:// or https:// URL, to which /v1/traces and so on is added.")
    traces_endpoint: str = Field(default="", description="Whole URL for traces, instead of endpoint.")
    metrics_endpoint: str = Field(default="", description="Whole URL for metrics, instead of endpoint.")
    logs_endpoint: str = Field(default="", description="Whole URL for logs, instead of endpoint.")
    profiles_endpoint: str = Field(default="", description="Whole URL for profiles, instead of endpoint.")
    encoding: Literal["proto", "json"] = Field(
        default="proto", description="proto sends what came in as it is; json has to be written, and is twice as large."
    )
    compression: Literal["", "none", "gzip", "zlib", "deflate", "snappy", "x-snappy-framed", "zstd", "lz4"] = Field(
        default="gzip", description="Content-Encoding of requests. zstd is smaller than gzip and takes less time."
    )
    timeout: Duration = Field(default=30.0, ge=0, description="Longest time of an attempt; 0: without a limit.")
    write_buffer_size: int = Field(default=524_288, ge=0, description="Has no effect here, in bytes.")

    @field_validator("endpoint", "traces_endpoint", "metrics_endpoint", "logs_endpoint", "profiles_endpoint")
    @classmethod
    def _is_url(cls, endpoint: str) -> str:
        if not endpoint:
            return endpoint
        if "://" not in endpoint:
            raise ValueError(f'"{endpoint}" has no scheme; write "http://{endpoint}" or "https://{endpoint}"')
        url = urlsplit(endpoint)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("not an http:// or https:// URL of a server")
        if url.port == 0:
            raise ValueError("0 is no port to send to")
        return endpoint

    @model_validator(mode="after")
    def _sends_somewhere(self) -> Self:
        if not any(self.url(signal) for signal in Signal):
            raise ValueError('needs an endpoint; write endpoint: "http://localhost:4318", or one for each signal')
        return self

    def url(self, signal: Signal) -> str:
        """Where a signal is sent; empty where nothing was said of it."""
        own = {
            Signal.TRACES: self.traces_endpoint,
            Signal.METRICS: self.metrics_endpoint,
            Signal.LOGS: self.logs_endpoint,
            Signal.PROFILES: self.profiles_endpoint,
        }
        return own[signal] or (self.endpoint and f"{self.endpoint.removesuffix('/')}{PATHS[signal]}")


@exporter("otlp_http", traces="alpha", metrics="alpha", logs="alpha", profiles="alpha")
class OtlpHttpExporter(Sends[HttpClient], Exporter[OtlpHttpConfig]):
    """Send telemetry over OTLP/HTTP, as protobuf or JSON.

    A sender is held until the server acknowledged its data, through all retries, unless there is a `sending_queue`.
    A server that is away is no error at the start.
    """

    def __init__(
        self,
        config: OtlpHttpConfig,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Callable[[], float] = random.random,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`rng` gives the share of a retry's random part, from 0 to 1; `wall_clock` seconds since 1970."""
        super().__init__(config, telemetry)
        self.sending = Sending(config, telemetry, self._prepare, clock, sleep, rng)
        self._wall_clock = wall_clock
        self._headers = {"Content-Type": JSON if config.encoding == "json" else PROTOBUF}
        if config.is_compressed:
            self._headers["Content-Encoding"] = config.compression

    async def start(self, host: Host) -> None:
        """Read certificates and be ready to connect; raises StartError that names the option at fault."""
        urls = [url for signal in Signal if (url := self.config.url(signal))]
        self.client = open_http_client(self.config, urls, self.telemetry, host)
        await self.sending.open(host)

    async def consume(self, batch: Batch) -> None:
        """Return when the server acknowledged the batch, or the queue has it."""
        if not self.config.url(batch.signal):
            raise Permanent(f"there is nowhere to send {batch.signal}; write {batch.signal}_endpoint, or endpoint")
        await super().consume(batch)

    async def _prepare(self, batch: Batch) -> Attempt:
        assert self.client is not None
        body = batch.payload
        if self.config.encoding == "json":
            try:
                body = await asyncio.to_thread(kernels.to_json, batch.signal, body)
            except kernels.MalformedPayload as error:
                raise Permanent(str(error)) from error
        return partial(self._attempt, batch, await self.client.prepare(body))

    async def _attempt(self, batch: Batch, body: Any) -> None:
        assert self.client is not None
        try:
            answer = await self.client.post(self.config.url(batch.signal), body, self._headers, batch.origin)
        except NoAnswer as error:
            hint = ", as port 4317 does not; use otlp_grpc, or port 4318" if error.not_http1 else ""
            raise Retryable(quoted(error.reason) + hint) from error
        if 200 <= answer.status < 300:
            self._read(batch, answer)
        else:
            raise refusal(answer, _words(answer), answer.status in RETRYABLE, self._wall_clock())

    def _read(self, batch: Batch, answer: Answer) -> None:
        # Like the Collector: an answer of another type says nothing, one that cannot be read is no acknowledgement.
        if answer.content_type not in (PROTOBUF, JSON):
            return
        try:
            if not answer.is_whole:
                raise UnreadableAnswer("too long for an OTLP response")
            rejected, message = partial_success(batch.signal, answer.body, is_json=answer.content_type == JSON)
        except UnreadableAnswer as error:
            raise Permanent(f"the server's answer cannot be read: {quoted(str(error))}") from error
        self.sending.accept(batch, rejected, message)


def _words(answer: Answer) -> str:
    """The message of the google.rpc.Status that a body should be, else the beginning of whatever it is."""
    try:
        if answer.content_type in (PROTOBUF, JSON):
            return quoted(status_message(answer.body, is_json=answer.content_type == JSON))
    except UnreadableAnswer:
        pass
    return quoted(answer.body)
