"""The pipelines of a configuration as a picture: in the terminal, for Graphviz, for Mermaid."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from rich.cells import cell_len
from rich.text import Text

from airis.component import Kind
from airis.config import Configuration, PipelineConfig
from airis.service.render.rows import one_line

_STYLES = {
    Kind.RECEIVER: "green",
    Kind.PROCESSOR: "cyan",
    Kind.EXPORTER: "magenta",
    Kind.CONNECTOR: "yellow",
}
_FILLS = {
    Kind.RECEIVER: "#d5f5dd",
    Kind.PROCESSOR: "#d9f1f7",
    Kind.EXPORTER: "#f3ddf5",
    Kind.CONNECTOR: "#fbf0c9",
}
_LINE = "dim"
_INDENT = 2
_FACT = 12
"""Column of what is said beside the pictures."""
_PLAIN = str.maketrans({"─": "-", "►": ">", "┬": "+", "├": "+", "┤": "+", "└": "+", "┘": "+", "═": "="})


@dataclass(frozen=True, slots=True)
class Cell:
    """A component where it stands in a pipeline."""

    kind: Kind
    component_id: str
    into: tuple[str, ...] = ()
    """The pipelines that a connector at the end hands on to."""
    is_entry: bool = False


def tree(configuration: Configuration, width: int) -> Iterator[Text]:
    """Each pipeline from left to right, those of the same components in one picture; then what is beside them."""
    groups = _groups(configuration)
    for pipelines in groups:
        yield Text(", ".join(one_line(pipeline.pipeline_id) for pipeline in pipelines), style="bold")
        yield from _flow(configuration, pipelines, width)
        yield Text("")
    facts = {
        "extensions": [", ".join(configuration.extensions)] if configuration.extensions else [],
        "shared": list(_shared(configuration, groups)),
        "not used": [", ".join(unused)] if (unused := _unused(configuration)) else [],
    }
    for name, lines in facts.items():
        wrapped = [part for line in lines for part in _wrapped(one_line(line), width - _FACT)]
        for number, line in enumerate(wrapped):
            yield Text(f"{name if number == 0 else '':<{_FACT}}", style="bold").append(line, style="not bold")


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 30), subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def plain(text: Text, encoding: str) -> Text:
    """The text as it is where the encoding has all its characters, else in ASCII."""
    try:
        text.plain.encode(encoding)
    except UnicodeEncodeError:
        line = Text(style=text.style)
        for piece in text.divide([edge for span in text.spans for edge in (span.start, span.end)]):
            shown = piece.plain.translate(_PLAIN).encode("ascii", "backslashreplace").decode()
            line.append(shown, style=piece.spans[0].style if piece.spans else "")
        return line
    return text


def dot(configuration: Configuration) -> str:
    """The graph in Graphviz's language: pipelines as boxes around their processors."""
    made = _Nodes(configuration)
    lines = ["digraph airis {", '  graph [rankdir=LR, style=rounded, color="#888888", fontname="sans-serif"]']
    lines.append('  node [shape=box, style="rounded,filled", color="#888888", fontname="sans-serif"]')
    lines.append('  edge [color="#666666", fontname="sans-serif", fontsize=10]')
    lines += [f"  {name} {_dot_label(cell)}" for name, cell in made.shared.items()]
    for number, (pipeline_id, processors) in enumerate(made.processors.items()):
        lines += [f"  subgraph cluster_{number} {{", f"    label={_dot_text(pipeline_id)}"]
        lines += [f"    {name} {_dot_label(cell)}" for name, cell in processors.items()]
        lines.append("  }")
    for (start, end), label in made.labels():
        lines.append(f"  {start} -> {end}" + (f" [label={_dot_text(label)}]" if label else ""))
    return "\n".join([*lines, "}", ""])


def mermaid(configuration: Configuration) -> str:
    """The graph as a Mermaid flow chart, which GitHub and GitLab draw in Markdown."""
    made = _Nodes(configuration)
    lines = ["flowchart LR"]
    lines += [f"  {name}([{_mermaid_text(cell.component_id)}]):::{cell.kind}" for name, cell in made.shared.items()]
    for number, (pipeline_id, processors) in enumerate(made.processors.items()):
        lines.append(f"  subgraph pipeline{number}[{_mermaid_text(pipeline_id)}]")
        lines += [f"    {name}[{_mermaid_text(cell.component_id)}]:::{cell.kind}" for name, cell in processors.items()]
        lines.append("  end")
    for (start, end), label in made.labels():
        lines.append(f"  {start} -->" + (f"|{_mermaid_text(label)}|" if label else "") + f" {end}")
    lines += [f"  classDef {kind} fill:{fill},stroke:#888,color:#000" for kind, fill in _FILLS.items()]
    return "\n".join([*lines, ""])


