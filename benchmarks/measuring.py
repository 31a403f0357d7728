"""One run of a system: how it is loaded, and what is read off before and after.

CPU time is that of the whole process tree of the system, from when the warm-up has drained until the load has; items
are those that came to the end of the pipeline meanwhile.
"""

import time
from dataclasses import dataclass, field
from typing import Any

from processes import SYSTEM_CPU, TICKS_PER_S, Failed, Memory, busy_s, own_cpu_s, tree_cpu_s
from scenario import Case, Load, Scenario
from sending import sending
from systems import System, system

WARMUP_S = 1.0
DRAIN_S = 60.0
QUIET_S = 0.25
"""A system has drained when it did next to nothing for so long. Longer than rotel holds a batch."""
QUIET_TICKS = 2
STEADY_SHARE, LATENCY_SHARE, OVERLOAD = 0.5, 0.3, 2.0
"""Of the capacity that was measured before, in the same run."""
OVERLOAD_S = 20.0
OVERLOAD_CONNECTIONS = 64
OVERLOAD_STREAMS = 64


@dataclass
class Run:
    """What one run of one system gave."""

    system: str
    items: int
    """At the end of the pipeline."""
    cpu_s_per_million: float
    own_cpu_s_per_million: float
    """Of the first process, without those that it started."""
    load_cpu_s_per_million: float
    items_per_s: float
    requests_per_s: float
    items_per_request: int
    wire_bytes_per_item: float
    busy: float
    """Share of its CPU that the system took."""
    others: float
    """Share of its CPU that somebody else took."""
    rss_peak_mib: float
    rss_steady_mib: float
    lost: int
    """Acknowledged items that did not come to the end; negative where some came twice."""
    answers: dict[str, int]
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def requests_per_core_s(self) -> float:
        """Requests for a second of CPU time."""
        return 1e6 / (self.cpu_s_per_million * self.items_per_request)


def run(name: str, scenario: Scenario, case: Case, seconds: float) -> Run:
    """Measure a system once; raises Failed for a run that cannot be used."""
    if scenario.measure == "log":
        from logged import beside_none

        return beside_none(scenario, case, seconds)
    if scenario.measure == "replay":
        from logged import replayed

        return replayed(scenario, case)
    with system(name, scenario, case) as started:
        match scenario.measure:
            case "saturation":
                return window(started, case.load, seconds)
            case "latency":
                return _at_ease(started, case.load, seconds)
            case "overload":
                return _overloaded(started, case.load, seconds)
            case "store":
                from settled import settled

                return settled(started, case.load, seconds)


def drain(system: System, kind: str, wanted: int | None) -> int | None:
    """Wait until so many items came to the end and the system is quiet; how many came in the end."""
    deadline = time.monotonic() + DRAIN_S
    while True:
        used = tree_cpu_s(system.pid)
        time.sleep(QUIET_S)
        is_quiet = (tree_cpu_s(system.pid) - used) * TICKS_PER_S <= QUIET_TICKS
        is_late = time.monotonic() > deadline
        if is_quiet or is_late:
            arrived = system.arrived(kind)
            if wanted is None or arrived is None or arrived >= wanted or is_late:
                return arrived


def window(system: System, load: Load, seconds: float, *, rate: float = 0.0, warmup: float = WARMUP_S) -> Run:
    """Load it for so long, between two drains."""
    began = system.arrived(load.kind)
    with sending(load, system.port(load.protocol), seconds, warmup=warmup, rate=rate) as generator:
        warm = generator.warm()
        before = drain(system, load.kind, None if began is None else began + warm["accepted_items"])
        with Memory(system.pid) as memory:
            started, own, tree, busy = (
                time.monotonic(),
                own_cpu_s(system.pid),
                tree_cpu_s(system.pid),
                busy_s(SYSTEM_CPU),
            )
            sent = generator.go()
            loaded = time.monotonic() - started
            busy = busy_s(SYSTEM_CPU) - busy
            in_window = tree_cpu_s(system.pid) - tree
            wanted = None if before is None else before + sent["accepted_items"]
            after = drain(system, load.kind, wanted)
            own, tree = own_cpu_s(system.pid) - own, tree_cpu_s(system.pid) - tree
    accepted = sent["accepted_items"]
    items = accepted if after is None or before is None else after - before
    if not items:
        raise Failed(f"{system.name} took nothing: {sent}")
    return Run(
        system=system.name,
        items=items,
        cpu_s_per_million=tree / items * 1e6,
        own_cpu_s_per_million=own / items * 1e6,
        load_cpu_s_per_million=(sent["cpu_s"] or 0.0) / items * 1e6,
        items_per_s=accepted / sent["seconds"],
        requests_per_s=sent["requests"] / sent["seconds"],
        items_per_request=load.items,
        wire_bytes_per_item=sent["wire_bytes_per_item"],
        busy=in_window / loaded,
        others=max(0.0, busy - in_window) / loaded,
        rss_peak_mib=memory.peak_mib,
        rss_steady_mib=memory.steady_mib,
        lost=accepted - items,
        answers=sent["answers"],
        more={"unsent": sent["unsent"], "unanswered": sent["unanswered"], "latency_ms": sent["latency_ms"]},
    )


def _at_ease(system: System, load: Load, seconds: float) -> Run:
    """Latency at a share of the capacity, from when each request should have left."""
    capacity = window(system, load, seconds)
    rate = LATENCY_SHARE * capacity.requests_per_s
    eased = window(system, load, seconds, rate=rate)
    eased.more["rate"] = rate
    return eased


def _overloaded(system: System, load: Load, seconds: float) -> Run:
    """Twice the capacity, offered whatever is answered."""
    many = load.model_copy(update={"connections": OVERLOAD_CONNECTIONS, "streams": OVERLOAD_STREAMS})
    capacity = window(system, load, seconds)
    steady = window(system, many, seconds, rate=STEADY_SHARE * capacity.requests_per_s)
    over = window(system, many, OVERLOAD_S, rate=OVERLOAD * capacity.requests_per_s)
    over.more |= {
        "rate": OVERLOAD * capacity.requests_per_s,
        "steady_mib": steady.rss_steady_mib,
        "closed_mib": capacity.rss_peak_mib,
        "rss_times_steady": over.rss_peak_mib / steady.rss_steady_mib,
        "refused_requests": sum(count for name, count in over.answers.items() if name != "accepted"),
    }
    return over
