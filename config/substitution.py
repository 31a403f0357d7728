"""``${scheme:value}`` in values, by the Collector's rules.

A value that is wholly one reference takes the type that its text has as YAML; inside longer text the text is put in as
it is written. What is put in may refer to more, and a reference may have others in it, the innermost first. ``$$`` is a
dollar sign, also in what is put in, and ``$${`` begins no reference; a naked ``$NAME`` is left as it is, and keys are
never touched.

Three accidents of the Collector are not repeated. What is put in forms no reference or escape with the text around
it. A reference that stands both escaped and not in one value is put in only where it is not. The line end that closes a
file is not part of the value in it.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from airis.component.config import Scalar
from airis.config.document import MAX_DEPTH, Entry, Node, compose
from airis.config.errors import ConfigError, Mark, Problem
from airis.config.providers import SCHEMES, Unavailable, read_file, read_url, read_variable, shown_url

MAX_REFERENCES = 10_000
MAX_CHAIN = 100

_TOKEN = re.compile(r"\$+\{?|\}")
_RULE = "invalid-reference"
_NO_REFERENCE = 'write "$$" for a "$" that begins no reference'


def substitute(
    node: Node,
    environment: Mapping[str, str],
    problems: list[Problem],
    warnings: list[Problem] | None = None,
    files: list[Path] | None = None,
) -> Node:
    """The node with every reference in it replaced; those that cannot be stay, and are added to `problems`.

    A variable that is not set and has no default is null, as in the Collector, and is added to `warnings`. Every file
    that is asked for is added to `files`; a relative path starts in the working directory, not beside the file that
    names it. Lists and mappings from a file or an address keep their marks there, all else has that of its reference.
    """
    substitution = _Substitution(
        environment, problems, [] if warnings is None else warnings, [] if files is None else files
    )
    return substitution.node(node, _Site(node.mark))


@dataclass(frozen=True, slots=True)
class _Reference:
    """What stands between ``${`` and ``}``."""

    parts: "list[str | _Reference]"
    written: str


@dataclass(frozen=True, slots=True)
class _Site:
    """Where a text stands that may have references in it."""

    mark: Mark
    path: tuple[str, ...] = ()
    chain: tuple[tuple[str, str], ...] = ()
    """What was put in around it, the outermost first: each location, and the reference to it as it is written."""
    depth: int = 0
    """How many references it is in, one in the other."""
    hidden: bool = False
    """Whether the text came from outside, so that no message may repeat any of it."""

    def at(self, key: str, node: Node) -> "_Site":
        return replace(self, mark=node.mark, path=(*self.path, key))


@dataclass(frozen=True, slots=True)
class _Found:
    """A text to put in."""

    text: str
    site: _Site
    source: str = ""
    """The file or address it comes from."""
    is_default: bool = False

    def place(self, line: int, column: int) -> Mark:
        return Mark(self.source, line, column) if self.source else self.site.mark

    @property
    def value(self) -> str:
        """The text as it is put in: the line end that closes a file is not part of it."""
        return self.text.removesuffix("\n").removesuffix("\r") if self.source else self.text


@dataclass(frozen=True, slots=True)
class _Substitution:
    environment: Mapping[str, str]
    problems: list[Problem]
    warnings: list[Problem]
    files: list[Path]
    read: dict[str, str | Unavailable] = field(default_factory=dict[str, str | Unavailable])
    """What files and addresses said, so that each is asked once."""
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def node(self, node: Node, site: _Site) -> Node:
        value = node.value
        if len(site.path) > MAX_DEPTH:
            self.problems.append(Problem(site.mark, site.path, f"nested more than {MAX_DEPTH} levels deep", _RULE))
            return node
        if isinstance(value, list):
            return replace(node, value=[self.node(item, site.at(str(i), item)) for i, item in enumerate(value)])
        if isinstance(value, dict):
            entries = {
                key: Entry(entry.key_mark, self.node(entry.node, site.at(key, entry.node)))
                for key, entry in value.items()
            }
            return replace(node, value=entries)
        if isinstance(value, Scalar) or "$" not in value:
            return node
        found = self.value(value, site)
        return replace(found, substituted=found.substituted or node.substituted) if found else node

    def value(self, text: str, site: _Site) -> Node | None:
        """What a whole value says, typed if it is nothing but a reference; None if something cannot be put in."""
        parts = _parts(text)
        if len(parts) == 1 and isinstance(parts[0], _Reference):
            return self.put_in(parts[0], site)
        before = len(self.problems)
        put_in = self.text(parts, site)
        if len(self.problems) > before:
            return None
        return Node(site.mark, put_in, substituted=any(isinstance(part, _Reference) for part in parts))

    def text(self, parts: list[str | _Reference], site: _Site) -> str:
        return "".join(part if isinstance(part, str) else self.text_of(part, site) for part in parts)

    def text_of(self, reference: _Reference, site: _Site) -> str:
        found = self.look_up(reference, site)
        return self.text(_parts(found.value), found.site) if found else ""

    def put_in(self, reference: _Reference, site: _Site) -> Node | None:
        """What a reference that is the whole value says; None if it cannot be put in."""
        before = len(self.problems)
        found = self.look_up(reference, site)
        if found is None:
            return None if len(self.problems) > before else Node(site.mark, Scalar(None, ""), substituted=True)
        if found.is_default and not found.text:
            return Node(site.mark, "", substituted=True)
        try:
            node = compose(found.text, found.place, substituted=True)
        except ConfigError as error:
            if found.source.endswith((".yaml", ".yml")):
                self.problems.extend(replace(p, path=(*site.path, *p.path)) for p in error.problems)
                return None
            node = Node(site.mark, "")
        if isinstance(node.value, str):
            # The text as it is, not as YAML trims and unquotes it.
            value = self.value(found.value, found.site)
            return replace(value, substituted=True) if value else None
        text = self.quiet_text(found)
        if isinstance(node.value, Scalar):
            return Node(site.mark, Scalar(node.value.value, text if text.strip() else ""), substituted=True)
        # A file of options is configuration like any other: messages may name what it refers to.
        inner = replace(found.site, mark=node.mark, hidden=not found.source)
        return replace(self.node(node, inner), text=text)

    def quiet_text(self, found: _Found) -> str:
        """The text for an option that takes text; left as it is if a reference in it, perhaps in a comment, is none."""
        quiet = replace(self, problems=[], warnings=[])
        text = quiet.text(_parts(found.value), found.site)
        return found.value if quiet.problems else text

    def look_up(self, reference: _Reference, site: _Site) -> _Found | None:
        """What a reference puts in; None if that is nothing, which has been said then."""
        before = len(self.problems)
        if site.depth >= MAX_CHAIN:
            chain = _chain(site, reference)
            self.problems.append(Problem(site.mark, site.path, f"more than {MAX_CHAIN} references: {chain}", _RULE))
            return None
        location = self.text(reference.parts, replace(site, depth=site.depth + 1))
        if len(self.problems) > before:
            return None
        if ":" not in location:
            location = f"env:{location}"
        if any(location == around for around, _ in site.chain):
            chain = _chain(site, reference)
            self.problems.append(Problem(site.mark, site.path, f"refers to itself: {chain}", _RULE))
            return None
        try:
            return self.retrieve(location, reference, site)
        except Unavailable as error:
            self.problem(reference, site, str(error))
            return None

    def retrieve(self, location: str, reference: _Reference, site: _Site) -> _Found | None:
        """Raises Unavailable."""
        if next(self.numbers) >= MAX_REFERENCES:
            raise Unavailable(f"there are more than {MAX_REFERENCES} references")
        if "$" in location:
            raise Unavailable('a "$" cannot stand in a reference, nor be put into one')
        scheme, _, rest = location.partition(":")
        if scheme not in SCHEMES and rest.startswith("-"):
            raise Unavailable(f'a default needs the scheme "env"; write "${{env:{reference.written}}}"')
        if scheme not in SCHEMES:
            raise Unavailable(f"unknown scheme; valid here: {', '.join(SCHEMES)}; {_NO_REFERENCE}")
        inner = replace(site, chain=(*site.chain, (location, reference.written)), depth=site.depth + 1, hidden=True)
        if scheme == "yaml":
            return _Found(rest, inner)
        if scheme == "env":
            try:
                text = read_variable(rest, self.environment)
            except Unavailable as error:
                raise Unavailable(f"{error}; {_NO_REFERENCE}") from None
            if text is None:
                self.unset(reference, site)
                return None
            return _Found(text, inner, is_default=rest.partition(":-")[0] not in self.environment)
        if location not in self.read:
            self.read[location] = self.ask(location, reference)
        answer = self.read[location]
        if isinstance(answer, Unavailable):
            raise answer
        return _Found(answer, inner, _source(reference.written))

    def ask(self, location: str, reference: _Reference) -> str | Unavailable:
        """What a file or an address says."""
        try:
            data = self.file(location, reference) if location.startswith("file:") else read_url(location)
        except Unavailable as error:
            return error
        # Bytes that are not UTF-8 are kept as the environment keeps them.
        return data.decode("utf-8", "surrogateescape")

    def file(self, location: str, reference: _Reference) -> bytes:
        """Raises Unavailable."""
        path = Path(location.removeprefix("file:"))
        self.files.append(path)
        try:
            return read_file(path)
        except Unavailable as error:
            # The path is not shown if part of it came from outside.
            is_known = all(isinstance(part, str) for part in reference.parts) and not path.is_absolute()
            looked_for = f'; looked for "{path.absolute()}"' if is_known else ""
            hint = '; only "env" takes a default' if ":-" in location else ""
            raise Unavailable(f"{error}{looked_for}{hint}") from None

    def problem(self, reference: _Reference, site: _Site, message: str) -> None:
        if site.hidden:
            message = f"{_outer(site)} puts in a reference that cannot be followed; {_NO_REFERENCE}"
        else:
            message = f'"{_shown(reference.written)}": {message}'
        self.problems.append(Problem(site.mark, site.path, message, _RULE))

    def unset(self, reference: _Reference, site: _Site) -> None:
        if site.hidden:
            message = f"{_outer(site)} puts in a reference to a variable that is not set; {_NO_REFERENCE}"
        else:
            name = reference.written.removeprefix("env:")
            message = f'the environment variable {name} is not set; "${{env:{name}:-}}" is empty without this warning'
        self.warnings.append(Problem(site.mark, site.path, message, "unset-variable"))


def _source(written: str) -> str:
    """How marks call a file or an address: as it is written, so without any value from outside."""
    return _discreet(written).removeprefix("file:")


def _shown(written: str) -> str:
    return f"${{{_discreet(written)}}}"


def _discreet(written: str) -> str:
    return shown_url(written) if written.startswith(("http:", "https:")) else written


def _outer(site: _Site) -> str:
    return f'"{_shown(site.chain[-1][1])}"'


def _chain(site: _Site, reference: _Reference) -> str:
    shown = [_shown(written) for written in (*(written for _, written in site.chain), reference.written)]
    return " → ".join(shown if len(shown) < 8 else [*shown[:6], "…"])


@dataclass(slots=True)
class _Opened:
    """What was begun with ``${`` and waits for its ``}``."""

    start: int
    is_literal: bool
    parts: list[str | _Reference] = field(default_factory=list[str | _Reference])


def _parts(text: str) -> list[str | _Reference]:
    """The text in its parts, with ``$$`` as ``$``; what is begun and not ended is no reference.

    A reference with an escaped one in it is none either.
    """
    opened = [_Opened(0, is_literal=True)]
    position = 0
    for token in _TOKEN.finditer(text):
        opened[-1].parts.append(text[position : token.start()])
        position = token.end()
        dollars = token[0].count("$")
        if token[0].endswith("{"):
            opened[-1].parts.append("$" * ((dollars - 1) // 2))
            opened.append(_Opened(token.end(), is_literal=dollars % 2 == 0))
        elif token[0] == "}" and len(opened) > 1:
            closed = opened.pop()
            if closed.is_literal:
                opened[-1].parts += ["${", *closed.parts, "}"]
                opened[-1].is_literal = True
            else:
                opened[-1].parts.append(_Reference(closed.parts, text[closed.start : token.start()]))
        else:
            opened[-1].parts.append("$" * ((dollars + 1) // 2) or "}")
    opened[-1].parts.append(text[position:])
    return [part for part in _flat(opened) if part != ""]


def _flat(opened: list[_Opened]) -> Iterator[str | _Reference]:
    for level, what in enumerate(opened):
        if level:
            yield "${"
        yield from what.parts
