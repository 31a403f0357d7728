"""The native kernels (the crate in ``rust/``); `airis.data.kernels` says which back end is in use."""

from collections.abc import Mapping
from typing import Literal, final

def validate(signal: str, payload: bytes) -> tuple[bytes, int, int]:
    """The payload with invalid UTF-8 repaired, its number of items, and the number of repaired strings."""

def count_items(signal: str, payload: bytes) -> int:
    """The number of items, from lengths alone, without reading the items."""

def split(signal: str, payload: bytes, max_items: int) -> list[bytes]:
    """Payloads of at most `max_items` items, in order; what owns the items is repeated in each part."""

def scan(signal: str, payload: bytes) -> View:
    """Read a payload that passed `validate`; raises MalformedPayload for another one."""

@final
class View:
    """A payload scanned once."""

    @property
    def signal(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def items(self) -> int:
        """Spans, metric data points or log records."""

    def attribute(self, key: str, level: Literal["resource", "scope", "item"] = "item") -> list[str | None]:
        """For every item in order the text of an attribute, None where it is absent; the first of a key counts."""

    def native(self, arrived_unix_nano: int, series: SeriesIndex) -> Blocks:
        """The blocks for the store's tables; metric series are registered unless `series` knows them.

        Raises MalformedPayload where rows would repeat their resources and scopes to more than 1 GiB.
        """

@final
class Blocks:
    """What one payload becomes: a block for each table that gets rows."""

    @property
    def tables(self) -> dict[str, bytes]: ...
    @property
    def rows(self) -> dict[str, int]: ...
    @property
    def series(self) -> Mapping[tuple[int, int], int]:
        """The metric series that are registered here, for `SeriesIndex.add`."""

@final
class SeriesIndex:
    """Which series were registered in the current hour, so that a row is written once per hour and series."""

    def __init__(self, capacity: int = 4_000_000) -> None: ...
    def __len__(self) -> int: ...
    def add(self, blocks: Blocks) -> None:
        """Note the series registered in blocks that were stored; what is oldest goes when it is too much."""
