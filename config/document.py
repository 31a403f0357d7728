"""YAML with the position of every key and value, typed as the Collector types it.

The YAML 1.2 core schema, plus the octal numbers (``0777``) and merge keys that the Collector's parser
takes. No base-60 numbers, no dates, no yes/no booleans. Duplicate keys are errors, and so is a document
that unfolds beyond `MAX_NODES` or nests beyond `MAX_DEPTH`.
"""

import re
from dataclasses import dataclass
from typing import Any, cast

import yaml

from airis.component.config import Scalar
from airis.config.errors import ConfigError, Mark, Problem

MAX_NODES = 100_000
MAX_DEPTH = 100

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


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
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        mark = Mark(source, at.line + 1, at.column + 1) if at else Mark(source, 1, 1)
        raise ConfigError([Problem(mark, (), f"not valid YAML: {_why(text, error, mark)}")]) from None
    except yaml.reader.ReaderError as error:
        before = text.encode(errors="replace")[: error.position].decode(errors="ignore")
        mark = Mark(source, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise ConfigError([Problem(mark, (), f"not valid YAML: {error.reason}")]) from None
    except (yaml.YAMLError, RecursionError, UnicodeError) as error:
        raise ConfigError([Problem(Mark(source, 1, 1), (), f"not valid YAML: {error}")]) from None
    if root is None:
        return Node(Mark(source, 1, 1), Scalar(None, ""))
    reader = _Reader(source)
    node = reader.node(root, (), 0)
    if reader.problems:
        raise ConfigError(reader.problems)
    return node


def resolve_plain(text: str) -> bool | int | float | str | None:
    """The typed value of an unquoted scalar."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if _INTEGER.fullmatch(text):
        try:
            return _integer(text.replace("_", ""))
        except ValueError:  # no digit, as in "0x_", or thousands of them
            return text
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def _integer(text: str) -> int:
    digits = text.lstrip("+-")
    sign = -1 if text.startswith("-") else 1
    if digits.startswith("0") and digits.isdigit() and len(digits) > 1:
        return sign * int(digits, 8)
    return sign * int(digits, 0)


def _why(text: str, error: yaml.MarkedYAMLError, mark: Mark) -> str:
    lines = text.splitlines()
    if mark.line <= len(lines) and "\t" in lines[mark.line - 1][: mark.column]:
        return "a tab cannot indent; use spaces"
    return " ".join(part for part in (error.problem, error.context) if part) or str(error)


class _Reader:
    """Turns the parser's nodes into ours and collects what is wrong with them."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.count = 0

    def node(self, node: Any, path: tuple[str, ...], depth: int) -> Node:
        mark = Mark(self.source, node.start_mark.line + 1, node.start_mark.column + 1)
        self.count += 1
        if self.count > MAX_NODES or depth > MAX_DEPTH:
            limit = f"{MAX_NODES} values" if self.count > MAX_NODES else f"{MAX_DEPTH} levels"
            raise ConfigError([Problem(mark, path, f"the document unfolds to more than {limit}")])
        if isinstance(node, yaml.ScalarNode):
            return Node(mark, _scalar(node))
        if isinstance(node, yaml.SequenceNode):
            items = cast("list[Any]", node.value)
            return Node(mark, [self.node(item, (*path, str(i)), depth + 1) for i, item in enumerate(items)])
        return Node(mark, self.mapping(node, path, depth))

    def mapping(self, node: Any, path: tuple[str, ...], depth: int) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key, value in cast("list[tuple[Any, Any]]", node.value):
            mark = Mark(self.source, key.start_mark.line + 1, key.start_mark.column + 1)
            if not isinstance(key, yaml.ScalarNode):
                self.problems.append(Problem(mark, path, "a key must be plain text"))
                continue
            name = str(key.value)
            child = self.node(value, (*path, name), depth + 1)
            if name == "<<" and not key.style:
                for source in child.value if isinstance(child.value, list) else [child]:
                    if isinstance(source.value, dict):
                        merged = {**source.value, **merged}
                    else:
                        self.problems.append(Problem(source.mark, path, "a merge key takes a mapping"))
            elif name in entries:
                first = entries[name].key_mark
                self.problems.append(Problem(mark, (*path, name), f"written twice; the first is in line {first.line}"))
            else:
                entries[name] = Entry(mark, child)
        return {**merged, **entries}


def _scalar(node: yaml.ScalarNode) -> str | Scalar:
    text = str(node.value)
    if node.style:  # quoted or a block; the C parser says "" for a plain one, the Python parser None
        return text
    value = resolve_plain(text)
    return value if isinstance(value, str) else Scalar(value, text)
