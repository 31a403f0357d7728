"""The fault matrix in its short form; `make soak` runs it for as long as wanted, and without each protection."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest

from airis.component import Kind, known_types

from . import machine, mutations
from .cells import CELLS, Cell
from .injections import INJECTIONS
from .soak import prove, run_once
from .trial import Bench, Result

SEED = 1
BESIDE = 2
"""So many trials run at a time: most of the time of one is waiting."""
SHORT = [cell for cell in CELLS if cell.scenario and not cell.is_long]
PROVEN_HERE = [cell for cell in CELLS if cell.id in ("R08", "R35")]
"""Those that are quick without their protection."""

pytestmark = pytest.mark.faults

Run = Callable[[Bench, Path, Cell, int], Result]


class Trials:
    """Those that were chosen, begun together; each has destinations and an oracle of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(BESIDE)
        self._benches: SimpleQueue[Bench] = SimpleQueue()
        self._results: dict[tuple[Run, str], Future[Result]] = {}
        for _ in range(BESIDE):
            self._benches.put(Bench())

    def begin(self, run: Run, cell: Cell) -> None:
        self._results[run, cell.id] = self._pool.submit(self._run, run, cell)

    def result(self, run: Run, cell: Cell) -> Result:
        return self._results[run, cell.id].result()

    def _run(self, run: Run, cell: Cell) -> Result:
        folder = self._folder / f"{run.__name__}-{cell.id}"
        folder.mkdir()
        bench = self._benches.get()
        try:
            return run(bench, folder, cell, SEED)
        finally:
            self._benches.put(bench)

    def end(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        for _ in range(BESIDE):
            self._benches.get().end()


@pytest.fixture(scope="module")
def trials(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    trials = Trials(tmp_path_factory.mktemp("trials"))
    for item in request.session.items:
        parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        if item.path == request.path and "cell" in parameters:
            trials.begin(prove if "protection" in item.name else run_once, parameters["cell"])
    yield trials
    trials.end()


@pytest.mark.parametrize("cell", SHORT, ids=lambda cell: cell.id)
def test_nothing_is_lost(trials: Trials, cell: Cell) -> None:
    result = trials.result(run_once, cell)

    assert result.faults == [], f"make soak ARGS='--cell \"{cell.id}\" --seed {SEED} --trials 1 --size 1'"
    assert result.verdict.acknowledged


@pytest.mark.parametrize("cell", PROVEN_HERE, ids=lambda cell: cell.id)
def test_it_is_noticed_when_a_protection_is_off(trials: Trials, cell: Cell) -> None:
    assert trials.result(prove, cell).noticed


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
