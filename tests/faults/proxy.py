"""A relay of TCP or unix sockets that does to connections what networks do."""

import random
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

Mode = Literal["pass", "refuse", "reset", "black_hole", "half_open", "delay", "cut_request", "cut_answer"]
"""pass on · close at once · close with RST · take and never answer · pass on, and swallow answers · slowly ·
end after so many bytes of a request · pass the request on, and end instead of the first byte of the answer"""


class FaultProxy:
    """Stands before a server, on a port (or path) of its own; its mode may change at any time."""

    def __init__(self, target: Callable[[], socket.socket], path: Path | None = None, seed: int = 0) -> None:
        """`target` connects to the server."""
        self.mode: Mode = "pass"
        self.delay_s = 0.05
        self.times = 1 << 30
        """How often cut_request and cut_answer are done."""
        self.only: bytes = b""
        """What a request has to have in it for cut_answer."""
        self.cut = threading.Event()
        """Set when something was cut."""
        self._target = target
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket | None]] = set()
        if path is None:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.port = self._listener.getsockname()[1]
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(path))
            self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def set(self, mode: Mode, times: int = 1 << 30) -> None:
        """From now on; also for connections that are there."""
        with self._lock:
            self.mode, self.times = mode, times
            self.cut.clear()
            pairs = list(self._pairs) if mode in ("refuse", "reset") else []
        for client, server in pairs:
            _end(client, reset=mode == "reset")
            _end(server)

    def close(self) -> None:
        self._listener.close()
        with self._lock:
            pairs = list(self._pairs)
        for client, server in pairs:
            _end(client)
            _end(server)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.mode in ("refuse", "reset"):
                _end(client, reset=self.mode == "reset")
                continue
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        try:
            server = self._target()
        except OSError:
            _end(client)
            return
        with self._lock:
            self._pairs.add((client, server))
        try:
            self._pump(client, server)
        except (OSError, ValueError):  # closed by another thread
            pass
        finally:
            with self._lock:
                self._pairs.discard((client, server))
            _end(client)
            _end(server)

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        asked = b""
        left = self._random.randrange(1, 2000)
        while True:
            readable, _, _ = select.select([client, server], [], [])
            for each in readable:
                data = each.recv(65536)
                if not data:
                    return
                mode = self.mode
                if mode == "black_hole":
                    continue
                if mode == "delay":
                    time.sleep(self.delay_s)
                if each is client:
                    asked = (asked + data)[-65536:] if self.only else b""
                    if mode == "cut_request" and (left := left - len(data)) <= 0 and self._once_more():
                        server.sendall(data[: len(data) // 2])
                        return
                    server.sendall(data)
                else:
                    if mode == "half_open":
                        continue
                    if mode == "cut_answer" and self.only in asked and self._once_more():
                        return
                    asked = b""
                    client.sendall(data)

    def _once_more(self) -> bool:
        with self._lock:
            self.times -= 1
            if self.times >= 0:
                self.cut.set()
            return self.times >= 0


def to_port(port: int) -> Callable[[], socket.socket]:
    """A target on this machine."""
    return lambda: socket.create_connection(("127.0.0.1", port))


def _end(each: socket.socket | None, *, reset: bool = False) -> None:
    if each is None:
        return
    with suppress(OSError):
        if reset:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            each.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        each.close()
