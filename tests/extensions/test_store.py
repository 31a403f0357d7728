"""The store extension: an engine of its own or a server, with the tables that the configuration asks for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from airis.component import Kind, StartError
from airis.component.testing import FakeHost, ManualClock, build
from airis.data.layout import TABLES
from airis.extensions.store import ATTEMPT_EVERY_S, FIRST_ATTEMPTS_S, StoreConfig, StoreExtension
from airis.storage import Address, Store

from ..storage.store_process import StoreProcess, starting

Start = Callable[..., Awaitable[StoreExtension]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start an extension with these options."""
    started: list[StoreExtension] = []

    async def begin(host: FakeHost | None = None, **options: Any) -> StoreExtension:
        replaced = {name: options.pop(name) for name in ("clock", "sleep") if name in options}
        made = build("store", options, kind=Kind.EXTENSION, **replaced)
        started.append(made)
        await made.start(host or FakeHost(tmp_path))
        return made

    yield begin
    for extension in started:
        await extension.shutdown()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StoreProcess]:
    """What a ClickHouse server is to airis: the HTTP interface on TCP."""
    folder = tmp_path / "server"
    folder.mkdir()
    with starting(folder) as begin:
        process = begin("--listen", "127.0.0.1:0", "--allow-writes")
        assert process.report()[0] == "ready"
        yield process


def url_of(server: StoreProcess) -> str:
    return f"http://{server.facts['listen']}"


async def tables(store: Store) -> set[str]:
    return {row["name"] for row in await store.rows("SHOW TABLES")}


async def test_the_embedded_store_has_its_tables_and_ends_with_the_service(start: Start, tmp_path: Path) -> None:
    extension = await start(database="mine", retention={"traces": "2d"})
    store = extension.provides()

    assert await tables(store) > set(TABLES)
    assert store.database == "mine"
    (traces,) = await store.rows("SELECT engine_full FROM system.tables WHERE name = 'otel_traces'")
    assert "toIntervalSecond(172800)" in traces["engine_full"]
    assert (tmp_path / "store").is_dir()
    assert extension._up() == 1

    await extension.shutdown()
    assert extension._up() == 0
    assert not await store.ping()


async def test_clickhouse_clients_can_read_where_it_listens(start: Start) -> None:
    extension = await start(listen="127.0.0.1:0")

    reader = Store(Address(f"http://{extension.endpoints()['ClickHouse HTTP']}"))
    assert await tables(reader) > set(TABLES)
    with pytest.raises(Exception, match=r"(?i)read-?only"):
        await reader.command("DROP TABLE otel_traces")
    await reader.close()


async def test_a_server_gets_the_tables(start: Start, server: StoreProcess) -> None:
    extension = await start(endpoint=url_of(server), username="default", password="secret")

    assert await tables(extension.provides()) > set(TABLES)
    assert extension.process is None


async def test_a_server_that_comes_late_gets_the_tables_then(
    start: Start, server: StoreProcess, tmp_path: Path
) -> None:
    clock = ManualClock()
    port = server.facts["listen"].rpartition(":")[2]
    server.end()
    starting_up = asyncio.create_task(
        start(endpoint=f"http://127.0.0.1:{port}", clock=clock, sleep=clock.sleep),
    )
    async with asyncio.timeout(30):
        while not starting_up.done():
            await clock.advance(ATTEMPT_EVERY_S)
    extension = await starting_up
    assert clock.now > FIRST_ATTEMPTS_S

    with starting(tmp_path / "server") as begin:
        again = begin("--listen", f"127.0.0.1:{port}", "--allow-writes")
        assert again.report()[0] == "ready"
        assert extension._migrating is not None
        async with asyncio.timeout(30):
            while not extension._migrating.done():
                await clock.advance(ATTEMPT_EVERY_S)
        assert await tables(extension.provides()) > set(TABLES)
        await extension.provides().close()


async def test_a_newer_schema_stops_the_start(start: Start, server: StoreProcess) -> None:
    extension = await start(endpoint=url_of(server))
    await extension.provides().command("INSERT INTO schema_migrations (version, name) VALUES (999, 'future')")

    with pytest.raises(StartError, match="schema 999") as told:
        await start(endpoint=url_of(server))
    assert told.value.option == "database"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"endpoint": "clickhouse:8123"}, 'write "http://localhost:8123"'),
        ({"endpoint": "http://clickhouse"}, "has no port"),
        ({"endpoint": "http://c:8123", "listen": "127.0.0.1:8123"}, "listen: only for the embedded store"),
        ({"endpoint": "http://c:8123", "tls": {"ca_file": "ca.pem"}}, "tls needs an https endpoint"),
        ({"cluster": "main"}, "cluster: only for a server"),
        ({"allow_writes": True}, "listen, which is empty"),
        ({"listen": "8123"}, "has no host"),
        ({"database": "a b"}, "pattern"),
        ({"endpoint": "http://c:8123", "cluster": "a'b"}, "no cluster name"),
        ({"retention": {"traces": "-1d"}}, "greater than or equal to 0"),
    ],
    ids=lambda value: str(value),
)
def test_options_that_cannot_be_meant_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StoreConfig.model_validate(options)


def test_a_password_is_not_printed() -> None:
    config = StoreConfig.model_validate({"endpoint": "http://c:8123", "password": "hunter2"})

    assert "hunter2" not in f"{config!r} {config.address(Path('s'))!r} {config.model_dump_json()}"
