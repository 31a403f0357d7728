"""One running configuration: start, ready, drain, shut down."""

import asyncio
import resource
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import structlog

from airis.component import Kind, Metrics, StartError
from airis.config import Configuration
from airis.service.graph import Graph
from airis.service.instance import Claim, InUse
from airis.service.own_metrics import OwnMetrics

T = TypeVar("T")

DRAIN_DEADLINE_S = 30.0

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Service:
    """A configuration as running components; their host."""

    def __init__(self, configuration: Configuration, data_dir: Path) -> None:
        self.configuration = configuration
        self.data_dir = data_dir
        self.metrics = Metrics()
        self.failure: tuple[str, BaseException] | None = None
        self.graph = Graph(configuration, self.metrics)
        self._own_metrics = OwnMetrics(configuration.telemetry.metrics, self.metrics)
        self._stopping = asyncio.Event()
        self._claim: Claim | None = None

    def extension(self, component_id: str, kind: type[T]) -> T:
        """What the running extension with this id provides; raises StartError if there is none, or another kind."""
        extension = self.graph.extensions.get(component_id)
        if extension is None:
            if component_id in self.configuration.components[Kind.EXTENSION]:
                raise StartError(f'needs the extension "{component_id}"; name it in service::extensions')
            raise StartError(f'needs the extension "{component_id}", which is not configured')
        provided = extension.provides()
        if not isinstance(provided, kind):
            raise StartError(f'the extension "{component_id}" is no {kind.__name__.lower()}')
        return provided

    def fail(self, component: str, error: BaseException) -> None:
        """Note why the service cannot go on, and stop it."""
        log.error("component failed", component=component, error=str(error))
        self.failure = self.failure or (component, error)
        self._stopping.set()

    def stop(self) -> None:
        """Let `run` end."""
        self._stopping.set()

    async def start(self) -> None:
        """Open the data directory and start all; raises StartError."""
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            self._claim = Claim(self.data_dir)
        except OSError as error:
            reason = "is a file; choose a directory" if isinstance(error, FileExistsError) else error.strerror
            raise StartError(f"{self.data_dir}: {reason}", "--data-dir") from error
        except InUse as error:
            raise StartError(str(error), "--data-dir") from error
        try:
            await self._own_metrics.start()
            await self.graph.start(self)
        except BaseException:
            await self._own_metrics.shutdown()
            self._claim.release()
            self._claim = None
            raise

    async def shutdown(self, deadline_s: float = DRAIN_DEADLINE_S) -> bool:
        """Drain and close; False if something failed to, or the deadline passed first (which is logged)."""
        errors: list[tuple[str, Exception]] = []
        try:
            async with asyncio.timeout(deadline_s):
                errors = await self.graph.shutdown()
        except TimeoutError:
            log.error("not drained in time", component=self.graph.draining, deadline_s=deadline_s)
            return False
        finally:
            await self._own_metrics.shutdown()
            if self._claim is not None:
                self._claim.release()
                self._claim = None
        for component, error in errors:
            log.error("component did not shut down", component=component, error=str(error))
        return not errors

    def endpoints(self) -> dict[str, str]:
        """What the components listen on, by the name a person knows it by: ``OTLP gRPC``, ``OTLP gRPC edge``."""
        return {
            f"{name} {own}" if (own := placed.component.telemetry.component_id.partition("/")[2]) else name: address
            for placed in self.graph.in_start_order()
            for name, address in placed.component.endpoints().items()
        }

    def _announce(self) -> None:
        """Let the reading commands find this instance."""
        path = Path(self.configuration.source)
        configuration = str(path.absolute()) if path.exists() else ""
        assert self._claim is not None
        self._claim.announce(int(time.time()), configuration, self.endpoints(), self._own_metrics.address)

    async def run(self, on_ready: Callable[[], None] = lambda: None) -> bool:
        """Start, serve until SIGINT, SIGTERM or a failure, drain; False if it did not end well.

        A signal ends a start as well, and a second one ends the drain at once.
        """
        _allow_many_connections()
        with _signals(self.stop) as second_signal:
            cut = asyncio.create_task(second_signal.wait())
            try:
                if await self._start_unless_stopped(cut):
                    self._announce()
                    log.info("ready")
                    on_ready()
                    await self._stopping.wait()
                log.info("shutting down")
                drain = asyncio.create_task(self.shutdown())
                await asyncio.wait({drain, cut}, return_when=asyncio.FIRST_COMPLETED)
                if not drain.done():
                    log.error("shutdown cut short by a second signal", component=self.graph.draining)
                    drain.cancel()
                    await asyncio.wait({drain}, timeout=1)
                    return False
                return drain.result() and self.failure is None
            finally:
                cut.cancel()

    async def _start_unless_stopped(self, cut: asyncio.Task[Any]) -> bool:
        """Start all; False if the service was to stop first, and what had started has been shut down."""
        starting = asyncio.create_task(self.start())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if starting.done():
            starting.result()
            return True
        starting.cancel()
        await asyncio.wait({starting, cut}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and not starting.cancelled():
            starting.exception()  # what fails now is of no use to anybody
        return False


def _allow_many_connections() -> None:
    """Use what the system allows, as Go's programs do: the usual 1024 files are as many clients at most."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS says "unlimited" and takes less
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def _signals(stop: Callable[[], None]) -> Generator[asyncio.Event]:
    """Call `stop` at the first SIGINT or SIGTERM; the event is set by the second."""
    second = asyncio.Event()
    seen: list[int] = []

    def note(number: int) -> None:
        seen.append(number)
        (second.set if len(seen) > 1 else stop)()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, note, number)
    try:
        yield second
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
