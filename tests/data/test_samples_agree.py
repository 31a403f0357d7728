"""The native kernel of samples gives what the reference kernel gives, for metrics of every shape."""

import importlib
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airis.proto.prometheus_names import STRATEGIES

from .remote_write_requests import Generator as RemoteWrite

reference = importlib.import_module("airis.data.reference")
native = pytest.importorskip("airis._core")

SEEDS = st.integers(0, (1 << 64) - 1)
OPTIONS = st.fixed_dictionaries(
    {
        "strategy": st.sampled_from(STRATEGIES),
        "namespace": st.sampled_from(["", "ns"]),
        "external_labels": st.sampled_from([[], [("a", "external"), ("cluster", "c")]]),
        **{name: st.booleans() for name in ("resource_labels", "except_service", "target_info", "scope_labels")},
    }
)
ARRIVED = 1_700_000_000_123_456_789

examples = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


def outcome(back_end: ModuleType, payload: bytes, options: Any, max_bytes: int) -> Any:
    """All that is said of the samples."""
    made = back_end.samples(back_end.scan("metrics", payload), ARRIVED, **options)
    return {
        "labels": [made.labels(series) for series in range(len(made))],
        "hashes": made.hashes,
        "samples": (made.series, made.times, made.values),
        "counts": (len(made), made.histograms, made.exemplars, dict(made.left_out)),
        "v1": made.remote_write(1, max_bytes, metadata=True),
        "v2": made.remote_write(2, max_bytes),
    }


@given(SEEDS, OPTIONS, st.sampled_from([1, 200, 1 << 20]))
@settings(examples, max_examples=400)
def test_on_requests(generator, seed, options, max_bytes):
    payload = generator(seed).request("metrics")

    assert outcome(native, payload, options, max_bytes) == outcome(reference, payload, options, max_bytes)


@given(SEEDS, OPTIONS, st.sampled_from([1, 2]))
@settings(examples, max_examples=200)
def test_on_what_came_by_remote_write(seed, options, version):
    body = RemoteWrite(seed).request(version)
    payload = reference.from_remote_write(version, body, reference.Announced(), 1 << 20).payload

    assert outcome(native, payload, options, 500) == outcome(reference, payload, options, 500)
