"""``airis components``: what is installed, from wherever, for people and for programs."""

import json
import re
from typing import Any

import pytest
from typer.testing import CliRunner

from airis import __version__
from airis.component import Kind, known_types, load
from airis.component.config import plain
from airis.config.decode import raw
from airis.config.document import parse
from airis.service import cli

from .third_party import airis

EXPORTERS = known_types(Kind.EXPORTER)


@pytest.fixture(scope="module")
def page() -> str:
    return airis("components").stdout


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(airis("components", "--format", "json").stdout)
    return found


def test_all_types_stand_under_their_kinds(page: str) -> None:
    headings = re.findall(r"^(\w+)$", page, re.MULTILINE)
    _, _, exporters = page.partition("\nExporters\n")
    exporters, _, _ = exporters.partition("\nConnectors\n")

    assert headings == ["Receivers", "Processors", "Exporters", "Connectors", "Extensions"]
    assert re.findall(r"^  (\w+)(?:  |$)", exporters, re.MULTILINE) == sorted([*EXPORTERS, "acme", "acme_gone"])


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_it_fits_the_terminal(columns: int) -> None:
    lines = airis("components", columns=columns).stdout.splitlines()

    assert max(map(len, lines)) <= min(columns, 100)


def test_each_says_what_it_does_how_stable_it_is_and_where_it_comes_from(page: str) -> None:
    said = " ".join(page.split())

    assert "acme Take things from Acme. beta for traces; alpha for logs; acme_airis from acme-airis 1.2" in said
    assert (
        "acme_count Count what goes through. alpha for traces to metrics, logs to metrics, metrics to metrics" in said
    )
    summary = load(Kind.EXPORTER, "nop").summary
    assert f"nop {summary} stable for traces, metrics, logs; alpha for profiles; airis.exporters.nop" in said


def test_one_that_cannot_be_imported_is_no_end_of_the_list(page: str, document: dict[str, Any]) -> None:
    assert "acme_gone       cannot be loaded: No module named 'acme_airis.gone'" in page
    (gone,) = (one for one in document["exporters"] if one["name"] == "acme_gone")
    assert gone == {
        "name": "acme_gone",
        "module": "acme_airis.gone",
        "distribution": "acme-airis 1.2",
        "error": "No module named 'acme_airis.gone'",
    }


def test_programs_read_what_otelcol_would_write(document: dict[str, Any]) -> None:
    assert document["buildinfo"]["command"] == "airis"
    assert document["buildinfo"]["version"] == __version__
    assert document["receivers"][0] == {
        "name": "acme",
        "module": "acme_airis",
        "distribution": "acme-airis 1.2",
        "summary": "Take things from Acme.",
        "also_written": [],
        "stability": {"traces": "Beta", "logs": "Alpha"},
    }
    assert document["connectors"][0]["stability"]["traces-to-metrics"] == "Alpha"
    assert {"scheme": "env"} in document["providers"]


def test_yaml_says_the_same() -> None:
    results = {form: CliRunner().invoke(cli.app, ["components", "--format", form]) for form in ("yaml", "json")}

    assert plain(raw(parse(results["yaml"].stdout, ""))) == json.loads(results["json"].stdout)


def test_an_old_spelling_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from airis.config import collector

    monkeypatch.setitem(collector.RENAMED[Kind.EXPORTER], "filewriter", "file")
    result = CliRunner().invoke(cli.app, ["components"])

    assert "also written filewriter" in " ".join(result.stdout.split())
