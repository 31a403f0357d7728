"""Messages rewritten one by one."""

from collections.abc import Callable, Collection
from typing import Any

from google.protobuf.message import DecodeError

from airis.data.malformed import MalformedPayload
from airis.data.reference.places import Level, copied, members, owners, points, scopes

Function = Callable[[Level, bytes], bytes | None]

_NUMBERS = {"gauge", "sum"}
"""Kinds of data with the same points."""


def rewrite(signal: str, message: Any, function: Function, levels: Collection[Level], mask: bytes | None) -> Any:
    """The request with what the function makes of its messages; None where nothing changed."""
    writer = _Writer(function, levels, mask)
    made = copied(message)
    for owner in owners(signal, made):
        count = sum(_items(signal, scoped) for scoped in scopes(signal, owner))
        writer.message("resource", owner, "resource", count)
        for scoped in scopes(signal, owner):
            writer.message("scope", scoped, "scope", _items(signal, scoped))
            for member in members(signal, scoped):
                if signal == "metrics":
                    writer.metric(member)
                else:
                    writer.item(member)
    return made if writer.changed else None


def _items(signal: str, scoped: Any) -> int:
    listed = members(signal, scoped)
    return sum(len(points(metric)) for metric in listed) if signal == "metrics" else len(listed)


class _Writer:
    def __init__(self, function: Function, levels: Collection[Level], mask: bytes | None) -> None:
        self.function = function
        self.levels = levels
        self.mask = mask
        self.seen = 0
        """Items before those that come next."""
        self.changed = False

    def message(self, level: Level, holder: Any, name: str, items: int) -> None:
        """Rewrite a resource or a scope, which so many items have."""
        new = self._written(level, getattr(holder, name), items)
        if new is not None:
            getattr(holder, name).CopyFrom(new)

    def metric(self, metric: Any) -> None:
        """Rewrite a metric, which keeps its points, and then these."""
        count = len(points(metric))
        head = copied(metric)
        if count:
            del points(head)[:]
        new = self._written("metric", head, count)
        kept = [copied(point) for point in points(metric)]
        if new is not None:
            kinds = {metric.WhichOneof("data"), new.WhichOneof("data")}
            if count and len(kinds) > 1 and kinds != _NUMBERS:
                raise MalformedPayload("a metric's points under another kind of data")
            metric.CopyFrom(new)
            if points(metric):
                del points(metric)[:]
            if kept:
                points(metric).extend(kept)
        for point in points(metric):
            self.item(point)

    def item(self, item: Any) -> None:
        """Rewrite an item."""
        new = self._written("item", item, 1)
        if new is not None:
            item.CopyFrom(new)
        self.seen += 1

    def _written(self, level: Level, message: Any, items: int) -> Any:
        is_meant = self.mask is None or any(self.mask[self.seen : self.seen + items])
        if level not in self.levels or not is_meant:
            return None
        written = self.function(level, message.SerializeToString())
        if written is None:
            return None
        self.changed = True
        try:
            new = type(message)()
            new.ParseFromString(written)
        except DecodeError as error:
            raise MalformedPayload(f"a {level} was rewritten to what is none: {error}") from None
        return new
