"""Converters of lists and maps answer as the Collector does."""

import pytest

from airis.ottl.syntax import OttlError
from airis.ottl.values import Value

from .evaluation import COMPILER, fault_of, shown, value_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Coalesce([attributes["a"], attributes["b"], "unknown"])', b"\x01\xff"),
        ("Coalesce([nil, nil])", None),
        ('Coalesce([attributes["nope"], "unknown"])', "unknown"),
        ("ContainsValue([1, 2, 3, 4, 5], 3)", True),
        ("ContainsValue([1, 2, 3], 3.0)", True),
        ('ContainsValue(["GET"], "GET")', True),
        ('ContainsValue(attributes["ls"], "prod")', True),
        ("ContainsValue([[1], [2]], [2])", True),
        ("ContainsValue([nil], nil)", True),
        ('ContainsValue(Split("a,b", ","), "b")', True),
        ('ContainsValue(attributes["things"], {"name": "foo", "value": 2})', True),
        ('Keys(attributes["m"])', ["k", "n"]),
        ('Keys({"k1": 1, "k2": 2})', ["k1", "k2"]),
        ('Values({"key1": "value1"})', ["value1"]),
        ('Values(attributes["m"])', ["v", 1]),
        ('Index("hello world", "world")', 6),
        ('Index("é!", "!")', 2),
        ('Index("a", "b")', -1),
        ('Index("a", "")', 0),
        ("Index([1, 2, 3], 2)", 1),
        ("Index([1, 2, 3], 2.0)", 1),
        ("Index([1], 7)", -1),
        ('Index(attributes["ls"], "dev")', 1),
        ('Index(["a", ["b"]], ["b"])', 1),
        ("Index([nil], nil)", 0),
        (
            'SliceToMap(attributes["things"], ["name"])',
            {"foo": {"name": "foo", "value": 2}, "bar": {"name": "bar", "value": 5}},
        ),
        ('SliceToMap(attributes["things"])', {"0": {"name": "foo", "value": 2}, "1": {"name": "bar", "value": 5}}),
        ('SliceToMap(attributes["things"], ["name"], ["value"])', {"foo": 2, "bar": 5}),
        ('SliceToMap(attributes["things"], valuePath=["value"])', {"0": 2, "1": 5}),
        ('SliceToMap(attributes["things"], value_path=["value"])', {"0": 2, "1": 5}),
        ('SliceToMap(attributes["l"])', {"0": 3, "1": 1, "2": 2}),
        ("Sort([3, 1, 2])", [1, 2, 3]),
        ('Sort([3, 1, 2], "desc")', [3, 2, 1]),
        ("Sort([3, 1.5, 2])", [1.5, 2, 3]),
        ('Sort(["b", "a", "C"])', ["C", "a", "b"]),
        ("Sort([true, false])", [False, True]),
        ('Sort([3, "a", 2.5, true, nil])', [None, 2.5, 3, "a", True]),
        ('Sort([10, 9, "a"])', [10, 9, "a"]),
        ("Sort([[1], [0]])", [[1], [0]]),
        ("Sort([1, [0]])", [1, [0]]),
        ("Sort([])", []),
        ('Sort(attributes["l"])', [1, 2, 3]),
        ('Sort(attributes["ls"], "asc")', ["dev", "prod"]),
        ('Sort(Split("c,a,b", ","))', ["a", "b", "c"]),
        ("Sort([nil, nil])", [None, None]),
        ("Sort([0xff, 0x01])", [b"\xff", b"\x01"]),
        ('Sort(["é", "z"])', ["z", "é"]),
        ('Sort(["b", "a", "b"], "desc")', ["b", "b", "a"]),
        ('ToKeyValueString({"k1": "v1", "k2": "v2"})', "k1=v1 k2=v2"),
        ('ToKeyValueString({"k2": "v2", "k1": "v1"}, ":", ",", true)', "k1:v1,k2:v2"),
        (
            'ToKeyValueString({"k1": "v1", "k2": {"k3": "v3", "k4": ["v4", "v5"]}}, "=", " ", true)',
            'k1=v1 k2={\\"k3\\":\\"v3\\",\\"k4\\":[\\"v4\\",\\"v5\\"]}',
        ),
        (
            r'ToKeyValueString({"k1": "v1", "k2": "v=2", "k3": "\"v=3\"", "k 4": 1}, "=", " ", true)',
            '"k 4"=1 k1=v1 k2="v=2" k3="\\"v=3\\""',
        ),
        (
            r'ToKeyValueString({"a": 1.0, "b": true, "c": nil, "d": 0xff, "e": 0.0000001}, "=", " ", true)',
            'a=1 b=true c= d="/w==" e=1e-7',
        ),
        ("ToKeyValueString({})", ""),
        ('ToKeyValueString(attributes["m"])', "k=v n=1"),
    ],
)
def test_gives(text: str, expected: Value) -> None:
    found = value_of(text)

    assert shown(found) == shown(expected)
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('ContainsValue(attributes["nope"], "prod")', "expected list, not nil"),
        ('ContainsValue(attributes["s"], "prod")', "expected list, not string"),
        ('Keys(attributes["l"])', "expected map, not list"),
        ('Index("a", 1)', "what is looked for in a string is a string, not int"),
        ('Index(attributes["nope"], 1)', "expected a string or a list, not nil"),
        ("Index(1, 1)", "expected a string or a list, not int"),
        ('SliceToMap(attributes["things"], ["value"])', "the key of item 0 is int, not string"),
        ('SliceToMap(attributes["things"], ["nope"])', "item 0 has nothing at nope"),
        ('SliceToMap(attributes["things"], ["name", "x"])', "item 0 has nothing at name.x"),
        ('SliceToMap(attributes["things"], [])', "a path has at least one key"),
        ('SliceToMap(attributes["l"], ["name"])', "item 0 is int, not map"),
        ('SliceToMap(attributes["m"])', "expected list, not map"),
        ('Sort("x")', "expected a list, not string"),
        ("Sort(nil)", "expected a list, not nil"),
        ('ToKeyValueString(attributes["l"])', "expected map, not list"),
    ],
)
def test_cannot_be_carried_out_on_an_item(text: str, reason: str) -> None:
    assert reason in fault_of(text)


