"""The queue of one signal in the write-ahead log."""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

from airis.component.errors import Permanent, Retryable
from airis.component.sending.config import SendingQueueConfig
from airis.component.sending.destination import NOT_SENT
from airis.component.sending.grouping import Grouping
from airis.component.sending.queue import Taken, size_in
from airis.component.sending.room import FULL_RETRY_S, Room
from airis.component.sending.snapshot import QueueSnapshot
from airis.data import NO_AUTH, NO_METADATA, Batch, Origin, Signal, join
from airis.storage.wal.log import Full, Put
from airis.storage.wal.segment import Amount, Entry
from airis.storage.wal.service import LogService
from airis.storage.wal.subscriber import Group, Limits, Subscriber

LOOK_S = 1.0
"""How often is looked for what became due, or is in the log from before."""
SIGNALS = {Signal.TRACES: 1, Signal.METRICS: 2, Signal.LOGS: 3, Signal.PROFILES: 4}
"""Their numbers in the log."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What was taken, whatever becomes of the group meanwhile."""

    group: Group
    first: Entry
    sequences: frozenset[int]
    """Of what could be read."""

    @property
    def owed_items(self) -> int:
        """Items that the log has not given up since."""
        return sum(entry.head.items for entry in self.group.entries if entry.head.sequence in self.sequences)


