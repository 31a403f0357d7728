"""What can be asked of an item, or written to it: its attributes and fields, and those of what it belongs to."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["resource", "scope", "metric", "item", "event", "link", "exemplar"]
"""Whose: ``metric`` and ``exemplar`` are there for metrics, ``event`` and ``link`` for spans.

An item has several events, links and exemplars; a condition on them holds where it holds for one of them.
"""


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute; of those with the same key the first."""

    level: Level
    key: str
    path: tuple[str | int, ...] = ()
    """Keys and indexes to follow inside its value: ``("user", 0)``."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the message itself, by its name in OTTL (snake_case, points between levels).

    For example ``Field("item", "status.code")``, ``Field("item", "body")``, ``Field("metric", "name")``,
    ``Field("scope", "version")``, ``Field("resource", "schema_url")``. Of a span, ``duration`` is its end less its
    start, in nanoseconds. Ids are lower-case hexadecimal texts.
    """

    level: Level
    name: str
    path: tuple[str | int, ...] = ()
    """Keys and indexes to follow inside a body that is a map or an array."""


Source = Attribute | Field
