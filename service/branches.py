"""Who hands on to whom, in items, for the ledger: sums that stay true when a reload changes it.

Counters begin with what they belong to, and a reload makes an exporter join a pipeline that has run for long. So for
every way from a source to a target it is noted what the source had handed on when the way was opened.
"""

from collections import Counter as Numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from airis.component import Kind, Metrics
from airis.component.ledger import LeftOut
from airis.component.telemetry import HELD, LEFT_OUT, MADE, UNACKNOWLEDGED
from airis.data import Signal
from airis.service.fan_out import Copies
from airis.service.observe import PIPELINE_ACCEPTED, PIPELINE_HANDED_ON
from airis.service.plan import Entry, Place, Plan, Stage


@dataclass(frozen=True, slots=True)
class Source:
    """Where items of one signal come from: a receiver, or a pipeline."""

    stage: Stage
    signal: Signal


Way = tuple[Source, Stage]


@dataclass(frozen=True, slots=True)
class Amounts:
    """What went through a pipeline since some moment."""

    accepted: int
    made: int
    left_out: Mapping[tuple[str, str], int]
    """By component and reason."""
    held: int
    unacknowledged: int = 0

    def lines(self) -> tuple[LeftOut, ...]:
        """What was left out, without zeros."""
        return tuple(LeftOut(who, why, items) for (who, why), items in self.left_out.items() if items)


NOTHING = Amounts(0, 0, {}, 0)


