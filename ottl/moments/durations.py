"""Durations as Go's ParseDuration reads them and Go's String writes them."""

import re

from airis.ottl.values import Duration

_NANO = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)", re.ASCII)
_LIMIT = 1 << 63


def parse_duration(text: str) -> Duration:
    """The duration of a text such as ``1h20m0.5s``; ValueError says what is wrong."""
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return Duration(0)
    total, at = 0, 0
    while at < len(rest):
        found = _PART.match(rest, at)
        if found is None or not (found[1] or found[2]):
            raise ValueError(f"{text!a} is no duration; write it as 1h30m or 1.5s")
        total += _nano(found[1], found[2] or "", found[3], text)
        at = found.end()
    if not rest or total > _LIMIT or (total == _LIMIT and sign > 0):
        raise ValueError(f"{text!a} is no duration" + (" of 64 bits" if rest else ""))
    return Duration(sign * total)


def _nano(whole: str, fraction: str, unit: str, text: str) -> int:
    if unit not in _NANO:
        what = f"there is no unit {unit!a}" if unit else "a unit is missing"
        raise ValueError(f"{text!a} is no duration: {what}; units are ns, us, ms, s, m and h")
    nano = int(whole or 0) * _NANO[unit]
    part, scale = 0, 1.0
    for digit in fraction:
        if part > (_LIMIT - 1) // 10 or part * 10 + int(digit) > _LIMIT:
            break  # Go leaves out what has no place in 64 bits
        part, scale = part * 10 + int(digit), scale * 10
    return nano + int(float(part) * (float(_NANO[unit]) / scale))


def duration_text(duration: Duration) -> str:
    """``1h0m0s``, ``1.5s``, ``100ns``."""
    nano = abs(duration.nano)
    sign = "-" if duration.nano < 0 else ""
    if nano == 0:
        return "0s"
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if nano < size * 1000:
            return f"{sign}{_decimal(nano, size)}{unit}"
    minutes, rest = divmod(nano, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(rest, 10**9)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else f"{sign}{seconds}"


def _decimal(nano: int, size: int) -> str:
    whole, rest = divmod(nano, size)
    digits = len(str(size)) - 1
    return f"{whole}.{rest:0{digits}}".rstrip("0").rstrip(".") if rest else str(whole)
