"""What the write-ahead log costs: on the way in, and when a backlog in it is delivered after a start."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from measuring import Run, window
from processes import Failed, Memory, free_ports, own_cpu_s, tree_cpu_s
from scenario import Case, Load, Scenario
from sending import sending
from systems import PORTS, System, running, system

FILL_S = 4.0
"""Length of a window of the load that makes the backlog."""
REPLAY_S = 300.0
POLL_S = 0.2
GB = 1e9
SCALED_GB = 10.0
"""The backlog for which the time of a start is told; one that fits on any disk is measured."""


@dataclass(frozen=True)
class Start:
    """What it took until all ports listened."""

    seconds: float
    cpu_s: float


def beside_none(scenario: Scenario, case: Case, seconds: float) -> Run:
    """The same load with the log and without it, one behind the other."""
    with system("airis", scenario, case) as started:
        run = window(started, case.load, seconds)
    with system("airis", scenario.model_copy(update={"airis": scenario.without_log}), case) as started:
        without = window(started, case.load, seconds)
    run.lost += without.lost
    run.more |= {
        "without_cpu_s_per_million": without.cpu_s_per_million,
        "without_mib": without.rss_peak_mib,
        "times_without_log": run.cpu_s_per_million / without.cpu_s_per_million,
    }
    return run


def replayed(scenario: Scenario, case: Case) -> Run:
    """Fill the log while nothing is taken, end airis, and start it with a destination that takes all."""
    with tempfile.TemporaryDirectory(prefix="airis-bench-") as temporary:
        folder = Path(temporary)
        with _started(scenario, case, folder, takes=False) as (first, empty):
            items = _filled(first, case.load, folder, case.backlog_mib * 2**20)
        size = _size(folder)
        with _started(scenario, case, folder, takes=False) as (_, held):
            pass
        with _started(scenario, case, folder, takes=True) as (second, start), Memory(second.pid) as memory:
            began, before, cpu = time.monotonic(), _arrived(second, case.load), tree_cpu_s(second.pid)
            while (arrived := _arrived(second, case.load)) < items and time.monotonic() < began + REPLAY_S:
                time.sleep(POLL_S)
            elapsed = time.monotonic() - began
            own, cpu = own_cpu_s(second.pid), tree_cpu_s(second.pid) - cpu
    replayed = arrived - before
    if not replayed:
        raise Failed("the backlog was delivered before it could be looked at, or not at all")
    return Run(
        system="airis",
        items=replayed,
        cpu_s_per_million=cpu / replayed * 1e6,
        own_cpu_s_per_million=own / items * 1e6,
        load_cpu_s_per_million=0.0,
        items_per_s=replayed / elapsed,
        requests_per_s=replayed / case.load.items / elapsed,
        items_per_request=case.load.items,
        wire_bytes_per_item=size / items,
        busy=cpu / elapsed,
        others=0.0,
        rss_peak_mib=memory.peak_mib,
        rss_steady_mib=memory.steady_mib,
        lost=items - arrived,
        answers={},
        more={
            "backlog_gb": size / GB,
            "replay_mb_per_s": size * replayed / items / elapsed / 1e6,
            "empty_start_s": empty.seconds,
            "empty_start_cpu_s": empty.cpu_s,
            "start_s": held.seconds,
            "start_cpu_s": held.cpu_s,
            "start_s_scaled": _scaled(empty.seconds, held.seconds, size),
            "start_cpu_s_scaled": _scaled(empty.cpu_s, held.cpu_s, size),
            "delivering_start_s": start.seconds,
        },
    )


@contextmanager
def _started(scenario: Scenario, case: Case, folder: Path, *, takes: bool) -> Iterator[tuple[System, Start]]:
    """A system in a folder that may have a log, and what it took until it listened."""
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    began = time.monotonic()
    with running("airis", scenario, {**ports, **case.env, "TAKES": str(takes).lower()}, folder, None) as found:
        yield found, Start(time.monotonic() - began, tree_cpu_s(found.pid))


def _scaled(empty: float, with_backlog: float, size: int) -> float:
    return empty + max(0.0, with_backlog - empty) * max(1.0, SCALED_GB * GB / size)


def _filled(system: System, load: Load, folder: Path, size: int) -> int:
    """Send until the log is so large; gives the items that were acknowledged."""
    items = 0
    while _size(folder) < size:
        with sending(load, system.port(load.protocol), FILL_S, warmup=0.0) as generator:
            items += generator.warm()["accepted_items"]
            items += generator.go()["accepted_items"]
    return items


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in os.scandir(folder / "data/wal") if file.name.endswith(".wal"))


def _arrived(system: System, load: Load) -> int:
    return system.arrived(load.kind) or 0
