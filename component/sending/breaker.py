"""A circuit breaker: a destination that fails again and again is left alone for a while, then tried with care."""

import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from enum import IntEnum
from typing import Self

from pydantic import Field, model_validator

from airis.component.config import Config, Duration
from airis.component.errors import Retryable
from airis.component.telemetry import Telemetry


class CircuitBreakerConfig(Config):
    """When a destination is left alone, and for how long."""

    enabled: bool = Field(default=True, description="Off: it is tried whatever happens.")
    failure_threshold: int = Field(
        default=5, ge=0, description="Failures behind one another that open the circuit; 0: they do not."
    )
    failure_rate: float = Field(
        default=0.5, ge=0, le=1, description="Share of failures in the window that opens the circuit; 0: it does not."
    )
    window: Duration = Field(default=60.0, gt=0, description="How long an outcome counts for the shares.")
    min_requests: int = Field(default=20, ge=1, description="Outcomes in the window from which on shares count.")
    timeout: Duration = Field(default=30.0, gt=0, description="How long the circuit stays open.")
    half_open_requests: int = Field(
        default=1, ge=1, description="Requests let through as a trial after that; all must succeed to close it."
    )
    slow_call_threshold: Duration = Field(
        default=0.0, ge=0, description="A request that takes longer is slow; 0: none is."
    )
    slow_call_rate: float = Field(
        default=1.0, gt=0, le=1, description="Share of slow requests in the window that opens the circuit."
    )

    @model_validator(mode="after")
    def _something_opens_it(self) -> Self:
        if self.enabled and not (self.failure_threshold or self.failure_rate or self.slow_call_threshold):
            raise ValueError("nothing opens it: give failure_threshold, failure_rate or slow_call_threshold")
        return self


class State(IntEnum):
    """What a circuit is, as its metric tells it."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class CircuitOpen(Retryable):
    """The destination is left alone for now; nothing was sent."""


class CircuitBreaker:
    """Watches the outcomes of requests. Permanent and Partial are successes: the destination answers."""

    def __init__(
        self, config: CircuitBreakerConfig, telemetry: Telemetry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config
        self._telemetry = telemetry
        self._clock = clock
        self._outcomes: deque[tuple[float, bool, bool]] = deque()
        """When, failed, slow."""
        self._failures_in_a_row = 0
        self._opened = 0.0
        self._trials = self._trials_succeeded = 0
        self._round = 0
        """Of trials; one of an earlier round says nothing about this one."""
        self.state = State.CLOSED
        self.since = clock()
        """When it came into this state, by the clock."""
        telemetry.gauge(
            "airis_circuit_breaker_state",
            "1",
            "0 closed, 1 half-open (on trial), 2 open (left alone).",
            lambda: float(self.state),
        )
        self._changes = telemetry.counter("airis_circuit_breaker_changes", "{change}", "Changes of the state.")
        self._rejected = telemetry.counter(
            "airis_circuit_breaker_rejected", "{request}", "Requests that were not made while the circuit was open."
        )

    @asynccontextmanager
    async def watch(self) -> AsyncGenerator[None]:
        """Around a request; raises CircuitOpen instead of letting it be made."""
        if not self._config.enabled:
            yield
            return
        trial = self._admit()
        started = self._clock()
        try:
            yield
        except Retryable:
            self._note(trial, started, failed=True)
            raise
        except Exception:
            self._note(trial, started, failed=False)
            raise
        except BaseException:
            if trial and trial == self._round:
                self._trials -= 1  # a caller that left says nothing about the destination
            raise
        self._note(trial, started, failed=False)

    def _admit(self) -> int:
        """The round of trials that a request belongs to, 0 for none."""
        if self.state is State.OPEN:
            wait = self._opened + self._config.timeout - self._clock()
            if wait > 0:
                self._rejected.add(1)
                raise CircuitOpen("the circuit is open: the destination failed again and again", wait)
            self._become(State.HALF_OPEN)
            self._trials = self._trials_succeeded = 0
            self._round += 1
        if self.state is State.HALF_OPEN:
            if self._trials >= self._config.half_open_requests:
                self._rejected.add(1)
                raise CircuitOpen("the circuit is on trial", self._config.timeout / 10)
            self._trials += 1
            return self._round
        return 0

    def _note(self, trial: int, started: float, *, failed: bool) -> None:
        now = self._clock()
        threshold = self._config.slow_call_threshold
        is_slow = bool(threshold) and now - started > threshold
        if trial == self._round and self.state is State.HALF_OPEN:
            if failed or is_slow:
                self._open(now)
                return
            self._trials_succeeded += 1
            if self._trials_succeeded >= self._config.half_open_requests:
                self._outcomes.clear()
                self._failures_in_a_row = 0
                self._become(State.CLOSED)
            return
        if self.state is not State.CLOSED:
            return  # it was sent before the circuit opened
        self._failures_in_a_row = self._failures_in_a_row + 1 if failed else 0
        self._outcomes.append((now, failed, is_slow))
        while self._outcomes[0][0] < now - self._config.window:
            self._outcomes.popleft()
        if self._is_too_much():
            self._open(now)

    def _is_too_much(self) -> bool:
        config, count = self._config, len(self._outcomes)
        if config.failure_threshold and self._failures_in_a_row >= config.failure_threshold:
            return True
        if count < config.min_requests:
            return False
        failed = sum(failed for _, failed, _ in self._outcomes)
        slow = sum(slow for _, _, slow in self._outcomes)
        is_slow = bool(config.slow_call_threshold) and slow >= config.slow_call_rate * count
        return is_slow or (config.failure_rate > 0 and failed >= config.failure_rate * count)

    def _open(self, now: float) -> None:
        self._opened = now
        self._become(State.OPEN)

    def _become(self, state: State) -> None:
        if state is self.state:
            return
        self.state = state
        self.since = self._clock()
        self._changes.add(1, state=state.name.lower())
        tell = self._telemetry.log.warning if state is State.OPEN else self._telemetry.log.info
        tell("circuit breaker", state=state.name.lower())
