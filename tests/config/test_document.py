"""YAML as the Collector types it, with positions."""

import math
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis.component.config import Scalar
from airis.config import ConfigError, Problem, document
from airis.config.decode import raw
from airis.config.document import MAX_DEPTH, Node, parse
from airis.config.errors import Mark

from .nodes import key_marks, marks


def value(text: str) -> Any:
    found = raw(parse(text, "t.yaml"))
    return found.value if isinstance(found, Scalar) else found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("# nothing", None),
        ("---", None),
        ("~", None),
        ("null", None),
        ("Null", None),
        ("NULL", None),
        ("nULL", "nULL"),
        ("true", True),
        ("True", True),
        ("TRUE", True),
        ("false", False),
        ("False", False),
        ("FALSE", False),
        ("yes", "yes"),
        ("on", "on"),
        ("No", "No"),
        ("10", 10),
        ("-3", -3),
        ("+3", 3),
        ("-0", 0),
        ("0777", 511),
        ("-0777", -511),
        ("0o17", 15),
        ("0O17", 15),
        ("0x1F", 31),
        ("0X1f", 31),
        ("0b101", 5),
        ("-0b11", -3),
        ("1_000", 1000),
        ("0x_ff", 255),
        ("_1", "_1"),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 2.0**64),
        ("-9223372036854775808", -(2**63)),
        ("-9223372036854775809", -(2.0**63)),
        ("0xffffffffffffffff", 2**64 - 1),
        ("0x1ffffffffffffffff", "0x1ffffffffffffffff"),
        ("08", 8.0),
        ("10:30", "10:30"),
        ("1:30:00", "1:30:00"),
        ("2026-11-24", "2026-11-24"),
        ("2026-11-24T10:00:00Z", "2026-11-24T10:00:00Z"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("1.e+3", 1000.0),
        ("1e400", "1e400"),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("+.INF", math.inf),
        (".", "."),
        ("-", [None]),
        ("-x", "-x"),
        ("1.2.3", "1.2.3"),
        ("=", "="),
        ("'10'", "10"),
        ('"true"', "true"),
        ("''", ""),
        ("|\n  1\n", "1\n"),
        ("5s", "5s"),
        ("localhost:4317", "localhost:4317"),
        ("[1111::1, 'a']", ["1111::1", "a"]),
        ("0x_", "0x_"),
        ("-0b__", "-0b__"),
        ("9" * 5000, "9" * 5000),
        ("[]", []),
        ("{}", {}),
        ("\ufeffx", "x"),
        # Tags
        ("!!str 1", "1"),
        ("!!str", ""),
        ('!!int "3"', 3),
        ("!!int 0x10", 16),
        ("!!float 3", 3.0),
        ('!!bool "true"', True),
        ('!!null ""', None),
        ("!!binary aGVs bG8=", "hello"),
        ("!!timestamp 2026-11-24", "2026-11-24"),
        ("! 3", 3),
        ("!!seq [a]", ["a"]),
        ("!!omap [a: b]", [{"a": "b"}]),
        ("!!pairs [a: b]", [{"a": "b"}]),
        ("!!map {a: b}", {"a": "b"}),
        ("!!set {a: , b: }", {"a": Scalar(None, ""), "b": Scalar(None, "")}),
        # Anchors and merge keys
        ("[&x a, *x]", ["a", "a"]),
        ("[&x a, &x b, *x]", ["a", "b", "b"]),
        ("{a: &x b, *x : c}", {"a": "b", "b": "c"}),
        ("[&x {a: b}, {<<: *x, a: c}]", [{"a": "b"}, {"a": "c"}]),
        ("[&x {a: b}, &y {a: c, d: e}, {<<: [*x, *y]}]", [{"a": "b"}, {"a": "c", "d": "e"}, {"a": "b", "d": "e"}]),
        ("{a: &x 0777, *x : c}", {"a": Scalar(511, "0777"), "0777": "c"}),
        ("{'<<': a}", {"<<": "a"}),
        ("{!!str <<: a}", {"<<": "a"}),
        ("[&x '<<', {*x : a}]", ["<<", {"<<": "a"}]),
    ],
)
def test_types_a_value_as_the_collector_does(text: str, expected: Any) -> None:
    found = value(text)

    assert type(found) is type(expected)
    assert found == ([Scalar(None, "")] if expected == [None] else expected)


def test_not_a_number_is_one() -> None:
    assert math.isnan(value(".nan"))


def test_keeps_the_original_text_for_string_fields() -> None:
    assert raw(parse("0123", "t.yaml")) == Scalar(83, "0123")


def test_null_has_no_text_for_string_fields() -> None:
    assert raw(parse("null", "t.yaml")) == Scalar(None, "")


def test_a_merge_key_fills_in_what_is_not_written() -> None:
    text = "base: &b {a: 1, b: 2}\nuse:\n  b: 3\n  <<: *b\n"

    found = raw(parse(text, "t.yaml"))

    assert found["use"] == {"a": Scalar(1, "1"), "b": Scalar(3, "3")}


