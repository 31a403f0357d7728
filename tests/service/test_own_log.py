"""airis's own log: one, with whatever other libraries say in it."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from airis.config.model import LogsTelemetryConfig
from airis.service.logs import configure_logs


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("level", "expected"), [(logging.WARNING, "warning"), (35, "warning"), (logging.CRITICAL, "error")]
)
def test_what_libraries_say_is_in_it_at_any_level(
    capsys: pytest.CaptureFixture[str], level: int, expected: str
) -> None:
    configure_logs(LogsTelemetryConfig(encoding="json"))

    logging.getLogger("some.library").log(level, "said %s", "this")

    said = json.loads(capsys.readouterr().err)
    assert (said["event"], said["logger"], said["level"]) == ("said this", "some.library", expected)


def test_a_fault_that_a_library_reports_has_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogsTelemetryConfig(encoding="json"))

    try:
        raise RuntimeError("deep inside")
    except RuntimeError:
        logging.getLogger("asyncio").exception("Exception in callback")

    assert "RuntimeError: deep inside" in json.loads(capsys.readouterr().err)["exception"]
