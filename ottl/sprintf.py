"""Values in a text as Go's fmt.Sprintf puts them there, with its words for what does not fit.

Source: the package fmt of Go 1.26.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airis.ottl.floats import real
from airis.ottl.moments.durations import duration_text
from airis.ottl.moments.layouts import format_layout
from airis.ottl.texts import go_inf
from airis.ottl.values import Duration, Id, Time, Value, type_name

LARGEST = 1_000_000
"""The largest width and precision, as in Go."""


@dataclass(slots=True)
class Verb:
    """What stands between a ``%`` and its letter."""

    minus: bool = False
    plus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    as_source: bool = False
    """Strings in quotes, as ``%#v`` has them."""
    width: int | None = None
    precision: int | None = None

    def padded(self, text: str) -> str:
        """To the width, on the left or on the right."""
        if self.width is None:
            return text
        return text.ljust(self.width) if self.minus else text.rjust(self.width, "0" if self.zero else " ")


class Byte(int):
    """An item of bytes."""


def sprintf(template: str, arguments: Sequence[Value]) -> str:
    """The template with its verbs replaced."""
    return _Printer(template, arguments).printed()


class _Printer:
    def __init__(self, template: str, arguments: Sequence[Value]) -> None:
        self.template = template
        self.arguments = arguments
        self.at = 0
        self.next = 0
        self.was_reordered = False
        self.is_good = True

    def printed(self) -> str:
        parts: list[str] = []
        while self.at < len(self.template):
            start = self.template.find("%", self.at)
            if start < 0:
                parts.append(self.template[self.at :])
                break
            parts.append(self.template[self.at : start])
            self.at = start + 1
            parts.append(self.verb())
        if not self.was_reordered and self.next < len(self.arguments):
            extra = (
                "<nil>" if value is None else f"{go_type(value)}={printed(value, 'v', Verb())}"
                for value in self.arguments[self.next :]
            )
            parts.append(f"%!(EXTRA {', '.join(extra)})")
        return "".join(parts)

    def verb(self) -> str:
        verb, self.was_reordered, self.is_good = Verb(), False, True
        parts: list[str] = []
        self.flags(verb)
        after_index = self.index()
        after_index = self.size(verb, after_index, parts)
        if self.template[self.at : self.at + 1] == "." and self.at + 1 < len(self.template):
            self.at += 1
            after_index = self.precision(verb, after_index, parts)
        if not after_index:
            after_index = self.index()
        if self.at >= len(self.template):
            return "".join([*parts, "%!(NOVERB)"])
        letter = self.template[self.at]
        self.at += 1
        return "".join([*parts, self.shown(letter, verb)])

    def shown(self, letter: str, verb: Verb) -> str:
        if letter == "%":
            return "%"
        if not self.is_good:
            return f"%!{letter}(BADINDEX)"
        if self.next >= len(self.arguments):
            return f"%!{letter}(MISSING)"
        value = self.arguments[self.next]
        self.next += 1
        if letter == "v":  # where these two stand for other things
            verb.plus, verb.sharp, verb.as_source = False, False, verb.sharp
        return printed(value, letter, verb)

    def flags(self, verb: Verb) -> None:
        names = {"#": "sharp", "0": "zero", "+": "plus", "-": "minus", " ": "space"}
        while (flag := self.template[self.at : self.at + 1]) in names and flag:
            setattr(verb, names[flag], True)
            self.at += 1

    def number(self) -> int | None:
        start = self.at
        while self.at < len(self.template) and self.template[self.at] in "0123456789":
            self.at += 1
        return int(self.template[start : self.at]) if self.at > start else None

    def size(self, verb: Verb, after_index: bool, parts: list[str]) -> bool:
        if self.template[self.at : self.at + 1] == "*":
            self.at += 1
            width = self.taken()
            if width is None:
                parts.append("%!(BADWIDTH)")
            elif width < 0:
                verb.width, verb.minus, verb.zero = -width, True, False
            else:
                verb.width = width
            return False
        verb.width = self.number()
        if verb.width is not None and verb.width > LARGEST:
            verb.width = None
            self.at = len(self.template)  # as Go, which takes no more of the text
        if after_index and verb.width is not None:
            self.is_good = False
        return after_index

    def precision(self, verb: Verb, after_index: bool, parts: list[str]) -> bool:
        if after_index:
            self.is_good = False
        after_index = self.index()
        if self.template[self.at : self.at + 1] == "*":
            self.at += 1
            precision = self.taken()
            if precision is None or precision < 0:
                verb.precision = None
                if precision is None:
                    parts.append("%!(BADPREC)")
            else:
                verb.precision = precision
            return False
        verb.precision = self.number() or 0
        if verb.precision > LARGEST:
            verb.precision = None
            self.at = len(self.template)
        return after_index

    def taken(self) -> int | None:
        """An argument that is a width or a precision."""
        if self.next >= len(self.arguments):
            return None
        value = self.arguments[self.next]
        self.next += 1
        return value if type(value) is int and -LARGEST <= value <= LARGEST else None

    def index(self) -> bool:
        """Go on with another argument, where ``[3]`` says so."""
        if self.template[self.at : self.at + 1] != "[":
            return False
        self.was_reordered = True
        end = self.template.find("]", self.at)
        if end < 0:
            self.is_good = False
            self.at += 1
            return False
        inner = self.template[self.at + 1 : end]
        self.at = end + 1
        if inner.isascii() and inner.isdigit() and 1 <= int(inner) <= len(self.arguments):
            self.next = int(inner) - 1
            return True
        self.is_good = False
        return inner.isascii() and inner.isdigit()


