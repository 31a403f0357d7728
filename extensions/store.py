"""The store of airis: an embedded ClickHouse engine in a child process, or a ClickHouse server."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from airis.component import Config, Duration, Extension, Host, Secret, StartError, Telemetry, extension
from airis.component.listen import is_wildcard, parse_endpoint
from airis.component.tls import TlsClientConfig
from airis.storage import Address, Store, StoreError
from airis.storage.guard import Limits
from airis.storage.options import StoreOptions
from airis.storage.process import StoreProcess
from airis.storage.schema import Retention, Schema, SchemaTooNew, migrate

DAY_S = 86_400.0
MIB = 1024 * 1024
SOCKET_NAME = "store.sock"
DIRECTORY_NAME = "store"
FIRST_ATTEMPTS_S = 5.0
"""How long a start waits for a server that does not answer, before it goes on without."""
ATTEMPT_EVERY_S = 1.0

_URL = re.compile(r"(https?)://([^/?#\s]+)/?")
_REFUSES_US = frozenset({192, 193, 194, 291, 497, 516})
"""Codes of a server that does not know us, or does not let us: nothing that waiting would mend."""


class RetentionConfig(Config):
    """How long each signal is kept, by whole days of data; 0s is for ever."""

    traces: Duration = Field(default=30 * DAY_S, ge=0, description="Of spans.")
    logs: Duration = Field(default=30 * DAY_S, ge=0, description="Of log records.")
    metrics: Duration = Field(default=30 * DAY_S, ge=0, description="Of data points and exemplars.")


class QueryLimitsConfig(Config):
    """What one reading query may take of the embedded store; a server has limits of its own."""

    max_execution_time: Duration = Field(default=30.0, gt=0, description="Longest run of a query.")
    max_memory_mib: int = Field(default=2048, ge=16, description="Most memory of a query, in MiB.")
    max_result_rows: int = Field(default=1_000_000, ge=1, description="Most rows of a result.")
    readers: int = Field(
        default=4, ge=1, le=64, description="Queries that run at the same time; more wait for their turn."
    )


class StoreConfig(Config):
    """Where telemetry is kept, and for how long."""

    endpoint: str = Field(
        default="",
        description="A ClickHouse server, such as https://clickhouse.example:8443; empty: the embedded engine.",
    )
    username: str = Field(default="default", description="User of the server.")
    password: Secret = Field(default=Secret(""), description="The user's password.")
    database: str = Field(
        default="airis",
        pattern="^[A-Za-z_][A-Za-z0-9_]{0,62}$",
        description="Database of the tables; made if it is not there.",
    )
    tls: TlsClientConfig | None = Field(default=None, description="How an https endpoint is verified.")
    cluster: str = Field(
        default="", description="Cluster of the server: tables on its shards, Distributed tables over them."
    )
    replicated: bool = Field(default=False, description="Use the Replicated table engines.")
    retention: RetentionConfig = Field(default=RetentionConfig(), description="How long each signal is kept.")
    directory: str = Field(
        default="", description='Where the embedded engine keeps its data; empty: "store" in the data directory.'
    )
    listen: str = Field(
        default="",
        description="host:port at which ClickHouse clients can read the embedded engine, such as 127.0.0.1:8123; "
        "empty: nowhere.",
    )
    allow_writes: bool = Field(
        default=False,
        description="Let clients at `listen` change data, too; SQL that writes can also reach the files of this user.",
    )
    query_limits: QueryLimitsConfig = Field(default=QueryLimitsConfig(), description="What one reading query may take.")

    @field_validator("endpoint")
    @classmethod
    def _is_url(cls, endpoint: str) -> str:
        found = _URL.fullmatch(endpoint)
        if endpoint and not found:
            raise ValueError(f'"{endpoint}" is not the URL of a server; write "http://localhost:8123"')
        if found:
            parse_endpoint(found[2])
        return endpoint.rstrip("/")

    @field_validator("listen")
    @classmethod
    def _can_listen(cls, listen: str) -> str:
        if listen:
            parse_endpoint(listen)
        return listen

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        embedded_only = [name for name in ("directory", "listen", "allow_writes") if getattr(self, name)]
        server_only = [name for name in ("cluster", "replicated", "tls") if getattr(self, name)]
        if self.endpoint and embedded_only:
            raise ValueError(f"{', '.join(embedded_only)}: only for the embedded store, but endpoint names a server")
        if not self.endpoint and server_only:
            raise ValueError(f"{', '.join(server_only)}: only for a server, but endpoint is empty")
        if self.allow_writes and not self.listen:
            raise ValueError("allow_writes is for clients at listen, which is empty")
        if self.tls and not self.tls.insecure and not self.endpoint.startswith("https:"):
            raise ValueError("tls needs an https endpoint")
        self.schema_of_tables()
        return self

    def schema_of_tables(self) -> Schema:
        """The tables that these options ask for."""
        kept = self.retention
        retention = Retention(traces=kept.traces, logs=kept.logs, metrics=kept.metrics)
        return Schema(self.database, retention, self.cluster or None, self.replicated)

    def address(self, socket: Path) -> Address:
        """Where the store is; `socket` is the embedded one's. Raises StartError for TLS files."""
        if not self.endpoint:
            return Address(socket=str(socket))
        context = self.tls.context() if self.tls and not self.tls.insecure else None
        name = self.tls.server_name_override if self.tls else ""
        password = self.password.get_secret_value()
        return Address(self.endpoint, username=self.username, password=password, ssl=context, server_name=name)

    def store(self, socket: Path) -> Store:
        """A client of the store; `socket` is the embedded one's. Raises StartError for TLS files."""
        return Store(self.address(socket), self.database, self.query_limits.max_execution_time)

    def process_options(self, data_dir: Path) -> StoreOptions:
        """How the embedded store is started."""
        asked = self.query_limits
        limits = Limits(asked.max_execution_time, asked.max_memory_mib * MIB, asked.max_result_rows)
        directory = Path(self.directory).expanduser().absolute() if self.directory else data_dir / DIRECTORY_NAME
        socket = data_dir / SOCKET_NAME
        return StoreOptions(directory, socket, self.listen, self.allow_writes, asked.readers, limits)


