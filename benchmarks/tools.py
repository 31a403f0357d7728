"""What measuring needs: the load generator, and the peer."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from processes import LOAD_CPU, Failed

ROOT = Path(__file__).parent.parent
AIRIS = Path(sys.executable).with_name("airis")
LOAD = ROOT / "benchmarks/target/release/airis-load"
ROTEL = Path(sys.prefix, "rotel", "rotel", "rotel-agent")
"""Where `make bench` puts it."""


def build() -> None:
    """Build the load generator; an error says what is missing."""
    for tool, hint in (("cargo", "rustup.rs"), ("taskset", "Debian: apt-get install util-linux")):
        if not shutil.which(tool):
            sys.exit(f"{tool} is needed ({hint})")
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--package", "airis-load"]
    if subprocess.run(command, cwd=ROOT / "benchmarks", check=False).returncode:
        sys.exit("the load generator cannot be built")


def ask(*arguments: str) -> Any:
    """What a command of the load generator says, as JSON."""
    command = ["taskset", "-c", str(LOAD_CPU), str(LOAD), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise Failed(f"{' '.join(arguments)}: {result.stderr.strip()}")
    return json.loads(result.stdout)


def body(kind: str, items: int, *, seed: int = 1, requests: int = 1) -> bytes:
    """So many requests, joined into one."""
    options = {"kind": kind, "items": items, "seed": seed, "requests": requests}
    command = [str(LOAD), "body", *(text for name, value in options.items() for text in (f"--{name}", str(value)))]
    return subprocess.run(command, capture_output=True, check=True).stdout
