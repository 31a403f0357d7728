"""Views of views: whatever is done to a request, both back ends say the same, and protobuf reads it."""

import importlib
import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airis.data.fields import Attribute, Field, Source
from airis.proto.wire import length_delimited

from .meaning import flat, meaning

reference = importlib.import_module("airis.data.reference")
native = pytest.importorskip("airis._core")

ARRIVED = 1_700_000_000_123_456_789
SEEDS = st.integers(0, (1 << 64) - 1)
SIGNALS = pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
MARK = length_delimited(1000, b"mark")
BARE_ATTRIBUTE = length_delimited(1, length_delimited(1, b"a"))
SOURCES: dict[str, list[Source]] = {
    "traces": [
        Attribute("resource", "a"),
        Attribute("item", "a"),
        Field("item", "trace_id"),
        Field("item", "duration"),
    ],
    "metrics": [
        Attribute("scope", "a"),
        Attribute("item", "a"),
        Attribute("metric", "a"),
        Field("metric", "name"),
        Field("item", "count"),
    ],
    "logs": [
        Attribute("resource", "a"),
        Attribute("item", "a"),
        Field("item", "severity_number"),
        Field("item", "body"),
    ],
}
MESSAGES = ["resource", "resource_schema_url", "scope", "scope_schema_url", "metric", "item"]
LEVELS = {
    "traces": ["resource", "scope", "item"],
    "metrics": ["resource", "scope", "metric", "item"],
    "logs": ["resource", "scope", "item"],
}

examples = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


def rewriter(chance: random.Random) -> Callable[[str, bytes], bytes | None]:
    """Now and then another message, by how often it was asked: back ends may write the same message differently."""

    def rewrite(name: str, message: bytes) -> bytes | None:
        drawn = chance.random()
        if drawn < 0.4:
            return None
        if drawn < 0.6 and name == "resource":
            return message + BARE_ATTRIBUTE
        if drawn < 0.7 and name != "metric":
            return b""
        if "url" in name:
            return b"https://new"
        return message + MARK * chance.choice([1, 1, 30])

    return rewrite


def step(kernels: ModuleType, view: Any, seed: int) -> list[Any]:
    """What one random piece of work makes of a view."""
    chance = random.Random(seed)
    mask = bytes(chance.choice([0, 1, 1, 255]) for _ in range(view.items))
    known = [name for name in MESSAGES if name != "metric" or view.signal == "metrics"]
    messages = [name for name in known if chance.random() < 0.5]
    match chance.randrange(6):
        case 0:
            return [view.select(mask)]
        case 1:
            return [view.rewrite(rewriter(chance), messages)]
        case 2:
            return [view.rewrite(rewriter(chance), messages, mask)]
        case 3:
            sources = [source for source in SOURCES[view.signal] if chance.random() < 0.5]
            return [group for _, group in view.group(sources, chance.choice([1, 2, 100]))]
        case 4:
            return list(view.split(chance.randint(1, 4), level=chance.choice(LEVELS[view.signal])))
        case _:
            return [kernels.concat([view, view.select(mask)])]


def outcome(kernels: ModuleType, signal: str, payload: bytes, seed: int) -> list[Any]:
    """What is said of all views that a chain of random work gives."""
    chance = random.Random(seed)
    views, said = [kernels.scan(signal, payload)], []
    for _ in range(4):
        view = chance.choice(views)
        views = step(kernels, view, chance.getrandbits(32)) or [view]
        for made in views:
            size = made.size_bytes
            assert size == len(made.payload)
            assert made.payload is made.payload
            blocks = made.native(ARRIVED, kernels.SeriesIndex())
            said.append((meaning(signal, made.payload), made.items, blocks.tables, made.attribute("a", "resource")))
            assert len(flat(signal, made.payload)) == made.items
    return said


@SIGNALS
@given(SEEDS)
@settings(examples, max_examples=150)
def test_chains_agree(generator, signal, seed):
    make = generator(seed)
    make.room = 150
    payload = make.request(signal)

    expected = outcome(reference, signal, payload, seed)

    assert outcome(native, signal, payload, seed) == expected


@SIGNALS
@given(SEEDS)
@settings(examples, max_examples=100)
def test_groups_and_keys_agree(generator, signal, seed):
    payload = generator(seed).request(signal)
    chance = random.Random(seed)
    sources = [source for source in SOURCES[signal] if chance.random() < 0.6]
    limit = chance.choice([1, 3, 100])

    expected, found = (
        [
            (repr(key), meaning(signal, view.payload))
            for key, view in kernels.scan(signal, payload).group(sources, limit)
        ]
        for kernels in (reference, native)
    )

    assert found == expected


@SIGNALS
@given(SEEDS)
@settings(examples, max_examples=100)
def test_cuts_by_bytes_agree_where_requests_are_written_as_protobuf_does(generator, signal, seed):
    payload = meaning(signal, generator(seed).request(signal))
    chance = random.Random(seed)
    limits = {"max_bytes": chance.randint(1, len(payload) + 2), "level": chance.choice(LEVELS[signal])}
    if chance.random() < 0.5:
        limits["max_items"] = chance.randint(1, 4)

    expected, found = (
        [meaning(signal, part) for part in kernels.split(signal, payload, **limits)] for kernels in (reference, native)
    )

    assert found == expected


@SIGNALS
@given(SEEDS)
@settings(examples, max_examples=100)
def test_parts_of_anything_are_within_the_limits(generator, signal, seed):
    payload = generator(seed).request(signal)
    chance = random.Random(seed)
    max_bytes = chance.randint(1, len(payload) + 2)

    parts = native.scan(signal, payload).split(max_bytes=max_bytes)

    assert [item for part in parts for item in flat(signal, part.payload)] == flat(signal, payload)
    assert all(part.items <= 1 or part.size_bytes <= max_bytes for part in parts)
