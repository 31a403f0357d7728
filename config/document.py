"""YAML with the position of every key and value, typed as the Collector's parser (yaml.v3) types it.

The YAML 1.2 core schema, plus octal numbers as ``0777``, binary ones, underscores in numbers, and merge keys. No
base-60 numbers, no yes/no booleans; dates stay text. Duplicate keys are errors, and so is a second document, an
unknown tag, and a document that unfolds beyond `MAX_NODES` or nests beyond `MAX_DEPTH`.
"""

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from airis.component.config import Scalar
from airis.config.errors import ConfigError, Mark, Problem

MAX_NODES = 100_000
MAX_DEPTH = 100

Place = Callable[[int, int], Mark]
"""Says where a line and column of a text stand, both counted from 1."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"([-+]?)(?:0[bB]([01]+)|0[oO]?([0-7]+)|0[xX]([0-9a-fA-F]+)|([1-9][0-9]*|0))")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TAG_PREFIX = "tag:yaml.org,2002:"
_TYPES = {
    "null": ("null", type(None)),
    "bool": ("true or false", bool),
    "int": ("an integer", int),
    "float": ("a number", float),
}
_MAPPING_TAGS = ("", "map", "set")
_LIST_TAGS = ("", "seq", "omap", "pairs")


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands."""

    mark: Mark
    value: "str | Scalar | list[Node] | dict[str, Entry]"
    substituted: bool = False
    """Came from outside the file, so it may be secret and is never repeated in a message."""
    text: str = ""
    """How a list or a mapping from outside was written, for an option that takes text."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping, where it stands, and its value."""

    key_mark: Mark
    node: Node


def parse(text: str, source: str) -> Node:
    """The document as nodes; an empty one is null. Raises ConfigError."""
    return compose(text, lambda line, column: Mark(source, line, column))


def compose(text: str, place: Place, substituted: bool = False) -> Node:
    """The document as nodes that stand where `place` says; an empty one is null.

    Raises ConfigError with the mistakes up to the first one in the syntax; none of them repeats a value.
    """
    composer = _Composer(yaml.parse(text, Loader=_LOADER), place, substituted)
    try:
        root = composer.document()
    except yaml.MarkedYAMLError as error:
        line, column, message = _syntax_error(text, error)
        composer.problem(place(line, column), (), f"not valid YAML: {message}")
    except yaml.reader.ReaderError as error:
        before = text.encode(errors="replace")[: error.position].decode(errors="ignore")
        composer.problem(end_of(before, place), (), f"not valid YAML: {error.reason}")
    except UnicodeEncodeError as error:
        composer.problem(end_of(text[: error.start], place), (), "not UTF-8 text")
    else:
        if not composer.problems:
            return root
    raise ConfigError(composer.problems)


def end_of(text: str, place: Place) -> Mark:
    """Where what follows the text would stand."""
    return place(text.count("\n") + 1, len(text) - text.rfind("\n"))


