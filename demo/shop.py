"""The demo shop in time: visitors arrive, spans end, metrics are exported, an incident comes and goes."""

import heapq
import random
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ResourceMetrics, ScopeMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from airis.data import Batch, Signal
from airis.demo import graph
from airis.demo.instruments import Instrument, MetricType
from airis.demo.meter import Measurement, Meter
from airis.demo.payloads import any_value, key_values
from airis.demo.visits import SECONDS, Emission, Incident, Instance, Visit

EXPORT_INTERVAL_S = 10
TRACES_PER_S = 12.0
POOL_SIZE = 20
SCHEMA_URL = "https://opentelemetry.io/schemas/1.37.0"

CONNECTIONS = Instrument(
    "db.client.connection.count",
    MetricType.SUM,
    "{connection}",
    "Connections in the pool, by state.",
    monotonic=False,
    integer=True,
    observed=True,
)
CPU_UTILIZATION = Instrument(
    "process.cpu.utilization", MetricType.GAUGE, "1", "Share of one processor in use since the last export."
)
STOCK_LEVEL = Instrument("shop.stock.level", MetricType.GAUGE, "{item}", "Items in stock.", integer=True)


class Shop:
    """All services of the shop, in simulated time that passes with `advance`.

    The same random source and start give the same telemetry, whatever steps the time passes in.
    """

    def __init__(
        self,
        rng: random.Random,
        start_unix_nano: int,
        *,
        traces_per_s: float = TRACES_PER_S,
    ) -> None:
        self._rng = rng
        self._traces_per_s = traces_per_s
        self._instances = {service: tuple(_instances(service, rng)) for service in graph.SERVICES}
        self._meters = {each.id: Meter(start_unix_nano) for each in self._all_instances()}
        self._stock = dict.fromkeys(range(1, 6), 400)
        self._pending: list[tuple[int, int, Emission]] = []
        self._emitted = 0
        self._next_arrival = start_unix_nano + self._gap()
        self._next_export = start_unix_nano + EXPORT_INTERVAL_S * SECONDS
        self.incident: Incident | None = None
        self.notable_trace_id = b""
        """The latest trace whose visitor did not get what was asked for; until there is one, the first trace."""

    def plan_incident(self, incident: Incident) -> None:
        """Let something go wrong, at a time not yet reached."""
        self.incident = incident
        for at, severity, body in _notices(incident):
            self._say(self._instances[graph.PAYMENT][0], at, severity, body)

    def _all_instances(self) -> list[Instance]:
        return [instance for instances in self._instances.values() for instance in instances]

    def _gap(self) -> int:
        return max(1, int(self._rng.expovariate(self._traces_per_s) * SECONDS))

    def advance(self, to_unix_nano: int, *, last: bool = False) -> list[Batch]:
        """Let time pass and give what was reported meanwhile, at most one batch for each signal.

        At the last time metrics are exported out of turn, as by an SDK that is shut down.
        """
        due: list[Emission] = []
        metrics: dict[str, list[Metric]] = defaultdict(list)
        last_export = self._next_export - EXPORT_INTERVAL_S * SECONDS
        while self._next_export <= to_unix_nano or (last and last_export < to_unix_nano):
            last_export = min(self._next_export, to_unix_nano)
            due += self._run_until(last_export)
            for instance in self._all_instances():
                metrics[instance.id] += self._export(instance, last_export)
            self._next_export = last_export + EXPORT_INTERVAL_S * SECONDS
        due += self._run_until(to_unix_nano)
        return [batch for batch in (_traces(due), self._metrics(metrics), _logs(due)) if batch.items]

    def _run_until(self, now: int) -> list[Emission]:
        """Play the visits that begin by then, and take out what is reported by then."""
        while self._next_arrival <= now:
            self._visit(self._next_arrival)
            self._next_arrival += self._gap()
        due: list[Emission] = []
        while self._pending and self._pending[0][0] <= now:
            emission = heapq.heappop(self._pending)[2]
            if isinstance(emission.item, Measurement):
                self._meters[emission.instance.id].record(emission.item, emission.at_unix_nano)
            due.append(emission)
        return due

    def _visit(self, arrival: int) -> None:
        visit = Visit(self._rng, self._instances, self.incident)
        [(entrance, _)] = self._rng.choices(graph.ENTRANCES, [share for _, share in graph.ENTRANCES])
        visit.play(entrance, arrival)
        if visit.failed or not self.notable_trace_id:
            self.notable_trace_id = visit.trace_id
        self._emit(visit.emissions)

    def _emit(self, emissions: Iterable[Emission]) -> None:
        for emission in emissions:
            self._emitted += 1
            heapq.heappush(self._pending, (emission.at_unix_nano, self._emitted, emission))

    def _say(self, instance: Instance, at: int, severity: str, body: str) -> None:
        """A log record outside any trace."""
        record = LogRecord(
            time_unix_nano=at,
            observed_time_unix_nano=at,
            severity_text=severity,
            severity_number=SeverityNumber.Value(f"SEVERITY_NUMBER_{severity}"),
            body=any_value(body),
        )
        self._emit([Emission(at, instance, record)])

    # Metrics ---------------------------------------------------------------------------------------------------------

    def _export(self, instance: Instance, now: int) -> list[Metric]:
        """The instance's metrics after it looked at what is measured at an export only."""
        meter = self._meters[instance.id]
        strained = instance.service is graph.PAYMENT and self.incident is not None and self.incident.includes(now)
        load = self._rng.uniform(0.05, 0.15) + (0.4 if strained else 0.0)
        meter.record(Measurement(CPU_UTILIZATION, load), now)
        if instance.service is graph.PAYMENT:
            used = POOL_SIZE if strained else self._rng.randrange(1, 6)
            for state, connections in (("used", used), ("idle", POOL_SIZE - used)):
                labels = (
                    ("db.client.connection.pool.name", graph.PAYMENT_DB.name),
                    ("db.client.connection.state", state),
                )
                meter.record(Measurement(CONNECTIONS, connections, labels), now)
            waiting = self._rng.randrange(8, 40) if strained else 0
            severity = "WARN" if strained else "DEBUG"
            pool = f"pool {graph.PAYMENT_DB.name}: {used} of {POOL_SIZE} connections in use, {waiting} requests waiting"
            self._say(instance, now, severity, pool)
        if instance.service is graph.INVENTORY:
            for product, level in self._stock.items():
                # Sales take from it until a delivery fills it up again.
                self._stock[product] = level - self._rng.randrange(4) if level > 20 else 400
                meter.record(Measurement(STOCK_LEVEL, self._stock[product], (("shop.product.id", product),)), now)
        return meter.export(now)

    def _metrics(self, by_instance: Mapping[str, list[Metric]]) -> Batch:
        resource_metrics = [
            ResourceMetrics(
                resource=instance.resource,
                scope_metrics=[ScopeMetrics(scope=_scope(instance), metrics=by_instance[instance.id])],
                schema_url=SCHEMA_URL,
            )
            for instance in self._all_instances()
            if instance.id in by_instance
        ]
        request = ExportMetricsServiceRequest(resource_metrics=resource_metrics)
        return Batch(Signal.METRICS, request.SerializeToString(), sum(map(_points, chain(*by_instance.values()))))


