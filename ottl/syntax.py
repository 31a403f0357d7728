"""What a statement is made of: tokens, the tree of a parsed statement, and what is said where one is wrong.

Source: the grammar of opentelemetry-collector-contrib, pkg/ottl (v0.155). Numbers have no sign of their own here, so
that ``a -1`` is a subtraction.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal as OneOf

from airis.component.words import quoted


class OttlError(ValueError):
    """A statement that cannot be used: what is wrong, and where in it."""

    def __init__(self, reason: str, text: str, at: int, end: int | None = None) -> None:
        """`at` and `end` are offsets in `text`."""
        super().__init__(reason)
        self.reason = reason
        self.text = text
        self.at = at
        self.end = at + 1 if end is None else max(end, at + 1)

    @property
    def line(self) -> int:
        """Counted from 1."""
        return self.text.count("\n", 0, self.at) + 1

    @property
    def column(self) -> int:
        """Counted from 1."""
        return self.at - (self.text.rfind("\n", 0, self.at) + 1) + 1

    def __str__(self) -> str:
        where = f"column {self.column}" if "\n" not in self.text else f"line {self.line}, column {self.column}"
        return f"{where}: {self.reason}"

    def pointed_out(self) -> str:
        """The line at fault, with a mark under the place."""
        line = self.text.split("\n")[self.line - 1]
        start = self.column - 1
        width = max(1, min(self.end - self.at, len(line) - start))
        return f"{line}\n{' ' * start}{'^' * width}"


TokenKind = OneOf["bytes", "float", "int", "string", "name", "operator", "end"]

_TOKENS = re.compile(
    r"""(?P<space>\s+)
    | (?P<bytes>0x[a-fA-F0-9]+)
    | (?P<float>\d*\.\d+(?:[eE][-+]?\d+)?)
    | (?P<int>\d+)
    | (?P<string>"(?:\\.|[^\\"])*")
    | (?P<name>[A-Za-z][A-Za-z0-9_]*|_)
    | (?P<operator>==|!=|>=|<=|=>|[<>+\-*/=(){}\[\]:,.])""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a statement."""

    kind: TokenKind
    text: str
    at: int

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.at + len(self.text)

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else quoted(self.text)


def tokens(text: str) -> Iterator[Token]:
    """The tokens in order, the last one ``end``; raises OttlError for a character that begins none."""
    at = 0
    while at < len(text):
        found = _TOKENS.match(text, at)
        if found is None:
            if text[at] == '"':
                raise OttlError('a text is not closed: its other " is missing', text, at, len(text))
            words = {"'": 'texts are written with "', "&": "write and", "|": "write or", "!": "write not"}
            hint = words.get(text[at])
            raise OttlError(f"{text[at]!a} means nothing here" + (f"; {hint}" if hint else ""), text, at)
        kind = found.lastgroup
        if kind != "space":
            yield Token(kind, found.group(), at)  # type: ignore[arg-type]
        at = found.end()
    yield Token("end", "", len(text))


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", '"': '"', "'": "'"}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|([0-7]{3})|(.))", re.DOTALL)


def unquoted(token: Token, text: str) -> str:
    """The text that a string means, with Go's escapes; raises OttlError for one that Go does not have."""

    def replace(found: re.Match[str]) -> str:
        short, long, byte, octal, other = found.groups()
        if other is not None:
            if other not in _ESCAPES:
                at = token.at + 1 + found.start()
                raise OttlError(f"\\{other} is no escape; for a backslash write \\\\", text, at, at + 2)
            return _ESCAPES[other]
        number = int(short or long or byte, 16) if octal is None else int(octal, 8)
        if number > 0x10FFFF or 0xD800 <= number < 0xE000 or (octal is not None and number > 255):
            at = token.at + 1 + found.start()
            raise OttlError(f"{found.group()} is no character", text, at, at + len(found.group()))
        is_byte = byte is not None or octal is not None
        return chr(0xDC00 + number) if is_byte and number > 127 else chr(number)  # as surrogateescape has bytes

    inner = token.text[1:-1]
    if "\\" not in inner:
        return inner
    plain = _ESCAPE.sub(replace, inner)
    return plain.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a statement, from `at` up to `end` in its text."""

    at: int
    end: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A value that is written out."""

    value: bool | int | float | str | bytes | None


@dataclass(frozen=True, slots=True)
class Symbol(Node):
    """A name alone: an enumerator (``SPAN_KIND_SERVER``), or a function that is handed on (``SHA256``)."""

    name: str


@dataclass(frozen=True, slots=True)
class Segment:
    """One name of a path, with the keys behind it."""

    name: str
    keys: "tuple[Expression, ...]" = ()


@dataclass(frozen=True, slots=True)
class Path(Node):
    """A place in telemetry: ``span.attributes["a"]``; what a first name means is for the contexts to say."""

    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Argument(Node):
    """What a function is given, by its place or by a name."""

    name: str | None
    value: "Expression | Lambda"


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A call of an editor or a converter, and what is taken out of its result."""

    function: str
    arguments: tuple[Argument, ...]
    keys: "tuple[Expression, ...]" = ()


@dataclass(frozen=True, slots=True)
class Lambda(Node):
    """``(x, y) => …``."""

    parameters: tuple[str, ...]
    body: "Expression"


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    """``[a, b]``."""

    items: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class MapOf(Node):
    """``{"key": value}``."""

    items: "tuple[tuple[str, Expression], ...]"


@dataclass(frozen=True, slots=True)
class Negative(Node):
    """``-a``."""

    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Math(Node):
    """``a + b``."""

    operator: OneOf["+", "-", "*", "/"]
    left: "Expression"
    right: "Expression"


Comparison = OneOf["==", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """``a == b``."""

    operator: Comparison
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Not(Node):
    """``not a``."""

    operand: "Expression"


@dataclass(frozen=True, slots=True)
class And(Node):
    """``a and b``; the second is looked at where the first holds."""

    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Or(Node):
    """``a or b``; the second is looked at where the first does not hold."""

    left: "Expression"
    right: "Expression"


Condition = Compare | Not | And | Or
Expression = Literal | Symbol | Path | Call | ListOf | MapOf | Negative | Math | Condition


@dataclass(frozen=True, slots=True)
class Statement:
    """An editor with its condition."""

    text: str
    editor: Call
    where: Expression | None
