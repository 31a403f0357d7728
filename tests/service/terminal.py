"""A command as it is used in a terminal."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..running import AIRIS, PATIENCE_S, Airis


class Terminal:
    """A command on an instance, in a window of 80 by 24."""

    def __init__(self, airis: Airis, *words: str) -> None:
        self.screen = b""
        environment = {**airis.environment, "TERM": "xterm-256color"}
        command = [str(AIRIS), *words, "--data-dir", str(airis.data_dir)]
        self.pid, self.window = pty.fork()
        if not self.pid:
            for name in ("COLUMNS", "LINES"):
                environment.pop(name, None)
            os.execve(command[0], command, environment)
        self.resize(80, 24)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.window, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, text: str) -> str:
        """Wait for something new on the screen; gives what is before and after it."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            shown = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", self.screen).decode(errors="replace")
            if text in shown:
                self.screen = b""
                return shown
            assert time.monotonic() < deadline, shown
            ready, _, _ = select.select([self.window], [], [], 1)
            if ready:
                self.screen += os.read(self.window, 65536)

    def type(self, keys: bytes) -> None:
        os.write(self.window, keys)

    def end(self) -> tuple[int, bytes]:
        """Exit code, and what was written at the end."""
        rest = self.screen
        while True:
            try:
                piece = os.read(self.window, 65536)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            rest += piece
        _, status = os.waitpid(self.pid, 0)
        os.close(self.window)
        return os.waitstatus_to_exitcode(status), rest


@contextmanager
def ending(terminal: Terminal) -> Iterator[Terminal]:
    yield terminal
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(terminal.pid, signal.SIGKILL)
        os.waitpid(terminal.pid, 0)
