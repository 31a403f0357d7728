"""The store's engine inside the test process: what the store child serves, without the child."""

from collections.abc import Mapping
from typing import Any

import chdb
import orjson
import pytest

from airis.data.layout import TABLES

_TSV_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class Engine:
    """The part of the store client that schema and reader need, on chDB itself."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._connection = chdb.connect(directory)

    async def rows(self, sql: str, *, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        return self.query(sql, parameters)

    async def command(self, sql: str) -> None:
        self._connection.query(sql)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        escaped = {name: self.escaped(value) for name, value in (parameters or {}).items()}
        result = self._connection.query(sql, "JSONEachRow", params=escaped)
        return [orjson.loads(line) for line in result.bytes().splitlines()]

    @staticmethod
    def escaped(value: object) -> str:
        """The value of a parameter, which is read like a field of TSV."""
        return str(value).translate(_TSV_ESCAPES)

    def insert(self, table: str, block: bytes) -> None:
        names = ", ".join(f"`{column.name}`" for column in TABLES[table])
        inserter = self._connection.send_insert(f"INSERT INTO {table} ({names})", "Native")
        inserter.append(block)
        inserter.finish()

    def native(self, sql: str) -> bytes:
        """The result of a query as one Native block."""
        return bytes(self._connection.query(sql, "Native").bytes())


_engines: list[Engine] = []


def the_engine(folders: pytest.TempPathFactory) -> Engine:
    """One engine for all tests: a process can have one data directory only."""
    if not _engines:
        _engines.append(Engine(str(folders.mktemp("engine"))))
    return _engines[0]
