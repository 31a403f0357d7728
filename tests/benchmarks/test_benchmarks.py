"""What is measured can be run, and docs/performance.md says what was measured. Nothing is timed here."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..running import AIRIS

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted((ROOT / "benchmarks/scenarios").glob("*.yaml"))
PORTS = {"GRPC": "4317", "HTTP": "4318", "METRICS": "8888", "SINK": "4320", "CLICKHOUSE": "8123"}


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, ROOT / "benchmarks", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_page_says_what_the_reference_result_says() -> None:
    checked = run("--docs", "--check")

    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_page_that_does_not_is_found(tmp_path: Path) -> None:
    reference = (ROOT / "benchmarks/results/reference.json").read_text()
    other = tmp_path / "other.json"
    other.write_text(reference.replace('"cpu_s_per_million": 0.', '"cpu_s_per_million": 7.'))

    checked = run("--docs", "--check", "--json", other)

    assert checked.returncode == 1
    assert "performance.md does not say what other.json says" in checked.stderr


def test_every_case_has_a_name_of_its_own() -> None:
    listed = run("--list").stdout.splitlines()

    assert len(listed) == len(set(listed)) > 20


def cases() -> list[Any]:
    """Each configuration, with the variables of each case and why it cannot be measured yet."""
    loaded = [(path, yaml.safe_load(path.read_text())) for path in SCENARIOS]
    return [
        pytest.param(each["airis"], case.get("env", {}), case.get("not_yet", ""), id=f"{path.stem}: {case['name']}")
        for path, each in loaded
        if "airis" in each
        for case in each["cases"]
        if case is each["cases"][0] or "env" in case
    ]


@pytest.mark.parametrize(("configuration", "env", "not_yet"), cases())
def test_what_is_not_marked_as_not_yet_can_run(
    configuration: str, env: dict[str, str], not_yet: str, tmp_path: Path
) -> None:
    (tmp_path / "airis.yaml").write_text(configuration)

    command = [AIRIS, "validate", "-c", tmp_path / "airis.yaml"]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "benchmarks/plugin"), **PORTS, **env}
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=env)

    assert (answer.returncode == 0) == (not not_yet), answer.stderr or f"it can: {not_yet}"
