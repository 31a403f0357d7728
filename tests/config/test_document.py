"""YAML as the Collector types it, with positions."""

import math
from typing import Any

import pytest

from airis.component.config import Scalar
from airis.config import ConfigError
from airis.config.decode import raw
from airis.config.document import parse


def value(text: str) -> Any:
    found = raw(parse(text, "t.yaml"))
    return found.value if isinstance(found, Scalar) else found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("No", "No"),
        ("10", 10),
        ("-3", -3),
        ("0777", 511),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b101", 5),
        ("08", 8.0),
        ("10:30", "10:30"),
        ("1:30:00", "1:30:00"),
        ("2026-11-24", "2026-11-24"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("'10'", "10"),
        ('"true"', "true"),
        ("''", ""),
        ("5s", "5s"),
        ("localhost:4317", "localhost:4317"),
        ("0x_", "0x_"),
        ("-0b__", "-0b__"),
        ("9" * 5000, "9" * 5000),
        ("[]", []),
        ("{}", {}),
    ],
)
def test_types_a_scalar_as_the_collector_does(text: str, expected: Any) -> None:
    found = value(text)

    assert found == expected
    assert type(found) is type(expected)


def test_keeps_the_original_text_for_string_fields() -> None:
    assert raw(parse("0123", "t.yaml")) == Scalar(83, "0123")


def test_a_merge_key_fills_in_what_is_not_written() -> None:
    text = "base: &b {a: 1, b: 2}\nuse:\n  <<: *b\n  b: 3\n"

    found = raw(parse(text, "t.yaml"))

    assert found["use"] == {"a": Scalar(1, "1"), "b": Scalar(3, "3")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "t.yaml:3:1: a: written twice; the first is in line 1"),
        ("a:\n\tb: 1\n", "t.yaml:2:1: not valid YAML: a tab cannot indent; use spaces"),
        ("a: [1, 2\nb: 3\n", "t.yaml:2:2: not valid YAML: "),
        ("a: *nowhere\n", "t.yaml:1:4: not valid YAML: found undefined alias"),
        ("a: ö\nbc: \x07\n", "t.yaml:2:5: not valid YAML: control characters are not allowed"),
        ("a: \udcff\n", "t.yaml:1:1: not valid YAML: "),
        ("? [1]\n: 2\n", "t.yaml:1:3: a key must be plain text"),
        ("a: " + "[" * 200 + "]" * 200, "unfolds to more than 100 levels"),
    ],
    ids=["duplicate", "tab", "unclosed", "alias", "control", "not unicode", "key", "depth"],
)
def test_says_what_is_wrong_and_where(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "t.yaml")

    assert message in str(caught.value)


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]

    with pytest.raises(ConfigError, match="unfolds to more than 100000 values"):
        parse("\n".join(lines), "t.yaml")
