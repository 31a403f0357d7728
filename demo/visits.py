"""Visits to the demo shop played through its call graph: spans, log records and measurements with their times."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from airis.demo import graph
from airis.demo.graph import Call, Dependency, External, Fault, Latency, Operation, Parallel, Publish, Query, Work
from airis.demo.instruments import Instrument, MetricType, Temporality
from airis.demo.meter import Labels, Measurement
from airis.demo.payloads import SAMPLED, Attributes, Value, any_value, key_values

SECONDS = 1_000_000_000
NETWORK = Latency(0.0004, 0.25)
QUEUE_LAG = Latency(0.4, 0.5)
RETRY_WAIT = Latency(0.05, 0.2)
POOL_TIMEOUT_S = 2.0
SLOW_QUERY_S = 0.05
PRODUCTS = 40
# SpanFlags of OTLP: it is known whether the parent is in another process, and that it is.
PARENT_KNOWN, PARENT_REMOTE = 0x100, 0x200
# gRPC status codes that are the server's fault (semantic conventions, "gRPC status").
GRPC_SERVER_ERRORS = frozenset({2, 4, 12, 13, 14, 15})
USER_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Mobile Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36",
)

HTTP_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
REQUEST_DURATION = Instrument(
    "http.server.request.duration",
    MetricType.HISTOGRAM,
    "s",
    "Duration of HTTP server requests.",
    bounds=HTTP_BOUNDS,
)
ACTIVE_REQUESTS = Instrument(
    "http.server.active_requests",
    MetricType.SUM,
    "{request}",
    "Requests being served.",
    monotonic=False,
    integer=True,
)
RPC_DURATION = Instrument("rpc.server.duration", MetricType.HISTOGRAM, "ms", "Duration of inbound gRPC calls.")
PROCESS_DURATION = Instrument(
    "messaging.process.duration",
    MetricType.HISTOGRAM,
    "s",
    "Duration of processing a message.",
    temporality=Temporality.DELTA,
    bounds=HTTP_BOUNDS,
)
QUERY_DURATION = Instrument(
    "db.client.operation.duration",
    MetricType.EXPONENTIAL_HISTOGRAM,
    "s",
    "Duration of database client operations.",
    temporality=Temporality.DELTA,
    scale=3,
)
ORDERS = Instrument("shop.orders", MetricType.SUM, "{order}", "Orders by how they ended.", integer=True)
REVENUE = Instrument("shop.revenue", MetricType.SUM, "EUR", "Amount of all orders placed.")
CACHE_LOOKUPS = Instrument(
    "shop.cache.lookups",
    MetricType.SUM,
    "{lookup}",
    "Lookups in the catalog's cache.",
    temporality=Temporality.DELTA,
    integer=True,
)
PAYMENT_AMOUNT = Instrument("shop.payment.amount", MetricType.SUMMARY, "EUR", "Amounts charged.")


@dataclass(frozen=True, slots=True)
class Incident:
    """A time in which a database is slow and runs out of connections."""

    begins_unix_nano: int
    ends_unix_nano: int
    dependency: Dependency = graph.PAYMENT_DB
    slowdown: float = 10.0
    """How many times longer its queries take."""
    failing_share: float = 0.3
    """How many of its queries get no connection in time."""
    fault: Fault = graph.POOL_EXHAUSTED

    def includes(self, at_unix_nano: int) -> bool:
        """Whether it is on at that time."""
        return self.begins_unix_nano <= at_unix_nano < self.ends_unix_nano


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One process of a service."""

    service: graph.Service
    id: str
    resource: Resource


@dataclass(frozen=True, slots=True)
class Emission:
    """Something an instance reports, and when: a span when it ends."""

    at_unix_nano: int
    instance: Instance
    item: Span | LogRecord | Measurement


