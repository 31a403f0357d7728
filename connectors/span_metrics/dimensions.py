"""What the kernels are asked of spans, and what it becomes: the attributes of series, and those of resources."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airis.connectors.span_metrics.options import (
    KIND,
    NAME,
    SERVICE,
    STATUS,
    Dimension,
    SpanMetricsConfig,
)
from airis.data.fields import Attribute, Field, Source
from airis.ottl.values import Value

KINDS = tuple(f"SPAN_KIND_{name}" for name in ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
STATUSES = ("STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR")
SCOPE_NAME, SCOPE_VERSION = "span.instrumentation.scope.name", "span.instrumentation.scope.version"
SERVICE_INDEX = 0
"""Of the service's name among the values."""
_KEYS = frozenset({str, int, bool, type(None)})


def _word(words: Sequence[str]) -> Callable[[Any], str]:
    return lambda number: words[number or 0] if 0 <= (number or 0) < len(words) else ""


_FIXED: Mapping[str, tuple[Source, Callable[[Any], Value]]] = {
    SERVICE: (Attribute("resource", SERVICE), lambda value: value if isinstance(value, str) else ""),
    NAME: (Field("item", "name"), lambda value: value or ""),
    KIND: (Field("item", "kind"), _word(KINDS)),
    STATUS: (Field("item", "status.code"), _word(STATUSES)),
}


@dataclass(frozen=True, slots=True)
class _Part:
    """An attribute of a series: where its value is, the first that there is, and how it is written."""

    name: str
    places: tuple[int, ...]
    default: Value
    convert: Callable[[Any], Value]

    def of(self, values: Sequence[Any]) -> Value:
        found = next((values[place] for place in self.places if values[place] is not None), self.default)
        return self.convert(found)


class Projection:
    """The attributes of the series of one metric."""

    def __init__(self, parts: Sequence[_Part], scope: tuple[int, frozenset[str]] | None) -> None:
        self._parts = parts
        self._scope = scope

    def of(self, values: Sequence[Any]) -> tuple[Hashable, Mapping[str, Value]]:
        """A key that only these attributes have, and the attributes."""
        attributes = {part.name: found for part in self._parts if (found := part.of(values)) is not None}
        if self._scope is not None:
            place, names = self._scope
            name, version = values[place], values[place + 1]
            if name in names:
                attributes[SCOPE_NAME] = name
                if version:
                    attributes[SCOPE_VERSION] = version
        return key_of(attributes), attributes


class Layout:
    """The sources, and where in what is found there each of them is."""

    def __init__(self, config: SpanMetricsConfig) -> None:
        self._places: dict[Source, int] = {}
        self._config = config
        self._place(_FIXED[SERVICE][0])
        self._fixed = [
            _Part(name, (self._place(source),), None, convert)
            for name, (source, convert) in _FIXED.items()
            if name not in config.exclude_dimensions
        ]
        self._scope = None
        if config.include_instrumentation_scope:
            place = self._place(Field("scope", "name"))
            self._place(Field("scope", "version"))
            self._scope = place, frozenset(config.include_instrumentation_scope) - {""}
        self._resource = self._place(Field("resource", "attributes")) if config.add_resource_attributes else None
        self._has_any_types = self._resource is not None

    @property
    def sources(self) -> list[Source]:
        """To ask for, of all projections that were made."""
        return list(self._places)

    def projection(self, dimensions: Iterable[Dimension]) -> Projection:
        """Of a metric with these dimensions beside the fixed ones."""
        parts = list(self._fixed)
        for each in dimensions:
            places = (self._place(Attribute("item", each.name)), self._place(Attribute("resource", each.name)))
            parts.append(_Part(each.name, places, each.default, lambda value: value))
            self._has_any_types = True
        return Projection(parts, self._scope)

    def resource(self, values: Sequence[Any]) -> tuple[Hashable, Mapping[str, Value]]:
        """What tells the resource from others, and its attributes."""
        if self._resource is None:
            return None, {}
        attributes: Mapping[str, Value] = values[self._resource] or {}
        keys = self._config.resource_metrics_key_attributes
        telling = {key: attributes[key] for key in keys if key in attributes} if keys else attributes
        return key_of(dict(sorted(telling.items()))), attributes

    def raw_key(self, values: tuple[Any, ...], tenant: str) -> Hashable:
        """Of all values, where that is less work than the keys that it stands for; None where it would be more."""
        if self._resource is not None:
            return None
        if not self._has_any_types:
            return tenant, values
        # 1, 1.0 and True are one key in Python; a list is none, and not-a-number would be another one every time.
        types = tuple(map(type, values))
        return (tenant, values, types) if _KEYS.issuperset(types) else None

    def _place(self, source: Source) -> int:
        return self._places.setdefault(source, len(self._places))


def key_of(attributes: Mapping[str, Value]) -> Hashable:
    """What only the same attributes with the same values of the same types have."""
    return tuple(
        (name, value if isinstance(value, str) else (type(value).__name__, repr(value)))
        for name, value in attributes.items()
    )
