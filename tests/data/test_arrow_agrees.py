"""The native back end makes the Arrow tables that the reference makes: random columns of random requests."""

import importlib
import random
from typing import Any, get_args

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airis.data.arrow import TABLES, ArrowType, Column
from airis.data.expressions import InvalidExpression
from airis.data.fields import Attribute, Field, Source
from airis.data.malformed import MalformedPayload
from airis.data.reference.fields import NAMES

from .test_arrow import SIGNALS, in_numbers

reference = importlib.import_module("airis.data.reference")
native = pytest.importorskip("airis._core")

SEEDS = st.integers(0, (1 << 64) - 1)
examples = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])

KEYS = ("a", "a.b", "a_b", "total", "service.name", "ü", "", "absent")
STEPS = (0, 1, "a", "quantile", "value")
WORDS = ((), ("none", "one", "two"))


class Columns:
    """Columns of one signal, from one seed."""

    def __init__(self, signal: str, seed: int) -> None:
        self.signal = signal
        self.random = random.Random(seed)
        self.levels = [level for known, level in NAMES if known == signal]

    def some(self) -> dict[str, Source | Column]:
        return {f"{n}": self.column() for n in range(self.random.randint(1, 12))}

    def column(self) -> Source | Column:
        while True:
            column = self.attempt()
            try:
                native.scan(self.signal, b"").arrow({"": column})
            except InvalidExpression:
                # Not everything has a path, nor can be of every type.
                continue
            return column

    def attempt(self) -> Source | Column:
        choice, chance = self.random.choice, self.random.random
        level = choice(self.levels)
        path = tuple(choice(STEPS) for _ in range(self.random.randint(1, 2))) if chance() < 0.3 else ()
        source: Source = Attribute(level, choice(KEYS), path)
        if chance() < 0.6:
            source = Field(level, choice(NAMES[self.signal, level].split()), path)
        kind = choice((None, None, *get_args(ArrowType)))
        return Column(source, kind, choice(WORDS)) if kind or chance() < 0.2 else source


def table(back_end: Any, signal: str, payload: bytes, columns: Any) -> Any:
    """The types and values, None for a payload that is refused."""
    try:
        view = back_end.scan(signal, payload)
    except MalformedPayload:
        return None
    found = pa.table(view.arrow(columns))
    found.validate(full=True)
    plain = {name: found[name].cast(in_numbers(found[name].type)) for name in found.column_names}
    # A NaN equals nothing, but it is printed.
    return found.schema, found.num_rows, {name: repr(values.to_pylist()) for name, values in plain.items()}


@pytest.mark.parametrize("signal", SIGNALS)
@given(seed=SEEDS)
@examples
def test_the_table_of_a_signal_is_the_same(generator, signal, seed):
    payload = reference.validate(signal, generator(seed, not_utf8=0.05).request(signal))[0]
    assert table(native, signal, payload, None) == table(reference, signal, payload, None)
    assert len(TABLES[signal]) > 10


@pytest.mark.parametrize("signal", SIGNALS)
@given(seed=SEEDS)
@examples
def test_any_columns_are_the_same(generator, signal, seed):
    payload = reference.validate(signal, generator(seed).request(signal))[0]
    columns = Columns(signal, seed).some()
    assert table(native, signal, payload, columns) == table(reference, signal, payload, columns)


@pytest.mark.parametrize("signal", SIGNALS)
@given(seed=SEEDS)
@examples
def test_of_parts_of_a_view_and_of_several_they_are_the_same(generator, signal, seed):
    def made(back_end: Any) -> Any:
        views = [back_end.scan(signal, generator(seed + n).request(signal)) for n in range(2)]
        chosen = random.Random(seed)
        parts = [view.select(bytes(chosen.randrange(2) for _ in range(view.items))) for view in (*views, *views)]
        found = pa.table(back_end.concat(parts).arrow())
        found.validate(full=True)
        return {name: repr(found[name].cast(in_numbers(found[name].type)).to_pylist()) for name in found.column_names}

    assert made(native) == made(reference)


@pytest.mark.parametrize("signal", SIGNALS)
@given(seed=SEEDS)
@examples
def test_what_did_not_pass_validate_harms_nobody(generator, signal, seed):
    made = generator(seed, not_utf8=0.3)
    payload = made.mutated(made.request(signal))
    try:
        view = native.scan(signal, payload)
    except MalformedPayload:
        return
    for columns in (None, Columns(signal, seed).some()):
        pa.table(view.arrow(columns)).validate(full=True)
