"""What the Collector's rules say of references, pipelines and connectors, and where it is said."""

import textwrap

import pytest

from airis.component import Kind
from airis.config import ConfigError, Configuration, read_configuration

from .components import more_components

__all__ = ["more_components"]

pytestmark = pytest.mark.usefixtures("more_components")

HEAD = """\
receivers: {any: , any/2: , scrape: }
processors: {batch: , options: , metrics_only: }
exporters: {nop: , nop/2: , debug: }
connectors: {forward: , forward/2: , count: }
extensions: {health_check: , file_storage: }
"""


def read(service: str, head: str = HEAD) -> Configuration:
    return read_configuration(head + "service:\n" + textwrap.indent(textwrap.dedent(service), "  "), "t.yaml", {})


def said(service: str, head: str = HEAD) -> list[tuple[str, str]]:
    """The rule and the line of every mistake."""
    with pytest.raises(ConfigError) as caught:
        read(service, head)
    return [(problem.rule, str(problem).removeprefix("t.yaml:")) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("pipelines", "rule", "expected"),
    [
        pytest.param(
            "traces: {receivers: [anny], exporters: [nop]}",
            "undefined-reference",
            '8:26: service::pipelines::traces::receivers: references receiver "anny" which is not configured; '
            'did you mean "any"?',
            id="undefined",
        ),
        pytest.param(
            "traces: {receivers: [any], processors: [debug], exporters: [nop]}",
            "undefined-reference",
            '8:45: service::pipelines::traces::processors: references processor "debug" which is not configured; '
            "it is an exporter",
            id="of another kind",
        ),
        pytest.param(
            "traces: {receivers: [any/3/4 5], exporters: [nop]}",
            "invalid-id",
            '8:26: service::pipelines::traces::receivers: "3/4 5" is not a name: 1 to 1024 bytes, no blanks and no '
            "symbols",
            id="name",
        ),
        pytest.param(
            "traces: {receivers: [any/], exporters: [nop]}",
            "invalid-id",
            '8:26: service::pipelines::traces::receivers: there is no name behind the slash; write "any" or "any/name"',
            id="no name",
        ),
        pytest.param(
            "traces: {receivers: [{any: }], exporters: [nop]}",
            "wrong-type",
            "8:26: service::pipelines::traces::receivers: expected a component id, got a mapping",
            id="no id",
        ),
        pytest.param(
            "traces: {receivers: {any: }, exporters: [nop]}",
            "wrong-type",
            "8:25: service::pipelines::traces::receivers: expected a list of component ids, got a mapping",
            id="no list",
        ),
        pytest.param(
            "traces: {receivers: [any], processors: [batch, batch], exporters: [nop]}",
            "duplicate-reference",
            '8:52: service::pipelines::traces::processors: "batch" is named twice',
            id="processor twice",
        ),
        pytest.param(
            "traces: {receivers: [any], exporters: []}",
            "incomplete-pipeline",
            "8:5: service::pipelines::traces: needs at least one of exporters",
            id="no exporter",
        ),
        pytest.param(
            "traces: {exporters: [nop]}",
            "incomplete-pipeline",
            "8:5: service::pipelines::traces: needs at least one of receivers",
            id="no receiver",
        ),
        pytest.param(
            "traces: {receivers: [scrape], exporters: [nop]}",
            "unsupported-signal",
            '8:26: service::pipelines::traces::receivers: receiver "scrape" is not for traces, only for metrics',
            id="signal of a receiver",
        ),
        pytest.param(
            "logs: {receivers: [any], processors: [metrics_only], exporters: [nop]}",
            "unsupported-signal",
            '8:43: service::pipelines::logs::processors: processor "metrics_only" is not for logs, only for metrics',
            id="signal of a processor",
        ),
        pytest.param(
            "profiles: {receivers: [any], exporters: [nop]}",
            "unsupported-signal",
            '8:28: service::pipelines::profiles::receivers: receiver "any" is not for profiles, '
            "only for traces, metrics and logs",
            id="profiles where a component has none",
        ),
        pytest.param(
            "trace/2: {receivers: [any], exporters: [nop]}",
            "unknown-signal",
            '8:5: service::pipelines::trace/2: "trace" is not a signal; did you mean "traces"?',
            id="no signal",
        ),
        pytest.param(
            "traces: {receivers: [any], exporters: [nop], procesors: [batch]}",
            "unknown-option",
            '8:50: service::pipelines::traces: unknown option "procesors"; did you mean "processors"?',
            id="unknown key",
        ),
        pytest.param(
            "traces: [any, nop]",
            "wrong-type",
            "8:13: service::pipelines::traces: expected a mapping, got a list",
            id="no mapping",
        ),
        pytest.param(
            "traces: {receivers: [any], exporters: [forward]}",
            "unconnected-connector",
            '8:44: service::pipelines::traces::exporters: connector "forward" hands on traces, but no traces pipeline '
            "has it as a receiver; add it to one",
            id="connector without an end",
        ),
        pytest.param(
            "traces: {receivers: [forward], exporters: [nop]}",
            "unconnected-connector",
            '8:26: service::pipelines::traces::receivers: connector "forward" makes traces of traces, but no traces '
            "pipeline has it as an exporter; add it to one",
            id="connector without a beginning",
        ),
        pytest.param(
            "traces: {receivers: [any], exporters: [count]}\n    logs: {receivers: [count], exporters: [nop]}",
            "unsupported-signal",
            '9:24: service::pipelines::logs::receivers: connector "count" does not give logs, only metrics',
            id="connector of other signals",
        ),
        pytest.param(
            "traces: {receivers: [any], exporters: [count]}\n    logs: {receivers: [any, count], exporters: [nop]}\n"
            "    metrics: {receivers: [count], exporters: [nop]}",
            "unsupported-signal",
            '9:29: service::pipelines::logs::receivers: connector "count" does not give logs, only metrics',
            id="connector of one wrong signal",
        ),
        pytest.param(
            "metrics: {receivers: [count], exporters: [nop]}",
            "unconnected-connector",
            '8:27: service::pipelines::metrics::receivers: connector "count" makes metrics of traces or logs, but no '
            "traces or logs pipeline has it as an exporter; add it to one",
            id="connector of two signals without a beginning",
        ),
        pytest.param(
            "traces: {receivers: [any, forward], exporters: [forward]}",
            "cycle",
            "8:53: service::pipelines::traces::exporters: goes in a circle: traces -> forward -> traces",
            id="a pipeline in itself",
        ),
        pytest.param(
            "traces/a: {receivers: [any, forward/2], exporters: [forward]}\n"
            "    traces/b: {receivers: [forward], exporters: [nop, forward/2]}",
            "cycle",
            "8:57: service::pipelines::traces/a::exporters: goes in a circle: "
            "traces/a -> forward -> traces/b -> forward/2 -> traces/a",
            id="two pipelines",
        ),
    ],
)
def test_a_mistake_is_said_once_and_at_its_place(pipelines: str, rule: str, expected: str) -> None:
    assert said(f"pipelines:\n  {pipelines.replace(chr(10) + '    ', chr(10) + '  ')}") == [(rule, expected)]


