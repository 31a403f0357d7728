"""OTLP over gRPC to a Collector, another airis, or whatever takes it: the bytes go out as they came in."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Literal

from google.rpc.code_pb2 import Code
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.profiles.v1development import profiles_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from pydantic import Field

from airis.component import Duration, Exporter, Host, Permanent, Retryable, Telemetry, Throttled, exporter
from airis.component.grpc_client import GrpcAnswer, GrpcClient, GrpcClientConfig, open_grpc_client
from airis.component.sending import Attempt, Sending, SendingConfig, Sends
from airis.component.words import quoted
from airis.data import Batch, Signal
from airis.proto.otlp_answers import UnreadableAnswer, partial_success, retry_info_s

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


class OtlpGrpcConfig(GrpcClientConfig, SendingConfig):
    """Where telemetry is sent over gRPC."""

    compression: Literal["", "none", "gzip", "snappy", "zstd"] = Field(
        default="gzip",
        description="How requests are compressed; snappy and zstd over the native transport only. zstd is smaller "
        "than gzip, the default, and takes less than half of its time.",
    )
    write_buffer_size: int = Field(
        default=524_288, ge=0, description="Has no effect here, in bytes: gRPC sizes its buffers by what is sent."
    )
    timeout: Duration = Field(default=5.0, ge=0, description="Longest time of an attempt; 0: without a limit.")


@exporter("otlp_grpc", traces="alpha", metrics="alpha", logs="alpha", profiles="alpha")
class OtlpGrpcExporter(Sends[GrpcClient], Exporter[OtlpGrpcConfig]):
    """Send telemetry over OTLP/gRPC.

    A sender is held until the server acknowledged its data, through all retries, unless there is a `sending_queue`.
    A server that is away is no error at the start.
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
        self.sending = Sending(config, telemetry, self._prepare, clock, sleep, rng)

    async def start(self, host: Host) -> None:
        """Read certificates and be ready to connect; raises StartError that names the option at fault."""
        self.client = open_grpc_client(self.config, self.telemetry, host)
        await self.sending.open(host)

    async def _prepare(self, batch: Batch) -> Attempt:
        return partial(self._attempt, batch)

    async def _attempt(self, batch: Batch) -> None:
        assert self.client is not None
        answer = await self.client.call(METHODS[batch.signal], batch.payload, self.config.timeout, batch.origin)
        if answer.code != Code.OK:
            raise _outcome(answer)
        self._read(batch, answer.body)

    def _read(self, batch: Batch, body: bytes) -> None:
        try:
            rejected, message = partial_success(batch.signal, body)
        except UnreadableAnswer as error:
            raise Permanent(f"the server's answer cannot be read: {quoted(str(error))}") from error
        self.sending.accept(batch, rejected, message)


def _outcome(answer: GrpcAnswer) -> Retryable | Permanent:
    """What a caller is to do about a call that failed."""
    words = quoted(answer.message)
    if answer.speaks_http1:
        words += "; it speaks HTTP and not gRPC, as port 4318 does: use otlp_http, or port 4317"
    name = Code.Name(answer.code) if answer.code in Code.values() else f"code {answer.code}"
    reason = f"{name}: {words}".rstrip(": ")
    retry_after = retry_info_s(answer.details)
    if retry_after is not None and answer.code in (Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE):
        return Throttled(reason, retry_after)  # "OTLP/gRPC Throttling"
    if answer.code in RETRYABLE:
        return Retryable(reason, retry_after)
    return Permanent(reason)
