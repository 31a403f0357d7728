"""The live view of a running instance: a line for each component, and what is wrong with those that are ill."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from airis.service.render.amounts import count, size
from airis.service.render.rows import one_line

Document = Mapping[str, Any]
"""What the admin API says of what runs, with rates; see `airis.service.commands.top.with_rates`."""
NARROW = 76
"""Columns under which the totals are left out."""
_LEAST_NAME = 12
_GAP = "  "
_HEALTHY = "StatusOK"
_NOTHING: Document = dict.fromkeys(("items", "items_per_s", "bytes_per_s", "refused", "in_flight"))
"""The side that a component does not have."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; a heading has no status."""

    name: str
    status: str = ""
    cells: Mapping[str, Text] | None = None
    """By the titles of the columns."""


@dataclass(frozen=True, slots=True)
class Page:
    """What is to be printed."""

    lines: list[Text]
    skipped: int = 0
    """Rows of the table above those that are shown."""


def page(document: Document, width: int, height: int | None = None, skip: int = 0, note: str = "") -> Page:
    """All lines, or what fits into a height: of the table then the rows from `skip` on, and each line cut at the width.

    `note` is the last line.
    """
    titles, *rows = _table(document, width)
    top = [_title(document, width), _totals(document), Text(""), titles]
    below = [*_extensions(document), *_troubles(document)]
    end = [Text(note, style="dim")] if note else []
    if height is not None:
        below = below[: max(1, height // 3)]
        room = max(1, height - len(top) - len(below) - len(end))
        hidden = max(0, len(rows) - room)
        skip = min(max(skip, 0), hidden)
        rows = rows[skip : skip + room]
        if hidden:
            end = [Text(f"{note}{_GAP}{hidden} more: up, down", style="dim")]
    lines = [*top, *rows, *below, *end]
    for line in lines if height is not None else ():
        line.truncate(width, overflow="ellipsis")
    return Page(lines, skip)


def _title(document: Document, width: int) -> Text:
    up = duration(document["now_unix_s"] - document["started_unix_s"])
    title = Text(f"airis {one_line(document['version'])}", style="bold")
    title.append(f"{_GAP}pid {document['pid']}{_GAP}up {up}{_GAP}", style="not bold")
    if taps := len(document["taps"]):
        title.append(f"{taps} tap{'s' * (taps > 1)}{_GAP}", style="not bold yellow")
    source = one_line(document["configuration"])
    room = max(1, width - cell_len(title.plain))
    # The end of a path says more than its beginning.
    return title.append(source if len(source) <= room else f"…{source[1 - room :]}", style="not bold dim")


def _totals(document: Document) -> Text:
    """What comes in from outside, and what goes out to it."""
    receivers = [member["out"] for member in document["components"] if member["kind"] == "receiver"]
    exporters = [member["in"] for member in document["components"] if member["kind"] == "exporter"]
    refused = _sum(receivers, "refused")
    line = Text("in ")
    line.append(f"{count(_sum(receivers, 'items_per_s'))}/s", style="bold")
    line.append(f", {size(_sum(receivers, 'bytes_per_s'))}/s   out ")
    line.append(f"{count(_sum(exporters, 'items_per_s'))}/s", style="bold")
    line.append(f", {size(_sum(exporters, 'bytes_per_s'))}/s   refused ")
    line.append(count(refused), style="bold red" if refused else "")
    return line.append(f"   in flight {count(_sum(receivers, 'in_flight'))}")


def _sum(sides: Sequence[Document], key: str) -> float:
    return sum(side[key] or 0 for side in sides)


def _rows(document: Document) -> Iterator[Row]:
    """In the order of the data: receivers, pipelines with their processors, connectors, exporters."""
    members = document["components"]
    yield from _of_kind(members, "receiver")
    for pipeline in document["pipelines"]:
        yield Row(pipeline["name"], cells=_cells(pipeline["in"], _NOTHING, pipeline["in"], None))
        # The members come in the order of their start, which is from the end of the pipeline to its beginning.
        of_pipeline = {m["id"]: m for m in members if m["kind"] == "processor" and m["pipeline"] == pipeline["name"]}
        for name in pipeline["processors"]:
            if name in of_pipeline:
                yield _row(of_pipeline[name])
    yield from _of_kind(members, "connector")
    yield from _of_kind(members, "exporter")


def _of_kind(members: Sequence[Document], kind: str) -> Iterator[Row]:
    found = [member for member in members if member["kind"] == kind]
    if found:
        yield Row(f"{kind}s")
    yield from map(_row, found)


def _row(member: Document) -> Row:
    is_first, is_last = member["kind"] == "receiver", member["kind"] == "exporter"
    taken, given = _NOTHING if is_first else member["in"], _NOTHING if is_last else member["out"]
    return Row(member["id"], member["status"], _cells(taken, given, given if is_first else taken, member["queued"]))


def _cells(taken: Document, given: Document, answered: Document, queued: float | None) -> dict[str, Text]:
    """The numbers by their columns; `answered` is the side at which callers are held or refused."""
    numbers = {
        "in/s": _number(taken["items_per_s"]),
        "out/s": _number(given["items_per_s"]),
        "in": _number(taken["items"]),
        "out": _number(given["items"]),
        "refused": _number(answered["refused"], "red"),
        "in flight": _number(answered["in_flight"]),
        "queued": _number(queued),
    }
    rate = answered["bytes_per_s"]
    return {**numbers, "bytes/s": Text("" if rate is None else size(rate), style="" if rate else "dim")}


def _number(amount: float | None, style: str = "") -> Text:
    return Text("" if amount is None else count(amount), style=style if amount else "dim")


def _table(document: Document, width: int) -> Iterator[Text]:
    """The titles of the columns, then the rows."""
    rows = list(_rows(document))
    has_queue = any(member["queued"] is not None for member in document["components"])
    left_out = {*(() if has_queue else ("queued",)), *(("in", "out") if width < NARROW else ())}
    titles = [title for title in _cells(_NOTHING, _NOTHING, _NOTHING, None) if title not in left_out]
    widths = {title: max(len(title), *(len(row.cells[title]) for row in rows if row.cells), 5) for title in titles}
    room = width - sum(widths.values()) - len(_GAP) * len(titles)
    name_width = min(max(room, _LEAST_NAME), max((cell_len(row.name) + 4 for row in rows), default=0))
    yield Text(" " * name_width + "".join(f"{_GAP}{title:>{widths[title]}}" for title in titles), style="dim")
    for row in rows:
        line = _name(row, name_width)
        for title, cell in (row.cells or {}).items():
            if title in widths:
                line.append(" " * (len(_GAP) + widths[title] - len(cell))).append_text(cell)
        line.rstrip()
        yield line


def _name(row: Row, width: int) -> Text:
    name = one_line(row.name)
    if not row.status:
        return Text(_fitted(name, width), style="bold")
    mark, style = _mark(row.status)
    return Text("  ").append(f"{mark} ", style=style).append(_fitted(name, width - 4))


def _fitted(text: str, width: int) -> str:
    """In exactly so many columns; what is cut off is shown to be."""
    return set_cell_size(text, width) if cell_len(text) <= width else f"{set_cell_size(text, width - 1)}…"


def _mark(status: str) -> tuple[str, str]:
    """A sign for a status, and its colour."""
    if status == _HEALTHY:
        return "●", "green"
    return ("✗", "red") if status.endswith("Error") else ("○", "yellow")


def _extensions(document: Document) -> Iterator[Text]:
    found = [member for member in document["components"] if member["kind"] == "extension"]
    if found:
        line = Text("extensions", style="bold")
        for member in found:
            mark, style = _mark(member["status"])
            line.append(f"{_GAP}{mark} ", style=f"not bold {style}").append(one_line(member["id"]), style="not bold")
        yield line


def _troubles(document: Document) -> Iterator[Text]:
    """What is known of those that are ill."""
    ill = [member for member in document["components"] if member["status"] != _HEALTHY]
    if ill:
        yield Text("")
    for member in ill:
        mark, style = _mark(member["status"])
        since = duration(document["now_unix_s"] - member["since_unix_s"])
        line = Text(f"{mark} {one_line(member['name'])}", style=style)
        line.append(f"  {_words(member['status'])} for {since}")
        yield line.append(f": {one_line(member['error'])}" if member["error"] else "")


def _words(status: str) -> str:
    """``StatusPermanentError`` as ``permanent error``."""
    name = status.removeprefix("Status")
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()


def duration(seconds: float) -> str:
    """How long, in its two largest units: ``3 min 12 s``."""
    whole = max(0, int(seconds))
    for unit, length, below, part in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= length:
            return f"{whole // length} {unit} {whole % length // part} {below}"
    return f"{whole} s"