class Branches:
    """What every target is owed by its sources."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._ways: dict[Way, Amounts] = {}
        """That are open, with what had gone through before."""
        self._copies: dict[Source, Copies] = {}
        self._gone: Numbers[tuple[Stage, Signal]] = Numbers()
        """What a target was given by sources that do not lead to it any more."""
        self._processors: dict[str, set[Place]] = {}
        """By pipeline, also those that were taken out of the configuration and are not forgotten yet."""
        self._behind_connectors: set[Entry] = set()
        """Pipelines that a connector feeds, or has fed: nobody knows how much of what they took came from receivers."""
        self._retired: dict[str, Amounts] = {}
        """By pipeline, of processors that are gone."""

    # Changes

    def become(self, plan: Plan) -> None:
        """The ways are those of the plan from now on; nothing moves on those that change."""
        ways = set(ways_of(plan))
        for way in self._ways.keys() - ways:
            source, target = way
            self._gone[target, source.signal] += self.given(way)
            copies = self.copies(source)
            del self._ways[way], copies.ahead[target]
        for way in ways - self._ways.keys():
            self._ways[way] = self._before(way[0])
        for place in plan.components:
            if place.kind is Kind.PROCESSOR:
                self._processors.setdefault(place.pipeline, set()).add(place)
        for stage, outlets in plan.targets.items():
            if isinstance(stage, Place) and stage.kind is Kind.CONNECTOR:
                fed = (target for targets in outlets.values() for target in targets)
                self._behind_connectors.update(target for target in fed if isinstance(target, Entry))

    def _before(self, source: Source) -> Amounts:
        """What a new target is not owed. What is held is still to come, to it as well."""
        if not isinstance(source.stage, Entry):
            return Amounts(self._received(source), 0, {}, 0)
        so_far = self.through(source.stage.pipeline)
        accepted = self.handed_on(source.stage.pipeline) + sum(so_far.left_out.values())
        return replace(so_far, accepted=accepted - so_far.made - so_far.unacknowledged, held=0)

    def retire(self, place: Place) -> None:
        """A component is about to be forgotten: what it left out stays in the sums of its pipeline."""
        if place.kind is Kind.PROCESSOR:
            own = self.own(place)
            before = self._retired.get(place.pipeline, NOTHING)
            self._retired[place.pipeline] = total([before, replace(own, held=0)])
            self._processors.get(place.pipeline, set()).discard(place)
        self._forget(place)

    def retire_pipeline(self, pipeline: str) -> None:
        """A pipeline is about to be forgotten."""
        self._retired.pop(pipeline, None)
        self._processors.pop(pipeline, None)
        self._behind_connectors.discard(Entry(pipeline))
        self._forget(Entry(pipeline))

    def _forget(self, target: Stage) -> None:
        for signal in Signal:
            self._gone.pop((target, signal), None)

    def copies(self, source: Source) -> Copies:
        """For the fan-out behind a source."""
        return self._copies.setdefault(source, Copies())

    # Looking

    def received(self, entry: Entry, signal: Signal) -> int | None:
        """What receivers were acknowledged for by a pipeline; None where a connector feeds it, or has done so."""
        if entry in self._behind_connectors:
            return None
        return self._gone[entry, signal] + sum(self.given(way) for way in self._ways if way[1] == entry)

    def given(self, way: Way) -> int:
        """Items that the target was given on this way, by what the source was acknowledged for."""
        source, target = way
        before, copies = self._ways[way], self.copies(source)
        if isinstance(source.stage, Entry):
            passed = self.handed_on(source.stage.pipeline) + sum(before.left_out.values())
            passed -= before.accepted + before.made + before.unacknowledged
        else:
            passed = self._received(source) - before.accepted
        return passed + copies.ahead[target]

    def before(self, target: Stage, signal: Signal) -> int:
        """What the target was given by sources that do not lead to it any more."""
        return self._gone[target, signal]

    def owed(self, source: Source, target: Stage) -> Amounts:
        """What a pipeline accepted since the target is one of its ends, and what it left out of that, or holds."""
        assert isinstance(source.stage, Entry)
        return _difference(self.through(source.stage.pipeline), self._ways[source, target])

    def through(self, pipeline: str) -> Amounts:
        """What went through a pipeline since its start."""
        own = [self.own(place) for place in self._processors.get(pipeline, ())]
        accepted = _whole(self._metrics.of(PIPELINE_ACCEPTED, "pipeline", pipeline))
        return total([Amounts(accepted, 0, {}, 0), self._retired.get(pipeline, NOTHING), *own])

    def handed_on(self, pipeline: str) -> int:
        """What all ends of a pipeline together acknowledged."""
        return _whole(self._metrics.of(PIPELINE_HANDED_ON, "pipeline", pipeline))

    def _received(self, source: Source) -> int:
        assert isinstance(source.stage, Place)
        name = f"otelcol_receiver_accepted_{source.signal.item}"
        return _whole(self._metrics.of(name, Kind.RECEIVER, source.stage.component_id))

    def own(self, place: Place) -> Amounts:
        """What a processor or a connector says of itself."""

        def values(name: str) -> Mapping[tuple[tuple[str, str], ...], float]:
            return self._metrics.of(name.format(kind=place.kind), place.kind, place.component_id, place.pipeline)

        left_out = {
            (str(place), dict(labels).get("reason", "")): int(items) for labels, items in values(LEFT_OUT).items()
        }
        return Amounts(0, _whole(values(MADE)), left_out, _whole(values(HELD)), _whole(values(UNACKNOWLEDGED)))


def ways_of(plan: Plan) -> Iterable[Way]:
    """Receivers to pipelines, and pipelines to exporters and connectors."""
    for pipeline in plan.configuration.pipelines.values():
        source = Source(Entry(pipeline.pipeline_id), pipeline.signal)
        for end in plan.ends[pipeline.pipeline_id]:
            yield source, end
    for stage, outlets in plan.targets.items():
        if isinstance(stage, Place) and stage.kind is Kind.RECEIVER:
            for outlet, targets in outlets.items():
                assert isinstance(outlet, Signal)
                for target in targets:
                    yield Source(stage, outlet), target


def _whole(values: Mapping[tuple[tuple[str, str], ...], float]) -> int:
    return int(sum(values.values()))


def total(amounts: Iterable[Amounts]) -> Amounts:
    """Together."""
    accepted = made = held = unacknowledged = 0
    left_out: Numbers[tuple[str, str]] = Numbers()
    for each in amounts:
        accepted, made, held = accepted + each.accepted, made + each.made, held + each.held
        unacknowledged += each.unacknowledged
        left_out.update(each.left_out)
    return Amounts(accepted, made, left_out, held, unacknowledged)


def _difference(now: Amounts, before: Amounts) -> Amounts:
    left_out = {key: items - before.left_out.get(key, 0) for key, items in now.left_out.items()}
    unacknowledged = now.unacknowledged - before.unacknowledged
    return Amounts(now.accepted - before.accepted, now.made - before.made, left_out, now.held, unacknowledged)
