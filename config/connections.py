"""What connectors do between pipelines: each has two ends that fit, and there is no circle."""

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from airis.component import Factory, Kind
from airis.config.errors import Findings
from airis.config.reading import Configured, ReadPipeline, Reference
from airis.data import Signal

Uses = dict[Signal, Reference]
"""Where a connector stands first in a pipeline of each signal."""


def check_connections(pipelines: Sequence[ReadPipeline], configured: Configured, findings: Findings) -> None:
    """Report connectors that connect nothing, or signals that they cannot turn into each other, and circles."""
    connectors = {
        connector_id: factory
        for connector_id, factory in configured.factories[Kind.CONNECTOR].items()
        if not any(connector_id in configured.ids[kind] for kind in (Kind.RECEIVER, Kind.EXPORTER))
    }
    for connector_id, factory in connectors.items():
        uses = [_uses(pipelines, kind, connector_id) for kind in (Kind.EXPORTER, Kind.RECEIVER)]
        if all(pipeline.signal for found in uses for pipeline, _ in found):
            ends, begins = ({p.signal: reference for p, reference in reversed(found) if p.signal} for found in uses)
            for rule, reference, message in _mistakes(list(factory.conversions), ends, begins):
                findings.error(rule, reference.mark, reference.path, f'connector "{connector_id}" {message}')
    _check_circles(pipelines, connectors, findings)


def listed(names: Iterable[str], word: str = "and") -> str:
    """``traces``, ``traces and logs``, ``traces, metrics and logs``."""
    *others, last = names
    return f"{', '.join(others)} {word} {last}" if others else last


def _uses(pipelines: Sequence[ReadPipeline], kind: Kind, connector_id: str) -> list[tuple[ReadPipeline, Reference]]:
    """Where a connector stands among the receivers, or the exporters."""
    return [
        (pipeline, reference)
        for pipeline in pipelines
        for reference in pipeline.references[kind]
        if reference.component_id == connector_id
    ]


def _mistakes(conversions: list[tuple[Signal, Signal]], ends: Uses, begins: Uses) -> list[tuple[str, Reference, str]]:
    """What is wrong with a connector that ends some pipelines and begins others: the rule, where, and what."""
    takes = dict.fromkeys(taken for taken, _ in conversions)
    gives = dict.fromkeys(given for _, given in conversions)
    refused = [
        (end, f"does not take {signal}, only {listed(takes)}") for signal, end in ends.items() if signal not in takes
    ]
    refused += [
        (begin, f"does not give {signal}, only {listed(gives)}")
        for signal, begin in begins.items()
        if signal not in gives
    ]
    if refused:  # with a wrong signal at one side there is nothing to connect the other side with
        return [("unsupported-signal", reference, message) for reference, message in refused]
    loose: list[tuple[Reference, str]] = []
    for signal, end in ends.items():
        needed = [given for taken, given in conversions if taken is signal]
        if begins.keys().isdisjoint(needed):
            wanted = listed(needed, "or")
            loose.append((end, f"hands on {wanted}, but no {wanted} pipeline has it as a receiver; add it to one"))
    for signal, begin in begins.items() if not loose else ():
        needed = [taken for taken, given in conversions if given is signal]
        if ends.keys().isdisjoint(needed):
            wanted = listed(needed, "or")
            loose.append(
                (begin, f"makes {signal} of {wanted}, but no {wanted} pipeline has it as an exporter; add it to one")
            )
    return [("unconnected-connector", reference, message) for reference, message in loose]


def _check_circles(pipelines: Sequence[ReadPipeline], connectors: dict[str, Factory], findings: Findings) -> None:
    """Report every circle of pipelines with the connectors that close it."""
    links: dict[tuple[str, str], Reference] = {}
    for connector_id, factory in connectors.items():
        for pipeline, reference in _uses(pipelines, Kind.EXPORTER, connector_id):
            for other, _ in _uses(pipelines, Kind.RECEIVER, connector_id):
                if (pipeline.signal, other.signal) in factory.conversions:
                    links.setdefault((pipeline.pipeline_id, other.pipeline_id), reference)
    order = {pipeline.pipeline_id: number for number, pipeline in enumerate(pipelines)}
    while circle := _circle(links):
        first = circle.index(min(circle, key=order.__getitem__))
        circle = [*circle[first:], *circle[:first], circle[first]]
        steps = list(pairwise(circle))
        path = " -> ".join([circle[0], *(f"{links[step].component_id} -> {step[1]}" for step in steps)])
        begin = links[steps[0]]
        findings.error("cycle", begin.mark, begin.path, f"goes in a circle: {path}")
        for step in steps:
            links.pop(step, None)


def _circle(links: Iterable[tuple[str, str]]) -> list[str]:
    """The pipelines of one circle, in the order of the data; empty if there is none."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for source, target in links:
        sorter.add(target, source)
    try:
        sorter.prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found[:-1]
    return []