_GO_TYPES: Mapping[type, str] = {
    **{Byte: "uint8", bool: "bool", int: "int64", float: "float64", str: "string", bytes: "[]uint8"},
    **{Time: "time.Time", Duration: "time.Duration", list: "pcommon.Slice", dict: "pcommon.Map"},
}


def go_type(value: Value) -> str:
    """What Go calls the type of a value in the Collector."""
    if isinstance(value, Id):
        return "pcommon.TraceID" if len(value) == 16 else "pcommon.SpanID"
    return _GO_TYPES.get(type(value), type(value).__name__)


def printed(value: Value, letter: str, verb: Verb) -> str:
    """A value by a verb."""
    if letter == "T":
        return verb.padded("<nil>") if value is None else _text(go_type(value), "s", verb) or ""
    shown = None
    match value:
        case None:
            shown = verb.padded("<nil>") if letter == "v" else None
            return f"%!{letter}(<nil>)" if shown is None else shown
        case bool():
            shown = verb.padded("true" if value else "false") if letter in "tv" else None
        case int():
            shown = _int(value, letter, verb)
        case float():
            shown = _float(value, letter, verb)
        case str():
            shown = _text(value, letter, verb)
        case Id():
            shown = _text(value.hex(), letter, verb) if letter in "vsqxX" else _bytes(bytes(value), letter, verb)
        case bytes():
            shown = _bytes(value, letter, verb)
        case Time():
            shown = _text(time_text(value), letter, verb)
        case Duration():
            has_text = letter in "vsqxX" and not verb.as_source
            shown = _text(duration_text(value), letter, verb) if has_text else _int(value.nano, letter, verb)
        case list():
            return f"[{' '.join(printed(item, letter, verb) for item in value)}]"
        case dict():
            pairs = (f"{printed(key, letter, verb)}:{printed(value[key], letter, verb)}" for key in sorted(value))
            return f"map[{' '.join(pairs)}]"
        case _:
            return verb.padded(f"<{type_name(value)}>")
    if shown is not None:
        return shown
    plain = value.nano if isinstance(value, Duration) else value
    return f"%!{letter}({go_type(value)}={printed(plain, 'v', verb)})"


def time_text(time: Time) -> str:
    """``2022-12-31 23:00:00.5 +0000 UTC``."""
    return format_layout(time, "2006-01-02 15:04:05.999999999 -0700 MST")


