"""The attributes processor is for the items that ``include`` and ``exclude`` say, and leaves all others as they are."""

from typing import Any

import pytest

from airis.component import Permanent
from airis.component.testing import Sink
from airis.data import Signal

from .actions import action, processor
from .requests import attributes, batch, items

pytestmark = pytest.mark.usefixtures("either_back_end")

SPAN = {"name": "svcB", "kind": 2}
STRICT, REGEXP = {"match_type": "strict"}, {"match_type": "regexp"}
PROPERTIES: dict[str, tuple[Signal, dict[str, Any], dict[str, Any], bool]] = {
    "service": (Signal.TRACES, {**STRICT, "services": ["a", "shop"]}, {}, True),
    "other service": (Signal.TRACES, {**STRICT, "services": ["sho"]}, {}, False),
    "no service": (Signal.TRACES, {**REGEXP, "services": [".*"]}, {"resource": {}}, False),
    "service by pattern": (Signal.TRACES, {**REGEXP, "services": ["x", "h.p"]}, {}, True),
    "service by anchored pattern": (Signal.TRACES, {**REGEXP, "services": ["^hop"]}, {}, False),
    "span name": (Signal.TRACES, {**STRICT, "span_names": ["svcB"]}, SPAN, True),
    "part of a span name": (Signal.TRACES, {**STRICT, "span_names": ["svc"]}, SPAN, False),
    "span name by pattern": (Signal.TRACES, {**REGEXP, "span_names": ["c[AB]$"]}, SPAN, True),
    "span kind": (Signal.TRACES, {**STRICT, "span_kinds": ["SPAN_KIND_SERVER"]}, SPAN, True),
    "other span kind": (Signal.TRACES, {**STRICT, "span_kinds": ["SPAN_KIND_CLIENT"]}, SPAN, False),
    "span kind by pattern": (Signal.TRACES, {**REGEXP, "span_kinds": ["SERVER|CLIENT"]}, SPAN, True),
    "all of several": (Signal.TRACES, {**STRICT, "services": ["shop"], "span_names": ["svcB"]}, SPAN, True),
    "not all of several": (Signal.TRACES, {**STRICT, "services": ["shop"], "span_names": ["svcA"]}, SPAN, False),
    "attribute is there": (Signal.TRACES, {**STRICT, "attributes": [{"key": "test_request"}]}, {}, True),
    "attribute is not there": (Signal.TRACES, {**STRICT, "attributes": [{"key": "test"}]}, {}, False),
    "attribute": (Signal.TRACES, {**STRICT, "attributes": [{"key": "env", "value": "dev"}]}, {}, True),
    "number as text": (Signal.LOGS, {**STRICT, "attributes": [{"key": "test_request", "value": "123"}]}, {}, False),
    "number": (Signal.LOGS, {**STRICT, "attributes": [{"key": "test_request", "value": 123}]}, {}, True),
    "bool": (Signal.LOGS, {**STRICT, "attributes": [{"key": "flag", "value": False}]}, {}, True),
    "attribute by pattern": (Signal.LOGS, {**REGEXP, "attributes": [{"key": "env", "value": "^d.v$"}]}, {}, True),
    "number by pattern": (Signal.LOGS, {**REGEXP, "attributes": [{"key": "test_request", "value": "^12"}]}, {}, True),
    "all attributes": (
        Signal.TRACES,
        {**STRICT, "attributes": [{"key": "env", "value": "dev"}, {"key": "test_request", "value": False}]},
        {},
        False,
    ),
    "resource": (Signal.LOGS, {**STRICT, "resources": [{"key": "host.type", "value": "n1"}]}, {}, True),
    "other resource": (Signal.METRICS, {**STRICT, "resources": [{"key": "host.type", "value": "n2"}]}, {}, False),
    "resource of metrics": (Signal.METRICS, {**REGEXP, "resources": [{"key": "host.type", "value": "n."}]}, {}, True),
    "library": (Signal.TRACES, {**STRICT, "libraries": [{"name": "mongo"}]}, {}, True),
    "library of a version": (Signal.TRACES, {**STRICT, "libraries": [{"name": "mongo", "version": "3.8"}]}, {}, True),
    "other version": (Signal.TRACES, {**STRICT, "libraries": [{"name": "mongo", "version": "3"}]}, {}, False),
    "no version": (Signal.TRACES, {**STRICT, "libraries": [{"name": "mongo", "version": ""}]}, {}, False),
    "really no version": (
        Signal.TRACES,
        {**STRICT, "libraries": [{"name": "mongo", "version": ""}]},
        {"scope": ("mongo", "")},
        True,
    ),
    "one of two libraries": (
        Signal.LOGS,
        {**REGEXP, "libraries": [{"name": "redis"}, {"name": "^mon", "version": "^3"}]},
        {},
        True,
    ),
    "library of another's version": (
        Signal.LOGS,
        {**STRICT, "libraries": [{"name": "redis", "version": "3.8"}, {"name": "mongo", "version": "2"}]},
        {},
        False,
    ),
    "body": (Signal.LOGS, {**STRICT, "log_bodies": ["AUTH ok"]}, {"body": "AUTH ok"}, True),
    "body by pattern": (Signal.LOGS, {**REGEXP, "log_bodies": ["^AUTH.*"]}, {"body": "AUTH ok"}, True),
    "body that is a number": (Signal.LOGS, {**STRICT, "log_bodies": ["12"]}, {"body": 12}, True),
    "body that is a map": (Signal.LOGS, {**REGEXP, "log_bodies": ['"AUTH']}, {"body": {"k": "AUTH"}}, True),
    "no body, which is empty": (Signal.LOGS, {**STRICT, "log_bodies": [""]}, {}, True),
    "no body, by a pattern": (Signal.LOGS, {**REGEXP, "log_bodies": ["x", ".*"]}, {}, True),
    "no body": (Signal.LOGS, {**REGEXP, "log_bodies": [".+"]}, {}, False),
    "severity text": (Signal.LOGS, {**STRICT, "log_severity_texts": ["INFO"]}, {"severity_text": "INFO"}, True),
    "severity text by pattern": (
        Signal.LOGS,
        {**REGEXP, "log_severity_texts": ["debug.*"]},
        {"severity_text": "INFO"},
        False,
    ),
    "severity": (Signal.LOGS, {**STRICT, "log_severity_number": {"min": 9}}, {"severity_number": 9}, True),
    "less severity": (Signal.LOGS, {**STRICT, "log_severity_number": {"min": 9}}, {"severity_number": 8}, False),
    "no severity": (Signal.LOGS, {**STRICT, "log_severity_number": {"min": 0}}, {}, False),
    "no severity, which matches": (
        Signal.LOGS,
        {**STRICT, "log_severity_number": {"min": 9, "match_undefined": True}},
        {},
        True,
    ),
    "metric name": (Signal.METRICS, {**STRICT, "metric_names": ["requests"]}, {"name": "requests"}, True),
    "metric name by pattern": (Signal.METRICS, {**REGEXP, "metric_names": ["^re", "x"]}, {"name": "requests"}, True),
    "other metric name": (Signal.METRICS, {**STRICT, "metric_names": ["request"]}, {"name": "requests"}, False),
    "a cache has no effect": (
        Signal.TRACES,
        {**REGEXP, "regexp": {"cacheenabled": True, "cachemaxnumentries": 1}, "span_names": ["B"]},
        SPAN,
        True,
    ),
}


