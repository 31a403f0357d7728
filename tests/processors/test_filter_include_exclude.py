"""The oldest forms of the filter: metrics, log records and spans are included and excluded as the Collector does it."""

from typing import Any

import pytest
from pydantic import ValidationError

from airis.data import Batch, Signal
from airis.processors.filter import FilterConfig
from airis.proto import otlp

from .requests import batch, pairs
from .test_filter import A, left

pytestmark = pytest.mark.usefixtures("either_back_end")


def named(*names: str) -> Batch:
    """Metrics with these names, each with two points of its kind, which have it as the attribute n."""
    request = otlp.layout(Signal.METRICS).request()
    owner = request.resource_metrics.add()
    owner.resource.attributes.extend(pairs({"host": "h1"}))
    scoped = owner.scope_metrics.add()
    for name in names:
        metric = scoped.metrics.add(name=name)
        for _ in range(2):
            metric.gauge.data_points.add().attributes.extend(pairs({"n": name}))
    return Batch(Signal.METRICS, request.SerializeToString(), 2 * len(names))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"include": {"match_type": "strict", "metric_names": ["a.b", "x"]}}, ["a.b"]),
        ({"exclude": {"match_type": "strict", "metric_names": ["a.b", "x"]}}, ["ab", "aab"]),
        ({"include": {"match_type": "regexp", "metric_names": ["^a.?b$"]}}, ["a.b", "ab", "aab"]),
        ({"exclude": {"match_type": "regexp", "metric_names": ["a{2}"]}}, ["a.b", "ab"]),
        (
            {
                "include": {"match_type": "regexp", "metric_names": ["b"]},
                "exclude": {"match_type": "strict", "metric_names": ["ab"]},
            },
            ["a.b", "aab"],
        ),
        ({"include": {"match_type": "strict", "resource_attributes": [{"key": "host", "value": "h1"}]}}, None),
        ({"include": {"match_type": "strict", "resource_attributes": [{"key": "host", "value": "h2"}]}}, []),
        ({"include": {"match_type": "regexp", "resource_attributes": [{"key": "host", "value": "h[0-9]"}]}}, None),
        ({"exclude": {"match_type": "strict", "resource_attributes": [{"key": "host"}]}}, []),
        (
            {
                "include": {
                    "match_type": "strict",
                    "metric_names": ["ab"],
                    "resource_attributes": [{"key": "host", "value": "h1"}],
                }
            },
            ["ab"],
        ),
        (  # either is enough to be left out
            {
                "exclude": {
                    "match_type": "strict",
                    "metric_names": ["ab"],
                    "resource_attributes": [{"key": "host", "value": "h2"}],
                }
            },
            ["a.b", "aab"],
        ),
        ({"include": {"match_type": "strict"}, "regexp": {"cacheenabled": True}}, None),
        ({}, None),
    ],
)
async def test_metrics_can_be_included_and_excluded(options: dict[str, Any], expected: list[str] | None) -> None:
    names = ["a.b", "ab", "aab"] if expected is None else expected
    assert await left({"metrics": options}, named("a.b", "ab", "aab")) == [{"n": name} for name in names for _ in "12"]


@pytest.mark.parametrize(
    ("options", "is_kept"),
    [
        ({"include": {"match_type": "strict", "bodies": ["GET /"]}}, True),
        ({"include": {"match_type": "strict", "bodies": ["GET"]}}, False),
        ({"include": {"match_type": "regexp", "bodies": ["^GET"]}}, True),
        ({"exclude": {"match_type": "regexp", "bodies": ["^GET"]}}, False),
        ({"include": {"match_type": "strict", "severity_texts": ["WARN", "INFO"]}}, True),
        ({"include": {"match_type": "strict", "severity_texts": ["INFO"]}}, False),
        ({"include": {"match_type": "strict", "record_attributes": [{"key": "k", "value": "a"}]}}, True),
        ({"include": {"match_type": "strict", "record_attributes": [{"key": "k", "value": "b"}]}}, False),
        ({"exclude": {"match_type": "strict", "record_attributes": [{"key": "k"}]}}, False),
        ({"include": {"match_type": "regexp", "resource_attributes": [{"key": "h", "value": "h."}]}}, True),
        ({"include": {"severity_number": {"min": "WARN"}}}, True),
        ({"include": {"severity_number": {"min": "warn2"}}}, False),
        ({"include": {"severity_number": {"min": "13"}}}, True),
        ({"exclude": {"severity_number": {"min": "INFO4"}}}, False),
        ({"exclude": {"severity_number": {"min": "ERROR"}}}, True),
        (
            {
                "include": {"match_type": "strict", "bodies": ["GET /"], "severity_texts": ["INFO"]},
            },
            False,
        ),
        ({"include": {}}, True),
    ],
)
async def test_log_records_can_be_included_and_excluded(options: dict[str, Any], is_kept: bool) -> None:
    given = batch(Signal.LOGS, A, resource={"h": "h1"}, body="GET /", severity_text="WARN", severity_number=13)
    assert await left({"logs": options}, given) == ([A] if is_kept else [])


