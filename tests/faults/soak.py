"""Run cells of the fault matrix for as long as wanted, and print how they came out."""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from .cells import CELLS, Cell
from .trial import Bench, Result, Trial

TRIALS = 5
"""Of each cell, without --trials and --minutes."""
UNPROTECTED_DRAIN_S = 5.0
"""What has not arrived after so long without a protection is lost."""


def run_once(bench: Bench, folder: Path, cell: Cell, seed: int, size: float = 1.0) -> Result:
    """One trial of a cell."""
    return _run_trial(Trial(folder, bench, seed, _name(cell, seed), size=size), cell)


def prove(bench: Bench, folder: Path, cell: Cell, seed: int) -> Result:
    """One without the protection."""
    trial = Trial(folder, bench, seed, _name(cell, seed), (cell.mutation,), drain_s=UNPROTECTED_DRAIN_S)
    return _run_trial(trial, cell)


def _name(cell: Cell, seed: int) -> str:
    return f"{cell.id.replace(' ', '-')}-{seed}"


def _run_trial(trial: Trial, cell: Cell) -> Result:
    assert cell.scenario is not None
    trial.bench.begin()
    try:
        cell.scenario(trial)
        return trial.result()
    except Exception as error:
        trial.error = f"{type(error).__name__}: {error}"
        return trial.result()
    finally:
        trial.end()


class Tally:
    """What is added up of the trials of a cell."""

    def __init__(self) -> None:
        self.trials = self.kills = self.acknowledged = self.lost = self.wrong = self.excused = self.duplicates = 0
        self.failed: list[str] = []

    def add(self, seed: int, result: Result) -> None:
        self.trials += 1
        self.kills += result.kills
        self.acknowledged += result.verdict.acknowledged
        self.lost += result.verdict.lost
        self.wrong += result.verdict.wrong
        self.excused += result.verdict.excused
        self.duplicates += result.duplicates
        if result.faults:
            self.failed.append(f"seed {seed}: {'; '.join(result.faults)}")


def seeds(first: int, trials: int, minutes: float) -> Iterator[int]:
    """So many, or as many as there is time for."""
    deadline = time.monotonic() + 60 * minutes
    seed = first
    while time.monotonic() < deadline if minutes else seed < first + trials:
        yield seed
        seed += 1


def main(words: Sequence[str]) -> int:
    """The command; 1 where a cell failed, or did not without its protection."""
    parser = argparse.ArgumentParser(prog="make soak ARGS=…", description=__doc__)
    parser.add_argument("--cell", action="append", default=[], help="such as R07; all that begin with it")
    parser.add_argument("--seed", type=int, default=0, help="of the first trial; a seed says all that is at random")
    parser.add_argument("--trials", type=int, default=TRIALS, help="of each cell")
    parser.add_argument("--minutes", type=float, default=0.0, help="of each cell, instead of --trials")
    parser.add_argument("--size", type=float, default=2.0, help="how much is done in a trial; 1 is what CI does")
    parser.add_argument("--prove", action="store_true", help="switch each protection off, and expect it to be seen")
    parser.add_argument("--list", action="store_true", help="say what there is")
    arguments = parser.parse_args(words)
    cells = [c for c in CELLS if not arguments.cell or c.id.startswith(tuple(arguments.cell))]
    if arguments.list:
        for cell in cells:
            about = cell.absent or f"{cell.protection}; proven by {cell.mutation or cell.unproven}"
            print(f"{cell.id:12} {cell.words}: {about}")
        return 0
    bench = Bench()
    try:
        rows = [_run(bench, cell, arguments) for cell in cells]
    finally:
        bench.end()
    print(f"\n{_table(rows)}\n\nmake soak ARGS='{' '.join(words)}'")
    failed = [(cell, fault) for cell, tally in rows for fault in tally.failed]
    for cell, fault in failed:
        print(f"{cell.id}: {fault}", file=sys.stderr)
    return 1 if failed else 0


def _run(bench: Bench, cell: Cell, arguments: argparse.Namespace) -> tuple[Cell, Tally]:
    tally = Tally()
    if cell.scenario is None or (arguments.prove and not cell.mutation):
        return cell, tally
    trials = 1 if arguments.prove else arguments.trials
    for seed in seeds(arguments.seed, trials, 0.0 if arguments.prove else arguments.minutes):
        folder = Path(tempfile.mkdtemp(prefix="airis-faults-"))
        started = time.monotonic()
        try:
            if arguments.prove:
                result = prove(bench, folder, cell, seed)
                seen = "; ".join(result.noticed)
                tally.add(seed, result)
                tally.failed = [] if seen else [f"seed {seed}: nothing was noticed without: {cell.protection}"]
                told = f"without the protection: {seen or f'NOTHING WAS NOTICED {result.error}'}"
            else:
                result = run_once(bench, folder, cell, seed, arguments.size)
                tally.add(seed, result)
                told = "; ".join(result.faults) or "kept"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(f"{cell.id}: seed {seed}: {time.monotonic() - started:.1f} s: {told}", flush=True)
    return cell, tally


def _table(rows: Sequence[tuple[Cell, Tally]]) -> str:
    head = ("cell", "what", "trials", "kills", "acknowledged", "elsewhere", "lost", "wrong", "duplicates")
    lines = [head]
    for cell, tally in rows:
        if cell.absent:
            lines.append((cell.id, f"{cell.words}: {cell.absent}", *["-"] * (len(head) - 2)))
            continue
        numbers = (
            tally.trials,
            tally.kills,
            tally.acknowledged,
            tally.excused,
            tally.lost,
            tally.wrong,
            tally.duplicates,
        )
        lines.append((cell.id, cell.words, *map(str, numbers)))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
