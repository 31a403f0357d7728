"""What tests of the store's tables share."""

from collections.abc import Iterator

import pytest

from ..engine import Engine


@pytest.fixture
def database(engine: Engine) -> Iterator[str]:
    """An empty database of the test's own, current in the engine and dropped afterwards."""
    name = "airis_test"
    engine.use("default")
    engine.query(f"DROP DATABASE IF EXISTS {name} SYNC")
    engine.query(f"CREATE DATABASE {name}")
    engine.use(name)
    yield name
    engine.use("default")
    engine.query(f"DROP DATABASE {name} SYNC")
