"""Statements and conditions tried out on a request, with what becomes of each item."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import ndiff
from typing import Any

from airis.data import Signal, kernels
from airis.ottl.compiler import Compiler
from airis.ottl.contexts import CONTEXTS, Here
from airis.ottl.explaining import is_statement
from airis.ottl.functions import FILTER, TRANSFORM
from airis.ottl.payload import here_of
from airis.ottl.values import EvaluationError
from airis.proto.otlp import parse

_ROOTS = {"resourceSpans": Signal.TRACES, "resourceMetrics": Signal.METRICS, "resourceLogs": Signal.LOGS}
_INSIDE = {
    "resource": ("resourceSpans", "resourceMetrics", "resourceLogs"),
    "scope": ("scopeSpans", "scopeMetrics", "scopeLogs"),
    "item": ("spans", "metrics", "logRecords"),
    "point": ("dataPoints",),
}


class NoSample(ValueError):
    """Something that is no request in OTLP/JSON: why."""


@dataclass(frozen=True)
class Sample:
    """A request to try things out on."""

    signal: Signal
    payload: bytes

    @classmethod
    def read(cls, document: bytes) -> "Sample":
        """From OTLP/JSON; raises NoSample."""
        try:
            content: Any = json.loads(document)
        except ValueError as error:
            raise NoSample(f"it is no JSON: {error}") from error
        signal = next((_ROOTS[name] for name in _ROOTS if isinstance(content, dict) and name in content), None)
        if signal is None:
            raise NoSample(f"it is no OTLP/JSON: there is none of {', '.join(_ROOTS)} in it")
        try:
            return cls(signal, kernels.from_json(signal, document))
        except kernels.MalformedPayload as error:
            raise NoSample(str(error)) from error


@dataclass(frozen=True)
class Result:
    """What came of one item."""

    name: str
    """Which it is: ``span 1 "GET /"``."""
    answer: str
    """``changed``, ``not changed``, ``where does not hold``, ``holds``, ``does not hold``, or the error."""
    lines: tuple[str, ...] = ()
    """Of the item before and after, with ``- `` and ``+ `` in front."""


@dataclass(frozen=True)
class Outcome:
    """What came of a request."""

    results: tuple[Result, ...]
    payload: bytes


def tried(text: str, context: str, sample: Sample) -> Outcome:
    """Carry a statement out, or ask a condition, item by item; raises OttlError."""
    known = CONTEXTS[context]
    request = parse(sample.signal, sample.payload)
    if is_statement(text):
        statement = Compiler(known, TRANSFORM).statement(text)
        said = [_done(statement, here) for here in here_of(sample.signal, request, context)]
    else:
        condition = Compiler(known, FILTER).condition(text)
        said = [_asked(condition, here) for here in here_of(sample.signal, request, context)]
    payload: bytes = request.SerializeToString()
    before, after = (_documents(sample.signal, each) for each in (sample.payload, payload))
    return Outcome(tuple(_results(context, said, before, after)), payload)


def _done(statement: Any, here: Here) -> str:
    try:
        return "" if statement(here) else "where does not hold"
    except EvaluationError as error:
        return f"error: {error}"


def _asked(condition: Any, here: Here) -> str:
    try:
        return "holds" if condition(here) else "does not hold"
    except EvaluationError as error:
        return f"error: {error}"


def _results(
    context: str, said: list[str], before: Mapping[str, list[Any]], after: Mapping[str, list[Any]]
) -> Iterator[Result]:
    """Of every item of the context, and of what else has changed."""
    for level, documents in after.items():
        for index, new in enumerate(documents):
            old: Mapping[str, Any] = before[level][index] if index < len(before[level]) else {}
            lines = tuple(_difference(old, new))
            answer = said[index] if level == context and index < len(said) else ""
            if answer or lines or level == context:
                yield Result(_name(level, index, old), answer or ("changed" if lines else "not changed"), lines)


def _name(level: str, index: int, document: Mapping[str, Any]) -> str:
    name = document.get("name")
    return f"{level} {index + 1}" + (f" {json.dumps(name, ensure_ascii=False)}" if isinstance(name, str) else "")


def _difference(old: Any, new: Any) -> Iterator[str]:
    if old != new:
        for line in ndiff(_lines(old), _lines(new)):
            if line[0] in "-+":
                yield line


def _lines(document: Mapping[str, Any]) -> list[str]:
    """Each field on a line, each attribute, too."""
    lines: list[str] = []
    for name, value in document.items():
        if name in ("attributes", "metadata", "filteredAttributes"):
            lines += [f"{name}[{_text(entry['key'])}] = {_text(entry.get('value'))}" for entry in value]
        else:
            lines.append(f"{name} = {_text(value)}")
    return lines


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _documents(signal: Signal, payload: bytes) -> Mapping[str, list[Any]]:
    """The JSON of every message of each context, without those in it that are items of their own."""
    found: dict[str, list[Any]] = {}

    def add(context: str, document: Mapping[str, Any], *inside: str) -> None:
        found.setdefault(context, []).append({name: v for name, v in document.items() if name not in inside})

    whole = json.loads(kernels.to_json(signal, payload))
    for owner in _members(whole, "resource"):
        add("resource", {**owner.get("resource", {}), **_schema_url(owner)})
        for scoped in _members(owner, "scope"):
            add("scope", {**scoped.get("scope", {}), **_schema_url(scoped)})
            for item in _members(scoped, "item"):
                _add_item(signal, item, add)
    return found


def _add_item(signal: Signal, item: Mapping[str, Any], add: Any) -> None:
    if signal is Signal.LOGS:
        add("log", item)
    elif signal is Signal.TRACES:
        add("span", item, "events", "links")
        for event in item.get("events", []):
            add("spanevent", event)
        for link in item.get("links", []):
            add("spanlink", link)
    else:
        kind = next((name for name, value in item.items() if isinstance(value, dict) and "dataPoints" in value), "")
        data = item.get(kind, {})
        add("metric", {**item, **({kind: {n: v for n, v in data.items() if n != "dataPoints"}} if kind else {})})
        for point in _members(data, "point"):
            add("datapoint", point, "exemplars")
            for exemplar in point.get("exemplars", []):
                add("exemplar", exemplar)


def _schema_url(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in holder.items() if name == "schemaUrl"}


def _members(holder: Mapping[str, Any], kind: str) -> list[Any]:
    return [member for name in _INSIDE[kind] for member in holder.get(name, [])]
