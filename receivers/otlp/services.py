"""The gRPC services by their names, and those that take no telemetry: health and reflection, without a transport."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from importlib import import_module
from typing import Any

from google.protobuf.message import DecodeError
from google.rpc.code_pb2 import Code
from grpc_health.v1 import health_pb2
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.profiles.v1development import profiles_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from airis.component import Consumer
from airis.data import Signal

SERVICES = {
    Signal.TRACES: trace_service_pb2.DESCRIPTOR.services_by_name["TraceService"].full_name,
    Signal.METRICS: metrics_service_pb2.DESCRIPTOR.services_by_name["MetricsService"].full_name,
    Signal.LOGS: logs_service_pb2.DESCRIPTOR.services_by_name["LogsService"].full_name,
    Signal.PROFILES: profiles_service_pb2.DESCRIPTOR.services_by_name["ProfilesService"].full_name,
}
HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
REFLECTION = tuple(f"grpc.reflection.{version}.ServerReflection" for version in ("v1", "v1alpha"))

OVERALL = ""
"""The health service's name for the whole server."""


class CallError(Exception):
    """How a call ends that does not end well."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


Method = Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]
"""Takes the messages of a call, gives those of the answer; raises CallError."""


class Services:
    """Health (grpc.health.v1) and reflection of an OTLP server, from what its pipelines take at the moment."""

    def __init__(self, downstream: Mapping[Signal, Consumer]) -> None:
        self._downstream = downstream
        self._stopping = asyncio.Event()
        self._methods: dict[str, Method] = {
            f"/{HEALTH}/Check": self._check,
            f"/{HEALTH}/List": self._list,
            f"/{HEALTH}/Watch": self._watch,
            **{f"/{service}/ServerReflectionInfo": self._reflect for service in REFLECTION},
        }

    def method(self, path: str) -> Method | None:
        """What serves this path."""
        return self._methods.get(path)

    def stop(self) -> None:
        """Say NOT_SERVING from now on, and end the calls of those who watch."""
        self._stopping.set()

    def served(self) -> list[str]:
        """The services that take telemetry at the moment."""
        return [service for signal, service in SERVICES.items() if signal in self._downstream]

    def _status(self, service: str) -> int | None:
        if service not in (OVERALL, *self.served()):
            return None
        return int(_STATUS.NOT_SERVING if self._stopping.is_set() else _STATUS.SERVING)

    async def _check(self, messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for message in messages:
            status = self._status(_parsed(health_pb2.HealthCheckRequest, message).service)
            if status is None:
                raise CallError(Code.NOT_FOUND, "unknown service")
            yield _STATUS(status=status).SerializeToString()
            return

    async def _list(self, messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for _ in messages:
            reply = health_pb2.HealthListResponse()
            for service in (OVERALL, *self.served()):
                reply.statuses[service].status = self._status(service) or _STATUS.UNKNOWN
            yield reply.SerializeToString()
            return

    async def _watch(self, messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The status now, and at the end; a pipeline that comes or goes meanwhile is not told of."""
        async for message in messages:
            service = _parsed(health_pb2.HealthCheckRequest, message).service
            status = self._status(service)
            unknown = _STATUS.SERVICE_UNKNOWN
            yield _STATUS(status=unknown if status is None else status).SerializeToString()
            await self._stopping.wait()
            if status == _STATUS.SERVING:
                yield _STATUS(status=_STATUS.NOT_SERVING).SerializeToString()
            raise CallError(Code.UNAVAILABLE, "shutting down")

    async def _reflect(self, messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        # It brings grpcio, which takes 0.1 s to import, and few ask for it.
        v1alpha: Any = await asyncio.to_thread(import_module, "grpc_reflection.v1alpha.reflection")
        pb2: Any = import_module("grpc_reflection.v1alpha.reflection_pb2")
        answering = v1alpha.aio.ReflectionServicer((*self.served(), HEALTH, *REFLECTION))

        async def requests() -> AsyncIterator[Any]:
            async for message in messages:
                yield _parsed(pb2.ServerReflectionRequest, message)

        # The messages of v1 and v1alpha are the same but for the name of their package.
        async for reply in answering.ServerReflectionInfo(requests(), None):
            yield reply.SerializeToString()


_STATUS: Any = health_pb2.HealthCheckResponse


def _parsed(message_type: Any, message: bytes) -> Any:
    try:
        return message_type.FromString(message)
    except DecodeError as error:
        raise CallError(Code.INTERNAL, f"the message cannot be read: {error}") from error
