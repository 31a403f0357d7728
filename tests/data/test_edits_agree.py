"""The native back end edits as the reference does: random programs over random requests, and broken ones."""

import importlib
import random
from collections.abc import Sequence
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airis.data.edits import (
    FIELDS,
    LEVEL_SIGNALS,
    Algorithm,
    Convert,
    Delete,
    DeleteMatching,
    Edit,
    Extract,
    Hash,
    HashMatching,
    KeepKeys,
    Limit,
    Rename,
    Set,
    Truncate,
)
from airis.data.fields import Attribute, Field, Level, Source
from airis.data.malformed import MalformedPayload
from airis.proto import otlp

reference = importlib.import_module("airis.data.reference")
native = pytest.importorskip("airis._core")

SEEDS = st.integers(0, (1 << 64) - 1)
SIGNALS = pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
examples = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])

KEYS = ("", "a", "a.b", "a_b", "total", "service.name", "ü", "new", "x" * 200)
LITERALS: Sequence[Any] = (
    *(None, True, False, 0, -1, 1 << 62, 0.5, float("nan"), "", "1", "1e3", "text", "ü" * 70, b"", b"\xff"),
    *([], {}, [1, "x", [None]], {"a": {"a": 1}, "b": [2]}),
)
PATTERNS = ("^a", "[._]", "", "\\x{fc}|t$", "(?P<a>.)(?P<new>b)?", "(?P<total>[a-z]+)", "(?P<a>.)(?P<a>.)")
OUTSIDE_IN: dict[Level, int] = {"resource": 0, "scope": 1, "metric": 2, "item": 3, "event": 4, "link": 4, "exemplar": 4}


class Programs:
    """Programs of edits for one signal, from one seed."""

    def __init__(self, signal: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.signal = signal
        self.levels = [level for level, signals in LEVEL_SIGNALS.items() if signal in signals]
        self.fields = [place for place, (_, signals) in FIELDS.items() if signal in signals]

    def program(self) -> list[Edit]:
        return [self.edit() for _ in range(self.random.randint(1, 6))]

    def edit(self) -> Edit:
        while True:
            try:
                edit = self.attempt()
                native.Edits([edit])
            except ValueError:
                # Not every edit can be done to every field, nor every value be written to it or pattern have names.
                continue
            return edit

    def attempt(self) -> Edit:
        choice = self.random.choice
        match self.random.randrange(15):
            case 0 | 1 | 2 | 3:
                target = self.source()
                sources = (self.source() for _ in range(100))
                depth = OUTSIDE_IN[target.level]
                within = [s for s in sources if OUTSIDE_IN[s.level] < depth or s.level == target.level]
                value = choice(within) if within and self.random.random() < 0.5 else choice(LITERALS)
                return Set(target, value, choice(["always", "absent", "present"]))
            case 4 | 5:
                return Delete(self.source())
            case 6:
                return KeepKeys(choice(self.levels), self.random.sample(KEYS, self.random.randint(0, len(KEYS))))
            case 7:
                return Rename(choice(self.levels), choice(KEYS), choice(KEYS), choice(["overwrite", "keep"]))
            case 8:
                algorithm: Algorithm = choice(get_args(Algorithm))
                return Hash(self.source(), algorithm, b"secret" if algorithm == "hmac_sha256" else b"")
            case 9:
                return Convert(self.source(), choice(["int", "double", "string", "bool"]))
            case 10:
                return Truncate(choice(self.levels), self.random.choice([0, 1, 2, 3, 4, 100]))
            case 11:
                return DeleteMatching(choice(self.levels), choice(PATTERNS))
            case 12:
                return HashMatching(choice(self.levels), choice(PATTERNS), "xxh3_64")
            case 13:
                return Extract(self.source(), choice(PATTERNS), choice(self.levels))
            case _:
                return Limit(choice(self.levels), self.random.randint(0, 4), self.random.sample(KEYS, 2))

    def source(self) -> Source:
        path = tuple(self.random.choice(["a", "a.b", 0, 1, ""]) for _ in range(self.random.choice([0, 0, 0, 1, 2])))
        if self.random.random() < 0.3:
            level, name = self.random.choice(self.fields)
            return Field(level, name, path if name == "body" else ())
        return Attribute(self.random.choice(self.levels), self.random.choice(KEYS), path)


def edited(back_end: Any, signal: str, payload: bytes, edits: Sequence[Edit], mask: bytes | None = None) -> bytes:
    """The payload after the edits."""
    payload = back_end.scan(signal, payload).edit(back_end.Edits(edits), mask).payload
    return payload


def parsed(signal: str, payload: bytes) -> bytes:
    """What protobuf reads, with all that it does not know, in one form."""
    return otlp.parse(signal, payload).SerializeToString(deterministic=True)


@SIGNALS
@given(SEEDS)
@settings(examples, max_examples=500)
def test_on_requests(generator, signal, seed):
    payload = generator(seed).request(signal)
    programs = Programs(signal, seed)
    edits = programs.program()
    items = reference.count_items(signal, payload)
    masks = [None, bytes(programs.random.choice([0, 0, 1, 255]) for _ in range(items))]

    for mask in masks:
        expected = edited(reference, signal, payload, edits, mask)
        found = edited(native, signal, payload, edits, mask)

        assert parsed(signal, found) == parsed(signal, expected), edits
        assert expected is payload or found is not payload, edits
        assert native.validate(signal, found)[0] is found


@SIGNALS
@given(SEEDS)
@settings(examples, max_examples=100)
def test_on_a_mask_of_nothing(generator, signal, seed):
    payload = generator(seed).request(signal)
    edits = Programs(signal, seed).program()
    mask = bytes(reference.count_items(signal, payload))

    for back_end in (reference, native):
        assert edited(back_end, signal, payload, edits, mask) is payload


@SIGNALS
@given(SEEDS)
@settings(examples, max_examples=200)
def test_on_broken_requests(generator, signal, seed):
    make = generator(seed, not_utf8=0.01)
    make.room = 60
    payload = make.mutated(make.request(signal))
    edits = Programs(signal, seed).program()

    assert attempt(native, signal, payload, edits) == attempt(reference, signal, payload, edits)


def attempt(back_end: Any, signal: str, payload: bytes, edits: Sequence[Edit]) -> bytes | None:
    """What is made of the payload, None where it is refused."""
    try:
        return parsed(signal, edited(back_end, signal, payload, edits))
    except MalformedPayload:
        return None
