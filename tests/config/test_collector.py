"""The Collector's names: old and new spellings, and what airis lacks."""

import re

import pytest

from airis.component import Kind, known_types
from airis.config import ConfigError, read_configuration
from airis.config.collector import RENAMED, _components, what_airis_lacks

from .components import more_components

__all__ = ["more_components"]


@pytest.mark.parametrize(
    ("exporter", "warning"),
    [
        ("otlp_grpc", None),
        ("otlp", '2:13: exporters::otlp: the Collector has renamed "otlp"; write "otlp_grpc"'),
        ("otlp/2", '2:13: exporters::otlp/2: the Collector has renamed "otlp"; write "otlp_grpc"'),
        ("load_balancing", None),
        (
            "loadbalancing",
            '2:13: exporters::loadbalancing: the Collector has renamed "loadbalancing"; write "load_balancing"',
        ),
    ],
)
@pytest.mark.usefixtures("more_components")
def test_either_spelling_is_taken_whichever_is_installed(exporter: str, warning: str | None) -> None:
    configuration = read_configuration(
        f"receivers: {{any: }}\nexporters: {{{exporter}: }}\n"
        f"service: {{pipelines: {{metrics: {{receivers: [any], exporters: [{exporter}]}}}}}}\n",
        "t.yaml",
        {},
    )

    assert list(configuration.components[Kind.EXPORTER]) == [exporter]
    assert configuration.pipelines["metrics"].exporters == (exporter,)
    said = [(w.rule, str(w).removeprefix("t.yaml:")) for w in configuration.warnings]
    assert said == ([("deprecated-name", warning)] if warning else [])


@pytest.mark.parametrize(
    ("section", "type_name", "message"),
    [
        (
            "exporters",
            "loki",
            'exporter type "loki" is a Collector component that airis does not have; use otlp_http to Loki\'s OTLP '
            "endpoint, http://loki:3100/otlp; the Collector no longer has it either",
        ),
        (
            "exporters",
            "logging",
            'exporter type "logging" is a Collector component that airis does not have; the Collector has renamed it; '
            'write "debug"',
        ),
        ("receivers", "filelog", 'receiver type "filelog" is a Collector component that airis does not have yet'),
        (
            "receivers",
            "redis",
            'receiver type "redis" is a Collector component that airis does not have; a Collector that has it can send '
            "OTLP to the otlp receiver",
        ),
        (
            "processors",
            "k8sattributes",
            'processor type "k8sattributes" is a Collector component that airis does not have; a Collector that has it '
            "can stand before airis",
        ),
        ("processors", "forward", 'there is no processor of type "forward"; it is a connector'),
    ],
)
def test_says_what_airis_lacks_and_what_can_be_done(section: str, type_name: str, message: str) -> None:
    if type_name == "filelog" and "file_log" in known_types(Kind.RECEIVER):
        pytest.skip("airis has it by now")
    with pytest.raises(ConfigError) as told:
        read_configuration(f"{section}: {{{type_name}/x: {{a: b}}}}\n", "t.yaml", {})

    said = [problem for problem in told.value.problems if problem.path == (section, f"{type_name}/x")]
    assert [problem.message for problem in said] == [message]


def test_what_airis_lacks_is_said_once() -> None:
    with pytest.raises(ConfigError) as told:
        read_configuration(
            "receivers: {otlp: {protocols: {grpc: }}, redis: {endpoint: 5, nonsense: }}\n"
            "exporters: {nop: , awss3: {s3uploader: {region: a}}}\n"
            "connectors: {slow_sql: }\n"
            "service: {pipelines: {\n"
            "  traces: {receivers: [otlp], exporters: [awss3, slow_sql]},\n"
            "  metrics: {receivers: [redis, slow_sql], exporters: [nop]}}}\n",
            "t.yaml",
            {},
        )

    assert [(p.rule, p.mark.line) for p in told.value.problems] == [
        ("unsupported-component", line) for line in (1, 2, 3)
    ]


def test_the_table_knows_the_new_spelling_of_every_component() -> None:
    for kind, renamed in RENAMED.items():
        assert set(renamed.values()) <= _components()[kind].keys()
        assert not set(renamed) & _components()[kind].keys()


def test_the_table_is_as_large_as_the_collector() -> None:
    counts = {kind: len(types) for kind, types in _components().items()}

    assert counts[Kind.RECEIVER] >= 108
    assert counts[Kind.PROCESSOR] >= 32
    assert counts[Kind.EXPORTER] >= 49
    assert counts[Kind.CONNECTOR] >= 13
    assert counts[Kind.EXTENSION] >= 40


@pytest.mark.parametrize("kind", list(Kind))
def test_what_can_be_done_is_a_sentence_without_its_end(kind: Kind) -> None:
    for type_name in _components()[kind]:
        assert re.fullmatch(
            r"\w+ type \"\w+\" is a Collector component .*[^.;]", what_airis_lacks(kind, type_name) or ""
        )
