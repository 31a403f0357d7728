"""Names of extensions: what they refer to has to be there, to be started, and, of an authenticator, the right side."""

import pytest

from airis.config.errors import ConfigError
from airis.config.load import read_configuration

CONFIGURATION = """\
extensions:
  basicauth/in:
    htpasswd:
      inline: "alice:hush"
  basicauth/out:
    client_auth: {username: alice, password: hush}
  bearertokenauth:
    token: hush
  headers_setter:
    headers: [{key: a, value: b}]
    additional_auth: basicauth/out
  zpages:
receivers:
  otlp:
    protocols:
      grpc:
        auth: {authenticator: RECEIVER}
exporters:
  otlp_grpc:
    endpoint: localhost:4317
    auth: {authenticator: EXPORTER}
service:
  extensions: [basicauth/in, basicauth/out, headers_setter, zpages]
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp_grpc]}
"""
RECEIVER, EXPORTER = (
    "receivers::otlp::protocols::grpc::auth::authenticator",
    "exporters::otlp_grpc::auth::authenticator",
)


def problems(receiver: str = "basicauth/in", exporter: str = "basicauth/out", text: str = CONFIGURATION) -> list[str]:
    written = text.replace("RECEIVER", receiver).replace("EXPORTER", exporter)
    told: list[str] = []
    try:
        read_configuration(written, "a.yaml", {"WHICH": "nobody"})
    except ConfigError as error:
        told = [f"{problem.mark.line}: {'::'.join(problem.path)}: {problem.message}" for problem in error.problems]
    assert "hush" not in "".join(told)
    return told


@pytest.mark.parametrize(
    ("receiver", "exporter"), [("basicauth/in", "basicauth/out"), ("basicauth/in", "headers_setter")]
)
def test_those_of_the_right_side_are_taken(receiver: str, exporter: str) -> None:
    assert problems(receiver, exporter) == []


@pytest.mark.parametrize(
    ("receiver", "message"),
    [
        ("basicauth", 'references extension "basicauth" which is not configured; did you mean "basicauth/in"?'),
        ("bearertokenauth", 'extension "bearertokenauth" is not started; name it in service::extensions'),
        (
            "basicauth/out",
            'extension "basicauth/out" authenticates a client; here one is needed for the clients of a server',
        ),
        (
            "headers_setter",
            'extension "headers_setter" authenticates a client; here one is needed for the clients of a server',
        ),
        ("zpages", 'extension "zpages" is not an authenticator; here one is needed for the clients of a server'),
    ],
)
def test_one_that_cannot_let_clients_in_is_an_error(receiver: str, message: str) -> None:
    assert problems(receiver=receiver) == [f"17: {RECEIVER}: {message}"]


def test_one_that_cannot_send_is_an_error() -> None:
    assert problems(exporter="basicauth/in") == [
        f'21: {EXPORTER}: extension "basicauth/in" authenticates the clients of a server; '
        "here one is needed for a client"
    ]


def test_what_comes_from_outside_is_not_repeated() -> None:
    assert len(told := problems(receiver="${env:WHICH}")) == 1
    assert "nobody" not in told[0]


def test_all_mistakes_are_told_at_once_and_one_with_a_mistake_in_itself_only_there() -> None:
    text = CONFIGURATION.replace("{username: alice, password: hush}", "{password: hush}")
    assert [line.partition(":")[0] for line in problems(receiver="none", text=text)] == ["6", "17"]


def test_components_that_are_not_started_may_name_what_there_is_not() -> None:
    text = CONFIGURATION.replace("exporters: [otlp_grpc]", "exporters: [nop]").replace(
        "exporters:\n", "exporters:\n  nop:\n", 1
    )
    assert problems(exporter="none", text=text) == []


def test_the_additional_authenticator_has_to_be_there_as_well() -> None:
    text = CONFIGURATION.replace("additional_auth: basicauth/out", "additional_auth: none")
    assert len(told := problems(text=text)) == 1
    assert "extensions::headers_setter::additional_auth" in told[0]


STORED = """\
extensions:
  file_storage:
  store:
receivers:
  otlp: {protocols: {grpc: }}
exporters:
  store:
    sending_queue: {storage: STORAGE}
service:
  extensions: [STARTED]
  pipelines:
    traces: {receivers: [otlp], exporters: [store]}
"""


@pytest.mark.parametrize(
    ("storage", "started", "told"),
    [
        ("file_storage", "file_storage, store", []),
        (
            "file_storge",
            "file_storage, store",
            [
                '8: exporters::store::sending_queue::storage: references extension "file_storge" which is not '
                'configured; did you mean "file_storage"?'
            ],
        ),
        (
            "file_storage",
            "store",
            [
                '8: exporters::store::sending_queue::storage: extension "file_storage" is not started; '
                "name it in service::extensions"
            ],
        ),
        (
            "file_storage",
            "file_storage",
            ['7: exporters::store::store: extension "store" is not started; name it in service::extensions'],
        ),
        ("none, enabled: false", "store", []),
    ],
)
def test_so_have_storages_and_stores(storage: str, started: str, told: list[str]) -> None:
    assert problems(text=STORED.replace("STORAGE", storage).replace("STARTED", started)) == told
