"""What was issued, acknowledged and delivered, in a process of its own; at the end it says what does not fit."""

import json
import socket
import socketserver
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .items import Stamp

SHOWN = 5
"""Items named of each kind of fault."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """How a destination compares with what was acknowledged."""

    items: int
    lost: int
    wrong: int
    """Never issued, or not as it was issued."""
    duplicates: int
    """More often than it was sent by somebody who got no answer."""
    excused: int
    """Acknowledged, and where they are instead is known: dead letters, damaged records."""
    examples: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run came out."""

    issued: int
    acknowledged: int
    sinks: dict[str, Delivered]

    @property
    def lost(self) -> int:
        return sum(sink.lost for sink in self.sinks.values())

    @property
    def wrong(self) -> int:
        return sum(sink.wrong for sink in self.sinks.values())

    @property
    def excused(self) -> int:
        return sum(sink.excused for sink in self.sinks.values())


class Ledger:
    """The books of one run."""

    def __init__(self, over: Iterable[str] = ()) -> None:
        """`over` are runs that ended: what a destination tells of them late is nothing to this one."""
        self.over = set(over)
        self.issued: dict[str, str] = {}
        self.acknowledged: set[str] = set()
        self.delivered: defaultdict[str, Counter[Stamp]] = defaultdict(Counter)
        self.excused: defaultdict[str, set[str]] = defaultdict(set)
        self.doubts: Counter[str] = Counter()
        self.not_for: defaultdict[str, list[str]] = defaultdict(list)

    def issue(self, stamps: Sequence[Sequence[str]]) -> None:
        """Before they are sent for the first time."""
        self.issued.update((key, digest) for key, digest in stamps)
        self.over -= {_run_of(key) for key, _ in stamps}

    def acknowledge(self, keys: Iterable[str]) -> None:
        """Their sender was told that they are taken."""
        self.acknowledged.update(keys)

    def doubt(self, keys: Iterable[str]) -> None:
        """An attempt got no answer: it may have been taken, and its sender will send them again as something new."""
        self.doubts.update(keys)

    def deliver(self, sink: str, stamps: Iterable[Sequence[str]]) -> None:
        """They arrived at a destination."""
        self.delivered[sink].update(stamp for stamp in (Stamp(*each) for each in stamps) if not self._is_over(stamp))

    def _is_over(self, stamp: Stamp) -> bool:
        return _run_of(stamp.key) in self.over

    def next(self) -> "Ledger":
        """The books of the run behind this one."""
        return Ledger(self.over | {_run_of(key) for key in self.issued})

    def excuse(self, sink: str, keys: Iterable[str]) -> None:
        """They were found where they are allowed to be instead."""
        self.excused[sink].update(keys)

    def excuse_run(self, sink: str, run: str) -> None:
        """A destination is not to get what these senders send."""
        self.not_for[sink].append(f"{run}/")

    def forget(self, sink: str) -> None:
        """What a destination holds is about to be read anew."""
        self.delivered.pop(sink, None)

    def missing(self, sinks: Iterable[str]) -> int:
        """What was acknowledged and has not arrived yet, over all of these."""
        return sum(len(self._lost(sink)) for sink in sinks)

    def _lost(self, sink: str) -> set[str]:
        arrived = {stamp.key for stamp in self.delivered[sink] if self.issued.get(stamp.key) == stamp.digest}
        missing = self.acknowledged - arrived - self.excused[sink]
        return {key for key in missing if not key.startswith(tuple(self.not_for[sink]))}

    def verdict(self, sinks: Iterable[str]) -> Verdict:
        """Of the destinations that were to get everything."""
        return Verdict(len(self.issued), len(self.acknowledged), {sink: self._compare(sink) for sink in sinks})

    def _compare(self, sink: str) -> Delivered:
        found = self.delivered[sink]
        lost = self._lost(sink)
        wrong = [stamp.key for stamp in found if self.issued.get(stamp.key) != stamp.digest]
        more = {stamp.key: times - 1 - self.doubts[stamp.key] for stamp, times in found.items()}
        twice = [key for key, times in more.items() if times > 0]
        examples = [f"lost {key}" for key in sorted(lost)[:SHOWN]]
        examples += [f"invented or altered {key!r}" for key in sorted(wrong)[:SHOWN]]
        examples += [f"twice {key}" for key in sorted(twice)[:SHOWN]]
        duplicates = sum(more[key] for key in twice)
        return Delivered(found.total(), len(lost), len(wrong), duplicates, len(self.excused[sink]), examples)


def _run_of(key: str) -> str:
    return key.partition("/")[0]


class _Handler(socketserver.StreamRequestHandler):
    server: "_Server"

    def handle(self) -> None:
        for line in self.rfile:
            operation, arguments = json.loads(line)
            with self.server.lock:
                if operation == "begin":
                    self.server.ledger = self.server.ledger.next()
                    answer: Any = None
                else:
                    answer = getattr(self.server.ledger, operation)(*arguments)
            self.wfile.write(json.dumps(asdict(answer) if isinstance(answer, Verdict) else answer).encode() + b"\n")
            self.wfile.flush()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ledger = Ledger()
        self.lock = threading.Lock()


def serve() -> None:
    """Print the port, and serve until stdin ends."""
    with _Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()


class Wire:
    """Calls to a process that answers a line of JSON with another one; threads may share it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rwb")
        self._lock = threading.Lock()

    def call(self, operation: str, *arguments: object) -> Any:
        with self._lock:
            self._file.write(json.dumps([operation, arguments]).encode() + b"\n")
            self._file.flush()
            return json.loads(self._file.readline())

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class OracleClient:
    """The ledger, from another process."""

    def __init__(self, port: int) -> None:
        self.wire = Wire(port)

    def begin(self) -> None:
        """Forget the run before."""
        self.wire.call("begin")

    def issue(self, stamps: Iterable[Stamp]) -> None:
        self.wire.call("issue", list(stamps))

    def acknowledge(self, keys: Iterable[str]) -> None:
        self.wire.call("acknowledge", list(keys))

    def doubt(self, keys: Iterable[str]) -> None:
        self.wire.call("doubt", list(keys))

    def deliver(self, sink: str, stamps: Iterable[Stamp]) -> None:
        self.wire.call("deliver", sink, list(stamps))

    def excuse(self, sink: str, keys: Iterable[str]) -> None:
        self.wire.call("excuse", sink, list(keys))

    def excuse_run(self, sink: str, run: str) -> None:
        self.wire.call("excuse_run", sink, run)

    def forget(self, sink: str) -> None:
        self.wire.call("forget", sink)

    def missing(self, sinks: Iterable[str]) -> int:
        return int(self.wire.call("missing", list(sinks)))

    def verdict(self, sinks: Iterable[str]) -> Verdict:
        told = self.wire.call("verdict", list(sinks))
        return Verdict(
            told["issued"],
            told["acknowledged"],
            {name: Delivered(**each) for name, each in told["sinks"].items()},
        )


class Helper:
    """One of the processes beside airis: `oracle` or `sink`. It ends with us, whatever becomes of us."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, str(Path(__file__).parent), *words]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline().split()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)
