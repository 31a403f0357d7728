"""Where a configuration is read from: ``--config`` in all its forms, ``--set``, or the one that is built in."""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from importlib.resources import files
from pathlib import Path

from airis.component.config import Scalar
from airis.config.document import MAX_DEPTH, Node, Place, compose, end_of
from airis.config.errors import ConfigError, Mark, Problem
from airis.config.merge import SEPARATOR, merge, nest, unfold
from airis.config.model import Sources
from airis.config.providers import SCHEMES, Unavailable, read_file, read_url, read_variable, scheme_of, shown_url
from airis.config.substitution import substitute

DEFAULT_SOURCE = "built-in configuration"
DEFAULT_FILE = "default.yaml"

_UNREADABLE = "unreadable-source"
_SUFFIXES = (".yaml", ".yml")
_FIRST_KEY = re.compile(r"\s*([\w./:-]*[\w./-]):(\s|$)")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A configuration that is not yet decoded: merged, and with every reference put in."""

    root: Node
    texts: Mapping[str, str]
    """By `Mark.source` the text to quote from; nothing of what may be secret: the environment, what is put in."""
    title: str
    """How messages call the whole: ``airis.yaml``, ``a.yaml, b.yaml``, ``built-in configuration``."""
    files: tuple[Path, ...]
    """Every file and folder that was asked for, also those that were not there."""


def default_text() -> str:
    """The built-in configuration, as YAML with its comments."""
    return files("airis.config").joinpath(DEFAULT_FILE).read_text(encoding="utf-8")


def resolve(
    sources: Sources, environment: Mapping[str, str], problems: list[Problem], warnings: list[Problem]
) -> Resolved:
    """What the sources say together; raises nothing, but adds what is wrong with any of them to `problems`.

    A source that cannot be read is left out of the result, so what others say of it may be missed there. Blocks while
    files and addresses are read.
    """
    reading = _Reading(environment, problems)
    titles = [reading.config(location) for location in sources.configs]
    if not sources.configs:
        titles = [DEFAULT_SOURCE]
        reading.document(DEFAULT_SOURCE, default_text())
    for setting in sources.sets:
        reading.setting(setting)
    merged = reduce(merge, reading.roots or [Node(Mark(titles[0], 1, 1), {})])
    root = substitute(merged, environment, problems, warnings, reading.files)
    return Resolved(root, reading.texts, ", ".join(titles), tuple(dict.fromkeys(reading.files)))


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the sources said so far."""

    environment: Mapping[str, str]
    problems: list[Problem]
    roots: list[Node] = field(default_factory=list[Node])
    texts: dict[str, str] = field(default_factory=dict[str, str])
    files: list[Path] = field(default_factory=list[Path])

    def config(self, location: str) -> str:
        """Read what stands after --config; the answer is how messages call it."""
        scheme = scheme_of(location)
        rest = location.partition(":")[2] if scheme else location
        match scheme:
            case None | "file":
                self.path(rest)
                return rest
            case "env":
                return self.variable(rest)
            case "yaml":
                source = self.unused(_inline_name(rest))
                self.document(source, rest)
                return source
            case "http" | "https":
                return self.address(location)
            case _:
                source = f"--config {scheme}:…"
                hint = 'a path with a colon in it is written "file:…"'
                self.problem(source, f'unknown scheme "{scheme}"; valid here: {", ".join(SCHEMES)}; {hint}')
                return source

    def path(self, location: str) -> None:
        path = Path(location)
        if not location:
            self.problem("--config", "the path is empty")
        elif not path.is_dir():
            self.file(location)
        else:
            self.files.append(path)
            try:
                found = sorted(file for file in path.iterdir() if _is_part(file))
            except OSError as error:
                self.problem(location, f"the folder cannot be read: {error.strerror}")
                return
            if not found:
                self.problem(location, "this folder has no *.yaml or *.yml in it")
            for file in found:
                self.file(str(file))

    def file(self, location: str) -> None:
        path = Path(location)
        self.files.append(path)
        try:
            self.encoded(location, read_file(path))
        except Unavailable as error:
            looked_for = "" if path.is_absolute() else f'; looked for "{path.absolute()}"'
            self.problem(location, f"{error}{looked_for}")

    def address(self, location: str) -> str:
        source = self.unused(shown_url(location))
        try:
            self.encoded(source, read_url(location))
        except Unavailable as error:
            self.problem(source, str(error))
        return source

    def variable(self, rest: str) -> str:
        source = f"env:{rest.partition(':-')[0]}"
        try:
            text = read_variable(rest, self.environment)
        except Unavailable as error:
            self.problem(source, str(error))
        else:
            if text is None:
                self.problem(source, "the environment variable is not set")
            else:
                self.document(source, text, from_environment=True)
        return source

    def encoded(self, source: str, data: bytes) -> None:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode()
            mark = end_of(before, lambda line, column: Mark(source, line, column))
            self.problems.append(Problem(mark, (), "not UTF-8 text", _UNREADABLE))
        else:
            self.document(source, text)

    def document(self, source: str, text: str, from_environment: bool = False) -> None:
        if not from_environment:
            self.texts[source] = text
        root = self.composed(text, lambda line, column: Mark(source, line, column), (), from_environment)
        if root is None or (isinstance(root.value, Scalar) and root.value.value is None):
            return
        if isinstance(root.value, dict):
            self.roots.append(unfold(root))
        else:
            found = "a list" if isinstance(root.value, list) else "text"
            self.problems.append(
                Problem(root.mark, (), f"a configuration is a mapping, and this is {found}", "wrong-type")
            )

    def setting(self, setting: str) -> None:
        """Read what stands after --set."""
        before, equals, value = setting.partition("=")
        names = [name.strip() for name in before.replace(SEPARATOR, ".").split(".")]
        source = self.unused(f"--set {before.strip()}")
        if not equals or not all(names) or len(names) > MAX_DEPTH:
            self.problem(source, 'not a setting; write "--set processors.batch.timeout=2s"', "invalid-set")
            return
        self.texts[source] = setting

        def place(line: int, column: int) -> Mark:
            return Mark(source, line, column + len(before) + 1 if line == 1 else column)

        node = self.composed(value, place, tuple(names))
        if node is not None:
            self.roots.append(nest(names, Mark(source, 1, 1), unfold(node, len(names))))

    def composed(self, text: str, place: Place, path: tuple[str, ...], from_environment: bool = False) -> Node | None:
        try:
            return compose(text, place, substituted=from_environment)
        except ConfigError as error:
            self.problems.extend(replace(problem, path=(*path, *problem.path)) for problem in error.problems)
            return None

    def unused(self, source: str) -> str:
        """The name, with a number if the same was given before."""
        names = (f"{source} ({number})" if number > 1 else source for number in itertools.count(1))
        return next(name for name in names if name not in self.texts)

    def problem(self, source: str, message: str, rule: str = _UNREADABLE) -> None:
        self.problems.append(Problem(Mark(source, 1, 1), (), message, rule))


def _is_part(file: Path) -> bool:
    """Whether a folder that is given as a source has it among its parts."""
    return file.suffix in _SUFFIXES and not file.name.startswith(".") and not file.is_dir()


def _inline_name(text: str) -> str:
    """How messages call an inline source: by its first key, as the values may be secret."""
    found = _FIRST_KEY.match(text)
    return f"yaml:{found[1]}" if found else "yaml:…"
