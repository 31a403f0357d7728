"""The one thing that crosses every stage: immutable OTLP bytes with what is known about them."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import blake2b
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airis.data.kernels import View


class Signal(StrEnum):
    """A kind of telemetry, spelt as in a pipeline id."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"
    PROFILES = "profiles"

    @property
    def item(self) -> str:
        """The Collector's word for one item of this signal, as its counters spell it."""
        return _ITEM_NAMES[self]

    @property
    def is_joinable(self) -> bool:
        """Whether batches can be joined; what a profile refers to are places in tables of its own request."""
        return self is not Signal.PROFILES


_ITEM_NAMES = {
    Signal.TRACES: "spans",
    Signal.METRICS: "metric_points",
    Signal.LOGS: "log_records",
    Signal.PROFILES: "profile_samples",
}

_PROCESS = os.urandom(8)
_numbers = count()


def _unique_id() -> bytes:
    """16 bytes that no other process and no other call gives; random ones would cost a system call each."""
    return _PROCESS + next(_numbers).to_bytes(8, "big")


NO_METADATA: Mapping[str, tuple[str, ...]] = MappingProxyType({})
NO_AUTH: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a batch came from; joined batches share all of it but the arrival time and the batch id."""

    receiver: str = ""
    """Component id of the receiver, ``otlp`` or ``otlp/edge``."""
    transport: str = ""
    """``grpc`` or ``http`` for a network receiver, empty otherwise."""
    tenant: str = ""
    metadata: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: NO_METADATA)
    """Client headers that ``include_metadata`` let through: lower-case names, values in order."""
    auth: Mapping[str, str] = field(default_factory=lambda: NO_AUTH)
    """What an authenticator knows of the client, such as its ``subject``. Apart from the headers, which a client
    writes as it likes."""

    def sent(self, key: str) -> tuple[str, ...]:
        """What is known of the client under the name that configurations have for it, or nothing.

        ``auth.subject`` is the authenticator's word; any other name, in lower case, is that of a header.
        """
        if key.startswith(AUTH_PREFIX):
            value = self.auth.get(key.removeprefix(AUTH_PREFIX))
            return () if value is None else (value,)
        return self.metadata.get(key, ())

    def only(self, keys: Iterable[str]) -> "Origin":
        """The same, with nothing known of the client but what has these names."""
        wanted = frozenset(keys)
        metadata = {name: v for name, v in self.metadata.items() if name in wanted and not name.startswith(AUTH_PREFIX)}
        auth = {name: value for name, value in self.auth.items() if f"{AUTH_PREFIX}{name}" in wanted}
        return replace(self, metadata=metadata or NO_METADATA, auth=auth or NO_AUTH)


AUTH_PREFIX = "auth."
NO_ORIGIN = Origin()


def _in_common(origins: list[Origin]) -> Origin:
    """The first one, with what all know of their clients: what one sent must not be taken for what another sent."""
    first = origins[0]
    others = [origin for origin in origins if origin is not first]
    if all(origin.metadata == first.metadata and origin.auth == first.auth for origin in others):
        return first
    metadata = {n: v for n, v in first.metadata.items() if all(origin.metadata.get(n) == v for origin in others)}
    auth = {n: v for n, v in first.auth.items() if all(origin.auth.get(n) == v for origin in others)}
    return replace(first, metadata=metadata or NO_METADATA, auth=auth or NO_AUTH)


@dataclass(frozen=True, slots=True)
class Batch:
    """Items of one signal as the bytes of one ``Export*ServiceRequest``, or of several behind one another.

    Protobuf merges repeated top-level fields, so joining batches is joining bytes, but for profiles, which are
    never joined. Nothing mutates a batch: fan-out hands the same object to every branch.
    """

    signal: Signal
    payload: bytes
    items: int
    """Spans, metric data points, log records or samples of profiles in the payload."""
    origin: Origin = field(default_factory=Origin)
    arrived_unix_nano: int = 0
    """Wall clock at admission, in nanoseconds; of joined batches the earliest."""
    id: bytes = field(default_factory=_unique_id)
    """16 bytes, unique; stays with the data through every retry, so that a store can refuse a repetition."""
    requests: int = 1
    """Requests of clients that it was joined from."""
    is_validated: bool = field(default=False, repr=False, compare=False)
    """Whether the payload passed `kernels.validate`, so that it need not be looked through again."""
    _scanned: "View" = field(init=False, repr=False, compare=False)
    """Not there until it is asked for, so that a batch costs no more to make."""

    @property
    def size_bytes(self) -> int:
        """Length of the payload."""
        return len(self.payload)

    def view(self) -> "View":
        """The payload scanned, for work on its items, and kept; raises MalformedPayload where it was not validated."""
        try:
            return self._scanned
        except AttributeError:
            # What reads wire formats imports this package, and the kernels import what reads wire formats.
            from airis.data import kernels

            # Of two threads that ask at once both scan: what they get is the same.
            view = kernels.scan(self.signal, self.payload, validated=self.is_validated)
            object.__setattr__(self, "_scanned", view)
            return view

    def with_view(self, view: "View") -> "Batch":
        """The same batch after a processor changed its content: a new id, the same origin and arrival.

        Its payload is made of the view when it is first asked for.
        """
        return _Viewed.of(self, view, self.origin, _unique_id())

    def with_payload(self, payload: bytes, items: int) -> "Batch":
        """The same batch after a processor changed its content: a new id, the same origin and arrival."""
        return replace(self, payload=payload, items=items, id=_unique_id(), is_validated=False)

    def with_origin(self, origin: Origin) -> "Batch":
        """The same batch from elsewhere."""
        return replace(self, origin=origin)


class _Viewed(Batch):
    """A batch whose payload is made of its view when it is first asked for, and kept by that."""

    __slots__ = ()

    @classmethod
    def of(cls, batch: Batch, view: "View", origin: Origin, batch_id: bytes) -> "_Viewed":
        """Like a batch, but for what is given."""
        made = object.__new__(cls)
        for name, value in (
            ("signal", batch.signal),
            ("items", view.items),
            ("origin", origin),
            ("arrived_unix_nano", batch.arrived_unix_nano),
            ("id", batch_id),
            ("requests", batch.requests),
            # What kernels make is well-formed.
            ("is_validated", True),
            ("_scanned", view),
        ):
            object.__setattr__(made, name, value)
        return made

    # It is a batch like any other: equal to one with the same content, and `replace` makes one of it.
    @property  # type: ignore[misc]
    def __class__(self) -> type[Batch]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return Batch

    @property
    def payload(self) -> bytes:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Made once."""
        return self._scanned.payload

    @property
    def size_bytes(self) -> int:
        """Length of the payload, which is not made for it."""
        return self._scanned.size_bytes

    def with_origin(self, origin: Origin) -> Batch:
        """The same batch from elsewhere."""
        return self.of(self, self._scanned, origin, self.id)


