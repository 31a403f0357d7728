"""The configuration's own mappings, and what their sections configure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from airis.component import Config, Factory, Kind
from airis.component.config import Scalar
from airis.config.decode import nearest, suggestion
from airis.config.document import Entry, Node
from airis.config.errors import Findings, Mark
from airis.config.wording import HIDDEN, is_key_hidden, shown
from airis.data import Signal

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Configured:
    """What there is for references to refer to, right or wrong: one mistake is not reported twice."""

    ids: dict[Kind, dict[str, Mark]] = field(default_factory=lambda: {kind: dict[str, Mark]() for kind in Kind})
    """Where each component is configured, by its id."""
    factories: dict[Kind, dict[str, Factory]] = field(
        default_factory=lambda: {kind: dict[str, Factory]() for kind in Kind}
    )
    """Of those whose type is known."""
    options: dict[Kind, dict[str, Config]] = field(default_factory=lambda: {kind: dict[str, Config]() for kind in Kind})
    """Of those that have no mistake in them."""
    unread: set[Kind] = field(default_factory=set[Kind])
    """Kinds whose section cannot be read: anything may be in it."""
    mistaken: set[str] = field(default_factory=set[str])
    """What can be referred to in vain, because there is a mistake where it is configured."""

    def is_anything(self, reference: str, *kinds: Kind) -> bool:
        """Whether a reference to one of these kinds is right, or is wrong because of something else."""
        return (
            any(reference in self.ids[kind] for kind in kinds)
            or reference in self.mistaken
            or not self.unread.isdisjoint(kinds)
        )


@dataclass(frozen=True, slots=True)
class Reference:
    """A component that is named in a list, and where."""

    component_id: str
    mark: Mark
    path: Path


@dataclass(slots=True)
class ReadPipeline:
    """A pipeline as far as it could be read."""

    pipeline_id: str
    signal: Signal | None
    """None if it is not known: what depends on it is not checked."""
    mark: Mark
    references: dict[Kind, list[Reference]] = field(default_factory=dict[Kind, list[Reference]])

    def ids(self, kind: Kind) -> tuple[str, ...]:
        """What is named, in its order."""
        return tuple(reference.component_id for reference in self.references[kind])


def article(kind: Kind) -> str:
    """``a receiver``, ``an exporter``."""
    return f"{'an' if kind.value[0] in 'aeiou' else 'a'} {kind}"


def is_null(node: Node) -> bool:
    """Whether nothing is written."""
    return isinstance(node.value, Scalar) and node.value.value is None


def mapping(entry: Entry | None, path: Path, findings: Findings) -> Mapping[str, Entry] | None:
    """What is in a mapping; nothing and null are an empty one, None is said of anything else."""
    if entry is None or is_null(entry.node):
        return {}
    if isinstance(entry.node.value, dict):
        return entry.node.value
    findings.error("wrong-type", entry.node.mark, path, f"expected a mapping, got {shown(entry.node)}")
    return None


def sections(node: Node, valid: Iterable[str], path: Path, findings: Findings) -> dict[str, Entry]:
    """The entries of a mapping with a valid key. One that is nearly right is reported, and taken as what was meant."""
    names, entries = list(valid), node.value if isinstance(node.value, dict) else {}
    found = {key: entry for key, entry in entries.items() if key in names}
    for key, entry in entries.items():
        if key in names:
            continue
        written = HIDDEN if is_key_hidden(node, entry) else key
        findings.error("unknown-option", entry.key_mark, path, f'unknown option "{written}"; {suggestion(key, names)}')
        meant = nearest(key, names)
        if meant:
            found.setdefault(meant, entry)
    return found
