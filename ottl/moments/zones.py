"""Time zones by name and by abbreviation, and the zone of this machine."""

import os
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -62_135_400_000, 253_402_100_000
"""Days inside of the calendar that Python knows, where zones are as before and behind it."""
_NAMELESS = "\0"
_LOCALTIME = Path("/etc/localtime")


@lru_cache(256)
def load(name: str) -> tzinfo:
    """The zone of an IANA name such as ``Europe/Berlin``; LookupError for one that there is not."""
    if name in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise LookupError(f"there is no time zone {name!a}") from error


@lru_cache(1)
def local() -> tzinfo:
    """The zone of this machine: that of the variable TZ, else of its clock, else UTC."""
    name = os.environ.get("TZ")
    if name is not None:
        try:
            return load(name.removeprefix(":"))
        except LookupError:
            return UTC
    try:
        with _LOCALTIME.open("rb") as file:
            zone: tzinfo = ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC
    return UTC if abbreviation(zone, 0) == "UTC" and offset(zone, 0) == 0 else zone


def _at(zone: tzinfo, unix: int) -> datetime:
    return (_EPOCH + timedelta(seconds=min(max(unix, _FIRST), _LAST))).astimezone(zone)


def offset(zone: tzinfo, unix: int) -> int:
    """Seconds east of UTC at a moment."""
    found = _at(zone, unix).utcoffset()
    return 0 if found is None else int(found.total_seconds())


def abbreviation(zone: tzinfo, unix: int) -> str:
    """What the zone is called at a moment, such as ``CEST``; empty for one that has an offset alone."""
    if isinstance(zone, timezone):
        return zone.tzname(None).removeprefix(_NAMELESS)
    return _at(zone, unix).tzname() or ""


def fixed(seconds: int, name: str = "") -> tzinfo:
    """A zone that is always so many seconds east of UTC."""
    return timezone(timedelta(seconds=seconds), name or _NAMELESS)


def unix_of(local_seconds: int, zone: tzinfo) -> int:
    """The moment when clocks of a zone show a time, which is given as if it were UTC.

    In the hour that there is twice, the first; in the hour that there is not, as the clock was before, as Go has it.
    """
    first = offset(zone, local_seconds)
    return local_seconds - (offset(zone, local_seconds - first) if first else 0)


def offset_of(name: str, zone: tzinfo, local_seconds: int) -> int | None:
    """The offset that an abbreviation stands for in a zone, at a time of its clocks if possible; None: it has none."""
    offsets = _offsets(zone).get(name, ())
    for seconds in offsets:
        if abbreviation(zone, local_seconds - seconds) == name:
            return seconds
    return offsets[0] if offsets else None


@lru_cache(64)
def _offsets(zone: tzinfo) -> dict[str, tuple[int, ...]]:
    """The offsets that go by each abbreviation, of all years that zones have rules for."""
    found: dict[str, tuple[int, ...]] = {}
    for year in range(1900, 2038):
        for month in range(1, 13):
            unix = int((datetime(year, month, 15, tzinfo=UTC) - _EPOCH).total_seconds())
            name, seconds = abbreviation(zone, unix), offset(zone, unix)
            if seconds not in found.get(name, ()):
                found[name] = (*found.get(name, ()), seconds)
    return found
