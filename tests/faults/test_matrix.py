"""The fault matrix in its short form; `make soak` runs it for as long as wanted, and without each protection."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from airis.component import Kind, known_types

from . import machine, mutations
from .cells import CELLS, Cell
from .injections import INJECTIONS
from .soak import prove, run_once
from .trial import Bench

SEED = 1
SHORT = [cell for cell in CELLS if cell.scenario and not cell.is_long]
PROVEN_HERE = ("R08", "R35")
"""Those that are quick without their protection."""

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    bench = Bench()
    try:
        yield bench
    finally:
        bench.end()


@pytest.mark.parametrize("cell", SHORT, ids=lambda cell: cell.id)
def test_nothing_is_lost(bench: Bench, tmp_path: Path, cell: Cell) -> None:
    result = run_once(bench, tmp_path, cell, SEED)

    assert result.faults == [], f"make soak ARGS='--cell \"{cell.id}\" --seed {SEED} --trials 1 --size 1'"
    assert result.verdict.acknowledged


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.id in PROVEN_HERE], ids=lambda cell: cell.id)
def test_it_is_noticed_when_a_protection_is_off(bench: Bench, tmp_path: Path, cell: Cell) -> None:
    assert prove(bench, tmp_path, cell, SEED).noticed


def test_every_fault_is_tried_or_it_is_said_why_not() -> None:
    assert {cell.id.partition(" ")[0] for cell in CELLS} == {f"R{number:02}" for number in range(1, 36)}
    assert [cell.id for cell in CELLS if (cell.scenario is None) != bool(cell.absent)] == []
    assert [cell.id for cell in CELLS if cell.scenario and bool(cell.mutation) == bool(cell.unproven)] == []


def test_a_fault_that_waits_for_an_exporter_is_written_when_that_comes() -> None:
    known = known_types(Kind.EXPORTER)
    assert [cell.id for cell in CELLS if cell.awaits in known] == []


def test_every_protection_can_be_switched_off() -> None:
    in_modules = {
        name
        for module in (machine, mutations)
        for name in re.findall(r"^@injection\ndef (\w+)", Path(module.__file__).read_text(), re.MULTILINE)
    }
    assert {cell.mutation for cell in CELLS if cell.mutation} <= in_modules == set(INJECTIONS)
