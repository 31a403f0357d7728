"""Which part of a batch a route's condition holds for."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from airis.data import Batch, Origin, Signal
from airis.data.fields import Field, Source
from airis.data.kernels import View
from airis.ottl.contexts import Here
from airis.ottl.contexts.fields import data_of
from airis.ottl.functions import CONVERTERS
from airis.ottl.inference import inferred
from airis.ottl.options import ConditionsConfig, ErrorMode, Group, Unusable, compiled
from airis.ottl.parser import parse_condition
from airis.ottl.payload import CONTEXTS_OF, here_of
from airis.ottl.running import Faults, parsed
from airis.ottl.syntax import OttlError

ITEM_CONTEXTS = ("span", "metric", "datapoint", "log")
CONTEXTS = ("request", "resource", *ITEM_CONTEXTS)
_REQUEST = re.compile(r'\s*request\["([^"]*)"\]\s*(==|!=)\s*"([^"]*)"\s*')
_STATEMENT = re.compile(r"\s*route\(\s*\)\s*(?:where\b(.*))?", re.DOTALL)
_RESOURCE: Sequence[Source] = [
    Field("resource", name) for name in ("attributes", "schema_url", "dropped_attributes_count")
]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a batch, of one resource where a condition asks for resources."""

    view: View
    batch: Batch
    """That it is part of."""
    is_copied: bool = False
    """Whether a pipeline has it already."""

    def request(self, view: View | None = None) -> Any:
        """The message of it, or of a part of it."""
        return parsed(self.batch.signal, (view or self.view).payload)


class Requested:
    """``request["key"] == "value"``: about what the client sent, so that all of a batch or nothing is meant."""

    asks_for_resources = False

    def __init__(self, key: str, value: str, *, equal: bool) -> None:
        self._key = key.lower()
        self._value = value
        self._equal = equal

    def parted(self, piece: Piece, faults: Faults) -> tuple[View | None, View | None]:
        """What it holds for, and the rest."""
        sent = _sent(piece.batch.origin, self._key)
        holds = sent is not None and (sent == self._value) is self._equal
        return (piece.view, None) if holds else (None, piece.view)


def _sent(origin: Origin, key: str) -> str | None:
    values = origin.metadata.get(key, ())
    return values[0] if values else None


class Always:
    """A statement without a condition."""

    asks_for_resources = False

    def parted(self, piece: Piece, faults: Faults) -> tuple[View | None, View | None]:
        """What it holds for, and the rest."""
        return piece.view, None


class OfResources:
    """A condition on resources: the items are not read."""

    asks_for_resources = True

    def __init__(self, group: Group) -> None:
        self._group = group

    def parted(self, piece: Piece, faults: Faults) -> tuple[View | None, View | None]:
        """What it holds for, and the rest."""
        first = piece.view.select(bytes([1]) + bytes(piece.view.items - 1))
        (here,) = here_of(piece.batch.signal, piece.request(first), "resource", piece.batch.origin.metadata)
        return (piece.view, None) if faults.any_holds(self._group, here) else (None, piece.view)


class OfItems:
    """A condition on spans, metrics, data points or log records."""

    asks_for_resources = False

    def __init__(self, group: Group) -> None:
        self._group = group

    def parted(self, piece: Piece, faults: Faults) -> tuple[View | None, View | None]:
        """What it holds for, and the rest."""
        found = here_of(piece.batch.signal, piece.request(), self._group.context, piece.batch.origin.metadata)
        mask = b"".join(_bytes(faults.any_holds(self._group, here), self._items(here)) for here in found)
        if not any(mask):
            return None, piece.view
        if all(mask):
            return piece.view, None
        return piece.view.select(mask), piece.view.select(mask.translate(_OPPOSITE))

    def _items(self, here: Here) -> int:
        if self._group.context != "metric":
            return 1
        data = data_of(here.metric)
        return len(data.data_points) if data is not None else 0


_OPPOSITE = bytes([1, 0, *range(2, 256)])


def _bytes(holds: bool, items: int) -> bytes:
    return bytes([holds]) * items


Condition = Requested | Always | OfResources | OfItems


def condition_of(text: str, context: str, signal: Signal, error_mode: ErrorMode) -> Condition:
    """Compile a condition; Unusable says what is wrong with it."""
    if context == "request":
        match = _REQUEST.fullmatch(text)
        if match is None:
            raise Unusable(
                'in the context request a condition is request["key"] == "value" or request["key"] != "value"'
            )
        return Requested(match[1], match[3], equal=match[2] == "==")
    allowed = [name for name in CONTEXTS_OF[signal] if name in CONTEXTS]
    try:
        context = context or inferred([parse_condition(text)], CONTEXTS_OF[signal], CONVERTERS) or "resource"
    except OttlError as error:
        raise Unusable(str(error)) from error
    if context not in allowed:
        raise Unusable(f"{signal} are not routed by {context}, but by request, {', '.join(allowed)}")
    group = compiled(ConditionsConfig(context=context, conditions=[text]), signal, error_mode, CONVERTERS)
    return OfResources(group) if context == "resource" else OfItems(group)


def condition_in(statement: str) -> str | None:
    """The condition of ``route() where …``, None where there is none. Raises Unusable for another statement."""
    match = _STATEMENT.fullmatch(statement)
    if match is None:
        raise Unusable(
            "a statement is route() where and a condition; what changes telemetry belongs in a transform processor "
            "behind the route"
        )
    return match[1].strip() if match[1] else None


def pieces_of(batch: Batch, conditions: Iterable[Condition]) -> list[Piece]:
    """A batch for these conditions."""
    view = batch.view()
    if not any(condition.asks_for_resources for condition in conditions):
        return [Piece(view, batch)]
    return [Piece(part, batch) for _, part in view.group(_RESOURCE, max(1, view.items))]
