"""One running configuration: start, ready, reload, drain, shut down."""

import asyncio
import os
import resource
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog

from airis.component import Extension, Kind, Metrics, Overview, StartError, Telemetry
from airis.component.http import HttpServer, HttpServerConfig
from airis.component.ledger import Ledger
from airis.config import ConfigError, Configuration, Sources, load_configuration
from airis.service.admin import Admin
from airis.service.admin_client import socket_path
from airis.service.changes import Change
from airis.service.graph import Failures, Graph, NothingStarts, ReloadFailed
from airis.service.instance import Claim, InUse
from airis.service.ledger import draw_up, metrics_of
from airis.service.logs import configure_logs
from airis.service.own_metrics import OwnMetrics
from airis.service.watch import Watch

T = TypeVar("T")

DRAIN_DEADLINE_S = 30.0
CLEAN_UP_S = 5.0
"""What a start that came to nothing may take to close what it had opened."""

REFUSALS = (ConfigError, OSError, StartError, ReloadFailed, NothingStarts)
"""Why a reload is not done; the last one of these ends the service."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did, or would do."""

    configuration: Configuration
    changes: tuple[Change, ...]
    failures: Failures
    """What did not drain or shut down well; it is gone all the same."""


class Service:
    """A configuration as running components; their host."""

    def __init__(
        self,
        configuration: Configuration,
        data_dir: Path,
        load: Callable[[Sources], Configuration] = load_configuration,
        *,
        watch: bool = False,
    ) -> None:
        """`load` reads the configuration again for a reload; `watch` reloads when its files change."""
        self.configuration = configuration
        self.data_dir = data_dir
        self.metrics = Metrics()
        self.failure: tuple[str, BaseException] | None = None
        self.graph = Graph(configuration, self.metrics)
        self.metrics.sources.append(lambda: metrics_of(self.ledger()))
        self.admin = Admin(self)
        self.graph.ports_changed = self.admin.taps.follow
        self.started_unix_s = 0.0
        self._load = load
        self._watch = Watch(lambda: self.configuration.files) if watch else None
        self._own_metrics = self._own_metrics_of(configuration)
        self._admin_server = HttpServer(
            self.admin.for_owner,
            HttpServerConfig(transport="unix", endpoint=str(socket_path(data_dir))),
            Telemetry("service", "admin", self.metrics),
            socket_mode=0o600,
        )
        self._stopping = asyncio.Event()
        self._reload_wanted = asyncio.Event()
        self._reload_lock = asyncio.Lock()
        self._reloading: asyncio.Task[Any] | None = None
        self._claim: Claim | None = None

    def extension(self, component_id: str, kind: type[T]) -> T:
        """What the running extension with this id provides; raises StartError if there is none, or another kind."""
        extension = self.graph.component(Kind.EXTENSION, component_id)
        if not isinstance(extension, Extension):
            if component_id in self.configuration.components[Kind.EXTENSION]:
                raise StartError(f'needs the extension "{component_id}"; name it in service::extensions')
            raise StartError(
                f'needs the extension "{component_id}", which is not configured; write it under extensions'
            )
        provided = extension.provides()
        if not isinstance(provided, kind):
            raise StartError(f'the extension "{component_id}" is no {kind.__name__.lower()}')
        return provided

    def overview(self) -> Overview:
        """What runs at this moment, and how it is."""
        return self.graph.overview(self.started_unix_s)

    def ledger(self) -> Ledger:
        """Where every accepted item is at this moment, and what is in the way of those that are queued."""
        return draw_up(self.graph, time.monotonic())

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
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._claim = Claim(self.data_dir)
        except OSError as error:
            reason = "is a file; choose a directory" if isinstance(error, FileExistsError) else error.strerror
            raise StartError(f"{self.data_dir}: {reason}", "--data-dir") from error
        except InUse as error:
            raise StartError(str(error), "--data-dir") from error
        self.started_unix_s = time.time()
        async with self._reload_lock:  # the admin extension listens before the pipelines are there
            try:
                await self._own_metrics.start()
                await self.graph.start(self)
                await self._admin_server.start()
            except BaseException:
                await self.graph.shutdown(CLEAN_UP_S)
                await self._close()
                raise

    async def reload(self, *, dry_run: bool = False) -> Reloaded:
        """Read the configuration again and change what is different, or with `dry_run` only say what that is.

        Raises ConfigError, OSError, StartError and ReloadFailed, with the old configuration running on; what came
        of it is logged as well. It is finished even if the caller leaves.
        """
        return await asyncio.shield(asyncio.create_task(self._reload_in_turn(dry_run)))

    async def _reload_in_turn(self, dry_run: bool) -> Reloaded:
        async with self._reload_lock:
            if self._stopping.is_set():
                raise StartError("the service is shutting down")
            self._reloading = asyncio.current_task()
            try:
                done = await self._reload(dry_run)
            except Exception as error:
                if not dry_run:
                    _log_refused(error)
                if isinstance(error, REFUSALS):
                    raise
                raise StartError(f"{type(error).__name__}: {error}") from error
            finally:
                self._reloading = None
        if not dry_run:
            if done.configuration.warnings:
                log.warning("configuration warnings", warnings=list(map(str, done.configuration.warnings)))
            _log_failures(done.failures)
            log.info("reloaded", changes=[f"{change.sign} {change.what}" for change in done.changes])
        return done

    async def _reload(self, dry_run: bool) -> Reloaded:
        configuration = await asyncio.to_thread(self._load, self.configuration.sources)
        changes = tuple(self.graph.changes(configuration))
        if dry_run:
            return Reloaded(configuration, changes, [])
        old = self.configuration
        await self._exchange_telemetry(old, configuration)
        self.configuration = configuration  # what starts may ask for its extensions
        try:
            failures = await self.graph.reload(configuration, self, DRAIN_DEADLINE_S)
        except BaseException as error:
            self.configuration = old
            await self._exchange_telemetry(configuration, old)
            self._announce_again()
            if isinstance(error, NothingStarts):
                self.fail("reload", error)
            raise
        self._announce_again()
        return Reloaded(configuration, changes, failures)

    async def _exchange_telemetry(self, old: Configuration, new: Configuration) -> None:
        """Raises StartError with the old one at work again."""
        before, after = old.telemetry, new.telemetry
        if (before.logs, before.resource) != (after.logs, after.resource):
            configure_logs(after.logs, after.resource)
        if (before.metrics, before.resource) == (after.metrics, after.resource):
            return
        running, self._own_metrics = self._own_metrics, self._own_metrics_of(new)
        await running.shutdown()
        try:
            await self._own_metrics.start()
        except StartError:
            configure_logs(before.logs, before.resource)
            self._own_metrics = self._own_metrics_of(old)
            await self._own_metrics.start()
            raise

    def _own_metrics_of(self, configuration: Configuration) -> OwnMetrics:
        return OwnMetrics(configuration.telemetry.metrics, self.metrics, configuration.telemetry.resource)

    async def shutdown(self, deadline_s: float = DRAIN_DEADLINE_S) -> bool:
        """Drain and close, in about so many seconds; False if something did not, which is logged."""
        self._stopping.set()
        try:
            if self._reloading is not None:
                # It has somewhere to put what processors hold, if it may end.
                await asyncio.wait({self._reloading}, timeout=deadline_s / 2)
                self._reloading.cancel()
                await asyncio.wait({self._reloading}, timeout=1)
            failures = await self.graph.shutdown(deadline_s)
        finally:
            await self._close()
        _log_failures(failures)
        return not failures

    async def _close(self) -> None:
        await self._admin_server.shutdown()
        await self._own_metrics.shutdown()
        if self._claim is not None:
            self._claim.release()
            self._claim = None

    def endpoints(self) -> dict[str, str]:
        """What the components listen on, by the name a person knows it by: ``OTLP gRPC``, ``OTLP gRPC edge``."""
        return {
            f"{name} {own}" if (own := node.place.component_id.partition("/")[2]) else name: address
            for node in self.graph.in_start_order()
            for name, address in node.component.endpoints().items()
        }

    def _announce(self) -> None:
        """Let the reading commands find this instance."""
        assert self._claim is not None
        self._claim.announce(
            int(self.started_unix_s),
            self.configuration.sources,
            self.endpoints(),
            self._own_metrics.address,
            self._admin_server.address,
        )

    def _announce_again(self) -> None:
        try:
            self._announce()
        except OSError as error:
            log.error("other commands do not know what has changed", error=str(error))

    async def run(self, on_ready: Callable[[], None] = lambda: None) -> bool:
        """Start, serve until SIGINT, SIGTERM or a failure, drain; False if it did not end well.

        A signal ends a start as well, and a second one ends the drain at once. SIGHUP reloads.
        """
        _allow_many_connections()
        with _signals(self.stop, self._reload_wanted.set) as second_signal:
            cut = asyncio.create_task(second_signal.wait())
            try:
                if await self._start_unless_stopped(cut):
                    try:
                        self._announce()
                        log.info("ready")
                        on_ready()
                        await self._serve()
                    except BaseException:
                        await self.shutdown()
                        raise
                log.info("shutting down")
                drain = asyncio.create_task(self.shutdown())
                await asyncio.wait({drain, cut}, return_when=asyncio.FIRST_COMPLETED)
                if not drain.done():
                    log.error(
                        "shutdown cut short by a second signal",
                        components=[str(place) for place in self.graph.stopping or self.graph.nodes],
                        undrained_items=dict(self.graph.undrained()),
                    )
                    drain.cancel()
                    await asyncio.wait({drain}, timeout=1)
                    return False
                return drain.result() and self.failure is None
            finally:
                cut.cancel()

    async def _serve(self) -> None:
        """Reload whenever it is asked for, until the service is to stop."""
        background = {asyncio.create_task(self._reload_when_wanted())}
        if self._watch is not None:
            background.add(asyncio.create_task(self._watch.run(self._reload_wanted.set)))
        await self._stopping.wait()
        for task in background:
            task.cancel()
        await asyncio.wait(background)

    async def _reload_when_wanted(self) -> None:
        while await self._reload_wanted.wait():
            self._reload_wanted.clear()
            with suppress(*REFUSALS):  # they are logged
                await self.reload()

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
        await asyncio.wait({starting, cut}, timeout=DRAIN_DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and not starting.cancelled():
            starting.exception()  # what fails now is of no use to anybody
        return False


def _log_refused(error: Exception) -> None:
    errors = error.problems if isinstance(error, ConfigError) else [error]
    log.error(
        "not reloaded, the old configuration goes on",
        errors=list(map(str, errors)),
        exc_info=None if isinstance(error, REFUSALS) else error,
    )


def _log_failures(failures: Failures) -> None:
    for place, error in failures:
        log.error("component did not shut down", component=str(place), error=str(error))


def _allow_many_connections() -> None:
    """Use what the system allows, as Go's programs do: the usual 1024 files are as many clients at most."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS says "unlimited" and takes less
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def _signals(stop: Callable[[], None], reload: Callable[[], None]) -> Generator[asyncio.Event]:
    """Call `stop` at the first SIGINT or SIGTERM, `reload` at SIGHUP; the event is set by the second of the former.

    A terminal that is closed sends SIGHUP as well, and means the end.
    """
    second = asyncio.Event()
    terminal = next((number for number in (0, 1, 2) if os.isatty(number)), None)
    seen: list[int] = []

    def note(number: int) -> None:
        seen.append(number)
        (second.set if len(seen) > 1 else stop)()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, note, number)
    loop.add_signal_handler(
        signal.SIGHUP,
        lambda: reload() if terminal is None or os.isatty(terminal) else note(signal.SIGHUP),
    )
    try:
        yield second
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