def _traces(due: Iterable[Emission]) -> Batch:
    """All spans, grouped by instance."""
    by_instance: dict[Instance, list[Span]] = {}
    for emission in due:
        if isinstance(emission.item, Span):
            by_instance.setdefault(emission.instance, []).append(emission.item)
    request = ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=instance.resource,
                scope_spans=[ScopeSpans(scope=_scope(instance), spans=spans)],
                schema_url=SCHEMA_URL,
            )
            for instance, spans in by_instance.items()
        ]
    )
    return Batch(Signal.TRACES, request.SerializeToString(), sum(map(len, by_instance.values())))


def _logs(due: Iterable[Emission]) -> Batch:
    """All log records, grouped by instance."""
    by_instance: dict[Instance, list[LogRecord]] = {}
    for emission in due:
        if isinstance(emission.item, LogRecord):
            by_instance.setdefault(emission.instance, []).append(emission.item)
    request = ExportLogsServiceRequest(
        resource_logs=[
            ResourceLogs(
                resource=instance.resource,
                scope_logs=[ScopeLogs(scope=_scope(instance), log_records=records)],
                schema_url=SCHEMA_URL,
            )
            for instance, records in by_instance.items()
        ]
    )
    return Batch(Signal.LOGS, request.SerializeToString(), sum(map(len, by_instance.values())))


def _points(metric: Metric) -> int:
    data = metric.gauge, metric.sum, metric.histogram, metric.exponential_histogram, metric.summary
    return sum(len(each.data_points) for each in data)


def _instances(service: graph.Service, rng: random.Random) -> Iterator[Instance]:
    for _ in range(service.instances):
        instance_id = str(uuid.UUID(bytes=rng.randbytes(16), version=4))
        pod = f"{service.name}-{instance_id[:5]}"
        attributes = {
            "service.name": service.name,
            "service.namespace": "shop",
            "service.version": service.version,
            "service.instance.id": instance_id,
            "deployment.environment.name": "demo",
            "host.name": f"node-{rng.randrange(1, 4)}",
            "k8s.namespace.name": "shop",
            "k8s.pod.name": pod,
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.language": service.language,
            "telemetry.sdk.version": "1.38.0",
        }
        yield Instance(service, instance_id, Resource(attributes=key_values(attributes)))


def _scope(instance: Instance) -> InstrumentationScope:
    return InstrumentationScope(name=f"shop/{instance.service.name}", version=instance.service.version)


def _notices(incident: Incident) -> list[tuple[int, str, str]]:
    """What payment logs of the incident's cause and end: when, how severe, what."""
    store, begins, ends = incident.dependency.name, incident.begins_unix_nano, incident.ends_unix_nano
    return [
        (begins, "INFO", f"migration 0042 applied to {store}: drop index accounts_user_id_idx, said to be unused"),
        (
            begins + 5 * SECONDS,
            "WARN",
            f"{store}: sequential scan on accounts (4218077 rows), no index on user_id",
        ),
        (
            ends - 20 * SECONDS,
            "INFO",
            f"migration 0043 begun on {store}: create index concurrently accounts_user_id_idx",
        ),
        (ends, "INFO", f"migration 0043 applied to {store}: index accounts_user_id_idx is back"),
    ]
