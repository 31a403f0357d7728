"""airis's own log: one, with whatever other libraries say in it, in the places and the measure that are configured."""

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import ValidationError

from airis import __version__
from airis.component import StartError
from airis.config import ResourceConfig
from airis.config.telemetry import INSTANCE_ID, LogsTelemetryConfig, log_file
from airis.service import logs
from airis.service.logs import configure_logs

Log = structlog.stdlib.BoundLogger


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logs.flush()
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


class Timer:
    """Stands for threading.Timer: what it was set to do is done when the test says so."""

    def __init__(self) -> None:
        self.set: list[tuple[float, Callable[[], None]]] = []

    def __call__(self, seconds: float, then: Callable[[], None]) -> None:
        self.set.append((seconds, then))

    def pass_time(self) -> None:
        due, self.set = self.set, []
        for _, then in due:
            then()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def read(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """The events that were written to stderr since the last look, in JSON."""
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def configured(**options: Any) -> LogsTelemetryConfig:
    return LogsTelemetryConfig.model_validate({"encoding": "json", **options})


@pytest.mark.parametrize(
    ("level", "expected"), [(logging.WARNING, "warning"), (35, "warning"), (logging.CRITICAL, "error")]
)
def test_what_libraries_say_is_in_it_at_any_level(read: Any, level: int, expected: str) -> None:
    configure_logs(configured())

    logging.getLogger("some.library").log(level, "said %s", "this")

    (said,) = read()
    assert (said["event"], said["logger"], said["level"]) == ("said this", "some.library", expected)
    assert said["caller"].startswith("service/test_own_log.py:")


def test_a_fault_that_a_library_reports_has_its_traceback(read: Any) -> None:
    configure_logs(configured())

    _fault(logging.getLogger("asyncio"))

    assert "RuntimeError: deep inside" in read()[0]["exception"]


@pytest.mark.parametrize("logger", [logging.getLogger("asyncio"), structlog.get_logger()], ids=["library", "airis"])
def test_without_stack_traces_a_fault_is_one_line(read: Any, logger: Any) -> None:
    configure_logs(configured(disable_stacktrace=True))

    _fault(logger)

    assert read()[0]["exception"] == "RuntimeError: deep inside"


def _fault(logger: Any) -> None:
    try:
        raise RuntimeError("deep inside")
    except RuntimeError:
        logger.exception("Exception in callback")


@pytest.mark.parametrize(
    ("written", "level"),
    [
        ("debug", "debug"),
        ("INFO", "info"),
        ("Warn", "warn"),
        ("error", "error"),
        ("DPANIC", "error"),
        ("panic", "error"),
        ("fatal", "error"),
    ],
)
def test_the_levels_of_the_collector_are_taken_in_any_case(written: str, level: str) -> None:
    assert configured(level=written).level == level


@pytest.mark.parametrize(("level", "events"), [("debug", "diwe"), ("info", "iwe"), ("warn", "we"), ("fatal", "e")])
def test_events_below_the_level_are_not_written(read: Any, level: str, events: str) -> None:
    configure_logs(configured(level=level))

    log: Log = structlog.get_logger()
    log.debug("d")
    log.info("i")
    log.warning("w")
    log.error("e")

    assert "".join(said["event"] for said in read()) == events


def test_an_event_says_from_where_unless_it_is_not_to(read: Any) -> None:
    configure_logs(configured())
    structlog.get_logger().info("with")
    configure_logs(configured(disable_caller=True))
    structlog.get_logger().info("without")

    with_caller, without = read()
    assert with_caller["caller"].startswith("service/test_own_log.py:")
    assert "caller" not in without


@pytest.mark.parametrize(("level", "has_stack"), [("info", False), ("warning", True), ("error", True)])
def test_in_development_warnings_and_errors_have_the_stack_they_come_from(
    read: Any, level: str, has_stack: bool
) -> None:
    configure_logs(configured(development=True))

    getattr(structlog.get_logger(), level)("look")

    stack = read()[0].get("stack", "")
    assert ("test_own_log.py" in stack) is has_stack
    assert "/structlog/" not in stack


def test_in_development_without_stack_traces_there_are_none(read: Any) -> None:
    configure_logs(configured(development=True, disable_stacktrace=True))

    structlog.get_logger().error("look")

    assert "stack" not in read()[0]


def test_initial_fields_of_any_type_are_in_every_event(read: Any) -> None:
    fields = {"team": "a", "n": 5, "on": True, "where": {"rack": [1, 2]}}
    configure_logs(configured(initial_fields=fields))

    structlog.get_logger().info("one")
    logging.getLogger("library").warning("two")

    assert [{name: said[name] for name in fields} for said in read()] == [fields, fields]


def test_an_event_s_own_field_wins_over_an_initial_one(read: Any) -> None:
    configure_logs(configured(initial_fields={"team": "a"}))

    structlog.get_logger().info("one", team="b")

    assert read()[0]["team"] == "b"


def test_json_events_say_what_they_come_from(read: Any) -> None:
    configure_logs(configured())
    structlog.get_logger().info("one")

    own = {"service.name": "airis", "service.version": __version__, "service.instance.id": INSTANCE_ID}
    assert read()[0]["resource"] == own


def test_the_resource_can_be_changed_and_left_out(read: Any, capsys: pytest.CaptureFixture[str]) -> None:
    resource = ResourceConfig.model_validate({"service.name": "edge", "service.version": None, "zone": "b"})
    configure_logs(configured(), resource)
    structlog.get_logger().info("changed")
    configure_logs(configured(disable_zap_resource=True), resource)
    structlog.get_logger().info("left out")

    changed, left_out = read()
    assert changed["resource"] == {"service.name": "edge", "service.instance.id": INSTANCE_ID, "zone": "b"}
    assert "resource" not in left_out
    configure_logs(configured(encoding="console"), resource)
    structlog.get_logger().info("for people")
    assert "edge" not in capsys.readouterr().err


def test_the_console_is_safe_from_what_is_in_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(configured(encoding="console"))

    structlog.get_logger().info("look", name="\x1b]0;evil\x07 two\nlines")

    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "\x1b]0" not in said


class TestSampling:
    """Of a repeated event the first few are written, then every so-many-th; what was left out is said."""

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def timer(self) -> Timer:
        return Timer()

    @pytest.fixture
    def log(self, clock: Clock, timer: Timer, read: Any) -> Log:
        sampling = {"tick": "10s", "initial": 2, "thereafter": 3}
        configure_logs(configured(sampling=sampling), clock=clock, call_later=timer)
        logger: Log = structlog.get_logger()
        return logger

    def test_the_first_and_then_every_so_many_th(self, log: Log, read: Any) -> None:
        for number in range(1, 10):
            log.warning("export refused", number=number)

        assert [said["number"] for said in read()] == [1, 2, 5, 8]

    def test_what_was_left_out_is_said_when_the_tick_ends(
        self, log: Log, clock: Clock, timer: Timer, read: Any
    ) -> None:
        for number in range(4):
            log.warning("export refused", number=number)
        read()
        assert [seconds for seconds, _ in timer.set] == [10.0]

        clock.now += 10
        timer.pass_time()

        (said,) = read()
        summary = {name: said[name] for name in ("event", "level", "of", "left_out", "within_s")}
        assert summary == {
            "event": "log lines left out",
            "level": "warning",
            "of": "export refused",
            "left_out": 2,
            "within_s": 10,
        }

    def test_what_is_not_repeated_is_not_spoken_of(self, log: Log, timer: Timer, read: Any) -> None:
        log.warning("once")
        log.warning("once")
        assert timer.set == []

        assert len(read()) == 2

    def test_a_new_tick_begins_with_the_first_event_after_the_last(self, log: Log, clock: Clock, read: Any) -> None:
        for _ in range(5):
            log.warning("export refused")
        clock.now += 10
        for _ in range(3):
            log.warning("export refused")

        events = [said["event"] for said in read()]
        first, second = ["export refused"] * 3, ["export refused"] * 2
        assert events == [*first, "log lines left out", *second]

    def test_levels_and_texts_are_counted_apart(self, log: Log, read: Any) -> None:
        for _ in range(2):
            log.warning("a")
            log.error("a")
            log.warning("b")

        assert len(read()) == 6

    def test_what_is_below_the_level_is_not_counted(self, log: Log, timer: Timer, read: Any) -> None:
        for _ in range(9):
            log.debug("a")

        assert (read(), timer.set) == ([], [])

    def test_what_libraries_say_is_counted_as_well(self, log: Log, read: Any) -> None:
        for number in range(4):
            logging.getLogger("library").warning("lost", extra={"n": number})

        assert len(read()) == 2

    def test_what_was_left_out_is_said_at_the_end(self, log: Log, read: Any) -> None:
        for _ in range(4):
            log.warning("export refused")

        logs.flush()

        assert [said["left_out"] for said in read() if said["event"] == "log lines left out"] == [2]

    def test_all_is_written_when_it_is_off(self, read: Any) -> None:
        configure_logs(configured(sampling={"enabled": False, "initial": 1}))

        for _ in range(50):
            structlog.get_logger().warning("a")

        assert len(read()) == 50

    def test_none_follow_the_first_with_thereafter_0(self, read: Any, timer: Timer) -> None:
        configure_logs(configured(sampling={"initial": 2, "thereafter": 0}), call_later=timer)

        for _ in range(500):
            structlog.get_logger().warning("a")

        assert len(read()) == 2

    def test_texts_that_never_come_again_do_not_fill_the_memory(self, log: Log, clock: Clock, read: Any) -> None:
        for number in range(3 * logs.MOST_COUNTED):
            clock.now += 0.01
            log.warning(f"text {number}")

        sampler = logs.current_sampler()
        assert sampler is not None
        assert len(sampler.counted) <= logs.MOST_COUNTED
        assert len(read()) == 3 * logs.MOST_COUNTED

    def test_the_balance_holds_with_many_threads(self, log: Log, read: Any) -> None:
        def speak() -> None:
            for _ in range(200):
                log.warning("a")

        threads = [threading.Thread(target=speak) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        logs.flush()

        said = read()
        left_out = sum(line.get("left_out", 0) for line in said)
        assert sum(line["event"] == "a" for line in said) + left_out == 800


def test_the_default_is_that_of_the_collector() -> None:
    config = LogsTelemetryConfig()

    sampling = config.sampling
    assert (sampling.enabled, sampling.tick, sampling.initial, sampling.thereafter) == (True, 10.0, 10, 100)
    assert (config.level, config.encoding) == ("info", "console")
    assert (config.output_paths, config.error_output_paths) == (["stderr"], ["stderr"])
    assert (config.development, config.disable_caller, config.disable_stacktrace) == (False, False, False)


class TestOutputs:
    """Where the log goes."""

    def test_a_file_is_appended_to(self, tmp_path: Path, read: Any) -> None:
        file = tmp_path / "airis.log"
        file.write_text("before\n")

        configure_logs(configured(output_paths=[str(file)]))
        structlog.get_logger().info("one")

        before, line = file.read_text().splitlines()
        assert (before, json.loads(line)["event"], read()) == ("before", "one", [])

    def test_every_output_gets_every_event(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "airis.log"

        configure_logs(configured(output_paths=["stderr", "stdout", file.as_uri()]))
        structlog.get_logger().info("one")

        said = capsys.readouterr()
        assert said.out == said.err == file.read_text() != ""

    def test_a_new_file_is_not_for_everyone_to_write(self, tmp_path: Path) -> None:
        file = tmp_path / "airis.log"

        configure_logs(configured(output_paths=[str(file)]))

        assert file.stat().st_mode & 0o137 == 0

    def test_a_file_is_of_no_colour(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "airis.log"
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
        monkeypatch.delenv("NO_COLOR", raising=False)

        configure_logs(configured(encoding="console", output_paths=[str(file)]))
        structlog.get_logger().warning("one")

        assert "\x1b" not in file.read_text()

    @pytest.mark.parametrize(
        ("path", "reason"),
        [("{folder}", "Is a directory"), ("{folder}/no/such", "No such file"), ("{pipe}", "nobody reads the pipe")],
        ids=["folder", "no folder", "pipe"],
    )
    def test_an_output_that_cannot_be_opened_stops_the_start(self, tmp_path: Path, path: str, reason: str) -> None:
        os.mkfifo(tmp_path / "pipe")
        path = path.format(folder=tmp_path, pipe=tmp_path / "pipe")

        with pytest.raises(StartError, match=reason) as told:
            configure_logs(configured(output_paths=["stderr", path]))

        assert (told.value.component, told.value.option) == ("service::telemetry::logs", "output_paths")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
    def test_a_log_that_cannot_be_written_is_said_once_and_harms_nobody(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        errors = tmp_path / "errors"
        configure_logs(configured(output_paths=["/dev/full", "stdout"], error_output_paths=[str(errors)]))

        for _ in range(3):
            structlog.get_logger().info("one")

        assert len(capsys.readouterr().out.splitlines()) == 3
        assert errors.read_text() == "airis: the log cannot be written to /dev/full: No space left on device\n"

    @pytest.mark.parametrize(
        ("path", "file"),
        [
            ("stderr", ""),
            ("stdout", ""),
            ("airis.log", "airis.log"),
            ("/var/log/airis.log", "/var/log/airis.log"),
            ("file:///var/log/a%20b.log", "/var/log/a b.log"),
            ("file://localhost/var/log/airis.log", "/var/log/airis.log"),
        ],
    )
    def test_an_output_means_a_file(self, path: str, file: str) -> None:
        assert log_file(path) == file

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"output_paths": []}, "at least 1 item"),
            ({"output_paths": [""]}, "an output is"),
            ({"output_paths": ["a\0b"]}, "an output is"),
            ({"output_paths": ["https://logs.example/"]}, "files only"),
            ({"output_paths": ["file://elsewhere/log"]}, "a file of this machine"),
            ({"output_paths": ["file:///log?mode=w"]}, "a file of this machine"),
            ({"output_paths": ["file:log"]}, "absolute path"),
            ({"error_output_paths": ["udp://localhost:1"]}, "files only"),
            ({"processors": [{"batch": {"exporter": {}}}]}, "cannot send its own log over OTLP yet"),
            ({"level": "loud"}, "'debug', 'info', 'warn' or 'error'"),
            ({"sampling": {"tick": "0s"}}, "greater than 0"),
            ({"encoding": "xml"}, "'console' or 'json'"),
        ],
    )
    def test_an_option_that_cannot_be_is_an_error(self, options: Mapping[str, Any], reason: str) -> None:
        with pytest.raises(ValidationError, match=reason):
            LogsTelemetryConfig.model_validate(options)
