"""One run of a cell: airis, its destinations, senders and the oracle, and what is done to them."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from prometheus_client.parser import text_string_to_metric_families

from ..running import Airis, get
from .items import Stamp, point_stamp, record_stamp, span_stamp
from .log_files import dead_letters
from .oracle import Helper, OracleClient, Verdict
from .producers import USUAL, Load, Producers
from .sink import SinkClient

STORE = "store"
SINK = "sink"
SECOND = "second"
DRAIN_S = 30.0
"""How long what was acknowledged may take to arrive when all faults are over."""
POLL_S = 0.05
STORE_POLL_S = 0.5
_PORTS = range(20_000, 32_000)
"""Below those that a system gives to outgoing connections, so that a port is free again after a restart."""


class Bench:
    """The processes that trials share: the oracle and the destinations."""

    def __init__(self) -> None:
        self._oracle_process = Helper("oracle")
        self.oracle = OracleClient(int(self._oracle_process.said[0]))
        self._sinks: dict[str, SinkClient] = {}

    def sink(self, name: str = SINK) -> SinkClient:
        """A destination by name, started when it is first asked for."""
        if name not in self._sinks:
            self._sinks[name] = SinkClient(name, self.oracle.wire.port)
        return self._sinks[name]

    def begin(self) -> None:
        """Forget the trial before."""
        self.oracle.begin()
        for sink in self._sinks.values():
            sink.begin()

    def end(self) -> None:
        for sink in self._sinks.values():
            sink.end()
        self._oracle_process.end()


@dataclass(slots=True)
class Result:
    """How a trial came out."""

    verdict: Verdict
    kills: int
    broken: list[str]
    """Promises beside the oracle's that were not kept."""
    error: str = ""
    """Why the trial did not come to its end, which proves nothing."""
    deduplicating: tuple[str, ...] = ()
    """Destinations in which nothing may be twice."""

    @property
    def duplicates(self) -> int:
        """In deduplicating destinations."""
        return sum(sink.duplicates for name, sink in self.verdict.sinks.items() if name in self.deduplicating)

    @property
    def faults(self) -> list[str]:
        """Everything that is wrong, in words."""
        return [*self.noticed, *([self.error] if self.error else [])]

    @property
    def noticed(self) -> list[str]:
        """What of it is a promise that was not kept."""
        found = list(self.broken)
        for name, sink in self.verdict.sinks.items():
            counts = {"lost": sink.lost, "invented or altered": sink.wrong}
            if name in self.deduplicating:
                counts["duplicates"] = sink.duplicates
            found += [f"{name}: {count} {what}: {sink.examples}" for what, count in counts.items() if count]
        return found


