"""What tests of the store's tables share."""

from collections.abc import Iterator

import pytest

from ..engine import Engine, the_engine


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The engine, which all tests share."""
    return the_engine(tmp_path_factory)


@pytest.fixture
def database(engine: Engine, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of the test's own, current in the engine and dropped afterwards."""
    name = "airis_test"
    engine.query(f"DROP DATABASE IF EXISTS {name} SYNC")
    engine.query(f"CREATE DATABASE {name}")
    engine.query(f"USE {name}")
    yield name
    engine.query("USE default")
    engine.query(f"DROP DATABASE {name} SYNC")
