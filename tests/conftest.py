"""What every test may ask for."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from .running import Airis


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
