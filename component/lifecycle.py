"""The kinds of component and what the service promises them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from airis.component.config import Config
from airis.component.health import Overview
from airis.component.telemetry import Telemetry
from airis.data import Batch, Signal

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from airis.component.ledger import Ledger, LogState
    from airis.component.sending import SendingSnapshot

T = TypeVar("T")
C = TypeVar("C", bound=Config)


class Consumer(Protocol):
    """Anything a batch can be handed to."""

    async def consume(self, batch: Batch) -> None:
        """Take responsibility for the batch, or raise Retryable, Permanent or Partial.

        Returning is the acknowledgement: from then on a loss would be this consumer's fault.
        """
        ...


class Host(Protocol):
    """What a started component may ask of the service it runs in."""

    @property
    def data_dir(self) -> Path:
        """The directory that this instance owns; it exists."""
        ...

    def extension(self, component_id: str, kind: type[T]) -> T:
        """What the running extension with this id provides, a `kind`; raises StartError if there is none."""
        ...

    @property
    def admin(self) -> "ASGIApp":
        """The admin API, for an extension that serves it somewhere."""
        ...

    def overview(self) -> Overview:
        """What runs at this moment, and how it is."""
        ...

    def ledger(self) -> "Ledger":
        """Where every accepted item is at this moment, and what is in the way of those that are queued."""
        ...

    def fail(self, component: str, error: BaseException) -> None:
        """Say that a component cannot go on: the service logs it and shuts down with an error."""
        ...


class Component(Generic[C]):
    """What the service starts, consumers before producers, and shuts down in the opposite order.

    The constructor only stores and computes: no I/O, no tasks.
    """

    def __init__(self, config: C, telemetry: Telemetry) -> None:
        self.config = config
        self.telemetry = telemetry

    async def start(self, host: Host) -> None:
        """Open what is needed and return; raise StartError to abort the start of the whole service."""

    def endpoints(self) -> Mapping[str, str]:
        """What it listens on once started: the name a person knows it by, and the address."""
        return {}

    async def shutdown(self) -> None:
        """Take nothing new, hand on what is held, close. Safe twice, and before start."""


class Receiver(Component[C]):
    """Takes data in from outside; one instance serves all signals of the pipelines that name it.

    `downstream` is alive: a reload may add signals to it and take some away, so it is asked for every batch.
    """

    def __init__(self, config: C, downstream: Mapping[Signal, Consumer], telemetry: Telemetry) -> None:
        super().__init__(config, telemetry)
        self.downstream = downstream


class Processor(Component[C]):
    """Changes, holds or leaves out data on its way; one instance for each pipeline that names it."""

    def __init__(self, config: C, downstream: Consumer, telemetry: Telemetry) -> None:
        super().__init__(config, telemetry)
        self.downstream = downstream

    async def consume(self, batch: Batch) -> None:
        """Hand on what becomes of the batch; returning acknowledges it."""
        raise NotImplementedError


class Exporter(Component[C]):
    """Delivers data; one instance serves all pipelines that name it."""

    @property
    def counts_itself(self) -> bool:
        """Whether it acknowledges before data is delivered, and counts what is delivered by itself."""
        return False

    def sending_state(self) -> "SendingSnapshot | None":
        """What is queued, under way and going wrong; None for one that sends nothing by `Sending`."""
        return None

    async def consume(self, batch: Batch) -> None:
        """Deliver the batch; returning acknowledges it."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Outputs:
    """The pipelines that a connector feeds. Both views are alive, as a receiver's `downstream` is."""

    by_signal: Mapping[Signal, Consumer]
    """All pipelines of a signal as one consumer."""
    by_pipeline: Mapping[str, Consumer]
    """Each by its id, for a connector that chooses."""


class Connector(Component[C]):
    """The end of some pipelines and the beginning of others; one instance serves all that name it."""

    keeps_items = False
    """Whether every item that it takes is handed on, held, or counted by `left_out`, as the ledger checks then."""

    def __init__(self, config: C, downstream: Outputs, telemetry: Telemetry) -> None:
        super().__init__(config, telemetry)
        self.downstream = downstream

    async def consume(self, batch: Batch) -> None:
        """Hand on what becomes of the batch; returning acknowledges it."""
        raise NotImplementedError


class Extension(Component[C]):
    """What is no part of a pipeline: the store, the query API, health checks."""

    def dependencies(self) -> Sequence[str]:
        """Ids of the extensions that must have started before this one."""
        return ()

    def provides(self) -> object:
        """What other components get when they ask the host for this extension."""
        return self

    def log_state(self) -> "LogState | None":
        """Of one that has a write-ahead log."""
        return None

    async def ready(self) -> None:
        """Told after the last receiver started."""

    async def draining(self) -> None:
        """Told before the first receiver shuts down."""
