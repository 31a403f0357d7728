"""The Collector's rules for ``${…}``."""

from typing import Any

import pytest

from airis.component.config import Scalar
from airis.config import ConfigError, Problem
from airis.config.decode import raw
from airis.config.document import parse
from airis.config.substitution import substitute

ENVIRONMENT = {
    "HOST": "db.example",
    "PORT": "0123",
    "EMPTY": "",
    "LIST": "[a, b]",
    "MAP": "{k: v}",
    "DOLLAR": "pa$$word",
    "QUOTED": '"12"',
    "COMMENT": "#12",
    "NOT_UTF8": "a\udcff",
    "NAME": "HOST",
}


def substituted(text: str) -> Any:
    problems: list[Problem] = []
    node = substitute(parse(f"v: {text}", "t.yaml"), ENVIRONMENT, problems)
    if problems:
        raise ConfigError(problems)
    return raw(node)["v"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${env:HOST}", "db.example"),
        ("${HOST}", "db.example"),
        ("'${HOST}'", "db.example"),
        ("tcp://${env:HOST}:9000", "tcp://db.example:9000"),
        ("${env:PORT}", Scalar(83, "0123")),
        ("host:${env:PORT}", "host:0123"),
        ("${env:UNSET}", Scalar(None, "")),
        ("${env:UNSET:-x}", "x"),
        ("${env:UNSET:-}", Scalar(None, "")),
        ("${env:UNSET:-5}", Scalar(5, "5")),
        ("${env:EMPTY:-x}", Scalar(None, "")),
        ("a${env:UNSET}b", "ab"),
        ("${env:LIST}", ["a", "b"]),
        ("${env:MAP}", {"k": "v"}),
        ("$HOST", "$HOST"),
        ("$$HOST", "$HOST"),
        ("$${HOST}", "${HOST}"),
        ("a$$b", "a$b"),
        ("${env:QUOTED}", '"12"'),
        ("${env:DOLLAR}", "pa$$word"),
        ("${env:COMMENT}", "#12"),
        ("${env:NOT_UTF8}", "a\udcff"),
        ("${env:${env:NAME}}", "db.example"),
        ("${env:UNSET:-${HOST}:${PORT}}", "db.example:0123"),
        ("tcp://${env:UNSET:-${HOST}}:1", "tcp://db.example:1"),
        ("'${env:UNSET:-{}}'", "{}"),
        ("a${env:UNSET:-b{}c", "ab{c"),
        ("'${env:HOST'", "${env:HOST"),
        ("a}$$", "a}$"),
    ],
)
def test_puts_in_what_the_environment_says(text: str, expected: Any) -> None:
    assert substituted(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${env:1X}", '"1X" is not the name of an environment variable'),
        ("${env:${DOLLAR}}", '"${DOLLAR}" is not the name of an environment variable'),
        ("${file:/etc/hostname}", '"${file:…}" is not supported yet'),
    ],
)
def test_refuses_what_it_cannot_look_up(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        substituted(text)

    assert str(caught.value).startswith("t.yaml:1:4: v: ")
    assert message in str(caught.value)
