"""Items that are much alike, and then not: what is learned of some must never be taken for granted of others."""

import importlib
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis.data.edits import Delete, Edit, Hash, KeepKeys, Rename, Set
from airis.data.expressions import AllOf, AnyOf, Compare, Exists, Expression, Not
from airis.data.fields import Attribute, Field
from airis.data.malformed import MalformedPayload
from airis.proto import otlp
from airis.proto.wire import length_delimited

reference = importlib.import_module("airis.data.reference")
native = pytest.importorskip("airis._core")

SEEDS = st.integers(0, (1 << 64) - 1)
KEYS = ("http.method", "http.target", "http.scheme", "user", "used", "a", "b", "x" * 130, "")
NUMBERS = {"traces": 9, "logs": 6}
ITEMS = 60


class Alike:
    """Messages of the same fields in the same order, of which every one may differ in something."""

    def __init__(self, signal: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.signal = signal
        self.strange = self.random.choice([0.0, 0.02, 0.2])
        self.keys = self.random.sample(KEYS, self.random.randint(1, 6))
        self.kinds = {key: self.random.randrange(6) for key in self.keys}
        self.has_fields = self.random.random() < 0.5

    def payload(self) -> bytes:
        """So many items in one scope."""
        items = b"".join(length_delimited(2, self.item()) for _ in range(ITEMS))
        return length_delimited(1, length_delimited(2, items))

    def item(self) -> bytes:
        """A message; now and then its fields are in another order, or one is not there, or twice."""
        fields = [length_delimited(9 if self.signal == "logs" else 1, bytes(16))]
        if self.signal == "traces":
            fields += [length_delimited(5, b"n" * self.random.choice([3, 3, 3, 9])), b"\x30\x02", b"\x39" + bytes(8)]
        fields += [length_delimited(NUMBERS[self.signal], self.attribute(key)) for key in self.keys]
        if self.has_fields:
            fields += [b"\x85\x01" + bytes(4), length_delimited(15, b"\x18\x02")]
        if self.is_strange():
            self.random.shuffle(fields)
        if self.is_strange():
            fields.pop(self.random.randrange(len(fields)))
        if self.is_strange() and fields:
            fields.append(self.random.choice(fields))
        return b"".join(fields)

    def is_strange(self) -> bool:
        return self.random.random() < self.strange

    def attribute(self, key: str) -> bytes:
        """A KeyValue; in a strange one the key comes twice, or the value does, or first, or has another length."""
        name, content = length_delimited(1, key.encode()), length_delimited(2, self.value(self.kinds[key]))
        if not self.is_strange():
            return name + content
        other = length_delimited(1, self.random.choice(KEYS).encode())
        more = length_delimited(2, self.value(self.random.randrange(6)))
        return self.random.choice(
            [content + name, name + other + content, name + content + other, name + content + more]
        )

    def value(self, kind: int) -> bytes:
        text = (
            self.random.choice(["", "x", "https", "GET"]) if kind == 0 else "y" * self.random.choice([4, 5, 130, 131])
        )
        return [
            length_delimited(1, text.encode()),
            length_delimited(1, text.encode()),
            length_delimited(1, b"fixed"),
            b"\x18" + self.random.choice([b"\x01", b"\xc8\x01"]),
            b"\x21" + bytes(8),
            b"",
        ][kind]

    def edits(self) -> list[Edit]:
        """A program of edits of these attributes."""
        key = lambda: self.random.choice(KEYS)  # noqa: E731
        edits: list[Edit] = [
            Set(Attribute("item", key()), "set"),
            Delete(Attribute("item", key())),
            Hash(Attribute("item", key()), "xxh3_64"),
            Rename("item", key(), key()),
            KeepKeys("item", self.random.sample(KEYS, 4)),
        ]
        if self.signal == "traces":
            edits.append(Set(Field("item", "name"), self.random.choice(["", "name"])))
        return self.random.sample(edits, self.random.randint(1, 4))

    def condition(self) -> Expression:
        """A condition on these attributes, and on fields."""
        sources = [Attribute("item", key) for key in KEYS]
        names = ["name", "kind", "duration", "status.code"] if self.signal == "traces" else ["flags", "severity_number"]
        fields = [Field("item", name) for name in names]
        leaf = lambda: self.random.choice(  # noqa: E731
            [
                Compare(self.random.choice(sources), "==", self.random.choice(["x", "yyyy", 1, 200, 0.0, None])),
                Exists(self.random.choice(sources)),
                Compare(self.random.choice(fields), "!=", self.random.choice([0, 2, "nnn", ""])),
            ]
        )
        leaves = [leaf() for _ in range(self.random.randint(1, 3))]
        return self.random.choice([AllOf(tuple(leaves)), AnyOf(tuple(leaves)), Not(leaves[0])])


@pytest.mark.parametrize("signal", NUMBERS)
@given(SEEDS)
@settings(deadline=None, derandomize=True, max_examples=150)
def test_edits_and_predicates_agree(signal, seed):
    alike = Alike(signal, seed)
    edits, condition = alike.edits(), alike.condition()
    compiled = native.Edits(edits)

    for payload in (alike.payload(), alike.payload()):
        expected = reference.scan(signal, payload)
        found = native.scan(signal, payload)

        assert native.Predicate(signal, condition).mask(found) == reference.Predicate(signal, condition).mask(expected)
        assert _said(signal, found.edit(compiled).payload) == _said(
            signal, expected.edit(reference.Edits(edits)).payload
        ), edits


@pytest.mark.parametrize("signal", NUMBERS)
@given(SEEDS)
@settings(deadline=None, derandomize=True, max_examples=150)
def test_nothing_falls_over_what_was_said_to_be_validated_and_is_not(signal, seed):
    alike = Alike(signal, seed)
    compiled, predicate = native.Edits(alike.edits()), native.Predicate(signal, alike.condition())
    broken = bytearray(alike.payload())
    for _ in range(alike.random.randint(1, 8)):
        broken[alike.random.randrange(len(broken))] = alike.random.randrange(256)

    try:
        view = native.scan(signal, bytes(broken), validated=True)
        predicate.mask(view)
        _ = view.edit(compiled).payload
        view.attribute("user")
        view.group([Attribute("item", "user")])
        view.native(1, native.SeriesIndex())
    except MalformedPayload:
        pass


def _said(signal: str, payload: bytes) -> Any:
    return otlp.parse(signal, payload).SerializeToString(deterministic=True)
