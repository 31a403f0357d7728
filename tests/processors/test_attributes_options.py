"""Options of the attributes processor that cannot be are errors of the configuration, at their place, all at once."""

import pytest

from airis.component import Kind
from airis.config import ConfigError, read_configuration
from airis.processors.attributes import AttributesConfig

pytestmark = pytest.mark.usefixtures("either_back_end")

CONFIGURATION = """\
receivers: {{otlp: {{protocols: {{grpc: }}}}}}
exporters: {{nop: }}
processors:
  attributes:
{options}
service: {{pipelines: {{{pipelines}}}}}
"""
ONE = "receivers: [otlp], processors: [attributes], exporters: [nop]"


def said(options: str, *signals: str) -> list[str]:
    """What is wrong with a configuration."""
    pipelines = ", ".join(f"{signal}: {{{ONE}}}" for signal in signals or ("traces",))
    text = CONFIGURATION.format(options="\n".join(f"    {line}" for line in options.splitlines()), pipelines=pipelines)
    with pytest.raises(ConfigError) as caught:
        read_configuration(text, "t.yaml", {})
    return [str(problem).removeprefix("t.yaml:") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{action: delete}", "delete needs key or pattern"),
        ("{action: upsert, value: 123}", "upsert needs key"),
        ("{action: hash}", "hash needs key or pattern"),
        ("{key: a, action: insert}", "insert needs value, from_attribute, from_context or default_value"),
        ("{key: a, action: insert, value: }", "insert needs value, from_attribute, from_context or default_value"),
        ("{key: a, action: upsert, value: 1, from_attribute: b}", "upsert takes only one of value and from_attribute"),
        ("{key: a, action: insert, from_attribute: b, pattern: x}", "insert takes no pattern"),
        ("{key: a, action: update, value: 1, converted_type: int}", "update takes no converted_type"),
        ("{key: a, action: delete, value: 1}", "delete takes no value"),
        ("{key: a, action: hash, from_attribute: b}", "hash takes no from_attribute"),
        ("{key: a, action: delete, converted_type: int}", "delete takes no converted_type"),
        ("{key: a, action: extract}", "extract needs pattern"),
        ("{key: a, action: extract, pattern: '(?P<x>.)', value: 1}", "extract takes no value"),
        ("{key: a, action: extract, pattern: '(?P<x>.)', from_context: b}", "extract takes no from_context"),
        (
            "{key: a, action: extract, pattern: '.*$'}",
            "extract needs a pattern whose groups all have names, as in (?P<name>.*)",
        ),
        (
            "{key: a, action: extract, pattern: '(?P<x>.)(.)'}",
            "extract needs a pattern whose groups all have names, as in (?P<name>.*)",
        ),
        ("{key: a, action: convert}", 'convert needs converted_type: "int", "double" or "string"'),
        ("{key: a, action: convert, converted_type: int, value: 1}", "convert takes no value"),
        ("{action: convert, pattern: a}", "convert needs key, and needs converted_type: "),
    ],
)
def test_an_action_that_cannot_be_is_an_error_at_its_place(written: str, expected: str) -> None:
    problems = said(f"actions:\n- {{key: first, action: delete}}\n- {written}")

    assert len(problems) == 1
    assert problems[0].startswith(f"7:7: processors::attributes::actions::1: {expected}")


@pytest.mark.parametrize(
    ("written", "option", "expected"),
    [
        ("{key: a, action: drop}", "action", 'expected "insert", "update", "upsert", "delete", "hash", "extract"'),
        ("{key: a, action: convert, converted_type: bool}", "converted_type", 'expected "int", "double" or "string"'),
        ("{key: a, action: delete, pattern: '['}", "pattern", ""),
        ("{key: a, action: extract, pattern: '(?P<a.b>.)'}", "pattern", ""),
        (
            "{key: a, action: insert, from_context: auth.raw}",
            "from_context",
            "credentials do not go on with the data",
        ),
        ("{key: a, action: insert, from_context: client.address}", "from_context", "the address of the client is not"),
        ("{key: a, action: insert, from_context: metadata.Authorization}", "from_context", "credentials, and headers"),
        ("{key: a, action: insert, value: 18446744073709551615}", "value", "18446744073709551615 has more than 64"),
    ],
)
def test_an_option_that_cannot_be_is_an_error_at_its_place(written: str, option: str, expected: str) -> None:
    problems = said(f"actions:\n- {written}")

    assert len(problems) == 1
    assert f": processors::attributes::actions::0::{option}: {expected}" in problems[0]


