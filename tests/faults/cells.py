"""The fault matrix: what is done to airis, what it must do then, and what shows that the test of it would notice."""

from collections.abc import Callable
from dataclasses import dataclass

from . import processes
from .trial import Trial


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault, or what one test is of it."""

    id: str
    words: str
    protection: str
    """What keeps the promise."""
    scenario: Callable[[Trial], None] | None = None
    mutation: str = ""
    """What switches the protection off: an injection, see `mutations`."""
    unproven: str = ""
    """Why there is no mutation."""
    absent: str = ""
    """Why there is no scenario."""


CELLS = (
    Cell(
        "R01 store",
        "kill -9 at any time, durable queue to the store",
        "a batch is acknowledged when it is in the log",
        processes.killed_before_the_store,
        "ack_before_write",
    ),
    Cell(
        "R01 sink",
        "kill -9 at any time, durable queue to an OTLP server",
        "a batch is acknowledged when it is in the log",
        processes.killed_before_the_sink,
        "ack_before_write",
    ),
)