def _int(value: int, letter: str, verb: Verb) -> str | None:
    bases = {"d": "d", "v": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
    if letter in bases:
        return _digits(value, format(abs(value), bases[letter]), letter, verb)
    if letter == "c":
        return verb.padded(_rune(value))
    if letter == "q":
        return verb.padded(_quoted(_rune(value), verb.plus, "'"))
    if letter == "U":
        code = value if value >= 0 else value + (1 << 64)
        name = f"U+{code:0{max(4, verb.precision or 0)}X}"
        shown = f"{name} '{_rune(value)}'" if verb.sharp and _rune(value).isprintable() else name
        return Verb(minus=verb.minus, width=verb.width).padded(shown)
    return None


def _digits(value: int, digits: str, letter: str, verb: Verb) -> str:
    sign = "-" if value < 0 else "+" if verb.plus else " " if verb.space else ""
    if verb.precision is not None:
        if verb.precision == 0 and value == 0:
            return "" if verb.width is None else " " * verb.width
        digits = digits.rjust(verb.precision, "0")
    elif verb.zero and not verb.minus and verb.width is not None:
        digits = digits.rjust(verb.width - len(sign), "0")
    prefix = ""
    if letter == "O":
        prefix = "0o"
    elif verb.sharp and letter in "xX":
        prefix = f"0{letter}"
    elif verb.sharp and letter == "b":
        prefix = "0b"
    if verb.sharp and letter in "oO" and not digits.startswith("0"):
        prefix += "0"
    return Verb(minus=verb.minus, width=verb.width).padded(f"{sign}{prefix}{digits}")


def _rune(code: int) -> str:
    return chr(code) if 0 <= code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else "\ufffd"


def _float(value: float, letter: str, verb: Verb) -> str | None:
    if letter not in "veEfFgGbxX":
        return None
    body = real(abs(value), letter, verb.precision, verb.sharp) if math.isfinite(value) else go_inf(value).lstrip("+-")
    negative = math.copysign(1, value) < 0 and not math.isnan(value)
    sign = "-" if negative else "+" if verb.plus else " " if verb.space else ""
    if math.isinf(value) and not sign:
        sign = "+"
    if verb.zero and not verb.minus and verb.width is not None and math.isfinite(value):
        body = body.rjust(verb.width - len(sign), "0")
    return Verb(minus=verb.minus, width=verb.width).padded(sign + body)


def _text(value: str, letter: str, verb: Verb) -> str | None:
    if letter in "xX":
        return _hex(value.encode(), letter, verb)
    cut = value if verb.precision is None else value[: verb.precision]
    if letter == "q" or (letter == "v" and verb.as_source):
        can_be_raw = verb.sharp and "`" not in cut and cut.replace("\t", "").isprintable()
        return verb.padded(f"`{cut}`" if can_be_raw else _quoted(cut, verb.plus, '"'))
    return verb.padded(cut) if letter in "sv" else None


def _bytes(value: bytes, letter: str, verb: Verb) -> str | None:
    if letter in "xX":
        return _hex(value, letter, verb)
    if letter in "sq":
        return _text(value.decode(errors="replace"), letter, verb)
    return f"[{' '.join(printed(Byte(byte), letter, verb) for byte in value)}]"


def _hex(value: bytes, letter: str, verb: Verb) -> str:
    if verb.precision is not None:
        value = value[: verb.precision]
    prefix = f"0{letter}" if verb.sharp and value else ""
    digits = value.hex(" ") if verb.space and value else value.hex()
    shown = digits.upper() if letter == "X" else digits
    if verb.space and prefix:
        return verb.padded(" ".join(prefix + byte for byte in shown.split(" ")))
    return verb.padded(prefix + shown)


_NAMED = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}


def _quoted(text: str, ascii_only: bool, quote: str) -> str:
    def escaped(character: str) -> str:
        if character == quote:
            return f"\\{quote}"
        if character in _NAMED:
            return _NAMED[character]
        if character.isprintable() and (character.isascii() or not ascii_only):
            return character
        code = ord(character)
        if code < 0x80:
            return f"\\x{code:02x}"
        return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

    return f"{quote}{''.join(map(escaped, text))}{quote}"
