"""Tell a load balancer or Kubernetes over HTTP whether this instance takes data, and how each pipeline is."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs

from pydantic import Field, model_validator
from starlette.types import Receive, Scope, Send

from airis.component import Config, Duration, Extension, Host, StartError, Status, Telemetry, extension, format_duration
from airis.component.grpc import GrpcServerConfig
from airis.component.http import HttpServer, HttpServerConfig, answer
from airis.extensions.health_check.status import (
    EXTENSIONS,
    HTTP_CODES,
    Aggregate,
    Event,
    Judgement,
    document,
    timestamp,
)

if TYPE_CHECKING:
    from airis.extensions.health_check.grpc import HealthGrpc

_NO_CONFIGURATION = b"the configuration is not shown over the network; run: airis print-config\n"


class ResponseBodyConfig(Config):
    """Fixed bodies in place of the JSON status."""

    healthy: str = Field(default="", description="Body of the answer 200; empty for the status as JSON.")
    unhealthy: str = Field(default="", description="Body of the answer 503; empty for the status as JSON.")


class CheckCollectorPipelineConfig(Config):
    """What the Collector's first version once checked."""

    enabled: bool = Field(default=False, description="Has no effect, as in the Collector; see use_v2.")
    interval: str = Field(default="5m", description="Has no effect.")
    exporter_failure_threshold: int = Field(default=5, description="Has no effect.")


class ComponentHealthConfig(Config):
    """Which errors of components make the answer one that is not 200."""

    include_permanent_errors: bool = Field(
        default=False, description="Not healthy while a component has an error that needs a person."
    )
    include_recoverable_errors: bool = Field(
        default=False, description="Not healthy while a component has had a passing error for recovery_duration."
    )
    recovery_duration: Duration = Field(
        default=300.0, ge=0, description="How long a passing error may last before it counts."
    )

    def judgement(self) -> Judgement:
        """The options as they are applied."""
        return Judgement(self.include_permanent_errors, self.include_recoverable_errors, self.recovery_duration)


class StatusPathConfig(Config):
    """Where the status is asked for."""

    enabled: bool = Field(default=True, description="Answer with the status.")
    path: str = Field(
        default="/status",
        pattern="^/",
        description="Path that answers: `?pipeline=traces` for one pipeline, `?verbose` for all components.",
    )
    verbose: bool = Field(default=False, description="Tell of all components without being asked.")
    include_attributes: bool = Field(
        default=False, description="Has no effect: the statuses of airis's components have no attributes."
    )


class ConfigPathConfig(Config):
    """Where the configuration is asked for."""

    enabled: bool = Field(
        default=False, description="Answer 404 with a hint: airis does not show its configuration over the network."
    )
    path: str = Field(default="/config", pattern="^/", description="Path that answers.")
    verbose: bool = Field(default=False, description="Has no effect.")
    include_attributes: bool = Field(default=False, description="Has no effect.")


class HealthHttpConfig(HttpServerConfig):
    """Health over HTTP, second version."""

    endpoint: str = Field(default="localhost:13133", description="host:port to listen on.")
    write_timeout: Duration = Field(
        default=30.0,
        ge=0,
        description="Longest time from the end of a request's headers until its answer has left; 0: for ever.",
    )
    status: StatusPathConfig = Field(default_factory=StatusPathConfig, description="The status, in JSON.")
    config: ConfigPathConfig = Field(default_factory=ConfigPathConfig, description="The configuration: not shown.")

    @model_validator(mode="after")
    def _paths_differ(self) -> Self:
        if self.status.enabled and self.config.enabled and self.status.path == self.config.path:
            raise ValueError("the paths of status and config differ; write another one")
        return self


class HealthGrpcConfig(GrpcServerConfig):
    """Health over gRPC, second version."""

    endpoint: str = Field(default="localhost:13132", description="host:port to listen on.")


class HealthCheckConfig(HttpServerConfig):
    """Where health is asked for, and what is answered."""

    endpoint: str = Field(default="localhost:13133", description="host:port to listen on. Not with use_v2.")
    path: str = Field(
        default="/",
        pattern="^/",
        description="Path that answers; one that ends in / answers below it too. Not with use_v2.",
    )
    response_body: ResponseBodyConfig | None = Field(
        default=None, description="Fixed bodies in place of the JSON status. Not with use_v2."
    )
    write_timeout: Duration = Field(
        default=30.0,
        ge=0,
        description="Longest time from the end of a request's headers until its answer has left; 0: for ever.",
    )
    check_collector_pipeline: CheckCollectorPipelineConfig | None = Field(
        default=None, description="Has no effect, as in the Collector; see use_v2."
    )
    use_v2: bool = Field(
        default=False, description="The second version: http and grpc below, with the status of every component."
    )
    component_health: ComponentHealthConfig = Field(
        default_factory=ComponentHealthConfig, description="Which errors of components count; with use_v2."
    )
    http: HealthHttpConfig | None = Field(default=None, description="Health over HTTP; with use_v2.")
    grpc: HealthGrpcConfig | None = Field(
        default=None, description="Health over gRPC (grpc.health.v1), overall and for each pipeline; with use_v2."
    )

    @model_validator(mode="after")
    def _names_a_protocol(self) -> Self:
        if self.use_v2 and self.http is None and self.grpc is None:
            raise ValueError("use_v2 names no protocol; write at least one of http and grpc")
        return self

    def without_effect(self) -> list[str]:
        """The options that are given and belong to the other version."""
        of_version_2 = {"component_health", "http", "grpc"}
        of_version_1 = set(HealthCheckConfig.model_fields) - of_version_2 - {"use_v2", "check_collector_pipeline"}
        return sorted(self.model_fields_set & (of_version_1 if self.use_v2 else of_version_2))


