"""Join what arrives while the stage behind is busy into one batch, so that a hand-over is paid for once."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from pydantic import Field, field_validator, model_validator

from airis.component import (
    Config,
    Consumer,
    Duration,
    Partial,
    Permanent,
    Processor,
    Retryable,
    Telemetry,
    processor,
)
from airis.component.group_commit import GroupCommit, Limits
from airis.component.telemetry import unacknowledged
from airis.data import Batch, Origin, Signal, join, kernels, parts_of

UNLIMITED = 2**63
JOINED_ITEMS = 65_536
"""Where joining ends without send_batch_max_size: as many as fill an insert into the store."""
IN_FLIGHT = 2
ITEM_BOUNDS = (10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 7500, 10_000, 25_000, 50_000, 100_000)
BYTE_BOUNDS = (1e3, 1e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 2.5e7, 5e7)


class BatchConfig(Config):
    """How large batches become, and which ones are never joined."""

    send_batch_size: int = Field(
        default=8192,
        ge=0,
        lt=2**32,
        description="Items that make a full batch. Nothing waits for them here: an idle stage behind is given what "
        "there is. Today it only parts the hand-overs that are counted as full from the others.",
    )
    timeout: Duration = Field(
        default=0.2,
        ge=0,
        description="The Collector's longest wait for a full batch. It has no effect: nobody is made to wait here.",
    )
    send_batch_max_size: int = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="Largest number of items handed on at once, 0 for no limit. A larger batch is split.",
    )
    metadata_keys: list[str] = Field(
        default_factory=list[str],
        description="Client metadata (names in any case) whose values are never mixed in one batch; "
        "these keys are handed on, others end here. auth.subject is what an authenticator says of the client.",
    )
    metadata_cardinality_limit: int = Field(
        default=1000,
        ge=0,
        lt=2**32,
        description="Largest number of different values of metadata_keys with data on the way at the same time, "
        "0 for no limit.",
    )

    @field_validator("metadata_keys")
    @classmethod
    def _distinct(cls, keys: list[str]) -> list[str]:
        lower = [key.lower() for key in keys]
        if len(set(lower)) != len(lower):
            raise ValueError("names a key twice; the case of letters makes no difference")
        return lower

    @model_validator(mode="after")
    def _max_holds_a_full_batch(self) -> Self:
        if 0 < self.send_batch_max_size < self.send_batch_size:
            raise ValueError(
                f"send_batch_max_size ({self.send_batch_max_size}) must be 0 or at least "
                f"send_batch_size ({self.send_batch_size})"
            )
        return self


GroupKey = tuple[Signal, str, str, str, tuple[tuple[str, ...], ...]]


@dataclass(slots=True)
class Group:
    """Batches that may be joined, while at least one of them is on its way."""

    origin: Origin
    """What all have in common, and what goes on."""
    commit: GroupCommit
    users: int = 0
    """Callers held, and 1 for a hand-over in flight, which can outlast callers that left."""


@processor("batch", traces="beta", metrics="beta", logs="beta", profiles="alpha")
class BatchProcessor(Processor[BatchConfig]):
    """Join what arrives while the stage behind is busy; nobody waits for a batch to fill.

    A caller is held until its items were taken behind, and goes on at once to an idle stage. What arrives while that is
    busy goes on together in the next hand-over, or already before where it is as much as one may be: 65,536 items, 32
    MiB, or `send_batch_max_size`. More at once would gain little: a slower stage gets larger batches, not fewer items.
    So requests of a sender that waits for its answers go on in their order. Requests of profiles cannot be joined, nor
    a profile be split: they go on each by itself.

    Outcomes of a joined batch: Retryable goes to all its callers. After Permanent each caller's batch is
    handed on by itself. After Partial, when the rest is stored, nobody knows whose items were rejected: each
    caller is told of a share by size, so that the counts told add up to those rejected.
    """

    def __init__(self, config: BatchConfig, downstream: Consumer, telemetry: Telemetry) -> None:
        super().__init__(config, downstream, telemetry)
        self.max_items = config.send_batch_max_size or UNLIMITED
        self._groups: dict[GroupKey, Group] = {}
        self._closed = False
        self.unacknowledged = unacknowledged(telemetry)
        self.full = telemetry.counter(
            "batch_size_trigger_send", "{batch}", "Hand-overs of at least send_batch_size items."
        )
        self.not_full = telemetry.counter(
            "timeout_trigger_send",
            "{batch}",
            "Hand-overs of fewer than send_batch_size items, made because the stage behind was idle "
            "(a Collector would have waited for its timeout).",
        )
        self.sizes = telemetry.histogram("batch_send_size", "{item}", "Items handed on at once.", ITEM_BOUNDS)
        self.sizes_bytes = telemetry.histogram(
            "batch_send_size_bytes", "By", "Size of what was handed on at once.", BYTE_BOUNDS
        )
        self.cardinality = telemetry.gauge(
            "metadata_cardinality", "{combination}", "Metadata values and tenants with data on the way."
        )

    async def consume(self, batch: Batch) -> None:
        """Return when the items were taken behind. With too many metadata values on the way, raise Retryable."""
        if self._closed:
            raise Retryable("batch is shutting down")
        key = self._key(batch)
        with self._using(key, self._group(key, batch.origin)) as group:
            try:
                await group.commit.submit(batch)
            except JoinedPartial as partial:
                raise partial.for_caller(batch) from partial

    async def shutdown(self) -> None:
        """Refuse what still comes, and return when everything held was handed on and answered."""
        self._closed = True
        for group in list(self._groups.values()):
            await group.commit.close()

    def _key(self, batch: Batch) -> GroupKey:
        origin = batch.origin
        values = tuple(origin.sent(key) for key in self.config.metadata_keys)
        return batch.signal, origin.receiver, origin.transport, origin.tenant, values

    def _group(self, key: GroupKey, origin: Origin) -> Group:
        if key in self._groups:
            return self._groups[key]
        limit = self.config.metadata_cardinality_limit
        if limit and self.config.metadata_keys and len(self._groups) >= limit:
            # Permanent in the Collector, whose groups last as long as its process; here they come and go.
            raise Retryable(f"{limit} metadata values are on the way (metadata_cardinality_limit)", retry_after=1.0)

        async def deliver(batches: Sequence[Batch]) -> None:
            with self._using(key, group):
                await self._deliver(batches, group.origin)

        limits = Limits(items=min(self.max_items, JOINED_ITEMS), in_flight=IN_FLIGHT)
        commit = GroupCommit(deliver, limits, unheard=self._unheard)
        group = Group(origin.only(self.config.metadata_keys), commit)
        return group

    def _unheard(self, batch: Batch, outcome: BaseException | None) -> None:
        """What was taken of a batch whose caller had left."""
        if isinstance(outcome, JoinedPartial):
            outcome = outcome.for_caller(batch)
        if outcome is None:
            self.unacknowledged.add(batch.items)
        elif isinstance(outcome, Partial):
            self.unacknowledged.add(batch.items - min(outcome.rejected, batch.items))

    @contextmanager
    def _using(self, key: GroupKey, group: Group) -> Generator[Group]:
        """Keep the group known while it has a caller or a hand-over in flight."""
        group.users += 1
        self._groups[key] = group
        self.cardinality.set(len(self._groups))
        try:
            yield group
        finally:
            group.users -= 1
            if not group.users:
                del self._groups[key]
                self.cardinality.set(len(self._groups))

    async def _deliver(self, batches: Sequence[Batch], origin: Origin) -> None:
        joined = join(batches).with_origin(origin)
        if joined.items > self.max_items:
            await self._hand_on_in_parts(joined)
            return
        try:
            await self._hand_on(joined)
        except Partial as partial:
            if len(batches) == 1:
                raise
            raise JoinedPartial(partial, batches) from partial

    async def _hand_on_in_parts(self, batch: Batch) -> None:
        """Hand on a batch that is larger than the limit; only ever one caller's, since joining stops before.

        If a part is to be sent again, all of it is. The parts' ids follow from the batch's: a store recognises
        those it has when the same batch comes again.
        """
        try:
            parts = parts_of(batch, self.max_items)
        except kernels.MalformedPayload as error:
            raise Permanent(f"it cannot be split: {error}") from error
        refused = rejected = offered = 0
        reason = ""
        for part in parts:
            try:
                await self._hand_on(part)
            except Permanent as error:
                refused, rejected, reason = refused + 1, rejected + part.items, error.reason
            except Partial as error:
                rejected, reason = rejected + min(error.rejected, part.items), error.reason
            except BaseException:
                self.unacknowledged.add(offered - rejected)  # they come again
                raise
            offered += part.items
        if refused == len(parts):
            raise Permanent(reason)
        if rejected:
            raise Partial(rejected, reason)

    async def _hand_on(self, batch: Batch) -> None:
        try:
            await self.downstream.consume(batch)
        except Partial:
            self._count(batch)
            raise
        self._count(batch)

    def _count(self, batch: Batch) -> None:
        (self.full if batch.items >= self.config.send_batch_size else self.not_full).add(1)
        self.sizes.record(batch.items)
        self.sizes_bytes.record(batch.size_bytes)


class JoinedPartial(Partial):
    """Some items of a joined batch were rejected; whose is not known."""

    def __init__(self, partial: Partial, batches: Sequence[Batch]) -> None:
        super().__init__(partial.rejected, partial.reason)
        told = partial.shares([batch.items for batch in batches])
        self._told = {batch.id: share for batch, share in zip(batches, told, strict=True)}

    def for_caller(self, batch: Batch) -> Partial:
        """What the caller of one of the batches is told."""
        return self._told[batch.id]
