"""Telemetry as it passes: an item as a line for a person, as an object for a program, or what is left of a request."""

import base64
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from rich.text import Text

from airis.data import Signal
from airis.data.reference.values import encode_attributes, encode_value
from airis.service.render.log_lines import log_line
from airis.service.render.rows import one_line
from airis.service.render.time import iso, moment, span_of_time
from airis.storage.reader import StoredLog

_KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
_STATUSES = ("Unset", "Ok", "Error")
_SEVERITIES = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_MOST_VALUE = 200
"""A longer value of an attribute is cut: whoever wants it all asks for JSON."""
_WAY: Mapping[Signal, tuple[str, str, str]] = {
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.METRICS: ("resource_metrics", "scope_metrics", "metrics"),
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
}

Found = tuple[Any, Any, Any, Any]
"""The resource, the scope, the metric of a data point, and the item itself, as opentelemetry-proto has them."""


def items_of(signal: Signal, message: Any) -> Iterator[Found]:
    """Every span, data point or log record of a request, in order."""
    owners, scopes, items = _WAY[signal]
    for owner in getattr(message, owners):
        for scoped in getattr(owner, scopes):
            for item in getattr(scoped, items):
                if signal is Signal.METRICS:
                    for point in _points(item):
                        yield owner.resource, scoped.scope, item, point
                else:
                    yield owner.resource, scoped.scope, None, item


def keep_items(signal: Signal, message: Any, kept: set[int]) -> None:
    """Take away from a request all items but these, counted from 0, and what is empty then."""
    owners, scopes, items = _WAY[signal]
    number = 0

    def is_kept(_item: Any) -> bool:
        nonlocal number
        number += 1
        return number - 1 in kept

    def has_points(metric: Any) -> bool:
        _filter(_points(metric), is_kept)
        return bool(_points(metric))

    def has_items(scoped: Any) -> bool:
        return _filter(getattr(scoped, items), has_points if signal is Signal.METRICS else is_kept)

    _filter(getattr(message, owners), lambda owner: _filter(getattr(owner, scopes), has_items))


def _filter(repeated: Any, is_kept: Callable[[Any], bool]) -> bool:
    """Keep what is to be kept; whether that is anything."""
    gone = [index for index, one in enumerate(repeated) if not is_kept(one)]
    for index in reversed(gone):
        del repeated[index]
    return bool(repeated)


def line(signal: Signal, found: Found) -> Text:
    """When, who, what, and the attributes; nothing that a sender wrote is obeyed by a terminal."""
    if signal is Signal.TRACES:
        return _span_line(found)
    return _point_line(found) if signal is Signal.METRICS else _record_line(found)


def row(signal: Signal, found: Found) -> dict[str, Any]:
    """All that is known of the item, as JSON values."""
    resource, scope, _, item = found
    own = {Signal.TRACES: _span_row, Signal.METRICS: _point_row, Signal.LOGS: _record_row}[signal](found)
    return {
        "signal": signal,
        **own,
        "attributes": _attributes(item.attributes),
        "scope": {"name": scope.name, "version": scope.version, "attributes": _attributes(scope.attributes)},
        "resource": _attributes(resource.attributes),
    }


def kind_name(span: Any) -> str:
    """``Server``; ``Unspecified`` for a number without a name."""
    number: int = span.kind
    return _KINDS[number] if 0 <= number < len(_KINDS) else _KINDS[0]


def status_name(span: Any) -> str:
    """``Error``; ``Unset`` for a number without a name."""
    number: int = span.status.code
    return _STATUSES[number] if 0 <= number < len(_STATUSES) else _STATUSES[0]


