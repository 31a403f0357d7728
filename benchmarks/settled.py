"""What storing costs until merges are done: of airis with its store, and of the store alone for blocks like those."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from airis.data import kernels
from airis.data.layout import TABLES
from airis.storage import Address, Store, StoreError
from measuring import Run, drain, window
from processes import descendants, own_cpu_s, tree_cpu_s
from scenario import Load
from systems import SIGNALS, System
from tools import body

FULL_BLOCK_ITEMS = 65_536
LENGTH = 4
"""Windows; of a short time the start would be a large part."""
SETTLE_S = 300.0
POLL_S = 0.5
BODY_ITEMS = 512
"""As in the scenarios; the blocks that the store is given alone are made of such requests, too."""
_INSERTS = re.compile(r'^otelcol_exporter_store_(inserts|rows)(?:_total)?\{.*?table="(\w+)".*?\} (\S+)$', re.MULTILINE)

T = TypeVar("T")


def settled(system: System, load: Load, seconds: float) -> Run:
    """Store for so long, let the merges end, then give the store alone as many rows in blocks of the same size."""
    run = window(system, load, LENGTH * seconds, warmup=0.0)
    spent = _own_and_child(system)
    _with_store(system, _settle)
    own, child = (after - before for after, before in zip(_own_and_child(system), spent, strict=True))
    per_million = 1e6 / run.items
    counts = _inserts(system)
    rows, inserts = max(counts.values())
    stored = _with_store(system, _rows)
    airis = run.own_cpu_s_per_million + own * per_million
    with_store = run.cpu_s_per_million + (own + child) * per_million
    block_items = max(1, round(run.items / inserts))
    same, full = (_alone(system, load.kind, run.items, items) for items in (block_items, FULL_BLOCK_ITEMS))
    run.own_cpu_s_per_million, run.cpu_s_per_million = airis, with_store
    run.lost += rows - stored
    run.more |= {
        "store_cpu_s_per_million": with_store - airis,
        "rows": rows,
        "inserts": inserts,
        "store_alone_cpu_s_per_million": same,
        "store_alone_full_blocks_cpu_s_per_million": full,
        "times_the_store": with_store / same,
    }
    return run


def _own_and_child(system: System) -> tuple[float, float]:
    own = own_cpu_s(system.pid)
    return own, tree_cpu_s(system.pid) - own


def _child_cpu_s(system: System) -> float:
    return sum(own_cpu_s(pid) for pid in descendants(system.pid)[1:])


def _inserts(system: System) -> dict[str, tuple[int, int]]:
    """Rows and inserts of each table, as airis counts them."""
    found: dict[str, dict[str, int]] = {}
    for what, table, value in _INSERTS.findall(system.metrics_text()):
        found.setdefault(table, {})[what] = int(float(value))
    return {table: (counts["rows"], counts["inserts"]) for table, counts in found.items() if counts.get("rows")}


def _with_store(system: System, work: Callable[[Store], Awaitable[T]]) -> T:
    async def connected() -> T:
        store = Store(Address(socket=str(system.folder / "data/store.sock")))
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(connected())


async def _rows(store: Store) -> int:
    """Rows in the largest table."""
    counts = [await store.rows(f"SELECT count() AS rows FROM {table}") for table in TABLES]
    return max(int(rows[0]["rows"]) for rows in counts)


async def _settle(store: Store) -> None:
    """Merge every table to one part for each partition, and wait until nothing is merged any more."""
    deadline = time.monotonic() + SETTLE_S
    for table in TABLES:
        while True:
            try:
                await store.command(f"OPTIMIZE TABLE {table} FINAL")
                break
            except StoreError:
                # It waits for merges under way, and gives up before they end.
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(POLL_S)
    while int((await store.rows("SELECT count() AS n FROM system.merges"))[0]["n"]):
        if time.monotonic() > deadline:
            raise StoreError("merges do not end")
        await asyncio.sleep(POLL_S)


async def _empty(store: Store) -> None:
    for table in TABLES:
        await store.command(f"TRUNCATE TABLE {table}")


def _alone(system: System, kind: str, items: int, block_items: int) -> float:
    """CPU-seconds of the store for a million items in blocks of so many, merges included."""
    signal = SIGNALS[kind]
    series = kernels.SeriesIndex()

    async def fill(store: Store) -> None:
        left, number = items, 0
        while left > 0:
            take = min(left, block_items)
            # Other ids in every block: they are what indexes and compression work on.
            requests = max(1, round(take / BODY_ITEMS))
            payload = body(kind, take // requests, seed=1 + number * (block_items // BODY_ITEMS + 1), requests=requests)
            blocks = kernels.scan(signal, payload).native(time.time_ns(), series)
            for table in blocks.rows:
                await store.insert(table, blocks, f"alone-{block_items}-{number}-{table}")
            series.add(blocks)
            left, number = left - take // requests * requests, number + 1

    _with_store(system, _empty)
    drain(system, kind, None)
    before = _child_cpu_s(system)
    _with_store(system, fill)
    _with_store(system, _settle)
    return (_child_cpu_s(system) - before) / items * 1e6
