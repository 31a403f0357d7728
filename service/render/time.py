"""Times and durations as people write and read them."""

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

LastOption = Annotated[
    str, typer.Option("--last", metavar="DURATION", help="How far to look back, such as 15m, 2h or 7d.")
]


def seconds(text: str, option: str) -> float:
    """A duration that was given as an option, in seconds; a wrong one ends the command with a word about it."""
    from airis.component.config import parse_duration  # imports pydantic

    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def since_nano(last: str) -> int:
    """Unix nanoseconds of so long ago, which is what ``--last`` says."""
    return max(0, time.time_ns() - int(seconds(last, "--last") * 1e9))


def iso(unix_nano: int) -> str:
    """UTC with all nanoseconds: ``2026-01-02T03:04:05.000000006Z``."""
    whole, nano = divmod(unix_nano, 1_000_000_000)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{nano:09d}Z"


def moment(unix_nano: int) -> str:
    """Local time of day with milliseconds; with the date when it is not today's."""
    local = datetime.fromtimestamp(unix_nano / 1e9, UTC).astimezone()
    day = "" if local.date() == datetime.now().astimezone().date() else f"{local:%Y-%m-%d} "
    return f"{day}{local:%H:%M:%S}.{local.microsecond // 1000:03d}"


def span_of_time(nano: float) -> str:
    """A duration with three significant digits: ``1.23 ms``."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nano >= size:
            return f"{nano / size:.3g} {unit}" if nano < 1000 * size else f"{nano / size:.0f} {unit}"
    return f"{nano:.0f} ns"


def ago(seconds: float) -> str:
    """How long ago, in its largest unit: ``3 min ago``."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"
