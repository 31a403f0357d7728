"""What may not be meant: each warning, where it is said, and what is like it and says nothing."""

import textwrap

import pytest

from airis.config import ConfigError, Sources, load_configuration, read_configuration

from .components import more_components

__all__ = ["more_components"]

pytestmark = pytest.mark.usefixtures("more_components")


def warned(text: str, environment: dict[str, str] | None = None) -> list[tuple[str, str]]:
    """The rule and the line of every warning."""
    configuration = read_configuration(textwrap.dedent(text), "t.yaml", environment or {})
    return [(warning.rule, str(warning).removeprefix("t.yaml:")) for warning in configuration.warnings]


def test_the_built_in_configuration_says_nothing() -> None:
    assert load_configuration(Sources(), {}).warnings == ()


def test_says_what_is_configured_and_not_started() -> None:
    assert warned(
        """\
        receivers: {any: , any/2: }
        processors: {batch: }
        exporters: {nop: , debug: }
        connectors: {forward: , count: }
        extensions: {health_check: , file_storage: }
        service:
          extensions: [file_storage]
          pipelines:
            traces: {receivers: [any], exporters: [forward]}
            traces/2: {receivers: [forward], exporters: [nop]}
        """
    ) == [
        ("unused-component", "1:20: receivers::any/2: is not started: no pipeline names it"),
        ("unused-component", "2:14: processors::batch: is not started: no pipeline names it"),
        ("unused-component", "3:20: exporters::debug: is not started: no pipeline names it"),
        ("unused-component", "4:25: connectors::count: is not started: no pipeline names it"),
        (
            "extension-not-started",
            "5:14: extensions::health_check: is not started: service::extensions does not name it",
        ),
    ]


@pytest.mark.parametrize(
    ("processors", "expected"),
    [
        ("memory_limiter, batch", []),
        (
            "batch, memory_limiter",
            [
                (
                    "memory-limiter-not-first",
                    '6:52: service::pipelines::traces::processors: "memory_limiter" does not protect what stands '
                    "before it; put it first",
                )
            ],
        ),
        ("memory_limiter, tail_sampling, batch", []),
        (
            "memory_limiter, batch, options, tail_sampling",
            [
                (
                    "batch-before-sampler",
                    '6:61: service::pipelines::traces::processors: "batch" joins what "tail_sampling" then leaves out '
                    "or takes apart; put it behind the sampler",
                )
            ],
        ),
    ],
)
def test_says_which_processors_stand_in_the_wrong_order(processors: str, expected: list[tuple[str, str]]) -> None:
    found = warned(
        f"""\
        receivers: {{any: }}
        processors: {{batch: , memory_limiter: {{check_interval: 1s, limit_mib: 100}}, tail_sampling: , options: }}
        exporters: {{nop: }}
        service:
          pipelines:
            traces: {{receivers: [any], processors: [{processors}], exporters: [nop]}}
        """
    )

    assert [warning for warning in found if warning[0] != "unused-component"] == expected


@pytest.mark.parametrize(
    ("endpoint", "is_said"),
    [
        ("endpoint: 0.0.0.0:4318", True),
        ('endpoint: ":4318"', True),
        ('endpoint: "[::]:4318"', True),
        ("endpoint: localhost:4318", False),
        ("endpoint: 10.0.0.1:4318", False),
        ("endpoint: /run/airis.sock, transport: unix", False),
        ("endpoint: 0.0.0.0:4318, tls: {cert_file: a, key_file: b}", False),
    ],
)
def test_says_what_is_open_to_everybody(endpoint: str, is_said: bool) -> None:
    found = warned(
        f"""\
        receivers: {{scrape: {{servers: {{a: {{{endpoint}}}}}}}}}
        exporters: {{nop: }}
        service: {{pipelines: {{metrics: {{receivers: [scrape], exporters: [nop]}}}}}}
        """
    )

    line = (
        "1:46: receivers::scrape::servers::a::endpoint: listens on every address, without TLS and without "
        'authentication; write "localhost:4318" or the address that is meant, or add tls and auth'
    )
    assert found == ([("open-endpoint", line)] if is_said else [])


def test_says_what_is_open_by_its_name_where_its_value_comes_from_outside() -> None:
    found = warned(
        """\
        receivers: {otlp: {protocols: {http: {endpoint: "${env:HOST}:4318"}}}}
        exporters: {nop: }
        service: {pipelines: {metrics: {receivers: [otlp], exporters: [nop]}}}
        """,
        {"HOST": "0.0.0.0"},
    )

    ((rule, line),) = found
    assert rule == "open-endpoint"
    assert line.startswith("1:49: receivers::otlp::protocols::http::endpoint: ")
    assert "0.0.0.0" not in line


@pytest.mark.parametrize(("endpoint", "is_shown"), [("0.0.0.0:4318", True), ("${env:HOST}:4318", False)])
def test_shows_an_open_endpoint_that_is_written_in_the_file(endpoint: str, is_shown: bool) -> None:
    configuration = read_configuration(
        f"receivers: {{otlp: {{protocols: {{http: {{endpoint: '{endpoint}'}}}}}}}}\n"
        "exporters: {nop: }\n"
        "service: {pipelines: {metrics: {receivers: [otlp], exporters: [nop]}}}\n",
        "t.yaml",
        {"HOST": "0.0.0.0"},
    )

    (warning,) = configuration.warnings
    assert warning.shown is is_shown


@pytest.mark.parametrize(
    ("exporter", "started", "expected"),
    [
        ("", "file_storage", "2:13: exporters::otlp_grpc::sending_queue: "),
        ("sending_queue: ", "file_storage", "2:40: exporters::otlp_grpc::sending_queue: "),
        ("sending_queue: {queue_size: 5}", "file_storage", "2:25: exporters::otlp_grpc::sending_queue: "),
        ("sending_queue: {storage: file_storage}", "file_storage", None),
        ("sending_queue: {enabled: false}", "file_storage", None),
        ("", "health_check", None),
    ],
)
def test_says_which_queue_is_lost_in_a_crash_though_there_is_storage(
    exporter: str, started: str, expected: str | None
) -> None:
    found = warned(
        f"""\
        receivers: {{any: }}
        exporters: {{otlp_grpc: {{{exporter}}}}}
        extensions: {{{started}: }}
        service: {{extensions: [{started}], pipelines: {{traces: {{receivers: [any], exporters: [otlp_grpc]}}}}}}
        """
    )

    if expected is None:
        assert found == []
    else:
        ((rule, line),) = found
        assert rule == "queue-in-memory"
        assert line.startswith(expected)
        assert line.endswith('is in memory and lost in a crash; write "storage: file_storage"')


def test_says_nothing_of_this_kind_of_a_configuration_that_is_wrong() -> None:
    with pytest.raises(ConfigError) as caught:
        read_configuration(
            "receivers: {any: , any/2: }\nexporters: {nop: }\nservice: {pipelines: {traces: {receivers: [any]}}}",
            "t.yaml",
            {},
        )

    assert caught.value.warnings == []
