"""Notices that the configuration's files changed, for `airis run --watch`."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from pathlib import Path

LOOK_EVERY_S = 1.0


class Watch:
    """Reads the files again and again: that sees through symbolic links that are exchanged, as Kubernetes does it.

    A change is told when two looks in a row find the same, so that a file is not read while it is written.
    """

    def __init__(
        self,
        files: Callable[[], Sequence[Path]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`files` gives what is to be looked at, folders as well, and may change from look to look.

        What is there now is what is known.
        """
        self._files = files
        self._sleep = sleep
        self._known = self._look()

    async def run(self, changed: Callable[[], None]) -> None:
        """Call `changed` after every change, for ever."""
        before = self._known
        while True:
            await self._sleep(LOOK_EVERY_S)
            now = await asyncio.to_thread(self._look)
            if now != self._known and now == before:
                self._known = now
                changed()
            before = now

    def _look(self) -> bytes:
        digest = blake2b()
        for path in self._files():
            for part in (os.fsencode(path), _content(path)):
                digest.update(len(part).to_bytes(8) + part)
        return digest.digest()


def _content(path: Path) -> bytes:
    """What the file says, the names in the folder, or why neither can be read."""
    try:
        return b"\0".join(sorted(map(os.fsencode, path.iterdir()))) if path.is_dir() else path.read_bytes()
    except OSError as error:
        return str(error.errno).encode()