class Visit:
    """One request from outside with all it leads to."""

    def __init__(
        self,
        rng: random.Random,
        instances: Mapping[graph.Service, tuple[Instance, ...]],
        incident: Incident | None,
    ) -> None:
        self._rng = rng
        self._instances = instances
        self._incident = incident
        self.trace_id = rng.randbytes(16)
        self.emissions: list[Emission] = []
        self.failed = False
        """Whether the visitor did not get what was asked for."""
        user, product = rng.randrange(100_000), min(PRODUCTS, int(rng.paretovariate(0.7)))
        items = rng.choice((1, 1, 1, 2, 2, 3))
        self._fields: dict[str, Value] = {
            "user": user,
            "product": product,
            "items": items,
            "amount": round(items * (4.9 + product * 3.1), 2),
            "order": f"{rng.getrandbits(40):010x}",
        }

    def play(self, entrance: Operation, start: int) -> None:
        """Follow the request from its arrival at the entrance; times are Unix nanoseconds."""
        client = {
            "client.address": f"203.0.113.{self._rng.randrange(1, 255)}",
            "user_agent.original": self._rng.choice(USER_AGENTS),
        }
        _, fault = self._serve(entrance, b"", start, client)
        self.failed = fault is not None

    def _draw(self, latency: Latency) -> int:
        return int(latency.median_s * math.exp(latency.sigma * self._rng.gauss()) * SECONDS)

    def _format(self, text: str, **more: str) -> str:
        return text.format(**self._fields, **more)

    # Spans -----------------------------------------------------------------------------------------------------------

    def _open(
        self, name: str, kind: Span.SpanKind.ValueType, parent_id: bytes, start: int, attributes: Attributes
    ) -> Span:
        flags = SAMPLED | PARENT_KNOWN
        if parent_id and kind == Span.SPAN_KIND_SERVER:
            flags |= PARENT_REMOTE
        return Span(
            trace_id=self.trace_id,
            span_id=self._rng.randbytes(8),
            parent_span_id=parent_id,
            name=name,
            kind=kind,
            flags=flags,
            start_time_unix_nano=start,
            attributes=key_values(attributes),
        )

    def _close(self, span: Span, instance: Instance, end: int) -> None:
        span.end_time_unix_nano = end
        self.emissions.append(Emission(end, instance, span))

    def _measure(
        self, instance: Instance, span: Span, at: int, instrument: Instrument, value: float, labels: Labels = ()
    ) -> None:
        measurement = Measurement(instrument, value, labels, span.trace_id, span.span_id)
        self.emissions.append(Emission(at, instance, measurement))

    def _throw(self, span: Span, fault: Fault, at: int) -> None:
        message = self._format(fault.message)
        exception = {
            "exception.type": fault.exception,
            "exception.message": message,
            "exception.stacktrace": _stacktrace(fault, message),
        }
        span.events.add(time_unix_nano=at, name="exception", attributes=key_values(exception))

    def _log(
        self,
        instance: Instance,
        span: Span,
        at: int,
        severity: str,
        body: Value,
        attributes: Attributes | None = None,
        event_name: str = "",
    ) -> None:
        record = LogRecord(
            time_unix_nano=at,
            observed_time_unix_nano=at,
            severity_text=severity,
            severity_number=SeverityNumber.Value(f"SEVERITY_NUMBER_{severity}"),
            body=any_value(body),
            attributes=key_values(attributes or {}),
            trace_id=span.trace_id,
            span_id=span.span_id,
            flags=SAMPLED,
            event_name=event_name,
        )
        self.emissions.append(Emission(at, instance, record))

    # Servers ---------------------------------------------------------------------------------------------------------

    def _serve(
        self, operation: Operation, parent_id: bytes, start: int, attributes: Attributes, link: Span | None = None
    ) -> tuple[int, Fault | None]:
        """The end of the operation and how it failed."""
        instance = self._rng.choice(self._instances[operation.service])
        kind = Span.SPAN_KIND_CONSUMER if operation.protocol is graph.Protocol.QUEUE else Span.SPAN_KIND_SERVER
        name = f"process {operation.name}" if operation.protocol is graph.Protocol.QUEUE else operation.name
        own = {key: self._typed(value) for key, value in operation.attributes.items()}
        described = {**self._server_attributes(operation, instance), **attributes, **own}
        span = self._open(name, kind, parent_id, start, described)
        if link is not None:
            span.links.add(
                trace_id=link.trace_id,
                span_id=link.span_id,
                attributes=key_values({"messaging.operation.type": "send"}),
                flags=SAMPLED | PARENT_KNOWN | PARENT_REMOTE,
            )
        now, fault = self._follow(operation.steps, instance, span, start)
        if fault is None and operation.fault is not None and self._rng.random() < operation.fault.share:
            fault = operation.fault
            self._throw(span, fault, now)
        self._conclude(operation, instance, span, now, fault)
        end = now + self._draw(Latency(0.0003, 0.2))
        self._close(span, instance, end)
        self._measure_served(operation, instance, span, end, fault)
        return end, fault

    def _typed(self, value: Value) -> Value:
        """An attribute of the graph filled in; a lone ``{field}`` keeps the field's type."""
        if not isinstance(value, str):
            return value
        if value.startswith("{") and value.endswith("}"):
            return self._fields[value[1:-1]]
        return value

    def _server_attributes(self, operation: Operation, instance: Instance) -> dict[str, Value]:
        service = operation.service.name
        match operation.protocol:
            case graph.Protocol.HTTP:
                method, route = operation.name.split(" ", 1)
                return {
                    "http.request.method": method,
                    "http.route": route,
                    "url.scheme": "http",
                    "url.path": self._path(route),
                    "server.address": service,
                    "server.port": 8080,
                    "network.protocol.version": "1.1",
                }
            case graph.Protocol.GRPC:
                rpc_service, method = operation.name.split("/")
                return {
                    "rpc.system": "grpc",
                    "rpc.service": rpc_service,
                    "rpc.method": method,
                    "server.address": service,
                    "server.port": 9090,
                }
            case graph.Protocol.QUEUE:
                return {
                    "messaging.system": "kafka",
                    "messaging.destination.name": operation.name,
                    "messaging.operation.type": "process",
                    "messaging.operation.name": "process",
                    "messaging.consumer.group.name": service,
                    "messaging.client.id": instance.id,
                    "server.address": "kafka",
                    "server.port": 9092,
                }

    def _path(self, route: str) -> str:
        return route.replace("{id}", str(self._fields["user" if route.startswith("/carts") else "product"]))

    def _conclude(self, operation: Operation, instance: Instance, span: Span, now: int, fault: Fault | None) -> None:
        """Status, outcome attributes and the operation's own log record."""
        if operation.protocol is not graph.Protocol.QUEUE:
            span.attributes.extend(key_values(_outcome(operation, fault)))
        if fault is None:
            if operation.event:
                order = {
                    **self._fields,
                    "lines": [{"product": self._fields["product"], "quantity": self._fields["items"]}],
                }
                self._log(instance, span, now, "INFO", order, {"shop.currency": "EUR"}, operation.event)
            elif operation.log:
                self._log(instance, span, now, "INFO", self._format(operation.log))
            return
        message = self._format(fault.message)
        if _is_server_error(operation, fault):
            span.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=message))
        if operation.failure_log:
            details = {"exception.type": fault.exception, "exception.message": message}
            self._log(instance, span, now, "ERROR", self._format(operation.failure_log, fault=message), details)

    def _measure_served(
        self, operation: Operation, instance: Instance, span: Span, end: int, fault: Fault | None
    ) -> None:
        duration_s = (end - span.start_time_unix_nano) / SECONDS
        outcome = tuple(_outcome(operation, fault).items())
        match operation.protocol:
            case graph.Protocol.HTTP:
                method, route = operation.name.split(" ", 1)
                labels: Labels = (("http.request.method", method), ("http.route", route), *outcome)
                self._measure(instance, span, end, REQUEST_DURATION, duration_s, labels)
                for at, change in ((span.start_time_unix_nano, 1), (end, -1)):
                    self._measure(instance, span, at, ACTIVE_REQUESTS, change, (("http.request.method", method),))
            case graph.Protocol.GRPC:
                service, method = operation.name.split("/")
                labels = (("rpc.system", "grpc"), ("rpc.service", service), ("rpc.method", method), *outcome)
                self._measure(instance, span, end, RPC_DURATION, duration_s * 1000, labels)
            case graph.Protocol.QUEUE:
                labels = (("messaging.system", "kafka"), ("messaging.destination.name", operation.name))
                self._measure(instance, span, end, PROCESS_DURATION, duration_s, labels)
        amount = self._fields["amount"]
        if operation is graph.PLACE_ORDER:
            result = "placed" if fault is None else "failed"
            self._measure(instance, span, end, ORDERS, 1, (("shop.order.outcome", result),))
            if fault is None and isinstance(amount, float):
                self._measure(instance, span, end, REVENUE, amount)
        if operation is graph.CHARGE and fault is None and isinstance(amount, float):
            self._measure(instance, span, end, PAYMENT_AMOUNT, amount)

    # Steps -----------------------------------------------------------------------------------------------------------

    def _follow(
        self, steps: tuple[graph.Step, ...], instance: Instance, span: Span, start: int
    ) -> tuple[int, Fault | None]:
        """The steps one after the other, up to the first that fails."""
        now = start
        for step in steps:
            now, fault = self._take(step, instance, span, now)
            if fault is not None:
                return now, fault
        return now, None

    def _take(self, step: graph.Step, instance: Instance, span: Span, start: int) -> tuple[int, Fault | None]:
        match step:
            case Work():
                return start + self._draw(step.latency), None
            case Query():
                return self._query(step, instance, span, start)
            case External():
                return self._external(step, instance, span, start), None
            case Call():
                return self._call(step, instance, span, start)
            case Publish():
                return self._publish(step, instance, span, start), None
            case Parallel():
                ends = [self._take(inner, instance, span, start) for inner in step.steps]
                return max(end for end, _ in ends), next((fault for _, fault in ends if fault is not None), None)

    def _query(self, step: Query, instance: Instance, parent: Span, start: int) -> tuple[int, Fault | None]:
        store = step.dependency
        taken = self._rng.random() < step.share
        if step.share < 1:
            labels = (("shop.cache.result", "miss" if taken else "hit"),)
            self._measure(instance, parent, start, CACHE_LOOKUPS, 1, labels)
        if not taken:
            return start, None
        if step.share < 1:
            self._log(instance, parent, start, "DEBUG", self._format("cache miss for product:{product}"))
        attributes: dict[str, Value] = {
            "db.system.name": store.system,
            "db.operation.name": step.verb,
            "db.collection.name": step.collection,
            "db.query.text": step.text,
            "server.address": store.name,
            "server.port": store.port,
            "peer.service": store.name,
        }
        span = self._open(f"{step.verb} {step.collection}", Span.SPAN_KIND_CLIENT, parent.span_id, start, attributes)
        incident, fault = self._incident, None
        duration = self._draw(step.latency)
        if incident is not None and incident.dependency is store and incident.includes(start):
            duration = int(duration * incident.slowdown)
            if self._rng.random() < incident.failing_share:
                fault, duration = incident.fault, int(POOL_TIMEOUT_S * SECONDS)
        end = start + duration
        if fault is not None:
            self._throw(span, fault, end)
            span.attributes.extend(key_values({"error.type": fault.exception}))
            span.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=fault.message))
        elif duration > SLOW_QUERY_S * SECONDS:
            details: dict[str, Value] = {"db.query.text": step.text, "duration_ms": round(duration / 1e6, 1)}
            self._log(
                instance,
                span,
                end,
                "WARN",
                f"slow query on {store.name}: {duration / 1e6:.0f} ms: {step.text}",
                details,
            )
        self._close(span, instance, end)
        named = ("db.system.name", "db.operation.name", "db.collection.name", "server.address")
        self._measure(
            instance, span, end, QUERY_DURATION, duration / SECONDS, tuple((key, attributes[key]) for key in named)
        )
        return end, fault

    def _external(self, step: External, instance: Instance, parent: Span, start: int) -> int:
        host = step.dependency.name
        attributes: dict[str, Value] = {
            "http.request.method": step.method,
            "url.full": f"https://{host}{step.path}",
            "server.address": host,
            "server.port": step.dependency.port,
            "http.response.status_code": 200,
            "peer.service": host,
        }
        span = self._open(step.method, Span.SPAN_KIND_CLIENT, parent.span_id, start, attributes)
        end = start + self._draw(step.latency)
        self._close(span, instance, end)
        return end

    def _call(self, step: Call, instance: Instance, parent: Span, start: int) -> tuple[int, Fault | None]:
        operation = step.operation
        now = start
        for attempt in range(1, step.attempts + 1):
            span = self._open(
                operation.name if operation.protocol is graph.Protocol.GRPC else operation.name.split(" ")[0],
                Span.SPAN_KIND_CLIENT,
                parent.span_id,
                now,
                self._client_attributes(operation, attempt),
            )
            served, fault = self._serve(operation, span.span_id, now + self._draw(NETWORK), {})
            now = served + self._draw(NETWORK)
            span.attributes.extend(key_values(_outcome(operation, fault)))
            if fault is not None:
                span.status.code = Status.STATUS_CODE_ERROR
            self._close(span, instance, now)
            if fault is None or not fault.transient or attempt == step.attempts:
                return now, fault
            body = f"{operation.name} is unavailable, attempt {attempt} of {step.attempts}; trying again"
            self._log(instance, parent, now, "WARN", body, {"attempt": attempt})
            parent.events.add(time_unix_nano=now, name="retry", attributes=key_values({"attempt": attempt + 1}))
            now += self._draw(RETRY_WAIT)
        raise AssertionError("a call has at least one attempt")

    def _client_attributes(self, operation: Operation, attempt: int) -> dict[str, Value]:
        service = operation.service.name
        if operation.protocol is graph.Protocol.GRPC:
            rpc_service, method = operation.name.split("/")
            attributes: dict[str, Value] = {
                "rpc.system": "grpc",
                "rpc.service": rpc_service,
                "rpc.method": method,
                "server.address": service,
                "server.port": 9090,
            }
        else:
            method, route = operation.name.split(" ", 1)
            attributes = {
                "http.request.method": method,
                "url.full": f"http://{service}:8080{self._path(route)}",
                "server.address": service,
                "server.port": 8080,
            }
            if attempt > 1:
                attributes["http.request.resend_count"] = attempt - 1
        return {**attributes, "peer.service": service}

    def _publish(self, step: Publish, instance: Instance, parent: Span, start: int) -> int:
        message: dict[str, Value] = {
            "messaging.message.id": f"{self._rng.getrandbits(64):016x}",
            "messaging.destination.partition.id": str(self._rng.randrange(6)),
        }
        attributes: dict[str, Value] = {
            "messaging.system": "kafka",
            "messaging.destination.name": step.topic,
            "messaging.operation.type": "send",
            "messaging.operation.name": "send",
            "server.address": "kafka",
            "server.port": 9092,
            "peer.service": "kafka",
            **message,
        }
        span = self._open(f"send {step.topic}", Span.SPAN_KIND_PRODUCER, parent.span_id, start, attributes)
        end = start + self._draw(Latency(0.003, 0.3))
        self._close(span, instance, end)
        consumed = Visit(self._rng, self._instances, self._incident)
        consumed._fields = self._fields
        consumed._serve(step.consumer, b"", end + self._draw(QUEUE_LAG), message, link=span)
        self.emissions += consumed.emissions
        return end


