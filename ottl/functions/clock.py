"""The time and the chance that functions see, which tests replace."""

import secrets
import time
from collections.abc import Callable

from airis.ottl.moments import zones
from airis.ottl.values import Time


class Clock:
    """What time it is."""

    def __init__(self) -> None:
        self.unix_nano: Callable[[], int] = time.time_ns
        """Tests set it."""

    def now(self) -> Time:
        """In the zone of this machine."""
        return Time(self.unix_nano(), zones.local())


class Random:
    """Bytes that nobody can tell before."""

    def __init__(self) -> None:
        self.take: Callable[[int], bytes] = secrets.token_bytes
        """Tests set it."""


CLOCK = Clock()
RANDOM = Random()