def combined_id(ids: Iterable[bytes]) -> bytes:
    """16 bytes that are the same for the same ids in the same order."""
    return blake2b(b"".join(ids), digest_size=16).digest()


def parts_of(batch: Batch, max_items: int | None = None, max_bytes: int | None = None) -> list[Batch]:
    """A batch in parts of so many items and bytes, in order; itself where that is one. Raises MalformedPayload.

    The ids of the parts follow from its own, so that a store knows those that come again.
    """
    from airis.data import kernels

    payloads = kernels.split(batch.signal, batch.payload, max_items, max_bytes)
    if len(payloads) == 1:
        return [batch]
    return [
        replace(
            batch,
            payload=payload,
            items=kernels.count_items(batch.signal, payload),
            id=combined_id([batch.id, part.to_bytes(4, "big")]),
        )
        for part, payload in enumerate(payloads)
    ]


def join(batches: Iterable[Batch]) -> Batch:
    """One batch with the items of all, in order; a single batch is handed back as it is.

    All must have one signal and one tenant: the caller groups by them, and by what else has to be kept apart. Of what
    is known of their clients that stays which all have alike. Raises ValueError for different signals, and for
    profiles.
    """
    parts = list(batches)
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    if any(b.signal is not first.signal for b in parts):
        raise ValueError("batches of different signals cannot be joined")
    if not first.signal.is_joinable:
        raise ValueError(f"batches of {first.signal} cannot be joined")
    return Batch(
        signal=first.signal,
        payload=b"".join([b.payload for b in parts]),
        items=sum(b.items for b in parts),
        origin=_in_common([b.origin for b in parts]),
        arrived_unix_nano=min(b.arrived_unix_nano for b in parts),
        requests=sum(b.requests for b in parts),
        is_validated=all(b.is_validated for b in parts),
    )
