"""What happens again and again is told now and then."""

import time
from collections.abc import Callable

INTERVAL_S = 60.0


class Occasional:
    """Says yes once a minute, so that what happens with every request is not logged with every request."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: float | None = None

    def due(self) -> bool:
        """Whether it is time to say it."""
        now = self._clock()
        if self._next is not None and now < self._next:
            return False
        self._next = now + INTERVAL_S
        return True
