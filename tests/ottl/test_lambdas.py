"""Converters that are given functions answer as the Collector does."""

import pytest

from airis.ottl.syntax import OttlError
from airis.ottl.values import Value

from .evaluation import COMPILER, fault_of, shown, value_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('All(attributes["ls"], (_, v) => v == "prod")', False),
        ('All(attributes["ls"], (i, _) => i < 2)', True),
        ('All(attributes["el"], (_, v) => false)', True),
        ("All([], (_, v) => false)", True),
        ('All(attributes["m"], (k, _) => HasPrefix(k, "n"))', False),
        ('All(attributes["l"], (_, v) => IsInt(v))', True),
        ('Any(attributes["ls"], (_, v) => v == "prod")', True),
        ('Any(attributes, (k, _) => HasPrefix(k, "http."))', False),
        ('Any(attributes["el"], (_, v) => true)', False),
        ("Any([[1, 2], [3]], (_, v) => Any(v, (_, w) => w == 3))", True),
        ("Any([[1, 2], [3]], (_, _) => Any([5], (_, w) => w == 5))", True),
        ('Filter(attributes["ls"], (_, v) => v == "prod")', ["prod"]),
        ('Filter(attributes["m"], (k, _) => k == "k")', {"k": "v"}),
        ('Filter(attributes["l"], (i, v) => i > 0 and v < 2)', [1]),
        ('Find(attributes["ls"], (_, v) => v == "dev")', "dev"),
        ('Find(attributes["m"], (k, _) => k == "k")', "v"),
        ('Find(attributes["m"], (_, v) => v == "v", (k, _) => k)', "k"),
        ('Find(attributes["l"], (_, v) => v == 3, (_, v) => String(v))', "3"),
        ('Find(attributes["l"], (_, v) => v == 99)', None),
        ('MapEach(attributes["l"], (_, v) => Int(v) * 2)', [6, 2, 4]),
        ('MapEach(attributes["m"], (_, v) => String(v))', {"k": "v", "n": "1"}),
        ('MapEach(attributes["l"], (i, _) => i)', [0, 1, 2]),
        ("MapEach([1], (_, v) => v == 1)", [True]),
        ("MapEach([[1, 2]], (_, v) => v[1])", [2]),
        ('MapEach(attributes["things"], (_, v) => v["name"])', ["foo", "bar"]),
        ('MapKeys(attributes["m"], (k, _) => Concat(["http.", k], ""))', {"http.k": "v", "http.n": 1}),
        ('MapKeys(attributes["m"], (k, v) => Concat([k, ":", String(v)], ""))', {"k:v": "v", "n:1": 1}),
        ('MapKeys({"a": 1, "b": 2}, (_, _) => "x")', {"x": 2}),
        ('Reduce(attributes["l"], 0, (acc, _, v) => acc + Int(v))', 6),
        ('Reduce(attributes["m"], "", (acc, k, v) => Concat([acc, k, "=", String(v), ";"], ""))', "k=v;n=1;"),
        ("Reduce([], 5, (acc, _, v) => acc + v)", 5),
        ("Reduce([1], nil, (acc, _, v) => v)", 1),
        ('When(() => IsMap(attributes), "map", "not map")', "map"),
        ('When(() => attributes["i"] > 10, "positive", "negative")', "negative"),
        ("When(() => true, nil, 2)", None),
        ('When(() => false, 1, Split("a,b", ","))', ["a", "b"]),
    ],
)
def test_gives(text: str, expected: Value) -> None:
    found = value_of(text)

    assert shown(found) == shown(expected)
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('All("x", (_, v) => true)', "expected a list or a map, not string"),
        ("All(nil, (_, v) => true)", "expected a list or a map, not nil"),
        ('All(attributes["l"], (_, v) => v)', "the function answers int, not bool"),
        ('Filter("x", (_, v) => true)', "expected a list or a map, not string"),
        ('Filter([1, 2], (_, v) => "x")', "the function answers string, not bool"),
        ("Find(1, (_, v) => true)", "expected a list or a map, not int"),
        ("MapEach([1], (_, v) => start_time)", "a list or a map cannot have time in it"),
        ("MapEach([1], (_, v) => nil)", "the function gives nil"),
        ('MapEach("x", (_, v) => v)', "expected a list or a map, not string"),
        ("MapEach([[1, 2]], (_, v) => v[5])", "index 5 is outside a list of 2"),
        ('MapEach(attributes["things"], (_, v) => v["nope"])', "there is no key 'nope' in the map"),
        ('MapKeys({"a": 1}, (k, v) => v)', "the function makes int of a key, not string"),
        ('MapKeys(attributes["l"], (k, v) => "x")', "expected map, not list"),
        ('Reduce("x", 0, (acc, _, v) => acc)', "expected a list or a map, not string"),
        ('When(() => attributes["i"], 1, 2)', "the function answers int, not bool"),
    ],
)
def test_cannot_be_carried_out_on_an_item(text: str, reason: str) -> None:
    assert reason in fault_of(text)


@pytest.mark.parametrize(
    ("text", "reason", "marked"),
    [
        (
            'All(attributes["l"], (v) => true)',
            "predicate of All is a function such as (key, value) => true",
            "(v) => true",
        ),
        ('All(attributes["l"], SHA256)', "predicate of All is a function such as (key, value) => true", "SHA256"),
        ('All(attributes["l"], 1)', "predicate of All is a function such as (key, value) => true", "1"),
        (
            'Find(attributes["l"], (_, v) => v == 3, (v) => v)',
            "mapper of Find is a function such as (key, value) => true",
            "(v) => v",
        ),
        ('MapEach(attributes["things"], (_, v) => v.name)', "span has no field v.name; did you mean name?", "v.name"),
        (
            "Reduce([1], 0, (acc, v) => acc)",
            "accumulator of Reduce is a function such as (sum, key, value) => sum + value",
            "(acc, v) => acc",
        ),
        ("When((x) => true, 1, 2)", "condition of When is a function such as () => true", "(x) => true"),
        ("When(true, 1, 2)", "condition of When is a function such as () => true", "true"),
    ],
)
def test_is_refused_when_it_is_loaded(text: str, reason: str, marked: str) -> None:
    with pytest.raises(OttlError) as error:
        COMPILER.value(text)

    assert reason in error.value.reason
    assert text[error.value.at : error.value.end] == marked


def test_functions_in_one_another_see_the_arguments_of_all() -> None:
    assert value_of("Any([[1, 2], [3]], (_, _) => Any([5, 6], (_, _) => Any([7], (_, w) => w == 7)))") is True
    assert value_of("MapEach([[1, 2], [3]], (i, v) => MapEach(v, (_, w) => w * 10 + i))") == [[10, 20], [31]]
    assert value_of("MapEach([1], (_, v) => MapEach([2], (_, v) => v))") == [[2]]


def test_an_argument_is_gone_behind_its_function() -> None:
    with pytest.raises(OttlError, match="span has no field v"):
        COMPILER.value('Concat([MapEach([1], (_, v) => v), v], "")')
