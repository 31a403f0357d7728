"""Metrics to Prometheus, Mimir, Thanos and whatever else takes Prometheus remote write."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from airis.component import (
    Config,
    ConsumeError,
    Duration,
    Exporter,
    Host,
    Partial,
    Permanent,
    Retryable,
    Telemetry,
    exporter,
)
from airis.component.http_client import (
    HttpClient,
    HttpClientConfig,
    NoAnswer,
    open_http_client,
    refusal,
)
from airis.component.retry import RetryConfig
from airis.component.sending import Attempt, Sending, SendingConfig, SendingQueueConfig, Sends
from airis.component.unsupported import not_supported
from airis.component.words import quoted
from airis.data import Batch, Origin, kernels

VERSIONS = {"prometheus.WriteRequest": 1, "io.prometheus.write.v2.Request": 2}
_CONTENT_TYPES = {
    1: "application/x-protobuf",
    2: "application/x-protobuf;proto=io.prometheus.write.v2.Request",
}
_VERSION_HEADERS = {1: "0.1.0", 2: "2.0.0"}
_WITHHELD = ("content-type", "x-prometheus-remote-write-version", "user-agent")
_WRITTEN = tuple(f"x-prometheus-remote-write-{what}-written" for what in ("samples", "histograms", "exemplars"))
NO_WAL = (
    "this log of Prometheus' own is not supported; leave wal out: senders are held until their data is delivered, "
    "so that nothing is lost"
)


class RemoteWriteQueueConfig(Config):
    """What waits to be sent. Left out, a sender is held until its data is delivered."""

    enabled: bool = Field(
        default=True, description="Off: no queue, and as many batches are sent at once as come in; senders are held."
    )
    queue_size: int = Field(
        default=10_000, ge=1, description="Most batches in the queue, those under way included; a crash loses them."
    )
    num_consumers: int = Field(default=5, ge=1, description="Most batches that are under way at once.")


class TargetInfoConfig(Config):
    """The metric that says what a target is."""

    enabled: bool = Field(default=True, description="Send target_info with the attributes of each resource.")


class ResourceToTelemetryConfig(Config):
    """Attributes of the resource as labels."""

    enabled: bool = Field(default=False, description="Make labels of all attributes of the resource.")
    exclude_service_attributes: bool = Field(
        default=False,
        description="But not of service.name, service.namespace and service.instance.id, which are job and instance.",
    )


class PrometheusRemoteWriteConfig(HttpClientConfig):
    """Where metrics are sent to, and how they are named there."""

    endpoint: str = Field(description="http:// or https:// URL that takes remote write.")
    protobuf_message: Literal["prometheus.WriteRequest", "io.prometheus.write.v2.Request"] = Field(
        default="prometheus.WriteRequest", description="Remote write 1.0, or 2.0, which is smaller and says more."
    )
    compression: Literal["", "none", "gzip", "zlib", "deflate", "snappy", "x-snappy-framed", "zstd", "lz4"] = Field(
        default="snappy", description="The protocol has snappy alone; anything else is an error."
    )
    timeout: Duration = Field(default=5.0, ge=0, description="Longest time of an attempt; 0: without a limit.")
    write_buffer_size: int = Field(default=524_288, ge=0, description="Has no effect here, in bytes.")
    namespace: str = Field(default="", description="Prefix of every name, with _ behind it.")
    external_labels: dict[str, str] = Field(
        default_factory=dict[str, str], description="Labels of every series that has none of that name."
    )
    add_metric_suffixes: bool = Field(
        default=True, description="Add unit and type to names, as in http_server_duration_seconds."
    )
    translation_strategy: (
        Literal[
            "UnderscoreEscapingWithSuffixes",
            "UnderscoreEscapingWithoutSuffixes",
            "NoUTF8EscapingWithSuffixes",
            "NoTranslation",
        ]
        | None
    ) = Field(default=None, description="How names are made, in Prometheus' words; absent: add_metric_suffixes says.")
    send_metadata: bool = Field(
        default=False, description="With 1.0: send type, help and unit of every metric. 2.0 always has them."
    )
    disable_scope_info: bool = Field(default=False, description="Leave the labels otel_scope_… out.")
    target_info: TargetInfoConfig = Field(default=TargetInfoConfig(), description="The metric target_info.")
    resource_to_telemetry_conversion: ResourceToTelemetryConfig = Field(
        default=ResourceToTelemetryConfig(), description="Attributes of the resource as labels."
    )
    max_batch_size_bytes: int = Field(
        default=3_000_000, ge=1, description="Largest request before compression, but for a series larger by itself."
    )
    max_batch_request_parallelism: int = Field(
        default=5, ge=1, description="Most requests of one batch that are under way at once."
    )
    remote_write_queue: RemoteWriteQueueConfig = Field(
        default=RemoteWriteQueueConfig(),
        description="What waits to be sent, in memory. Left out, senders are held until their data is delivered.",
    )
    retry_on_failure: RetryConfig = Field(
        default=RetryConfig.model_validate({"initial_interval": "50ms"}),
        description="Sending again what was refused for now, or got no answer.",
    )
    wal: Annotated[dict[str, Any] | None, not_supported(NO_WAL)] = Field(
        default=None, description="Not supported: a log of its own. Anything in it is an error."
    )

    @field_validator("endpoint")
    @classmethod
    def _is_url(cls, endpoint: str) -> str:
        url = urlsplit(endpoint)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError('not an http:// or https:// URL, such as "http://localhost:9090/api/v1/write"')
        return endpoint

    @model_validator(mode="after")
    def _as_the_protocol_has_it(self) -> Self:
        if self.compression not in ("", "snappy"):
            raise ValueError("compression: remote write has snappy alone; leave it out")
        for name in self.headers:
            if name.lower() in _WITHHELD:
                raise ValueError(f'headers: "{name}" is the protocol\'s; leave it out')
        return self

    @property
    def version(self) -> int:
        """1 or 2."""
        return VERSIONS[self.protobuf_message]

    def naming(self) -> dict[str, Any]:
        """The options of the kernel `samples`."""
        suffixes = "With" if self.add_metric_suffixes else "Without"
        return {
            "strategy": self.translation_strategy or f"UnderscoreEscaping{suffixes}Suffixes",
            "namespace": self.namespace,
            "external_labels": list(self.external_labels.items()),
            "resource_labels": self.resource_to_telemetry_conversion.enabled,
            "except_service": self.resource_to_telemetry_conversion.exclude_service_attributes,
            "target_info": self.target_info.enabled,
            "scope_labels": not self.disable_scope_info,
        }


@exporter("prometheus_remote_write", metrics="alpha")
class PrometheusRemoteWriteExporter(Sends[HttpClient], Exporter[PrometheusRemoteWriteConfig]):
    """Send metrics by Prometheus remote write, 1.0 or 2.0.

    A sender is held until the server acknowledged its data, through all retries. What cannot be a sample, such as a
    counter that is not cumulative, is told its sender as rejected. Of a batch that makes several requests only those
    are sent again that the server has not taken.
    """

    def __init__(
        self,
        config: PrometheusRemoteWriteConfig,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Callable[[], float] = random.random,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`rng` gives the share of a retry's random part, from 0 to 1; `wall_clock` seconds since 1970."""
        super().__init__(config, telemetry)
        own = config.remote_write_queue
        queue = SendingQueueConfig(enabled=own.enabled, num_consumers=own.num_consumers, queue_size=own.queue_size)
        is_written = "remote_write_queue" in config.model_fields_set
        sending = SendingConfig.of(queue, config.retry_on_failure, is_written=is_written)
        self.sending = Sending(sending, telemetry, self._prepare, clock, sleep, rng)
        self._wall_clock = wall_clock
        self._naming = config.naming()
        self._headers = {
            "Content-Type": _CONTENT_TYPES[config.version],
            "Content-Encoding": "snappy",
            "X-Prometheus-Remote-Write-Version": _VERSION_HEADERS[config.version],
        }

    async def start(self, host: Host) -> None:
        """Read certificates and be ready to connect; raises StartError that names the option at fault."""
        config = self.config.model_copy(update={"compression": "snappy"})
        self.client = open_http_client(config, [config.endpoint], self.telemetry, host)
        await self.sending.open(host)

    async def _prepare(self, batch: Batch) -> Attempt:
        assert self.client is not None
        bodies, left_out = await asyncio.to_thread(self._bodies, batch)
        waiting = [await self.client.prepare(body) for body in bodies]
        refused: list[Permanent] = []

        async def attempt() -> None:
            nonlocal waiting
            outcomes = await self._send(waiting, batch.origin)
            refused.extend(outcome for outcome in outcomes if isinstance(outcome, Permanent))
            waiting = [body for body, outcome in zip(waiting, outcomes, strict=True) if isinstance(outcome, Retryable)]
            for outcome in outcomes:
                if isinstance(outcome, Retryable):
                    raise outcome
            _conclude(batch, len(bodies), refused, left_out)

        return attempt

    def _bodies(self, batch: Batch) -> tuple[list[bytes], dict[str, int]]:
        """Requests, and what is not in them."""
        try:
            view = batch.view()
        except kernels.MalformedPayload as error:
            raise Permanent(str(error)) from error
        samples = kernels.samples(view, batch.arrived_unix_nano, **self._naming)
        config = self.config
        bodies = samples.remote_write(config.version, config.max_batch_size_bytes, metadata=config.send_metadata)
        return bodies, samples.left_out

    async def _send(self, bodies: list[Any], origin: Origin) -> list[ConsumeError | None]:
        """Send all, and give what became of each."""
        turns = asyncio.Semaphore(self.config.max_batch_request_parallelism)

        async def send(body: Any) -> ConsumeError | None:
            async with turns:
                try:
                    await self._attempt(body, origin)
                except ConsumeError as error:
                    return error
                return None

        return await asyncio.gather(*map(send, bodies))

    async def _attempt(self, body: Any, origin: Origin) -> None:
        assert self.client is not None
        try:
            answer = await self.client.post(self.config.endpoint, body, self._headers, origin)
        except NoAnswer as error:
            raise Retryable(quoted(error.reason)) from error
        if not 200 <= answer.status < 300:
            may_come_again = answer.status == 429 or answer.status >= 500
            raise refusal(answer, quoted(answer.body), may_come_again, self._wall_clock())
        if self.config.version == 2 and not any(name in answer.headers for name in _WRITTEN):
            raise Permanent(
                "the server does not say what it wrote, as one of 2.0 does; write protobuf_message: "
                "prometheus.WriteRequest"
            )


def _conclude(batch: Batch, requests: int, refused: list[Permanent], left_out: Mapping[str, int]) -> None:
    """Raise what the sender is to be told, if anything, of a batch that made so many requests."""
    if refused and len(refused) == requests and not left_out:
        raise refused[0]
    reasons = [f"{count} points have no samples: {reason}" for reason, count in left_out.items()]
    rejected = sum(left_out.values())
    if refused:
        # Which points were in a request nobody knows any more; series are spread evenly, about.
        rejected += -(-(batch.items - rejected) * len(refused) // requests)
        reasons.append(f"{len(refused)} of {requests} requests were refused: {refused[0].reason}")
    if rejected:
        raise Partial(min(rejected, batch.items), "; ".join(reasons))
