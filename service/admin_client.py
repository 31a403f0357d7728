"""How commands speak with a running instance: HTTP on the admin socket in its data directory."""

import hashlib
import http.client
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from airis.service.instance import Instance, is_claimed, running

SOCKET_NAME = "admin.sock"
MOST_PATH_BYTES = 103
"""Of a socket's path: what macOS takes, and Linux a little more."""
TIMEOUT_S = 120.0
"""A reload waits for what drains."""


def socket_path(data_dir: Path) -> Path:
    """Where the instance on a data directory listens: in it, or in the user's runtime directory if that is too long."""
    path = data_dir / SOCKET_NAME
    if len(os.fsencode(path)) <= MOST_PATH_BYTES:
        return path
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"airis-{name}.sock"


class NotRunning(Exception):
    """No instance runs on the data directory; the text says so."""


class Refused(Exception):
    """The admin API does not do what it was asked for; the text says why."""

    def __init__(self, status: int, message: str, choices: list[str]) -> None:
        super().__init__(message)
        self.status = status
        self.choices = choices
        """What could be asked for instead."""


class Frame(NamedTuple):
    """A piece of what a tap tells; see `airis.service.tap.Tap.frames`."""

    told: dict[str, Any]
    payload: bytes


class AdminConnection(http.client.HTTPConnection):
    """A connection to the admin API of the instance on a data directory."""

    def __init__(self, data_dir: Path, timeout_s: float = TIMEOUT_S) -> None:
        """Raises NotRunning."""
        instance = running(data_dir)
        if instance is None and is_claimed(data_dir):
            raise NotRunning(f"airis is not running on {data_dir}, but starts or ends there; try again in a moment")
        if instance is None:
            raise NotRunning(f'airis is not running on {data_dir}; start it with "airis run"')
        super().__init__("airis", timeout=timeout_s)
        self.instance: Instance = instance
        self._path = instance.admin_socket or str(socket_path(data_dir))

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)

    def json(self, method: str, path: str) -> tuple[int, Any]:
        """Status and document of the answer. Raises OSError and http.client.HTTPException."""
        self.request(method, path)
        return _document(self.getresponse())

    def post(self, path: str, body: bytes = b"") -> Any:
        """The document of the answer. Raises Refused, OSError and http.client.HTTPException."""
        self.request("POST", path, body)
        answer = self.getresponse()
        status, told = _document(answer)
        if status != http.client.OK:
            raise _refused(status, told)
        return told

    def frames(self, path: str) -> Iterator[Frame]:
        """What a tap tells, until its end. Raises Refused, OSError and http.client.HTTPException."""
        self.request("GET", path)
        answer = self.getresponse()
        if answer.status != http.client.OK:
            raise _refused(*_document(answer))
        while (line := answer.readline()).endswith(b"\n"):
            header: dict[str, Any] = orjson.loads(line)
            yield Frame(header, _exactly(answer, header.get("size_bytes", 0)))
        if line:
            raise http.client.IncompleteRead(line)


def _refused(status: int, told: Any) -> Refused:
    error: dict[str, Any] = told["error"]
    return Refused(status, error["message"], error.get("choices", []))


def _document(answer: http.client.HTTPResponse) -> tuple[int, Any]:
    body = answer.read()
    try:
        return answer.status, orjson.loads(body)
    except orjson.JSONDecodeError:
        raise http.client.HTTPException(f"{answer.status} {answer.reason}, and no JSON") from None


def _exactly(answer: http.client.HTTPResponse, size: int) -> bytes:
    payload = answer.read(size) if size else b""
    if len(payload) < size:
        raise http.client.IncompleteRead(payload, size - len(payload))
    return payload
