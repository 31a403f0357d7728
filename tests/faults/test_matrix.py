"""The fault matrix in its short form; `make soak` runs it for as long as wanted, and without each protection."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .cells import CELLS, Cell
from .soak import run_once
from .trial import Bench

SEED = 1


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    bench = Bench()
    try:
        yield bench
    finally:
        bench.end()


@pytest.mark.faults
@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.scenario], ids=lambda cell: cell.id)
def test_nothing_is_lost(bench: Bench, tmp_path: Path, cell: Cell) -> None:
    result = run_once(bench, tmp_path, cell, SEED)

    assert result.faults == [], f"make soak ARGS='--cell \"{cell.id}\" --seed {SEED} --trials 1 --size 1'"
    assert result.verdict.acknowledged
