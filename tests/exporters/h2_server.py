"""A server that sends whatever frames of HTTP/2 it is told to, right or wrong."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
INTERNAL_ERROR, REFUSED_STREAM, CANCEL = 2, 7, 8


@dataclass
class Frame:
    kind: int
    flags: int
    stream: int
    content: bytes


def frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    return len(content).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + content


def _text(text: str) -> bytes:
    raw = text.encode("latin-1")
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    rest, length = len(raw) - 127, bytearray([127])
    while rest >= 128:
        length.append(rest % 128 + 128)
        rest //= 128
    return bytes(length) + bytes([rest]) + raw


def block(*headers: tuple[str, str]) -> bytes:
    """Headers without any compression."""
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in headers)


def message(content: bytes, *, compressed: bool = False) -> bytes:
    """A message of gRPC."""
    return bytes([compressed]) + len(content).to_bytes(4, "big") + content


class Connection:
    """One client: its pings and settings are answered, its frames kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, pongs: bool) -> None:
        self._reader = reader
        self._writer = writer
        self._pongs = pongs
        self.pings = 0

    async def begin(self) -> None:
        assert await self._reader.readexactly(len(PREFACE)) == PREFACE
        self._writer.write(frame(SETTINGS, 0, 0))

    async def frame(self) -> Frame:
        """The next frame that is not answered by itself."""
        while True:
            head = await self._reader.readexactly(9)
            content = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
            got = Frame(head[3], head[4], int.from_bytes(head[5:], "big"), content)
            if got.kind == SETTINGS and not got.flags & ACK:
                self._writer.write(frame(SETTINGS, ACK, 0))
            elif got.kind == PING and not got.flags & ACK:
                self.pings += 1
                if self._pongs:
                    self._writer.write(frame(PING, ACK, 0, content))
            elif got.kind == DATA and content:
                size = len(content).to_bytes(4, "big")
                self._writer.write(frame(WINDOW_UPDATE, 0, 0, size) + frame(WINDOW_UPDATE, 0, got.stream, size))
                return got
            else:
                return got

    async def request(self) -> tuple[int, bytes]:
        """Stream and body of the next request."""
        body = b""
        while True:
            got = await self.frame()
            if got.kind == DATA:
                body += got.content
            if got.kind in (DATA, HEADERS) and got.flags & END_STREAM:
                return got.stream, body

    async def send(self, *frames: bytes) -> None:
        self._writer.write(b"".join(frames))
        await self._writer.drain()

    async def answer(
        self,
        stream: int,
        body: bytes = message(b""),
        *,
        headers: tuple[tuple[str, str], ...] = (),
        trailers: tuple[tuple[str, str], ...] = (("grpc-status", "0"),),
    ) -> None:
        """A regular answer."""
        head = block((":status", "200"), ("content-type", "application/grpc"), *headers)
        await self.send(frame(HEADERS, END_HEADERS, stream, head))
        for start in range(0, len(body), 16384):
            await self.send(frame(DATA, 0, stream, body[start : start + 16384]))
        await self.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, block(*trailers)))


Serve = Callable[[Connection], Awaitable[None]]


class H2Server:
    """Serves each connection by the next of the functions, and those beyond by the last."""

    def __init__(self, *serve: Serve, pongs: bool = True) -> None:
        self._serve = serve
        self._pongs = pongs
        self.connections: list[Connection] = []
        self.gone = asyncio.Event()
        """A client closed a connection."""
        self.faults: list[BaseException] = []
        self._listening: asyncio.Server | None = None

    async def start(self) -> str:
        self._listening = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return f"127.0.0.1:{self._listening.sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        if self._listening is not None:
            self._listening.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, pongs=self._pongs)
        self.connections.append(connection)
        try:
            await connection.begin()
            await self._serve[min(len(self.connections), len(self._serve)) - 1](connection)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        except AssertionError as error:
            self.faults.append(error)
        finally:
            writer.close()
