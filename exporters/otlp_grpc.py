"""OTLP over gRPC to a Collector, another airis, or whatever takes it: the bytes go out as they came in."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from google.rpc.code_pb2 import Code
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.profiles.v1development import profiles_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from pydantic import Field

from airis.component import Duration, Exporter, Host, Permanent, Retryable, Telemetry, exporter
from airis.component.compression import THREAD_BYTES
from airis.component.grpc_client import GrpcClientConfig, open_channel
from airis.component.retry import RetryConfig
from airis.component.sending import Sending, SendingQueueConfig
from airis.component.words import quoted
from airis.data import Batch, Signal
from airis.proto.otlp_answers import UnreadableAnswer, partial_success, retry_info_s

if TYPE_CHECKING:
    import grpc

METHODS = {
    Signal.TRACES: f"/{trace_service_pb2.DESCRIPTOR.services_by_name['TraceService'].full_name}/Export",
    Signal.METRICS: f"/{metrics_service_pb2.DESCRIPTOR.services_by_name['MetricsService'].full_name}/Export",
    Signal.LOGS: f"/{logs_service_pb2.DESCRIPTOR.services_by_name['LogsService'].full_name}/Export",
    Signal.PROFILES: f"/{profiles_service_pb2.DESCRIPTOR.services_by_name['ProfilesService'].full_name}/Export",
}
RETRYABLE = frozenset(
    {Code.CANCELLED, Code.DEADLINE_EXCEEDED, Code.ABORTED, Code.OUT_OF_RANGE, Code.UNAVAILABLE, Code.DATA_LOSS}
)
"""docs/specification.md, "Failures"; RESOURCE_EXHAUSTED is one of them only with RetryInfo."""


class OtlpGrpcConfig(GrpcClientConfig):
    """Where telemetry is sent over gRPC."""

    compression: Literal["", "none", "gzip", "snappy", "zstd"] = Field(
        default="gzip",
        description="none or gzip, which costs many times what all else here does. snappy and zstd are not supported: "
        "gRPC here has neither.",
    )
    write_buffer_size: int = Field(
        default=524_288, ge=0, description="Has no effect here, in bytes: gRPC sizes its buffers by what is sent."
    )
    timeout: Duration = Field(default=5.0, ge=0, description="Longest time of an attempt; 0: without a limit.")
    retry_on_failure: RetryConfig = Field(
        default=RetryConfig(), description="Sending again what was refused for now, or got no answer."
    )
    sending_queue: SendingQueueConfig = Field(
        default=SendingQueueConfig(),
        description="How many requests are sent at once. There is no queue yet: senders are held until their data is "
        "delivered.",
    )


@exporter("otlp_grpc", traces="alpha", metrics="alpha", logs="alpha", profiles="alpha")
class OtlpGrpcExporter(Exporter[OtlpGrpcConfig]):
    """Send telemetry over OTLP/gRPC.

    A sender is held until the server acknowledged its data, through all retries. A server that is away is no
    error at the start.
    """

    def __init__(
        self,
        config: OtlpGrpcConfig,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Callable[[], float] = random.random,
    ) -> None:
        """`rng` gives the share of a retry's random part, from 0 to 1."""
        super().__init__(config, telemetry)
        self.sending = Sending(config.sending_queue, config.retry_on_failure, telemetry, clock, sleep, rng)
        self._metadata = config.metadata()
        self._channel: grpc.Channel | None = None
        self._methods: dict[Signal, Any] = {}

    async def start(self, host: Host) -> None:
        """Read certificates and be ready to connect; raises StartError that names the option at fault."""
        channel = self._channel = open_channel(self.config)
        self._methods = {signal: channel.unary_unary(path, None, None) for signal, path in METHODS.items()}
        self.sending.open()

    async def shutdown(self) -> None:
        """Wait for the attempts under way, and close the connection."""
        try:
            await self.sending.close()
        finally:
            channel, self._channel = self._channel, None
            if channel is not None:
                channel.close()

    async def consume(self, batch: Batch) -> None:
        """Return when the server acknowledged the batch."""
        async with self.sending.turn(batch.signal):
            await self.sending.retry(partial(self._attempt, batch))

    async def _attempt(self, batch: Batch) -> None:
        call = await self._start_call(batch)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def wake(_call: object) -> None:
            with suppress(RuntimeError):  # the loop is closed, nobody waits
                loop.call_soon_threadsafe(_set_done, done)

        call.add_done_callback(wake)
        try:
            await done
        except asyncio.CancelledError:
            call.cancel()
            raise
        error = call.exception()
        if error is not None:
            raise _outcome(error)
        self._read(batch, call.result())

    async def _start_call(self, batch: Batch) -> Any:
        start = partial(
            self._methods[batch.signal].future,
            batch.payload,
            timeout=self.config.timeout or None,
            metadata=self._metadata,
            wait_for_ready=self.config.wait_for_ready,
        )
        if self.config.compression != "gzip" or batch.size_bytes <= THREAD_BYTES:
            return start()
        # grpcio compresses where a call is started, without the GIL. Its asyncio interface can start one in the loop
        # only, which would stand still for 25 ms per MB; hence this one.
        starting = asyncio.ensure_future(asyncio.to_thread(start))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(lambda started: started.exception() or started.result().cancel())
            raise

    def _read(self, batch: Batch, body: bytes) -> None:
        try:
            rejected, message = partial_success(batch.signal, body)
        except UnreadableAnswer as error:
            raise Permanent(f"the server's answer cannot be read: {quoted(str(error))}") from error
        self.sending.accept(batch, rejected, message)


def _set_done(done: "asyncio.Future[None]") -> None:
    if not done.done():
        done.set_result(None)


def _outcome(error: Any) -> Retryable | Permanent:
    """What a caller is to do about a call that failed."""
    code = error.code()
    words = quoted(error.details() or "")
    if "http1.x server" in words:
        words += "; it speaks HTTP and not gRPC, as port 4318 does: use otlp_http, or port 4317"
    reason = f"{code.name}: {words}".rstrip(": ")
    trailers: dict[str, Any] = dict(error.trailing_metadata() or ())
    retry_after = retry_info_s(trailers.get("grpc-status-details-bin", b""))
    number = code.value[0]
    if number in RETRYABLE or (number == Code.RESOURCE_EXHAUSTED and retry_after is not None):
        return Retryable(reason, retry_after)
    return Permanent(reason)
