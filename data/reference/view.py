"""A payload scanned once, for what is asked of all its items."""

from collections.abc import Iterator
from typing import Any, Literal

from google.protobuf.message import DecodeError

from airis.data.malformed import MalformedPayload
from airis.data.reference.native import Blocks, encode
from airis.data.reference.series import SeriesIndex
from airis.data.reference.values import encode_value
from airis.proto import otlp

Level = Literal["resource", "scope", "item"]

MAX_REPEATED_BYTES = 1 << 30


def scan(signal: str, payload: bytes) -> "View":
    """Read a payload that passed `validate`; raises MalformedPayload for another one."""
    if signal == "profiles":
        raise ValueError("profiles is not supported")
    try:
        return View(signal, payload, otlp.parse(signal, payload))
    except DecodeError as error:
        raise MalformedPayload(f"not an OTLP {signal} request: {error}") from None


class View:
    """A payload scanned once."""

    def __init__(self, signal: str, payload: bytes, message: Any) -> None:
        self.signal = signal
        self.payload = payload
        self.message = message
        self.items = sum(1 for _ in _items(signal, message))
        """Spans, metric data points or log records."""

    def attribute(self, key: str, level: Level = "item") -> list[str | None]:
        """For every item in order the text of an attribute, None where it is absent; the first of a key counts."""
        if level not in ("resource", "scope", "item"):
            raise ValueError(f"{level} is not resource, scope or item")
        owners = ({"resource": r, "scope": s, "item": item}[level] for r, s, item in _items(self.signal, self.message))
        return [
            next((encode_value(attribute.value)[0] for attribute in owner.attributes if attribute.key == key), None)
            for owner in owners
        ]

    def native(self, arrived_unix_nano: int, series: SeriesIndex) -> Blocks:
        """The blocks for the store's tables; metric series are registered unless `series` knows them.

        Raises MalformedPayload where rows would repeat their resources and scopes to more than 1 GiB.
        """
        # Every row has its resource and scope: a sender could make much of little.
        if sum(r.ByteSize() + s.ByteSize() for r, s, _ in _items(self.signal, self.message)) > MAX_REPEATED_BYTES:
            raise MalformedPayload("resources and scopes would be repeated to more than 1 GiB")
        return encode(self.signal, self.message, arrived_unix_nano, series)


def _items(signal: str, message: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Every item with its resource and scope."""
    owners, scopes, items = {
        "traces": ("resource_spans", "scope_spans", "spans"),
        "metrics": ("resource_metrics", "scope_metrics", "metrics"),
        "logs": ("resource_logs", "scope_logs", "log_records"),
    }[signal]
    for owner in getattr(message, owners):
        for scoped in getattr(owner, scopes):
            for item in getattr(scoped, items):
                for part in _points(item) if signal == "metrics" else (item,):
                    yield owner.resource, scoped.scope, part


def _points(metric: Any) -> Any:
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind else ()
