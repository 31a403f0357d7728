"""What is said of options that are wrong: in words, and at the place where they are written."""

import textwrap
from typing import Any

import pytest

from airis.config import Problem
from airis.config.decode import decode
from airis.config.document import parse
from airis.config.errors import in_order
from airis.config.substitution import substitute

from .components import Options, Rule

SECRET = "hunter2"


def decoded(text: str) -> tuple[Options | None, list[Problem]]:
    problems: list[Problem] = []
    root = substitute(parse(textwrap.dedent(text), "t.yaml"), {"OUTSIDE": SECRET}, problems, [])
    return decode(Options, root, ("processors", "options"), root.mark, problems), problems


def said(text: str) -> list[str]:
    options, problems = decoded(text)
    assert (options is None) == bool(problems)
    return [str(p).removeprefix("t.yaml:").replace("processors::options", "") for p in in_order(problems)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("count: four", '1:8: ::count: expected an integer, got "four"'),
        ('count: "5"', '1:8: ::count: expected an integer, got "5"; write 5 without quotes'),
        ("count: 1.5", "1:8: ::count: expected an integer, got 1.5"),
        ("count: true", "1:8: ::count: expected an integer, got true"),
        ("count: [1]", "1:8: ::count: expected an integer, got a list"),
        ("count: {a: 1}", "1:1: ::count: expected an integer, got a mapping"),
        ("count: 0", "1:8: ::count: must be from 1 to 100, got 0"),
        ("size: 2048", "1:7: ::size: must be from 0 to 2047, got 2048"),
        ("ratio: 1", "1:8: ::ratio: must be over 0 and under 1, got 1"),
        ("ratio: half", '1:8: ::ratio: expected a number, got "half"'),
        ("wait: 5", '1:7: ::wait: a duration needs a unit; write "5s" for seconds'),
        ('wait: "5"', '1:7: ::wait: a duration needs a unit; write "5s" for seconds'),
        (
            "wait: 5 s",
            '1:7: ::wait: "5 s" is not a duration; write a number and a unit, such as "200ms", "5s" or "1h30m"',
        ),
        ("wait: -1m", '1:7: ::wait: must be at least 0s, got "-1m"'),
        ("wait: true", '1:7: ::wait: expected a duration such as "5s", got true'),
        ("delays: [1s, 2]", '1:14: ::delays::1: a duration needs a unit; write "2s" for seconds'),
        ("mode: sage", '1:7: ::mode: expected "fast", "safe" or "", got "sage"; did you mean "safe"?'),
        ("mode: 7", '1:7: ::mode: expected "fast", "safe" or "", got 7'),
        ("on: yes", '1:5: ::on: expected true or false, got "yes"; write true without quotes'),
        ('on: "true"', '1:5: ::on: expected true or false, got "true"; write true without quotes'),
        ("on: 1", "1:5: ::on: expected true or false, got 1"),
        ("text: [a]", "1:7: ::text: expected text, got a list"),
        ("path: metrics", '1:7: ::path: must begin with "/", got "metrics"'),
        ('name: ""', "1:7: ::name: must not be empty"),
        ('ratio: "true"', '1:8: ::ratio: expected a number, got "true"'),
        ("few: 1,2", '1:6: ::few: expected a list, got "1,2"'),
        (
            "ident: 1a",
            '1:8: ::ident: must be letters, digits and underscores, not a digit first, and no more than 63, got "1a"',
        ),
        ("code: 1.5", "1:7: ::code: expected text or an integer, got something else"),
        ("later: x", "1:8: ::later: not yet; leave it out"),
        ("endpoint: a:b", '1:11: ::endpoint: "b" is no port'),
        ("texts: {a: b}", "1:1: ::texts: expected a list, got a mapping"),
        ("texts: [a, [b]]", "1:12: ::texts::1: expected text, got a list"),
        ("modes: [fast, slow]", '1:15: ::modes::1: expected "fast" or "safe", got "slow"'),
        ("modes: fast, slow", '1:8: ::modes: expected "fast" or "safe", got "fast, slow"'),
        ("few: []", "1:6: ::few: must not be empty"),
        ("few: [1, 2, 3, 4]", "1:6: ::few: must have from 1 to 3 items"),
        ("labels: {a: {b: c}}", "1:10: ::labels::a: expected text, got a mapping"),
        ("either: {a: b}", "1:1: ::either: expected text or a list, got a mapping"),
        ("either: [a, [b]]", "1:13: ::either::1: expected text, got a list"),
        (
            "number_or_mode: atuo",
            '1:17: ::number_or_mode: expected an integer or "auto", got "atuo"; did you mean "auto"?',
        ),
        ("rules: [{match: a, limt: 1}]", '1:20: ::rules::0: unknown option "limt"; did you mean "limit"?'),
        ("rules: [a, {limit: -1, match: b}]", "1:20: ::rules::1::limit: must be at least 0, got -1"),
        ("rules: [a, {limit: 1}]", '1:12: ::rules::1: option "match" is required'),
        ("rules: [a, [b]]", "1:12: ::rules::1: expected text or a mapping, got a list"),
        ("routes:\n  a:\n    match: b\n    limit: x", '4:12: ::routes::a::limit: expected an integer, got "x"'),
        ("routes: {a: [b]}", "1:13: ::routes::a: expected a mapping, got a list"),
        ("rule: {match: }", "1:8: ::rule::match: a value is required"),
        (
            "rule: {enabled: on, match: a}",
            '1:17: ::rule::enabled: expected true or false, got "on"; write true without quotes',
        ),
        ("rule:", '1:1: ::rule: option "match" is required'),
        ("cuont: 1", '1:1: : unknown option "cuont"; did you mean "count"?'),
        ("[1]", "1:1: : expected a mapping, got a list"),
        ("text", '1:1: : expected a mapping, got "text"'),
    ],
)
def test_says_what_was_expected_and_what_is_there(text: str, expected: str) -> None:
    assert said(text) == [expected]


