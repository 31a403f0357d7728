"""What tests of processors share."""

from types import ModuleType

import pytest

from airis.data import kernels as in_use


@pytest.fixture
def either_back_end(kernels: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test on both back ends, whatever it builds."""
    for name in ("Edits", "Pattern", "Predicate", "Sampler", "TraceIndex", "concat", "scan"):
        monkeypatch.setattr(in_use, name, getattr(kernels, name))