def test_every_value_and_key_says_where_it_is_written() -> None:
    root = parse("a: &x\n  - ö: b\nc: *x\nd: {<<: {e: f}, g: 'h'}\n", "t.yaml")

    assert {path: (mark.line, mark.column) for path, mark in marks(root).items()} == {
        (): (1, 1),
        ("a",): (1, 4),
        ("a", "0"): (2, 5),
        ("a", "0", "ö"): (2, 8),
        ("c",): (1, 4),  # an alias is where its anchor is
        ("c", "0"): (2, 5),
        ("c", "0", "ö"): (2, 8),
        ("d",): (4, 4),
        ("d", "e"): (4, 13),
        ("d", "g"): (4, 20),
    }
    assert {path: (mark.line, mark.column) for path, mark in key_marks(root).items()} == {
        ("a",): (1, 1),
        ("a", "0", "ö"): (2, 5),
        ("c",): (3, 1),
        ("c", "0", "ö"): (2, 5),
        ("d",): (4, 1),
        ("d", "e"): (4, 10),
        ("d", "g"): (4, 17),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "3:1: a: written twice; the first is in line 1"),
        ("a: {b: 1, 'b': 2}", "1:11: a::b: written twice; the first is in line 1"),
        (
            "a: &a {}\nb:\n  <<: *a\n  <<: *a\n",
            '4:3: b::<<: written twice; the first is in line 3; for several, write "<<: [*a, *b]"',
        ),
        ("a:\n\tb: 1\n", "2:1: not valid YAML: a tab cannot indent; use spaces"),
        ("a:\n  b: 1\n\tc: 2\n", "3:1: not valid YAML: a tab cannot indent; use spaces"),
        ("a: |\n\tb\n", "2:1: not valid YAML: a tab cannot indent; use spaces"),
        ("- a\n-\tb", "2:2: not valid YAML: a tab cannot indent; use spaces"),
        ("a: [1, 2\nb: 3\n", '2:2: not valid YAML: "," or "]" is missing; the list began in line 1'),
        ("a:\n  {b: 1\nc: 3\n", '3:2: not valid YAML: "," or "}" is missing; the mapping began in line 2'),
        ("a: [x, ${env:X}]", '1:8: not valid YAML: "${…}" needs quotes inside [ ] and { }'),
        ("a: {b: ${X}}", '1:8: not valid YAML: "${…}" needs quotes inside [ ] and { }'),
        ("a: [b,, c]", "1:7: not valid YAML: a value is missing here"),
        ("a: [", "2:1: not valid YAML: a value is missing here"),
        ("a:\n  b: 1\n c: 2\n", "3:2: not valid YAML: expected a key in column 1, where the mapping began in line 1"),
        ("a: 1\n- b\n", "2:1: not valid YAML: expected a key in column 1, where the mapping began in line 1"),
        ("- a\nb: 1\n", '2:1: not valid YAML: expected "-" in column 1, where the list began in line 1'),
        ("  a: 1\nb: 2\n", "2:1: not valid YAML: this does not belong to what is before it; check the indentation"),
        ("a: b: c\n", '1:5: not valid YAML: a ":" that is part of a value; put the value in quotes'),
        ("a:\n  b:1\n  c: 2\n", "3:4: not valid YAML: this key does not fit the line before; check its indentation"),
        ("a: 1\nb\n", '2:1: not valid YAML: a key without ":"; write "key: value", with a blank after the ":"'),
        ("a: 'b\nc: d\n", "1:4: not valid YAML: the quoted text that begins here has no end"),
        ("a: 'it's'\n", "1:8: not valid YAML: text after the end of a value; put the whole value in quotes"),
        ('a: "b" c\n', "1:8: not valid YAML: text after the end of a value; put the whole value in quotes"),
        ('a: "\\d+"\n', '1:5: not valid YAML: in double quotes "\\" begins an escape; use single quotes'),
        ("a: @b\n", '1:4: not valid YAML: a value cannot begin with "@"; put it in quotes'),
        ("a: `b`\n", '1:4: not valid YAML: a value cannot begin with "`"; put it in quotes'),
        ("a: %b\n", '1:4: not valid YAML: a value cannot begin with "%"; put it in quotes'),
        ("a: *\n", '1:5: not valid YAML: "&" and "*" begin the name of an anchor; put text that begins with them in'),
        ("a: *.example.com\n", '1:5: not valid YAML: "&" and "*" begin the name of an anchor'),
        ("a: - b\n", "1:4: not valid YAML: a list item cannot begin here; give it its own line"),
        ("a: *nowhere\n", '1:4: a: there is no such anchor before this; text that begins with "*" needs quotes'),
        ("a: &x [b, *x]\n", "1:11: a::1: a value cannot contain itself"),
        ("a: {<<: b}\n", "1:9: a: a merge key takes a mapping or a list of mappings"),
        ("a: {<<: }\n", "1:9: a: a merge key takes a mapping or a list of mappings"),
        ("a: 1\n---\nb: 2\n", "2:1: a second document begins here; one source holds one"),
        ("? [1]\n: 2\n", "1:3: a key must be plain text"),
        ("a: {{ b }}\n", "1:5: a: a key must be plain text"),
        ("a: ö\nbc: \x07\n", "2:5: not valid YAML: control characters are not allowed"),
        ("a: ö\nbc: \udcff\n", "2:5: not UTF-8 text"),
        ("a: !!int b\n", "1:4: a: not an integer, as its tag !!int says"),
        ("a: !!bool yes\n", "1:4: a: not true or false, as its tag !!bool says"),
        ("a: !!null b\n", "1:4: a: not null, as its tag !!null says"),
        ("a: !!float b\n", "1:4: a: not a number, as its tag !!float says"),
        ("a: !!binary b\n", "1:4: a: not text in base64, as its tag !!binary says"),
        ("a: !!binary aGk=!\n", "1:4: a: not text in base64, as its tag !!binary says"),
        ("a: !!binary /w==\n", "1:4: a: not text in base64, as its tag !!binary says"),
        ("a: !env X\n", '1:4: a: the tag "!env" has no meaning here'),
        ("a: !!strr X\n", '1:4: a: the tag "!!strr" has no meaning here'),
        ("a: !!str [X]\n", '1:4: a: the tag "!!str" has no meaning here'),
        ("a: !<tag:env> X\n", '1:4: a: the tag "tag:env" has no meaning here'),
        ("a: !x {}\n", '1:4: a: the tag "!x" has no meaning here'),
        ("a: " + "[" * 200 + "]" * 200, "the document unfolds to more than 100 levels"),
        ("a: " + "[" * 200_000, "1:1003: not valid YAML: nested more than 100 levels deep"),
    ],
)
def test_says_what_is_wrong_and_where(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "t.yaml")

    (problem,) = caught.value.problems
    assert message in str(problem)
    assert problem.rule in ("invalid-yaml", "duplicate-key")