@pytest.mark.parametrize("side", ["include", "exclude"])
@pytest.mark.parametrize(("signal", "properties", "fields", "matches"), PROPERTIES.values(), ids=PROPERTIES)
async def test_is_for_the_items_that_are_included_and_not_excluded(
    signal: Signal, properties: dict[str, Any], fields: dict[str, Any], matches: bool, side: str
) -> None:
    sink = Sink()
    own = {"env": "dev", "test_request": 123, "flag": False}
    around = {"resource": {"service.name": "shop", "host.type": "n1"}, "scope": ("mongo", "3.8")}
    given = batch(signal, own, **{**around, **fields})

    await processor([action("env", "delete")], sink, **{side: properties}).consume(given)

    is_changed = matches if side == "include" else not matches
    assert [("env" not in found) for found in attributes(items(sink.batches[0]))] == [is_changed] * given.items
    assert (sink.batches[0] is given) is not is_changed


async def test_excludes_from_what_is_included() -> None:
    sink = Sink()
    include = {**STRICT, "services": ["svcA", "svcB"]}
    exclude = {**STRICT, "attributes": [{"key": "redact_trace", "value": False}]}
    selective = processor([action("credit_card", "delete")], sink, include=include, exclude=exclude)
    cards = [{"credit_card": 1234, "redact_trace": value} for value in ("false", True, False)]

    await selective.consume(batch(Signal.TRACES, *cards, resource={"service.name": "svcB"}))
    await selective.consume(batch(Signal.TRACES, *cards, resource={"service.name": "svcC"}))

    kept = [["credit_card" in found for found in attributes(items(b))] for b in sink.batches]
    assert kept == [[False, False, True], [True, True, True]]
    assert sink.items == 6


async def test_items_that_cannot_be_told_by_it_are_refused_for_good() -> None:
    sink = Sink()
    spans = processor([action("a", "delete")], sink, include={**STRICT, "span_names": ["x"]})

    with pytest.raises(Permanent, match="include: span_names cannot be matched in logs"):
        await spans.consume(batch(Signal.LOGS, {"a": 1}))

    assert sink.items == 0
