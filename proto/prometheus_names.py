"""OpenTelemetry's names as Prometheus spells them: invalid characters escaped to underscores, with suffixes.

Follows the OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility", and Prometheus' default
translation strategy ``UnderscoreEscapingWithSuffixes``.
"""

import re
from collections.abc import Iterable
from itertools import groupby

PROMETHEUS_TYPE = "prometheus.type"
"""The key in a metric's metadata that says that it was Prometheus', and of what type."""
TRANSLATOR = "airis.receivers.prometheus_remote_write"
"""The scope of what came from Prometheus and named none. It has no version: with each one every series would begin
anew."""

STRATEGIES = (
    "UnderscoreEscapingWithSuffixes",
    "UnderscoreEscapingWithoutSuffixes",
    "NoUTF8EscapingWithSuffixes",
    "NoTranslation",
)
"""Prometheus' words for how names are translated."""

_TOKEN = re.compile(r"[a-zA-Z0-9:]+")
_NOT_IN_LABEL = re.compile(r"[^a-zA-Z0-9_]")

_UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "1": "",
    "%": "percent",
}
_PER_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}


def family_name(name: str, unit: str, *, counter: bool = False, gauge: bool = False) -> str:
    """The name of a metric family, ``_total`` of a counter included, ``_bucket`` and its like not."""
    tokens = _TOKEN.findall(name)
    suffix, per_suffix = _unit_words(unit)
    if suffix and suffix not in tokens:
        tokens.append(suffix)
    if per_suffix and per_suffix not in tokens:
        tokens += ["per", per_suffix]
    if counter:
        tokens = [token for token in tokens if token != "total"] + ["total"]
    if gauge and unit == "1":
        tokens = [token for token in tokens if token != "ratio"] + ["ratio"]
    joined = "_".join(tokens)
    return f"_{joined}" if joined[:1].isdecimal() else joined


def name_by(strategy: str, name: str, unit: str, *, counter: bool = False, gauge: bool = False) -> str:
    """The name of a metric family by one of `STRATEGIES`."""
    if strategy == "UnderscoreEscapingWithSuffixes":
        return family_name(name, unit, counter=counter, gauge=gauge)
    if strategy == "UnderscoreEscapingWithoutSuffixes":
        return family_name(name, "")
    if strategy == "NoUTF8EscapingWithSuffixes":
        return _suffixed(name, unit, counter=counter, gauge=gauge)
    return name


def unit_text(unit: str) -> str:
    """A unit as Prometheus' metadata spells it."""
    main, per = _unit_words(unit)
    return f"{main}_per_{per}" if per else main


def _suffixed(name: str, unit: str, *, counter: bool, gauge: bool) -> str:
    """A name with the suffixes that it lacks, unit, ``_per_…``, ``_total`` and ``_ratio``, in this order."""
    main, per = _unit_words(unit)
    words = ((f"per_{per}", per), ("total", counter), ("ratio", gauge and unit == "1"))
    wanted = [word for word, is_wanted in words if is_wanted]
    for word in reversed(wanted):
        # The character in front of the word is taken for what separates it.
        if name.endswith(word) and len(name) > len(word) + 1:
            name = name[: -len(word) - 1]
    if main and not name.endswith(main):
        name = f"{name}_{main}"
    return "_".join([name, *wanted])


def _unit_words(unit: str) -> tuple[str, str]:
    main, _, per = unit.partition("/")
    return "_".join(_TOKEN.findall(_unit(main, _UNITS))), "_".join(_TOKEN.findall(_unit(per, _PER_UNITS)))


def label_name(key: str) -> str:
    """The name of a label."""
    escaped = _NOT_IN_LABEL.sub("_", key)
    if escaped[:1].isdecimal():
        return f"key_{escaped}"
    if escaped.startswith("_") and not escaped.startswith("__"):
        return f"key{escaped}"
    return escaped


def labels(
    attributes: Iterable[tuple[str, str]], derived: Iterable[tuple[str, str]], *, verbatim: bool = False
) -> list[tuple[str, str]]:
    """Labels by name: of keys that become one name the values are joined with ``;``, a derived label wins.

    The keys are the names where they are to be taken `verbatim`.
    """
    spell = str if verbatim else label_name
    named = [(spell(key), value) for key, value in sorted(attributes, key=lambda pair: pair[0].encode())]
    named.sort(key=lambda pair: pair[0])
    joined = {name: ";".join(value for _, value in same) for name, same in groupby(named, key=lambda pair: pair[0])}
    return sorted({**joined, **dict(derived)}.items())


def _unit(unit: str, names: dict[str, str]) -> str:
    unit = unit.strip()
    return "" if "{" in unit or "}" in unit else names.get(unit, unit)
