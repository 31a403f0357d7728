"""A trace as a waterfall: the tree of its spans, each with a bar where it lies in time."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

from rich.text import Text

from airis.service.render.rows import one_line, printable
from airis.service.render.time import moment, span_of_time
from airis.storage.reader import StoredSpan

_COLORS = ("cyan", "green", "magenta", "blue", "yellow", "bright_cyan", "bright_green", "bright_magenta")
_LEAST_BAR, _LEAST_NAME = 20, 24


@dataclass(frozen=True, slots=True)
class Placed:
    """A span and the lines that lead to it."""

    span: StoredSpan
    lines: str


def place(spans: Sequence[StoredSpan]) -> list[Placed]:
    """The spans as a tree, parents before children, children by start; orphans stand as roots of their own.

    A span that is its own ancestor stands where the loop is entered, once.
    """
    known = {span.span_id for span in spans}
    children: dict[str, list[StoredSpan]] = defaultdict(list)
    for span in sorted(spans, key=lambda s: s.start_unix_nano):
        parent = span.parent_span_id if span.parent_span_id in known and span.parent_span_id != span.span_id else ""
        children[parent].append(span)
    placed: list[Placed] = []
    seen: set[int] = set()

    def descend(roots: Iterator[StoredSpan]) -> None:
        # A stack of our own: a trace may be deeper than Python's.
        stack = [(span, "", "") for span in reversed(list(roots))]
        while stack:
            span, lines, below = stack.pop()
            if id(span) in seen:
                continue
            seen.add(id(span))
            placed.append(Placed(span, lines))
            inner = [s for s in children[span.span_id] if id(s) not in seen]
            for index, child in reversed(list(enumerate(inner))):
                last = index == len(inner) - 1
                stack.append((child, below + ("└ " if last else "├ "), below + ("  " if last else "│ ")))

    descend(iter(children[""]))
    descend(span for span in spans if id(span) not in seen)
    return placed


def waterfall(spans: Sequence[StoredSpan], width: int) -> Iterator[Text]:
    """The lines to print; ends in the errors' messages and events."""
    start = min(span.start_unix_nano for span in spans)
    end = max(span.start_unix_nano + span.duration_nano for span in spans)
    whole = max(end - start, 1)
    colors = dict(zip(dict.fromkeys(span.service for span in spans), cycle(_COLORS), strict=False))
    placed = place(spans)
    count = "1 span" if len(spans) == 1 else f"{len(spans)} spans"
    yield Text(f"{spans[0].trace_id}  {moment(start)}  {span_of_time(end - start)}  {count}")
    legend = Text()
    for service, color in colors.items():
        name = f"■ {one_line(service)}  "
        if legend and len(legend) + len(name) > width:
            yield legend
            legend = Text()
        legend.append(name, style=color)
    yield legend
    names = [f"{p.lines}{one_line(p.span.service)}: {one_line(p.span.name)}" for p in placed]
    name_width = min(max(max(map(len, names)), _LEAST_NAME), max(width - _LEAST_BAR - 12, _LEAST_NAME))
    bar_width = max(width - name_width - 12, _LEAST_BAR)
    for name, place_ in zip(names, placed, strict=True):
        yield _line(name, place_.span, name_width, bar_width, start, whole, colors[place_.span.service])
    for span in (p.span for p in placed):
        yield from _troubles(span)


def _line(name: str, span: StoredSpan, name_width: int, bar_width: int, start: int, whole: int, color: str) -> Text:
    failed = span.status == "Error"
    before = min(int((span.start_unix_nano - start) / whole * bar_width), bar_width - 1)
    length = max(1, min(round(span.duration_nano / whole * bar_width), bar_width - before))
    shown = name if len(name) <= name_width else name[: name_width - 1] + "…"
    line = Text(f"{shown:<{name_width}} ", style="red" if failed else "")
    line.append(f"{span_of_time(span.duration_nano):>9}  ")
    line.append(" " * before + "━" * length, style="red" if failed else color)
    return line


def _troubles(span: StoredSpan) -> Iterator[Text]:
    """What a failed span says of why."""
    if span.status != "Error":
        return
    heading = f"\n✗ {one_line(span.service)}: {one_line(span.name)}"
    said = printable(span.status_message).replace("\n", "\n    ")
    yield Text(f"{heading}: {said}" if said else heading, style="red")
    for event in span.events:
        said = event.attributes.get("exception.message", "")
        kind = event.attributes.get("exception.type", "")
        words = " ".join(one_line(part) for part in (event.name, kind, said) if part)
        yield Text(f"  {moment(event.time_unix_nano)}  {words}")
