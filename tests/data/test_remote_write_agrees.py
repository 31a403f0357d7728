"""The native remote-write kernel gives what the reference kernel gives, for requests right and wrong."""

import importlib
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airis.data.malformed import MalformedPayload

from .remote_write_requests import Generator

reference = importlib.import_module("airis.data.reference")
native = pytest.importorskip("airis._core")

SEEDS = st.integers(0, (1 << 64) - 1)
VERSIONS = pytest.mark.parametrize("version", [1, 2])
LIMIT = 1 << 20

examples = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


def outcome(back_end: ModuleType, version: int, *bodies: bytes, limit: int = LIMIT) -> Any:
    """All that becomes of requests behind one another, None for those that are refused."""
    announced = back_end.Announced(2000)
    outcomes: list[Any] = []
    for body in bodies:
        try:
            written = back_end.from_remote_write(version, body, announced, limit)
        except MalformedPayload:
            outcomes.append(None)
            continue
        counts = (written.items, written.samples, written.histograms, written.exemplars, written.repaired)
        announced.add(written)
        outcomes.append((written.payload, counts, dict(written.left_out), len(announced)))
    return outcomes


@VERSIONS
@given(SEEDS)
@settings(examples, max_examples=400)
def test_on_requests(version, seed):
    make = Generator(seed)
    bodies = [make.request(version) for _ in range(3)]

    found, expected = outcome(native, version, *bodies), outcome(reference, version, *bodies)

    assert found == expected
    for payload, (items, *_), _, _ in expected:
        assert reference.validate("metrics", payload) == (payload, items, 0)


@VERSIONS
@given(SEEDS)
@settings(examples, max_examples=300)
def test_on_broken_requests(generator, version, seed):
    body = generator(seed).mutated(Generator(seed).request(version))

    assert outcome(native, version, body) == outcome(reference, version, body)


@VERSIONS
@given(SEEDS, st.integers(0, 4000))
@settings(examples, max_examples=200)
def test_on_how_large_metrics_may_become(version, seed, limit):
    body = Generator(seed).request(version)

    assert outcome(native, version, body, limit=limit) == outcome(reference, version, body, limit=limit)


@VERSIONS
@given(st.binary(max_size=60))
@settings(examples, max_examples=100)
def test_on_any_bytes(version, body):
    assert outcome(native, version, body) == outcome(reference, version, body)
