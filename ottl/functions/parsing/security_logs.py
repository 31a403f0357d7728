"""Messages of security products.

Sources: the Common Event Format of ArcSight (CEF), and the Log Event Extended Format of QRadar (LEEF 1.0 and 2.0).
"""

import re
from collections.abc import Mapping

from airis.ottl.arguments import StringGetter
from airis.ottl.functions.parsing.limits import within_limits
from airis.ottl.registry import Converter, Functions
from airis.ottl.values import EvaluationError, Value

SECURITY_LOGS = Functions()

_CEF_FIELDS = (
    "cef.version",
    "cef.device_vendor",
    "cef.device_product",
    "cef.device_version",
    "cef.device_event_class_id",
    "cef.name",
    "cef.severity",
)
_CEF_HEADER = re.compile(r"((?:[^|\\]|\\[|\\]|\\(?![|\\]))*+)\|")
_CEF_KEY = re.compile(r"(?:^| )([A-Za-z][A-Za-z0-9_]*)=", re.ASCII)
_CEF_IN_HEADER = re.compile(r"\\([|\\])")
_CEF_IN_VALUE = re.compile(r"\\([\\=nr])")
_LINE_BREAKS = {"n": "\n", "r": "\r"}


def _from(text: str, start: str) -> str:
    """What begins with `start`, behind whatever syslog puts in front; raises EvaluationError."""
    kind = start.removesuffix(":")
    if not text:
        raise EvaluationError(f"cannot parse an empty {kind} message")
    at = within_limits(text, f"a {kind} message").find(start)
    if at < 0:
        raise EvaluationError(f"invalid {kind} message: {start!a} is not found")
    return text[at:]


def cef_message(text: str) -> dict[str, Value]:
    """The header and the extensions of a CEF message; raises EvaluationError for what is none."""
    message = _from(text, "CEF:")
    fields: list[str] = []
    at = 0
    while len(fields) < len(_CEF_FIELDS) and (found := _CEF_HEADER.match(message, at)):
        fields.append(found[1])
        at = found.end()
    extension = message[at:]
    if len(fields) == len(_CEF_FIELDS) - 1:  # the last field needs no bar behind it
        fields.append(extension)
        extension = ""
    if len(fields) < len(_CEF_FIELDS):
        raise EvaluationError(
            f"invalid CEF header: expected {len(_CEF_FIELDS)} fields with bars between them, got {len(fields) + 1}"
        )
    fields[0] = fields[0].removeprefix("CEF:")
    if not fields[0]:
        raise EvaluationError("invalid CEF message: its version is missing")
    plain = [fields[0], *(_CEF_IN_HEADER.sub(r"\1", field) for field in fields[1:])]
    return {**dict(zip(_CEF_FIELDS, plain, strict=True)), "cef.extensions": _extensions(extension)}


def _extensions(text: str) -> dict[str, Value]:
    """Values go up to the next key, and may have spaces."""
    keys = list(_CEF_KEY.finditer(text))
    ends = [*(key.start() for key in keys[1:]), len(text)]
    found: dict[str, Value] = {}
    for key, end in zip(keys, ends, strict=False):  # without a key there is an end all the same
        value = text[key.end() : end].rstrip(" ")
        found[key[1]] = _CEF_IN_VALUE.sub(lambda escape: _LINE_BREAKS.get(escape[1], escape[1]), value)
    return found


@SECURITY_LOGS.declare("ParseCEF", contexts=["log"])
def parse_cef(target: StringGetter) -> Converter:
    """A map of a message in the Common Event Format, whatever syslog has put in front of it."""
    return lambda here: cef_message(target(here))


_LEEF_FIELDS = ("leef.vendor", "leef.product.name", "leef.product.version", "leef.event.id")


def leef_message(text: str) -> dict[str, Value]:
    """The header and the attributes of a LEEF message; raises EvaluationError for what is none."""
    start, bar, rest = _from(text, "LEEF:").partition("|")
    if not bar:
        raise EvaluationError("invalid LEEF message: its header has no bar")
    version = start.removeprefix("LEEF:")
    if version not in ("1.0", "2.0"):
        raise EvaluationError(f"unsupported LEEF version {version!a}: there is 1.0 and 2.0")
    *fields, attributes = f"{rest}{'' if rest.count('|') > 3 else '|'}".split("|", 4)
    if len(fields) < len(_LEEF_FIELDS):
        count = rest.count("|") + 1
        raise EvaluationError(
            f"invalid LEEF {version} header: expected at least {len(_LEEF_FIELDS)} fields, got {count}"
        )
    delimiter = "\t"
    # In LEEF 2.0 there is a delimiter in front of the attributes, or there is not: an attribute has an equals sign.
    first, _, behind = attributes.partition("|")
    if version == "2.0" and "=" not in first:
        delimiter, attributes = _delimiter(first), behind
    header: Mapping[str, Value] = dict(zip(_LEEF_FIELDS, fields, strict=True))
    return {"leef.version": version, **header, "leef.attributes": _attributes(attributes, delimiter)}


def _delimiter(text: str) -> str:
    if not text:
        return "\t"
    if text[:2] not in ("0x", "0X"):
        if len(text.encode()) != 1:
            raise EvaluationError(f"invalid LEEF 2.0 delimiter {text!a}: it is one character, or 0x and two digits")
        return text
    digits = text[2:]
    if not re.fullmatch("[0-9a-fA-F]{2}", digits) or int(digits, 16) > 127:
        raise EvaluationError(f"invalid LEEF 2.0 delimiter {text!a}: it is 0x and two digits of an ASCII character")
    return chr(int(digits, 16))


def _attributes(text: str, delimiter: str) -> dict[str, Value]:
    """What is no pair, or has no key, is left out; the last of a key counts."""
    pairs = (pair.partition("=") for pair in text.split(delimiter))
    return {key: value for key, equals, value in pairs if equals and key}


@SECURITY_LOGS.declare("ParseLEEF", contexts=["log"])
def parse_leef(target: StringGetter) -> Converter:
    """A map of a message in the Log Event Extended Format, whatever syslog has put in front of it."""
    return lambda here: leef_message(target(here))
