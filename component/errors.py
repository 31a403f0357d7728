"""What a consumer may raise, one class for each thing a caller does differently, and what stops a start."""

from collections.abc import Sequence
from itertools import accumulate, pairwise


class ConsumeError(Exception):
    """A batch was not taken, or not wholly; see the subclasses."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Retryable(ConsumeError):
    """Nothing was stored and the same batch may be sent again, after ``retry_after`` seconds where given."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Throttled(Retryable):
    """The same, for no fault of the batch: too much is asked of the destination, and it said so."""


class Permanent(ConsumeError):
    """Nothing was stored and sending the same batch again would fail again."""


class Partial(ConsumeError):
    """Everything was stored but ``rejected`` items, which would fail again; not to be sent again."""

    def __init__(self, rejected: int, reason: str) -> None:
        super().__init__(reason)
        self.rejected = rejected

    def shares(self, items: Sequence[int]) -> "list[Partial]":
        """What the callers of joined requests with so many items each are told: nobody knows whose were rejected.

        Shares of a running sum are whole, none exceeds its request, and together they are exactly what was rejected.
        """
        total = sum(items)
        rejected = min(self.rejected, total)
        told = f"{rejected} of {total} items in {len(items)} joined requests were rejected: {self.reason}"
        upto = [rejected * end // total if total else 0 for end in accumulate(items, initial=0)]
        return [Partial(end - start, told) for start, end in pairwise(upto)]


class StartError(Exception):
    """A component could not start: why, and the option that changes it (``protocols::grpc::endpoint``)."""

    def __init__(self, reason: str, option: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.option = option
        self.component = ""
        """Kind and id, ``receivers::otlp``; filled in by the graph, which knows who failed."""

    def __str__(self) -> str:
        where = "::".join(part for part in (self.component, self.option) if part)
        return f"{where}: {self.reason}" if where else self.reason
