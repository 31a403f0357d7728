"""What the terminal shows: golden pictures, and telemetry that cannot draw in them."""

import io
import math

import pytest
from rich.console import Console
from rich.text import Text

from airis.service.commands.metrics import rates
from airis.service.render.log_lines import log_line
from airis.service.render.plot import Line, number, plot
from airis.service.render.time import iso
from airis.service.render.waterfall import waterfall
from airis.storage.reader import SpanEvent, StoredLog, StoredSpan

SECOND = 1_000_000_000
START = 1_767_323_045 * SECOND
"""2026-01-02T03:04:05Z"""


def shown(texts: list[Text], width: int) -> str:
    """What a terminal of that width without colours shows."""
    console = Console(file=io.StringIO(), width=width, no_color=True, force_terminal=False, highlight=False)
    for text in texts:
        console.print(text, overflow="ignore", no_wrap=True, crop=False)
    return console.file.getvalue()  # type: ignore[attr-defined]


def wave(name: str, height: float) -> Line:
    points = [(START + step * 15 * SECOND, height * (2 + math.sin(step / 20))) for step in range(240)]
    return Line({"path": name, "job": "shop"}, points)


def span(number: int, parent: int, start_ms: int, duration_ms: int, **more: object) -> StoredSpan:
    given = {"service": "shop", "name": f"step {number}", "status": "Unset", "status_message": "", "events": ()} | more
    return StoredSpan(
        trace_id="5b8efff798038103d269b633813fc60c",
        span_id=str(number),
        parent_span_id=str(parent) if parent else "",
        kind="Internal",
        start_unix_nano=START + start_ms * 1_000_000,
        duration_nano=duration_ms * 1_000_000,
        attributes={},
        resource={},
        **given,  # type: ignore[arg-type]
    )


def test_a_plot(utc, golden, request):
    lines = [wave("/a", 100), wave("/b", 1000), Line({"path": "/gone", "job": "shop"}, [(START, math.nan)])]

    golden(request.path.parent / "testdata" / "plot.txt", shown(plot(lines, "http.requests", "req", 100), 100))


def test_a_plot_of_many_series_shows_the_largest(utc):
    text = shown(plot([wave(f"/{n}", n) for n in range(1, 12)], "x", "", 80), 80)

    legend = [line for line in text.splitlines() if line.startswith("■")]
    assert [line.split("path=")[1] for line in legend] == [f"/{n}" for n in range(11, 3, -1)]
    assert text.splitlines()[-1].startswith("and 3 more series")


@pytest.mark.parametrize(
    "values",
    [[0.0], [0.0, 0.0], [5.0], [-3.0, -3.0], [1e-9, 2e-9], [1e300, -1e300], [math.inf, 1.0], [1.0, 1.0000001]],
    ids=str,
)
def test_any_values_can_be_plotted(utc, values):
    points = [(START + index, value) for index, value in enumerate(values)]

    assert len(plot([Line({}, points)], "x", "", 60)) > 10


def test_a_waterfall(utc, golden, request):
    spans = [
        span(1, 0, 0, 1000),
        span(2, 1, 100, 300, service="cart"),
        span(3, 2, 150, 20, service="cart"),
        span(
            4,
            1,
            500,
            400,
            status="Error",
            status_message="declined",
            events=(SpanEvent(START, "exception", {"exception.type": "E", "exception.message": "no\nmoney"}),),
        ),
        span(5, 77, 950, 0, name="orphan\x1b[31m\nfake line"),
        span(6, 6, 990, 5, name="its own parent"),
    ]

    golden(request.path.parent / "testdata" / "waterfall.txt", shown(list(waterfall(spans, 100)), 100))


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (
            StoredLog(START, "cart", "WARN", 13, "", "low stock", "", "", {"item": "3", "why": "two words"}),
            '2026-01-02 03:04:05.000 WARN  cart  low stock  item=3  why="two words"',
        ),
        (
            StoredLog(START + 1_234_567, "", "", 0, "stock.empty", "", "abc", "", {}),
            "2026-01-02 03:04:05.001 -     -  stock.empty    trace_id=abc",
        ),
        (
            StoredLog(START, "a\nb", "E\x1b[0m", 17, "", "one\ntwo\x07\n", "", "", {"k": "v\nw"}),
            "2026-01-02 03:04:05.000 E\\x1b[0m a\\nb  one\n    two\\x07  k=v\\nw",
        ),
        (
            StoredLog(START, "cart", "INFO", 9, "", "[bold]no markup[/bold] :smile:", "", "", {"k": "x" * 300}),
            f"2026-01-02 03:04:05.000 INFO  cart  [bold]no markup[/bold] :smile:  k={'x' * 200}…",
        ),
    ],
    ids=["plain", "empty", "hostile", "markup"],
)
def test_a_log_line(utc, record, line):
    assert log_line(record).plain == line


@pytest.mark.parametrize(
    ("points", "temporality", "expected"),
    [
        ([(0, 1.0), (10, 21.0), (20, 21.0)], "cumulative", [(10, 2.0), (20, 0.0)]),
        ([(0, 100.0), (10, 5.0), (20, 15.0)], "cumulative", [(10, 0.5), (20, 1.0)]),
        ([(0, 100.0), (10, 5.0), (30, 20.0)], "delta", [(10, 0.5), (30, 1.0)]),
        ([(0, 1.0), (0, 2.0)], "cumulative", []),
        ([(0, 1.0)], "cumulative", []),
        ([], "delta", []),
    ],
    ids=["growth", "reset", "delta", "same time", "one", "none"],
)
def test_rates(points, temporality, expected):
    assert rates([(at * SECOND, value) for at, value in points], temporality) == [
        (at * SECOND, value) for at, value in expected
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234, "1.23k"), (-5e6, "-5M"), (0.00123, "0.00123"), (2e15, "2e+03T"), (math.inf, "inf")],
)
def test_numbers_are_short(value, text):
    assert number(value) == text


def test_times_have_all_digits():
    assert iso(START + 6) == "2026-01-02T03:04:05.000000006Z"
    assert iso((1 << 64) - 1) == "2554-07-21T23:34:33.709551615Z"
