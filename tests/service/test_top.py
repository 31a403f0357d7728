"""``airis top`` shows what passes through every component, as it goes on, in whatever window there is."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from airis.service.commands.top import with_rates
from airis.service.render.amounts import count, size
from airis.service.render.top import duration, page

from ..running import AIRIS, PATIENCE_S, Airis
from .passing import configuration, records, send, spans
from .terminal import Terminal, ending

NOW = 1_767_323_045.0


def side(items: int, size_bytes: int = 0, refused: int = 0, in_flight: int = 0) -> dict[str, int]:
    return {"items": items, "bytes": size_bytes, "refused": refused, "in_flight": in_flight}


def member(
    kind: str, name: str, taken: dict[str, int], given: dict[str, int], pipeline: str = "", **more: Any
) -> dict[str, Any]:
    fixed = {"status": "StatusOK", "error": "", "since_unix_s": NOW - 100, "queued": None}
    place = f"{kind}s::{name}" + (f" of {pipeline}" if pipeline else "")
    sides = {"in": taken, "out": given}
    return {"name": place, "kind": kind, "id": name, "pipeline": pipeline, **fixed, **sides, **more}


def document(factor: int = 1, **changed: Any) -> dict[str, Any]:
    """What the admin API says of an instance with a little of everything."""
    nothing = side(0)
    much = side(1234 * factor, 5_000_000 * factor, refused=7, in_flight=512)
    components = [
        member("extension", "store", nothing, nothing),
        member("extension", "query", nothing, nothing),
        member("exporter", "debug/detailed_and_long", side(3 * factor), nothing),
        member(
            "exporter",
            "store",
            much,
            nothing,
            status="StatusRecoverableError",
            error="cannot be reached:\n\x1b[31mrefused",
            since_unix_s=NOW - 75,
        ),
        member("connector", "forward", side(5), side(5)),
        member("processor", "batch", much, much, "traces"),
        member("processor", "memory_limiter", much, much, "traces"),
        member("receiver", "otlp", nothing, much),
    ]
    pipelines = [
        {"name": "traces", "processors": ["memory_limiter", "batch"], "in": much},
        {"name": "traces/forwarded", "processors": [], "in": side(5)},
    ]
    return {
        "version": "1.2.3",
        "pid": 4242,
        "started_unix_s": NOW - 3700,
        "configuration": "/etc/airis/airis.yaml",
        "components": components,
        "pipelines": pipelines,
        "taps": [],
        **changed,
    }


def rated(**changed: Any) -> dict[str, Any]:
    return {**with_rates(document(3, **changed), document(1), 2.0), "now_unix_s": NOW}


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, None), (60, 14)])
def test_a_page(golden: Any, request: pytest.FixtureRequest, width: int, height: int | None) -> None:
    lines = [line.plain.rstrip() for line in page(rated(), width, height, note="q quits").lines]

    assert max(map(len, lines)) <= width
    assert height is None or len(lines) <= height
    golden(request.path.parent / "testdata" / f"top_{width}.txt", "\n".join([*lines, ""]))


def test_a_queue_has_a_column_when_an_exporter_tells_of_one() -> None:
    told = document()
    assert "queued" not in page(rated(), 120).lines[3].plain

    told["components"][3]["queued"] = 12_345
    with_queue = {**with_rates(told, {}, 0), "now_unix_s": NOW}

    title, *_, exporter = [
        line.plain for line in page(with_queue, 120).lines if "queued" in line.plain or "✗ st" in line.plain
    ]
    assert exporter[: title.index("queued") + len("queued")].endswith(" 12.3k")


def test_who_looks_is_told_of() -> None:
    taps = [{"of": "pipelines::traces", "signal": None, "missed_batches": 0}] * 2

    assert "up 1 h 1 min  2 taps  /etc" in page(rated(taps=taps), 120).lines[0].plain
    assert "tap" not in page(rated(), 120).lines[0].plain


@pytest.mark.parametrize("height", range(5, 30))
def test_every_row_can_be_reached_in_any_window(height: int) -> None:
    everything = {line.plain for line in page(rated(), 100).lines}
    seen: set[str] = set()
    whole = len(page(rated(), 100, height, note="q").lines)
    for skip in range(-1, 40):
        shown = page(rated(), 100, height, skip, note="q")
        assert len(shown.lines) <= max(height, 8)
        assert len(shown.lines) == whole
        assert 0 <= shown.skipped <= max(skip, 0)
        seen |= {line.plain for line in shown.lines}

    missing = everything - seen
    assert not [line for line in missing if re.match(r" *[●✗] (?!exporters)|\w+ +\d", line)]


def test_rates_are_of_the_time_between_two_looks() -> None:
    now = with_rates(document(3), document(1), 2.0)

    (receiver,) = [one for one in now["components"] if one["kind"] == "receiver"]
    assert (receiver["out"]["items_per_s"], receiver["out"]["bytes_per_s"]) == (1234.0, 5_000_000.0)
    assert now["pipelines"][0]["in"]["items_per_s"] == 1234.0
    assert now["interval_s"] == 2.0


def test_the_first_look_has_no_rates() -> None:
    now = with_rates(document(), {}, 0)

    assert {one["in"]["items_per_s"] for one in now["components"]} == {None}
    assert now["interval_s"] is None
    assert page({**now, "now_unix_s": NOW}, 80).lines


@pytest.mark.parametrize(
    ("before", "now", "rate"),
    [(10, 30, 10.0), (30, 30, 0.0), (30, 10, 5.0), (None, 30, 15.0)],
    ids=["more", "the same", "exchanged", "new"],
)
def test_a_count_that_went_down_began_anew(before: int | None, now: int, rate: float) -> None:
    def told(*members: dict[str, Any]) -> dict[str, Any]:
        return document(components=list(members), pipelines=[])

    earlier = told(*([member("exporter", "nop", side(before), side(0))] if before is not None else ()))
    later = told(member("exporter", "nop", side(now), side(0)))

    assert with_rates(later, earlier, 2.0)["components"][0]["in"]["items_per_s"] == rate


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (0, "0"),
        (0.5, "0.5"),
        (7, "7"),
        (999.4, "999"),
        (999.6, "1.0k"),
        (1234, "1.2k"),
        (999_999, "1.0M"),
        (5e15, "5.0P"),
    ],
)
def test_counts_are_short(amount: float, shown: str) -> None:
    assert count(amount) == shown


@pytest.mark.parametrize(
    ("amount", "shown"), [(0, "0 B"), (512, "512 B"), (3.4 * 1024**2, "3.4 MiB"), (2**40, "1.0 TiB")]
)
def test_sizes_are_short(amount: float, shown: str) -> None:
    assert size(amount) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-1, "0 s"), (59.9, "59 s"), (75, "1 min 15 s"), (3700, "1 h 1 min"), (90_000, "1 d 1 h")]
)
def test_durations_are_short(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.fixture
def airis(tmp_path: Path, start_airis: Callable[..., Airis]) -> Airis:
    airis = start_airis(configuration(tmp_path))
    send(airis, "traces", spans(3))
    send(airis, "logs", records(2))
    return airis


def test_one_table_into_a_pipe(airis: Airis) -> None:
    lines = airis.run("top", "--interval", "10ms").splitlines()

    assert f"pid {airis.pid}" in lines[0]
    named = {words[1]: words[2:] for line in lines[4:] if (words := line.split())[0] == "●"}
    assert named == {
        "otlp": ["0", "5", "0", "0", "0", "B"],
        "batch": ["0", "0", "2", "2", "0", "0", "0", "B"],
        "nop": ["0", "5", "0", "0", "0", "B"],
        "file": ["0", "3", "0", "0", "0", "B"],
    }


def test_the_document_of_the_api_with_rates(airis: Airis) -> None:
    found = json.loads(airis.run("top", "--format", "json", "--interval", "10ms"))

    assert found["pid"] == airis.pid
    rates = {one["name"]: (one["out"]["items"], one["out"]["items_per_s"]) for one in found["components"]}
    assert rates["receivers::otlp"] == (5, 0.0)
    assert 0.01 <= found["interval_s"] < PATIENCE_S


def test_a_document_on_a_line_every_time(airis: Airis) -> None:
    command = [AIRIS, "top", "--format", "ndjson", "--interval", "10ms", "--data-dir", airis.data_dir]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        looks = [json.loads(process.stdout.readline()) for _ in range(3)]
        assert {look["pid"] for look in looks} == {airis.pid}
        airis.stop()
        process.stdout.read()

        assert process.wait(PATIENCE_S) == 3
        assert "airis is not running" in process.stderr.read()


def test_without_an_instance_there_is_nothing_to_show(tmp_path: Path) -> None:
    assert "airis is not running" in Airis(tmp_path).run("top", expect=3)


@pytest.mark.parametrize("interval", ["0s", "-1s", "soon"])
def test_an_interval_is_a_time(tmp_path: Path, interval: str) -> None:
    assert "--interval" in Airis(tmp_path).run("top", f"--interval={interval}", expect=2)


def top(airis: Airis, interval: str = "50ms") -> AbstractContextManager[Terminal]:
    return ending(Terminal(airis, "top", "--interval", interval))


@pytest.fixture
def terminal(airis: Airis) -> Iterator[Terminal]:
    with top(airis) as terminal:
        yield terminal


def test_the_table_goes_on_in_its_place_until_q(airis: Airis, terminal: Terminal) -> None:
    terminal.until("q quits")
    send(airis, "traces", spans(9_000))
    terminal.until("9.0k")

    terminal.type(b"q")

    code, written = terminal.end()
    assert code == 0
    assert written.endswith(b"\x1b[?1049l\x1b[?25h") or b"\x1b[?1049l" in written, "the other screen is left"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_too(terminal: Terminal, number: int) -> None:
    terminal.until("q quits")
    os.kill(terminal.pid, number)

    code, written = terminal.end()
    assert code == 0
    assert b"\x1b[?1049l" in written


def test_the_window_can_change_its_size_between_two_looks(airis: Airis) -> None:
    with top(airis, interval="1h") as terminal:
        assert " in  " in terminal.until("q quits")

        terminal.resize(60, 10)
        assert "exporters" not in terminal.until("more: up, down")

        terminal.type(b"\x1b[B\x1b[B" + b"j" * 50)
        terminal.until("exporters")
        terminal.type(b"kkkkk")
        terminal.until("receivers")


def test_it_waits_for_an_airis_that_is_away(airis: Airis, terminal: Terminal) -> None:
    terminal.until("q quits")
    assert airis.stop() == 0
    terminal.until("Waiting: airis is not running")

    airis.start()
    terminal.until(f"pid {airis.pid}")

    terminal.type(b"q")
    assert terminal.end()[0] == 0


def test_who_ends_it_meanwhile_is_told_by_the_exit_code(airis: Airis, terminal: Terminal) -> None:
    terminal.until("q quits")
    assert airis.stop() == 0
    terminal.until("Waiting: airis is not running")

    terminal.type(b"q")

    assert terminal.end()[0] == 3
