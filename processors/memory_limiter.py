"""Refuse data while memory is short, so that senders keep it until there is room again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Self

from pydantic import Field, model_validator

from airis.component import (
    Config,
    Consumer,
    Counter,
    Duration,
    Host,
    Partial,
    Processor,
    Retryable,
    StartError,
    Telemetry,
    processor,
)
from airis.component.memory import free_memory, read_resident_bytes, read_total_bytes
from airis.data import Batch, Signal

MIB = 1024 * 1024
DEFAULT_SPIKE_SHARE = 0.2


class MemoryLimiterConfig(Config):
    """How much memory the process may use, and how often that is looked at."""

    check_interval: Duration = Field(
        gt=0, description="Time between two looks at the memory in use. 1s is a good choice."
    )
    limit_mib: int = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="Hard limit in MiB; counts more than limit_percentage where both are given.",
    )
    spike_limit_mib: int = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="Room in MiB below limit_mib in which data is refused already; 0 for 20 % of the limit.",
    )
    limit_percentage: int = Field(
        default=0, ge=0, le=100, description="Hard limit in percent of the memory of the container or machine."
    )
    spike_limit_percentage: int = Field(
        default=0,
        ge=0,
        le=100,
        description="Room in percent of that memory, below limit_percentage, in which data is refused already; "
        "0 for 20 % of the limit.",
    )
    min_gc_interval_when_soft_limited: Duration = Field(
        default=10.0, ge=0, description="Least time between two forced collections above the soft limit."
    )
    min_gc_interval_when_hard_limited: Duration = Field(
        default=0.0, ge=0, description="Least time between two forced collections above the hard limit."
    )
    max_gc_interval_when_soft_limited: Duration = Field(
        default=30.0, ge=0, description="That time after collections that did not help: it doubles up to here."
    )
    max_gc_interval_when_hard_limited: Duration = Field(
        default=30.0, ge=0, description="That time after collections that did not help: it doubles up to here."
    )

    @model_validator(mode="after")
    def _limits_make_sense(self) -> Self:
        if not self.limit_mib and not self.limit_percentage:
            raise ValueError("needs limit_mib or limit_percentage")
        for unit in ("mib", "percentage"):
            limit, spike = getattr(self, f"limit_{unit}"), getattr(self, f"spike_limit_{unit}")
            if limit and spike >= limit:
                raise ValueError(f"spike_limit_{unit} ({spike}) must be smaller than limit_{unit} ({limit})")
        for state in ("soft", "hard"):
            least = getattr(self, f"min_gc_interval_when_{state}_limited")
            if getattr(self, f"max_gc_interval_when_{state}_limited") < least:
                raise ValueError(f"max_gc_interval_when_{state}_limited must not be below the min_ one ({least}s)")
        return self


@processor("memory_limiter", traces="beta", metrics="beta", logs="beta", profiles="alpha")
class MemoryLimiter(Processor[MemoryLimiterConfig]):
    """Refuse data, so that it is sent again later, before memory runs out.

    That is above the soft limit, which is the limit less the spike. The memory in use is what the process had
    resident at the last look, and since then the growth of the batches that went through here and are not yet
    acknowledged: a burst between two looks is seen at once.
    """

    def __init__(
        self,
        config: MemoryLimiterConfig,
        downstream: Consumer,
        telemetry: Telemetry,
        resident_bytes: Callable[[], int] | None = None,
        total_bytes: Callable[[], int] | None = None,
        collect: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(config, downstream, telemetry)
        self.accepted = _counters(telemetry, "accepted", "that went on and were taken behind")
        self.refused = _counters(telemetry, "refused", "refused for want of memory")
        self._resident_bytes = resident_bytes or read_resident_bytes
        self._total_bytes = total_bytes or read_total_bytes
        self._collect = collect or free_memory
        self._clock = clock
        self._sleep = sleep
        self._hard_limit = self._soft_limit = 0
        self._resident = 0
        self._held = self._held_at_last_look = 0
        self._refusing = False
        self._last_collection = float("-inf")
        self._fruitless_collections = 0
        self._watcher: asyncio.Task[None] | None = None

    async def start(self, host: Host) -> None:
        """Work out the limits, take a first look, and go on looking."""
        try:
            self._hard_limit, self._soft_limit = self._limits()
            self._look()
        except OSError as error:
            raise StartError(f"cannot read the memory in use: {error}", "check_interval") from error
        self.telemetry.log.debug(
            "memory limited", limit_mib=self._hard_limit // MIB, soft_limit_mib=self._soft_limit // MIB
        )
        self._watcher = asyncio.create_task(self._watch(host))

    async def shutdown(self) -> None:
        """Stop looking; what is on its way goes on."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait({self._watcher})
            self._watcher = None

    async def consume(self, batch: Batch) -> None:
        """Hand on, or raise Retryable while memory is short."""
        in_use = self._resident + max(0, self._held - self._held_at_last_look)
        if in_use + batch.size_bytes > self._soft_limit:
            self.refused[batch.signal].add(batch.items)
            raise Retryable(
                f"memory is short: {in_use // MIB} MiB of {self._hard_limit // MIB} MiB in use",
                retry_after=self.config.check_interval,
            )
        self._held += batch.size_bytes
        taken = 0
        try:
            await self.downstream.consume(batch)
            taken = batch.items
        except Partial as partial:
            taken = batch.items - min(partial.rejected, batch.items)
            raise
        finally:
            self._held -= batch.size_bytes
            self.accepted[batch.signal].add(taken)

    def _limits(self) -> tuple[int, int]:
        """The hard and the soft limit in bytes."""
        if self.config.limit_mib:
            hard, spike = self.config.limit_mib * MIB, self.config.spike_limit_mib * MIB
        else:
            total = self._total_bytes()
            hard = total * self.config.limit_percentage // 100
            spike = total * self.config.spike_limit_percentage // 100
        return hard, hard - (spike or int(hard * DEFAULT_SPIKE_SHARE))

    async def _watch(self, host: Host) -> None:
        try:
            while True:
                await self._sleep(self.config.check_interval)
                self._look()
                if self._is_time_to_collect():
                    await asyncio.to_thread(self._collect)
                    self._last_collection = self._clock()
                    self._look()
                    self._fruitless_collections = (
                        self._fruitless_collections + 1 if self._resident > self._soft_limit else 0
                    )
                self._tell()
        except Exception as error:
            host.fail(f"processors::{self.telemetry.component_id}", error)

    def _look(self) -> None:
        self._resident = self._resident_bytes()
        self._held_at_last_look = self._held

    def _is_time_to_collect(self) -> bool:
        if self._resident > self._hard_limit:
            least = self.config.min_gc_interval_when_hard_limited
            most = self.config.max_gc_interval_when_hard_limited
        elif self._resident > self._soft_limit:
            least = self.config.min_gc_interval_when_soft_limited
            most = self.config.max_gc_interval_when_soft_limited
        else:
            self._fruitless_collections = 0
            return False
        grown = max(least, self.config.check_interval) * 2.0 ** min(self._fruitless_collections, 30)
        interval = min(grown, most)
        return self._clock() - self._last_collection >= interval

    def _tell(self) -> None:
        """Say once that refusing begins, and once that it ends."""
        refusing = self._resident > self._soft_limit
        if refusing and not self._refusing:
            self.telemetry.log.warning(
                "memory is short, refusing data", in_use_mib=self._resident // MIB, limit_mib=self._hard_limit // MIB
            )
        if self._refusing and not refusing:
            self.telemetry.log.info("memory is back within the limit", in_use_mib=self._resident // MIB)
        self._refusing = refusing


def _counters(telemetry: Telemetry, name: str, what: str) -> dict[Signal, Counter]:
    return {
        s: telemetry.counter(f"{name}_{s.item}", "{item}", f"{s.item.replace('_', ' ').capitalize()} {what}.")
        for s in Signal
    }
