"""airis's own log on stderr: one readable line per event on a terminal, or JSON."""

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from airis.config.model import LogsTelemetryConfig
from airis.service.render.rows import one_line

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


def configure_logs(config: LogsTelemetryConfig) -> None:
    """Write structlog's events, and other libraries' warnings, to stderr as the configuration says."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        _with_fields(dict(config.initial_fields)),
        structlog.processors.format_exc_info,
    ]
    if config.encoding == "json":
        render: Any = structlog.processors.JSONRenderer()
    else:
        render = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty() and not os.environ.get("NO_COLOR"), pad_event_to=28
        )
    structlog.configure(
        processors=[*shared, *([_escape_controls] if config.encoding == "console" else []), render],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[config.level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_ToStructlog()], force=True)


def _with_fields(fields: dict[str, str]) -> Any:
    def add(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        return {**fields, **event}

    return add


def _escape_controls(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """Keep a terminal safe from what telemetry or a peer put into a value."""
    return {
        key: one_line(value) if isinstance(value, str) and key != "exception" else value for key, value in event.items()
    }


class _ToStructlog(logging.Handler):
    """Hands the standard library's records to structlog, so that there is one log."""

    def emit(self, record: logging.LogRecord) -> None:
        level = max((known for known in _LEVELS.values() if known <= record.levelno), default=logging.DEBUG)
        structlog.get_logger().log(level, record.getMessage(), logger=record.name, exc_info=record.exc_info)
