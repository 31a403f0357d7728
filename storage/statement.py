"""SQL as ClickHouse's lexer reads it, as far as the store must know: words, FORMAT, SETTINGS, where data begins."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

TokenKind = Literal["word", "quoted", "string", "symbol", "other"]

_TOKEN = re.compile(
    rb"""
    (?P<space>   [ \t\n\r\f\v]++ | --[^\n]*+ | \#[ !][^\n]*+ | /\*.*?\*/ )
  | (?P<word>    [A-Za-z0-9_][A-Za-z0-9_$]*+ )
  | (?P<string>  '(?:[^'\\]++|\\.|'')*+' | \$(?P<tag>[A-Za-z0-9_]*+)\$.*?\$(?P=tag)\$ )
  | (?P<quoted>  `(?:[^`\\]++|\\.|``)*+` | "(?:[^"\\]++|\\.|"")*+" )
  | (?P<open>    (?: /\* | ['"`] | \$[A-Za-z0-9_]*+\$ ) .*+ )
  | (?P<symbol>  [][(){}.,;:*+=<>!?@|^%&~/-] )
  | (?P<other>   . )
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS = {"tag": "string", "open": "other"}
_UNTIL_DATA = re.compile(rb"[ \t\f]*(?:;[ \t\f]*)?\r?\n?")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a statement; spaces and comments are none."""

    kind: TokenKind
    text: str
    start: int
    end: int

    @property
    def keyword(self) -> str:
        """The word in capitals; empty for anything that is quoted."""
        return self.text.upper() if self.kind == "word" else ""


def tokens(sql: bytes) -> Iterator[Token]:
    """The tokens, one at a time, so that what follows an insert's FORMAT need not be SQL.

    What no rule explains is a token ``other``: a byte, or all that follows an open quote or comment, in which looking
    for an end again and again would take a time that grows with its square.
    """
    for match in _TOKEN.finditer(sql):
        kind = _KINDS.get(match.lastgroup or "", match.lastgroup)
        if kind != "space":
            yield Token(kind, match[0].decode(errors="replace"), match.start(), match.end())  # type: ignore[arg-type]


class NoStatement(ValueError):
    """There is nothing to run, or more than one statement."""


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT whose rows come as data: the statement up to FORMAT or VALUES, the format, where the data begins."""

    head: str
    format: str
    data_start: int
    settings: str = ""
    """Its SETTINGS clause, which is not in the head."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement with what its tokens say."""

    sql: str
    tokens: tuple[Token, ...]
    keyword: str
    """The first word in capitals, behind any parentheses."""
    format: str = ""
    """What its FORMAT clause says."""
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """What its last SETTINGS clause says, where that is plain names and values."""
    bare_sql: str = ""
    """The statement without that clause."""


def insert_with_data(sql: bytes) -> Insert | None:
    """The parts of an INSERT that brings data; None for every other statement."""
    stream = tokens(sql)
    if next(stream, _NOTHING).keyword != "INSERT" or next(stream, _NOTHING).keyword != "INTO":
        return None
    depth = 0
    in_name = True  # a table may be called "format" or "values"
    settings = 0
    for token in stream:
        if in_name:
            if token.keyword in ("TABLE", "FUNCTION") or token.text == ".":
                continue
            follows = _TOKEN.match(sql, token.end)
            in_name = follows is not None and follows[0] == b"."
            continue
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(token.text, 0)
        if depth:
            continue
        if token.keyword == "SETTINGS":
            settings = token.start
        end = settings or token.start
        if token.keyword == "VALUES":
            return Insert(sql[:end].decode(), "Values", token.end, sql[end : token.start].decode())
        if token.keyword == "FORMAT":
            name = next(stream, _NOTHING)
            data = _UNTIL_DATA.match(sql, name.end)
            data_start = data.end() if data else name.end
            return Insert(sql[:end].decode(), name.text, data_start, sql[end : token.start].decode())
        if token.keyword in ("SELECT", "WITH", "FROM", "WATCH", "EXPLAIN") or token.text == ";":
            return None
    return None


def parse(sql: bytes) -> Statement:
    """The one statement in the text; raises NoStatement, also where there are several."""
    found = list(tokens(sql))
    while found and found[-1].text == ";":
        found.pop()
    if not found:
        raise NoStatement("Empty query")
    if any(token.kind == "symbol" and token.text == ";" for token in found):
        raise NoStatement("Multi-statements are not allowed")
    end = found[-1].end
    keyword = next((token.keyword for token in found if token.text != "("), "")
    name, settings, clause = _clauses(found)
    text = sql[:end].decode()
    bare = (sql[: clause.start] + sql[clause.stop : end]).decode() if clause else text
    return Statement(text, tuple(found), keyword, name, settings, bare)


def _clauses(found: list[Token]) -> tuple[str, dict[str, str], slice | None]:
    """The format and the settings at the end of a statement, and where the SETTINGS clause stands."""
    name = ""
    settings: dict[str, str] = {}
    clause: slice | None = None
    end = len(found)
    for _ in range(2):  # the two come in either order
        if not name and end > 2 and found[end - 2].keyword == "FORMAT" and found[end - 1].kind == "word":
            name = found[end - 1].text
            end -= 2
        elif clause is None:
            begin = _settings_begin(found, end)
            read = _read_settings(found[begin + 1 : end]) if begin else None
            if read:
                settings = read
                clause = slice(found[begin].start, found[end - 1].end)
                end = begin
    return name, settings, clause


def _settings_begin(found: list[Token], end: int) -> int:
    """The index of the last SETTINGS before `end`; 0 if a parenthesis comes first or there is none."""
    for index in range(end - 1, 0, -1):
        if found[index].keyword == "SETTINGS":
            return index
        if found[index].text in ("(", ")"):
            return 0
    return 0


def _read_settings(found: list[Token]) -> dict[str, str] | None:
    """``name = value, …``; None for anything else, such as a value that is an array."""
    read: dict[str, str] = {}
    for part in _split_at_commas(found):
        if len(part) < 3 or part[0].kind != "word" or part[1].text != "=":
            return None
        value = part[2:]
        if len(value) == 1 and value[0].kind == "string" and value[0].text.startswith("'"):
            read[part[0].text] = unquote(value[0].text)
        elif all(token.kind == "word" or token.text in ("+", "-", ".") for token in value):
            read[part[0].text] = "".join(token.text for token in value)  # a number such as -1.5, or a word
        else:
            return None
    return read


def _split_at_commas(found: list[Token]) -> Iterator[list[Token]]:
    part: list[Token] = []
    for token in found:
        if token.text == ",":
            yield part
            part = []
        else:
            part.append(token)
    yield part


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "f": "\f", "a": "\a", "v": "\v", "e": "\x1b"}
_ESCAPED = re.compile(r"\\(x[0-9A-Fa-f]{2}|.)|(['\"`])\2", re.DOTALL)


def unquote(text: str) -> str:
    """What a quoted token stands for."""

    def plain(match: re.Match[str]) -> str:
        if match[2]:
            return match[2]
        if len(match[1]) == 3:
            return chr(int(match[1][1:], 16))
        return _ESCAPES.get(match[1], match[1])

    return _ESCAPED.sub(plain, text[1:-1])


def quote(text: str, mark: str = "'") -> str:
    """The text as a string literal, or with a backtick as an identifier."""
    escaped = text.replace("\\", "\\\\").replace(mark, "\\" + mark)
    return f"{mark}{escaped}{mark}"


_NOTHING = Token("symbol", "", 0, 0)