class _Nodes:
    """What Graphviz and Mermaid draw: nodes under names that are safe in both, and edges between them."""

    def __init__(self, configuration: Configuration) -> None:
        self.shared: dict[str, Cell] = {}
        """Receivers, exporters and connectors, of which there is one for all pipelines."""
        self.processors: dict[str, dict[str, Cell]] = {}
        """By pipeline."""
        self.edges: dict[tuple[str, str], list[str]] = {}
        """By both ends, the pipelines where nothing else shows them."""
        self._names: dict[tuple[Kind, str], str] = {}
        for number, pipeline in enumerate(configuration.pipelines.values()):
            receivers, exporters = _ends(configuration, [pipeline])
            processors = {f"processor{number}_{at}": cell for at, cell in enumerate(_processors(pipeline))}
            if processors:
                self.processors[pipeline.pipeline_id] = processors
            starts, stops = [self._name(cell) for cell in receivers], [self._name(cell) for cell in exporters]
            stages = [starts, *([name] for name in processors), stops]
            shown = [] if processors else [pipeline.pipeline_id]
            for before, after in pairwise(stages):
                for edge in product(before, after):
                    self.edges.setdefault(edge, []).extend(shown)

    def labels(self) -> Iterator[tuple[tuple[str, str], str]]:
        """The edges, each with what is to be written on it."""
        for edge, pipelines in self.edges.items():
            yield edge, ", ".join(pipelines)

    def _name(self, cell: Cell) -> str:
        key = (cell.kind, cell.component_id)
        if key not in self._names:
            self._names[key] = f"{cell.kind}{len(self._names)}"
            self.shared[self._names[key]] = cell
        return self._names[key]


def _dot_label(cell: Cell) -> str:
    return f'[label={_dot_text(cell.component_id)}, fillcolor="{_FILLS[cell.kind]}"]'


def _dot_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return f'"{escaped}"'


def _mermaid_text(text: str) -> str:
    """In quotes; what could be markup there as a character reference of Mermaid's, which is not HTML's."""
    safe = "".join(char if char.isalnum() or char in " ,._/-" else f"#{ord(char)};" for char in text)
    return f'"{safe}"'


def _groups(configuration: Configuration) -> list[list[PipelineConfig]]:
    """Pipelines of the same components together; those that connectors feed behind those that feed them."""
    depths: dict[str, int] = {}

    def depth(pipeline: PipelineConfig, seen: frozenset[str]) -> int:
        pipeline_id = pipeline.pipeline_id
        if pipeline_id not in depths:
            before = [p for p in configuration.pipelines.values() if p.pipeline_id not in seen and _feeds(p, pipeline)]
            depths[pipeline_id] = max((depth(p, seen | {pipeline_id}) + 1 for p in before), default=0)
        return depths[pipeline_id]

    def _feeds(one: PipelineConfig, other: PipelineConfig) -> bool:
        return any(other.pipeline_id in _fed(configuration, one, name) for name in one.exporters)

    groups: dict[tuple[tuple[str, ...], ...], list[PipelineConfig]] = {}
    for pipeline in sorted(configuration.pipelines.values(), key=lambda p: depth(p, frozenset())):
        key = (pipeline.receivers, pipeline.processors, pipeline.exporters)
        groups.setdefault(key, []).append(pipeline)
    return list(groups.values())


def _fed(configuration: Configuration, pipeline: PipelineConfig, connector_id: str) -> list[str]:
    """The pipelines that a connector hands on to what it takes from this one."""
    connector = configuration.components[Kind.CONNECTOR].get(connector_id)
    if connector is None:
        return []
    return [
        other.pipeline_id
        for other in configuration.pipelines.values()
        if connector_id in other.receivers and (pipeline.signal, other.signal) in connector.factory.conversions
    ]


def _ends(configuration: Configuration, pipelines: Sequence[PipelineConfig]) -> tuple[list[Cell], list[Cell]]:
    connectors = configuration.components[Kind.CONNECTOR]
    first = pipelines[0]
    receivers = [
        Cell(Kind.CONNECTOR if name in connectors else Kind.RECEIVER, name, is_entry=True) for name in first.receivers
    ]
    exporters = [
        Cell(Kind.CONNECTOR, name, tuple(dict.fromkeys(i for p in pipelines for i in _fed(configuration, p, name))))
        if name in connectors
        else Cell(Kind.EXPORTER, name)
        for name in first.exporters
    ]
    return receivers, exporters


def _processors(pipeline: PipelineConfig) -> list[Cell]:
    return [Cell(Kind.PROCESSOR, name) for name in pipeline.processors]


