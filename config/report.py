"""What was found in a configuration, for people, for programs (JSON) and for code scanning (SARIF 2.1.0)."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote

from airis import __version__
from airis.config.errors import RULES, ConfigError, Problem, printable
from airis.config.model import Configuration

if TYPE_CHECKING:
    from airis.config.excerpt import Source

PAGE = "docs/config.md"
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

_BOLD, _RED, _YELLOW, _OFF = "\x1b[1m", "\x1b[1;31m", "\x1b[1;33m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Report:
    """Mistakes and warnings in the order of the files, and the texts that excerpts are taken from."""

    errors: Sequence[Problem] = ()
    warnings: Sequence[Problem] = ()
    texts: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, found: ConfigError | Configuration) -> "Report":
        """What is said of a configuration that cannot be used, or of one that can."""
        errors = found.problems if isinstance(found, ConfigError) else ()
        return cls(errors, found.warnings, found.texts)

    @property
    def is_unread(self) -> bool:
        """Whether nothing is wrong but that a source cannot be read."""
        return bool(self.errors) and all(problem.rule == "unreadable-source" for problem in self.errors)

    def text(self, *, colour: bool = False, consequence: str = "nothing was started") -> str:
        """Each problem in a line that begins with its place, its excerpt, and a summary; empty if there is nothing.

        The summary says the `consequence` of errors.
        """
        sources: dict[str, Source] = {}
        lines: list[str] = []
        for problem in self.warnings:
            lines += self._lines(problem, "warning", sources, colour=colour)
        for problem in self.errors:
            lines += self._lines(problem, "", sources, colour=colour)
        counts = [_counted(self.errors, "error"), _counted(self.warnings, "warning")]
        summary = ", ".join(filter(None, counts))
        ending = f"; {consequence}" if self.errors else ""
        return "\n".join([*lines, f"{summary}{ending}. See {PAGE}", ""]) if summary else ""

    def json(self) -> str:
        """An object with the counts and ``problems``; each has the keys of `_as_object`."""
        problems = [_as_object(problem, severity) for problem, severity in self._all()]
        document = {"errors": len(self.errors), "warnings": len(self.warnings), "problems": problems}
        return json.dumps(document, indent=2)

    def sarif(self) -> str:
        """A log with one run, for GitHub's code scanning among others."""
        used = dict.fromkeys(problem.rule for problem, _ in self._all())
        names = [*RULES, *(rule for rule in used if rule not in RULES)]
        rules = [_rule(name) for name in names]
        results = [
            {
                "ruleId": problem.rule,
                "ruleIndex": names.index(problem.rule),
                "level": severity,
                "message": {"text": _message(problem)},
                "locations": [_location(problem)],
            }
            for problem, severity in self._all()
        ]
        driver = {"name": "airis", "version": __version__, "rules": rules}
        run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
        return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)

    def _all(self) -> Iterable[tuple[Problem, str]]:
        yield from ((problem, "error") for problem in self.errors)
        yield from ((problem, "warning") for problem in self.warnings)

    def _lines(self, problem: Problem, label: str, sources: "dict[str, Source]", *, colour: bool) -> list[str]:
        """A problem for people: a line, and the two of the excerpt where there is one."""
        from airis.config.excerpt import Source  # of no use to a configuration that is right

        bold, strong, off = (_BOLD, _YELLOW if label else _RED, _OFF) if colour else ("", "", "")
        said = f"{strong}{label}:{off} " if label else ""
        line = f"{said}{bold}{printable(str(problem.mark))}:{off} {printable(_message(problem))}"
        name = problem.mark.source
        if name not in self.texts:
            return [line]
        if name not in sources:
            sources[name] = Source(self.texts[name])
        excerpt = sources[name].excerpt(problem.mark, shown=problem.shown)
        if excerpt is None:
            return [line]
        written, before = excerpt
        number = str(problem.mark.line)
        return [line, f"{number:>5} | {written}", f"{'':>5} | {' ' * before}{strong}^{off}"]


def wants_colour(stream: TextIO) -> bool:
    """Whether it is a terminal, and nobody asked for none (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def _as_object(problem: Problem, severity: str) -> dict[str, Any]:
    """``severity`` is error or warning, ``rule`` one of `RULES`; line and column count from 1, in characters."""
    return {
        "severity": severity,
        "rule": problem.rule,
        "source": problem.mark.source,
        "line": problem.mark.line,
        "column": problem.mark.column,
        "path": list(problem.path),
        "message": problem.message,
    }


def _counted(problems: Sequence[Problem], noun: str) -> str:
    count = len(problems)
    return f"{count} {noun}{'s' * (count > 1)}" if count else ""


def _message(problem: Problem) -> str:
    where = "::".join(problem.path)
    return f"{where}: {problem.message}" if where else problem.message


def _rule(name: str) -> dict[str, Any]:
    text = {"text": RULES.get(name, name)}
    return {"id": name, "shortDescription": text, "fullDescription": text, "help": {"text": f"See {PAGE}"}}


def _location(problem: Problem) -> dict[str, Any]:
    mark = problem.mark
    place: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(mark.source)},
            "region": {"startLine": mark.line, "startColumn": mark.column},
        }
    }
    if problem.path:
        place["logicalLocations"] = [{"fullyQualifiedName": "::".join(problem.path)}]
    return place


def _uri(source: str) -> str:
    """A file below the current directory as a relative path, as code scanning wants it."""
    path = Path(source)
    if path.is_absolute():
        return quote(str(path.relative_to(Path.cwd()))) if path.is_relative_to(Path.cwd()) else path.as_uri()
    return quote(source)
