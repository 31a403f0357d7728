"""Statements do to a span what the language says, and say where they are wrong."""

from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from airis.data import Signal, kernels
from airis.ottl.compiler import Compiler
from airis.ottl.contexts import CONTEXTS, Here
from airis.ottl.functions import TRANSFORM
from airis.ottl.syntax import OttlError
from airis.ottl.values import EvaluationError, Value, from_attributes, write_attributes
from airis.proto import otlp

COMPILER = Compiler(CONTEXTS["span"], TRANSFORM)


def here(**attributes: Value) -> Here:
    owner = ResourceSpans()
    scoped = owner.scope_spans.add()
    span = scoped.spans.add(name="GET /x", kind=2, start_time_unix_nano=1_000, end_time_unix_nano=3_000)
    write_attributes(span.attributes, attributes)
    write_attributes(owner.resource.attributes, {"service.name": "shop"})
    return Here(owner, scoped, None, span)


def after(statement: str, **attributes: Value) -> dict[str, Value]:
    """The span's attributes once the statement was carried out."""
    item = here(**attributes)
    COMPILER.statement(statement)(item)
    return from_attributes(item.item.attributes)


def holds(condition: str, **attributes: Value) -> bool:
    return COMPILER.condition(condition)(here(**attributes))


MAP = {"n": "test", "a": {"s": "first", "h": 1}, "o": ["u1", "u2"]}


@pytest.mark.parametrize(
    ("statement", "before", "expected"),
    [
        ('set(span.attributes["a"], 1)', {}, {"a": 1}),
        ('set(attributes["a"], nil)', {"a": 1}, {"a": 1}),
        ('set(attributes["a"]["b"]["c"], 1.5)', {}, {"a": {"b": {"c": 1.5}}}),
        ('set(attributes["a"][1], true)', {"a": ["x", "y"]}, {"a": ["x", True]}),
        ('set(attributes["a"], attributes["b"])', {"b": [1, {"x": "y"}]}, {"b": [1, {"x": "y"}], "a": [1, {"x": "y"}]}),
        ('set(attributes["a"], {"x": [1, 0xff00], "y": {}})', {}, {"a": {"x": [1, b"\xff\x00"], "y": {}}}),
        ('set(attributes["a"], kind) where kind == SPAN_KIND_SERVER', {}, {"a": 2}),
        ('set(attributes["a"], kind) where kind != SPAN_KIND_SERVER', {}, {}),
        ('set(attributes["a"], end_time - start_time == nil)', None, None),
        ('set(attributes["a"], (end_time_unix_nano - start_time_unix_nano) / 3 * -2)', {}, {"a": -1332}),
        ('set(attributes["a"], 7 / -2)', {}, {"a": -3}),
        ('set(attributes["a"], kind.string)', {}, {"a": "Server"}),
        ('set(attributes[attributes["k"]], resource.attributes["service.name"])', {"k": "z"}, {"k": "z", "z": "shop"}),
        ("set(attributes, {})", {"a": 1}, {}),
        ('delete_key(attributes, "a")', {"a": 1, "b": 2}, {"b": 2}),
        ('delete_key(attributes["m"], "a")', {"m": {"a": 1, "b": 2}}, {"m": {"b": 2}}),
        ('delete_matching_keys(attributes, "(?i)PASS")', {"password": 1, "b": 2}, {"b": 2}),
        ('keep_matching_keys(attributes, "^p")', {"password": 1, "b": 2}, {"password": 1}),
        ('keep_keys(attributes, ["b", "c"])', {"a": 1, "b": 2}, {"b": 2}),
        ('limit(attributes, 2, ["c"])', {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 3}),
        ("truncate_all(attributes, 3)", {"a": "abcd", "b": "aéé", "c": 12345}, {"a": "abc", "b": "aé", "c": 12345}),
        ('truncate_all(attributes, 5, truncation_marker="…")', {"a": "abcdef"}, {"a": "ab…"}),
        ("stringify_all(attributes)", {"z": b"\xff", "n": None}, {"z": "/w==", "n": ""}),
        ("stringify_all(attributes)", {"a": 2.0, "b": 1e-7, "c": [1e21]}, {"a": "2", "b": "1e-7", "c": "[1e+21]"}),
        ("stringify_all(attributes)", {"a": 1, "b": [1, "x"], "c": 1.5}, {"a": "1", "b": '[1,"x"]', "c": "1.5"}),
        ('merge_maps(attributes, {"a": 9, "z": 8}, "insert")', {"a": 1}, {"a": 1, "z": 8}),
        ('merge_maps(attributes, {"a": 9, "z": 8}, "update")', {"a": 1}, {"a": 9}),
        ('merge_maps(attributes, {"a": 9, "z": 8}, "upsert")', {"a": 1}, {"a": 9, "z": 8}),
        ('append(attributes["t"], "x")', {}, {"t": ["x"]}),
        ('append(attributes["t"], values=["x", 2])', {"t": "y"}, {"t": ["y", "x", 2]}),
        ('delete_index(attributes["t"], 0)', {"t": ["y", "x"]}, {"t": ["x"]}),
        ('delete_index(attributes["t"], startIndex=1, endIndex=3)', {"t": [1, 2, 3]}, {"t": [1]}),
        ("flatten(attributes)", MAP, {"n": "test", "a.s": "first", "a.h": 1, "o.0": "u1", "o.1": "u2"}),
        ('flatten(attributes, "p", depth=0)', MAP, {f"p.{key}": value for key, value in MAP.items()}),
        ("flatten(attributes, depth=1)", {"a": {"b": {"c": 1}}}, {"a.b": {"c": 1}}),
        ("flatten(attributes, resolveConflicts=true)", {"a": {"b": 1}, "a.b": 2}, {"a.b": 1, "a.b.0": 2}),
        ('replace_match(attributes["a"], "/user/*/list/?", "/u")', {"a": "/user/1/list/2"}, {"a": "/u"}),
        ('replace_match(attributes["a"], "/user/*", "/u")', {"a": "x/user/1"}, {"a": "x/user/1"}),
        ('replace_all_matches(attributes, "{a,b}*", "x")', {"k": "axx", "l": "cx"}, {"k": "x", "l": "cx"}),
        (r'replace_pattern(attributes["a"], "(\\d+)-(?P<w>.)", "$2.${1}$$.${w}")', {"a": "x12-y"}, {"a": "xy.12$.y"}),
        ('replace_pattern(attributes["nothing"], "a", "b")', {}, {}),
        ('replace_all_patterns(attributes, "key", "^kube_([a-z]+)", "k8s.$1")', {"kube_x": 1}, {"k8s.x": 1}),
        (r'replace_all_patterns(attributes, "value", "/p/\\d{4}", "/a")', {"a": "x/p/1234/y"}, {"a": "x/a/y"}),
    ],
)  # fmt: skip
def test_a_statement_does_what_it_says(statement: str, before: Any, expected: Any) -> None:
    if before is None:
        with pytest.raises(OttlError):
            COMPILER.statement(statement)
        return
    assert after(statement, **before) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("true", True),
        ("not false and true", True),
        ("true or false and false", True),
        ("(true or false) and false", False),
        ("1 == 1.0", True),
        ('1 == "1"', False),
        ('1 != "1"', True),
        ('1 < "1"', False),
        ('nil == attributes["nothing"]', True),
        ("nil <= nil", True),
        ("nil < 1", False),
        ("true > false", True),
        ('"a" < "b"', True),
        ("[1, 2.0] == [1.0, 2]", True),
        ('{"a": 1} == {"a": 1}', True),
        ("0x01 < 0x02", True),
        ("span_id == span_id", True),
        ('trace_id.string == "00000000000000000000000000000000"', True),
        ("start_time < end_time", True),
        ("end_time - start_time == end_time - start_time", True),
        ('attributes["a"] == true', True),
        ("-(1 + 2) == -3", True),
        ("9223372036854775807 + 1 == -9223372036854775808", True),
    ],
)
def test_a_condition_holds_or_not(condition: str, expected: bool) -> None:
    assert holds(condition, a=True) is expected


