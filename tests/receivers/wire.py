"""HTTP/1.1 and HTTP/2 as bytes, for clients that do what no library does."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airis.data import Signal

from .conftest import SERVICES

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS = 1, 1, 4


def post(path: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole HTTP/1.1 request."""
    lines = {
        "host": "airis",
        "content-type": "application/x-protobuf",
        "content-length": str(len(body)),
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def head(stream: int, fields: Iterable[tuple[str, str]], *, ends: bool = False) -> bytes:
    """A HEADERS frame, every field a literal that is not indexed."""
    block = b"".join(
        b"\0" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode() for name, value in fields
    )
    return frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0), stream, block)


def export_head(stream: int, signal: Signal = Signal.LOGS, **more: str) -> bytes:
    """The head of an export over gRPC."""
    return head(
        stream,
        (
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "airis"),
            (":path", f"/{SERVICES[signal]}/Export"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            *((name.replace("_", "-"), value) for name, value in more.items()),
        ),
    )


def message(content: bytes, flag: int = 0) -> bytes:
    """A gRPC message."""
    return bytes((flag,)) + len(content).to_bytes(4, "big") + content


def data(stream: int, pieces: Iterable[bytes]) -> bytes:
    """DATA frames, the last one ending the stream."""
    frames = [frame(DATA, 0, stream, piece) for piece in pieces]
    return b"".join(frames) + frame(DATA, END_STREAM, stream)


@dataclass(frozen=True)
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes


class Http2:
    """A connection that has said hello."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, address: str) -> "Http2":
        host, _, port = address.removeprefix("http://").rpartition(":")
        connection = cls(*await asyncio.open_connection(host, int(port)))
        connection.writer.write(PREFACE + frame(SETTINGS, 0, 0))
        return connection

    def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    async def frame(self) -> Frame | None:
        """The next frame, None at the end."""
        try:
            start = await self.reader.readexactly(9)
            payload = await self.reader.readexactly(int.from_bytes(start[:3], "big"))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return Frame(start[3], start[4], int.from_bytes(start[5:], "big"), payload)

    async def end_of(self, stream: int) -> Frame | None:
        """The frame that ends the stream; None where the connection ended."""
        while received := await self.frame():
            if received.stream == stream and (
                received.kind == RST_STREAM or (received.kind in (DATA, HEADERS) and received.flags & END_STREAM)
            ):
                return received
        return None

    async def close(self) -> None:
        self.writer.close()