@extension("store")
class StoreExtension(Extension[StoreConfig]):
    """Keep telemetry in an embedded ClickHouse engine, or in a ClickHouse server with `endpoint`.

    Provides a `Store`. The embedded engine is a supervised process of its own: when it crashes it is started
    again while receivers stay up. A server that does not answer at the start is asked on and on; until it
    answers, data is refused as retryable.
    """

    def __init__(
        self,
        config: StoreConfig,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(config, telemetry)
        self._clock = clock
        self._sleep = sleep
        self._store: Store | None = None
        self._migrating: asyncio.Task[None] | None = None
        self.process: StoreProcess | None = None
        """The child process; None with a server."""
        self.restarts = telemetry.counter("restarts", "{restart}", "Starts of the store process after a crash.")
        telemetry.gauge("up", "1", "1 while the store process runs.", self._up)

    async def start(self, host: Host) -> None:
        """Start the engine or reach the server, and bring its tables to the newest schema."""
        config = self.config
        options = config.process_options(host.data_dir)
        self._store = config.store(options.socket)
        if config.endpoint:
            await self._reach_server(host)
            return
        self.process = StoreProcess(options, self.telemetry.log, self._sleep, lambda: self.restarts.add(1))
        if config.listen and is_wildcard(config.listen, "tcp"):
            self.telemetry.log.warning("whoever reaches it can read all data", listen=config.listen)
        await self.process.start()
        try:
            await migrate(self._store, config.schema_of_tables())
        except SchemaTooNew as error:
            raise StartError(str(error), "directory") from error
        except StoreError as error:
            raise StartError(f"cannot make the tables: {error}", "directory") from error

    async def shutdown(self) -> None:
        """Close the connections, then the engine."""
        if self._migrating is not None:
            self._migrating.cancel()
            await asyncio.wait({self._migrating})
            self._migrating = None
        if self._store is not None:
            await self._store.close()
        if self.process is not None:
            await self.process.stop()

    def provides(self) -> Store:
        """The store."""
        assert self._store is not None
        return self._store

    def endpoints(self) -> Mapping[str, str]:
        """The address for ClickHouse clients, if there is one."""
        return {"ClickHouse HTTP": self.process.listen} if self.process and self.process.listen else {}

    def _up(self) -> float:
        return float(self.process is None or self.process.pid is not None)

    async def _reach_server(self, host: Host) -> None:
        deadline = self._clock() + FIRST_ATTEMPTS_S
        while True:
            try:
                await self._migrate_server()
                return
            except StoreError as error:
                if self._clock() > deadline:
                    self.telemetry.log.warning(
                        "the server is not ready, data is refused until it is",
                        endpoint=self.config.endpoint,
                        error=str(error),
                    )
                    break
            await self._sleep(ATTEMPT_EVERY_S)
        self._migrating = asyncio.create_task(self._migrate_when_ready(host))

    async def _migrate_when_ready(self, host: Host) -> None:
        while True:
            await self._sleep(ATTEMPT_EVERY_S)
            try:
                with suppress(StoreError):
                    await self._migrate_server()
                    self.telemetry.log.info("the server is ready", endpoint=self.config.endpoint)
                    return
            except StartError as error:
                host.fail(f"extensions::{self.telemetry.component_id}", error)
                return

    async def _migrate_server(self) -> None:
        """Raises StoreError where another attempt may help, StartError where not."""
        assert self._store is not None
        try:
            await migrate(self._store, self.config.schema_of_tables())
        except SchemaTooNew as error:
            raise StartError(str(error), "database") from error
        except StoreError as error:
            if error.code in _REFUSES_US:
                raise StartError(f"{self.config.endpoint}: {error}", "username") from error
            raise
