"""What is wrong with a configuration, and where it was written."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a source: line and column count from 1."""

    source: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where, in which option, and what would be right."""

    mark: Mark
    path: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        where = "::".join(self.path)
        return f"{self.mark}: {where}: {self.message}" if where else f"{self.mark}: {self.message}"


class ConfigError(Exception):
    """A configuration that cannot be used, with every problem found in it, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(set(problems), key=lambda p: (p.mark, p.path, p.message))
        super().__init__("\n".join(map(str, self.problems)))