def test_every_circle_is_said() -> None:
    rules = said(
        """\
        pipelines:
          traces/a: {receivers: [any, forward], exporters: [forward]}
          traces/b: {receivers: [any, forward/2], exporters: [forward/2]}
        """
    )

    assert [rule for rule, _ in rules] == ["cycle", "cycle"]


def test_connectors_that_go_in_a_circle_of_signals_that_they_do_not_turn_are_no_circle() -> None:
    configuration = read(
        """\
        pipelines:
          traces: {receivers: [any], exporters: [count]}
          logs: {receivers: [any], exporters: [count]}
          metrics: {receivers: [count, any], exporters: [nop]}
        """
    )

    assert configuration.pipelines["metrics"].receivers == ("count", "any")
    assert configuration.pipelines["metrics"].mark.line == 10


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (
            "extensions: [health_chek]\npipelines: {traces: {receivers: [any], exporters: [nop]}}",
            '7:16: service::extensions: references extension "health_chek" which is not configured; '
            'did you mean "health_check"?',
        ),
        ("extensions: 5\npipelines: {traces: {receivers: [any], exporters: [nop]}}", "7:15: service::extensions: "),
        ("pipelines: {}", "7:3: service::pipelines: at least one pipeline is needed"),
        ("pipelines:", "7:3: service::pipelines: at least one pipeline is needed"),
        ("telemetry: ", "6:1: service::pipelines: at least one pipeline is needed"),
        ("pipelines: [traces]", "7:14: service::pipelines: expected a mapping, got a list"),
        (
            "pipelins: {traces: {receivers: [any], exporters: [nop]}}",
            '7:3: service: unknown option "pipelins"; did you mean "pipelines"?',
        ),
    ],
)
def test_a_service_needs_pipelines_and_its_extensions(service: str, expected: str) -> None:
    ((_, line),) = said(service)

    assert line.startswith(expected)


