"""Serve the admin API where others than the commands on this machine reach it."""

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from pydantic import Field
from starlette.types import ASGIApp, Receive, Scope, Send

from airis.component import Extension, Host, Telemetry, extension
from airis.component.browsers import other_site
from airis.component.http import HttpServer, HttpServerConfig, answer
from airis.component.listen import is_loopback, parse_endpoint

CLOSING_GRACE_S = 0.5
"""For what is asked while it shuts down: a tap ends then, and a reload goes on without the one who asked for it."""


class AdminConfig(HttpServerConfig):
    """Where the admin API is served, and who may ask it: see `auth`, and `tls::client_ca_file`."""

    endpoint: str = Field("127.0.0.1:13200", description="host:port to listen on.")


@extension("admin")
class AdminExtension(Extension[AdminConfig]):
    """Serve `/api/v1/status`, `/api/v1/ledger`, `/api/v1/tap` and `/-/reload`: what runs, where items are, what passes.

    airis's commands do not need it: they use a unix socket that the instance's owner alone reaches. Without `auth`
    whoever reaches the endpoint sees what is sent and can reload, so let it be a loopback address then, or ask for
    certificates with `tls::client_ca_file`. Pages of other sites are refused, as are names that are not
    this machine's.
    """

    def __init__(self, config: AdminConfig, telemetry: Telemetry) -> None:
        super().__init__(config, telemetry)
        self._server = HttpServer(self._serve, config, telemetry)
        self._admin: ASGIApp | None = None

    async def start(self, host: Host) -> None:
        """Listen; other extensions and the pipelines may still be about to start."""
        self._admin = host.admin
        await self._server.start(host)
        tls = self.config.tls
        is_guarded = self.config.auth is not None or (tls is not None and bool(tls.client_ca_file))
        if self._host and not is_loopback(self._host) and not is_guarded:
            self.telemetry.log.warning(
                "the admin API has no authentication: whoever reaches it sees what is sent, and can reload",
                endpoint=self.config.endpoint,
            )

    async def shutdown(self) -> None:
        """Stop listening."""
        await self._server.shutdown(CLOSING_GRACE_S)

    def endpoints(self) -> Mapping[str, str]:
        """The URL of the API."""
        return {"admin API": self._server.url}

    @property
    def _host(self) -> str:
        """What the endpoint is bound to: every address is 0.0.0.0, a unix socket is nothing."""
        if self.config.transport == "unix":
            return ""
        return parse_endpoint(self.config.endpoint)[0] or "0.0.0.0"

    def _other_site(self, scope: Scope) -> str:
        """Why the request is not taken; a unix socket is nothing that a page reaches."""
        origins = self.config.cors.allowed_origins if self.config.cors else ()
        return other_site(scope, self._host, origins, any_name=not is_loopback(self._host)) if self._host else ""

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._admin is not None
        if reason := self._other_site(scope):
            message = f"{reason}; name those that may send in cors::allowed_origins of {self.telemetry.component_id}"
            status = HTTPStatus.FORBIDDEN
            body = orjson.dumps({"error": {"type": status.name, "message": message}}) + b"\n"
            await answer(send, status, body, "application/json", [(b"x-content-type-options", b"nosniff")])
        else:
            await self._admin(scope, receive, send)