@dataclass(slots=True)
class Trial:
    """What a scenario works with."""

    folder: Path
    bench: Bench
    seed: int
    run: str
    injections: tuple[str, ...] = ()
    """Applied to airis at every start, see `injections`."""
    size: float = 1.0
    """How long, or how much: 1 in the short form."""
    sinks: tuple[str, ...] = (SINK,)
    """Destinations that are to get everything."""
    drain_s: float = DRAIN_S
    kills: int = 0
    broken: list[str] = field(default_factory=list[str])
    error: str = ""
    rng: random.Random = field(init=False)
    ports: tuple[int, int] = field(init=False)
    """Of OTLP over gRPC and HTTP."""
    _airis: Airis | None = field(init=False, default=None)
    _producers: list[Producers] = field(init=False, default_factory=list[Producers])
    _excuses: list[Callable[[], None]] = field(init=False, default_factory=list[Callable[[], None]])

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.ports = _free_port(), _free_port()

    # airis

    @property
    def airis(self) -> Airis:
        assert self._airis is not None
        return self._airis

    @property
    def wal(self) -> Path:
        """The folder of the log."""
        return self.folder / "data" / "wal"

    def configure(self, configuration: str, **environment: str) -> Airis:
        """An airis that is not started yet; `$GRPC` and `$HTTP` are its ports, `$SINK` and others the sinks'."""
        airis = Airis(self.folder, self._with_ports(configuration), **environment)
        words = [sys.executable, Path(__file__).parent, "airis", ",".join(self.injections)]
        airis.command = [*words, *airis.command[1:]]
        self._airis = airis
        return airis

    def configure_again(self, configuration: str) -> None:
        """Write another one to the same file."""
        self.airis.config.write_text(self._with_ports(configuration))

    def _with_ports(self, configuration: str) -> str:
        grpc, http = (f"127.0.0.1:{port}" for port in self.ports)
        return configuration.replace("$GRPC", grpc).replace("$HTTP", http)

    def start(self, failpoints: str = "") -> None:
        """Start it, or start it again."""
        self.airis.environment["AIRIS_FAILPOINTS"] = failpoints
        self.airis.start()

    def kill(self) -> None:
        """With -9."""
        process = self.airis.process
        assert process is not None
        process.send_signal(signal.SIGKILL)
        self.wait_for_end()

    def wait_for_end(self, patience_s: float = 60.0) -> int:
        """The exit code, when it has ended by itself or was killed; that counts as a kill."""
        process = self.airis.process
        assert process is not None
        try:
            code = process.wait(patience_s)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"it did not end within {patience_s} s") from error
        if code == -signal.SIGKILL:
            self.kills += 1
        return code

    def start_in_background(self) -> threading.Event:
        """Start one that may take its time; the event says that it is ready."""
        ready = threading.Event()

        def start() -> None:
            with suppress(AssertionError):
                self.start()
                ready.set()

        threading.Thread(target=start, daemon=True).start()
        return ready

    def start_until_it_dies(self, failpoints: str, patience_s: float = 60.0) -> None:
        """Start one that ends at a failpoint, maybe before it is ready."""
        try:
            self.start(failpoints)
        except AssertionError:
            if {"event": "ended"} not in self.airis.log:
                raise
        self.wait_for_end(patience_s)

    def start_and_stay(self, seconds: float) -> bool:
        """Start one that may end by itself within so many seconds."""
        try:
            self.start()
        except AssertionError:
            if {"event": "ended"} not in self.airis.log:
                raise
            return False
        return not self.waited(lambda: {"event": "ended"} in self.airis.log, seconds)

    def gauge(self, name: str) -> float:
        """The sum of one of its gauges."""
        _, text = get(f"http://{self.airis.instance['metrics_address']}/metrics")
        families = text_string_to_metric_families(text)
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)

    # Senders

    def produce(self, load: Load = USUAL) -> Producers:
        """Senders that go on until the end of the trial, or until they are stopped."""
        number = len(self._producers)
        producers = Producers(f"{self.run}.{number}", *self.ports, self.bench.oracle, load, self.seed)
        self._producers.append(producers)
        return producers.start()

    @contextmanager
    def load(self, load: Load = USUAL) -> Iterator[Producers]:
        """Senders for as long as this lasts."""
        producers = self.produce(load)
        try:
            yield producers
        finally:
            producers.stop()

    def pause(self, longest_s: float) -> None:
        """Go on for a while; how long follows from the seed."""
        time.sleep(self.rng.uniform(0.0, longest_s))

    # The end

    def expect(self, is_kept: bool, promise: str) -> None:
        """Note a promise that was not kept."""
        if not is_kept:
            self.broken.append(promise)

    def wait(self, condition: Callable[[], bool], promise: str, patience_s: float = 30.0) -> bool:
        """Wait for it; a promise that is not kept in time is noted."""
        kept = self.waited(condition, patience_s)
        self.expect(kept, promise)
        return kept

    def waited(self, condition: Callable[[], bool], patience_s: float) -> bool:
        """Whether it came true in time."""
        deadline = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True

    def settle(self) -> None:
        """Let senders come to their end, and wait until all has arrived that was acknowledged, or time is up."""
        for producers in self._producers:
            producers.stop()
        deadline = time.monotonic() + self.drain_s
        poll_s = STORE_POLL_S if STORE in self.sinks else POLL_S
        while self._missing() and time.monotonic() < deadline:
            time.sleep(poll_s)

    def _missing(self) -> int:
        if STORE in self.sinks:
            self.read_store()
        for excuse in self._excuses:
            excuse()
        return self.bench.oracle.missing(self.sinks)

    def read_store(self) -> None:
        """Tell the oracle what is in the store now."""
        try:
            stamps = list(stored(self.folder / "data" / "store.sock", [p.run for p in self._producers]))
        except (OSError, http.client.HTTPException):
            return  # it is being started again
        self.bench.oracle.forget(STORE)
        self.bench.oracle.deliver(STORE, stamps)

    def excuse(self, sink: str, keys: Callable[[], Iterable[str]]) -> None:
        """These are not lost, as often as it is looked for them."""
        self._excuses.append(lambda: self.bench.oracle.excuse(sink, keys()))

    def buried(self, reason: str = "") -> set[str]:
        """Keys of the items in dead letters that say this."""
        return {key for why, keys in dead_letters(self.wal) if reason in why for key in keys}

    def excuse_crashed(self, sink: str) -> None:
        """Batches that were under way alone at several ends are dead letters, as is promised; they are not lost."""
        self.excuse(sink, lambda: self.buried("crashes"))

    def result(self) -> Result:
        """What the oracle says."""
        self._missing()
        deduplicating = (STORE,) if STORE in self.sinks else ()
        return Result(self.bench.oracle.verdict(self.sinks), self.kills, self.broken, self.error, deduplicating)

    def end(self) -> None:
        """Whatever happened: nobody is left."""
        for producers in self._producers:
            producers.stop(0)
        if self._airis is not None:
            process = self._airis.process
            if process is not None and process.poll() is None:
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGCONT)
            self._airis.end()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("store", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self._path))


