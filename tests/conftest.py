"""What every test may ask for."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from .engine import Engine
from .running import Airis, built_in_configuration
from .storage.store_process import starting


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="Write what golden files are compared with anew.")


@pytest.fixture(params=["reference", "native"])
def kernels(request: pytest.FixtureRequest) -> ModuleType:
    """Both kernel back ends, one after the other; the native one is skipped where it was not built."""
    if request.param == "native":
        return pytest.importorskip("airis._core")
    return importlib.import_module("airis.data.reference")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with the file that holds what it should be."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.write_text(text)
        assert text == path.read_text()

    return compare


@pytest.fixture(scope="session")
def builtin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airis]:
    """A running airis with the built-in configuration, but for its ports."""
    airis = Airis(tmp_path_factory.mktemp("builtin"), built_in_configuration())
    try:
        yield airis.start()
    finally:
        airis.end()


@pytest.fixture
def start_airis(tmp_path: Path) -> Iterator[Callable[..., Airis]]:
    """Start a whole airis in the test's folder; with a configuration, or the built-in one on free ports."""
    started: list[Airis] = []

    def start(*arguments: str, **environment: str) -> Airis:
        airis = Airis(tmp_path, *arguments, **environment)
        started.append(airis)
        return airis.start()

    yield start
    for airis in started:
        airis.end()


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A store process that all tests of its tables share."""
    with starting(tmp_path_factory.mktemp("engine")) as start:
        process = start()
        word, facts = process.report()
        assert word == "ready", facts
        yield Engine(process)
