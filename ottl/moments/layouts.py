"""Go's layouts of times: their elements, and a time written as they show it.

Source: the package time of Go 1.26. A layout is an example: how it would show Monday, 2 January 2006, 15:04:05 in a
zone 7 hours west of UTC.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from airis.ottl.moments import zones
from airis.ottl.texts import local_time
from airis.ottl.values import Time

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

# What stands first is tried first; a lower-case letter behind Jan and Mon makes them part of a word.
_ELEMENT = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|01|02|03|04|05|06|2006|15|1|_2006|_2|2|3|4|5|PM|pm"
    r"|-070000|-07:00:00|-0700|-07:00|-07|Z070000|Z07:00:00|Z0700|Z07:00|Z07|[.,](?:0+|9+)(?![0-9])"
)


@lru_cache(256)
def elements(layout: str) -> Sequence[tuple[str, str]]:
    """What stands before each element, and the element; the last one is empty."""
    found: list[tuple[str, str]] = []
    at = start = 0
    while (match := _ELEMENT.search(layout, at)) is not None:
        element = match.group()
        at = match.end()
        if element == "_2006":  # an underscore, and a year
            found.append((layout[start : match.start() + 1], "2006"))
        else:
            found.append((layout[start : match.start()], element))
        start = at
    return (*found, (layout[start:], ""))


def format_layout(time: Time, layout: str) -> str:
    """A time as a layout shows it; raises EvaluationError for one outside of the calendar."""
    moment = local_time(time)
    unix, nano = divmod(time.unix_nano, 1_000_000_000)
    seconds = zones.offset(time.zone, unix)
    hour = moment.hour % 12 or 12
    plain = {
        "January": MONTHS[moment.month - 1],
        "Jan": MONTHS[moment.month - 1][:3],
        "1": str(moment.month),
        "01": f"{moment.month:02}",
        "Monday": DAYS[moment.weekday()],
        "Mon": DAYS[moment.weekday()][:3],
        "2": str(moment.day),
        "_2": f"{moment.day:2}",
        "02": f"{moment.day:02}",
        "15": f"{moment.hour:02}",
        "3": str(hour),
        "03": f"{hour:02}",
        "4": str(moment.minute),
        "04": f"{moment.minute:02}",
        "5": str(moment.second),
        "05": f"{moment.second:02}",
        "2006": f"{moment.year:04}",
        "06": f"{moment.year % 100:02}",
        "PM": "PM" if moment.hour >= 12 else "AM",
        "pm": "pm" if moment.hour >= 12 else "am",
        "MST": zones.abbreviation(time.zone, unix) or _offset(seconds, "-0700"),
        "": "",
    }
    parts: list[str] = []
    for before, element in elements(layout):
        parts.append(before)
        if element[:1] in (".", ","):
            parts.append(_fraction(nano, element))
        elif element[:1] in ("-", "Z"):
            parts.append("Z" if element[0] == "Z" and not seconds else _offset(seconds, f"-{element[1:]}"))
        else:
            parts.append(plain[element])
    return "".join(parts)


def _fraction(nano: int, element: str) -> str:
    digits = f"{nano:09}".ljust(len(element) - 1, "0")[: len(element) - 1]
    if element[1] == "9":
        digits = digits.rstrip("0")
    return f"{element[0]}{digits}" if digits else ""


def _offset(seconds: int, element: str) -> str:
    size = abs(seconds)
    parts = [f"{size // 3600:02}", f"{size // 60 % 60:02}", f"{size % 60:02}"]
    separator = ":" if ":" in element else ""
    count = len(element.replace(":", "")) // 2
    return ("-" if seconds < 0 else "+") + separator.join(parts[:count])
