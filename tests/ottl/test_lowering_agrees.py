"""What the kernels do comes out as item by item: random statements and conditions over random requests."""

from types import ModuleType
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airis.component import Telemetry
from airis.data import Signal
from airis.data import kernels as in_use
from airis.ottl.filtering import Filter
from airis.ottl.options import ConditionsConfig, ErrorMode, StatementsConfig, compiled
from airis.ottl.payload import CONTEXTS_OF
from airis.ottl.running import Faults, Runner

from ..data.conftest import Generator
from .telemetry_at_random import CONDITIONS, STATEMENTS, Counting, Statements, outcome, with_items

SEEDS = st.integers(0, (1 << 64) - 1)
PLACES = pytest.mark.parametrize(
    ("signal", "context"), [(signal, context) for signal, contexts in CONTEXTS_OF.items() for context in contexts]
)
examples = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def either_back_end(kernels: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test on both back ends."""
    for name in ("Edits", "Pattern", "Predicate", "scan"):
        monkeypatch.setattr(in_use, name, getattr(kernels, name))


def mode(seed: int) -> ErrorMode:
    return "propagate" if seed % 5 == 0 else "silent"


def transformed(signal: Signal, configs: list[StatementsConfig], seed: int, payload: bytes, *, lower: bool) -> Any:
    telemetry = Counting()
    groups = [compiled(config, signal, mode(seed), STATEMENTS) for config in configs]
    runner = Runner(signal, groups, cast(Telemetry, telemetry), lower=lower)
    return outcome(runner.transformed, telemetry, signal, payload)


@PLACES
@given(SEEDS)
@settings(examples, max_examples=60)
def test_on_statements(signal: Signal, context: str, seed: int) -> None:
    payload = with_items(signal, Generator(seed).request(signal))
    make = Statements(context, seed)
    conditions = [make.condition()] if seed % 3 == 0 else []
    configs = [
        StatementsConfig(context=context, statements=make.statements(), conditions=conditions),
        StatementsConfig(context=context, statements=make.statements()),
    ]

    expected = transformed(signal, configs, seed, payload, lower=False)

    assert transformed(signal, configs, seed, payload, lower=True) == expected, configs


@PLACES
@given(SEEDS)
@settings(examples, max_examples=60)
def test_on_conditions(signal: Signal, context: str, seed: int) -> None:
    payload = with_items(signal, Generator(seed).request(signal))
    make = Statements(context, seed)
    configs = [ConditionsConfig(context=context, conditions=[make.condition() for _ in range(2)])]
    if seed % 2:
        outermost = Statements(CONTEXTS_OF[signal][seed % 3], seed)
        configs.append(ConditionsConfig(context=outermost.context, conditions=[outermost.condition()]))
    groups = [compiled(config, signal, mode(seed), CONDITIONS) for config in configs]

    def left(lower: bool) -> Any:
        telemetry = Counting()
        chosen = Filter(signal, groups, Faults(cast(Telemetry, telemetry)), lower=lower)
        return outcome(chosen.left_of, telemetry, signal, payload)

    assert left(lower=True) == left(lower=False), configs
