"""Spans that wait for the decision on their traces, as bytes, in cohorts of traces that came at the same time.

A cohort has all spans of its traces, so that it is decided on, and let go, as a whole: nothing is known of a single
span, and of a trace only the cohort it is in. A trace that is to go before its cohort is taken out of it.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from airis.data import Origin, Signal, kernels
from airis.processors.tail_sampling.traces import ids_of, split


class Source(NamedTuple):
    """Where spans came from, but for what is known of the client, which traces do not have in common."""

    receiver: str
    transport: str
    tenant: str


Views = dict[Source, list["kernels.View"]]

COHORTS = 64
"""At the least, where there is no more room: so much of what is held is decided on early at a time."""
MOST_COHORT_BYTES = 4 * 1024 * 1024


@dataclass(slots=True, eq=False)
class Cohort:
    """Traces whose first spans came at the same time."""

    opened: float
    """When the first one came."""
    arrived_unix_nano: int
    """When, by the wall clock."""
    traces: int = 0
    spans: int = 0
    size_bytes: int = 0
    payloads: dict[Source, list[bytes]] = field(default_factory=dict[Source, list[bytes]])
    trace_sizes: dict[bytes, int] = field(default_factory=dict[bytes, int])
    """Where traces have a largest size."""

    def views(self) -> Views:
        """All that is in it."""
        return {source: [_scanned(payload) for payload in of] for source, of in self.payloads.items()}


class Held:
    """The cohorts, the oldest first, and which one a trace is in."""

    def __init__(self, num_traces: int, max_bytes: int, spread_s: float) -> None:
        self._spread_s = spread_s
        self._most_traces = max(1, num_traces // COHORTS)
        self._most_bytes = max(1, min(MOST_COHORT_BYTES, max_bytes // COHORTS))
        self._of: dict[bytes, Cohort] = {}
        self._cohorts: deque[Cohort] = deque()
        self.spans = 0
        self.size_bytes = 0

    @property
    def traces(self) -> int:
        """How many traces are held."""
        return len(self._of)

    @property
    def oldest(self) -> Cohort | None:
        """The cohort that is due first."""
        return self._cohorts[0] if self._cohorts else None

    def find(self, keys: Iterable[bytes]) -> list[Cohort | None]:
        """Where each of these traces is, if it is held."""
        return list(map(self._of.get, keys))

    def admit(self, key: bytes, now: float, arrived_unix_nano: int) -> Cohort:
        """Where a new trace goes; those in a cohort came within `spread_s`."""
        last = self._cohorts[-1] if self._cohorts else None
        if (
            last is None
            or last.traces >= self._most_traces
            or last.size_bytes >= self._most_bytes
            or now >= last.opened + self._spread_s
        ):
            last = Cohort(now, arrived_unix_nano)
            self._cohorts.append(last)
        last.traces += 1
        self._of[key] = last
        return last

    def add(self, cohort: Cohort, source: Source, payload: bytes, spans: int) -> None:
        """Keep spans of traces that are in the cohort."""
        cohort.payloads.setdefault(source, []).append(payload)
        self._count(cohort, spans, len(payload))

    def pop(self) -> Cohort:
        """The oldest cohort, which is not held from now on; its traces are until they are forgotten."""
        cohort = self._cohorts.popleft()
        self.spans -= cohort.spans
        self.size_bytes -= cohort.size_bytes
        return cohort

    def _count(self, cohort: Cohort, spans: int, size_bytes: int) -> None:
        cohort.spans += spans
        cohort.size_bytes += size_bytes
        self.spans += spans
        self.size_bytes += size_bytes

    def forget(self, keys: Iterable[bytes]) -> None:
        """Traces that are not held any more."""
        for key in keys:
            self._of.pop(key, None)

    def take_out(self, cohort: Cohort, keys: set[bytes]) -> Views:
        """The spans of some of its traces, which are not in it any more."""
        taken: Views = {}
        payloads, cohort.payloads = cohort.payloads, {}
        self._count(cohort, -cohort.spans, -cohort.size_bytes)
        for source, of in payloads.items():
            rest: list[kernels.View] = []
            for payload in of:
                view = _scanned(payload)
                index = kernels.TraceIndex(view)
                wanted = [key in keys for key in keys_of(source, index)]
                if not any(wanted):
                    self.add(cohort, source, payload, view.items)
                    continue
                left, found = split(index, wanted, 2)
                taken.setdefault(source, []).append(found)
                rest.append(left)
            if any(view.items for view in rest):
                together = kernels.concat(rest)
                self.add(cohort, source, together.payload, together.items)
        cohort.traces -= len(keys)
        self.forget(keys)
        return taken


def keys_of(source: Source, index: "kernels.TraceIndex") -> list[bytes]:
    """What traces are known by: nothing that one tenant sends decides on the traces of another."""
    ids = ids_of(index)
    if not source.tenant:
        return ids
    tenant = source.tenant.encode()
    return [trace_id + tenant for trace_id in ids]


def source_of(origin: Origin) -> Source:
    """Where spans came from, as far as it is kept."""
    return Source(origin.receiver, origin.transport, origin.tenant)


def by_tenant(views: Views) -> Iterator[Views]:
    """The views of each tenant."""
    tenants: dict[str, Views] = {}
    for source, of in views.items():
        tenants.setdefault(source.tenant, {})[source] = of
    yield from tenants.values()


def merged(cohorts: Sequence[Mapping[Source, list["kernels.View"]]]) -> Views:
    """The views of several cohorts."""
    together: Views = {}
    for views in cohorts:
        for source, of in views.items():
            together.setdefault(source, []).extend(of)
    return together


def _scanned(payload: bytes) -> "kernels.View":
    return kernels.scan(Signal.TRACES, payload)
