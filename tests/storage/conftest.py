"""The store's engine inside the test process: what the store child serves, without the child."""

from collections.abc import Iterator, Mapping
from typing import Any

import chdb
import orjson
import pytest

from airis.data.layout import TABLES

_TSV_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class Engine:
    """The part of the store client that schema and reader need, on chDB itself."""

    def __init__(self, directory: str) -> None:
        self._connection = chdb.connect(directory)

    async def rows(self, sql: str, *, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        return self.query(sql, parameters)

    async def command(self, sql: str) -> None:
        self._connection.query(sql)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        # The value of a parameter is read like a field of TSV.
        escaped = {name: str(value).translate(_TSV_ESCAPES) for name, value in (parameters or {}).items()}
        result = self._connection.query(sql, "JSONEachRow", params=escaped)
        return [orjson.loads(line) for line in result.bytes().splitlines()]

    def insert(self, table: str, block: bytes) -> None:
        names = ", ".join(f"`{column.name}`" for column in TABLES[table])
        inserter = self._connection.send_insert(f"INSERT INTO {table} ({names})", "Native")
        inserter.append(block)
        inserter.finish()

    def native(self, sql: str) -> bytes:
        """The result of a query as one Native block."""
        return bytes(self._connection.query(sql, "Native").bytes())


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """One engine for all tests: a process can have one data directory only."""
    return Engine(str(tmp_path_factory.mktemp("engine")))


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
