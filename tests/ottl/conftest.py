"""What tests of the language share."""

from collections.abc import Iterator

import pytest

from airis.ottl.moments import zones


@pytest.fixture(autouse=True)
def machine_in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's clock shows UTC, wherever the tests run."""
    monkeypatch.setenv("TZ", "UTC")
    zones.local.cache_clear()
    yield
    zones.local.cache_clear()
