"""One real store process for the tests of schema, reader and commands, and a plain client for it."""

from collections.abc import Mapping
from typing import Any

import orjson

from airis.data.layout import TABLES

from .storage.store_process import Reply, StoreProcess

_TSV_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class Engine:
    """A client of the store process that waits for its answers, with a current database."""

    def __init__(self, process: StoreProcess) -> None:
        self.process = process
        self.database = "default"

    async def rows(self, sql: str, *, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        return self.query(sql, parameters)

    async def command(self, sql: str) -> None:
        self.query(sql)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        # The value of a parameter is read like a field of TSV.
        values = {f"param_{name}": str(value).translate(_TSV_ESCAPES) for name, value in (parameters or {}).items()}
        return [orjson.loads(line) for line in self._post(sql, default_format="JSONEachRow", **values).splitlines()]

    def use(self, database: str) -> None:
        """Make a database the current one."""
        self.database = database

    def insert(self, table: str, block: bytes) -> None:
        names = ", ".join(f"`{column.name}`" for column in TABLES[table])
        self._post(block, query=f"INSERT INTO {table} ({names}) FORMAT Native")

    def native(self, sql: str) -> bytes:
        """The result of a query as Native blocks."""
        return self._post(sql, default_format="Native")

    def _post(self, body: str | bytes, **parameters: str) -> bytes:
        reply: Reply = self.process.post(body, database=self.database, **parameters)
        if reply.status != 200:
            raise RuntimeError(reply.body.decode())
        return reply.body
