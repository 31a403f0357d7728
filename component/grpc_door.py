"""The door of a gRPC server: who may call is decided before the message is read."""

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any

import grpc
import grpc.aio

from airis.component.door import Door
from airis.data import NO_AUTH

CODES = {code.value[0]: code for code in grpc.StatusCode}

identity: ContextVar[Mapping[str, str]] = ContextVar("identity", default=NO_AUTH)
"""In a handler: what the authenticator knows of the caller."""


class Doorkeeper(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Ends the calls of those who may not call."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """The handler of a call, or one that refuses it."""
        headers = [
            (name, value) for name, value in handler_call_details.invocation_metadata or () if isinstance(value, str)
        ]
        decision = await self._door.decide(self._door.credentials(headers))
        if decision.denied is not None:
            self._door.note_denied(decision.denied.kind)
            code, reason = CODES[decision.denied.grpc_code], decision.denied.reason

            async def refuse(_messages: object, context: Any) -> None:
                await context.abort(code, reason)

            # Of any other kind the handler would be given the message, which would have to come for it.
            return grpc.stream_stream_rpc_method_handler(refuse)  # pyright: ignore[reportUnknownVariableType]
        assert decision.identity is not None
        identity.set(decision.identity.attributes)
        return await continuation(handler_call_details)