@pytest.mark.parametrize(("match_undefined", "is_kept"), [(True, True), (False, False)])
async def test_log_records_without_a_severity_can_match(match_undefined: bool, is_kept: bool) -> None:
    options = {"include": {"severity_number": {"min": "INFO", "match_undefined": match_undefined}}}
    assert await left({"logs": options}, batch(Signal.LOGS, A)) == ([A] if is_kept else [])


@pytest.mark.parametrize(
    ("options", "is_kept"),
    [
        ({"include": {"match_type": "strict", "services": ["shop"]}}, True),
        ({"include": {"match_type": "strict", "services": ["cart"]}}, False),
        ({"exclude": {"match_type": "regexp", "span_names": ["^GET"]}}, False),
        ({"include": {"match_type": "strict", "attributes": [{"key": "k", "value": "a"}]}}, True),
        ({"exclude": {"match_type": "strict", "span_kinds": ["SPAN_KIND_SERVER"]}}, False),
        ({"include": {"match_type": "strict", "libraries": [{"name": "lib", "version": "2"}]}}, False),
    ],
)
async def test_spans_can_be_included_and_excluded(options: dict[str, Any], is_kept: bool) -> None:
    assert await left(
        {"spans": options},
        batch(Signal.TRACES, A, resource={"service.name": "shop"}, scope=("lib", "1"), name="GET /", kind=2),
    ) == ([A] if is_kept else [])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            {"metrics": {"include": {"match_type": "expr", "expressions": ["x"]}}},
            "not supported: write it as a condition",
        ),
        (
            {"metrics": {"include": {"match_type": "strict", "expressions": ["x"]}}},
            "not supported: write it as a condition",
        ),
        ({"metrics": {"exclude": {"metric_names": ["x"]}}}, "match_type"),
        ({"metrics": {"include": {"match_type": "regexp", "metric_names": ["("]}}}, r"metric_names"),
        ({"logs": {"include": {"match_type": "regexp", "bodies": ["("]}}}, "unclosed group|not closed|missing"),
        ({"logs": {"include": {"match_type": "expr"}}}, "'strict' or 'regexp'"),
        ({"logs": {"include": {"severity_number": {"min": "LOUD"}}}}, "'LOUD' is no severity; there is 1 to 24"),
        ({"logs": {"include": {"match_type": "regexp", "record_attributes": [{"key": "k", "value": 1}]}}}, "in quotes"),
        ({"spans": {"include": {"match_type": "strict"}}}, "needs at least one of"),
        (
            {"spans": {"include": {"match_type": "strict", "metric_names": ["x"]}}},
            "metric_names cannot be matched in traces",
        ),
        (
            {"metrics": {"metric": ["true"], "include": {"match_type": "strict"}}},
            "include and exclude cannot be used with metric",
        ),
        ({"logs": {"log_record": ["true"], "exclude": {"bodies": ["x"]}}}, "cannot be used with log_record"),
        (
            {"trace_conditions": ['span.name == "a"'], "traces": {"span": ["true"]}},
            "trace_conditions and traces are forms of the same",
        ),
        (
            {"traces": {"span": ["true"]}, "spans": {"include": {"match_type": "strict", "span_names": ["x"]}}},
            "traces and spans are forms of the same",
        ),
        (
            {"log_conditions": ['log.severity_text == "a"'], "logs": {"include": {"bodies": ["x"]}}},
            "log_conditions and logs",
        ),
    ],
)
def test_what_cannot_be_included_or_excluded_is_said_at_load(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        FilterConfig.model_validate(options)
