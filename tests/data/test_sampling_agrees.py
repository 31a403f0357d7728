"""The native back end samples as the reference does: random requests, samplers and trace states, and broken ones."""

import importlib
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airis.data.malformed import MalformedPayload
from airis.proto import otlp

from .meaning import meaning
from .sampled_items import attributes, items

reference = importlib.import_module("airis.data.reference")
native = pytest.importorskip("airis._core")

SIGNALS = pytest.mark.parametrize("signal", ["traces", "logs"])
SEEDS = st.integers(0, (1 << 64) - 1)
examples = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])

KEYS = ("", "a", "a.b", "total", "service.name")
PARTS = (
    *(
        "ot=",
        "th:",
        "rv:",
        "8",
        "c",
        "0",
        "fffffffffffffF",
        "0123456789abcd",
        "80000000000000",
        ";",
        ":",
        ",",
        "=",
        " ",
    ),
    *("a=b", "x:1", "ot=th:8", "ot=rv:c0000000000000", "\t", "a@b=c", "ü", "A", "a" * 240, ",,"),
)
VALUES: tuple[Any, ...] = ("8", "c0000000000000", "g", "", 5, 0, 1, 50, 0.5, 100.0, -1.0, "1e3", b"\xff", True, None)


def sampler(source: random.Random) -> dict[str, Any]:
    """Arguments of a sampler."""
    choice = source.choice
    return {
        "mode": choice(["hash_seed", "proportional", "equalizing"]),
        "percentage": choice([0, 2**-20, 0.01, 1, 33.3, 50, 99.99, 100, 1000, source.uniform(0, 100)]),
        "hash_seed": choice([0, 1, (1 << 32) - 1, source.getrandbits(32)]),
        "precision": source.randint(1, 14),
        "fail_closed": choice([True, False]),
        "by_trace_id": choice([True, False]),
        "from_attribute": choice(KEYS),
        "priority_attribute": choice(KEYS),
    }


def seasoned(source: random.Random, signal: str, payload: bytes) -> bytes:
    """The request with what samplers look for in its items."""
    request = otlp.parse(signal, payload)
    owners = request.resource_spans if signal == "traces" else request.resource_logs
    found = [
        each
        for owner in owners
        for scoped in getattr(owner, "scope_spans" if signal == "traces" else "scope_logs")
        for each in (scoped.spans if signal == "traces" else scoped.log_records)
    ]
    for item in found:
        if source.random() < 0.7:
            item.trace_id = source.choice([source.randbytes(16), bytes(16), b"\xff" * 16])
        if signal == "traces":
            item.trace_state = "".join(source.choices(PARTS, k=source.choice([0, 1, 1, 2, 3, 6])))
        keys = ["sampling.priority"] if signal == "traces" else ["sampling.threshold", "sampling.randomness", *KEYS]
        for key in source.choices(keys, k=source.randint(0, 3)):
            item.attributes.extend(attributes({key: source.choice(VALUES)}))
    return request.SerializeToString()


def outcome(back_end: Any, signal: str, payload: bytes, arguments: dict[str, Any]) -> tuple[bytes, Any, bool] | None:
    """What is left, how it was decided, and whether it is the very same view; None where the payload is refused."""
    try:
        view = back_end.scan(signal, payload)
        kept, counts = back_end.Sampler(**arguments).apply(view)
        return meaning(signal, kept.payload), counts, kept is view
    except MalformedPayload:
        return None


@SIGNALS
@given(SEEDS)
@settings(examples, max_examples=500)
def test_on_requests(generator, signal, seed):
    source = random.Random(seed)
    payload = generator(seed).request(signal)

    for given_payload in (payload, seasoned(source, signal, payload)):
        arguments = sampler(source)
        expected = outcome(reference, signal, given_payload, arguments)
        found = outcome(native, signal, given_payload, arguments)

        assert expected is not None
        assert found == expected, arguments
        assert sum(expected[1].values()) == len(items(signal, given_payload))


@SIGNALS
@given(SEEDS)
@settings(examples, max_examples=200)
def test_on_broken_requests(generator, signal, seed):
    make = generator(seed, not_utf8=0.01)
    make.room = 60
    payload = make.mutated(make.request(signal))
    arguments = sampler(random.Random(seed))

    assert outcome(native, signal, payload, arguments) == outcome(reference, signal, payload, arguments)


@given(st.text(), st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
@settings(examples, max_examples=500)
def test_on_trace_states(text, joined):
    for state in (text, joined):
        request = otlp.layout("traces").request()
        request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"\xff" * 16, trace_state=state)
        payload = request.SerializeToString()
        for mode in ("equalizing", "hash_seed"):
            arguments = {"mode": mode, "percentage": 50, "fail_closed": False}
            assert outcome(native, "traces", payload, arguments) == outcome(reference, "traces", payload, arguments)
