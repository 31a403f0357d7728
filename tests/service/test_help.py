"""What ``airis --help`` and its kin look like: a person finds the command, and can read its options in 80 columns."""

import os
import re
import subprocess

import pytest

from ..running import AIRIS

RUN = ["run", "reload", "status", "top", "tap", "version", "wal", "dlq"]
CONFIGURE = ["init", "validate", "print-config", "graph", "components", "explain", "schema", "ottl"]
READ = ["services", "traces", "trace", "logs", "metrics", "sql"]
COMMANDS = [*RUN, *CONFIGURE, *READ, "demo", "generate"]
BELOW = {
    "generate": ["traces", "metrics", "logs"],
    "wal": ["ls", "inspect", "verify", "export", "requeue", "forget"],
    "ottl": ["explain", "run"],
    "dlq": ["ls", "show", "requeue", "drop"],
}


def airis(*words: str, columns: int = 80) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "COLUMNS": str(columns), "NO_COLOR": "1"}
    return subprocess.run([AIRIS, *words], env=environment, capture_output=True, text=True, check=False)


def test_the_commands_stand_under_what_they_are_for() -> None:
    shown = airis("--help").stdout

    headings = re.findall(r"^(\w.*):$", shown, re.MULTILINE)
    assert headings == ["Options", "Run it", "Configure it", "Read what is stored", "Try it out"]
    assert re.findall(r"^  ([a-z][a-z-]+)  ", shown.partition("Run it:")[2], re.MULTILINE) == COMMANDS
    assert "completion" not in shown


def test_completion_works_though_it_is_not_listed() -> None:
    # The shell that is asked for is the one around it, which a test in the background does not have.
    shown = subprocess.run(["bash", "-c", f"'{AIRIS}' --show-completion && true"], capture_output=True, text=True)

    assert shown.returncode == 0
    assert "complete" in shown.stdout


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize(
    "words",
    [[], *([name] for name in COMMANDS), *([above, name] for above, names in BELOW.items() for name in names)],
)
def test_nothing_is_cut_off(words: list[str], columns: int) -> None:
    shown = airis(*words, "--help", columns=columns)

    assert shown.returncode == 0
    assert not re.search(r"\w(…|\.\.\.)$", shown.stdout, re.MULTILINE)
    assert max(map(len, shown.stdout.splitlines())) <= columns
    assert "(~/" not in shown.stdout
    assert not re.search(r"--no-(?!batch|history)", shown.stdout)


def test_the_version_is_found_both_ways() -> None:
    assert airis("--version").stdout == airis("version").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trases"], "No such command 'trases'. Did you mean 'traces'"),
        (["traces", "--servce", "x"], "No such option: --servce (Possible options: --service)"),
        (["sql"], "Missing argument 'query'"),
    ],
)
def test_a_slip_is_told_on_one_line(words: list[str], said: str) -> None:
    answer = airis(*words)

    assert answer.returncode == 2
    assert f"Error: {said}" in answer.stderr


def test_slower_kernels_say_so() -> None:
    environment = {**os.environ, "AIRIS_KERNELS": "reference"}
    told = subprocess.run([AIRIS, "version", "-v"], env=environment, capture_output=True, text=True, check=True).stdout

    assert "kernels reference: AIRIS_KERNELS asks for the slower ones" in told
