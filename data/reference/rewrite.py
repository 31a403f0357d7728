"""Messages rewritten one by one."""

from collections.abc import Callable, Collection
from typing import Any, Literal, get_args

from google.protobuf.message import DecodeError

from airis.data.malformed import MalformedPayload
from airis.data.reference.places import copied, members, owners, points, scopes

MessageName = Literal["resource", "resource_schema_url", "scope", "scope_schema_url", "metric", "item"]
Function = Callable[[MessageName, bytes], bytes | None]

_NUMBERS = {"gauge", "sum"}
"""Kinds of data with the same points."""


def rewrite(signal: str, message: Any, function: Function, names: Collection[str], mask: bytes | None) -> Any:
    """The request with what the function makes of its messages; None where nothing changed.

    Raises ValueError for messages that the signal does not have.
    """
    for name in names:
        if name not in get_args(MessageName) or (name == "metric" and signal != "metrics"):
            raise ValueError(f"{signal} have no message {name}")
    writer = _Writer(function, names, mask)
    made = copied(message)
    for owner in owners(signal, made):
        count = sum(_items(signal, scoped) for scoped in scopes(signal, owner))
        writer.message("resource", owner, count)
        writer.schema_url("resource_schema_url", owner, count)
        for scoped in scopes(signal, owner):
            count = _items(signal, scoped)
            writer.message("scope", scoped, count)
            writer.schema_url("scope_schema_url", scoped, count)
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
    def __init__(self, function: Function, names: Collection[str], mask: bytes | None) -> None:
        self.function = function
        self.names = names
        self.mask = mask
        self.seen = 0
        """Items before those that come next."""
        self.changed = False

    def message(self, name: Literal["resource", "scope"], holder: Any, items: int) -> None:
        """Rewrite a resource or a scope, which so many items have."""
        new = self._parsed(name, getattr(holder, name), items)
        if new is not None:
            getattr(holder, name).CopyFrom(new)

    def schema_url(self, name: Literal["resource_schema_url", "scope_schema_url"], holder: Any, items: int) -> None:
        """Rewrite the schema URL of a resource or a scope."""
        new = self._written(name, holder.schema_url.encode(), items)
        if new is not None:
            holder.schema_url = new.decode()

    def metric(self, metric: Any) -> None:
        """Rewrite a metric, which keeps its points, and then these."""
        count = len(points(metric))
        head = copied(metric)
        if count:
            del points(head)[:]
        new = self._parsed("metric", head, count)
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
        new = self._parsed("item", item, 1)
        if new is not None:
            item.CopyFrom(new)
        self.seen += 1

    def _parsed(self, name: MessageName, message: Any, items: int) -> Any:
        written = self._written(name, message.SerializeToString(), items)
        if written is None:
            return None
        new = type(message)()
        try:
            new.ParseFromString(written)
        except DecodeError as error:
            raise MalformedPayload(f"a {name} was rewritten to what is none: {error}") from None
        return new

    def _written(self, name: MessageName, before: bytes, items: int) -> bytes | None:
        is_meant = self.mask is None or any(self.mask[self.seen : self.seen + items])
        if name not in self.names or not is_meant:
            return None
        written = self.function(name, before)
        self.changed = self.changed or written is not None
        return written