def test_says_all_that_is_wrong_up_to_the_syntax() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("a: 1\na: 2\nb: !env X\nc: *d\ne: @\nf: 1\nf: 2\n", "t.yaml")

    assert [problem.mark.line for problem in caught.value.problems] == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("[" * MAX_DEPTH + "a" + "]" * MAX_DEPTH, None),
        ("[" * MAX_DEPTH + "[a]" + "]" * MAX_DEPTH, "100 levels"),
        ("{a: " * MAX_DEPTH + "{a: b}" + "}" * MAX_DEPTH, "100 levels"),
        ("[" + "a," * 999 + "]", None),
        ("[" + "a," * 1000 + "]", "1000 values"),
        ("[&x [a, b], " + "*x," * 332 + "]", None),
        ("[&x [a, b], " + "*x," * 333 + "]", "1000 values"),
        ("[&x {a: b}, " + "*x," * 498 + "]", None),
        ("[&x {a: b}, " + "*x," * 499 + "]", "1000 values"),
    ],
    ids=[
        "levels",
        "lists",
        "mappings",
        "values",
        "items",
        "list aliases",
        "list bomb",
        "mapping aliases",
        "mapping bomb",
    ],
)
def test_a_document_has_its_limits(text: str, limit: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_NODES", 1000)

    with pytest.raises(ConfigError, match=f"unfolds to more than {limit}") if limit else nullcontext():
        parse(text, "t.yaml")


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]

    with pytest.raises(ConfigError, match="unfolds to more than 100000 values"):
        parse("\n".join(lines), "t.yaml")


@pytest.mark.parametrize(("height", "limit"), [(MAX_DEPTH - 1, None), (MAX_DEPTH, "100 levels")])
@pytest.mark.parametrize("form", ["[{}]", "{{k: {}}}"], ids=["lists", "mappings"])
def test_a_tower_of_aliases_has_the_same_limits(form: str, height: int, limit: str | None) -> None:
    lines = [f"a1: &a1 {form.format('x')}", *(f"a{i}: &a{i} {form.format(f'*a{i - 1}')}" for i in range(2, height + 1))]

    with pytest.raises(ConfigError, match=f"unfolds to more than {limit}") if limit else nullcontext():
        parse("\n".join(lines), "t.yaml")


def test_nothing_stands_at_the_beginning() -> None:
    assert parse("", "t.yaml") == Node(Mark("t.yaml", 1, 1), Scalar(None, ""))


@given(st.text(max_size=200) | st.text("ab01:-,[]{}'\"&*!|>#%@`?<\\$ \t\n\r", max_size=60))
def test_any_text_is_yaml_or_says_where_it_is_not(text: str) -> None:
    problems: list[Problem] = []

    try:
        parse(text, "t.yaml")
    except ConfigError as error:
        problems = error.problems

    assert all(1 <= p.mark.line <= len(text.splitlines()) + 2 and p.mark.column >= 1 for p in problems)