def _is_server_error(operation: Operation, fault: Fault) -> bool:
    """Whether the server's span failed; a refused order or card is the client's error."""
    if operation.protocol is graph.Protocol.GRPC:
        return fault.grpc_code in GRPC_SERVER_ERRORS
    return fault.http_status >= 500


def _outcome(operation: Operation, fault: Fault | None) -> dict[str, Value]:
    """The attributes with which a request's spans and measurements say how it ended."""
    if operation.protocol is graph.Protocol.GRPC:
        code = fault.grpc_code if fault else 0
        attributes: dict[str, Value] = {"rpc.grpc.status_code": code}
    else:
        code = fault.http_status if fault else 200
        attributes = {"http.response.status_code": code}
    if fault is not None and _is_server_error(operation, fault):
        attributes["error.type"] = str(code)
    return attributes


def _stacktrace(fault: Fault, message: str) -> str:
    module = fault.exception.rpartition(".")[0] or "shop"
    return (
        "Traceback (most recent call last):\n"
        f'  File "shop/{module}/handler.py", line 88, in handle\n    return await self.perform(request)\n'
        f'  File "shop/{module}/service.py", line 41, in perform\n    raise {fault.exception.rpartition(".")[2]}(...)\n'
        f"{fault.exception}: {message}"
    )
