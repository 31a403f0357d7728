"""Senders that behave as SDKs do: one request under way each, sent again as OTLP wants it, until it is acknowledged."""

import http.client
import itertools
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from .items import SIGNALS, key_of, request_of, stamps_of
from .oracle import OracleClient
from .sink import REJECTED, RESPONSES, SERVICES

ATTEMPT_S = 10.0
LONGEST_WAIT_S = 0.3
"""Of their own accord; what a server asks for is heeded."""
RETRYABLE_HTTP = frozenset({429, 502, 503, 504})
RETRYABLE_GRPC = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""OTLP specification, "Failures"; RESOURCE_EXHAUSTED is one of them with RetryInfo."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much is sent."""

    producers: int = 6
    """In turn traces, logs and metrics, over gRPC and over HTTP."""
    items: int = 20
    """In a request."""
    filler_bytes: int = 0
    """More text in each item."""
    pause_s: float = 0.0
    """Between two requests of a producer."""
    poison_every: int = 0
    """So many requests of a producer for one that has an item in it that nobody can take."""
    only: tuple[str, ...] = SIGNALS
    protocols: tuple[str, ...] = ("grpc", "http")


USUAL = Load()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended."""

    code: str
    """OK, the name of a gRPC code, an HTTP status, or what became of the connection."""
    is_retryable: bool = False
    retry_after_s: float | None = None
    is_unanswered: bool = False
    """Nobody knows whether it was taken."""


@dataclass(slots=True)
class Counts:
    """What producers saw, all together."""

    acknowledged: int = 0
    """Requests."""
    refusals: list[Outcome] = field(default_factory=list[Outcome])
    given_up: list[str] = field(default_factory=list[str])
    """Codes for which a request was not sent again."""
    poisoned: set[str] = field(default_factory=set[str])
    """Keys of the items that nobody can take."""


class Producers:
    """Several senders to one airis, from `start` to `stop`."""

    def __init__(
        self, run: str, grpc_port: int, http_port: int, oracle: OracleClient, load: Load = USUAL, seed: int = 0
    ) -> None:
        self.counts = Counts()
        self.run = run
        self._ports = grpc_port, http_port
        self._oracle_port = oracle.wire.port
        self._load = load
        self._base = time.time_ns() // 1_000_000 * 1_000_000
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._leaving = threading.Event()
        self._threads = [
            threading.Thread(target=self._produce, args=(number, random.Random(f"{seed}/{number}")), daemon=True)
            for number in range(load.producers)
        ]

    def start(self) -> "Producers":
        for thread in self._threads:
            thread.start()
        return self

    def until(self, acknowledged: int, patience_s: float = 60.0) -> None:
        """Wait until so many more requests are acknowledged."""
        with self._changed:
            wanted = self.counts.acknowledged + acknowledged
            done = self._changed.wait_for(lambda: self.counts.acknowledged >= wanted, patience_s)
            assert done, f"{self.counts.acknowledged} requests acknowledged of {wanted}: {self.counts.refusals[-5:]}"

    def stop(self, patience_s: float = 30.0) -> None:
        """Begin no new request, and wait until those under way are acknowledged; then let go of the rest."""
        self._stopping.set()
        deadline = time.monotonic() + patience_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._leaving.set()
        for thread in self._threads:
            thread.join(ATTEMPT_S + 1)

    def _produce(self, number: int, rng: random.Random) -> None:
        load = self._load
        oracle = OracleClient(self._oracle_port)
        signal = load.only[number % len(load.only)]
        protocol = load.protocols[(number // len(load.only) + number) % len(load.protocols)]
        sender: Any = (GrpcSender if protocol == "grpc" else HttpSender)(self._ports[protocol == "http"], signal)
        for turn in itertools.count():
            if self._stopping.is_set():
                break
            sequences = range(turn * load.items, (turn + 1) * load.items)
            request = request_of(
                signal, self.run, number, sequences, self._base, filler=_filler(load.filler_bytes, turn, rng)
            )
            if load.poison_every and turn % load.poison_every == load.poison_every - 1:
                self._poison(signal, request, number, sequences, rng)
            stamps = list(stamps_of(signal, request))
            oracle.issue(stamps)
            keys = [stamp.key for stamp in stamps]
            outcome = self._deliver(sender, request.SerializeToString(), rng, partial(oracle.doubt, keys))
            if outcome is not None and outcome.code == "OK":
                oracle.acknowledge(keys)
                with self._changed:
                    self.counts.acknowledged += 1
                    self._changed.notify_all()
            self._stopping.wait(load.pause_s)
        sender.close()
        oracle.wire.close()

    def _poison(self, signal: str, request: Any, number: int, sequences: range, rng: random.Random) -> None:
        place = rng.randrange(len(sequences))
        if signal == "traces":
            request.resource_spans[0].scope_spans[0].spans[place].attributes[1].value.string_value += "poison"
        elif signal == "logs":
            request.resource_logs[0].scope_logs[0].log_records[place].body.string_value += "poison"
        else:
            return
        with self._changed:
            self.counts.poisoned.add(key_of(self.run, number, sequences[place]))

    def _deliver(self, sender: Any, body: bytes, rng: random.Random, doubt: Callable[[], None]) -> Outcome | None:
        """As often as it takes; None for one who was told to leave before it came to an end."""
        wait = 0.05
        while True:
            outcome: Outcome = sender.send(body)
            if outcome.code == "OK":
                return outcome
            if outcome.is_unanswered:
                doubt()
            with self._changed:
                self.counts.refusals.append(outcome)
                if not outcome.is_retryable:
                    self.counts.given_up.append(outcome.code)
            if not outcome.is_retryable:
                return outcome
            if self._leaving.wait(max(outcome.retry_after_s or 0.0, wait * rng.uniform(0.5, 1.5))):
                return None
            wait = min(2 * wait, LONGEST_WAIT_S)


def _filler(size: int, turn: int, rng: random.Random) -> str:
    return f"{rng.getrandbits(32):08x}" * (size // 8) if size else ""


class GrpcSender:
    """One sender over gRPC."""

    def __init__(self, port: int, signal: str) -> None:
        options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
        options += [("grpc.min_reconnect_backoff_ms", 50), ("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options)
        self._export = self._channel.unary_unary(f"/{SERVICES[signal]}/Export")
        self._signal = signal

    def send(self, body: bytes) -> Outcome:
        try:
            answer = self._export(body, timeout=ATTEMPT_S)
        except grpc.RpcError as error:
            code = error.code()  # type: ignore[attr-defined]
            retry_after_s = _retry_info(error)
            exhausted = code is grpc.StatusCode.RESOURCE_EXHAUSTED and retry_after_s is not None
            was_sent = "onnection refused" not in (error.details() or "")  # type: ignore[attr-defined]
            is_unanswered = code in RETRYABLE_GRPC and retry_after_s is None and was_sent
            return Outcome(code.name, code in RETRYABLE_GRPC or exhausted, retry_after_s, is_unanswered)
        return _success(self._signal, answer)

    def close(self) -> None:
        self._channel.close()


def _success(signal: str, answer: bytes) -> Outcome:
    """Whole or in part; of a part nobody knows which."""
    told = RESPONSES[signal].FromString(answer).partial_success
    return Outcome("partial" if getattr(told, REJECTED[signal]) else "OK")


def _retry_info(error: Any) -> float | None:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in Status.FromString(value).details:
                info = RetryInfo()
                if detail.Unpack(info):
                    return float(info.retry_delay.ToNanoseconds()) / 1e9
    return None


class HttpSender:
    """One sender over HTTP."""

    def __init__(self, port: int, signal: str) -> None:
        self._address = ("127.0.0.1", port)
        self._path = f"/v1/{signal}"
        self._signal = signal
        self._connection: http.client.HTTPConnection | None = None

    def send(self, body: bytes) -> Outcome:
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(*self._address, timeout=ATTEMPT_S)
            self._connection.request("POST", self._path, body, {"Content-Type": "application/x-protobuf"})
            answer = self._connection.getresponse()
            told = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            was_sent = not isinstance(error, ConnectionRefusedError)
            return Outcome(type(error).__name__, is_retryable=True, is_unanswered=was_sent)
        if answer.status == 200:
            return _success(self._signal, told)
        after = answer.getheader("Retry-After")
        return Outcome(str(answer.status), answer.status in RETRYABLE_HTTP, float(after) if after else None)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
