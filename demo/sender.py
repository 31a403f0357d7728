"""Send export requests as the OTLP specification asks of a client: wait and repeat what may be repeated."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, Self

from airis.component import Permanent, Retryable
from airis.data import Signal

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
GIVE_UP_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's successful answer; with ``rejected`` or ``message`` it is a partial success."""

    rejected: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request in the end."""

    rejected: int = 0
    """Items that the server took the request without."""
    refusals: int = 0
    """Attempts that were refused or got no answer, and were made again or given up."""
    failed: bool = False
    """Nothing of the request was taken."""
    message: str = ""
    """The server's words, or what went wrong."""


class Transport(Protocol):
    """One attempt over one connection."""

    async def export(self, signal: Signal, payload: bytes) -> Answer:
        """The server's answer; raises Retryable when the same request may be sent again, Permanent when not."""
        ...

    async def shutdown(self) -> None:
        """Close the connection."""
        ...


class Sender:
    """Repeats a refused request with exponential back-off and jitter, or after the time the server names."""

    def __init__(
        self,
        transport: Transport,
        *,
        give_up_after_s: float = GIVE_UP_AFTER_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
        on_refusal: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`on_refusal` is told why a request is not taken, before it is sent again."""
        self._transport = transport
        self._on_refusal = on_refusal
        self._give_up_after_s = give_up_after_s
        self._clock = clock
        self._sleep = sleep
        self._rng = rng or random.Random()

    async def send(self, signal: Signal, payload: bytes) -> Outcome:
        """Send until the request is taken, refused for good, or too old to be tried again."""
        give_up_at = self._clock() + self._give_up_after_s
        refusals = 0
        while True:
            try:
                answer = await self._transport.export(signal, payload)
            except Permanent as error:
                return Outcome(refusals=refusals, failed=True, message=error.reason)
            except Retryable as error:
                refusals += 1
                wait_s = self._backoff_s(refusals) if error.retry_after is None else error.retry_after
                if self._clock() + wait_s > give_up_at:
                    return Outcome(refusals=refusals, failed=True, message=f"given up: {error.reason}")
                self._on_refusal(error.reason)
                await self._sleep(wait_s)
            else:
                return Outcome(rejected=answer.rejected, refusals=refusals, message=answer.message)

    def _backoff_s(self, refusals: int) -> float:
        """Half to one and a half times a wait that doubles with every refusal."""
        return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (refusals - 1)) * self._rng.uniform(0.5, 1.5)

    async def __aenter__(self) -> Self:
        """Nothing to open: the transport connects with its first request."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the transport."""
        await self._transport.shutdown()