def query(path: Path, sql: str) -> list[list[Any]]:
    """The rows of a query at the store's socket; raises OSError while it does not serve."""
    connection = _UnixConnection(path)
    try:
        parameters = {"database": "airis", "default_format": "JSONCompactEachRow"}
        connection.request("POST", f"/?{urlencode(parameters)}", sql.encode())
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise OSError(body.decode(errors="replace"))
    return [json.loads(line) for line in body.splitlines()]


def stored(path: Path, runs: list[str]) -> Iterator[Stamp]:
    """Who is in the store, computed from what its tables hold."""
    services = ", ".join(f"'{run}'" for run in runs)
    spans = (
        "SELECT SpanAttributes['fault.key'], lower(TraceId), lower(SpanId), toString(toUnixTimestamp64Nano(Timestamp)),"
        f" toString(Duration), SpanAttributes['fault.text'] FROM otel_traces WHERE ServiceName IN ({services})"
    )
    for key, trace_id, span_id, at, duration, text in query(path, spans):
        yield span_stamp(key, trace_id, span_id, int(at), int(duration), text)
    records = (
        "SELECT LogAttributes['fault.key'], toString(toUnixTimestamp64Nano(Timestamp)), Body"
        f" FROM otel_logs WHERE ServiceName IN ({services})"
    )
    for key, at, text in query(path, records):
        yield record_stamp(key, int(at), text)
    points = (
        "SELECT Attributes['fault.producer'], Attributes['fault.base'], toString(toUnixTimestamp64Nano(TimeUnix)),"
        f" Value FROM otel_metrics_gauge WHERE ServiceName IN ({services})"
    )
    for producer, base, at, value in query(path, points):
        yield point_stamp(producer, base, int(at), float(value))


_given: set[int] = set()
_giving = threading.Lock()


def _free_port() -> int:
    with _giving:  # trials may run beside one another
        return _next_free_port()


def _next_free_port() -> int:
    start = random.Random(f"{os.getpid()}/{len(_given)}").randrange(len(_PORTS))
    for offset in range(len(_PORTS)):
        port = _PORTS[(start + offset) % len(_PORTS)]
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                _given.add(port)
                return port
    raise OSError("no port is free")
