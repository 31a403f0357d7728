"""airis's own metrics for Prometheus to scrape, as the Collector gives them on :8888."""

import os
import time
from collections.abc import Iterator
from typing import Any

from prometheus_client import exposition
from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from airis.component import Counter, Gauge, Metrics, StartError, Telemetry
from airis.component.http import HttpServer, HttpServerConfig, answer, header
from airis.component.memory import read_resident_bytes
from airis.component.telemetry import Labels
from airis.component.telemetry import Metric as OwnMetric
from airis.config.model import MetricsTelemetryConfig


class OwnMetrics:
    """Serves ``/metrics`` unless the level is ``none``."""

    def __init__(self, config: MetricsTelemetryConfig, metrics: Metrics) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(Exposition(metrics))
        self.registry.register(Process())
        self.server: HttpServer | None = None
        if config.level != "none":
            telemetry = Telemetry("service", "telemetry", metrics)
            self.server = HttpServer(self._serve, HttpServerConfig(endpoint=config.address), telemetry)

    async def start(self) -> None:
        """Open the listener; raises StartError."""
        if self.server is None:
            return
        try:
            await self.server.start()
        except StartError as error:
            error.component, error.option = "service::telemetry::metrics", "address"
            raise

    @property
    def address(self) -> str:
        """``host:port`` it listens on; empty where metrics are off."""
        return self.server.address if self.server is not None else ""

    async def shutdown(self) -> None:
        """Close the listener."""
        if self.server is not None:
            await self.server.shutdown()

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] not in ("/metrics", "/"):
            await answer(send, 404, b"metrics are under /metrics\n")
            return
        encode, content_type = exposition.choose_encoder(header(scope, b"accept"))
        await answer(send, 200, encode(self.registry), content_type)


class Exposition(Collector):
    """The components' instruments in Prometheus' terms."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """One family for each name, whatever number of components report it."""
        families: dict[str, list[OwnMetric]] = {}
        for metric in self.metrics:
            families.setdefault(metric.name, []).append(metric)
        for same_name in families.values():
            yield _family(same_name)


class Process(Collector):
    """What the process uses, under the Collector's names."""

    def __init__(self) -> None:
        self.started = time.monotonic()

    def collect(self) -> Iterator[Metric]:
        """Read the clock, the CPU times and the resident set."""
        cpu = os.times()
        uptime = CounterMetricFamily("otelcol_process_uptime", "Uptime of the process, in seconds.")
        uptime.add_metric([], time.monotonic() - self.started)
        yield uptime
        seconds = CounterMetricFamily("otelcol_process_cpu_seconds", "CPU time of the process, in seconds.")
        seconds.add_metric([], cpu.user + cpu.system)
        yield seconds
        resident = GaugeMetricFamily("otelcol_process_memory_rss", "Resident memory of the process, in bytes.")
        resident.add_metric([], read_resident_bytes())
        yield resident


def _family(metrics: list[OwnMetric]) -> Metric:
    first = metrics[0]
    family: Metric
    if isinstance(first.instrument, Counter):
        family = CounterMetricFamily(first.name, first.description)
    elif isinstance(first.instrument, Gauge):
        family = GaugeMetricFamily(first.name, first.description)
    else:
        family = HistogramMetricFamily(first.name, first.description)
    for metric in metrics:
        instrument = metric.instrument
        if isinstance(instrument, Counter):
            for labels, value in (dict(instrument.values) or {(): 0.0}).items():
                family.add_sample(f"{first.name}_total", _labels(metric.attributes, labels), value)
        elif isinstance(instrument, Gauge):
            for labels, value in instrument.samples().items():
                family.add_sample(first.name, _labels(metric.attributes, labels), value)
        else:
            below = 0
            for bound, count in zip((*instrument.bounds, float("inf")), instrument.counts, strict=True):
                below += count
                le = "+Inf" if bound == float("inf") else repr(bound)
                family.add_sample(f"{first.name}_bucket", _labels(metric.attributes, (("le", le),)), below)
            family.add_sample(f"{first.name}_sum", _labels(metric.attributes, ()), instrument.sum)
            family.add_sample(f"{first.name}_count", _labels(metric.attributes, ()), below)
    return family


def _labels(own: Labels, measured: Labels) -> dict[str, str]:
    return {name.replace(".", "_"): value for name, value in (*own, *measured)}