@pytest.mark.parametrize(
    ("text", "reason", "marked"),
    [
        ("Coalesce([])", "Coalesce: values has at least one", "Coalesce([])"),
        ("Coalesce(nil)", "values of Coalesce is a list, such as [a, b]", "nil"),
        ("Keys(nil)", "target of Keys: expected map, not nil", "nil"),
        ('Values("x")', "target of Values: expected map, not string", '"x"'),
        ("SliceToMap(nil)", "target of SliceToMap: expected list, not nil", "nil"),
        ('Sort([1], "up")', "Sort: order is asc or desc, not 'up'", 'Sort([1], "up")'),
        (
            'ToKeyValueString({}, "=", "=")',
            "ToKeyValueString: delimiter and pair_delimiter are not the same ('=')",
            'ToKeyValueString({}, "=", "=")',
        ),
        ('ToKeyValueString({}, "")', "ToKeyValueString: delimiter is not empty", 'ToKeyValueString({}, "")'),
        (
            'ToKeyValueString({}, "=", "")',
            "ToKeyValueString: pair_delimiter is not empty",
            'ToKeyValueString({}, "=", "")',
        ),
        ("ToKeyValueString(nil)", "target of ToKeyValueString: expected map, not nil", "nil"),
    ],
)
def test_is_refused_when_it_is_loaded(text: str, reason: str, marked: str) -> None:
    with pytest.raises(OttlError) as error:
        COMPILER.value(text)

    assert reason in error.value.reason
    assert text[error.value.at : error.value.end] == marked


@pytest.mark.parametrize(("order", "expected"), [("asc", ["NaN", "0.5", "2"]), ("desc", ["2", "0.5", "NaN"])])
def test_what_is_no_number_is_the_least(order: str, expected: list[str]) -> None:
    text = f'MapEach(Sort([2, Double("nan"), 0.5], "{order}"), (_, v) => Format("%v", [v]))'

    assert value_of(text) == expected
