"""One connection of the HTTP server: what uvicorn lacks of limits."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

if TYPE_CHECKING:
    from airis.component.http import HttpServerConfig

MAX_HEAD_BYTES = 64 * 1024
"""Largest request line with its headers, or trailers; the parser would keep any amount."""

_NEVER_S = 10 * 365 * 86400


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for requests to one path."""

    config: "HttpServerConfig"
    headers: list[tuple[bytes, bytes]]
    """Of every answer."""


class Connection(HttpToolsProtocol):
    """uvicorn's connection with the limits that it lacks, and deaf to offers to speak another protocol."""

    def __init__(
        self, settings: uvicorn.Config, state: ServerState, first: Terms, terms_of: Callable[[bytes], Terms]
    ) -> None:
        """`first` holds until the target of a request is known, and `terms_of` then gives its terms."""
        super().__init__(settings, state, app_state={}, _loop=asyncio.get_running_loop())
        self._lost: asyncio.Event = asyncio.Event()
        self.timeout_keep_alive = first.config.idle_timeout or _NEVER_S  # type: ignore[assignment]
        self._config = first.config
        self._terms_of = terms_of
        self._reading: asyncio.TimerHandle | None = None
        self._answering: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        """What came since the last piece of a body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        super().connection_made(transport)
        self._allow(self._config.read_header_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._allow(0)
        self._end_answering()
        super().connection_lost(exc)
        self._lost.set()

    async def until_lost(self) -> None:
        """Return when the connection is closed."""
        await self._lost.wait()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, with an offer to speak another protocol left out."""
        self._head_bytes += len(data)
        self._unset_keepalive_if_required()
        try:
            while True:
                try:
                    self.parser.feed_data(data)
                    break
                except httptools.HttpParserUpgrade as offer:
                    data = self._without_offer() + data[offer.args[0] :]
                    self.parser = httptools.HttpRequestParser(self)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_head()

    def _should_upgrade(self) -> bool:
        # The parser takes the body of a request with "Upgrade: h2c", as Java's client sends it, for the other
        # protocol. It is left aside here, and comes again without the offer.
        return True

    def _without_offer(self) -> bytes:
        """The head of the request just read, without the headers that offer another protocol."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise httptools.HttpParserError("no proxy")
        lines = [b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                kept = [token for token in value.split(b",") if token.strip().lower() not in _OFFERS]
                value = b",".join(kept)
            if name not in _OFFERS:
                lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join([*lines, b"", b""])

    def _refuse_head(self) -> None:
        if self.cycle and not self.cycle.response_complete:  # an answer is on its way
            self.transport.abort()
        else:
            self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._allow(self._config.read_header_timeout)

    def on_headers_complete(self) -> None:
        """From here on the terms of what the request is for hold."""
        self._head_bytes = 0
        if self.parser.should_upgrade():
            return
        terms = self._terms_of(self.url)
        self._config = terms.config
        self.server_state.default_headers = [(b"date", _date()), *terms.headers]
        super().on_headers_complete()
        # After "Expect: 100-continue" nobody knows whether the body follows an answer that did not wait for it.
        if self.expect_100_continue or not self._config.keep_alives_enabled:
            self.cycle.keep_alive = False
        # The body of a pipelined request is not read before the one in front is answered.
        self._allow(0 if self.pipeline else self._config.read_timeout)
        if not self.pipeline:
            self._allow_answer()

    def on_body(self, body: bytes) -> None:
        """A piece of a body came."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is complete."""
        self._allow(0)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is complete; the next request of a pipeline may have waited for it."""
        pipelined = bool(self.pipeline)
        super().on_response_complete()
        if self.cycle.more_body and self._reading is None:  # of a pipelined request
            self._allow(self._config.read_timeout)
        if pipelined:
            self._allow_answer()

    def _allow_answer(self) -> None:
        """Close the connection unless the answer that is due now has left in its time."""
        self._end_answering()
        if self._config.write_timeout:
            self._answering = self.loop.call_later(self._config.write_timeout, self._answer_is_late)

    def _answer_is_late(self) -> None:
        if not self.cycle.response_complete or self.transport.get_write_buffer_size():
            self.transport.abort()

    def _end_answering(self) -> None:
        if self._answering is not None:
            self._answering.cancel()
            self._answering = None

    def _allow(self, seconds: float) -> None:
        """Close the connection after so long, unless this is called again; 0 is for ever."""
        if self._reading is not None:
            self._reading.cancel()
        self._reading = self.loop.call_later(seconds, self.transport.abort) if seconds else None


_OFFERS = (b"upgrade", b"http2-settings")
_HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


_date_cache: tuple[int, bytes] = (0, b"")


def _date() -> bytes:
    """The Date header, made once a second."""
    global _date_cache
    now = int(time.time())
    if now != _date_cache[0]:
        _date_cache = (now, formatdate(now, usegmt=True).encode())
    return _date_cache[1]
