"""What a statement is carried out on: one item, with all that it belongs to."""

from collections.abc import Mapping
from typing import Any

from airis.ottl.values import Value


class Here:
    """An item of a payload and what it belongs to, as mutable protobuf messages.

    What a context does not have is None: of a resource there is only the owner.
    """

    __slots__ = ("arguments", "cache", "index", "item", "metadata", "metric", "owner", "part", "scoped")

    def __init__(
        self,
        owner: Any,
        scoped: Any = None,
        metric: Any = None,
        item: Any = None,
        part: Any = None,
        index: int = 0,
        metadata: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        """`owner` is a ResourceSpans and the like, `scoped` a ScopeSpans and the like.

        `part` is an event of a span or an exemplar of a data point, `index` its number among them. `metadata` are the
        client's headers.
        """
        self.owner = owner
        self.scoped = scoped
        self.metric = metric
        self.item = item
        self.part = part
        self.index = index
        self.metadata = metadata or {}
        self.cache: dict[str, Value] = {}
        self.arguments: tuple[Value, ...] = ()
        """Of the lambda that is under way."""