def severity_name(record: Any) -> str:
    """The name of the severity number's range, else the sender's text."""
    number: int = record.severity_number
    return _SEVERITIES[(number - 1) // 4] if 1 <= number <= 24 else str(record.severity_text)


def text_of(value: Any) -> str:
    """The text of an attribute's value or a body; arrays and maps as JSON."""
    return encode_value(value)[0]


def _span_line(found: Found) -> Text:
    resource, scope, _, span = found
    failed = status_name(span) == "Error"
    text = _beginning(span.start_time_unix_nano, resource)
    text.append(f"{one_line(span.name) or '-'}  ", style="bold red" if failed else "bold")
    took = max(0, span.end_time_unix_nano - span.start_time_unix_nano)
    text.append(f"{kind_name(span).lower()} {span_of_time(took)}")
    if failed:
        said = one_line(span.status.message)
        text.append(f"  error: {said}" if said else "  error", style="red")
    ids = {"trace_id": span.trace_id.hex(), "span_id": span.span_id.hex()}
    return _with_attributes(text, span, scope, {name: digits for name, digits in ids.items() if digits})


def _point_line(found: Found) -> Text:
    resource, scope, metric, point = found
    text = _beginning(point.time_unix_nano, resource)
    text.append(f"{one_line(metric.name) or '-'}  ", style="bold")
    values = _values(metric, point)
    unit = "" if metric.unit in ("", "1") else f" {one_line(metric.unit)}"
    if "value" in values:
        text.append(f"{_short(values['value'])}{unit}")
    else:
        has_unit = {name: unit for name in values if name in ("sum", "min", "max") or name.startswith("q")}
        numbers = {name: number for name, number in values.items() if not isinstance(number, list)}
        text.append("  ".join(f"{name}={_short(number)}{has_unit.get(name, '')}" for name, number in numbers.items()))
    return _with_attributes(text, point, scope)


def _record_line(found: Found) -> Text:
    resource, _, _, record = found
    return log_line(
        StoredLog(
            time_unix_nano=record.time_unix_nano or record.observed_time_unix_nano,
            service=_service(resource),
            severity=record.severity_text or severity_name(record),
            severity_number=record.severity_number,
            event_name=record.event_name,
            body=text_of(record.body),
            trace_id=record.trace_id.hex(),
            span_id=record.span_id.hex(),
            attributes=dict(encode_attributes(record.attributes)[0]),
        )
    )


def _beginning(unix_nano: int, resource: Any) -> Text:
    text = Text(f"{moment(unix_nano)} ")
    text.append(f"{one_line(_service(resource)) or '-'}  ", style="cyan")
    return text


def _with_attributes(text: Text, item: Any, scope: Any, ids: Mapping[str, str] = MappingProxyType({})) -> Text:
    named = {**ids, **({"scope": scope.name} if scope.name else {})}
    given = [*encode_attributes(item.attributes)[0], *named.items()]
    shown = "  ".join(f"{one_line(key)}={_quoted(value)}" for key, value in given)
    return text.append(f"  {shown}", style="dim") if shown else text


def _quoted(value: str) -> str:
    shown = one_line(value)
    shown = shown if len(shown) <= _MOST_VALUE else f"{shown[:_MOST_VALUE]}…"
    return f'"{shown}"' if " " in shown or not shown else shown


def _service(resource: Any) -> str:
    return next((text_of(a.value) for a in resource.attributes if a.key == "service.name"), "")


def _points(metric: Any) -> Any:
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind else []


def _values(metric: Any, point: Any) -> dict[str, Any]:
    """What was measured: ``value``, or ``count``, ``sum`` and their like."""
    kind = metric.WhichOneof("data")
    if kind in ("gauge", "sum"):
        chosen = point.WhichOneof("value")
        return {"value": _plain_number(getattr(point, chosen)) if chosen else None}
    found: dict[str, Any] = {"count": point.count}
    for name in ("sum", "min", "max"):
        if name in point.DESCRIPTOR.fields_by_name and (kind == "summary" or point.HasField(name)):
            found[name] = _plain_number(getattr(point, name))
    if kind == "summary":
        found |= {f"q{_short(q.quantile)}": _plain_number(q.value) for q in point.quantile_values}
    elif kind == "histogram":
        found |= {"bounds": list(point.explicit_bounds), "buckets": list(point.bucket_counts)}
    else:
        found |= {"scale": point.scale, "zero_count": point.zero_count}
        found |= {"positive": _buckets(point.positive), "negative": _buckets(point.negative)}
    return found


def _buckets(buckets: Any) -> list[Any]:
    """Offset, then the counts."""
    return [buckets.offset, *buckets.bucket_counts]


def _short(number: Any) -> str:
    return "-" if number is None else f"{number:.6g}" if isinstance(number, float) else str(number)


def _span_row(found: Found) -> dict[str, Any]:
    resource, _, _, span = found
    return {
        "time": iso(span.start_time_unix_nano),
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(),
        "service": _service(resource),
        "name": span.name,
        "kind": kind_name(span),
        "duration_nano": span.end_time_unix_nano - span.start_time_unix_nano,
        "status": status_name(span),
        "status_message": span.status.message,
        "events": [
            {"time": iso(event.time_unix_nano), "name": event.name, "attributes": _attributes(event.attributes)}
            for event in span.events
        ],
        "links": [
            {
                "trace_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "attributes": _attributes(link.attributes),
            }
            for link in span.links
        ],
    }


def _point_row(found: Found) -> dict[str, Any]:
    resource, _, metric, point = found
    return {
        "time": iso(point.time_unix_nano),
        "service": _service(resource),
        "name": metric.name,
        "kind": metric.WhichOneof("data"),
        "unit": metric.unit,
        **_values(metric, point),
    }


def _record_row(found: Found) -> dict[str, Any]:
    resource, _, _, record = found
    return {
        "time": iso(record.time_unix_nano or record.observed_time_unix_nano),
        "severity": record.severity_text or severity_name(record),
        "severity_number": record.severity_number,
        "service": _service(resource),
        "event_name": record.event_name,
        "body": _plain(record.body),
        "trace_id": record.trace_id.hex(),
        "span_id": record.span_id.hex(),
    }


def _attributes(attributes: Iterable[Any]) -> dict[str, Any]:
    """Keys and values; the first of a key counts."""
    found: dict[str, Any] = {}
    for attribute in attributes:
        found.setdefault(attribute.key, _plain(attribute.value))
    return found


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return _plain_number(getattr(value, kind)) if kind else None


def _plain_number(value: Any) -> Any:
    """A value that JSON has, too: what is not finite is a word, as in OTLP/JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