@pytest.mark.parametrize(
    ("statement", "reason", "marked"),
    [
        ('set(attributes["a"], "b', "a text is not closed", '"b'),
        ("set(attributes['a'], 1)", "texts are written with", "'"),
        ("Set(name, 1)", "a statement begins with an editor", "Set"),
        ("set(name, 1) where name = 1", 'a comparison is written "=="', "="),
        ("set(name, 1) where name", "expected a condition", "name"),
        ("set(name 1)", 'expected "," or "\\)"', "1"),
        ('set(name, "a" == "b")', "a condition cannot be used as a value", '"a" == "b"'),
        ("set(name, lower(name))", "lower would be an editor", "lower"),
        ("set(name, 99999999999999999999)", "at most 64 bits", "99999999999999999999"),
        ('set(name, "\\d")', r"\\d is no escape", "\\d"),
        ("set(name, 1 == 2 == 3)", "cannot be strung together", "=="),
        ("sett(name, 1)", "no editor sett; did you mean set?", "sett(name, 1)"),
        ("set(name)", "needs value", "set(name)"),
        ("set(name, 1, 2)", "takes 2 arguments", "2"),
        ("set(name, valu=1)", "no argument valu; did you mean value", "valu=1"),
        ("set(value=1, name)", "cannot follow value=", "name"),
        ("set(name, 1, value=2)", "takes 2 arguments|given twice", "value=2"),
        ("set(atributes, 1)", "did you mean attributes", "atributes"),
        ("set(status.cod, 1)", "status has no field cod; there is status.code", "status.cod"),
        ("set(resource, 1)", "resource alone is nothing that can be used", "resource"),
        ('set(name["a"], 1)', "name takes no key", 'name["a"]'),
        ("set(kind, SPAN_KIND_SERVR)", "did you mean SPAN_KIND_SERVER", "SPAN_KIND_SERVR"),
        ('delete_matching_keys(attributes, "(")', "no regular expression", 'delete_matching_keys(attributes, "(")'),
        ("limit(attributes, -1, [])", "at least 0", "limit(attributes, -1, [])"),
        ('merge_maps(attributes, {}, "x")', "insert, update or upsert", 'merge_maps(attributes, {}, "x")'),
        ('truncate_all(attributes, "3")', "an int that is written out", '"3"'),
        ("set(metric.name, 1)", "span has no field metric.name", "metric.name"),
        ("set(resource.cache, 1)", "write span.cache", "resource.cache"),
    ],
)
def test_an_error_says_what_is_wrong_and_where(statement: str, reason: str, marked: str) -> None:
    with pytest.raises(OttlError, match=reason) as error:
        COMPILER.statement(statement)

    assert statement[error.value.at : error.value.end].startswith(marked)


