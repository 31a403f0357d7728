"""Formats of times with directives such as ``%Y-%m-%d``, as the Collector has them.

Source: internal/coreinternal/timeutils of opentelemetry-collector-contrib (v0.159). What stands between directives is a
layout of Go too, so that ``Mon`` in a format is a day. Reading is more lenient than Go: numbers need no zero in front,
and there may be spaces before them.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo

from airis.ottl.moments import zones
from airis.ottl.moments.layouts import format_layout
from airis.ottl.moments.reading import Mismatch, Read, read, resolved
from airis.ottl.values import Time

_DIRECTIVE = re.compile("%(.)")
_LAYOUTS = {
    **{"Y": "2006", "y": "06", "m": "01", "o": "_1", "q": "1", "b": "Jan", "h": "Jan", "B": "January"},
    **{"d": "02", "e": "_2", "g": "2", "a": "Mon", "A": "Monday", "H": "15", "l": "3", "I": "03", "p": "PM", "P": "pm"},
    **{"M": "04", "S": "05", "L": "999", "f": "999999", "s": "999999999", "Z": "MST", "z": "Z0700", "w": "-070000"},
    **{"i": "-07", "j": "-07:00", "k": "-07:00:00", "D": "01/02/2006", "x": "01/02/2006", "F": "2006-01-02"},
    **{"T": "15:04:05", "X": "15:04:05", "r": "03:04:05 pm", "R": "15:04", "n": "\n", "t": "\t", "%": "%"},
    "c": "Mon Jan 02 15:04:05 2006",
}
_TO_READ: dict[str, Sequence[Sequence[str]]] = {
    **dict.fromkeys("moq", (("1",),)),
    **dict.fromkeys("deg", (("2",),)),
    **dict.fromkeys("Dx", (("1", "/", "2", "/", "2006"), ("1", "/", "2", "/", "06"))),
    **dict.fromkeys("TX", (("15", ":", "4", ":", "5"),)),
    "I": (("3",),),
    "M": (("4",),),
    "S": (("5",),),
    "F": (("2006", "-", "1", "-", "2"),),
    "r": (("3", ":", "4", ":", "5", " ", "pm"),),
    "R": (("15", ":", "4"),),
    "c": (("Mon", " ", "Jan", " ", "2", " ", "15", ":", "4", ":", "5", " ", "2006"),),
    "z": (("Z0700",), ("Z07:00",), ("Z07",)),
}
"""What is tried for a directive, one after the other, where that is not its layout."""

_WEEK = 7 * 86400 * 1_000_000_000


def check(template: str) -> None:
    """Raise ValueError for a format that cannot be used."""
    if not template:
        raise ValueError("format is empty")
    if re.search("[0-9]", template, re.ASCII):
        raise ValueError("format has digits; it is written with directives such as %Y")
    if found := re.search("[^.,]%[Lfs]", template):
        raise ValueError(f'fractions of seconds come behind "." or ",", and not as in {found[0]!a}')
    unknown = [f"%{name}" for name in _DIRECTIVE.findall(template) if name not in _LAYOUTS]
    if unknown:
        raise ValueError(f"there is no directive {', '.join(unknown)}")


def formatted(time: Time, template: str) -> str:
    """A time as a format that was checked shows it; raises EvaluationError for one outside of the calendar."""
    return format_layout(time, layout_of(template))


def layout_of(template: str) -> str:
    """Go's layout of a format that was checked."""
    return _DIRECTIVE.sub(lambda found: _LAYOUTS[found[1]], template)


class Reader:
    """Reads texts of one format, trying first the layout that the last one had."""

    def __init__(self, template: str, zone: tzinfo, now: Callable[[], Time]) -> None:
        """The format was checked; `zone` is that of texts that name none, `now` gives a date to those without one."""
        self._template = template
        self._directives = list(_DIRECTIVE.finditer(template))
        self._zone = zone
        self._now = now
        self._last: str | None = None

    def read(self, text: str) -> Time:
        """The time that a text says; ValueError says why there is none."""
        if self._last is not None:
            try:
                return self._time(text, self._last)
            except ValueError:
                pass
        try:
            time, self._last = self._attempt(text, "", 0)
        except Mismatch as error:
            raise ValueError(f"{text!a} is no time of the format {self._template!a}: {error.reason}") from error
        return time

    def _attempt(self, text: str, before: str, index: int) -> tuple[Time, str]:
        """The time, and its layout: `before` and what becomes of the rest of the format, from a directive on."""
        start = self._directives[index - 1].end() if index else 0
        if index == len(self._directives):
            layout = before + self._template[start:]
            return self._time(text, layout), layout
        directive = self._directives[index]
        before += self._template[start : directive.start()]
        fault: Mismatch | None = None
        for attempt in _TO_READ.get(directive[1], ((_LAYOUTS[directive[1]],),)):
            try:
                return self._with_spaces(text, before, list(attempt), index)
            except Mismatch as error:
                fault = error
                if error.element not in attempt:
                    break
                error.element = directive[0]
                if not error.is_out_of_range:
                    error.reason = f"{error.rest!a} is not as {directive[0]}"
        assert fault is not None  # there is something to try for every directive
        raise fault

    def _with_spaces(self, text: str, before: str, parts: list[str], index: int) -> tuple[Time, str]:
        """With spaces before each number in turn at which there are some."""
        while True:
            try:
                return self._attempt(text, before + "".join(parts), index + 1)
            except Mismatch as error:
                spaces = error.rest[: len(error.rest) - len(error.rest.lstrip())]
                if error.element not in parts or error.is_out_of_range or not spaces:
                    raise
                at = parts.index(error.element)
                if not (parts[at][0].isdigit() or parts[at][0] == "Z") or (at and parts[at - 1] == spaces):
                    raise
                parts.insert(at, spaces)

    def _time(self, text: str, layout: str) -> Time:
        found = read(text, layout)
        time = resolved(found, self._zone)
        unix = time.unix_nano // 1_000_000_000
        name = zones.abbreviation(time.zone, unix)
        is_known = name in ("UTC", zones.abbreviation(self._zone, unix))
        if zones.offset(time.zone, unix) == 0 and not is_known:  # an abbreviation that is the name of a zone itself
            try:
                time = resolved(found, zones.load(name))
            except LookupError as error:
                raise ValueError(str(error.args[0])) from error
        return self._this_year(found, time.zone) if found.year == 0 else time

    def _this_year(self, found: Read, zone: tzinfo) -> Time:
        year = datetime.fromtimestamp(self._now().unix_nano // 1_000_000_000, zones.local()).year
        time = _on(found, year, found.month, found.day, zone)
        if time.unix_nano > self._now().unix_nano + _WEEK:  # in a month that is still to come: the one of last year
            return _on(found, year - 1, found.month, found.day, zone)
        return time


def _on(found: Read, year: int, month: int, day: int, zone: tzinfo) -> Time:
    if month == 2 and day == 29 and (year % 4 or (year % 100 == 0 and year % 400)):
        month, day = 3, 1
    read_then = replace(found, year=year, month=month, day=day)
    unix = zones.unix_of(read_then.local_seconds(), zone)
    return Time(unix * 1_000_000_000 + found.nano, zone)


__all__ = ["Reader", "check", "formatted", "layout_of"]
