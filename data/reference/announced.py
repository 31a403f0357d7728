"""What remote-write senders said of targets and of metric families, for the requests after it."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from airis.proto.remote_write import METRIC_TYPES

Target = tuple[str, str]
"""Job and instance."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_ENTRY_BYTES = 100
"""What an entry takes besides its texts, about."""
_SUFFIXES = {
    "_total": ("counter",),
    "_bucket": ("histogram", "gaugehistogram"),
    "_sum": ("histogram", "summary"),
    "_count": ("histogram", "summary"),
    "_gsum": ("gaugehistogram",),
    "_gcount": ("gaugehistogram",),
    "_info": ("info",),
}
"""Endings of a series' name, and the types of the families that have such series."""


@dataclass(frozen=True, slots=True)
class Family:
    """Type, help and unit of a metric family."""

    type_number: int = 0
    help: str = ""
    unit: str = ""

    @property
    def type_name(self) -> str:
        """The type's name; one that is not known is ``unknown``."""
        return METRIC_TYPES[self.type_number] if self.type_number < len(METRIC_TYPES) else METRIC_TYPES[0]


class Announced:
    """What was announced, up to a size; what was not announced again for longest goes."""

    def __init__(self, capacity_bytes: int = 16 * 1024 * 1024) -> None:
        """Room for so many bytes of targets, and as many of families."""
        self._targets = _Generations[Target, list[tuple[str, str]]](capacity_bytes)
        self._families = _Generations[str, Family](capacity_bytes)

    def __len__(self) -> int:
        return len(self._targets) + len(self._families)

    def add(self, written: Any) -> None:
        """Note what a request announced."""
        for target, attributes in sorted(written.targets.items(), key=lambda item: tuple(map(str.encode, item[0]))):
            texts = (*target, *(text for pair in attributes for text in pair))
            self._targets.insert(target, attributes, sum(len(text.encode()) for text in texts))
        for name, family in written.families:
            self._families.insert(name, family, sum(len(t.encode()) for t in (name, family.help, family.unit)))
        written.targets, written.families = {}, []

    def target(self, target: Target) -> list[tuple[str, str]]:
        """What is known of a target."""
        return self._targets.get(target) or []

    def family(self, name: str) -> Family | None:
        """What is known of a family."""
        return self._families.get(name)


def family_of(name: str, find: Callable[[str], Family | None]) -> Family:
    """The family of a series: of its name, or of that without the ending that its type gives to series."""
    if (family := find(name)) is not None:
        return family
    for suffix, types in _SUFFIXES.items():
        stem = name.removesuffix(suffix)
        if stem and stem != name and (family := find(stem)) is not None and family.type_name in types:
            return family
    return Family()


class _Generations(Generic[K, V]):
    """Entries in two generations: when the younger one is half of what there is room for, the older one goes."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._young: dict[K, tuple[V, int]] = {}
        self._old: dict[K, tuple[V, int]] = {}
        self._young_size = 0

    def __len__(self) -> int:
        return len({*self._young, *self._old})

    def get(self, key: K) -> V | None:
        found = self._young.get(key) or self._old.get(key)
        return found[0] if found else None

    def insert(self, key: K, value: V, size: int) -> None:
        size += _ENTRY_BYTES
        if size > self._capacity // 2:
            return
        if self._young_size + size > self._capacity // 2:
            self._old, self._young, self._young_size = self._young, {}, 0
        self._young_size += size - self._young.get(key, (None, 0))[1]
        self._young[key] = (value, size)
