"""The fault matrix: what is done to airis, what it must do then, and what shows that the test of it would notice."""

from collections.abc import Callable
from dataclasses import dataclass

from . import disks, networks, processes, requests, resources
from .trial import Trial


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault, or what one test is of it."""

    id: str
    words: str
    protection: str = ""
    """What keeps the promise."""
    scenario: Callable[[Trial], None] | None = None
    mutation: str = ""
    """What switches the protection off: an injection, see `mutations`."""
    unproven: str = ""
    """Why there is no mutation."""
    absent: str = ""
    """Why there is no scenario."""
    awaits: str = ""
    """The exporter without which there is nothing to test yet."""
    is_long: bool = False
    """Left to `make soak`: it takes its time, or another test of this repository looks at it more closely."""


WRITTEN = "a batch is acknowledged when it is in the log"
LATER = "comes with the security work"

CELLS = (
    Cell("R01 store", "kill -9, queue to the store", WRITTEN, processes.killed_before_the_store, "ack_before_write"),
    Cell("R01 sink", "kill -9, queue to a server", WRITTEN, processes.killed_before_the_sink, "ack_before_write"),
    Cell(
        "R01 steps",
        "kill -9 at each step of an acknowledgement",
        WRITTEN,
        processes.killed_between_write_and_answer,
        "ack_before_write",
    ),
    Cell(
        "R02",
        "kill -9 at each step of a start",
        "what was under way stays in the log until it is delivered",
        processes.killed_while_it_recovers,
        "forget_dispatched",
    ),
    Cell("R03", "power lost", "a batch is acknowledged after the fsync", disks.power_lost, "no_fsync"),
    Cell("R04", "server away", "a queue on disk has no last retry", networks.away, "retries_end", is_long=True),
    Cell("R05", "server slow, connections half open", "attempts have a timeout", networks.slow, "no_timeout"),
    Cell(
        "R06",
        "Retry-After, RetryInfo, final statuses",
        "no attempt comes before its time",
        networks.told_when_to_come_again,
        "retry_when_it_suits",
        is_long=True,
    ),
    Cell("R07", "every gRPC code", "the table of the specification", networks.every_code, "every_code_is_final"),
    Cell(
        "R08",
        "partial success",
        "what was partly taken is not sent again",
        networks.partly_rejected,
        "partial_success_is_retried",
    ),
    Cell(
        "R09", "items of Elasticsearch's bulk refused", absent="airis has no such exporter yet", awaits="elasticsearch"
    ),
    Cell(
        "R10",
        "the store's answer lost",
        "an insert is repeated under its token",
        networks.answer_of_the_store_is_lost,
        "no_token",
    ),
    Cell("R11", "Kafka broker gone, message too large", absent="airis has no such exporter yet", awaits="kafka"),
    Cell(
        "R12 cut",
        "a record cut off by the end of the disk",
        "what has no room is not acknowledged",
        disks.disk_full,
        "full_disk_acknowledges",
    ),
    Cell(
        "R12 full",
        "no space left",
        "what has no room is not acknowledged",
        disks.file_system_full,
        "full_disk_acknowledges",
        is_long=True,
    ),
    Cell("R13", "fsync fails once", "a file that failed is not written to again", disks.fsync_fails, "fsync_again"),
    Cell("R14", "segments and cursors damaged", "every record has two checksums", disks.damaged, "no_checksums"),
    Cell(
        "R15",
        "a log of another version",
        "it is refused and left as it is",
        disks.other_version,
        "any_version",
        is_long=True,
    ),
    Cell(
        "R16",
        "a start with a backlog",
        "listening does not wait for delivery",
        disks.backlog,
        "backlog_first",
        is_long=True,
    ),
    Cell(
        "R17 drain",
        "SIGTERM under load, no queue",
        "senders are answered after delivery",
        processes.told_to_end,
        "batch_acknowledges_early",
        is_long=True,
    ),
    Cell("R17 twice", "SIGTERM twice", WRITTEN, processes.told_to_end_twice, "ack_before_write"),
    Cell(
        "R18",
        "SIGHUP under load",
        "what did not change goes on",
        processes.reloaded_under_load,
        "reload_starts_all_anew",
    ),
    Cell(
        "R19",
        "the wall clock jumps",
        "what came in the future is not waited for",
        resources.clock_jumps,
        "trust_the_clock",
    ),
    Cell(
        "R20",
        "three times the load in 512 MiB",
        "memory_limiter, and a limit on what is held",
        resources.overloaded,
        "no_limits",
        is_long=True,
    ),
    Cell("R21", "floods of connections", absent=LATER),
    Cell("R22", "slow clients, HTTP/2 floods", absent=LATER),
    Cell("R23", "bodies over the limit", "max_request_body_size", requests.too_large, "no_limits", is_long=True),
    Cell(
        "R24", "decompression bombs", "the limit holds for the inflated body", requests.bombs, "no_limits", is_long=True
    ),
    Cell(
        "R25",
        "malformed requests",
        "requests are checked before they are taken",
        requests.malformed,
        "unchecked",
        is_long=True,
    ),
    Cell(
        "R26",
        "values in values in values",
        "requests are checked before they are taken",
        requests.too_deep,
        "unchecked",
        is_long=True,
    ),
    Cell(
        "R27",
        "text that is not UTF-8",
        "it is repaired before it is taken",
        requests.not_utf8,
        "unchecked",
        is_long=True,
    ),
    Cell(
        "R28",
        "very many of something small",
        "requests are scanned in place",
        requests.many,
        unproven="nothing that could be switched off makes an object of each: the native scan has none",
        is_long=True,
    ),
    Cell("R29", "series without end", absent="airis has no limit on series yet"),
    Cell("R30 refused", "an item refused for good", "batches are bisected", processes.poison, "no_bisection"),
    Cell(
        "R30 crash",
        "a batch that ends the process",
        "who was under way at three ends is a dead letter",
        processes.poison_that_kills,
        "no_crash_breaker",
        is_long=True,
    ),
    Cell(
        "R31",
        "kill -9 between an insert and its note",
        "a group keeps its token over a crash",
        processes.killed_between_insert_and_note,
        "no_token",
        is_long=True,
    ),
    Cell(
        "R32",
        "one of two servers away",
        "a segment stays until all have it",
        processes.dead_beside_alive,
        "one_is_enough",
        is_long=True,
    ),
    Cell("R33", "the store dies", "it is started again", processes.store_dies, "no_supervisor"),
    Cell("R34", "certificates and keys change", absent=LATER),
    Cell("R35", "conservation", "what is given up is counted", resources.balanced, "uncounted"),
)
