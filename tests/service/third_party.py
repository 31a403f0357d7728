"""airis with a package of components that is not its own: testdata/acme."""

import os
import subprocess
from pathlib import Path

from ..running import AIRIS

PACKAGE = Path(__file__).parent / "testdata/acme"


def airis(*words: str, columns: int = 80, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command as a user does who has installed the package."""
    given = {**os.environ, "PYTHONPATH": str(PACKAGE), "COLUMNS": str(columns), "NO_COLOR": "1", **environment}
    given.pop("AIRIS_CONFIG", None)
    return subprocess.run([AIRIS, *words], env=given, capture_output=True, text=True, check=False)
