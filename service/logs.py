"""airis's own log: one readable or one JSON line per event, with what other libraries say in it."""

import atexit
import errno
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import IO, Any, cast

import structlog

from airis.component import StartError
from airis.config.telemetry import Attribute, LogsSamplingConfig, LogsTelemetryConfig, ResourceConfig, log_file
from airis.service.render.rows import one_line

LEFT_OUT = "log lines left out"
"""The event that says how often another one came and was not written."""
MOST_COUNTED = 4096
"""Texts whose repetitions are counted at a time; what comes beyond them is written."""

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_NOT_CALLERS = ["logging", "airis.service.logs"]
"""Modules between the caller and here."""

Event = MutableMapping[str, Any]
CallLater = Callable[[float, Callable[[], None]], object]

_sampler: "Sampler | None" = None


def configure_logs(
    config: LogsTelemetryConfig,
    resource: ResourceConfig | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
    call_later: CallLater | None = None,
) -> None:
    """Write structlog's events, and other libraries' warnings, as the configuration says.

    Raises StartError for an output that cannot be opened, and then nothing changes. May be called again.
    """
    global _sampler
    outputs = Outputs(config.output_paths, config.error_output_paths)
    flush()
    _sampler = Sampler(config.sampling, clock, call_later or _in_a_thread) if config.sampling.enabled else None
    attributes: Mapping[str, Attribute] = {}
    if not config.disable_zap_resource:
        attributes = (resource or ResourceConfig()).resolved()
    structlog.configure(
        processors=[*([_sampler] if _sampler else []), *_processors(config, attributes, colors=outputs.colored)],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[config.level]),
        logger_factory=lambda *_: outputs,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_ToStructlog()], force=True)


def flush() -> None:
    """Say what was left out so far, as at the end of the process."""
    if _sampler is not None:
        _sampler.flush()


def current_sampler() -> "Sampler | None":
    """What leaves repetitions out of the log at present."""
    return _sampler


atexit.register(flush)


def _processors(config: LogsTelemetryConfig, resource: Mapping[str, Any], *, colors: bool) -> list[Any]:
    """What an event goes through, to the line that is written."""
    steps: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        _with_fields(config.initial_fields),
        *([_without_caller] if config.disable_caller else [_callsite, _with_caller]),
    ]
    if config.disable_stacktrace:
        steps.append(_without_traceback)
    else:
        steps += [*([_want_stack] if config.development else []), _stack, structlog.processors.format_exc_info]
    if config.encoding == "json":
        return [*steps, *([_with_resource(resource)] if resource else []), structlog.processors.JSONRenderer()]
    return [*steps, _escape_controls, structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=28)]


_callsite = structlog.processors.CallsiteParameterAdder(
    [structlog.processors.CallsiteParameter.PATHNAME, structlog.processors.CallsiteParameter.LINENO], _NOT_CALLERS
)
_stack = structlog.processors.StackInfoRenderer(_NOT_CALLERS)


def _with_fields(fields: Mapping[str, Any]) -> Any:
    def add(_logger: Any, _method: str, event: Event) -> Event:
        return {**fields, **event}

    return add


def _with_resource(resource: Mapping[str, Any]) -> Any:
    def add(_logger: Any, _method: str, event: Event) -> Event:
        return {**event, "resource": resource}

    return add


def _with_caller(_logger: Any, _method: str, event: Event) -> Event:
    """The file, with its folder, and the line; a library's record brings its own."""
    path, line = event.pop("pathname"), event.pop("lineno")
    if event["event"] != LEFT_OUT:
        event.setdefault("caller", _short(path, line))
    return event


def _without_caller(_logger: Any, _method: str, event: Event) -> Event:
    event.pop("caller", None)
    return event


def _short(path: str, line: int) -> str:
    return f"{'/'.join(PurePath(path).parts[-2:])}:{line}"


def _want_stack(_logger: Any, _method: str, event: Event) -> Event:
    if event["level"] not in ("debug", "info"):
        event["stack_info"] = True
    return event


def _without_traceback(_logger: Any, _method: str, event: Event) -> Event:
    """In place of the traceback the type and text of the exception."""
    given: object = event.pop("exc_info", None)
    if isinstance(given, tuple):
        given = cast("tuple[object, ...]", given)[1]
    error = sys.exception() if given is True else given
    if isinstance(error, BaseException):
        event["exception"] = f"{type(error).__name__}: {error}"
    return event


def _escape_controls(_logger: Any, _method: str, event: Event) -> Event:
    """Keep a terminal safe from what telemetry or a peer put into a value."""
    return {
        key: one_line(value) if isinstance(value, str) and key not in ("exception", "stack") else value
        for key, value in event.items()
    }


class _ToStructlog(logging.Handler):
    """Hands the standard library's records to structlog, so that there is one log."""

    def emit(self, record: logging.LogRecord) -> None:
        level = max((known for known in _LEVELS.values() if known <= record.levelno), default=logging.DEBUG)
        caller = _short(record.pathname, record.lineno)
        text = record.getMessage()
        structlog.get_logger().log(level, text, logger=record.name, exc_info=record.exc_info, caller=caller)


@dataclass(slots=True)
class _Count:
    """How often an event came in its tick."""

    ends: float
    seen: int = 0
    left_out: int = 0


