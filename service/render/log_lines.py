"""A log record as a line of the terminal."""

from rich.text import Text

from airis.service.render.rows import one_line, printable
from airis.service.render.time import moment
from airis.storage.reader import StoredLog

_COLORS = ((21, "bold red"), (17, "red"), (13, "yellow"), (9, "green"), (5, "blue"), (1, "bright_black"))
_INDENT = "    "
_MOST_VALUE = 200
"""A longer value of an attribute is cut: whoever wants it all asks for JSON."""


def log_line(record: StoredLog) -> Text:
    """Time, severity, service, body, attributes.

    Further lines of a body are indented, so that none can pose as a record.
    """
    line = Text(f"{moment(record.time_unix_nano)} ", style="")
    line.append(f"{one_line(record.severity or '-'):<5} ", style=_color(record.severity_number))
    line.append(f"{one_line(record.service or '-')}  ", style="cyan")
    if record.event_name:
        line.append(f"{one_line(record.event_name)}  ", style="bold")
    line.append(printable(record.body.rstrip("\n")).replace("\n", f"\n{_INDENT}"))
    given = dict(record.attributes)
    if record.trace_id:
        given["trace_id"] = record.trace_id
    shown = "  ".join(f"{one_line(key)}={_short(value)}" for key, value in given.items())
    if shown:
        line.append(f"  {shown}", style="dim")
    return line


def _color(severity_number: int) -> str:
    return next((color for least, color in _COLORS if severity_number >= least), "")


def _short(value: str) -> str:
    shown = one_line(value)
    shown = shown if len(shown) <= _MOST_VALUE else f"{shown[:_MOST_VALUE]}…"
    return f'"{shown}"' if " " in shown or not shown else shown
