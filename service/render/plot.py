"""Series over time as lines in the terminal."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from airis.service.render.rows import printable

HEIGHT = 18
MOST_LINES = 8
# Names that both the plot and the legend know.
_COLORS: Sequence[tuple[str, str]] = (
    ("cyan+", "bright_cyan"),
    ("green+", "bright_green"),
    ("magenta+", "bright_magenta"),
    ("blue+", "bright_blue"),
    ("yellow+", "bright_yellow"),
    ("red+", "bright_red"),
    ("cyan", "cyan"),
    ("green", "green"),
)
_TICKS_EVERY_COLUMNS = 14
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True)
class Line:
    """One series to draw."""

    labels: Mapping[str, str]
    points: Sequence[tuple[int, float]]
    """(Unix nanoseconds, value), oldest first."""

    @property
    def last(self) -> float:
        """The newest value that is a number, else negative infinity."""
        return next((value for _, value in reversed(self.points) if math.isfinite(value)), -math.inf)


def plot(lines: Sequence[Line], title: str, unit: str, width: int) -> list[Text]:
    """The picture and its legend, line by line: of many series those with the largest last values."""
    shown = sorted(lines, key=lambda line: -line.last)[:MOST_LINES]
    drawn = [line for line in shown if line.last > -math.inf]
    texts = [Text(printable(title), style="bold")]
    if drawn:
        texts += [Text.from_ansi(row) for row in _draw(drawn, width)]
    names = _legend([line.labels for line in lines])
    by_line = dict(zip(map(id, lines), names, strict=True))
    for line, (_, color) in zip(shown, _COLORS, strict=False):
        text = Text("■ ", style=color)
        suffix = f"{'' if unit[:1] in ('', '/') else ' '}{printable(unit)}" if math.isfinite(line.last) else ""
        text.append(f"{number(line.last)}{suffix}", style="bold")
        text.append(f"  {printable(by_line[id(line)])}")
        texts.append(text)
    if len(lines) > len(shown):
        texts.append(Text(f"and {len(lines) - len(shown)} more series; choose with --label or --service", style="dim"))
    return texts


def number(value: float) -> str:
    """A value with three significant digits and a prefix: ``1.23k``."""
    if not math.isfinite(value):
        return "no value" if value == -math.inf else str(value)
    for size, prefix in _PREFIXES:
        if abs(value) >= size:
            return f"{value / size:.3g}{prefix}"
    return f"{value:.3g}"


def _draw(lines: Sequence[Line], width: int) -> list[str]:
    import plotext  # type: ignore[import-untyped]

    figure: Any = plotext.figure
    plotext.terminal.limit(False, False)
    figure.clear()
    figure.plot_size(width, HEIGHT)
    figure.theme("colorless")
    figure.canvas("default")
    for line, (color, _) in zip(lines, _COLORS, strict=False):
        points = [(time / 1e9, value) for time, value in line.points if math.isfinite(value)]
        marker = plotext.marker("braille", color)
        signal = figure.signal([time for time, _ in points], [value for _, value in points], marker=marker)
        signal.lines()
        figure.draw(signal)
    _time_axis(figure, lines, width)
    _value_axis(figure, lines)
    return str(figure.build().string()).rstrip("\n").split("\n")


def _time_axis(figure: Any, lines: Sequence[Line], width: int) -> None:
    """Ticks at round local times."""
    times = [time / 1e9 for line in lines for time, _ in line.points]
    start, end = min(times), max(times)
    if end <= start:
        start, end = start - 30, end + 30
    figure.ruler("x").lim(start, end)
    step = next(
        (s for s in _STEPS_S if (end - start) / s <= width / _TICKS_EVERY_COLUMNS), math.ceil((end - start) / 5)
    )
    offset = datetime.fromtimestamp(start, UTC).astimezone().utcoffset()
    shift = offset.total_seconds() if offset else 0.0
    first = math.ceil((start + shift) / step) * step - shift
    ticks = [first + step * index for index in range(int((end - first) // step) + 1)] if first <= end else [start]
    form = "%H:%M:%S" if step < 60 else "%H:%M" if end - start <= 86_400 else "%m-%d %H:%M"
    figure.ruler("x").ticks(ticks, [datetime.fromtimestamp(t, UTC).astimezone().strftime(form) for t in ticks])


def _value_axis(figure: Any, lines: Sequence[Line]) -> None:
    """Ticks at round values; from 0 where that is no waste of space."""
    values = [value for line in lines for _, value in line.points if math.isfinite(value)]
    low, high = min(values), max(values)
    if low > 0 and low < high * 0.7:
        low = 0.0
    if high <= low:
        low, high = (0.0, high or 1.0) if high >= 0 else (low, 0.0)
    step = _round_step((high - low) / 4)
    first, last = math.floor(low / step), math.ceil(high / step)
    ticks = [index * step for index in range(first, last + 1)]
    figure.ruler("y").lim(ticks[0], ticks[-1])
    figure.ruler("y").ticks(ticks, [number(tick) for tick in ticks])


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least this."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _legend(labels: Sequence[Mapping[str, str]]) -> list[str]:
    """What tells each series from the others: the labels in which not all agree."""
    keys = sorted({key for one in labels for key in one})
    differing = [key for key in keys if len({one.get(key) for one in labels}) > 1]
    named = differing if len(labels) > 1 else keys
    return ["  ".join(f"{key}={one[key]}" for key in named if one.get(key)) for one in labels]
