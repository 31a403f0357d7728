"""The door of a server: an authenticator's decisions, asked for once and remembered within bounds."""

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING

from airis.component.authentication import (
    Credentials,
    Denied,
    Identity,
    ServerAuthConfig,
    ServerAuthenticator,
    Undecided,
    server_authenticator,
)
from airis.component.occasional import Occasional
from airis.component.telemetry import Telemetry

if TYPE_CHECKING:
    from airis.component.lifecycle import Host

MAX_ADMITTED = 4096
"""Credentials that are remembered as right; of more the least recently used are asked about again."""
MAX_DENIED = 1024
"""The same, as wrong. Apart from the others: whoever tries many must not let those be forgotten."""
MAX_ASKED = 1024
"""Credentials that are asked about at the same time; who comes then is told to come again."""
DENIED_S = 10.0
"""How long a wrong credential is remembered: it may become a right one."""
DECIDE_S = 10.0
"""Longest time for a decision."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Who a client is, or why it may not send."""

    identity: Identity | None
    denied: Denied | None = None
    until: float | None = 0.0
    """Until when it may be remembered, by the clock of the door; None: for ever, 0: not at all."""


class Door:
    """Remembers what an authenticator decided; of a credential that comes many times at once it is asked once."""

    def __init__(
        self,
        authenticator: ServerAuthenticator,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.authenticator = authenticator
        self.clock = clock
        self._denied = telemetry.counter(
            "airis_server_denied_requests", "{request}", "Requests that were not let in, by the reason."
        )
        self._telemetry = telemetry
        self._reads = authenticator.reads
        self._key = os.urandom(32)
        self._admitted: OrderedDict[bytes, Decision] = OrderedDict()
        self._refused: OrderedDict[bytes, Decision] = OrderedDict()
        self._asked: dict[bytes, asyncio.Task[Decision]] = {}
        self._asking: set[asyncio.Task[Decision]] = set()
        """The same, and those of before the last change."""
        self._generation = 0
        self._forgetting: list[Callable[[], None]] = []
        self._end = authenticator.on_change(self.forget)
        self._fault_log = Occasional(clock)
        self._denied_log = Occasional(clock)

    def on_forget(self, forget: Callable[[], None]) -> None:
        """Call `forget` as well where earlier decisions do not hold any more."""
        self._forgetting.append(forget)

    def credentials(self, headers: Iterable[tuple[str, str]]) -> Credentials:
        """What of these headers, by their lower-case names, decides."""
        found: dict[str, tuple[str, ...]] = {}
        for name, value in headers:
            if name in self._reads:
                found[name] = (*found.get(name, ()), value)
        return found

    async def decide(self, credentials: Credentials) -> Decision:
        """Who this is, or why not; remembered, or asked for."""
        key = self._digest(credentials)
        return self._known(key) or await self._asked_for(key, credentials)

    def note_denied(self, reason: str, requests: int = 1) -> None:
        """Count requests that were not let in, and say so now and then."""
        self._denied.add(requests, reason=reason)
        if self._denied_log.due():
            self._telemetry.log.warning("clients are not let in", reason=reason)

    def failed(self, error: Exception) -> Decision:
        """The decision where the authenticator gave none, or none that can be told; says so now and then."""
        if self._fault_log.due():
            # Without its words and its traceback: both may hold the credentials.
            self._telemetry.log.error("an authenticator failed", fault=type(error).__name__)
        return Decision(None, Undecided("internal error; the server's log has the details"))

    def forget(self) -> None:
        """Ask about every credential again."""
        self._generation += 1
        self._admitted.clear()
        self._refused.clear()
        self._asked.clear()  # what is being decided holds for who waits already, and for nobody else
        for forget in self._forgetting:
            forget()

    async def close(self) -> None:
        """Listen for changes no more, and let those go who wait for a decision. Safe twice."""
        end, self._end = self._end, _nothing
        end()
        self.forget()
        self._forgetting.clear()
        asked = list(self._asking)
        for task in asked:
            task.cancel()
        if asked:
            await asyncio.wait(asked)

    def _digest(self, credentials: Credentials) -> bytes:
        digest = blake2b(key=self._key, digest_size=32)
        for name in self._reads:
            values = credentials.get(name, ())
            digest.update(len(values).to_bytes(4))
            for value in values:
                data = value.encode(errors="surrogatepass")
                digest.update(len(data).to_bytes(4))
                digest.update(data)
        return digest.digest()

    def _known(self, key: bytes) -> Decision | None:
        for known in (self._admitted, self._refused):
            decision = known.get(key)
            if decision is not None:
                if decision.until is None or decision.until > self.clock():
                    known.move_to_end(key)
                    return decision
                del known[key]
        return None

    async def _asked_for(self, key: bytes, credentials: Credentials) -> Decision:
        asked = self._asked.get(key)
        if asked is None:
            if len(self._asking) >= MAX_ASKED:
                return Decision(None, Undecided("too many clients are being authenticated"))
            asked = self._asked[key] = asyncio.create_task(self._ask(key, credentials))
            self._asking.add(asked)
            asked.add_done_callback(partial(self._decided, key))
        try:
            return await asyncio.shield(asked)  # who leaves does not undo it for the others
        except asyncio.CancelledError:
            if asked.cancelled():
                return Decision(None, Undecided("shutting down"))
            raise

    def _decided(self, key: bytes, asked: asyncio.Task[Decision]) -> None:
        self._asking.discard(asked)
        if self._asked.get(key) is asked:
            del self._asked[key]

    async def _ask(self, key: bytes, credentials: Credentials) -> Decision:
        generation = self._generation
        try:
            async with asyncio.timeout(DECIDE_S):
                identity = await self.authenticator.authenticate(credentials)
        except Denied as denied:
            denied.__traceback__ = None  # it would keep the credentials
            decision = Decision(None, denied, self.clock() + DENIED_S if denied.is_permanent else 0.0)
        except TimeoutError:
            return Decision(None, Undecided("the authenticator did not decide in time"))
        except Exception as error:
            return self.failed(error)
        else:
            until = None if identity.valid_s is None else self.clock() + identity.valid_s
            decision = Decision(identity, None, until)
        if generation == self._generation and decision.until != 0.0:
            known, most = (self._refused, MAX_DENIED) if decision.denied else (self._admitted, MAX_ADMITTED)
            known[key] = decision
            while len(known) > most:
                known.popitem(last=False)
        return decision


def door_of(config: ServerAuthConfig | None, host: "Host | None", telemetry: Telemetry) -> Door | None:
    """The door of a server, None where everybody may send; raises StartError that names the option at fault."""
    authenticator = server_authenticator(config, host)
    return Door(authenticator, telemetry) if authenticator else None


def _nothing() -> None:
    """There is nothing left to do."""
