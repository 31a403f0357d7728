"""Decide which traces are kept once all of their spans are there."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

from airis.component import Consumer, Host, Permanent, Processor, Retryable, Telemetry, processor
from airis.component.telemetry import holds, left_out
from airis.data import Batch, Signal, join, kernels
from airis.processors.tail_sampling.deciding import LEFT_OUT, Decider, Verdict
from airis.processors.tail_sampling.held import (
    Cohort,
    Held,
    Source,
    Views,
    by_tenant,
    keys_of,
    merged,
    source_of,
)
from airis.processors.tail_sampling.options import TailSamplingConfig
from airis.processors.tail_sampling.outbox import Outbox
from airis.processors.tail_sampling.recording import Recorder
from airis.processors.tail_sampling.remembered import Memory, Remembered
from airis.processors.tail_sampling.traces import ROOT_MARK, Traces, ids_of, sizes_of, split

__all__ = ["TailSampling", "TailSamplingConfig"]

LONGEST_TICK_S, SHORTEST_TICK_S, TICKS = 0.5, 0.05, 10
JOINED_BYTES = 1024 * 1024
"""So much is looked at together, and what comes in a tick."""
DECIDED_BYTES = 4 * 1024 * 1024
"""So much is decided on together."""
OUTBOX_SHARE = 0.5
"""Of the most that is held: when so much of it waits to be taken behind, senders are refused."""

Target = Cohort | Remembered | Verdict
"""Where spans go: to what is held, the way that was decided before, or out."""

TOO_LARGE = Verdict(False, "too_large")

AGE_BOUNDS_S = (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000)
TICK_BOUNDS_MS = (
    *(1, 2, 5, 10, 25, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1000),
    *(2000, 3000, 4000, 5000, 10_000, 20_000, 30_000, 50_000),
)


@processor("tail_sampling", traces="beta")
class TailSampling(Processor[TailSamplingConfig]):
    """Hold the spans of each trace for a time, then keep the trace or leave it out, as policies say of all of it.

    Senders are answered as soon as their spans are held, in memory: **a crash loses what is held**, at the most what
    came within `decision_wait` and some seconds, and nothing tells which traces are not whole. An orderly end, and a
    reload that changes these options, decide on everything first, by what there is. All spans of a trace must come to
    the same instance. Kept spans that are refused for now are handed on again until they are taken.

    Where `num_traces` or `max_held_mib` leave no more room, the oldest traces are decided on early; the Collector drops
    them. Their number is counted by reason, and under the Collector's name for it. When what follows takes kept spans
    too slowly, senders are told to come again.

    Spans that come after the decision follow it for as long as it is remembered. A trace is kept where a policy keeps
    it, unless a policy of the type `drop` drops it. Rates are of the instance, and go by the time of the decision; all
    other policies say the same however the spans came, and in whatever order.
    """

    def __init__(
        self,
        config: TailSamplingConfig,
        downstream: Consumer,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(config, downstream, telemetry)
        self._clock = clock
        self._sleep = sleep
        self._most_bytes = config.max_held_mib * 1024 * 1024
        self._tick_s = min(LONGEST_TICK_S, max(SHORTEST_TICK_S, config.decision_wait / TICKS))
        self._waiting: dict[Source, list[Batch]] = {}
        self._waiting_items = self._waiting_bytes = 0
        self._held = Held(config.num_traces, self._most_bytes, self._tick_s)
        self._roots: deque[tuple[float, bytes, Cohort]] = deque()
        """Traces that are due before their cohort is, by when they are."""
        self._memory = Memory(config.decision_cache, config.num_traces)
        self._decider = Decider(config, telemetry)
        self._recorder = Recorder() if config.record_policy else None
        self._outbox = Outbox(downstream, telemetry, self._lose, sleep)
        self._room = asyncio.Event()
        self._ticker: asyncio.Task[None] | None = None
        self._closed = False
        self.left_out = left_out(telemetry)
        holds(telemetry, self._held_items)
        self._make_metrics(telemetry)

    def _make_metrics(self, telemetry: Telemetry) -> None:
        self.early = telemetry.counter(
            "airis_tail_sampling_early_decisions",
            "{trace}",
            "Traces that were decided on before their wait was over, by the reason.",
        )
        self.too_early = telemetry.counter(
            "sampling_trace_dropped_too_early",
            "{traces}",
            "Traces that were decided on early for want of room; a Collector would have dropped them.",
        )
        self.too_large = telemetry.counter(
            "traces_dropped_too_large", "{traces}", "Traces that were left out because they were too large."
        )
        self.new = telemetry.counter("new_trace_id_received", "{traces}", "Traces of which a first span came.")
        self.released = telemetry.counter(
            "early_releases_from_cache_decision", "{spans}", "Spans of traces whose decision was in a cache."
        )
        self.late_age = telemetry.histogram(
            "sampling_late_span_age", "s", "Time from a decision until spans of its trace came late.", AGE_BOUNDS_S
        )
        self.removal_age = telemetry.histogram(
            "sampling_trace_removal_age", "s", "Time from the arrival of a trace until it was let go.", AGE_BOUNDS_S
        )
        self.tick_took = telemetry.histogram(
            "sampling_decision_timer_latency", "ms", "Time that the decisions took that were due.", TICK_BOUNDS_MS
        )
        telemetry.gauge("sampling_traces_on_memory", "{traces}", "Traces that are held.", lambda: self._held.traces)

    async def start(self, host: Host) -> None:
        """Begin to decide."""
        self._ticker = asyncio.create_task(self._tick_for_ever(host))

    async def consume(self, batch: Batch) -> None:
        """Hold the spans, and return; raises Retryable where there is no room, and Permanent for other signals."""
        if batch.signal is not Signal.TRACES:
            raise Permanent(f"{batch.signal} have no traces")
        while self.config.block_on_overflow and self._is_full and not self._closed:
            self._room.clear()
            await self._room.wait()
        if self._closed:
            raise Retryable("tail_sampling is shutting down")
        if self._outbox.size_bytes > OUTBOX_SHARE * self._most_bytes:
            raise Retryable("kept traces are taken more slowly than they come", retry_after=1.0)
        self._waiting.setdefault(source_of(batch.origin), []).append(batch)
        self._waiting_items += batch.items
        self._waiting_bytes += batch.size_bytes
        if self._waiting_bytes >= JOINED_BYTES:
            self._take_in()

    async def tick(self) -> None:
        """Decide on what is due by now."""
        started = time.perf_counter()
        self._take_in()
        now = self._clock()
        while cohorts := self._due(now):
            self._decide(cohorts, now)
            await asyncio.sleep(0)
        for cohort, keys in self._due_by_root(now).items():
            views = self._held.take_out(cohort, keys)
            self._decide_on(views, cohort.arrived_unix_nano, now)
            self.removal_age.record(now - cohort.opened, len(keys))
            await asyncio.sleep(0)
        self._room.set()
        self.tick_took.record((time.perf_counter() - started) * 1e3)

    async def shutdown(self) -> None:
        """Decide on all that is held, and return when what is kept was taken behind."""
        self._closed = True
        self._room.set()
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.wait({self._ticker})
            self._ticker = None
        self._take_in()
        now = self._clock()
        while cohorts := self._due(float("inf")):
            if self.config.drop_pending_traces_on_shutdown:
                self.left_out.add(sum(cohort.spans for cohort in cohorts), reason="shutdown")
            else:
                self.early.add(sum(cohort.traces for cohort in cohorts), reason="shutdown")
                self._decide(cohorts, now)
        await self._outbox.close()

    async def _tick_for_ever(self, host: Host) -> None:
        try:
            while True:
                await self._sleep(self._tick_s)
                await self.tick()
        except Exception as error:  # a fault of ours; without decisions everything would be held for ever
            host.fail(f"processors::{self.telemetry.component_id}", error)

    @property
    def _is_full(self) -> bool:
        return self._held.traces >= self.config.num_traces or self._held.size_bytes >= self._most_bytes

    def _held_items(self) -> int:
        return self._waiting_items + self._held.spans + self._outbox.items

    # What comes.

    def _take_in(self) -> None:
        """Put what came into cohorts, by its traces."""
        waiting, self._waiting = self._waiting, {}
        now = self._clock()
        for source, batches in waiting.items():
            self._add(source, batches, now)
        self._waiting_items = self._waiting_bytes = 0
        if not self.config.block_on_overflow:
            self._make_room(now)
        self._memory.leave_room(self._held.traces, self.config.num_traces)

    def _add(self, source: Source, batches: Sequence[Batch], now: float) -> None:
        joined = join(batches)
        try:
            view = kernels.scan(Signal.TRACES, joined.payload)
        except kernels.MalformedPayload as error:
            if len(batches) > 1:
                for batch in batches:
                    self._add(source, [batch], now)
                return
            self.telemetry.log.error("spans that cannot be read were left out", reason=str(error), items=joined.items)
            self.left_out.add(joined.items, reason="malformed")
            return
        index = kernels.TraceIndex(view)
        keys = keys_of(source, index)
        targets = self._targets(keys, now, joined.arrived_unix_nano)
        if self.config.decision_wait_after_root_received:
            self._note_roots(index, keys, targets, now)
        if self.config.maximum_trace_size_bytes:
            self._leave_out_too_large(index, keys, targets, now)
        numbers = {target: number for number, target in enumerate(dict.fromkeys(targets))}
        parts = list(map(numbers.__getitem__, targets))
        for (target, number), part in zip(numbers.items(), split(index, parts, len(numbers)), strict=True):
            if isinstance(target, Cohort):
                self._held.add(target, source, part.payload, part.items)
            elif isinstance(target, Remembered):
                self._follow(source, target, part, joined.arrived_unix_nano)
                self.late_age.record(now - target.at, parts.count(number))
            else:
                self.left_out.add(part.items, reason=target.reason)

    def _targets(self, keys: Sequence[bytes], now: float, arrived_unix_nano: int) -> list[Target]:
        """Where the spans of each trace go; a new trace is admitted."""
        targets: list[Target] = []
        new = 0
        for key, cohort in zip(keys, self._held.find(keys), strict=True):
            target: Target | None = cohort or self._memory.get(key)
            if target is None:
                new += 1
                target = self._held.admit(key, now, arrived_unix_nano)
            targets.append(target)
        self.new.add(new)
        return targets

    def _follow(self, source: Source, remembered: Remembered, view: "kernels.View", arrived_unix_nano: int) -> None:
        """Do with late spans what was done with their traces."""
        verdict = remembered.verdict
        if remembered.is_cached:
            self.released.add(view.items, sampled="true" if verdict.is_kept else "false")
        if not verdict.is_kept:
            self.left_out.add(view.items, reason=verdict.reason)
            return
        if self._recorder is not None:
            view = self._recorder.recorded(view, verdict, is_late=True)
        self._outbox.put(source, view, arrived_unix_nano)

    def _note_roots(
        self,
        index: "kernels.TraceIndex",
        keys: Sequence[bytes],
        targets: Sequence[Target],
        now: float,
    ) -> None:
        due = now + self.config.decision_wait_after_root_received
        for key, target, marks in zip(keys, targets, index.marks, strict=True):
            if marks & ROOT_MARK and isinstance(target, Cohort) and due < self._due_at(target):
                self._roots.append((due, key, target))

    def _leave_out_too_large(
        self,
        index: "kernels.TraceIndex",
        keys: Sequence[bytes],
        targets: list[Target],
        now: float,
    ) -> None:
        """Let go of traces that have become too large; what comes of them goes nowhere."""
        by_cohort: dict[Cohort, set[bytes]] = {}
        for number, (key, target, size) in enumerate(zip(keys, targets, sizes_of(index), strict=True)):
            if isinstance(target, Cohort):
                size += target.trace_sizes.get(key, 0)
                target.trace_sizes[key] = size
                if size > self.config.maximum_trace_size_bytes:
                    by_cohort.setdefault(target, set()).add(key)
                    targets[number] = TOO_LARGE
        for cohort, gone in by_cohort.items():
            taken = self._held.take_out(cohort, gone)
            self.left_out.add(sum(view.items for views in taken.values() for view in views), reason=TOO_LARGE.reason)
            self.too_large.add(len(gone))
            self.removal_age.record(now - cohort.opened, len(gone))
            self._memory.put(list(gone), [TOO_LARGE] * len(gone), now)

    # What goes.

    def _due_at(self, cohort: Cohort) -> float:
        """When all traces of a cohort have waited for long enough."""
        return cohort.opened + self._tick_s + self.config.decision_wait

    def _due(self, now: float) -> list[Cohort]:
        """The oldest cohorts that are due, as many as are decided on together."""
        cohorts: list[Cohort] = []
        size_bytes = 0
        while (oldest := self._held.oldest) and self._due_at(oldest) <= now and size_bytes < DECIDED_BYTES:
            cohorts.append(self._held.pop())
            size_bytes += oldest.size_bytes
        return cohorts

    def _due_by_root(self, now: float) -> dict[Cohort, set[bytes]]:
        """Traces that are due because of their root, by their cohorts."""
        due: dict[Cohort, set[bytes]] = {}
        while self._roots and self._roots[0][0] <= now:
            _, key, cohort = self._roots.popleft()
            if self._held.find([key]) == [cohort]:
                due.setdefault(cohort, set()).add(key)
        return due

    def _make_room(self, now: float) -> None:
        """Decide on the oldest traces as long as there are too many, or they are too large."""
        while self._held.oldest is not None:
            if self._held.traces > self.config.num_traces:
                reason = "num_traces"
            elif self._held.size_bytes > self._most_bytes:
                reason = "max_held_mib"
            else:
                return
            cohort = self._held.pop()
            self.early.add(cohort.traces, reason=reason)
            self.too_early.add(cohort.traces)
            self._decide([cohort], now)

    def _decide(self, cohorts: Iterable[Cohort], now: float) -> None:
        """Decide on all traces of cohorts, which are not held any more."""
        cohorts = list(cohorts)
        views = merged([cohort.views() for cohort in cohorts])
        for cohort in cohorts:
            self.removal_age.record(now - cohort.opened, cohort.traces)
        self._decide_on(views, min(cohort.arrived_unix_nano for cohort in cohorts), now)

    def _decide_on(self, views: Views, arrived_unix_nano: int, now: float) -> None:
        """Hand on what is kept of whole traces."""
        for of_tenant in by_tenant(views):
            by_source = {source: kernels.concat(of) for source, of in of_tenant.items()}
            traces = Traces(kernels.concat(list(by_source.values())), now)
            verdicts = self._decider.decide(traces)
            keys = keys_of(next(iter(by_source)), traces.index)
            self._held.forget(keys)
            self._memory.leave_room(self._held.traces, self.config.num_traces)
            self._memory.put(keys, verdicts, now)
            by_id = dict(zip(traces.ids, verdicts, strict=True)) if len(by_source) > 1 else {}
            for source, view in by_source.items():
                index = kernels.TraceIndex(view) if by_id else traces.index
                its = [by_id[trace_id] for trace_id in ids_of(index)] if by_id else verdicts
                self._hand_on(source, view, index, its, arrived_unix_nano)

    def _hand_on(
        self,
        source: Source,
        view: "kernels.View",
        index: "kernels.TraceIndex",
        verdicts: Sequence[Verdict],
        arrived_unix_nano: int,
    ) -> None:
        numbers = {verdict: number for number, verdict in enumerate(set(verdicts) - {LEFT_OUT})}
        kept: list[kernels.View] = []
        if numbers:
            parts = split(index, [numbers.get(verdict, len(numbers)) for verdict in verdicts], len(numbers))
            for verdict, part in zip(numbers, parts, strict=True):
                kept.append(self._recorder.recorded(part, verdict) if self._recorder else part)
            self._outbox.put(source, kernels.concat(kept), arrived_unix_nano)
        self.left_out.add(view.items - sum(part.items for part in kept), reason="sampled")

    def _lose(self, items: int, reason: str) -> None:
        self.left_out.add(items, reason=reason)
