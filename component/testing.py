"""For tests of components: build one as the service would, watch what it hands on."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from airis.component.health import Overview
from airis.component.kind import Kind
from airis.component.ledger import Ledger
from airis.component.lifecycle import Consumer, Outputs
from airis.component.registry import load
from airis.component.telemetry import Metrics, Telemetry
from airis.data import Batch, Signal

if TYPE_CHECKING:
    from starlette.types import ASGIApp

T = TypeVar("T")


class Sink:
    """A consumer that keeps what it was given, or raises what it was told to."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.error: Exception | None = None
        """Raised at every hand-over while it is set."""
        self.gate = asyncio.Event()
        """Cleared, it holds every caller until it is set again."""
        self.gate.set()
        self.waiting = 0
        self._changed = asyncio.Event()

    @property
    def items(self) -> int:
        """Items of all batches taken."""
        return sum(batch.items for batch in self.batches)

    async def consume(self, batch: Batch) -> None:
        """Take the batch once the gate is open."""
        self.waiting += 1
        self._changed.set()
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        if self.error is not None:
            raise self.error
        self.batches.append(batch)
        self._changed.set()

    async def until(self, *, items: int = 0, waiting: int = 0) -> None:
        """Return when so many items were taken and so many callers are held at the gate."""
        while self.items < items or self.waiting < waiting:
            self._changed.clear()
            await self._changed.wait()


class ManualClock:
    """Monotonic seconds that pass only when `advance` says so; `sleep` wakes at its time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def __call__(self) -> float:
        """The present time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Return when the clock was advanced by so much."""
        woken = asyncio.Event()
        self._sleepers.append((self.now + seconds, woken))
        await woken.wait()

    async def advance(self, seconds: float) -> None:
        """Let time pass, and let what it wakes run."""
        self.now += seconds
        for due, woken in self._sleepers:
            if due <= self.now:
                woken.set()
        self._sleepers = [(due, woken) for due, woken in self._sleepers if due > self.now]
        for _ in range(10):
            await asyncio.sleep(0)


class FakeHost:
    """A host with a data directory and the extensions it was given."""

    def __init__(self, data_dir: Path, extensions: Mapping[str, object] | None = None) -> None:
        self.data_dir = data_dir
        self.extensions = dict(extensions or {})
        self.failures: list[tuple[str, BaseException]] = []
        self.running = Overview(0.0, (), ())
        self.accounts = Ledger()

    def extension(self, component_id: str, kind: type[T]) -> T:
        """The extension given under this id."""
        found = self.extensions[component_id]
        assert isinstance(found, kind)
        return found

    @property
    def admin(self) -> "ASGIApp":
        """There is none."""
        raise NotImplementedError

    def overview(self) -> Overview:
        """What the test put in `running`."""
        return self.running

    def ledger(self) -> Ledger:
        """What the test put in `accounts`."""
        return self.accounts

    def fail(self, component: str, error: BaseException) -> None:
        """Note the failure."""
        self.failures.append((component, error))


def build(
    component_id: str,
    options: Mapping[str, Any] | None = None,
    downstream: Consumer | Mapping[Signal, Consumer] | Outputs | None = None,
    *,
    kind: Kind,
    metrics: Metrics | None = None,
    **replaced: Any,
) -> Any:
    """A component of the installed type, from options as they would stand in YAML.

    `downstream` is one consumer (for a receiver: of every signal it takes; for a connector its `Outputs`);
    `replaced` are further constructor arguments such as a clock.
    """
    factory = load(kind, component_id.partition("/")[0])
    config = factory.config.model_validate(dict(options or {}))
    telemetry = Telemetry(kind, component_id, metrics)
    arguments: list[Any] = [config]
    if kind is Kind.CONNECTOR:
        arguments.append(downstream)
    elif kind is Kind.RECEIVER and not isinstance(downstream, Mapping):
        arguments.append(dict.fromkeys(factory.stability, downstream))
    elif kind in (Kind.RECEIVER, Kind.PROCESSOR):
        arguments.append(downstream)
    return cast(Any, factory.component)(*arguments, telemetry, **replaced)
