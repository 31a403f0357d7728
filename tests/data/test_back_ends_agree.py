"""The native kernels give what the reference kernels give, for requests of every shape and for broken ones."""

import importlib
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airis.data import kernels
from airis.data.malformed import MalformedPayload

from .meaning import meanings

reference = importlib.import_module("airis.data.reference")
native = pytest.importorskip("airis._core")

ARRIVED = 1_700_000_000_123_456_789
SEEDS = st.integers(0, (1 << 64) - 1)
SIGNALS = pytest.mark.parametrize("signal", ["traces", "metrics", "logs", "profiles"])
LEVELS = {
    "traces": ("resource", "scope", "item"),
    "metrics": ("resource", "scope", "metric", "item"),
    "logs": ("resource", "scope", "item"),
    "profiles": ("resource", "scope", "item"),
}
ATTRIBUTES = [("a", "item"), ("service.name", "resource"), ("a.b", "scope"), ("absent", "item")]

examples = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


def outcome(back_end: ModuleType, signal: str, payload: bytes) -> Any:
    """All that the kernels make of a payload, None where they refuse it."""
    try:
        whole, items, repaired = back_end.validate(signal, payload)
    except MalformedPayload:
        return None
    found: dict[str, Any] = {
        "validate": (whole, items, repaired, whole is payload),
        "count_items": back_end.count_items(signal, payload),
        "split": [meanings(signal, back_end.split(signal, whole, max_items)) for max_items in (1, 2, 7)],
        "split by level": [meanings(signal, back_end.split(signal, whole, 2, level=level)) for level in LEVELS[signal]],
    }
    if signal == "profiles":  # no kernel has to look inside
        return found
    view = back_end.scan(signal, whole)
    index = back_end.SeriesIndex()
    blocks = view.native(ARRIVED, index)
    index.add(blocks)
    return found | {
        "tables of known series": view.native(ARRIVED, index).tables,
        "items": view.items,
        "attribute": [view.attribute(key, level) for key, level in ATTRIBUTES],
        "tables": blocks.tables,
        "order": list(blocks.tables),
        "rows": blocks.rows,
        "series": dict(blocks.series),
    }


def attempt(function: Any, *args: Any) -> Any:
    """The result, or None for a malformed payload."""
    try:
        return function(*args)
    except MalformedPayload:
        return None


def test_on_their_names():
    names = set(kernels.__all__) - {"InvalidExpression", "MalformedPayload", "backend"}

    assert names <= {*dir(reference)}
    assert names <= {*dir(native)}


@SIGNALS
@given(SEEDS)
@settings(examples, max_examples=120)
def test_on_requests(generator, signal, seed):
    payload = generator(seed).request(signal)

    expected = outcome(reference, signal, payload)
    assert expected is not None
    assert outcome(native, signal, payload) == expected


@SIGNALS
@given(SEEDS)
@settings(examples, max_examples=40)
def test_on_strings_that_are_not_utf8(generator, signal, seed):
    payload = generator(seed, not_utf8=0.1).request(signal)

    expected = outcome(reference, signal, payload)
    assert expected is not None
    assert outcome(native, signal, payload) == expected


@SIGNALS
@given(SEEDS)
@settings(examples, max_examples=250)
def test_on_broken_requests(generator, signal, seed):
    make = generator(seed, not_utf8=0.01)
    make.room = 60
    payload = make.mutated(make.request(signal))

    assert outcome(native, signal, payload) == outcome(reference, signal, payload)
    for kernel, *args in (("count_items",), ("split", 2), *([("scan",)] if signal != "profiles" else [])):
        found, expected = (attempt(getattr(k, kernel), signal, payload, *args) for k in (native, reference))
        if kernel == "scan":
            found, expected = found is None, expected is None
        elif kernel == "split" and None not in (found, expected):
            found, expected = meanings(signal, found), meanings(signal, expected)
        assert found == expected, kernel


@given(st.binary(max_size=60))
@settings(examples, max_examples=200)
def test_on_any_bytes(payload):
    for signal in ("traces", "metrics", "logs", "profiles"):
        assert outcome(native, signal, payload) == outcome(reference, signal, payload)
