"""The embedded store as a supervised child process: started, watched, started again after a crash."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import orjson
import structlog

from airis.component.errors import StartError
from airis.storage.options import StoreOptions

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
FIRST_RESTART_S = 0.2
LAST_RESTART_S = 10.0
STEADY_S = 60.0
"""A child that ran for so long is started again at once when it crashes."""
MAX_SOCKET_PATH_BYTES = 100
"""The kernel takes 107 on Linux and 103 on macOS."""
_LAST_LINES = 5
_MOST_LINE_BYTES = 16 * 1024


class StoreProcess:
    """Keeps one child running between `start` and `stop`.

    The child ends by itself when this process does, however that comes about: it watches a pipe that only this
    process holds open.
    """

    def __init__(
        self,
        options: StoreOptions,
        log: structlog.stdlib.BoundLogger | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_restart: Callable[[], None] = lambda: None,
    ) -> None:
        self.options = options
        self.listen = ""
        """``host:port`` it serves on TCP once started; empty where it does not."""
        self.restarts = 0
        self._log: structlog.stdlib.BoundLogger = log or structlog.get_logger()
        self._sleep = sleep
        self._on_restart = on_restart
        self._child: asyncio.subprocess.Process | None = None
        self._last_lines: list[str] = []
        self._serving = False
        self._reading: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    async def start(self) -> None:
        """Return when the child serves; raises StartError with the option at fault."""
        if len(os.fsencode(self.options.socket)) > MAX_SOCKET_PATH_BYTES:
            raise StartError(
                f"{self.options.socket}: too long for the path of a socket; choose a shorter data directory",
                "directory",
            )
        await self._spawn()
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Let running statements end, close the engine, end the child."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait({self._watcher})
            self._watcher = None
        await self._end_child()

    async def _spawn(self) -> None:
        self._last_lines = []
        self._serving = False
        self._child = await asyncio.create_subprocess_exec(
            *self.options.command(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a terminal is for this process, which ends the child in its turn
            # A folder of the user's must not hide an installed module.
            env={**os.environ, "PYTHONSAFEPATH": "1"},
        )
        self._reading = asyncio.create_task(self._read_log(self._child))
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                said = await self._first_word(self._child)
        except BaseException as error:
            await self._end_child()
            if isinstance(error, TimeoutError):
                raise StartError(f"the store did not start within {START_TIMEOUT_S:.0f} s") from None
            raise
        self._serving = True
        self.listen = said.get("listen") or ""

    async def _first_word(self, child: asyncio.subprocess.Process) -> Mapping[str, Any]:
        """What the child says when it serves; raises StartError with what it says when it cannot."""
        assert child.stdout is not None
        async for line in child.stdout:
            word, _, rest = line.partition(b" ")
            if word == b"ready":
                return dict(orjson.loads(rest))
            if word == b"failed":
                failed = orjson.loads(rest)
                await child.wait()
                option = "directory" if failed["option"] == "data_dir" else failed["option"]
                raise StartError(failed["reason"], option)
        code = await child.wait()
        if self._reading is not None:
            await self._reading
        said = f": {self._last_lines[-1]}" if self._last_lines else ""
        raise StartError(f"the store ended while it started ({_how(code)}){said}", "directory")

    async def _read_log(self, child: asyncio.subprocess.Process) -> None:
        """Pass on what the child writes to stderr, which is nothing while all is well.

        Why it does not start it says by itself; what the engine says besides comes with it.
        """
        assert child.stderr is not None
        async for text in _lines(child.stderr):
            self._last_lines = [*self._last_lines, text][-_LAST_LINES:]
            if self._serving:
                self._log.warning("store", line=text)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        delay, started = FIRST_RESTART_S, loop.time()
        while True:
            if self._child is not None:
                code = await self._child.wait()
                if loop.time() - started > STEADY_S:
                    delay = FIRST_RESTART_S
                self._log.error("store ended, starting it again", how=_how(code), in_s=delay)
            await self._sleep(delay)
            delay = min(2 * delay, LAST_RESTART_S)
            self.restarts += 1
            self._on_restart()
            started = loop.time()
            try:
                await self._spawn()
                self._log.info("store serves again", restarts=self.restarts)
            except (StartError, OSError) as error:
                self._child = None
                self._log.error("store did not start again", error=str(error), in_s=delay)

    async def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is not None and child.returncode is None:
            with suppress(ProcessLookupError):
                child.terminate()
            try:
                await asyncio.wait_for(child.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                self._log.error("store did not end in time, killed", pid=child.pid)
                child.kill()
                await child.wait()
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=1)
            self._reading = None


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Its lines; one that is longer than `_MOST_LINE_BYTES` comes in pieces, since a child must never wait for us."""
    rest = b""
    while chunk := await stream.read(_MOST_LINE_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _MOST_LINE_BYTES:
            lines, rest = [*lines, rest], b""
        for line in lines:
            yield line.decode(errors="replace").rstrip()
    if rest:
        yield rest.decode(errors="replace").rstrip()


def _how(code: int) -> str:
    """An exit code in words."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
