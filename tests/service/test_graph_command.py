"""``airis graph``: pipelines as pictures. Look at the golden files: they are what a person sees."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from rich.cells import cell_len
from typer.testing import CliRunner

from airis.service import cli

from ..running import AIRIS

TESTDATA = Path(__file__).parent / "testdata"
GRAPH = str(TESTDATA / "graph.yaml")
HOSTILE = str(TESTDATA / "graph_hostile.yaml")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("AIRIS_CONFIG", raising=False)


def graph(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["graph", *words])


@pytest.mark.parametrize("form", ["tree", "dot", "mermaid"])
def test_the_picture(form: str, golden: Callable[[Path, str], None]) -> None:
    result = graph("--config", GRAPH, "--format", form)

    assert result.exit_code == 0, result.output
    golden(TESTDATA / f"graph_{form}.txt", result.stdout)


@pytest.mark.parametrize("form", ["tree", "dot", "mermaid"])
def test_hostile_names_are_names(form: str, golden: Callable[[Path, str], None]) -> None:
    result = graph("--config", HOSTILE, "--format", form)

    assert result.exit_code == 0, result.output
    golden(TESTDATA / f"graph_hostile_{form}.txt", result.stdout)


def test_pipelines_of_the_same_components_are_one_picture() -> None:
    heading, picture, *_ = graph().stdout.splitlines()

    assert heading == "traces, logs"
    assert picture == "  otlp ─► memory_limiter ─► batch ─► store"


def test_a_connector_leads_to_pipelines_of_the_signals_it_makes(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(
        "receivers: {otlp: {protocols: {grpc: }}, otlp/b: {protocols: {http: }}}\n"
        "connectors: {forward: }\n"
        "exporters: {nop: , debug: }\n"
        "service: {pipelines: {traces: {receivers: [forward], exporters: [nop]}, "
        "logs: {receivers: [forward], exporters: [debug]}, "
        "traces/in: {receivers: [otlp], exporters: [forward]}, logs/in: {receivers: [otlp/b], exporters: [forward]}}}\n"
    )
    lines = graph("--config", str(tmp_path / "two.yaml")).stdout.splitlines()

    assert [line for line in lines if line] == [
        "traces/in",
        "  otlp ─► forward ═► traces",
        "logs/in",
        "  otlp/b ─► forward ═► logs",
        "traces",
        "  ═► forward ─► nop",
        "logs",
        "  ═► forward ─► debug",
    ]


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_a_picture_is_as_wide_as_the_terminal_at_most(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    pictures = graph("--config", GRAPH).stdout.partition("extensions ")[0]

    widest = max(map(cell_len, pictures.splitlines()))
    assert widest <= max(columns, 69)  # three receivers with the longest of processors between them and the exporters
    assert ("batch/small ─► batch/never-mixed-tenants ─► batch/last" in pictures) == (columns == 200)


def test_a_terminal_without_boxes_gets_ascii() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "80"}
    command = [AIRIS, "graph", "--config", HOSTILE]
    shown = subprocess.run(command, env=environment, capture_output=True, check=False)

    assert shown.returncode == 0, shown.stderr
    assert b"-> nop/end;\\xe9\\u4e2d" in shown.stdout

    shown = subprocess.run([AIRIS, "graph", "-c", GRAPH], env=environment, capture_output=True, check=True)
    boxes = graph("--config", GRAPH).stdout
    assert shown.stdout.decode("ascii") == boxes.translate(str.maketrans("─►┬├┤└┘═", "->+++++="))


def test_a_wrong_configuration_has_no_picture(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("receivers: {otlpp: }\n")
    result = graph("--config", str(tmp_path / "wrong.yaml"))

    assert (result.exit_code, result.stdout) == (2, "")


def test_every_node_that_an_edge_names_is_there() -> None:
    for form, arrow in (("dot", r"(\w+) -> (\w+)"), ("mermaid", r"(\w+) -->(?:\|[^|]*\|)? (\w+)")):
        text = graph("--config", GRAPH, "--format", form).stdout
        edges = re.findall(arrow, text)
        nodes = set(re.findall(r"^ +(\w+)[ (]*\[", text, re.MULTILINE))

        assert len(edges) == len(set(edges)) > 10
        assert {end for edge in edges for end in edge} <= nodes