@pytest.mark.parametrize(
    ("written", "signals", "expected"),
    [
        ("{}", ["traces"], 'include: option "match_type" is required'),
        ("{match_type: strict}", ["traces"], "include: needs at least one of services, span_names"),
        ("{match_type: expr, services: [a]}", ["traces"], 'include::match_type: expected "strict" or "regexp"'),
        ("{match_type: regexp, span_names: [a, '[']}", ["traces"], "include::span_names::1: "),
        ("{match_type: regexp, libraries: [{name: '['}]}", ["traces"], 'include: "[": '),
        ("{match_type: strict, span_kinds: [SERVER]}", ["traces"], "include: span_kinds are SPAN_KIND_INTERNAL"),
        ("{match_type: regexp, attributes: [{key: a, value: 1}]}", ["logs"], 'include: "a" is matched as text'),
        ("{match_type: strict, attributes: [{key: a, value: [1]}]}", ["logs"], "include::attributes::0::value: a list"),
        ("{match_type: strict, attributes: [{key: ''}]}", ["logs"], "include::attributes::0::key: must"),
        ("{match_type: strict, span_names: [a], log_bodies: [b]}", ["logs"], "include: no item has all of span_names,"),
    ],
)
def test_a_match_that_cannot_be_is_an_error_at_its_place(written: str, signals: list[str], expected: str) -> None:
    problems = said(f"include: {written}\nactions: [{{key: a, action: delete}}]", *signals)

    assert len(problems) == 1
    assert f": processors::attributes::{expected}" in problems[0]


@pytest.mark.parametrize(
    ("written", "signals", "refused"),
    [
        ("services: [a]", ["traces", "metrics", "logs"], ["metrics", "logs"]),
        ("log_bodies: [a]", ["traces", "metrics", "logs"], ["traces", "metrics"]),
        ("metric_names: [a]", ["traces", "metrics", "logs"], ["traces", "logs"]),
        ("attributes: [{key: a}]", ["traces", "metrics", "logs"], ["metrics"]),
    ],
)
def test_a_pipeline_whose_items_cannot_be_told_by_it_is_an_error(
    written: str, signals: list[str], refused: list[str]
) -> None:
    problems = said(f"exclude: {{match_type: strict, {written}}}\nactions: [{{key: a, action: delete}}]", *signals)

    name = written.partition(":")[0]
    assert [problem.partition(": ")[2].partition(", only")[0] for problem in problems] == [
        f'service::pipelines::{signal}::processors: processor "attributes" is not for {signal}, '
        f"exclude: {name} cannot be matched in {signal}"
        for signal in refused
    ]


def test_all_mistakes_are_said_at_once() -> None:
    options = """\
include: {match_type: regexp, span_names: ['[']}
exclude: {match_type: strict}
actions:
- {key: a, action: insert}
- {key: a, action: drop}
- {key: a, action: delete, value: 1}"""

    assert len(said(options)) == 5


@pytest.mark.parametrize("options", ["actions: []", "exclude: {match_type: strict, services: [a]}"])
def test_something_must_be_done(options: str) -> None:
    (problem,) = said(options)

    assert "actions" in problem


@pytest.mark.parametrize(
    ("written", "expected"),
    [("5", 5), ("5.0", 5.0), ("true", True), ("five", "five"), ("[1, a]", [1, "a"])],
    ids=str,
)
def test_a_value_from_the_environment_has_the_type_that_it_has_in_yaml(written: str, expected: object) -> None:
    options = "actions: [{key: a, action: insert, value: '${env:VALUE}'}]"
    text = CONFIGURATION.format(options=f"    {options}", pipelines=f"traces: {{{ONE}}}")

    configuration = read_configuration(text, "t.yaml", {"VALUE": written})

    config = configuration.components[Kind.PROCESSOR]["attributes"].options
    assert isinstance(config, AttributesConfig)
    value = config.actions[0].value
    assert (value, type(value)) == (expected, type(expected))
