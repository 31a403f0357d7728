"""Blocks reach the embedded store through memory: whole, never another one, and by the socket where they cannot."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from airis.data import kernels
from airis.storage import Address, Store, StoreError, client, handover
from airis.storage.schema import Retention, Schema, migrate

from ..engine import Engine

pytestmark = pytest.mark.skipif(not handover.AVAILABLE, reason="needs files in memory that have a path")

INSERT = "INSERT INTO airis_test.otel_logs (Body) FORMAT TSV"


def blocks(*bodies: str) -> Any:
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for body in bodies:
        records.add(time_unix_nano=1_700_000_000_000_000_000).body.string_value = body
    return kernels.scan("logs", request.SerializeToString()).native(1, kernels.SeriesIndex())


def stored(engine: Engine) -> list[str]:
    return [row["Body"] for row in engine.query("SELECT Body FROM otel_logs ORDER BY Body")]


class Observed(Store):
    """Keeps the bodies that went through the socket, and loses answers as it is told to."""

    def __init__(self, address: Address, database: str) -> None:
        super().__init__(address, database)
        self.bodies: list[bytes] = []
        self.places: list[str] = []
        self.lose = False

    def _post(self, body: Any, options: Any, **more: Any) -> Any:
        self.bodies.append(body)
        self.places.append((more.get("headers") or {}).get(handover.HEADER, ""))
        if self.lose:
            raise StoreError("no answer in time")
        return super()._post(body, options, **more)


@pytest.fixture
async def store(engine: Engine, database: str) -> AsyncIterator[Observed]:
    await migrate(engine, Schema(database, Retention(0, 0, 0)))
    store = Observed(Address(socket=str(engine.process.socket)), database)
    yield store
    await store.close()


async def test_a_block_is_stored_without_going_through_the_socket(engine, store) -> None:
    await store.insert("otel_logs", blocks("a", "b"), "1")

    assert stored(engine) == ["a", "b"]
    assert store.bodies == [b""]


async def test_a_shorter_block_in_the_same_memory_has_nothing_of_the_one_before(engine, store) -> None:
    await store.insert("otel_logs", blocks("a" * 100_000), "1")
    await store.insert("otel_logs", blocks("b"), "2")

    assert stored(engine) == ["a" * 100_000, "b"]
    assert len(set(store.places)) == 1


async def test_blocks_on_the_way_at_the_same_time_keep_apart(engine, store) -> None:
    await asyncio.gather(*(store.insert("otel_logs", blocks(f"{n:02}"), str(n)) for n in range(8)))

    assert stored(engine) == [f"{n:02}" for n in range(8)]


async def test_a_block_is_stored_once_for_each_token(engine, store) -> None:
    await store.insert("otel_logs", blocks("a"), "1")
    await store.insert("otel_logs", blocks("a"), "1")

    assert stored(engine) == ["a"]


async def test_memory_that_may_still_be_read_is_not_used_again(engine, store) -> None:
    store.lose = True
    with pytest.raises(StoreError):
        await store.insert("otel_logs", blocks("a"), "1")
    store.lose = False
    await store.insert("otel_logs", blocks("b"), "2")

    first, second = store.places
    assert first != second
    late = engine.process.post(b"", query=INSERT, headers={handover.HEADER: first})
    assert (late.code, handover.UNREADABLE in late.body.decode()) == (76, True)
    assert stored(engine) == ["b"]


async def test_an_error_is_the_stores_own(store) -> None:
    with pytest.raises(StoreError) as told:
        await store.insert("metric_samples", Wrong(), "1")
    assert not told.value.retryable

    await store.insert("otel_logs", blocks("b"), "2")
    assert store.bodies == [b"", b""], "what was wrong with one block says nothing of the next one's way"


class Wrong:
    """Blocks that are none."""

    def block(self, table: str) -> bytes:
        return b"\1\1nothing"

    def write(self, table: str, path: str) -> None:
        Path(path).write_bytes(self.block(table))


async def test_where_the_store_cannot_read_our_memory_blocks_go_through_the_socket(
    engine, store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover.Room, "place", "1.0.0.0")  # as it would be without the right to
    await store.insert("otel_logs", blocks("a"), "1")
    await store.insert("otel_logs", blocks("b"), "2")

    assert stored(engine) == ["a", "b"]
    assert [bool(body) for body in store.bodies] == [False, True, True]


async def test_a_store_at_an_address_gets_blocks_as_bodies(engine) -> None:
    assert not client.Store(Address("http://127.0.0.1:8123"))._hands_over


@pytest.mark.parametrize("place", ["", "x", "1.2.3", "-1.-1.-1.-1", f"{os.getpid()}.999999.1.1"], ids=repr)
def test_what_is_no_place_is_refused(place: str) -> None:
    with pytest.raises(OSError, match=r"no place of a block|No such file|Invalid"):
        handover.take(place)


def test_a_file_that_came_in_anothers_place_is_refused() -> None:
    room = handover.Room()
    place = room.place
    with open("/dev/null", "rb") as other:
        os.dup2(other.fileno(), int(place.split(".")[1]))

    with pytest.raises(OSError, match="another file"):
        handover.take(place)
    room.close()


def test_no_more_memory_is_kept_than_asked() -> None:
    rooms = handover.Rooms(spare=1)
    with rooms.room() as one, rooms.room() as other:
        one.read = other.read = True
    with pytest.raises(OSError, match="Bad file descriptor"):  # the inner one was kept, and then there were enough
        _ = one.place
    with rooms.room() as again:
        assert again is other
    rooms.close()