class DurableQueue:
    """Batches of one signal for one exporter, in the log: what is put survives a crash, and is delivered after it."""

    is_durable = True

    def __init__(
        self,
        service: LogService,
        subscriber: Subscriber,
        signal: Signal,
        config: SendingQueueConfig,
        grouping: Grouping,
        clock: Callable[[], int] = time.time_ns,
        lost: Callable[[str, int], None] = lambda _reason, _items: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` gives the wall time in nanoseconds; `lost` is told what the log gave up, by reason and items."""
        self.subscriber = subscriber
        self.recovered = subscriber.owed.items + subscriber.untold.total()
        self._put_back_before = subscriber.put_back_items
        self._service = service
        self._signal = signal
        self._config = config
        self._grouping = grouping
        self._clock = clock
        self._monotonic = monotonic
        self._lost = lost
        self._losses: deque[tuple[str, int]] = deque()
        """From the log's thread."""
        self._pending = 0
        """What is being put, in the unit of the limit."""
        self._oldest_unix_nano = 0
        """From the log's thread: when the oldest arrived that is not settled; 0 where that is not known."""
        self._settling = 0
        """Items whose outcome is being noted."""
        self._taken_before = frozenset(subscriber.state.groups)
        """Tokens of groups that were under way before this queue was there."""
        limit = config.queue_size if "queue_size" in config.model_fields_set else 0
        self._room = Room(config, limit, lambda: self.size() + self._pending)
        self._next_start = 0.0
        self._under_way: dict[bytes, Amount] = {}
        """How much is in each group that is taken, by its token."""
        self._aside: set[bytes] = set()
        """Those of them that are refused again and again, and are tried now and then."""

    def size(self) -> float:
        """What the log holds for this exporter."""
        owed = self.subscriber.owed
        return {"items": owed.items, "bytes": owed.size_bytes}.get(self._config.sizer, owed.batches)

    def capacity(self) -> float:
        """Most that the log may hold for it, 0 for no limit but its own."""
        return self._room.limit

    def snapshot(self) -> QueueSnapshot:
        """What the log holds for this exporter."""
        owed, oldest = self.subscriber.owed, self._oldest_unix_nano
        return QueueSnapshot(
            is_durable=True,
            items=owed.items,
            size_bytes=owed.size_bytes,
            batches=owed.batches,
            oldest_age_s=max(0.0, (self._clock() - oldest) / 1e9) if oldest and owed.batches else None,
            fill=self.size() / self._room.limit if self._room.limit else None,
            consumers=self._config.num_consumers,
            settling=self._settling,
        )

    @property
    def put_back(self) -> int:
        """Items that people put back into it since it was opened."""
        return self.subscriber.put_back_items - self._put_back_before

    def lost(self) -> Mapping[str, int]:
        """What the log gave up."""
        lost = self.subscriber.untold
        for reason, items in list(self._losses):
            lost[reason] += items
        return lost

    async def put(self, batch: Batch, enqueued: Callable[[Batch], None]) -> None:
        """Return when the batch is on the disk; raises Retryable where there is no room."""
        size = size_in(self._config.sizer, batch)
        await self._room.for_(size)

        def written(outcome: "asyncio.Future[object]") -> None:
            self._pending -= size
            if not outcome.cancelled() and outcome.exception() is None:
                enqueued(batch)

        self._pending += size
        try:
            writing = self._service.writing(
                Put(
                    frozenset([self.subscriber.lane]),
                    SIGNALS[self._signal],
                    batch.items,
                    batch.requests,
                    batch.arrived_unix_nano,
                    batch.id,
                    encode_meta(batch.origin, self._grouping.metadata_keys, is_validated=batch.is_validated),
                    batch.payload,
                )
            )
        except OSError as error:
            self._pending -= size
            raise Retryable(f"the log takes nothing: {error}", FULL_RETRY_S) from error
        writing.add_done_callback(written)
        try:
            await asyncio.shield(writing)  # who leaves does not undo it
        except (Full, OSError) as error:
            raise Retryable(f"the log has no room: {error}", FULL_RETRY_S) from error
        except ValueError as error:
            raise Permanent(f"the log cannot hold it: {error}") from error
        await self._room.change()

    async def take(self, within_s: float | None = None) -> Taken | None:
        """The next group, which is on the disk as one before it is given."""
        until = None if within_s is None else self._monotonic() + within_s
        while not self.is_over:
            taken = await self._taken() if self._is_alone or self._is_full else None
            if taken is not None:
                return taken  # at once: who is cancelled between would keep it; losses are told when it is settled
            await self._tell_losses()
            waits = [self._grouping.flush_timeout_s or LOOK_S, LOOK_S]
            if (rest := self._next_start - self._monotonic()) > 0:
                waits.append(rest)
            if until is not None:
                if (rest := until - self._monotonic()) <= 0:
                    return None
                waits.append(rest)
            await self._room.changed(min(waits))
        return None

    async def _tell_losses(self) -> None:
        if self._losses:
            while self._losses:
                self._lost(*self._losses.popleft())
            await self._room.change()  # there is more of it

    def _look(self) -> None:
        """In the log's thread."""
        self._losses.extend(self.subscriber.losses().items())
        self._oldest_unix_nano = self.subscriber.oldest_unix_nano

    @property
    def is_over(self) -> bool:
        """Whether it is closed; what is in it stays there."""
        return self._room.is_closed

    @property
    def _is_alone(self) -> bool:
        """Whether what is less than full may go: not beside others, where groups are spaced out to become large."""
        return not (self._grouping.interval_s and self._under_way.keys() - self._aside)

    @property
    def _is_full(self) -> bool:
        """Whether as much waits behind what is under way as makes a full group, if it may all be joined."""
        owed, out = self.subscriber.owed, self._under_way.values()
        items = owed.items - sum(amount.items for amount in out)
        size = owed.size_bytes - sum(amount.size_bytes for amount in out)
        return items >= self._grouping.max_items or size >= self._grouping.max_bytes

    async def _taken(self) -> Taken | None:
        found: list[Taken] = []
        is_alone = self._is_alone

        def work() -> None:
            try:
                taken = self._take(is_alone)
            finally:
                self._look()
            if taken is not None:
                found.append(taken)

        def undo() -> None:
            for taken in found:
                self.subscriber.give_back(_group_of(taken))

        try:
            await self._service.run(work)
        except asyncio.CancelledError:
            with suppress(OSError):  # the log is closed, and the group comes again at the next start
                await self._service.run(undo)  # behind the taking, which goes on
            raise
        for taken in found:
            group = _group_of(taken)
            size = sum(entry.size_bytes for entry in group.entries)
            self._under_way[group.token] = Amount(len(group.entries), group.items, size)
            return taken
        return None

    def _take(self, is_alone: bool) -> Taken | None:
        """In the log's thread."""
        grouping = self._grouping
        now = self._monotonic()
        max_items = grouping.max_items if self._signal is not Signal.PROFILES else 0
        if grouping.interval_s:
            is_due = is_alone and now >= self._next_start
            least = (0, 0) if is_due else (max_items, grouping.max_bytes)
            limits = Limits(max_items, grouping.max_bytes, *least, due_unix_nano=-1)
        else:
            wall = self._clock()
            due = wall - int(grouping.flush_timeout_s * 1e9)
            limits = Limits(max_items, grouping.max_bytes, grouping.min_items, grouping.min_bytes, due, wall)
        while (group := self.subscriber.take(limits)) is not None:
            try:
                self.subscriber.journal.sync()
            except OSError:
                self.subscriber.give_back(group)
                raise
            try:
                found = self.subscriber.payloads(group)
                if found:
                    self._next_start = now + grouping.interval_s
                    ticket = Ticket(group, found[0][0], frozenset(entry.head.sequence for entry, _ in found))
                    batch = _batch_of(self._signal, group, found)
                    return Taken(batch, ticket, is_alone=len(found) == 1, is_resent=group.token in self._taken_before)
            except Exception:
                self.subscriber.set_aside(group)
                raise
            self.subscriber.settle(group)  # all of it was damaged
        return None

    @asynccontextmanager
    async def attempt(self, taken: Taken, part: Batch) -> AsyncGenerator[None]:
        """Around an attempt to deliver a part of it, which may be all: if the process ends in it, that is known."""
        group = _group_of(taken)
        async with self._service.attempts.one(is_suspected=self.subscriber.is_suspected(group)):
            if not group.is_tried:
                await self._service.run(lambda: self.subscriber.tried(group))
            is_cleared = False
            try:
                yield
            except NOT_SENT:
                raise
            except Retryable:
                is_cleared = part.id == taken.batch.id
                raise
            finally:
                if group.starts:
                    with suppress(OSError):  # the log is closed, which was no crash
                        await self._service.run(lambda: self.subscriber.came_back(group, is_cleared=is_cleared))

    async def settle(self, taken: Taken, error: Exception | None, settled: Callable[[int], None]) -> None:
        """Note that it is done with."""
        ticket: Ticket = taken.ticket  # type: ignore[assignment]

        def settle() -> int:
            owed = ticket.owed_items
            self.subscriber.settle(ticket.group)
            self._look()
            return owed

        items = taken.batch.items
        self._settling += items

        def noted(outcome: "asyncio.Future[int]") -> None:
            self._settling -= items
            self._forget(ticket.group)
            if not outcome.cancelled() and outcome.exception() is None:
                settled(outcome.result())

        noting = asyncio.ensure_future(self._service.run(settle))
        noting.add_done_callback(noted)
        await asyncio.shield(noting)  # who leaves does not undo it
        await self._tell_losses()
        await self._room.change()

    async def give_back(self, taken: Taken) -> None:
        """It stays in the log, and is the next one again."""
        await self._put_down(taken, self.subscriber.give_back)

    async def let_go(self, taken: Taken) -> None:
        """Keep its content on the disk alone, until it is read; others go as if it were not there."""
        taken.batch = replace(taken.batch, payload=b"")
        self._aside.add(_group_of(taken).token)
        await self._room.change()

    async def read(self, taken: Taken) -> bool:
        """Get its content back; False where it is not the same any more, and then what is left comes as something new.

        Under the same id a store would take the rest for what it has already.
        """
        ticket: Ticket = taken.ticket  # type: ignore[assignment]

        def work() -> list[tuple[Entry, bytes]]:
            found = self.subscriber.payloads(ticket.group)
            if frozenset(entry.head.sequence for entry, _ in found) == ticket.sequences:
                return found
            self.subscriber.split(ticket.group)
            return []

        found = await self._service.run(work)
        if found:
            taken.batch = _batch_of(self._signal, ticket.group, found)
        else:
            self._forget(ticket.group)
            await self._room.change()
        return bool(found)

    async def split(self, taken: Taken) -> None:
        """Its halves are the next ones."""
        await self._put_down(taken, self.subscriber.split)

    async def _put_down(self, taken: Taken, what_becomes_of_it: Callable[[Group], None]) -> None:
        """A group is under way no more."""
        group = _group_of(taken)
        try:
            await self._service.run(lambda: what_becomes_of_it(group))
        finally:
            self._forget(group)
            await self._room.change()

    def _forget(self, group: Group) -> None:
        """It is not under way any more."""
        self._under_way.pop(group.token, None)
        self._aside.discard(group.token)

    async def bury(self, taken: Taken, reason: str, part: Batch) -> None:
        """Put a part of it, which may be all, among the dead letters; it is not settled by that."""
        ticket: Ticket = taken.ticket  # type: ignore[assignment]

        def work() -> None:
            first = ticket.first
            head = first.head._replace(items=part.items, batch_id=part.id)
            name = self.subscriber.state.name
            self._service.log.dead.bury(name, reason, first._replace(head=head), part.payload)

        await self._service.run(work)

    async def close(self) -> None:
        """What is in the log stays there."""
        await self._room.close()
        with suppress(OSError):  # the log is closed
            await self._service.run(self._look)
        await self._tell_losses()


def _group_of(taken: Taken) -> Group:
    ticket: Ticket = taken.ticket  # type: ignore[assignment]
    return ticket.group


def encode_meta(origin: Origin, keys: tuple[str, ...] = (), *, is_validated: bool) -> bytes:
    """What is kept of a batch, where it came from above all; batches with the same may be joined."""
    content: dict[str, object] = {}
    if origin.tenant:
        content["tenant"] = origin.tenant
    if keys:
        origin = origin.only(keys)
    if origin.metadata:
        content["metadata"] = {name: list(values) for name, values in origin.metadata.items()}
    if origin.auth:
        content["auth"] = dict(origin.auth)
    if is_validated:
        content["validated"] = True
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()


def _decode_meta(meta: bytes) -> tuple[Origin, bool]:
    """The opposite, as far as it was kept: the origin, and whether the payload is known to be well-formed."""
    content = json.loads(meta or b"{}")
    metadata = {name: tuple(values) for name, values in content.get("metadata", {}).items()}
    origin = Origin(
        tenant=content.get("tenant", ""), metadata=metadata or NO_METADATA, auth=content.get("auth") or NO_AUTH
    )
    return origin, content.get("validated") is True


def _batch_of(signal: Signal, group: Group, found: list[tuple[Entry, bytes]]) -> Batch:
    origin, is_validated = _decode_meta(found[0][0].meta)
    batches = [
        Batch(
            signal,
            payload,
            entry.head.items,
            origin,
            entry.head.wall_unix_nano,
            entry.head.batch_id,
            entry.head.requests,
            is_validated=is_validated,
        )
        for entry, payload in found
    ]
    return replace(join(batches), id=group.token) if len(batches) > 1 else batches[0]
