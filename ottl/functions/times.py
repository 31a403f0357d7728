"""Converters of times and durations."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from airis.ottl.arguments import Constant, DurationGetter, IntGetter, StringGetter, TimeGetter, prepared
from airis.ottl.functions.clock import CLOCK
from airis.ottl.moments import zones
from airis.ottl.moments.directives import Reader, check, formatted
from airis.ottl.moments.durations import parse_duration
from airis.ottl.registry import Converter, Functions
from airis.ottl.texts import local_time
from airis.ottl.values import Duration, EvaluationError, Time

TIMES = Functions()
declare = TIMES.declare

_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_YEAR_1_TO_1970 = 62_135_596_800 * _SECOND


@declare("Now")
def now() -> Converter:
    """The time that it is."""
    return lambda here: CLOCK.now()


@declare("Time")
def time_(
    time: StringGetter,
    format: str,  # noqa: A002 - its name in statements
    location: str | None = None,
    locale: str | None = None,
) -> Converter:
    """The time that a string says in a format such as ``%Y-%m-%d %H:%M:%S``; `location` is its zone without one."""
    check(format)
    if locale is not None and locale.replace("_", "-").split("-")[0].lower() != "en":
        raise ValueError(f"locale {locale!a} is not supported: names of months and days are read in English alone")
    reader = Reader(format, _zone(format, location), CLOCK.now)

    def get(here: Any) -> Time:
        text = time(here)
        if not text:
            raise EvaluationError("an empty string is no time")
        try:
            return reader.read(text)
        except ValueError as error:
            raise EvaluationError(str(error)) from error

    return get


def _zone(template: str, location: str | None) -> Any:
    if location:
        try:
            return zones.load(location)
        except LookupError as error:
            raise ValueError(str(error.args[0])) from error
    return zones.load("UTC") if template.endswith("Z") else zones.local()


@declare("FormatTime")
def format_time(time: TimeGetter, format: str) -> Converter:  # noqa: A002 - its name in statements
    """A time as text, in a format such as ``%Y-%m-%d %H:%M:%S``."""
    check(format)
    return lambda here: formatted(time(here), format)


@declare("TruncateTime")
def truncate_time(time: TimeGetter, duration: DurationGetter) -> Converter:
    """A time rounded down to a multiple of a duration since the year 1."""

    def get(here: Any) -> Time:
        found, step = time(here), duration(here).nano
        if step <= 0:
            return found
        return Time(found.unix_nano - (found.unix_nano + _YEAR_1_TO_1970) % step, found.zone)

    return get


@declare("Unix")
def unix(seconds: IntGetter, nanoseconds: IntGetter | None = None) -> Converter:
    """The time so many seconds, and nanoseconds, after the beginning of 1970."""
    nano = Constant(0) if nanoseconds is None else nanoseconds
    return lambda here: Time(seconds(here) * _SECOND + nano(here), zones.local())


def _since_1970(name: str, unit: int, what: str) -> None:
    def declared(time: TimeGetter) -> Converter:
        return lambda here: _wrapped(time(here).unix_nano // unit)

    declared.__doc__ = f"The {what} from the beginning of 1970 to a time."
    declare(name)(declared)


def _wrapped(number: int) -> int:
    """In 64 bits, as Go has it."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


_since_1970("UnixNano", 1, "nanoseconds")
_since_1970("UnixMicro", 1_000, "microseconds")
_since_1970("UnixMilli", 1_000_000, "milliseconds")
_since_1970("UnixSeconds", _SECOND, "seconds")


def _part(name: str, read: Callable[[datetime], int], what: str) -> None:
    def declared(time: TimeGetter) -> Converter:
        return lambda here: read(local_time(time(here)))

    declared.__doc__ = f"The {what} of a time, in its zone."
    declare(name)(declared)


_part("Year", lambda moment: moment.year, "year")
_part("Month", lambda moment: moment.month, "month, from 1 to 12,")
_part("Day", lambda moment: moment.day, "day of the month")
_part("Weekday", lambda moment: moment.isoweekday() % 7, "day of the week, from 0 for Sunday to 6,")
_part("Hour", lambda moment: moment.hour, "hour")
_part("Minute", lambda moment: moment.minute, "minute")
_part("Second", lambda moment: moment.second, "second")


@declare("Nanosecond")
def nanosecond(time: TimeGetter) -> Converter:
    """The nanoseconds of a time behind its second."""
    return lambda here: time(here).unix_nano % _SECOND


# Durations


@declare("Duration")
def duration_(duration: StringGetter) -> Converter:
    """The duration that a string such as ``1h20m0.5s`` says."""
    parsed = prepared(duration, parse_duration)
    return lambda here: parsed(here)


def _in_units(name: str, unit: int, what: str) -> None:
    def declared(duration: DurationGetter) -> Converter:
        return lambda here: _towards_zero(duration(here), unit)

    declared.__doc__ = f"A duration in whole {what}."
    declare(name)(declared)


def _towards_zero(duration: Duration, unit: int) -> int:
    return abs(duration.nano) // unit * (-1 if duration.nano < 0 else 1)


_in_units("Nanoseconds", 1, "nanoseconds")
_in_units("Microseconds", 1_000, "microseconds")
_in_units("Milliseconds", 1_000_000, "milliseconds")


def _in_parts(name: str, unit: int, what: str) -> None:
    def declared(duration: DurationGetter) -> Converter:
        return lambda here: _whole_and_rest(duration(here), unit)

    declared.__doc__ = f"A duration in {what}, as a double."
    declare(name)(declared)


def _whole_and_rest(duration: Duration, unit: int) -> float:
    whole = _towards_zero(duration, unit)
    return float(whole) + float(duration.nano - whole * unit) / unit


_in_parts("Seconds", _SECOND, "seconds")
_in_parts("Minutes", _MINUTE, "minutes")
_in_parts("Hours", _HOUR, "hours")