@extension("health_check")
class HealthCheck(Extension[HealthCheckConfig]):
    """200 while every receiver is started, 503 before that and from the beginning of the shutdown on.

    With `use_v2` the status of every component and pipeline, in JSON and over gRPC.
    """

    def __init__(
        self,
        config: HealthCheckConfig,
        telemetry: Telemetry,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(config, telemetry)
        self.host: Host | None = None
        self._now = now
        self._judgement = config.component_health.judgement()
        self._server: HttpServer | None = None
        self._grpc: HealthGrpc | None = None
        self._ready_since: datetime | None = None
        self._not_ready = Event(Status.STARTING)
        """What is said while it is not ready, whatever the components say."""
        if not config.use_v2:
            self._server = HttpServer(self._serve, config, telemetry)
        elif config.http is not None:
            self._server = HttpServer(self._serve_status, config.http, telemetry, "http")

    async def start(self, host: Host) -> None:
        """Listen: from now on the answer is that the instance is not ready."""
        self.host = host
        self._not_ready = Event(Status.STARTING, since_unix_s=self._now().timestamp())
        if options := self.config.without_effect():
            version = 2 if self.config.use_v2 else 1
            self.telemetry.log.warning("without effect in this version", version=version, options=", ".join(options))
        try:
            if self._server is not None:
                await self._server.start(host)
            if self.config.use_v2 and self.config.grpc is not None:
                from airis.extensions.health_check.grpc import HealthGrpc  # grpcio takes 0.1 s to import

                self._grpc = HealthGrpc(self.config.grpc, self.telemetry, self._is_serving)
                await self._grpc.start(host)
        except StartError:
            await self.shutdown()
            raise

    async def ready(self) -> None:
        """Answer 200 from now on."""
        self._ready_since = self._now()

    async def draining(self) -> None:
        """Answer 503 from now on, so that nobody sends to an instance that is about to stop."""
        self._ready_since = None
        self._not_ready = Event(Status.STOPPING, since_unix_s=self._now().timestamp())

    async def shutdown(self) -> None:
        """Stop listening."""
        await self.draining()
        if self._grpc is not None:
            await self._grpc.shutdown()
        if self._server is not None:
            await self._server.shutdown()

    def endpoints(self) -> Mapping[str, str]:
        """The URL to ask, and the address for gRPC."""
        found: dict[str, str] = {}
        if self._server is not None:
            http = self.config.http if self.config.use_v2 else None
            path = self.config.path if http is None else http.status.path if http.status.enabled else ""
            found["health"] = f"{self._server.url}{path}"
        if self._grpc is not None:
            found["health gRPC"] = self._grpc.address
        return found

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path != self.config.path and not (self.config.path.endswith("/") and path.startswith(self.config.path)):
            await answer(send, 404, b"not found\n")
            return
        status = 503 if self._ready_since is None else 200
        fixed = self.config.response_body
        text = "" if fixed is None else fixed.healthy if status == 200 else fixed.unhealthy
        if text:
            await answer(send, status, text.encode())
        else:
            await answer(send, status, self._status(), "application/json")

    def _status(self) -> bytes:
        """The status in the Collector's words."""
        if self._ready_since is None:
            status = {"status": "Server not available", "upSince": "0001-01-01T00:00:00Z", "uptime": ""}
        else:
            uptime = (self._now() - self._ready_since).total_seconds()
            status = {
                "status": "Server available",
                "upSince": timestamp(self._ready_since.timestamp()),
                "uptime": format_duration(round(uptime)),
            }
        return json.dumps(status).encode()

    async def _serve_status(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """The second version."""
        options = self.config.http
        assert options is not None
        if options.config.enabled and scope["path"] == options.config.path:
            await answer(send, 404, _NO_CONFIGURATION)
            return
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        part = self._parts().get(query.get("pipeline", [""])[0])
        if not options.status.enabled or scope["path"] != options.status.path or part is None:
            await answer(send, 404, b"not found\n")
            return
        now = self._now().timestamp()
        verbose = options.status.verbose or "verbose" in query
        told: dict[str, Any] = {
            "start_time": timestamp(self._host().overview().started_unix_s),
            **document(part, self._judgement, now, verbose=verbose),
        }
        code = HTTP_CODES.get(part.event.status, 503) if told["healthy"] else 500
        await answer(send, code, json.dumps(told).encode(), "application/json", [(b"cache-control", b"no-store")])

    def _parts(self) -> dict[str, Aggregate]:
        """Everything that can be asked for: the whole as the empty name, pipelines by their ids, the extensions."""
        whole = self._judgement.aggregate(self._host().overview())
        named = {"": whole, **{name.removeprefix("pipeline:"): part for name, part in whole.parts.items()}}
        if self._ready_since is not None:
            return named
        return {
            name: part
            if name == EXTENSIONS or part.event.status is Status.FATAL_ERROR
            else replace(part, event=self._not_ready)
            for name, part in named.items()
        }

    def _is_serving(self) -> dict[str, bool]:
        now = self._now().timestamp()
        return {
            name: HTTP_CODES.get(part.event.status) == 200 and self._judgement.is_well(part.event, now)
            for name, part in self._parts().items()
        }

    def _host(self) -> Host:
        assert self.host is not None
        return self.host