def test_an_error_points_at_its_line() -> None:
    with pytest.raises(OttlError) as error:
        COMPILER.statement("set(name,\n    nam)")

    assert str(error.value).startswith("line 2, column 5: span has no field nam")
    assert error.value.pointed_out() == "    nam)\n    ^^^"


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("set(name, 1)", "name is a string, not int"),
        ("set(kind, 5000000000)", "kind cannot be 5000000000"),
        ("set(trace_id, 0x01)", "trace_id is an id"),
        ('set(span_id.string, "xyz")', "16 digits in hexadecimal"),
        ('set(attributes["a"]["b"], 1)', "nothing can be put into a string"),
        ('set(attributes["l"][7], 1)', "index 7 is outside a list of 1"),
        ('set(attributes["x"], 1 + 1.0)', r"int \+ double cannot be reckoned"),
        ('set(attributes["x"], 1 / 0)', "divide by 0"),
        ('set(attributes["x"], start_time)', "time cannot be kept in telemetry"),
        ('delete_key(attributes["a"], "b")', "expected a map, not string"),
        ('delete_key(attributes, attributes["l"])', "expected string, not list"),
        ('replace_pattern(attributes["l"], "a", "b")', "expected a string, not list"),
        ('delete_index(attributes["l"], 4)', "no items from 4 up to 5"),
        ('set(attributes["x"], Values({"a": {}})[0]["b"])', "there is no key 'b' in the map"),
    ],
)
def test_what_cannot_be_done_to_an_item_leaves_it_as_it_is(statement: str, reason: str) -> None:
    item = here(a="text", l=[1])
    before = item.owner.SerializeToString()

    with pytest.raises(EvaluationError, match=reason):
        COMPILER.statement(statement)(item)

    assert item.owner.SerializeToString() == before


@pytest.mark.parametrize("deeper", [lambda value: {"k": value}, lambda value: [value]], ids=["maps", "lists"])
@pytest.mark.parametrize("place", ['attributes["b"]["c"]', 'attributes["a"]', "attributes"])
def test_what_is_written_can_be_read_again(place: str, deeper: Any) -> None:
    """Payloads have a limit of messages in one another: what would break it is not written, and all stays as it is."""
    statement = COMPILER.statement(f'set({place}, {{"x": cache["deep"]}})')
    depths: list[int] = []
    deep: Value = "text"
    for depth in range(60):
        item = here(a="text")
        item.cache["deep"] = deep
        before = item.owner.SerializeToString()
        try:
            statement(item)
            depths.append(depth)
        except EvaluationError:
            assert item.owner.SerializeToString() == before
        request = otlp.layout(Signal.TRACES).request()
        request.resource_spans.append(item.owner)
        assert kernels.count_items(Signal.TRACES, request.SerializeToString()) == 1
        assert otlp.parse(Signal.TRACES, request.SerializeToString()) == request
        deep = deeper(deep)

    assert depths == list(range(len(depths)))
    assert 20 < len(depths) < 60


def test_a_map_that_is_written_out_is_another_for_each_item() -> None:
    merge = COMPILER.statement('merge_maps(cache, {"a": {"b": 1}}, "upsert")')
    change = COMPILER.statement('set(cache["a"]["b"], 2)')
    keep = COMPILER.statement('set(attributes["kept"], cache["a"]["b"])')

    first, second = here(), here()
    merge(first)
    change(first)
    merge(second)
    keep(second)

    assert from_attributes(second.item.attributes) == {"kept": 1}
