"""``airis print-config``: what is printed is what would run, loads again, and gives no secret away."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from airis.component.config import plain
from airis.config import Configuration, Sources, default_text, load_configuration, read_configuration
from airis.config.decode import raw
from airis.config.document import parse
from airis.service import cli
from airis.service.commands.print_config import effective
from airis.service.render.yaml import to_json, to_yaml

from .third_party import airis

ROOT = Path(__file__).parents[2]
TESTDATA = Path(__file__).parent / "testdata"
EXAMPLES = [*sorted((ROOT / "examples").rglob("*.yaml")), *sorted((ROOT / "tests/config/testdata").glob("*.good.yaml"))]
SECRET = "hunter2"
ENVIRONMENT = {"KEY": SECRET, "SIZE": "100", "PRICE": "5 $"}
CONFIG = str(TESTDATA / "print_config.yaml")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRIS_CONFIG", raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def print_config(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["print-config", *words])


def models(configuration: Configuration) -> dict[str, Any]:
    """What a service would be made of."""
    components = {
        kind: {name: component.options for name, component in of.items()}
        for kind, of in configuration.components.items()
    }
    return {
        "components": components,
        "extensions": configuration.extensions,
        "pipelines": {name: (p.receivers, p.processors, p.exporters) for name, p in configuration.pipelines.items()},
        "telemetry": configuration.telemetry,
    }


def test_the_effective_configuration(golden: Callable[[Path, str], None]) -> None:
    result = print_config("--config", CONFIG)

    assert result.exit_code == 0, result.output
    assert SECRET not in result.stdout
    golden(TESTDATA / "print_config.txt", result.stdout)


@pytest.mark.parametrize("words", [[], ["--format", "json"]], ids=["yaml", "json"])
@pytest.mark.parametrize("path", [*EXAMPLES, Path(CONFIG)], ids=lambda path: path.name)
def test_it_loads_again_as_the_same(path: Path, words: list[str]) -> None:
    result = print_config("--config", str(path), "--mode", "unredacted", *words)

    assert result.exit_code == 0, result.output
    again = read_configuration(result.stdout, "printed", {})
    assert models(again) == models(load_configuration(Sources((str(path),))))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_with_every_default_it_does_the_same(path: Path) -> None:
    result = print_config("--config", str(path), "--mode", "unredacted", "--defaults")

    assert result.exit_code == 0, result.output
    again = read_configuration(result.stdout, "printed", {})
    assert models(again) == models(load_configuration(Sources((str(path),))))


def test_every_default_is_shown_but_of_what_is_off() -> None:
    document = effective(read_configuration(default_text(), "default", {}), defaults=True)

    assert document["processors"]["batch"]["timeout"] == "200ms"
    assert document["extensions"]["store"]["tls"] == {"enabled": False}
    assert document["service"]["telemetry"]["logs"]["level"] == "info"
    assert "password" not in document["extensions"]["store"]


def test_without_a_configuration_it_is_the_built_in_one_with_its_comments() -> None:
    assert print_config().stdout == default_text()
    assert print_config("--mode", "unredacted").stdout == default_text()
    assert json.loads(print_config("--format", "json").stdout)["extensions"]["query"] == {"endpoint": "127.0.0.1:8000"}


@pytest.mark.parametrize(("mode", "shown"), [("redacted", "[REDACTED]"), ("unredacted", SECRET)])
def test_secrets_are_masked_unless_they_are_asked_for(mode: str, shown: str) -> None:
    document = json.loads(print_config("-c", CONFIG, "--format", "json", "--mode", mode).stdout)

    assert document["extensions"]["store"]["password"] == shown
    http = document["receivers"]["otlp"]["protocols"]["http"]
    assert http["tls"]["key_pem"] == shown
    assert http["response_headers"]["x-url"] == f"http://reader:{shown}@proxy.example/"


def test_secrets_in_maps_and_lists_are_masked_too(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(
        "receivers: {acme: {endpoint: a, headers: {authorization: '${env:KEY}', empty: ''}, "
        "tenants: {b: {token: '${env:KEY}'}}}}\n"
        "exporters: {nop: }\n"
        "service: {pipelines: {logs: {receivers: [acme], exporters: [nop]}}}\n"
    )
    result = airis("print-config", "-c", str(tmp_path / "acme.yaml"), "--defaults", KEY=SECRET)

    assert SECRET not in result.stdout
    acme = plain(raw(parse(result.stdout, "")))["receivers"]["acme"]
    assert acme["headers"] == {"authorization": "[REDACTED]", "empty": ""}
    assert acme["tenants"]["b"]["token"] == "[REDACTED]"
    assert "cache" not in acme  # it has a switch of its own, and null would turn it on


def test_a_wrong_configuration_is_not_printed(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(f"exporters: {{acme: {{password: {SECRET}}}}}\n")
    result = print_config("-c", str(tmp_path / "wrong.yaml"))

    assert (result.exit_code, result.stdout) == (2, "")
    assert SECRET not in result.stderr


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
breaks = st.text(st.sampled_from("\x85\u2028\u2029\ufeff\r\n\t a:#'\""), max_size=6)
dollars = st.text(st.sampled_from("${}:-envA \n"), max_size=12)


def configured(fields: dict[str, str]) -> Configuration:
    """A configuration with these texts in an option, as they are."""
    logs = {"initial_fields": {name: text.replace("$", "$$") for name, text in fields.items()}}
    document = {
        "receivers": {"otlp": {"protocols": {"grpc": {}}}},
        "exporters": {"nop": {}},
        "service": {
            "telemetry": {"logs": logs},
            "pipelines": {"logs": {"receivers": ["otlp"], "exporters": ["nop"]}},
        },
    }
    return read_configuration(to_json(document), "given", {"A": "a"})


@settings(deadline=None)
@given(st.dictionaries(st.just("x"), texts | dollars | breaks, min_size=1))
def test_any_text_comes_back_as_it_was(fields: dict[str, str]) -> None:
    configuration = configured(fields)
    document = effective(configuration, redacted=False)

    assert configuration.telemetry.logs.initial_fields == fields
    for text in (to_yaml(document), to_json(document)):
        again = read_configuration(text, "printed", {"A": "a"})
        assert again.telemetry.logs.initial_fields == fields


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | texts | breaks,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)


@given(values)
def test_yaml_of_any_value_is_read_as_that_value(value: Any) -> None:
    assert plain(raw(parse(to_yaml({"value": value}), "")))["value"] == value


@pytest.mark.parametrize("text", ["yes", "on", "~", "null", "0123", "1e5", "0o17", "12:30", "2024-01-01", ".inf", ""])
def test_what_any_reader_could_take_for_something_else_is_in_quotes(text: str) -> None:
    assert to_yaml([text]) in (f"['{text}']\n", f'["{text}"]\n')
