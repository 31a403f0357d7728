"""Texts read by Go's layouts, with all that Go's Parse takes and refuses (package time of Go 1.26)."""

import re
from calendar import isleap
from dataclasses import dataclass
from datetime import UTC, date, tzinfo

from airis.ottl.moments import zones
from airis.ottl.moments.layouts import DAYS, MONTHS, elements
from airis.ottl.values import Time

_DAYS_IN = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_NUMBER = re.compile("[0-9]{1,2}", re.ASCII)
_FRACTION = re.compile("[.,][0-9]+", re.ASCII)
_OFFSETS = {
    "-07": re.compile("([-+])([0-9]{2})", re.ASCII),
    "-0700": re.compile("([-+])([0-9]{2})([0-9]{2})", re.ASCII),
    "-07:00": re.compile("([-+])([0-9]{2}):([0-9]{2})", re.ASCII),
    "-070000": re.compile("([-+])([0-9]{2})([0-9]{2})([0-9]{2})", re.ASCII),
    "-07:00:00": re.compile("([-+])([0-9]{2}):([0-9]{2}):([0-9]{2})", re.ASCII),
}
_ABBREVIATION = re.compile(
    r"(?:ChST|MeST|GMT(?:[-+](?:2[0-3]|[01]?[0-9])(?![0-9]))?|[-+](?:2[0-3]|[01]?[0-9])(?![0-9])"
    r"|(?:[A-Z]{4}T|[A-Z]{3}T|WITA|[A-Z]{3})(?![A-Z]))",
    re.ASCII,
)