def _shared(configuration: Configuration, groups: Sequence[Sequence[PipelineConfig]]) -> Iterator[str]:
    """Receivers and exporters that stand in several pictures, with all their pipelines."""
    for kind in (Kind.RECEIVER, Kind.EXPORTER):
        for name in configuration.components[kind]:
            having = [group for group in groups if name in _ends_of(group[0], kind)]
            if len(having) > 1:
                pipeline_ids = ", ".join(pipeline.pipeline_id for group in having for pipeline in group)
                yield f"{kind.section}::{name} in {pipeline_ids}"


def _ends_of(pipeline: PipelineConfig, kind: Kind) -> tuple[str, ...]:
    return pipeline.receivers if kind is Kind.RECEIVER else pipeline.exporters


def _unused(configuration: Configuration) -> list[str]:
    """Components that are configured and take no part."""
    pipelines = configuration.pipelines.values()
    ends = {name for p in pipelines for name in (*p.receivers, *p.exporters)}
    used: Mapping[Kind, set[str]] = {
        Kind.RECEIVER: {name for p in pipelines for name in p.receivers},
        Kind.PROCESSOR: {name for p in pipelines for name in p.processors},
        Kind.EXPORTER: {name for p in pipelines for name in p.exporters},
        Kind.CONNECTOR: ends,
        Kind.EXTENSION: set(configuration.extensions),
    }
    return [f"{k.section}::{name}" for k, of in configuration.components.items() for name in of if name not in used[k]]


def _flow(configuration: Configuration, pipelines: Sequence[PipelineConfig], width: int) -> list[Text]:
    """Receivers one below the other, processors in their order, exporters one below the other."""
    receivers, exporters = (list(map(_cell, cells)) for cells in _ends(configuration, pipelines))
    picture = _Picture()
    column = picture.join(receivers)
    row = 0
    start = column
    room = max(map(_width, exporters)) + len(" ─┬─► ")
    processors = list(map(_cell, _processors(pipelines[0])))
    for number, processor in enumerate(processors):
        is_last = number == len(processors) - 1
        needed = len(" ─► ") + _width(processor) + (room if is_last else len(" ─►"))
        if number and column + needed > width:
            picture.put(row, column, Text(" ─►", style=_LINE))
            row, column = row + 1, start + len("─► " if len(receivers) > 1 else " ─► ")
            column = picture.put(row, column, processor)
            continue
        arrow = "─► " if number == 0 and len(receivers) > 1 else " ─► "
        column = picture.put(row, column, Text(arrow, style=_LINE))
        column = picture.put(row, column, processor)
    picture.part(row, column, exporters, blank="" if not processors and len(receivers) > 1 else " ")
    return picture.rows


def _cell(cell: Cell) -> Text:
    text = Text()
    if cell.kind is Kind.CONNECTOR and cell.is_entry:
        text.append("═► ", style=_LINE)
    text.append(one_line(cell.component_id), style=_STYLES[cell.kind])
    if cell.into:
        text.append(" ═► ", style=_LINE).append(one_line(", ".join(cell.into)))
    return text


def _width(text: Text) -> int:
    return cell_len(text.plain)


class _Picture:
    """Rows of text that are written at columns."""

    def __init__(self) -> None:
        self.rows: list[Text] = []

    def put(self, row: int, column: int, text: Text) -> int:
        """Write at a place to the right of all that is in the row; gives the column behind it."""
        while len(self.rows) <= row:
            self.rows.append(Text())
        line = self.rows[row]
        line.append(" " * (column - _width(line)))
        line.append_text(text)
        return _width(line)

    def join(self, cells: Sequence[Text]) -> int:
        """Write cells one below the other at the left, joined into one line in the first row."""
        widest = max(map(_width, cells))
        for row, cell in enumerate(cells):
            column = self.put(row, _INDENT, cell)
            if len(cells) > 1:
                corner = "┬" if row == 0 else "┘" if row == len(cells) - 1 else "┤"
                self.put(row, column, Text(f" {'─' * (widest - _width(cell))}─{corner}", style=_LINE))
        return _width(self.rows[0])

    def part(self, row: int, column: int, cells: Sequence[Text], blank: str) -> None:
        """Write cells one below the other at the right of a line that parts into them."""
        if len(cells) == 1:
            self.put(row, self.put(row, column, Text(f"{blank}─► ", style=_LINE)), cells[0])
            return
        for number, cell in enumerate(cells):
            corner = "┬" if number == 0 else "└" if number == len(cells) - 1 else "├"
            lead = f"{blank}─" if number == 0 else " " * (len(blank) + 1)
            self.put(row + number, self.put(row + number, column, Text(f"{lead}{corner}─► ", style=_LINE)), cell)
