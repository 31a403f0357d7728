"""``airis explain``: a component, a section or an option, whichever way it is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from airis.component import Kind, known_types
from airis.config.options import walk
from airis.service import cli
from airis.service.commands.explain import find

from .third_party import airis

TESTDATA = Path(__file__).parent / "testdata"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


def explain(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["explain", *words])


def paths(*words: str) -> list[str]:
    result = explain(*words, "--format", "json")
    assert result.exit_code == 0, result.output
    return [subject["path"] for subject in json.loads(result.stdout)]


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("component", ["acme"]),
        ("section", ["receiver", "acme::routes"]),
        ("option", ["acme::tenants::b::token"]),
    ],
)
def test_the_explanation(name: str, words: list[str], form: str, golden: Callable[[Path, str], None]) -> None:
    result = airis("explain", *words, "--format", form)

    assert result.returncode == 0, result.stderr
    golden(TESTDATA / f"explain_{name}_{form}.txt", result.stdout)


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (["batch"], "processors::batch"),
        (["processor", "batch"], "processors::batch"),
        (["processors::batch"], "processors::batch"),
        (["batch/large"], "processors::batch"),
        (["batch::timeout"], "processors::batch::timeout"),
        (["batch", "timeout"], "processors::batch::timeout"),
        (["otlp::protocols::grpc"], "receivers::otlp::protocols::grpc"),
        (["extension", "store::retention::traces"], "extensions::store::retention::traces"),
        (["service"], "service"),
        (["service::telemetry"], "service::telemetry"),
        (["service::pipelines::traces/1::exporters"], "service::pipelines::*::exporters"),
        (["service::pipelines::exporters"], "service::pipelines::*::exporters"),
        (
            ["service::telemetry::metrics::readers::0::pull"],
            "service::telemetry::metrics::readers::*::pull",
        ),
    ],
    ids=lambda value: "::".join(value) if isinstance(value, list) else "",
)
def test_names_as_people_and_error_messages_write_them(words: list[str], path: str) -> None:
    assert paths(*words) == [path]


def test_a_type_of_several_kinds_is_explained_for_each() -> None:
    assert paths("store") == ["exporters::store", "extensions::store"]
    assert paths("store::timeout") == ["exporters::store::timeout"]
    assert paths("store::database") == ["extensions::store::database"]


def test_an_old_spelling_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    from airis.config import collector

    monkeypatch.setitem(collector.RENAMED[Kind.EXPORTER], "filewriter", "file")

    assert paths("filewriter::path") == ["exporters::file::path"]
    assert "Also written: filewriter" in explain("file").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bach"], 'there is no component of type "bach"; did you mean "batch"?'),
        (["receiver", "bach"], 'there is no receiver of type "bach"; valid here: otlp'),
        (["batch::timeot"], 'processors::batch has no option "timeot"; did you mean "timeout"?'),
        (["batch::timeout::x"], 'processors::batch::timeout has no option "x"; nothing is valid here'),
        (["otlp::protocols::grcp"], 'receivers::otlp::protocols has no option "grcp"; did you mean "grpc"?'),
        (["service::telemetri"], 'service has no option "telemetri"; did you mean "telemetry"?'),
        (
            ["processors"],
            "name one of the processors: attributes, batch, circuit_breaker, filter, memory_limiter, "
            "probabilistic_sampler, resource, tail_sampling, transform",
        ),
        (["faro"], 'receiver type "faro" is a Collector component that airis does not have; let the Faro SDK send'),
        ([""], 'name a component, such as "otlp"; "airis components" lists them'),
    ],
    ids=lambda value: "::".join(value) if isinstance(value, list) else "",
)
def test_what_is_not_there_is_told_with_what_is(words: list[str], said: str) -> None:
    result = explain(*words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"airis: {said}")


def test_one_that_cannot_be_imported_says_why() -> None:
    result = airis("explain", "acme_gone")

    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "airis: exporters::acme_gone cannot be loaded: No module named 'acme_airis.gone'\n"


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("name", [f"{kind}::{name}" for kind in Kind for name in known_types(kind)])
def test_every_component_can_be_explained(name: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    (subject,) = find(name)
    assert subject.model is not None
    result = explain(name)

    assert result.exit_code == 0, result.output
    text, _, example = result.stdout.partition("\nExample\n")
    assert example
    words = max(len(word) for word in text.split())
    assert max(map(len, text.splitlines())) <= min(max(columns, 50 + words), 100)
    for path, option in walk(subject.model):
        assert f"{path[-1]}:" in text
        assert " ".join(option.description.split()) in " ".join(text.split())


def test_programs_get_the_options_with_their_defaults() -> None:
    (batch,) = json.loads(explain("batch", "--format", "json").stdout)
    options: dict[str, Any] = {option["path"]: option for option in batch["options"]}

    assert batch["stability"] == {"traces": "beta", "metrics": "beta", "logs": "beta", "profiles": "alpha"}
    assert options["timeout"] == {
        "path": "timeout",
        "takes": "duration",
        "required": False,
        "default": "200ms",
        "meaning": options["timeout"]["meaning"],
        "deprecated": None,
    }