def resolve_plain(text: str) -> bool | int | float | str | None:
    """The typed value of an unquoted scalar."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))
    digits = text if text[0] in "._" else text.replace("_", "")
    integer = _integer(digits)
    if integer is not None:
        return integer
    if _FLOAT.fullmatch(digits):
        number = float(digits)
        return text if math.isinf(number) else number
    return text


def _integer(text: str) -> int | None:
    """The integer, None if it is not one of 64 bits."""
    found = _INTEGER.fullmatch(text)
    if not found:
        return None
    sign, *digits = found.groups()
    try:
        (size,) = (int(part, base) for part, base in zip(digits, (2, 8, 16, 10), strict=True) if part)
    except ValueError:  # thousands of digits
        return None
    number = -size if sign == "-" else size
    return number if -(2**63) <= number < 2**64 else None


class _Composer:
    """Turns the parser's events into nodes and collects what is wrong with them."""

    def __init__(self, events: Iterator[Any], place: Place, substituted: bool) -> None:
        self.events = events
        self.place = place
        self.substituted = substituted
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node | None] = {}
        """None while the anchored value is being read."""
        self.count = 0

    def document(self) -> Node:
        next(self.events)  # the start of the stream
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return Node(self.place(1, 1), Scalar(None, ""), self.substituted)
        root = self.node(next(self.events), (), 0)
        next(self.events)  # the end of the document
        event = next(self.events)
        if not isinstance(event, yaml.StreamEndEvent):
            self.problem(self.mark(event), (), _SECOND_DOCUMENT)
        return root

    def node(self, event: Any, path: tuple[str, ...], depth: int) -> Node:
        mark = self.mark(event)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, mark, path, depth)
        if event.anchor:
            self.anchors[event.anchor] = None
        self.admit(mark, path, depth)
        if isinstance(event, yaml.ScalarEvent):
            node = Node(mark, self.scalar(event, mark, path), self.substituted)
        elif isinstance(event, yaml.SequenceStartEvent):
            self.check_tag(event, _LIST_TAGS, mark, path)
            node = Node(mark, self.items(path, depth), self.substituted)
        else:
            self.check_tag(event, _MAPPING_TAGS, mark, path)
            node = Node(mark, self.mapping(path, depth), self.substituted)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def alias(self, event: Any, mark: Mark, path: tuple[str, ...], depth: int) -> Node:
        node = self.anchors.get(event.anchor)
        if node is None:
            begun = event.anchor in self.anchors
            self.problem(mark, path, "a value cannot contain itself" if begun else _NO_ANCHOR)
            return Node(mark, Scalar(None, ""), self.substituted)
        self.unfold(node, mark, path, depth)
        return node

    def unfold(self, node: Node, mark: Mark, path: tuple[str, ...], depth: int) -> None:
        """Count what an alias stands for."""
        self.admit(mark, path, depth)
        if isinstance(node.value, dict):
            for entry in node.value.values():
                self.unfold(entry.node, mark, path, depth + 1)
        elif isinstance(node.value, list):
            for item in node.value:
                self.unfold(item, mark, path, depth + 1)

    def admit(self, mark: Mark, path: tuple[str, ...], depth: int) -> None:
        self.count += 1
        if self.count > MAX_NODES or depth > MAX_DEPTH:
            limit = f"{MAX_NODES} values" if self.count > MAX_NODES else f"{MAX_DEPTH} levels"
            self.problem(mark, path, f"the document unfolds to more than {limit}")
            raise ConfigError(self.problems)

    def items(self, path: tuple[str, ...], depth: int) -> list[Node]:
        items: list[Node] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, (*path, str(len(items))), depth + 1))
        return items

    def mapping(self, path: tuple[str, ...], depth: int) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        merge: Entry | None = None
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            mark = self.mark(event)
            name = self.key(event, mark, path, depth + 1)
            node = self.node(next(self.events), (*path, name or "?"), depth + 1)
            if name is None:
                continue
            is_merge = name == "<<" and _is_plain(event) and _tag(event) in ("", "merge")
            first = merge if is_merge else entries.get(name)
            if first is not None:
                hint = '; for several, write "<<: [*a, *b]"' if is_merge else ""
                written = f"written twice; the first is in line {first.key_mark.line}{hint}"
                self.problem(mark, (*path, name), written, "duplicate-key")
            elif is_merge:
                merge = Entry(mark, node)
            else:
                entries[name] = Entry(mark, node)
        return {**self.merged(merge.node, path), **entries} if merge else entries

    def merged(self, node: Node, path: tuple[str, ...]) -> dict[str, Entry]:
        """What a merge key puts in; of several mappings the first wins."""
        found: dict[str, Entry] = {}
        for source in node.value if isinstance(node.value, list) else [node]:
            if isinstance(source.value, dict):
                found = {**source.value, **found}
            else:
                self.problem(source.mark, path, "a merge key takes a mapping or a list of mappings")
        return found

    def key(self, event: Any, mark: Mark, path: tuple[str, ...], depth: int) -> str | None:
        """The text of a key; None, and read to its end, if it is none."""
        if isinstance(event, yaml.ScalarEvent):
            return str(event.value)
        value = self.node(event, path, depth).value
        if isinstance(value, str):
            return value
        if isinstance(value, Scalar):
            return value.text
        self.problem(mark, path, "a key must be plain text, not a list or a mapping")
        return None

    def scalar(self, event: Any, mark: Mark, path: tuple[str, ...]) -> str | Scalar:
        text, tag = str(event.value), _tag(event)
        if tag in ("str", "timestamp") or (tag == "" and not _is_plain(event)):
            return text
        if tag == "":
            return _fitted(resolve_plain(text), text)
        if tag == "binary":
            try:
                return base64.b64decode("".join(text.split()), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                self.problem(mark, path, "not text in base64, as its tag !!binary says")
        elif tag in _TYPES:
            expected, kind = _TYPES[tag]
            value = resolve_plain(text)
            if kind is float and type(value) is int:
                value = float(value)
            if type(value) is kind:
                return _fitted(value, text)
            self.problem(mark, path, f"not {expected}, as its tag !!{tag} says")
        else:
            self.check_tag(event, (), mark, path)
        return text

    def check_tag(self, event: Any, known: tuple[str, ...], mark: Mark, path: tuple[str, ...]) -> None:
        tag = _tag(event)
        if tag not in known:
            shown = tag if event.tag == tag else f"!!{tag}"
            self.problem(mark, path, f'the tag "{shown}" has no meaning here')

    def mark(self, event: Any) -> Mark:
        return self.place(event.start_mark.line + 1, event.start_mark.column + 1)

    def problem(self, mark: Mark, path: tuple[str, ...], message: str, rule: str = "invalid-yaml") -> None:
        self.problems.append(Problem(mark, path, message, rule))


def _is_plain(event: Any) -> bool:
    """Neither quoted nor a block; the C parser says "" for the style, the Python parser None."""
    return isinstance(event, yaml.ScalarEvent) and not event.style


def _tag(event: Any) -> str:
    """The name of a standard tag, another tag as it is, "" without one."""
    return "" if event.tag in (None, "!") else str(event.tag).removeprefix(_TAG_PREFIX)


def _fitted(value: bool | int | float | str | None, text: str) -> str | Scalar:
    if value is None:
        return Scalar(None, "")
    return value if isinstance(value, str) else Scalar(value, text)


_NO_ANCHOR = 'there is no such anchor before this; text that begins with "*" needs quotes'
_SECOND_DOCUMENT = "a second document begins here; one source holds one"
_TAB = "a tab cannot indent; use spaces"
_ESCAPE = 'in double quotes "\\" begins an escape; use single quotes, or write "\\\\"'
_WORDS = {
    "block sequence entries are not allowed in this context": "a list item cannot begin here; give it its own line",
    "mapping keys are not allowed in this context": 'a value cannot begin with "? "; put it in quotes',
    "did not find expected <document start>": "this does not belong to what is before it; check the indentation",
    "did not find expected alphabetic or numeric character": (
        '"&" and "*" begin the name of an anchor; put text that begins with them in quotes'
    ),
    "did not find expected node content": "a value is missing here",
    "did not find expected hexdecimal number": _ESCAPE,
    "found unknown escape character": _ESCAPE,
    "found a tab character that violates indentation": _TAB,
    "found a tab character where an indentation space is expected": _TAB,
    "exceeded maximum nesting depth": f"nested more than {MAX_DEPTH} levels deep",
}
"""What libyaml says, in words for those who do not know its grammar."""


def _syntax_error(text: str, error: yaml.MarkedYAMLError) -> tuple[int, int, str]:
    """Line, column and words for a mistake in the syntax."""
    at, began = error.problem_mark, error.context_mark
    problem = error.problem or ""
    if at is None:
        return 1, 1, str(error)
    lines = text.splitlines()
    line = lines[at.line] if at.line < len(lines) else ""
    before, here = line[: at.column], line[at.column : at.column + 1]
    words = _WORDS.get(problem)
    if here == "\t" or ("\t" in before and not before.strip()):
        words = _TAB
    elif problem == "found character that cannot start any token":
        words = f'a value cannot begin with "{here}"; put it in quotes'
    elif problem == "mapping values are not allowed in this context":
        words = (
            'a ":" that is part of a value; put the value in quotes'
            if re.search(r":\s", before)
            else 'this key does not fit the line before; check its indentation, and that a blank follows each ":"'
        )
    elif began is not None and problem.startswith("did not find expected ',' or"):
        if here == "{" and before.endswith("$"):
            return at.line + 1, at.column, '"${…}" needs quotes inside [ ] and { }'
        bracket, closing = ("list", "]") if "]" in problem else ("mapping", "}")
        words = f'"," or "{closing}" is missing; the {bracket} began in line {began.line + 1}'
    elif began is not None and problem == "did not find expected key":
        words = (
            "text after the end of a value; put the whole value in quotes"
            if before.rstrip().endswith(("'", '"', "]", "}"))
            else f"expected a key {_of(began, 'mapping')}"
        )
    elif began is not None and problem == "did not find expected '-' indicator":
        words = f'expected "-" {_of(began, "list")}'
    elif began is not None and problem == "could not find expected ':'":
        return began.line + 1, began.column + 1, 'a key without ":"; write "key: value", with a blank after the ":"'
    elif began is not None and problem == "found unexpected end of stream":
        return began.line + 1, began.column + 1, "the quoted text that begins here has no end"
    return at.line + 1, at.column + 1, words or " ".join(part for part in (problem, error.context) if part)


def _of(began: Any, what: str) -> str:
    return f"in column {began.column + 1}, where the {what} began in line {began.line + 1}; check the indentation"
