"""What the admin API answers with: JSON, and errors as ``{"error": {"type", "message", …}}``."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import orjson
from starlette.types import Receive, Send

from airis.component.http import Headers, answer

Query = Mapping[str, list[str]]
Handler = Callable[[Query, Receive, Send], Awaitable[None]]
Routes = Mapping[tuple[str, str], Handler]
"""By method and path."""


async def refuse(send: Send, status: HTTPStatus, message: str, headers: Headers = (), **details: object) -> None:
    """Send an error as JSON."""
    await answer_json(send, status, {"error": {"type": status.name, "message": message, **details}}, headers)


async def answer_json(send: Send, status: int, body: Mapping[str, object], headers: Headers = ()) -> None:
    """Send a whole JSON document."""
    fixed = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
    await answer(send, status, orjson.dumps(body) + b"\n", "application/json", [*fixed, *headers])
