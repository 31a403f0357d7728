"""Access logs of web servers.

Sources: the Common and the Combined Log Format as mod_log_config writes them, with its escapes and those of nginx; the
Extended Log File Format (https://www.w3.org/TR/WD-logfile.html).
"""

import re
from collections.abc import Iterator

from airis.ottl.arguments import StringGetter
from airis.ottl.functions.parsing.limits import within_limits
from airis.ottl.registry import Converter, Functions
from airis.ottl.texts import go_int
from airis.ottl.values import EvaluationError, Value

WEB_LOGS = Functions()

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_COMMON = rf"(\S+) (\S+) (\S+) \[([^\]]+)\] {_QUOTED} (\S+) (\S+)"
_FORMATS = {
    "clf": re.compile(_COMMON, re.ASCII),
    "combined": re.compile(rf"{_COMMON} {_QUOTED} {_QUOTED}", re.ASCII),
}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|([\\\"ntrbfv]))")
_MEANT = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}


def _unescaped(text: str) -> str:
    """Sequences that are no escapes stay as they are."""

    def character(found: re.Match[str]) -> str:
        if found[1] is None:
            return _MEANT.get(found[2], found[2])
        number = int(found[1], 16)
        return chr(0xDC00 + number) if number > 127 else chr(number)

    if "\\" not in text:
        return text
    return _ESCAPE.sub(character, text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _whole(text: str, what: str) -> int:
    try:
        return go_int(text)
    except ValueError:
        raise EvaluationError(f"invalid {what} {text!a}: it is no whole number") from None


def access_log(text: str, form: str) -> dict[str, Value]:
    """The fields of a line of an access log, ``clf`` or ``combined``; raises EvaluationError for another."""
    if not text:
        raise EvaluationError("cannot parse an empty CLF message")
    line = _FORMATS[form].fullmatch(within_limits(text, "a CLF message").strip())
    if line is None:
        raise EvaluationError(f'it does not match the "{form}" format of the CLF')
    request = _unescaped(line[5])
    found: dict[str, Value] = {
        "clf.remote_host": line[1],
        "clf.rfc931": line[2],
        "clf.auth_user": line[3],
        "clf.timestamp": line[4],
        "clf.request": request,
    }
    parts = request.split(" ", 2)
    if len(parts) == 3:
        found |= zip(("clf.method", "clf.request_uri", "clf.protocol"), parts, strict=True)
    found["clf.status"] = _whole(line[6], "status code")
    if line[7] != "-":
        found["clf.bytes"] = _whole(line[7], "bytes value")
    if form == "combined":
        found |= {"clf.referer": _unescaped(line[8]), "clf.user_agent": _unescaped(line[9])}
    return found


@WEB_LOGS.declare("ParseCLF", contexts=["log"])
def parse_clf(target: StringGetter, format: str | None = None) -> Converter:  # noqa: A002 - the statements' name
    """A map of a line in the Common Log Format, or in the Combined one."""
    form = "clf" if format is None else format
    if form not in _FORMATS:
        raise ValueError(f"format is clf or combined, not {format!a}")
    return lambda here: access_log(target(here), form)


# The Extended Log File Format

_DIRECTIVES = {
    "version": "elf.version",
    "software": "elf.software",
    "date": "elf.date",
    "start-date": "elf.start_date",
    "end-date": "elf.end_date",
    "remark": "elf.remark",
}
_VALUE = re.compile(r'[ \t]*(?:"((?:[^"]|"")*+)"|(?!")([^ \t]+))')
_LINE_ENDS = re.compile(r"\r\n|\r|\n")


def _values(line: str) -> Iterator[str]:
    at = 0
    while at < len(line):
        found = _VALUE.match(line, at)
        if found is None:
            if line[at:].strip(" \t"):
                raise EvaluationError(f"invalid ELF: a value in quotes is not closed in {line!a}")
            return
        quoted, plain = found.groups()
        yield plain if quoted is None else quoted.replace('""', '"')
        at = found.end()


def _entry(line: str, fields: list[str]) -> dict[str, Value]:
    if not fields:
        raise EvaluationError("invalid ELF: there is data before the directive #Fields")
    values = list(_values(line))
    missing = ["-"] * (len(fields) - len(values))
    return dict(zip(fields, [*values, *missing], strict=False))


def extended_log(text: str) -> dict[str, Value]:
    """The directives and the entries of a log; raises EvaluationError for one without ``#Version`` or ``#Fields``."""
    if not text:
        raise EvaluationError("cannot parse an empty ELF message")
    entries: list[Value] = []
    found: dict[str, Value] = {"elf.entries": entries}
    fields: list[str] = []
    for line in filter(None, map(str.strip, _LINE_ENDS.split(within_limits(text, "an ELF message")))):
        if not line.startswith("#"):
            entries.append(_entry(line, fields))
            continue
        name, colon, value = (part.strip() for part in line[1:].partition(":"))
        directive = name.lower()
        if not colon and directive.startswith("fields"):
            raise EvaluationError(f"invalid ELF: the directive {line!a} has no colon")
        if colon and directive == "fields":
            fields = value.split()
        elif colon and directive in _DIRECTIVES:
            found[_DIRECTIVES[directive]] = value
    if "elf.version" not in found:
        raise EvaluationError("invalid ELF: the directive #Version is missing")
    found["elf.fields"] = list(fields)
    return found


@WEB_LOGS.declare("ParseELF", contexts=["log"])
def parse_elf(target: StringGetter) -> Converter:
    """A map of a log in the Extended Log File Format: its directives, and its entries by field.

    A value that is missing is a dash, and those that have no field are left out.
    """
    return lambda here: extended_log(target(here))
