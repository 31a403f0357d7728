"""airis's own metrics for Prometheus to scrape, as the Collector gives them on :8888."""

from starlette.types import ASGIApp, Receive, Scope, Send

from airis.component import Metrics, StartError, Telemetry
from airis.component.http import HttpServer, HttpServerConfig, answer
from airis.config.telemetry import MetricsTelemetryConfig, ResourceConfig
from airis.service.exposition import CONTENT_TYPE, Exposition


class OwnMetrics:
    """Serves ``/metrics`` for every reader that is configured; for none at the level ``none``."""

    def __init__(
        self, config: MetricsTelemetryConfig, metrics: Metrics, resource: ResourceConfig | None = None
    ) -> None:
        attributes = (resource or ResourceConfig()).resolved()
        telemetry = Telemetry("service", "telemetry", metrics)
        self.servers: dict[str, HttpServer] = {}
        """By the options that say where they listen."""
        self._listening: list[HttpServer] = []
        for option, reader in config.prometheus_readers().items():
            assert config.level != "none"
            app = _app(Exposition(metrics, config.level, reader, attributes))
            self.servers[option] = HttpServer(app, HttpServerConfig(endpoint=reader.endpoint), telemetry)

    async def start(self) -> None:
        """Listen for every reader; raises StartError, and then listens for none."""
        for option, server in self.servers.items():
            try:
                await server.start()
            except StartError as error:
                error.component, error.option = "service::telemetry::metrics", option
                await self.shutdown()
                raise
            self._listening.append(server)

    @property
    def address(self) -> str:
        """``host:port`` of the first reader; empty where metrics are off."""
        return next(iter(self.addresses), "")

    @property
    def addresses(self) -> list[str]:
        """``host:port`` of every reader that listens."""
        return [server.address for server in self._listening]

    async def shutdown(self) -> None:
        """Close the listeners."""
        while self._listening:
            await self._listening.pop().shutdown()


def _app(exposition: Exposition) -> ASGIApp:
    async def serve(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["path"] not in ("/metrics", "/"):
            await answer(send, 404, b"metrics are under /metrics\n")
            return
        await answer(send, 200, exposition.text().encode(), CONTENT_TYPE)

    return serve
