"""OTLP over gRPC: grpcio's asyncio server with handlers that get and give bytes."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from airis.component import ConsumeError, Host, Partial, StartError, Telemetry
from airis.component.door import Door, door_of
from airis.component.grpc import listen, new_server
from airis.component.grpc_door import CODES, identity
from airis.component.headers import metadata_of
from airis.data import NO_METADATA, Signal
from airis.data.malformed import MalformedPayload
from airis.receivers.otlp.admission import Admission
from airis.receivers.otlp.services import SERVICES
from airis.receivers.otlp.status import refusal, success

if TYPE_CHECKING:
    from airis.receivers.otlp import OtlpGrpcConfig

TRANSPORT = "grpc"

Context = grpc.aio.ServicerContext[bytes, bytes]
Handler = Callable[[bytes, Context], Awaitable[bytes]]


class OtlpGrpc:
    """The listener; callers are coroutines, held until their data was taken."""

    def __init__(self, config: "OtlpGrpcConfig", admission: Admission, telemetry: Telemetry) -> None:
        self.config = config
        self.admission = admission
        self.telemetry = telemetry
        self.address = ""
        """``host:port``, or ``unix:path``; empty before the start."""
        self._server: grpc.aio.Server | None = None
        self._door: Door | None = None
        self._health: Any = getattr(health, "aio").HealthServicer()  # noqa: B009  (the stubs do not have it)

    async def start(self, host: Host) -> None:
        """Listen; raises StartError that names the option at fault."""
        try:
            self._door = door_of(self.config.auth, host, self.telemetry)
            server = new_server(self.config, self._door)
            await self._add_services(server)
            self.address = listen(server, self.config, self.telemetry)
        except StartError as error:
            error.option = f"protocols::grpc::{error.option}"
            raise
        self._server = server
        await server.start()

    async def shutdown(self, deadline_s: float) -> None:
        """Take nothing new, wait for the calls in progress, cut them off after the deadline."""
        if self._door is not None:
            await self._door.close()
        if self._server is not None:
            await self._health.enter_graceful_shutdown()
            await self._server.stop(deadline_s)

    async def _add_services(self, server: grpc.aio.Server) -> None:
        served = [SERVICES[signal] for signal in SERVICES if signal in self.admission.downstream]
        for signal, service in SERVICES.items():
            export = grpc.unary_unary_rpc_method_handler(self._export(signal))  # pyright: ignore[reportUnknownVariableType]
            handler = grpc.method_handlers_generic_handler(service, {"Export": export})  # pyright: ignore[reportUnknownVariableType]
            server.add_generic_rpc_handlers((handler,))
        for name in (health.OVERALL_HEALTH, *served):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection((*served, health.SERVICE_NAME, reflection.SERVICE_NAME), server)

    def _export(self, signal: Signal) -> Handler:
        async def export(request: bytes, context: Context) -> bytes:
            if signal not in self.admission.downstream:  # a reload may bring a pipeline, or take it away
                await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"no pipeline takes {signal} from this receiver")
            metadata = NO_METADATA
            if self.config.include_metadata:
                pairs = context.invocation_metadata() or ()
                reads = self._door.authenticator.reads if self._door else ()  # credentials, whatever their header is
                metadata = metadata_of((n, value) for n, value in pairs if isinstance(value, str) and n not in reads)
            try:
                await self.admission.take(signal, request, "protobuf", TRANSPORT, metadata, identity.get())
            except Partial as partial:
                return success(signal, "protobuf", partial)
            except (ConsumeError, MalformedPayload) as error:
                refused = refusal(error)
                details = ("grpc-status-details-bin", refused.status().SerializeToString())
                await context.abort(CODES[refused.code], refused.message, (details,))
            return success(signal, "protobuf")

        return export
