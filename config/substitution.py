"""``${env:NAME:-default}`` in values: the Collector's rules for environment variables.

A value that is wholly one reference takes the type that its text has as YAML; inside longer text the
text is put in. A reference may have others in it. ``$$`` is a dollar sign, a naked ``$NAME`` is left as it
is, keys are never touched.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from airis.component.config import Scalar
from airis.config.document import Entry, Node, parse
from airis.config.errors import ConfigError, Mark, Problem

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_TOKEN = re.compile(r"\$\$|\$\{|\}")


def substitute(
    node: Node, environment: Mapping[str, str], problems: list[Problem], warnings: list[Problem] | None = None
) -> Node:
    """The node with every reference in it replaced; those that cannot be stay, and are added to `problems`.

    A variable that is not set and has no default is null, as in the Collector, and is added to `warnings`.
    """
    known = _Known(environment)
    result = _walk(node, known, (), problems)
    if warnings is not None:
        warnings.extend(known.unset)
    return result


@dataclass(frozen=True, slots=True)
class _Known:
    """What can be put in, and what was asked for in vain."""

    environment: Mapping[str, str]
    unset: list[Problem] = field(default_factory=list[Problem])


def _walk(node: Node, known: _Known, path: tuple[str, ...], problems: list[Problem]) -> Node:
    value = node.value
    if isinstance(value, list):
        items = [_walk(item, known, (*path, str(i)), problems) for i, item in enumerate(value)]
        return Node(node.mark, items, node.substituted, node.text)
    if isinstance(value, dict):
        entries = {
            key: Entry(entry.key_mark, _walk(entry.node, known, (*path, key), problems)) for key, entry in value.items()
        }
        return Node(node.mark, entries, node.substituted, node.text)
    if isinstance(value, Scalar) or "$" not in value:
        return node
    try:
        return _text(node.mark, path, value, known)
    except ValueError as error:
        problems.append(Problem(node.mark, path, str(error)))
        return node


def _text(mark: Mark, path: tuple[str, ...], text: str, known: _Known) -> Node:
    """The value of a text with references, the innermost ones put in first."""

    def look_up(reference: str, written: str) -> str | None:
        found = _look_up(reference, written, known.environment)
        if found is None:
            name = written.removeprefix("env:")
            said = f'the environment variable {name} is not set; "${{env:{name}:-}}" is empty without this warning'
            known.unset.append(Problem(mark, path, said))
        return found

    position = 0
    begun: list[tuple[int, list[str]]] = [(0, [])]
    for token in _TOKEN.finditer(text):
        begun[-1][1].append(text[position : token.start()])
        position = token.end()
        if token[0] == "${":
            begun.append((token.end(), []))
        elif token[0] == "}" and len(begun) > 1:
            start, parts = begun.pop()
            found = look_up("".join(parts), text[start : token.start()])
            if start == len("${") and position == len(text):
                return _moved(Node(mark, Scalar(None, "")) if found is None else _parsed(found), mark)
            begun[-1][1].append(found or "")
        else:
            begun[-1][1].append("}" if token[0] == "}" else "$")
    begun[-1][1].append(text[position:])
    # What was begun and not ended is no reference.
    return Node(mark, "${".join("".join(parts) for _, parts in begun), substituted="${" in text)


def _look_up(reference: str, written: str, environment: Mapping[str, str]) -> str | None:
    """The text of a reference, None for a variable that is not set and has no default.

    Messages repeat it as `written`: the reference may have been put together from what is outside the file.
    """
    scheme, separator, rest = reference.partition(":")
    if not separator:
        scheme, rest = "env", reference
    if rest.startswith("-"):
        raise ValueError(f'a default needs the scheme "env"; write "${{env:{written}}}"')
    if scheme != "env":
        scheme = written.partition(":")[0]
        raise ValueError(f'"${{{scheme}:…}}" is not supported yet; only environment variables are, as "${{env:NAME}}"')
    name, has_default, default = rest.partition(":-")
    if not _NAME.fullmatch(name):
        name = written.removeprefix("env:").partition(":-")[0]
        raise ValueError(f'"{name}" is not the name of an environment variable')
    return environment.get(name, default if has_default else None)


def _parsed(text: str) -> Node:
    try:
        node = parse(text, "")
    except ConfigError:
        return Node(Mark("", 1, 1), text)
    if isinstance(node.value, Scalar):
        # To YAML "#secret" is a comment and nothing else.
        is_comment = text.lstrip().startswith("#")
        return Node(node.mark, text if is_comment else Scalar(node.value.value, text))
    # The text as it is, not as YAML trims and unquotes it, unless it is a list or a mapping.
    return Node(node.mark, text) if isinstance(node.value, str) else replace(node, text=text)


def _moved(node: Node, mark: Mark) -> Node:
    """The node as if it all stood at `mark`, where it was referred to."""
    value = node.value
    if isinstance(value, list):
        return Node(mark, [_moved(item, mark) for item in value], True, node.text)
    if isinstance(value, dict):
        moved = {key: Entry(mark, _moved(entry.node, mark)) for key, entry in value.items()}
        return Node(mark, moved, True, node.text)
    return Node(mark, value, substituted=True)
