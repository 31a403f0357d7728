"""How old what is in the log is, whatever the wall clock does."""

from collections.abc import Callable

from airis.storage.wal.segment import Segment


class Ages:
    """Ages of segments, against a limit.

    Within a run the monotonic clock measures them, which nobody sets. What is there from earlier runs is as old as
    the wall clock says, but at the start no older than half of the limit: a clock that is wrong then, or was, drops
    nothing before so much time has passed here.
    """

    def __init__(self, max_age_s: float, wall: Callable[[], int], monotonic: Callable[[], int]) -> None:
        """Both clocks give nanoseconds; 0 seconds are no limit."""
        self._limit_nano = int(max_age_s * 1e9)
        self._wall = wall
        self._monotonic = monotonic

    def found(self, segment: Segment) -> None:
        """A segment was there at the start."""
        age = max(0, self._wall() - segment.newest_unix_nano) if segment.newest_unix_nano else 0
        segment.newest_nano = self._monotonic() - min(age, self._limit_nano // 2)

    def grew(self, segment: Segment) -> None:
        """A segment was just written to."""
        segment.newest_nano = self._monotonic()

    def is_too_old(self, segment: Segment) -> bool:
        """Whether even the newest in it is older than the limit."""
        return bool(self._limit_nano) and self._monotonic() - segment.newest_nano > self._limit_nano
