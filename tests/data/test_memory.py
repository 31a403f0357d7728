"""The native core stays within its memory, where it writes to Python's without the compiler's guard."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("airis._core")

FOUND = 9
"""The exit code for an access outside of what was allocated."""


def under_valgrind(*arguments: str) -> int:
    command = ["valgrind", "--quiet", f"--error-exitcode={FOUND}", "--undef-value-errors=no", sys.executable]
    script = str(Path(__file__).parent / "memory_use.py")
    environment = {**os.environ, "PYTHONMALLOC": "malloc"}
    return subprocess.run([*command, script, *arguments], env=environment, check=False).returncode


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
@pytest.mark.parametrize(("arguments", "outcome"), [((), 0), (("broken",), FOUND)])
def test_nothing_is_read_or_written_outside_of_its_memory(arguments: tuple[str, ...], outcome: int) -> None:
    assert under_valgrind(*arguments) == outcome
