"""``airis metrics``: which metrics there are, and one of them over time."""

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import typer

from airis.service.commands.conditions import ServiceOption, pairs
from airis.service.commands.options import ConfigOption, DataDirOption
from airis.service.render.rows import (
    Format,
    ItemFormat,
    ItemFormatOption,
    chosen,
    narrow,
    say,
    terminal,
    write_bytes,
    write_rows,
    write_table,
)
from airis.service.render.time import LastOption, ago, iso, since_nano

if TYPE_CHECKING:
    from airis.storage import Store
    from airis.storage.reader import MetricName, MetricSeries

MOST_SERIES = 1_000
MOST_POINTS = 100_000
"""Of each kind, in one OTLP answer."""
STEPS = 240
"""Steps in the time that a plot shows: about two for each of its columns."""

Points = Sequence[tuple[int, float]]


def metrics(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="In OpenTelemetry or Prometheus spelling; without it: a list.")
    ] = "",
    rate: Annotated[bool, typer.Option("--rate", help="Of a counter: how much it grows per second.")] = False,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="Only series with this label; repeatable.")
    ] = None,
    service: ServiceOption = "",
    search: Annotated[str, typer.Option(metavar="TEXT", help="List only metrics with this text in their name.")] = "",
    last: LastOption = "1h",
    form: ItemFormatOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List the metrics, or plot one: its series over time."""
    from airis.service.access import run_reading

    wanted = chosen(form)
    labels = pairs(label, "--label")
    since = since_nano(last)
    if not name and (rate or labels) and wanted != ItemFormat.OTLP:
        raise typer.BadParameter("--rate and --label need the name of a metric", param_hint="NAME")
    if wanted == ItemFormat.OTLP:
        if rate or search:
            raise typer.BadParameter("otlp is what was sent: no --rate, no --search", param_hint="--format")

        async def request(store: "Store") -> bytes:
            from airis.storage import reader

            return await reader.metrics_request(
                store, name=name, service=service, labels=labels, since=since, limit=MOST_POINTS
            )

        _write_otlp(run_reading(request, config, data_dir), last)
        return

    async def find(store: "Store") -> "tuple[list[MetricName], list[MetricSeries]]":
        from airis.storage import reader

        if not name:
            return await reader.metric_names(store, search=search, service=service, since=since), []
        step = max((time.time_ns() - since) // STEPS, 1) if wanted == Format.TABLE else 1
        series = await reader.metric_points(
            store, name, service=service, labels=labels, since=since, step_nano=step, limit=MOST_SERIES
        )
        return ([] if series else await reader.metric_names(store)), series

    names, series = run_reading(find, config, data_dir)
    if not name:
        _write_names(names, wanted, last)
    elif series:
        _write_series(name, series, wanted, rate)
    else:
        _explain(name, names, last)
        if wanted != Format.TABLE:
            write_rows([], wanted, _POINT_FIELDS)


def rates(points: Points, temporality: str) -> list[tuple[int, float]]:
    """Growth per second between neighbouring points; the first one has none.

    A cumulative value below the one before began anew at zero. A delta is over the time since the point before.
    """
    grown: list[tuple[int, float]] = []
    for (before, old), (now, new) in pairwise(points):
        if now > before:
            growth = new if temporality == "delta" or new < old else new - old
            grown.append((now, growth * 1e9 / (now - before)))
    return grown


def _write_otlp(request: bytes, last: str) -> None:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    from airis.data.kernels import to_json

    if not request:
        say(f"No data points in the last {last}; look further back with --last 24h")
        return
    write_bytes(to_json("metrics", request), b"\n")
    message = ExportMetricsServiceRequest.FromString(request)
    points = sum(
        len(getattr(metric, metric.WhichOneof("data") or "gauge").data_points)
        for owner in message.resource_metrics
        for scoped in owner.scope_metrics
        for metric in scoped.metrics
    )
    if points >= MOST_POINTS:
        say(f"Of each kind of point these are at most the first {MOST_POINTS:,}; choose a name or a shorter --last")


def _write_names(names: "Sequence[MetricName]", form: str, last: str) -> None:
    if not names:
        say(f"No such metrics in the last {last}; look further back with --last 24h")
    if form != Format.TABLE:
        write_rows([_name_row(metric) for metric in names], form, _NAME_FIELDS)
    elif names:
        now = time.time()
        columns = ("name", "kind", "unit", "series", "last seen", "help")
        rows = [{**_name_row(metric), "last seen": ago(now - metric.last_unix_s)} for metric in names]
        write_table(rows, columns[:-1] if narrow() else columns, whole=("name", "last seen"))


_NAME_FIELDS = ("name", "otel_name", "kind", "unit", "temporality", "monotonic", "series", "last_seen", "help")


def _name_row(metric: "MetricName") -> dict[str, object]:
    return {
        "name": metric.name,
        "otel_name": metric.otel_name,
        "kind": metric.kind,
        "unit": metric.unit,
        "temporality": metric.temporality,
        "monotonic": metric.monotonic,
        "series": metric.series,
        "last_seen": iso(metric.last_unix_s * 1_000_000_000),
        "help": metric.help,
    }


def _write_series(name: str, series: "Sequence[MetricSeries]", form: str, rate: bool) -> None:
    if rate:
        unfit = next((one for one in series if one.kind == "gauge" or (one.kind == "sum" and not one.monotonic)), None)
        if unfit:
            kind = "gauge" if unfit.kind == "gauge" else "sum that may go down"
            say(f"airis: {name} is a {kind}: it has no rate; leave --rate out")
            raise typer.Exit(1)
    points = [rates(one.points, one.temporality) if rate else one.points for one in series]
    if form != Format.TABLE:
        rows = [
            {"time": iso(at), "value": value, "labels": dict(one.labels)}
            for one, its_points in zip(series, points, strict=True)
            for at, value in its_points
        ]
        write_rows(rows, form, _POINT_FIELDS)
    else:
        from airis.service.render.plot import Line, plot

        console = terminal()
        lines = [Line(one.labels, its_points) for one, its_points in zip(series, points, strict=True)]
        for text in plot(lines, *_caption(name, series[0], rate), console.width):
            console.print(text, overflow="ignore", no_wrap=True, crop=False)
    if len(series) == MOST_SERIES:
        say(f"Of its series these are the first {MOST_SERIES:,}; choose with --label or --service")


_POINT_FIELDS = ("time", "value", "labels")


_UNIT_BRACES = str.maketrans("", "", "{}")


def _caption(name: str, series: "MetricSeries", rate: bool) -> tuple[str, str]:
    """What the plot shows, and in which unit; of a histogram it is the number of observations."""
    counts = series.kind in ("histogram", "exponential_histogram", "summary")
    unit = "" if counts or series.unit == "1" else series.unit.translate(_UNIT_BRACES)
    what = f"observations of {name}" if counts else name
    return (f"{what} per second", f"{unit}/s") if rate else (what, unit)


def _explain(name: str, known: "Sequence[MetricName]", last: str) -> None:
    """Why there is nothing to show; ends the command with 1 if there is no such metric at all."""
    import difflib

    if any(name in (metric.name, metric.otel_name) for metric in known):
        say(f"No such points of {name} in the last {last}; look further back with --last 24h")
        return
    spellings = {text.lower(): text for metric in known for text in (metric.name, metric.otel_name)}
    close = difflib.get_close_matches(name.lower(), spellings, n=3)
    hint = (
        f"did you mean {' or '.join(spellings[text] for text in close)}?"
        if close
        else "see what there is: airis metrics"
    )
    say(f"airis: no metric {name}; {hint}")
    raise typer.Exit(1)
