"""What goes to the kernels, what goes item by item and why, and that both come to the same where it is hard."""

from types import ModuleType
from typing import Any, cast

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from airis.component import Telemetry
from airis.data import Batch, Signal
from airis.data import kernels as in_use
from airis.ottl.contexts import CONTEXTS
from airis.ottl.explaining import explained, is_statement
from airis.ottl.filtering import Filter
from airis.ottl.lowering import lower_condition
from airis.ottl.options import ConditionsConfig, StatementsConfig, compiled
from airis.ottl.parser import parse_condition
from airis.ottl.running import Faults, Runner
from airis.ottl.values import Value, from_attributes, write_attributes

from .telemetry_at_random import CONDITIONS, STATEMENTS, Counting


@pytest.fixture(autouse=True)
def either_back_end(kernels: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test on both back ends."""
    for name in ("Edits", "Pattern", "Predicate", "scan"):
        monkeypatch.setattr(in_use, name, getattr(kernels, name))


@pytest.mark.parametrize(
    ("context", "statement", "edits"),
    [
        ("span", 'set(attributes["a"], "x")', ['set item attributes["a"] to "x"']),
        ("span", 'set(attributes["a"], nil)', []),
        ("span", 'set(attributes["a"], -1)', ['set item attributes["a"] to -1']),
        ("span", "set(kind, SPAN_KIND_SERVER)", ["set item kind to 2"]),
        ("span", "set(status.message, span.name)", ['set item status.message to ""', "a copy of item name"]),
        ("span", 'set(attributes["a"]["b"][0], 1)', ['set item attributes["a"]["b"][0] to 1']),
        ("span", 'set(attributes["a"], resource.attributes["b"])', ['a copy of resource attributes["b"]']),
        ("span", 'set(attributes["a"], trace_id.string)', ["a copy of item trace_id"]),
        ("span", 'delete_key(attributes, "a")', ['delete item attributes["a"]']),
        ("span", 'delete_key(attributes["m"], "a")', ['delete item attributes["m"]["a"]']),
        ("span", 'delete_matching_keys(attributes, "^a")', ['whose keys match "^a"']),
        ("span", 'keep_keys(attributes, ["a", "b"])', ['keep the item attributes "a", "b"']),
        ("span", "truncate_all(attributes, 7)", ["to 7 bytes"]),
        ("span", 'merge_maps(attributes, {"a": 1}, "insert")', ["to 1, where it is absent"]),
        ("log", 'set(body["a"], severity_text)', ['set item body["a"] to ""', "a copy of item severity_text"]),
        ("resource", 'set(attributes["a"], 1)', ['set resource attributes["a"] to 1']),
        ("scope", 'set(scope.name, "x")', ['set scope name to "x"']),
        ("metric", 'set(name, "x") where type == METRIC_DATA_TYPE_SUM', ['set metric name to "x"']),
        ("datapoint", 'set(attributes["m"], metric.name)', ['to ""', "a copy of metric name"]),
        ("spanevent", 'set(attributes["a"], 1) where span.name == "x"', ['set event attributes["a"] to 1']),
    ],
)
def test_what_goes_to_the_kernels(context: str, statement: str, edits: list[str]) -> None:
    found = explained(statement, context)

    assert found.reason == ""
    assert len(found.edits) == len(edits)
    assert all(words in edit for words, edit in zip(edits, found.edits, strict=True))


@pytest.mark.parametrize(
    ("context", "text", "reason", "marked"),
    [
        ("span", "limit(attributes, 2, [])", "the kernels have no limit", "limit(attributes, 2, [])"),
        ("span", "set(name, 1)", "item name is a text, not 1", "set(name, 1)"),
        ("span", "set(kind, 5000000000)", "from -2147483648 to 2147483647", "set(kind, 5000000000)"),
        ("span", 'set(resource.attributes["a"], 1)', "several items have in common", 'resource.attributes["a"]'),
        ("span", 'set(cache["a"], 1)', "the cache is kept for every item", 'cache["a"]'),
        ("span", "set(attributes[name], 1)", "a key that is not written out", "name"),
        ("span", 'set(attributes["a"], kind.string)', "cannot copy", "kind.string"),
        ("span", 'set(attributes["a"], 1 + 2)', "neither written out nor a path", "1 + 2"),
        ("span", 'truncate_all(attributes, 7, truncation_marker="…")', "no mark", '"…"'),
        ("span", 'set(name, "x") where attributes["a"] == attributes["b"]', "different types", 'attributes["a"] =='),
        ("spanevent", 'set(name, "x") where name == "y"', "not each spanevent", 'name == "y"'),
        ("spanevent", 'name == "y"', "not each spanevent", 'name == "y"'),
        ("span", 'attributes["a"] == 9007199254740992', "from 2\\^53 on", 'attributes["a"] == 9'),
        ("span", "end_time > start_time", "read no span.end_time", "end_time"),
        ("span", 'trace_state["k"] == "v"', "read no span.trace_state", 'trace_state["k"]'),
        ("datapoint", "value_double == 0.0", "what is not set counts as 0.0", "value_double == 0.0"),
        ("span", 'otelcol.client.metadata["a"] == nil', "nothing that is in the data", "otelcol"),
    ],
)
def test_what_goes_item_by_item_and_why(context: str, text: str, reason: str, marked: str) -> None:
    found = explained(text, context)

    assert found.edits == ()
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(found.reason)
    line, mark = found.part.split("\n")
    assert line == text
    assert line[mark.index("^") : mark.index("^") + len(marked)] == marked


@pytest.mark.parametrize(
    ("condition", "kernels_ask"),
    [
        ('name == "x"', "Compare("),
        ('"x" == name', "Compare("),
        ('attributes["a"] == nil', "None"),
        ("status.code == STATUS_CODE_ERROR", "right=2"),
        ('name == "a" or name == "b" or name == "c"', "OneOf("),
        ('IsMatch(name, "^x")', "Matches("),
        ("IsRootSpan()", "parent_span_id"),
        ("parent_span_id == SpanID(0x0000000000000000)", "Matches("),
        ("span_id == SpanID(0x0102030405060708)", "0102030405060708"),
        ("3 > 2", "Constant(value=True)"),
        ("trace_id == 0x01", "Constant(value=False)"),
    ],
)
def test_a_condition_is_an_expression(condition: str, kernels_ask: str) -> None:
    assert kernels_ask in repr(lower_condition(CONTEXTS["span"], parse_condition(condition)).holds)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("set(name, 1)", True), ("not (true)", False), ("IsMatch(name, 1)", False), ('name == "x"', False)],
)
def test_a_statement_is_told_from_a_condition(text: str, expected: bool) -> None:
    assert is_statement(text) is expected


ROOM: list[dict[str, Value]] = [
    {"i": (1 << 53) + 1, "t": "text", "m": {"k": 1}, "l": [1, {"x": "y"}], "n": None, "d": 2.0, "b": b"\x01"},
    {"i": 5, "t": "other", "k": "v"},
    {},
]


def spans() -> bytes:
    request = ExportTraceServiceRequest()
    owner = request.resource_spans.add()
    write_attributes(owner.resource.attributes, {"r": 1})
    for number, attributes in enumerate(ROOM):
        span = owner.scope_spans.add().spans.add(name=f"span {number}" if number else "", kind=number)
        span.parent_span_id = bytes([number]) * (8 if number < 2 else 3)
        write_attributes(span.attributes, attributes)
    return request.SerializeToString()


def ways(statements: list[str], conditions: list[str]) -> list[Any]:
    """What becomes of the spans with the kernels and item by item, and how many errors there are."""
    found: list[Any] = []
    for lower in (True, False):
        telemetry = Counting()
        config = StatementsConfig(context="span", statements=statements, conditions=conditions)
        group = compiled(config, Signal.TRACES, "ignore", STATEMENTS)
        runner = Runner(Signal.TRACES, [group], cast(Telemetry, telemetry), lower=lower)
        request = ExportTraceServiceRequest.FromString(runner.transformed(Batch(Signal.TRACES, spans(), 3)).payload)
        [owner] = request.resource_spans
        each = [
            (s.name, s.kind, s.parent_span_id, from_attributes(s.attributes))
            for sc in owner.scope_spans
            for s in sc.spans
        ]
        found.append((each, from_attributes(owner.resource.attributes), telemetry.errors))
    return found


@pytest.mark.parametrize(
    ("statements", "conditions"),
    [
        (['set(attributes["z"], true) where attributes["i"] == 9007199254740992.0'], []),
        (['set(attributes["z"], true) where attributes["i"] > 9007199254740991.5'], []),
        (['set(attributes["z"], attributes["n"])'], []),
        (['set(attributes["z"], name)', 'set(attributes["y"], kind)'], []),
        (['set(name, attributes["t"])', 'set(name, attributes["i"])'], []),
        (['set(name, attributes["i"]) where IsString(attributes["i"])'], []),
        (['set(attributes["t"]["x"], 1)'], []),
        (['set(attributes["m"], attributes["m"]["k"])'], []),
        (['set(attributes["m"]["k"], attributes["m"])'], []),
        (['delete_key(attributes["m"], "k")'], []),
        (['set(attributes["z"], 1) where attributes["t"]["x"] == 1'], []),
        (['set(attributes["z"], 1) where attributes["m"] != nil and attributes["m"]["k"] == 1'], []),
        (['set(attributes["z"], 1) where name == "span 1" or attributes["t"]["x"] == 1'], []),
        (["set(parent_span_id, parent_span_id)", 'set(attributes["z"], 1)'], []),
        # What one span does to the resource, the next one sees.
        (['set(attributes["z"], resource.attributes["r"])', 'set(resource.attributes["r"], 2)'], []),
        (['set(cache["c"], attributes["t"])', 'set(name, "x")', 'set(attributes["z"], cache["c"])'], []),
        (['set(attributes["z"], 1)', 'set(name, "x") where attributes["t"] == "text"'], []),
        (['set(attributes["t"], "text")', 'set(name, "x") where attributes["t"] == "text"'], []),
        (['keep_keys(attributes, ["i"])', 'set(name, "x") where attributes["t"] == "text"'], []),
        (["set(kind, 1)", 'set(name, "x") where kind.string == "Internal"'], []),
        (['set(attributes["z"], 1)', 'set(name, "x") where kind == 1'], ["kind != 2"]),
        # Whether a group is for a span is asked before its first statement.
        (['set(name, "x")', 'set(attributes["z"], 1)', 'append(attributes["z"], 2)'], ['name == "span 1"']),
        (['set(name, "x")', 'set(attributes["t"]["z"], 1)'], ['name == "span 1"', 'attributes["m"]["k"] == 1']),
        (['set(attributes["z"], 1) where parent_span_id == SpanID(0x0000000000000000)'], []),
        (['set(attributes["z"], 1) where IsMatch(attributes["d"], "^2$")'], []),
    ],
)
def test_both_ways_come_to_the_same(statements: list[str], conditions: list[str]) -> None:
    with_kernels, by_item = ways(statements, conditions)

    assert with_kernels == by_item


class NoItems:
    """Stands for what goes item by item, and must not."""

    def __call__(self, *_: Any) -> Any:
        raise AssertionError("an item was looked at in Python")


def test_lowered_statements_look_at_no_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airis.ottl.running.parse", NoItems())
    statements = ['set(attributes["z"], 1) where kind == 1', 'delete_key(attributes, "k")']
    config = StatementsConfig(context="span", statements=statements, conditions=['attributes["k"] == "v"'])
    group = compiled(config, Signal.TRACES, "ignore", STATEMENTS)
    runner = Runner(Signal.TRACES, [group], cast(Telemetry, Counting()))

    made = runner.transformed(Batch(Signal.TRACES, spans(), 3))

    request = ExportTraceServiceRequest.FromString(made.payload)
    assert made.items == 3
    assert from_attributes(request.resource_spans[0].scope_spans[1].spans[0].attributes)["z"] == 1


def test_what_changes_nothing_is_the_very_same_batch() -> None:
    config = StatementsConfig(context="span", statements=['delete_key(attributes, "absent")'])
    group = compiled(config, Signal.TRACES, "ignore", STATEMENTS)
    batch = Batch(Signal.TRACES, spans(), 3)

    assert Runner(Signal.TRACES, [group], cast(Telemetry, Counting())).transformed(batch) is batch


def filtered(conditions: list[str]) -> Batch:
    config = ConditionsConfig(context="span", conditions=conditions)
    group = compiled(config, Signal.TRACES, "ignore", CONDITIONS)
    return Filter(Signal.TRACES, [group], Faults(cast(Telemetry, Counting()))).left_of(Batch(Signal.TRACES, spans(), 3))


def test_a_lowered_filter_looks_at_no_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airis.ottl.running.parse", NoItems())

    assert filtered(['IsMatch(attributes["t"], "^te")', "kind == 2"]).items == 1


def test_what_a_filter_cannot_lower_is_asked_of_what_is_left() -> None:
    assert filtered(["kind == 2", 'attributes["t"] != attributes["k"]']).items == 0
