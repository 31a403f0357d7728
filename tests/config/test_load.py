"""Whole configurations: those that load, and what is said of those that do not, each in a file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from airis.component import Kind
from airis.config import ConfigError, default_text, load_configuration, read_configuration

TESTDATA = Path(__file__).parent / "testdata"
SECRET = "hunter2"


@pytest.mark.parametrize("path", sorted(TESTDATA.glob("*.good.yaml")), ids=lambda path: path.name)
def test_a_good_configuration_loads(path: Path) -> None:
    load_configuration(path, {})


@pytest.mark.parametrize("path", sorted(TESTDATA.glob("*.bad.yaml")), ids=lambda path: path.name)
def test_a_bad_configuration_says_all_that_is_wrong(path: Path, golden: Callable[[Path, str], None]) -> None:
    with pytest.raises(ConfigError) as told:
        read_configuration(path.read_text(), path.name, {"SECRET": SECRET})

    assert SECRET not in str(told.value)
    golden(path.with_suffix(".txt"), f"{told.value}\n")


def test_the_built_in_configuration_loads_and_stores_every_signal() -> None:
    configuration = load_configuration(None, {})

    assert {p.signal for p in configuration.pipelines.values()} == {"traces", "metrics", "logs"}
    assert all(p.exporters == ("store",) for p in configuration.pipelines.values())


def test_the_built_in_configuration_is_the_one_that_is_shown() -> None:
    shown = read_configuration(default_text(), "shown", {})

    assert {k: list(v) for k, v in shown.components.items()} == {
        k: list(v) for k, v in load_configuration(None, {}).components.items()
    }


def test_values_take_the_types_that_their_options_have() -> None:
    configuration = load_configuration(TESTDATA / "collector.good.yaml", {"OTLP_HTTP": "localhost:7"})
    options = {k: {name: c.options.model_dump() for name, c in v.items()} for k, v in configuration.components.items()}

    assert options[Kind.RECEIVER]["otlp"]["protocols"]["http"]["endpoint"] == "localhost:7"
    assert options[Kind.PROCESSOR]["memory_limiter"]["limit_mib"] == 512
    assert options[Kind.PROCESSOR]["batch/large"]["send_batch_size"] == 10_000
    assert configuration.components[Kind.PROCESSOR]["batch/large"].options.timeout == 90.0  # type: ignore[attr-defined]
    assert options[Kind.EXPORTER]["file"]["path"] == "/tmp/0123"


def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_configuration(tmp_path / "nowhere.yaml", {})


def test_a_variable_that_is_not_set_is_a_warning_and_the_option_has_its_default() -> None:
    text = (TESTDATA / "collector.good.yaml").read_text().replace("verbosity: detailed", 'verbosity: "${env:NOT_SET}"')
    configuration = read_configuration(text, "t.yaml", {})

    (warning,) = configuration.warnings
    assert str(warning) == (
        "t.yaml:16:22: exporters::debug::verbosity: the environment variable NOT_SET is not set; "
        '"${env:NOT_SET:-}" is empty without this warning'
    )
    assert configuration.components[Kind.EXPORTER]["debug"].options.model_dump()["verbosity"] == "basic"


@pytest.mark.parametrize("text", ["#secret", "{a: b}", "[x]", "a: b", "0123", "a #b"])
def test_a_text_option_takes_what_is_put_in_whatever_it_is_in_yaml(text: str) -> None:
    configuration = read_configuration(
        "receivers: {otlp: {protocols: {http: {response_headers: {x: '${env:TEXT}'}}}}}\n"
        "exporters: {file: {path: '${env:TEXT}'}}\n"
        "service: {pipelines: {logs: {receivers: [otlp], exporters: [file]}}}\n",
        "t.yaml",
        {"TEXT": text},
    )

    assert configuration.components[Kind.EXPORTER]["file"].options.model_dump()["path"] == text
    protocols = configuration.components[Kind.RECEIVER]["otlp"].options.model_dump()["protocols"]
    assert protocols["http"]["response_headers"] == {"x": text}


def test_a_choice_that_looks_like_a_number_needs_no_quotes() -> None:
    configuration = read_configuration(
        "receivers: {otlp: {protocols: {http: {tls: {cert_file: a, key_file: b, min_version: 1.3}}}}}\n"
        "exporters: {nop: }\n"
        "service: {pipelines: {logs: {receivers: [otlp], exporters: [nop]}}}\n",
        "t.yaml",
        {},
    )

    protocols = configuration.components[Kind.RECEIVER]["otlp"].options.model_dump()["protocols"]
    assert protocols["http"]["tls"]["min_version"] == "1.3"
