"""airis's own metrics as Prometheus' text, under the Collector's names."""

import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from airis import __version__
from airis.component import Counter, Gauge, Histogram, Kind, Metrics
from airis.component.memory import read_resident_bytes
from airis.component.telemetry import Instrument, Labels, Level, Metric
from airis.config.telemetry import Attribute, PrometheusConfig
from airis.proto.prometheus_names import family_name, label_name

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Never OpenMetrics, whatever the scraper prefers: that form wants ``_total`` and would change the names."""

_VERBOSITY: Sequence[Level] = ("basic", "normal", "detailed")
_STARTED = time.monotonic()
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_:]")
_SECTIONS: Mapping[str, str] = {kind.value: kind.section for kind in Kind}

Line = tuple[str, Mapping[str, str], float]
"""A sample: the family's name or one with a suffix, labels, value."""


class Exposition:
    """The text of one reader: its level, names and labels."""

    def __init__(
        self, metrics: Metrics, level: Level, options: PrometheusConfig, resource: Mapping[str, Attribute]
    ) -> None:
        self.metrics = metrics
        self.options = options
        self.told = _VERBOSITY[: _VERBOSITY.index(level) + 1]
        """The levels whose metrics are in it."""
        self.resource = {label_name(name): label_value(value) for name, value in resource.items()}
        constant = options.with_resource_constant_labels
        self.constant = {
            label_name(name): label_value(value) for name, value in resource.items() if constant and constant.take(name)
        }

    def text(self) -> str:
        """All families in the order of their names."""
        families: dict[str, list[Metric]] = {}
        for metric in (*self.metrics, *process_metrics()):
            if metric.level in self.told:
                families.setdefault(self._name(metric), []).append(metric)
        written = {name: self._family(name, same_name) for name, same_name in families.items()}
        if self.resource:
            line = _written("target_info", self.resource, 1)
            written["target_info"] = _head("target_info", "gauge", "Target metadata.") + line
        return "".join(written[name] for name in sorted(written))

    def _name(self, metric: Metric) -> str:
        suffix_of_type, suffix_of_unit = not self.options.without_type_suffix, not self.options.without_units
        if not suffix_of_type and not suffix_of_unit:
            return _NOT_IN_NAME.sub("_", metric.name)
        counter, gauge = isinstance(metric.instrument, Counter), isinstance(metric.instrument, Gauge)
        return family_name(
            metric.name,
            metric.unit if suffix_of_unit else "",
            counter=counter and suffix_of_type,
            gauge=gauge and suffix_of_unit,
        )

    def _family(self, name: str, metrics: Sequence[Metric]) -> str:
        first = metrics[0]
        lines = [
            _written(line, labels, value)
            for metric in metrics
            if type(metric.instrument) is type(first.instrument)
            for line, labels, value in _samples(name, metric.instrument, self._labels(metric))
        ]
        return _head(name, type(first.instrument).__name__.lower(), first.description) + "".join(lines)

    def _labels(self, metric: Metric) -> dict[str, str]:
        scope = {} if self.options.without_scope_info else _scope(metric)
        return {**self.constant, **scope, **{label_name(name): value for name, value in metric.attributes}}


def process_metrics() -> Iterator[Metric]:
    """What the process uses.

    Of the Collector's runtime metrics the two about the heap are left out: Python's objects are in its own arenas, in
    malloc's and in those of native code, and nothing counts the bytes of all three.
    """
    cpu = os.times()
    uptime, seconds = Counter(), Counter()
    uptime.add(time.monotonic() - _STARTED)
    seconds.add(cpu.user + cpu.system)
    yield Metric("otelcol_process_uptime", "s", "Uptime of the process, in seconds.", (), uptime)
    yield Metric("otelcol_process_cpu_seconds", "s", "CPU time of the process, in seconds.", (), seconds)
    resident = Gauge(read_resident_bytes)
    yield Metric("otelcol_process_memory_rss", "By", "Resident memory of the process, in bytes.", (), resident)
    if (mapped := read_mapped_bytes()) is not None:
        yield Metric(
            "otelcol_process_runtime_total_sys_memory_bytes",
            "By",
            "Memory that the process got from the system for data and stacks, resident or not, in bytes.",
            (),
            Gauge(lambda: mapped),
        )


def read_mapped_bytes(proc: Path = Path("/proc")) -> int | None:
    """Memory mapped for data and stacks, from Linux's ``statm``; None where there is no such file."""
    try:
        return int((proc / "self/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        return None


def label_value(value: Attribute) -> str:
    """An attribute as the text of a label."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _scope(metric: Metric) -> dict[str, str]:
    """The scope of an instrument: the module of the component that has it."""
    name = "airis.service"
    for kind, component_id in metric.attributes[:1]:
        if kind in _SECTIONS:
            name = f"airis.{_SECTIONS[kind]}.{component_id.partition('/')[0]}"
    return {"otel_scope_name": name, "otel_scope_version": __version__}


def _samples(name: str, instrument: Instrument, own: Mapping[str, str]) -> Iterable[Line]:
    if isinstance(instrument, Histogram):
        yield from _buckets(name, instrument, own)
        return
    values = instrument.samples() if isinstance(instrument, Gauge) else dict(instrument.values) or {(): 0.0}
    for measured, value in values.items():
        yield name, {**own, **_named(measured)}, value


def _buckets(name: str, histogram: Histogram, own: Mapping[str, str]) -> Iterable[Line]:
    below = 0
    for bound, count in zip((*histogram.bounds, float("inf")), list(histogram.counts), strict=True):
        below += count
        yield f"{name}_bucket", {**own, "le": _number(bound)}, below
    yield f"{name}_sum", own, histogram.sum
    yield f"{name}_count", own, below


def _named(labels: Labels) -> dict[str, str]:
    return {label_name(name): value for name, value in labels}


def _head(name: str, kind: str, description: str) -> str:
    escaped = description.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {escaped}\n# TYPE {name} {kind}\n"


def _written(name: str, labels: Mapping[str, str], value: float) -> str:
    pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in sorted(labels.items()))
    return f"{name}{{{pairs}}} {_number(value)}\n" if pairs else f"{name} {_number(value)}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    """The shortest text that is read as this number: ``3``, ``0.5``, ``+Inf``."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(repr(float(value)), "NaN")
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
