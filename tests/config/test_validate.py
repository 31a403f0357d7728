"""``airis validate`` as its user meets it: what it writes where, its exit codes, and what it does not import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from airis.service.commands.validate import validate as validate_here

from ..running import AIRIS
from .components import more_components

__all__ = ["more_components"]

RIGHT = """\
receivers: {otlp: {protocols: {grpc: }}}
exporters: {nop: }
service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}
"""
UNUSED = RIGHT.replace("nop: }", "nop: , debug: }")
WRONG = UNUSED.replace("exporters: [nop]", "exporters: [nob]")
NOT_NEEDED = ("chdb", "clickhouse_connect", "elasticsearch", "grpc", "pandas", "numpy", "kafka", "aiokafka")


def validate(folder: Path, text: str, *words: str) -> "subprocess.CompletedProcess[str]":
    (folder / "airis.yaml").write_text(text)
    command = [AIRIS, "validate", "-c", "airis.yaml", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("text", "words", "code", "lines"),
    [
        (RIGHT, [], 0, []),
        (RIGHT, ["--strict"], 0, []),
        (UNUSED, [], 0, ["warning: airis.yaml:2:20: exporters::debug: is not started: no pipeline names it"]),
        (UNUSED, ["--strict"], 1, ["warning: airis.yaml:2:20: exporters::debug: is not started: no pipeline names it"]),
        (
            WRONG,
            ["--strict"],
            2,
            [
                'airis.yaml:3:63: service::pipelines::traces::exporters: references exporter "nob" which is not '
                'configured; did you mean "nop"?'
            ],
        ),
    ],
    ids=["right", "strict and right", "warning", "strict", "wrong"],
)
def test_the_exit_code_and_the_text_say_whether_it_is_right(
    text: str, words: list[str], code: int, lines: list[str], tmp_path: Path
) -> None:
    answer = validate(tmp_path, text, *words)

    assert (answer.returncode, answer.stdout) == (code, "")
    assert [line for line in answer.stderr.splitlines() if "airis.yaml:" in line] == lines
    assert bool(answer.stderr) == bool(lines)


def test_a_file_that_cannot_be_read_is_another_exit_code(tmp_path: Path) -> None:
    answer = validate(tmp_path, RIGHT, "-c", "nowhere.yaml")

    assert answer.returncode == 1
    assert answer.stderr.startswith("nowhere.yaml:1:1: ")


def test_json_is_for_programs(tmp_path: Path) -> None:
    answer = validate(tmp_path, WRONG, "--format", "json")

    assert (answer.returncode, answer.stderr) == (2, "")
    (problem,) = json.loads(answer.stdout)["problems"]
    assert (problem["rule"], problem["line"], problem["column"]) == ("undefined-reference", 3, 63)


def test_sarif_is_for_code_scanning(tmp_path: Path) -> None:
    answer = validate(tmp_path, UNUSED, "--format", "sarif")

    assert (answer.returncode, answer.stderr) == (0, "")
    (result,) = json.loads(answer.stdout)["runs"][0]["results"]
    assert (result["ruleId"], result["level"]) == ("unused-component", "warning")


@pytest.mark.usefixtures("more_components")
def test_components_that_do_not_fit_together_are_a_mistake_as_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "airis.yaml"
    file.write_text(
        RIGHT.replace("service: {", "extensions: {needy: {needs: [needy]}}\nservice: {extensions: [needy], ")
    )

    with pytest.raises(typer.Exit) as ended:
        validate_here([str(file)])

    assert ended.value.exit_code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{file}:3:1: extensions: extensions need each other: needy -> needy")
    assert "    3 | extensions: {needy: {needs: […]}}\n" in said


def test_what_only_a_running_service_needs_is_not_imported(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from airis.service.cli import app\n"
        "try:\n"
        "    app(['validate'])\n"
        "finally:\n"
        "    print(*sorted(sys.modules))\n"
    )

    answer = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)

    modules = answer.stdout.split()
    assert {"airis.exporters.store", "airis.receivers.otlp", "airis.extensions.query"} <= set(modules)
    assert [name for name in NOT_NEEDED if name in modules] == []
