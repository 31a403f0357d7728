"""What the README says to type does what it says, at the free ports of an instance in place of the usual ones."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from airis.config.load import default_text

from .running import AIRIS, PATIENCE_S, Airis

README = (Path(__file__).parent.parent / "README.md").read_text()
TRACE_ID = "5b8efff798038103d269b633813fc60c"


def block(after: str) -> str:
    """The code block that follows a text."""
    found = re.search(re.escape(after) + r"\s*```\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no code block after {after!r}"
    return found[1]


LOOK = {
    line.partition("#")[0].strip(): line
    for line in block("in a second terminal (`source .venv/bin/activate` once):").splitlines()
}
SHOWS = {
    "airis services": "my-shell",
    "airis traces --service my-service --last 15m": "",
    f"airis trace {TRACE_ID}": "hello",
    "airis logs --follow --severity warn": "disk almost full",
    "airis metrics": "",
}
"""What a command's output has in it, after the README's curl; what is not here shows the curl's service."""


def shell(airis: Airis, script: str, folder: Path) -> "subprocess.Popen[str]":
    """Start a script as a user who has airis's commands on the path."""
    path = f"{AIRIS.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**airis.environment, "PATH": path, "AIRIS_DATA_DIR": str(airis.data_dir)}
    return subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(airis: Airis, script: str, folder: Path) -> str:
    with shell(airis, script, folder) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, f"{script}\n{out}{err}"
    return out


@pytest.fixture(scope="module")
def told(builtin: Airis, tmp_path_factory: pytest.TempPathFactory) -> Airis:
    """An instance that the README's curl has sent its span to."""
    curl = block("A shell\n").replace("http://127.0.0.1:4318", builtin.http)
    answer = output(builtin, curl, tmp_path_factory.mktemp("shell"))
    assert json.loads(answer) in ({}, {"partialSuccess": {}})
    return builtin


def test_the_ports_are_those_of_the_built_in_configuration() -> None:
    ports = set(re.findall(r"(?<=:)\d{4,5}\b", README))

    assert {"4317", "4318", "8000"} <= ports
    assert ports <= set(re.findall(r"(?<=:)\d{4,5}\b", default_text()))


@pytest.mark.parametrize("command", [command for command in LOOK if "--follow" not in command])
def test_a_command_to_look_shows_what_was_sent(told: Airis, tmp_path: Path, command: str) -> None:
    assert SHOWS.get(command, "my-shell") in output(told, LOOK[command], tmp_path)


@pytest.mark.parametrize("command", [command for command in LOOK if "--follow" in command])
def test_a_command_that_follows_shows_what_arrives(told: Airis, tmp_path: Path, command: str) -> None:
    record = {"timeUnixNano": str(time.time_ns()), "severityNumber": 13, "body": {"stringValue": SHOWS[command]}}
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()
    request = urllib.request.Request(f"{told.http}/v1/logs", body, {"Content-Type": "application/json"})

    with shell(told, f"exec {LOOK[command]}", tmp_path) as process:
        assert process.stdout is not None
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            assert answer.status == 200
        assert SHOWS[command] in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0


def test_the_built_in_configuration_can_be_printed_and_validated(told: Airis, tmp_path: Path) -> None:
    *commands, run = block("## Your own pipeline\n").splitlines()

    output(told, "\n".join(commands), tmp_path)

    assert (tmp_path / "airis.yaml").read_text() == default_text()
    assert run.partition("#")[0].strip() == "airis --config airis.yaml"  # as in tests/service/test_run.py
