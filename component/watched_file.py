"""Files with secrets in them, read again when they change."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from airis.component.errors import StartError
from airis.component.telemetry import Telemetry

LOOK_EVERY_S = 1.0
MAX_BYTES = 4 * 1024 * 1024


class WatchedFile:
    """Hands on what the file says, at the start and after every change.

    It is compared by its content: Kubernetes exchanges the link to a file, and times of change are coarse. A change is
    one when two looks in a row find the same, so that a file is not used while it is written. One that cannot be used
    changes nothing.
    """

    def __init__(
        self,
        path: str,
        option: str,
        use: Callable[[str], None],
        telemetry: Telemetry,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """`use` takes the text, and raises ValueError, with words that do not repeat it, where that is no good."""
        self._path = Path(path)
        self._option = option
        self._use = use
        self._telemetry = telemetry
        self._sleep = sleep
        self._known = b""
        self._before = b""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read it, and watch it from now on; raises StartError for the option that names it."""
        try:
            self._known = self._before = await asyncio.to_thread(self._read)
            self._use(_text(self._known))
        except OSError as error:
            raise StartError(f'"{self._path}": {error.strerror or error}', self._option) from error
        except ValueError as error:
            raise StartError(f'"{self._path}": {error}', self._option) from error
        self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Watch it no more."""
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.wait({task})

    async def _watch(self) -> None:
        while True:
            await self._sleep(LOOK_EVERY_S)
            await self._look()

    async def _look(self) -> None:
        try:
            now = await asyncio.to_thread(self._read)
        except (OSError, ValueError):
            return  # it may be on its way; what was read last is in use
        is_settled, self._before = now == self._before, now
        if not is_settled or now == self._known:
            return
        self._known = now
        try:
            self._use(_text(now))
        except ValueError as error:
            self._telemetry.log.warning(
                "a changed file cannot be used; what was read before stays in use",
                path=str(self._path),
                reason=str(error),
            )
        else:
            self._telemetry.log.info("a changed file is in use", path=str(self._path))

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES // 1024 // 1024} MiB")
        return content


class WatchedFiles:
    """The files that a component's options name."""

    def __init__(self, telemetry: Telemetry, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """`sleep` passes the time between two looks at a file."""
        self._telemetry = telemetry
        self._sleep = sleep
        self._files: list[WatchedFile] = []

    def add(self, path: str, option: str, use: Callable[[str], None]) -> None:
        """Hand what this file says to `use`, from the start on; an empty path is none."""
        if path:
            self._files.append(WatchedFile(path, option, use, self._telemetry, self._sleep))

    async def start(self) -> None:
        """Read and watch them; raises StartError for the option at fault."""
        for file in self._files:
            await file.start()

    async def close(self) -> None:
        """Watch them no more."""
        for file in self._files:
            await file.close()


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
