"""Tell a load balancer or Kubernetes over HTTP whether this instance takes data."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from pydantic import Field
from starlette.types import Receive, Scope, Send

from airis.component import Config, Extension, Host, Telemetry, extension, format_duration
from airis.component.http import HttpServer, HttpServerConfig, answer


class ResponseBodyConfig(Config):
    """Fixed bodies in place of the JSON status."""

    healthy: str = Field(default="", description="Body of the answer 200; empty for the status as JSON.")
    unhealthy: str = Field(default="", description="Body of the answer 503; empty for the status as JSON.")


class HealthCheckConfig(HttpServerConfig):
    """Where health is asked for, and what is answered."""

    endpoint: str = Field(default="localhost:13133", description="host:port to listen on.")
    path: str = Field(
        default="/", pattern="^/", description="Path that answers; one that ends in / answers below it too."
    )
    response_body: ResponseBodyConfig | None = Field(
        default=None, description="Fixed bodies in place of the JSON status."
    )


@extension("health_check")
class HealthCheck(Extension[HealthCheckConfig]):
    """200 while every receiver is started, 503 before that and from the beginning of the shutdown on."""

    def __init__(
        self,
        config: HealthCheckConfig,
        telemetry: Telemetry,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(config, telemetry)
        self._now = now
        self._server = HttpServer(self._serve, config, telemetry)
        self._ready_since: datetime | None = None

    async def start(self, host: Host) -> None:
        """Listen: from now on the answer is that the instance is not ready."""
        await self._server.start()

    async def ready(self) -> None:
        """Answer 200 from now on."""
        self._ready_since = self._now()

    async def draining(self) -> None:
        """Answer 503 from now on, so that nobody sends to an instance that is about to stop."""
        self._ready_since = None

    async def shutdown(self) -> None:
        """Stop listening."""
        await self.draining()
        await self._server.shutdown()

    def endpoints(self) -> Mapping[str, str]:
        """The URL to ask."""
        return {"health": f"{self._server.url}{self.config.path}"}

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
                "upSince": self._ready_since.isoformat().replace("+00:00", "Z"),
                "uptime": format_duration(round(uptime)),
            }
        return json.dumps(status).encode()
