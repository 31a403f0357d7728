"""``airis logs --follow`` shows every record once, whenever it arrives."""

import asyncio
from dataclasses import replace
from itertools import count

import pytest

from airis.service.commands import logs
from airis.service.commands.logs import MOST_OVERLAPPING, OVERLAP_NANO, Conditions, Follower
from airis.storage import StoreError
from airis.storage.reader import StoredLog

from .conftest import NOW, SECOND, insert, record, records


def stored(at: int, body: str = "") -> StoredLog:
    return StoredLog(at, "cart", "INFO", 9, "", body or str(at), "", "", {"a": "b"})


class Table:
    """Log records with the reader's behaviour, and a clock."""

    def __init__(self, *records: StoredLog) -> None:
        self.records = list(records)
        self.now = 10_000 * SECOND
        self.follower = Follower(self.find, lambda: self.now)

    async def find(self, *, since: int, until: int | None, limit: int) -> list[StoredLog]:
        within = [r for r in self.records if since <= r.time_unix_nano and (until is None or r.time_unix_nano < until)]
        return sorted(within, key=lambda r: r.time_unix_nano)[-limit:]

    def add(self, *records: StoredLog) -> tuple[StoredLog, ...]:
        self.records += records
        return records


async def test_begins_with_the_newest_of_the_time_that_was_asked_for():
    table = Table()
    old, older = stored(table.now - OVERLAP_NANO - 1), stored(table.now - OVERLAP_NANO - 2)
    recent = stored(table.now - 1)
    table.add(recent, older, old)

    assert await table.follower.first(0, 100) == [older, old, recent]
    assert await Follower(table.find, lambda: table.now).first(0, 2) == [old, recent]
    assert await Follower(table.find, lambda: table.now).first(0, 1) == [recent]
    assert await Follower(table.find, lambda: table.now).first(table.now - 1, 9) == [recent]


async def test_gives_what_was_left_out_at_the_beginning_never_again():
    table = Table()
    table.add(*(stored(table.now - number) for number in range(1, 6)))

    assert len(await table.follower.first(0, 2)) == 2
    assert await table.follower.new() == []


async def test_gives_each_record_once_in_whatever_order_they_arrive():
    table = Table()
    await table.follower.first(0, 100)

    first = table.add(stored(table.now))
    assert await table.follower.new() == [*first]
    table.now += 60 * SECOND
    late = table.add(stored(table.now - 100 * SECOND))
    early = table.add(stored(table.now + 3600 * SECOND))
    assert await table.follower.new() == [*late, *early]
    table.now += 60 * SECOND
    assert await table.follower.new() == []


async def test_equal_records_are_given_as_often_as_they_are_there():
    table = Table()
    await table.follower.first(0, 100)

    twin = stored(table.now)
    table.add(twin, replace(twin))
    assert await table.follower.new() == [twin, twin]
    table.add(replace(twin))
    assert await table.follower.new() == [twin]


async def test_says_when_more_arrived_than_it_looks_at():
    table = Table()
    await table.follower.first(0, 100)
    table.add(stored(table.now))
    await table.follower.new()
    assert not table.follower.overrun

    table.add(*(stored(table.now + number) for number in range(1, MOST_OVERLAPPING + 5)))
    assert len(await table.follower.new()) == MOST_OVERLAPPING
    assert table.follower.overrun


async def test_follows_a_store(engine, empty_store, capsys):
    """New records are written, a store that is away for a moment is asked again, a refusal ends it."""
    troubles = iter(
        [None, StoreError("cannot be reached"), StoreError("cannot be reached"), None, StoreError("no", 47)]
    )
    store, rows, number = empty_store, empty_store.rows, count(1)

    async def sleep(_seconds: float) -> None:
        await asyncio.sleep(0)
        trouble = next(troubles)

        async def answer(*given, **named):
            if trouble is not None:
                raise trouble
            return await rows(*given, **named)

        store.rows = answer
        if trouble is None:
            insert(
                engine,
                "logs",
                records("shop", record(0, f"late {next(number)}"), record(-1, f"new {next(number)}")),
                store.database,
            )

    insert(engine, "logs", records("shop", record(1, "first")), store.database)
    with pytest.raises(StoreError, match="no"):
        await logs._follow(store, Conditions(), NOW - 60 * SECOND, 10, "table", sleep, lambda: NOW)

    shown = capsys.readouterr()
    bodies = [line.split("shop  ")[1].strip() for line in shown.out.splitlines()]
    assert bodies == ["first", "late 1", "new 2", "late 3", "new 4"]
    assert shown.err == "airis: cannot be reached; trying again\n"


def test_an_interrupt_ends_it_well(airis, monkeypatch):
    async def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(logs, "_follow", interrupted)

    assert airis("logs", "-f").exit_code == 0