def test_says_everything_that_is_wrong() -> None:
    assert said(
        """\
        count: 0
        cuont: 1
        rules:
          - match: a
            limit: -1
          - limit: 2
        rule:
          enabled: maybe
        """
    ) == [
        "1:8: ::count: must be from 1 to 100, got 0",
        '2:1: : unknown option "cuont"; did you mean "count"?',
        "5:12: ::rules::0::limit: must be at least 0, got -1",
        '6:5: ::rules::1: option "match" is required',
        '7:1: ::rule: option "match" is required',
        '8:12: ::rule::enabled: expected true or false, got "maybe"',
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("texts: a, b,c", {"texts": ["a", "b", "c"]}),
        ('texts: ""', {"texts": []}),
        ("texts: '${env:OUTSIDE}'", {"texts": [SECRET]}),
        ("modes: fast,safe", {"modes": ["fast", "safe"]}),
        ("either: a,b", {"either": "a,b"}),
        ("wait: 1m30s", {"wait": 90.0}),
        ("text: 0123", {"text": "0123"}),
        ("rule: {enabled: false}", {"rule": None}),
        ("rule: {enabled: true, match: a}", {"rule": Rule(match="a", limit=10)}),
    ],
)
def test_takes_what_the_collector_takes(text: str, expected: dict[str, Any]) -> None:
    options, problems = decoded(text)

    assert problems == []
    assert {name: getattr(options, name) for name in expected} == expected


@pytest.mark.parametrize(
    "text",
    [
        "count: ${env:OUTSIDE}",
        "mode: ${env:OUTSIDE}",
        "wait: ${env:OUTSIDE}",
        "path: ${env:OUTSIDE}",
        "rule: '${env:OUTSIDE}'",
        "endpoint: '${env:OUTSIDE}'",
        "endpoint: 'a:${env:OUTSIDE}'",
        "endpoint: '${env:OUTSIDE}:xy'",
        "modes: [fast, '${env:OUTSIDE}']",
        "token: [hunter2]",
        "headers: {a: [hunter2]}",
        "headers: hunter2",
    ],
)
def test_does_not_repeat_a_secret_nor_what_came_from_outside(text: str) -> None:
    _, problems = decoded(text)

    assert len(problems) == 1
    assert SECRET not in str(problems[0])
    assert not problems[0].shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cuont: ${env:OUTSIDE}", 'processors::options: unknown option "cuont"; did you mean "count"?'),
        ("rule: ${env:MAPPING}", 'processors::options::rule: unknown option "…"; valid here: limit, match'),
        (
            "routes: ${env:ROUTES}",
            "processors::options::routes::…: expected a mapping, got something else from outside",
        ),
        ("rule: {match: '${env:UNSET}', limit: 1}", "processors::options::rule::match: a value is required"),
    ],
)
def test_repeats_what_is_in_the_file_and_what_is_of_the_model(text: str, expected: str) -> None:
    problems: list[Problem] = []
    environment = {"OUTSIDE": SECRET, "MAPPING": "{match: a, hunter2: b}", "ROUTES": "{hunter2: a}"}
    root = substitute(parse(text, "t.yaml"), environment, problems, [])

    decode(Options, root, ("processors", "options"), root.mark, problems)

    (problem,) = problems
    assert SECRET not in str(problem)
    assert expected in str(problem)


def test_says_of_an_option_that_airis_lacks_what_can_be_done_wherever_its_value_is_from() -> None:
    _, (problem,) = decoded("later: ${env:OUTSIDE}")

    assert (problem.rule, problem.message) == ("unsupported-option", "not yet; leave it out")


def test_a_part_of_what_came_from_outside_is_not_repeated_either() -> None:
    _, (problem,) = decoded("endpoint: '${env:OUTSIDE}:xyz'")

    assert problem.message == "the value put in here is not valid"