@pytest.mark.parametrize(
    ("head", "service", "rules"),
    [
        ("receivers: [any]\nexporters: {nop: }\n", "receivers: [any], exporters: [nop]", ["wrong-type"]),
        ("receivrs: {any: }\nexporters: {nop: }\n", "receivers: [any], exporters: [nop]", ["unknown-option"]),
        ("receivers: {any: 5}\nexporters: {nop: }\n", "receivers: [any], exporters: [nop]", ["wrong-type"]),
        ("receivers: {anyy: }\nexporters: {nop: }\n", "receivers: [any], exporters: [nop]", ["unknown-component"]),
        ("receivers: {anyy/2: }\nexporters: {nop: }\n", "receivers: [any/2], exporters: [nop]", ["unknown-component"]),
        ("receivers: {anyy/2: }\nexporters: {nop: }\n", "receivers: [anyy/2], exporters: [nop]", ["unknown-component"]),
        (
            "receivers: {redis: }\nexporters: {nop: }\n",
            "receivers: [redis], exporters: [nop]",
            ["unsupported-component"],
        ),
        ("receivers: {any/: }\nexporters: {nop: }\n", "receivers: [any/], exporters: [nop]", ["invalid-id"]),
        ("receivers: {any: }\nexporters: {nop: }\n", "receiver: [any], exporters: [nop]", ["unknown-option"]),
        ("receivers: {any: }\nexporters: {nop: }\n", "receivers: [ayn], exporters: [nop]", ["undefined-reference"]),
        (
            "receivers: {any: , forward: {}}\nexporters: {nop: }\nconnectors: {forward: }\n",
            "receivers: [forward], exporters: [nop]",
            ["unknown-component"],
        ),
        (
            "receivers: {any/x: }\nexporters: {nop: }\nconnectors: {forward: , count: }\n",
            "receivers: [any/x], exporters: [nop], extra: 1",
            ["unknown-option"],
        ),
    ],
)
def test_one_mistake_is_not_followed_by_others(head: str, service: str, rules: list[str]) -> None:
    assert [rule for rule, _ in said(f"pipelines: {{traces: {{{service}}}}}", head)] == rules


def test_a_pipeline_without_a_signal_says_nothing_of_the_connectors_in_it() -> None:
    rules = said(
        """\
        pipelines:
          spans: {receivers: [any], exporters: [forward]}
          traces: {receivers: [forward], exporters: [nop]}
        """
    )

    assert [rule for rule, _ in rules] == ["unknown-signal"]


def test_an_id_that_two_components_have_is_ambiguous() -> None:
    head = "receivers: {any: }\nexporters: {nop: , count: }\nconnectors: {count: }\n"

    assert said("pipelines: {traces: {receivers: [any], exporters: [nop, count]}}", head) == [
        (
            "ambiguous-component",
            "3:14: connectors::count: is an exporter as well, in line 2; call one of them otherwise",
        ),
    ]


def test_two_keys_that_are_the_same_id_are_refused() -> None:
    head = 'receivers: {any/2: , "any / 2": }\nexporters: {nop: }\n'

    assert said("pipelines: {traces: {receivers: [any / 2], exporters: [nop]}}", head) == [
        ("duplicate-component", '1:22: receivers::any / 2: "any/2" is configured twice; the first is in line 1')
    ]


def test_a_receiver_or_exporter_may_be_named_twice() -> None:
    configuration = read("pipelines: {traces: {receivers: [any, any], exporters: [nop, nop/2, nop]}}")

    repeated = [str(w) for w in configuration.warnings if w.rule == "repeated-reference"]
    assert repeated == [
        't.yaml:7:41: service::pipelines::traces::receivers: "any" is named twice; once is enough',
        't.yaml:7:71: service::pipelines::traces::exporters: "nop" is named twice; once is enough',
    ]
    assert configuration.pipelines["traces"].receivers == ("any",)
    assert configuration.pipelines["traces"].exporters == ("nop", "nop/2")


def test_ids_may_be_a_text_with_commas_and_have_blanks() -> None:
    configuration = read("pipelines: {' traces / x ': {receivers: 'any, any/2', exporters: nop}}")

    assert configuration.pipelines["traces/x"].receivers == ("any", "any/2")
    assert configuration.pipelines["traces/x"].exporters == ("nop",)


def test_what_no_pipeline_names_is_read_as_well() -> None:
    head = HEAD.replace("nop/2: ", "file: {path: [a]}")

    ((rule, line),) = said("pipelines: {traces: {receivers: [any], exporters: [nop]}}", head)

    assert (rule, line) == ("wrong-type", "3:33: exporters::file::path: expected text, got a list")


def test_knows_where_everything_was_written() -> None:
    configuration = read("pipelines: {traces: {receivers: [any, any/2], exporters: [nop]}}")

    assert configuration.components[Kind.RECEIVER]["any/2"].mark.column == 20
    assert str(configuration.mark_at("receivers", "any/2")) == "t.yaml:1:27"
    assert str(configuration.mark_at("service", "pipelines", "traces", "receivers", "1")) == "t.yaml:7:41"
    assert str(configuration.mark_at("service", "pipelines", "traces", "nowhere", "1")) == "t.yaml:7:15"