class Sampler:
    """Leaves repetitions of an event out of the log, and says how many when their tick ends.

    A repetition has the same level and text, whatever its fields, within `tick` of the first one.
    """

    def __init__(self, config: LogsSamplingConfig, clock: Callable[[], float], call_later: CallLater) -> None:
        self.config = config
        self.counted: dict[tuple[str, str], _Count] = {}
        """By level and text."""
        self._clock = clock
        self._call_later = call_later
        self._waiting = False
        self._full_until = 0.0
        self._lock = threading.Lock()

    def __call__(self, _logger: Any, method: str, event: Event) -> Event:
        """The event, unless it is left out."""
        text = event["event"]
        if text == LEFT_OUT:
            return event
        key = (structlog.stdlib.add_log_level(None, method, {})["level"], str(text))
        with self._lock:
            count, before = self._count(key)
            written = count is None or self._is_written(count)
        if before is not None and before.left_out:
            self._say(key, before.left_out)
        if not written:
            raise structlog.DropEvent
        return event

    def flush(self) -> None:
        """Say all that was left out so far."""
        self._end(float("inf"))

    def _count(self, key: tuple[str, str]) -> tuple[_Count | None, _Count | None]:
        """The count of the present tick, if there is room for one, and the one of the tick that it ends."""
        now = self._clock()
        count = self.counted.get(key)
        if count is not None and now < count.ends:
            return count, None
        if count is None and not self._has_room(now):
            return None, None
        self.counted[key] = fresh = _Count(now + self.config.tick)
        return fresh, count

    def _has_room(self, now: float) -> bool:
        if len(self.counted) < MOST_COUNTED:
            return True
        if now < self._full_until:
            return False
        self.counted = {key: count for key, count in self.counted.items() if now < count.ends or count.left_out}
        self._full_until = min((count.ends for count in self.counted.values()), default=now)
        return len(self.counted) < MOST_COUNTED

    def _is_written(self, count: _Count) -> bool:
        count.seen += 1
        beyond = count.seen - self.config.initial
        if beyond <= 0 or (self.config.thereafter and beyond % self.config.thereafter == 0):
            return True
        count.left_out += 1
        self._wake(count.ends)
        return False

    def _wake(self, at: float) -> None:
        """Look again at that time, unless a look is to come already, which then sees to the next."""
        if not self._waiting:
            self._waiting = True
            self._call_later(max(at - self._clock(), 0.0), self._look)

    def _look(self) -> None:
        with self._lock:
            self._waiting = False
        self._end(self._clock())
        with self._lock:
            ends = [count.ends for count in self.counted.values() if count.left_out]
            if ends:
                self._wake(min(ends))

    def _end(self, until: float) -> None:
        """Say what was left out in the ticks that ended, and forget these."""
        with self._lock:
            ended = [(key, count) for key, count in self.counted.items() if count.left_out and count.ends <= until]
            for key, _ in ended:
                del self.counted[key]
        for key, count in ended:
            self._say(key, count.left_out)

    def _say(self, key: tuple[str, str], left_out: int) -> None:
        level, text = key
        getattr(structlog.get_logger(), level)(LEFT_OUT, of=text, left_out=left_out, within_s=self.config.tick)


def _in_a_thread(seconds: float, then: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, then)
    timer.daemon = True
    timer.start()


class _Stream:
    """stderr or stdout, as they are at the time."""

    def __init__(self, path: str) -> None:
        self.path = path

    @property
    def stream(self) -> IO[str]:
        """Where it writes to."""
        return sys.stderr if self.path == "stderr" else sys.stdout

    def write(self, line: str) -> None:
        """Write the line and its end at once; raises OSError, ValueError."""
        self.stream.write(f"{line}\n")
        self.stream.flush()


class _File:
    """A file that is appended to."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._file = os.fdopen(descriptor, "ab", buffering=0)

    def write(self, line: str) -> None:
        """Write the line and its end at once; raises OSError, ValueError."""
        rest = memoryview(line.encode("utf-8", "backslashreplace") + b"\n")
        while rest:
            rest = rest[self._file.write(rest) :]


class Outputs:
    """The places that the log is written to; a logger to structlog.

    One that cannot be written to any more is spoken of at the places for errors, once, and tried again.
    """

    def __init__(self, paths: Sequence[str], error_paths: Sequence[str]) -> None:
        """Opens all; raises StartError."""
        self._outputs = [_open(path, "output_paths") for path in paths]
        self._for_errors = [_open(path, "error_output_paths") for path in error_paths]
        self._failed: set[str] = set()
        self._lock = threading.Lock()

    @property
    def colored(self) -> bool:
        """Whether the lines go to a terminal and nowhere else."""
        alone = self._outputs[0] if len(self._outputs) == 1 else None
        return isinstance(alone, _Stream) and alone.stream.isatty() and not os.environ.get("NO_COLOR")

    def msg(self, line: str) -> None:
        """Write the line to every place."""
        with self._lock:
            for output in self._outputs:
                try:
                    output.write(line)
                    self._failed.discard(output.path)
                except (OSError, ValueError) as error:
                    self._report(output.path, error)

    debug = info = warning = error = critical = log = msg

    def _report(self, path: str, error: Exception) -> None:
        if path in self._failed:
            return
        self._failed.add(path)
        reason = error.strerror if isinstance(error, OSError) else str(error)
        for output in self._for_errors:
            try:
                output.write(f"airis: the log cannot be written to {path}: {reason}")
            except (OSError, ValueError):
                continue  # there is nobody left to tell


def _open(path: str, option: str) -> _Stream | _File:
    file = log_file(path)
    if not file:
        return _Stream(path)
    # Without blocking: a pipe that nobody reads would hold the start for ever.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    try:
        descriptor = os.open(file, flags, 0o640)
    except OSError as error:
        reason = "nobody reads the pipe" if error.errno == errno.ENXIO else error.strerror or str(error)
        failure = StartError(f"{json.dumps(file)[1:-1]}: {reason}", option)
        failure.component = "service::telemetry::logs"
        raise failure from error
    os.set_blocking(descriptor, True)
    return _File(path, descriptor)
