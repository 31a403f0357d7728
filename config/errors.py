"""What is wrong with a configuration, or may not be meant, and where it was written."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

RULES: Mapping[str, str] = MappingProxyType(
    {
        "unreadable-source": "A file, variable or address named as a source cannot be read.",
        "invalid-yaml": "The text is not YAML, or a construct of YAML that a configuration cannot have.",
        "duplicate-key": "A key is written twice in one mapping.",
        "invalid-reference": "A ${…} cannot be resolved.",
        "invalid-set": "A --set is not of the form a.b.c=value.",
        "unknown-option": "There is no such option here.",
        "unsupported-option": "The Collector has this option, airis does not.",
        "missing-option": "A required option has no value.",
        "wrong-type": "The value is of another type than the option.",
        "unknown-value": "The option has a fixed choice of values, and this is none of them.",
        "out-of-range": "The number, or the length, is outside of what the option allows.",
        "invalid-value": "The value does not have the form, or does not keep the rule, of the option or section.",
        "invalid-id": "A component or pipeline is not named type or type/name.",
        "unknown-component": "There is no component of this type.",
        "unsupported-component": "The Collector has a component of this type, airis does not.",
        "duplicate-component": "Two keys are the same id once the blanks around them are taken away.",
        "ambiguous-component": "A connector has the id of a receiver or of an exporter.",
        "undefined-reference": "What is referred to is not configured.",
        "wrong-authenticator": "An extension is named as an authenticator that is none, or one of the other side.",
        "duplicate-reference": "A processor is named twice in one pipeline.",
        "unknown-signal": "A pipeline is of no signal.",
        "unsupported-signal": "airis does not have the signal, or the component does not take it.",
        "incomplete-pipeline": "A pipeline has no receiver or no exporter.",
        "no-pipeline": "There is no pipeline.",
        "unconnected-connector": "A connector ends pipelines and begins none, or the other way round.",
        "cycle": "Pipelines hand on to each other in a circle.",
        "cannot-start": "The components do not fit together.",
        "unset-variable": "An environment variable is not set and has no default.",
        "deprecated-name": "The Collector has renamed this component type; the old name still works.",
        "repeated-reference": "A component is named twice in one list; once is enough.",
        "unused-component": "A component is configured and no pipeline names it.",
        "extension-not-started": "An extension is configured and service::extensions does not name it.",
        "memory-limiter-not-first": "What stands before the memory limiter is not protected by it.",
        "batch-before-sampler": "Joining before sampling is work for items that are then left out.",
        "open-endpoint": "Whoever reaches the machine can connect, without TLS and without authentication.",
        "queue-in-memory": "A sending queue is lost in a crash although there is a storage extension.",
    }
)
"""What a `Problem` may be an instance of. Programs rely on these names: add to them, do not change them."""


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
    """One mistake, or one thing that may not be meant: where, in which option, and what would be right."""

    mark: Mark
    path: tuple[str, ...]
    message: str
    rule: str = "invalid-value"
    """One of `RULES`."""
    shown: bool = False
    """The value at the mark may be repeated: it is no secret and does not come from outside the file."""

    def __str__(self) -> str:
        where = "::".join(self.path)
        return printable(f"{self.mark}: {where}: {self.message}" if where else f"{self.mark}: {self.message}")


@dataclass(slots=True)
class Findings:
    """What was found so far, in any order."""

    errors: list[Problem] = field(default_factory=list[Problem])
    warnings: list[Problem] = field(default_factory=list[Problem])

    def error(self, rule: str, mark: Mark, path: Iterable[str], message: str) -> None:
        """Add a mistake: the configuration cannot be used."""
        self.errors.append(Problem(mark, tuple(path), message, rule))

    def warn(self, rule: str, mark: Mark, path: Iterable[str], message: str) -> None:
        """Add what may not be meant."""
        self.warnings.append(Problem(mark, tuple(path), message, rule))


class ConfigError(Exception):
    """A configuration that cannot be used, with every problem found in it, in the order of the file."""

    def __init__(
        self,
        problems: Iterable[Problem],
        warnings: Iterable[Problem] = (),
        texts: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`texts` are the sources by the names in the marks, for excerpts; one that is not known has none."""
        self.problems = in_order(problems)
        self.warnings = in_order(warnings)
        self.texts = texts
        super().__init__("\n".join(map(str, self.problems)))


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """The problems as they come in the files, each once."""
    return sorted(set(problems), key=lambda p: (p.mark, p.path, p.message))


def printable(text: str) -> str:
    """The text without what a terminal would act upon: such characters are written as in Python."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
