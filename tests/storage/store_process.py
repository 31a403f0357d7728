"""A store process under test, as its parent has it."""

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

COMMAND = (sys.executable, "-c", "import typer; from airis.service.commands.store import store; typer.run(store)")


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> int:
        """The exception code; 0 for none."""
        return int(self.headers.get("x-clickhouse-exception-code", 0))

    @property
    def summary(self) -> dict[str, int]:
        return {name: int(value) for name, value in json.loads(self.headers["x-clickhouse-summary"]).items()}


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self._path))


class StoreProcess:
    """The process, its directory, and requests to it."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.data_dir = directory / "data"
        self.socket = directory / "store.sock"
        command = (*COMMAND, "--data-dir", str(self.data_dir), "--socket", str(self.socket), *options)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.facts: dict[str, Any] = {}

    def report(self) -> tuple[str, dict[str, Any]]:
        """The line on stdout: its word and its facts."""
        assert self.process.stdout
        word, _, facts = self.process.stdout.readline().decode().partition(" ")
        self.facts = json.loads(facts or "{}")
        return word, self.facts

    def connection(self, *, unix: bool = True) -> http.client.HTTPConnection:
        if unix:
            return _UnixConnection(self.socket)
        host, _, port = self.facts["listen"].rpartition(":")
        return http.client.HTTPConnection(host, int(port), timeout=20)

    def request(
        self,
        method: str,
        query: str = "",
        body: bytes | None = None,
        *,
        unix: bool = True,
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        **parameters: object,
    ) -> Reply:
        wanted = {**({"query": query} if query else {}), **parameters}
        target = path + ("?" + urlencode(wanted) if wanted else "")
        connection = self.connection(unix=unix)
        try:
            connection.request(method, target, body, dict(headers or {}))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read())
        finally:
            connection.close()

    def get(self, query: str, **more: Any) -> Reply:
        return self.request("GET", query, **more)

    def post(self, body: str | bytes, **more: Any) -> Reply:
        return self.request("POST", body=body.encode() if isinstance(body, str) else body, **more)

    def end(self) -> None:
        """End it for good, as the end of its parent does."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(10)
        assert self.process.stdout
        assert self.process.stderr
        self.process.stdout.close()
        self.process.stderr.close()


Start = Callable[..., StoreProcess]
"""Starts a store process with the given options."""


@contextmanager
def starting(directory: Path) -> Generator[Start]:
    """Start store processes in one directory; they end here."""
    started: list[StoreProcess] = []

    def begin(*options: str) -> StoreProcess:
        started.append(StoreProcess(directory, *options))
        return started[-1]

    yield begin
    for process in started:
        process.end()
