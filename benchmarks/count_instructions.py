"""Count the instructions of every kernel under callgrind, and refuse one that became dearer.

Instructions do not depend on what else the machine does, so that a small change shows. They do depend on the compiler:
the table says which one it was written with. With ``--write`` the table is written anew.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
TABLE = FOLDER / "instructions/table.json"
PROGRAM = FOLDER / "target/release/airis-instructions"
ITEMS = 512
"""In each payload; the program knows the number, too."""
TOLERANCE = 0.03
MARK = "*between_kernels*"


def build() -> str:
    """Build the program; the version of the compiler."""
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--package", "airis-instructions"]
    subprocess.run(command, cwd=FOLDER, check=True)
    version = subprocess.run(["rustc", "--version"], cwd=FOLDER, check=True, capture_output=True, text=True)
    return " ".join(version.stdout.split()[:2])


def count() -> dict[str, float]:
    """Instructions per item of every kernel."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--dump-before={MARK}", f"--callgrind-out-file={folder}/out"]
        # The same environment everywhere: it lies on the stack, and moves it.
        env = {"PATH": os.environ["PATH"], "LD_BIND_NOW": "1"}
        run = subprocess.run([*command, str(PROGRAM)], env=env, capture_output=True, text=True, check=False)
        if run.returncode:
            sys.exit(f"callgrind failed: {run.stderr}")
        names = run.stdout.splitlines()
        dumps = sorted(Path(folder).glob("out.*"), key=lambda dump: int(dump.suffix[1:]))
        if len(dumps) != 2 * len(names):
            sys.exit(f"{len(names)} kernels gave {len(dumps)} dumps, not two for each: was {MARK} inlined?")
        # The first of two dumps is of what was done to get ready.
        return {name: round(_total(dump) / ITEMS, 1) for name, dump in zip(names, dumps[1::2], strict=True)}


def _total(dump: Path) -> int:
    found = re.search(r"^totals: (\d+)$", dump.read_text(), re.MULTILINE)
    if not found:
        sys.exit(f"{dump.name} has no total")
    return int(found[1])


def compare(counted: dict[str, float], known: dict[str, float]) -> list[str]:
    """Print every kernel; what is wrong with them."""
    faults: list[str] = []
    for name, now in counted.items():
        before = known.get(name)
        if before is None:
            faults.append(f"{name} is not in the table")
            change = "new"
        else:
            share = now / before - 1
            change = f"{share:+.1%}"
            if share > TOLERANCE:
                faults.append(f"{name} takes {now:g} instructions per item, {share:+.1%}")
            elif share < -TOLERANCE:
                change += ", cheaper: write the table anew, so that it stays so"
        print(f"{name:40} {now:10.1f}  {change}")
    faults.extend(f"{name} is in the table, but was not run" for name in known if name not in counted)
    return faults


def main() -> None:
    """Run the command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--write", action="store_true", help="write the table anew")
    arguments = options.parse_args()
    for tool in ("cargo", "valgrind"):
        if not shutil.which(tool):
            print(f"NOTICE: {tool} is not installed: the instructions of the kernels were NOT checked")
            return
    if platform.machine() != "x86_64":
        print(f"NOTICE: the table is of x86_64, this is {platform.machine()}: the instructions were NOT checked")
        return
    compiler = build()
    counted = count()
    if arguments.write:
        TABLE.write_text(json.dumps({"compiler": compiler, "instructions_per_item": counted}, indent=1) + "\n")
        return
    table = json.loads(TABLE.read_text())
    faults = compare(counted, table["instructions_per_item"])
    if faults:
        if compiler != table["compiler"]:
            faults.append(f"the table is of {table['compiler']}, this is {compiler}: that alone may be the cause")
        faults.append("if it has to be so, write the table anew: python benchmarks/count_instructions.py --write")
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
