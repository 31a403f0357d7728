"""Regular expressions (RE2) and globs on strings, and what replaces what they find."""

import re
from collections.abc import Callable

from airis.data import kernels
from airis.data.expressions import InvalidExpression

_REFERENCE = re.compile(r"\$(?:(\$)|([0-9A-Za-z_]+)|\{([0-9A-Za-z_]+)\})")

Found = list["tuple[int, int] | None"]
"""The places of a match and of its groups in the bytes of a text."""


class Regex:
    """A regular expression."""

    def __init__(self, pattern: str) -> None:
        """Compile; ValueError says what is wrong, and where."""
        try:
            self._pattern = kernels.Pattern(pattern)
        except InvalidExpression as error:
            raise ValueError(f"{pattern!a} is no regular expression: {error}") from error
        self.groups = self._pattern.groups
        """The names of the groups in order, None for one without a name."""

    def matches(self, text: str) -> bool:
        """Whether it matches somewhere."""
        return self._pattern.matches(text.encode())

    def first(self, text: str) -> list[str | None] | None:
        """The first match with its groups, None for one that took no part; None where there is no match."""
        raw = text.encode()
        found = self._pattern.search(raw)
        return None if found is None else [None if at is None else raw[slice(*at)].decode() for at in found]

    def replace(self, text: str, replacement: Callable[[bytes, Found], bytes]) -> str | None:
        """The text with each match replaced by what is made of it; None where there is none."""
        raw = text.encode()
        pieces: list[bytes] = []
        end = 0
        for found in self._pattern.search_all(raw):
            start, stop = found[0] or (0, 0)
            pieces += [raw[end:start], replacement(raw, found)]
            end = stop
        return b"".join([*pieces, raw[end:]]).decode(errors="replace") if pieces else None

    def expanded(self, template: str) -> Callable[[bytes, Found], bytes]:
        """What ``$1``, ``${name}`` and ``$$`` in a template make of a match, as Go's ``Expand``."""
        parts: list[bytes | int] = []
        end = 0
        for reference in _REFERENCE.finditer(template):
            parts.append(template[end : reference.start()].encode())
            end = reference.end()
            dollar, name, braced = reference.groups()
            parts.append(b"$" if dollar else self._group(name or braced))
        parts.append(template[end:].encode())

        def expand(raw: bytes, found: Found) -> bytes:
            pieces = (part if isinstance(part, bytes) else _piece(raw, found, part) for part in parts)
            return b"".join(pieces)

        return expand

    def _group(self, name: str) -> int:
        if name.isdigit():
            return int(name)
        return 1 + self.groups.index(name) if name in self.groups else len(self.groups) + 1


def _piece(raw: bytes, found: Found, group: int) -> bytes:
    at = found[group] if group < len(found) else None
    return b"" if at is None else raw[slice(*at)]


class Glob:
    r"""A pattern with ``*``, ``?``, ``[a-z]``, ``[!a-z]``, ``{a,b}`` and ``\\`` that has to match a whole text."""

    def __init__(self, pattern: str) -> None:
        """Compile; ValueError says what is wrong."""
        try:
            self._pattern = kernels.Pattern(_to_regex(pattern), whole=True)
        except InvalidExpression as error:
            raise ValueError(f"{pattern!a} is no pattern: {error}") from error

    def matches(self, text: str) -> bool:
        """Whether all of a text matches."""
        return self._pattern.matches(text.encode())


_GLOB = re.compile(r"\\(.)|(\*+)|(\?)|\[(!?)([^\]]+)\]|([{},])|(.)", re.DOTALL)


def _to_regex(glob: str) -> str:
    parts = ["(?s)"]
    depth = 0
    for token in _GLOB.finditer(glob):
        escaped, stars, any_one, negation, members, brace, plain = token.groups()
        if stars:
            parts.append(".*")
        elif any_one:
            parts.append(".")
        elif members:
            inside = "".join(_quoted(character) if character in "\\^[" else character for character in members)
            parts.append(f"[{'^' if negation else ''}{inside}]")
        elif brace == "{":
            depth += 1
            parts.append("(?:")
        elif brace == "}" and depth:
            depth -= 1
            parts.append(")")
        elif brace == "," and depth:
            parts.append("|")
        else:
            parts.append(_quoted(escaped or brace or plain))
    if depth:
        raise ValueError(f"{glob!a} is no pattern: a {{ is not closed")
    return "".join(parts)


def _quoted(text: str) -> str:
    return "".join(f"\\{character}" if character in r"\.+*?()|[]{}^$" else character for character in text)
