"""The door of an HTTP server: who may send is decided before anything of a body is read."""

import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from airis.component.authentication import Denied, Unauthenticated, Undecided
from airis.component.door import Door
from airis.component.headers import as_text
from airis.data import NO_AUTH

_IDENTITY = "airis.identity"

Refuse = Callable[[Scope, Send, Denied, Sequence[tuple[bytes, bytes]]], Awaitable[None]]
"""Answers a request that is not let in; with these headers."""


class Guarded:
    """An application that only those reach who may send, or ask for a path that is open to everybody."""

    def __init__(
        self, app: ASGIApp, door: Door, parameters: Sequence[str], open_paths: Collection[str], refuse: Refuse
    ) -> None:
        """`parameters` of the query stand for headers of their names."""
        self._app = app
        self._door = door
        self._parameters = frozenset(parameters)
        self._open_paths = frozenset(open_paths)
        self._credentials = frozenset(name.encode() for name in door.authenticator.reads)
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request in, or answer it."""
        if scope["path"] not in self._open_paths:
            decision = await self._door.decide(self._door.credentials(self._headers(scope)))
            if decision.denied is not None:
                self._door.note_denied(decision.denied.kind)
                await self._refuse(scope, send, decision.denied, denial_headers(decision.denied, self._door))
                return
            assert decision.identity is not None
            scope[_IDENTITY] = decision.identity.attributes
            # Nobody behind the door has a use for them, and with include_metadata they would get into queues on disk.
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] not in self._credentials]
        await self._app(scope, receive, send)

    def _headers(self, scope: Scope) -> Iterable[tuple[str, str]]:
        headers = as_text(scope["headers"])
        if not self._parameters:
            return headers
        query = parse_qsl(str(scope["query_string"], "latin-1"), keep_blank_values=True)
        given = [(name.lower(), value) for name, value in query if name in self._parameters]
        instead = {name for name, _ in given}
        return [*given, *(pair for pair in headers if pair[0] not in instead)]


def identity_of(scope: Scope) -> Mapping[str, str]:
    """What the authenticator knows of a request's client."""
    found: Mapping[str, str] = scope.get(_IDENTITY, NO_AUTH)
    return found


def denial_headers(denied: Denied, door: Door) -> list[tuple[bytes, bytes]]:
    """What the answer to a client that is not let in says besides."""
    if isinstance(denied, Undecided):
        return [(b"retry-after", b"%d" % math.ceil(denied.retry_after_s))]
    if isinstance(denied, Unauthenticated):
        return [(b"www-authenticate", door.authenticator.challenge.encode("latin-1"))]
    return []
