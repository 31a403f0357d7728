"""Processes: pinned to a CPU, their CPU time and memory, with all that they start."""

import os
import signal
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

CPUS = sorted(os.sched_getaffinity(0))
LOAD_CPU, SYSTEM_CPU = CPUS[0], CPUS[-1]
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20
START_S, STOP_S = 60.0, 30.0
SAMPLE_S = 0.05


class Failed(Exception):
    """A run that cannot be used; says why."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def descendants(pid: int) -> list[int]:
    """The process and all below it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):
                found.extend(map(int, task.read_text().split()))
    return found


def _ticks(pid: int, *places: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0  # it has ended, and counts for its parent
    return sum(int(fields[place]) for place in places)


def own_cpu_s(pid: int) -> float:
    """CPU time of the process alone."""
    return _ticks(pid, 11, 12) / TICKS_PER_S


def tree_cpu_s(pid: int) -> float:
    """CPU time of the process and all below it, those that have ended included."""
    return sum(_ticks(each, 11, 12, 13, 14) for each in descendants(pid)) / TICKS_PER_S


def busy_s(cpu: int) -> float:
    """Time that a CPU has worked, for whomever."""
    line = next(x for x in Path("/proc/stat").read_text().splitlines() if x.startswith(f"cpu{cpu} "))
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, line.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_S


def resident_mib(pid: int) -> float:
    """Resident memory of the process and all below it."""
    pages = 0
    for each in descendants(pid):
        with suppress(OSError):
            pages += int(Path(f"/proc/{each}/statm").read_text().split()[1])
    return pages * PAGE_MIB


class Memory:
    """Samples the resident memory of a process tree while it is entered."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._samples: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            self._samples.append(resident_mib(self._pid))

    @property
    def peak_mib(self) -> float:
        """The highest sample."""
        return max(self._samples, default=0.0)

    @property
    def steady_mib(self) -> float:
        """The median of the second half."""
        return statistics.median(self._samples[len(self._samples) // 2 :] or [0.0])


@dataclass(frozen=True)
class Running:
    """A process that has started."""

    process: "subprocess.Popen[str]"
    log: Path

    @property
    def pid(self) -> int:
        """Of the first process."""
        return self.process.pid

    def wait_for(self, *ports: int) -> None:
        """Return when all ports accept; raises Failed with what the process said."""
        deadline = time.monotonic() + START_S
        for port in ports:
            while True:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise Failed(f"{self.log.stem} did not start: {self.log.read_text()[-2000:]}")
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.02)


@contextmanager
def started(command: Sequence[str], cpu: int, folder: Path, env: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Start a process on a CPU, its output in a log, and end it."""
    log = folder / f"{Path(command[0]).name}-{time.monotonic_ns()}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["taskset", "-c", str(cpu), *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(env or {})},
        )
    try:
        yield Running(process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