class Mismatch(ValueError):
    """A text that is not as its layout: which element of the layout it is, and what stands there."""

    def __init__(self, reason: str, element: str = "", rest: str = "", is_out_of_range: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.element = element
        self.rest = rest
        self.is_out_of_range = is_out_of_range


@dataclass(slots=True)
class Read:
    """What stands in a text; the year is 0 where there is none."""

    year: int = 0
    month: int = 1
    day: int = 1
    hour: int = 0
    minute: int = 0
    second: int = 0
    nano: int = 0
    half: str = ""
    is_utc: bool = False
    offset: int | None = None
    name: str = ""

    def seconds(self) -> int:
        """Of the day."""
        return (self.hour * 60 + self.minute) * 60 + self.second

    def local_seconds(self) -> int:
        """Since 1970, by the clocks of its zone."""
        year = self.year or 4  # a leap year, as year 0 is
        days = date(year, self.month, self.day).toordinal() - date(1970, 1, 1).toordinal()
        return (days - (0 if self.year else 1461)) * 86400 + self.seconds()


def read(text: str, layout: str) -> Read:
    """What a text says; raises Mismatch."""
    found = Read()
    rest = text
    parts = elements(layout)
    for index, (before, element) in enumerate(parts):
        rest = _skipped(rest, before)
        if not element:
            if rest:
                raise Mismatch(f"{rest!a} is left over")
            break
        rest = _take(found, element, rest, parts[index + 1][1])
    if found.half == "PM" and found.hour < 12:
        found.hour += 12
    elif found.half == "AM" and found.hour == 12:
        found.hour = 0
    leap = found.month == 2 and isleap(found.year)
    if not 1 <= found.day <= _DAYS_IN[found.month - 1] + leap:
        raise Mismatch("the day is out of range")
    return found


def _skipped(rest: str, before: str) -> str:
    """Behind what stands between elements, in which spaces stand for any number of spaces."""
    at = 0
    while at < len(before):
        if before[at] == " ":
            if rest and rest[0] != " ":
                raise Mismatch(f"{rest!a} is not {before!a}", before, rest)
            at += len(before[at:]) - len(before[at:].lstrip(" "))
            rest = rest.lstrip(" ")
        elif not rest or rest[0] != before[at]:
            raise Mismatch(f"{rest!a} is not {before!a}", before, rest)
        else:
            at += 1
            rest = rest[1:]
    return rest


def _take(found: Read, element: str, rest: str, following: str) -> str:
    match element:
        case "2006":
            if not re.match("[0-9]{4}", rest, re.ASCII):
                raise _wrong(element, rest)
            found.year = int(rest[:4])
            return rest[4:]
        case "06":
            year, rest = _number(rest, element, two_digits=True)
            found.year = year + (1900 if year >= 69 else 2000)
        case "Jan" | "January":
            found.month, rest = _named(rest, MONTHS, element)
        case "Mon" | "Monday":
            _, rest = _named(rest, DAYS, element)
        case "1" | "01":
            found.month, rest = _within(rest, element, 1, 12, "month")
        case "2" | "_2" | "02":
            found.day, rest = _number(rest[element == "_2" and rest[:1] == " " :], element, element == "02")
        case "15":
            found.hour, rest = _within(rest, element, 0, 23, "hour")
        case "3" | "03":
            found.hour, rest = _within(rest, element, 0, 12, "hour")
        case "4" | "04":
            found.minute, rest = _within(rest, element, 0, 59, "minute")
        case "5" | "05":
            found.second, rest = _within(rest, element, 0, 59, "second")
            if following[:1] not in (".", ","):  # a fraction is taken where the layout has none
                rest = _fraction(found, rest)
        case "PM" | "pm":
            return _half(found, element, rest)
        case "MST":
            return _zone_name(found, rest)
        case _ if element[0] in ".,":
            return _layout_fraction(found, element, rest)
        case _:
            return _offset(found, element, rest)
    return rest


def _wrong(element: str, rest: str) -> Mismatch:
    return Mismatch(f"{rest!a} is not as {element}", element, rest)


def _number(rest: str, element: str, two_digits: bool) -> tuple[int, str]:
    found = _NUMBER.match(rest)
    if found is None or (two_digits and len(found[0]) < 2):
        raise _wrong(element, rest)
    return int(found[0]), rest[found.end() :]


def _within(rest: str, element: str, least: int, most: int, what: str) -> tuple[int, str]:
    number, rest = _number(rest, element, element.startswith("0"))
    if not least <= number <= most:
        raise Mismatch(f"the {what} is out of range", element, rest, is_out_of_range=True)
    return number, rest


def _named(rest: str, names: tuple[str, ...], element: str) -> tuple[int, str]:
    length = 3 if len(element) == 3 else None
    for number, name in enumerate(names, 1):
        word = name[:length]
        if rest[: len(word)].lower() == word.lower():
            return number, rest[len(word) :]
    raise _wrong(element, rest)


def _fraction(found: Read, rest: str) -> str:
    fraction = _FRACTION.match(rest)
    if fraction is None:
        return rest
    found.nano = int(fraction[0][1:10].ljust(9, "0"))
    return rest[fraction.end() :]


def _layout_fraction(found: Read, element: str, rest: str) -> str:
    if element[1] == "9":  # can be left out, and have any number of digits
        return _fraction(found, rest)
    if not re.fullmatch(f"[.,][0-9]{{{len(element) - 1}}}", rest[: len(element)], re.ASCII):
        raise _wrong(element, rest)
    _fraction(found, rest[: len(element)])
    return rest[len(element) :]


def _half(found: Read, element: str, rest: str) -> str:
    half = rest[:2]
    if half.upper() not in ("AM", "PM") or half != (half.upper() if element == "PM" else half.lower()):
        raise _wrong(element, rest)
    found.half = half.upper()
    return rest[2:]


def _zone_name(found: Read, rest: str) -> str:
    if rest.startswith("UTC"):
        found.is_utc = True
        return rest[3:]
    name = _ABBREVIATION.match(rest)
    if name is None or (name[0] == "GMT" and rest[3:4] in ("+", "-") and rest[3:]):
        raise _wrong("MST", rest)
    found.name = name[0]
    return rest[name.end() :]


def _offset(found: Read, element: str, rest: str) -> str:
    if element[0] == "Z" and rest[:1] == "Z":
        found.is_utc = True
        return rest[1:]
    offset = _OFFSETS[f"-{element[1:]}"].match(rest)
    if offset is None:
        raise _wrong(element, rest)
    sign, *parts = offset.groups()
    hour, minute, second = (*map(int, parts), 0, 0)[:3]
    for number, most, what in ((hour, 24, "hour"), (minute, 60, "minute"), (second, 60, "second")):
        if number > most:
            reason = f"the {what} of the offset is out of range"
            raise Mismatch(reason, element, rest[offset.end() :], is_out_of_range=True)
    found.offset = ((hour * 60 + minute) * 60 + second) * (-1 if sign == "-" else 1)
    return rest[offset.end() :]


def resolved(found: Read, zone: tzinfo) -> Time:
    """The moment that was read, in the zone that stands in the text, else in one that is given."""
    seconds = found.local_seconds()
    if found.is_utc:
        return _time(seconds, found, UTC)
    if found.offset is not None:
        unix = seconds - found.offset
        is_here = zones.offset(zone, unix) == found.offset
        if is_here and (not found.name or zones.abbreviation(zone, unix) == found.name):
            return _time(unix, found, zone)
        return _time(unix, found, zones.fixed(found.offset, found.name))
    if found.name:
        offset = zones.offset_of(found.name, zone, seconds)
        if offset is not None:
            return _time(seconds - offset, found, zone)
        if found.name.startswith("GMT") and len(found.name) > 3:
            # As Go has it: the offset tells the name, and not the moment.
            return _time(seconds, found, zones.fixed(int(found.name[3:]) * 3600, found.name))
        return _time(seconds, found, zones.fixed(0, found.name))
    return _time(zones.unix_of(seconds, zone), found, zone)


def _time(unix: int, found: Read, zone: tzinfo) -> Time:
    return Time(unix * 1_000_000_000 + found.nano, zone)
