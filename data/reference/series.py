"""Metrics as series and their points: who a series is, and what is kept of each point."""

import struct
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from typing import Any

import orjson
import xxhash
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from airis.data.reference.values import encode_attributes, encode_value
from airis.proto.otlp_json import to_object
from airis.proto.prometheus_names import PROMETHEUS_TYPE, TRANSLATOR, family_name, labels

Row = dict[str, Any]
SeriesKey = tuple[int, int]
"""The id of a series and the id of the resource it came from."""

EXPLICIT_BOUNDS_SCHEMA = -53
STALE_MARKER = 0x7FF0_0000_0000_0002
"""Bits of the value of a point that says that nothing was recorded (Prometheus' stale marker)."""
NO_VALUE = 0x7FF0_0000_0000_0003
"""Bits of the value of a point that has none and does not say why."""

_NO_RECORDED_VALUE = 1
_HOUR_NANO = 3600 * 10**9
_KINDS = ("unknown", "gauge", "sum", "histogram", "exponential_histogram", "summary")
_TEMPORALITIES = ("unspecified", "delta", "cumulative")
_IDENTIFYING = ("service.namespace", "service.name", "service.instance.id")


class SeriesIndex:
    """Which series were registered in the current hour, so that a row is written once per hour and series."""

    def __init__(self, capacity: int = 4_000_000) -> None:
        self.capacity = capacity
        self._hours: dict[SeriesKey, int] = {}

    def __len__(self) -> int:
        return len(self._hours)

    def knows(self, key: SeriesKey, hour: int) -> bool:
        """Whether it was registered in this hour or a later one."""
        return self._hours.get(key, -1) >= hour

    def add(self, blocks: Any) -> None:
        """Note the series registered in blocks that were stored; what is oldest goes when it is too much."""
        if len(self._hours) + len(blocks.series) > self.capacity:
            latest = max(blocks.series.values(), default=0)
            self._hours = {key: hour for key, hour in self._hours.items() if hour >= latest}
            if len(self._hours) + len(blocks.series) > self.capacity:
                # Rows are written again then, which costs a little and harms nothing.
                self._hours = {}
        self._hours.update(blocks.series)


def metric_rows(
    message: Any, arrived: int, known: SeriesIndex, registered: MutableMapping[SeriesKey, int]
) -> Iterator[tuple[str, Row]]:
    """Tables and rows of an ExportMetricsServiceRequest; new series go into `registered` with their hour."""
    for owner in message.resource_metrics:
        resource = _resource(owner.resource, owner.schema_url)
        identity = _identifying(owner.resource)
        for scoped in owner.scope_metrics:
            scope = _scope(scoped.scope, scoped.schema_url)
            for metric in scoped.metrics:
                kind = metric.WhichOneof("data")
                if kind is None:
                    continue
                writer = _Writer(metric, kind, resource, scope, identity, arrived)
                for point in getattr(metric, kind).data_points:
                    series = writer.series(point)
                    key, hour = (series["id"], series["resource_id"]), arrived // _HOUR_NANO
                    if key not in registered and not known.knows(key, hour):
                        registered[key] = hour
                        yield "metric_series", series
                    yield from writer.point(series["id"], point)


class _Writer:
    """The rows of one metric."""

    def __init__(
        self, metric: Any, kind: str, resource: Row, scope: Row, identity: Sequence[tuple[str, str, str]], arrived: int
    ) -> None:
        self.kind = kind
        self.resource = resource
        self.scope = scope
        self.identity = _set_bytes(identity)
        self.arrived = arrived
        data = getattr(metric, kind)
        self.monotonic = bool(getattr(data, "is_monotonic", False))
        number = getattr(data, "aggregation_temporality", 0)
        self.temporality = _TEMPORALITIES[number] if 0 <= number < len(_TEMPORALITIES) else str(number)
        self.metric = metric
        self.name = metric.name
        # What was Prometheus' before it was OTLP has its names, and a series there is its labels.
        self.is_prometheus = any(attribute.key == PROMETHEUS_TYPE for attribute in metric.metadata)
        if not self.is_prometheus:
            self.name = family_name(
                metric.name, metric.unit, counter=kind == "sum" and self.monotonic, gauge=kind == "gauge"
            )
        values = {key: text for key, text, _ in reversed(identity)}
        service, namespace = values.get("service.name", ""), values.get("service.namespace", "")
        instance = values.get("service.instance.id", "")
        job = f"{namespace}/{service}" if namespace and service else service
        self.derived = [(name, text) for name, text in (("instance", instance), ("job", job)) if text]
        if self.is_prometheus:
            self.derived += scope["labels"]

    def series(self, point: Any) -> Row:
        """The row of the point's series."""
        attributes, types = encode_attributes(point.attributes)
        metadata, metadata_types = encode_attributes(self.metric.metadata)
        bounds = list(point.explicit_bounds) if self.kind == "histogram" else []
        integer = self.kind in ("gauge", "sum") and point.WhichOneof("value") == "as_int"
        kind: tuple[bytes, ...] = (
            self.metric.unit.encode(),
            str(_KINDS.index(self.kind)).encode(),
            self.temporality.encode(),
            b"1" if self.monotonic else b"0",
            b"1" if integer else b"0",
        )
        identity = (
            self.metric.name.encode(),
            *((PROMETHEUS_TYPE.encode(),) if self.is_prometheus else kind),
            _set_bytes(_typed(point.attributes)),
            self.scope["scope_name"].encode(),
            self.scope["scope_version"].encode(),
            self.scope["identity"],
            self.identity,
            struct.pack(f"<{len(bounds)}d", *bounds),
        )
        return {
            **self.resource,
            **self.scope,
            "id": xxhash.xxh3_64_intdigest(b"".join(map(_sized, identity))),
            "metric": self.name,
            "otel_name": self.metric.name,
            "kind": self.kind,
            "unit": self.metric.unit,
            "temporality": self.temporality,
            "monotonic": self.monotonic,
            "integer": integer,
            "labels": labels(attributes, self.derived, verbatim=self.is_prometheus),
            "attributes": attributes,
            "attributes_types": types,
            "metadata": metadata,
            "metadata_types": metadata_types,
            "bounds": bounds,
            "help": self.metric.description,
            "min_time": self.arrived // 10**9,
            "max_time": self.arrived // 10**9,
        }

    def point(self, series_id: int, point: Any) -> Iterator[tuple[str, Row]]:
        """The rows of the point and its exemplars."""
        common: Row = {
            "metric": self.name,
            "id": series_id,
            "ts": point.time_unix_nano or self.arrived,
            "ts_source": "sent" if point.time_unix_nano else "arrival",
            "start": point.start_time_unix_nano,
            "flags": point.flags,
        }
        if self.kind == "histogram":
            yield "metric_histograms", common | _explicit(point)
        elif self.kind == "exponential_histogram":
            yield "metric_histograms", common | _exponential(point)
        elif self.kind == "summary":
            yield "metric_summaries", common | _summary(point)
            return  # the only kind without exemplars
        else:
            yield "metric_samples", common | _number(point, point.flags)
        for exemplar in point.exemplars:
            attributes, types = encode_attributes(exemplar.filtered_attributes)
            yield (
                "metric_exemplars",
                {
                    **_number(exemplar, 0),
                    "metric": self.name,
                    "id": series_id,
                    "ts": exemplar.time_unix_nano,
                    "point_ts": common["ts"],
                    "integer": exemplar.WhichOneof("value") == "as_int",
                    "trace_id": exemplar.trace_id.hex(),
                    "span_id": exemplar.span_id.hex(),
                    "attributes": attributes,
                    "attributes_types": types,
                },
            )


def _number(point: Any, flags: int) -> Row:
    if flags & _NO_RECORDED_VALUE:
        return {"value": _double(STALE_MARKER), "value_residue": 0}
    kind = point.WhichOneof("value")
    if kind == "as_int":
        value = float(point.as_int)
        return {"value": value, "value_residue": point.as_int - int(value)}
    return {"value": point.as_double if kind == "as_double" else _double(NO_VALUE), "value_residue": 0}


def _explicit(point: Any) -> Row:
    return {
        **_histogram(point),
        "schema": EXPLICIT_BOUNDS_SCHEMA,
        "zero_threshold": 0.0,
        "zero_count": 0,
        "pos_offset": 0,
        "pos": list(point.bucket_counts),
        "neg_offset": 0,
        "neg": [],
    }


def _exponential(point: Any) -> Row:
    return {
        **_histogram(point),
        "schema": point.scale,
        "zero_threshold": point.zero_threshold,
        "zero_count": point.zero_count,
        "pos_offset": point.positive.offset,
        "pos": list(point.positive.bucket_counts),
        "neg_offset": point.negative.offset,
        "neg": list(point.negative.bucket_counts),
    }


def _histogram(point: Any) -> Row:
    present = {name: getattr(point, name) if point.HasField(name) else None for name in ("sum", "min", "max")}
    return {**present, "count": point.count}


def _summary(point: Any) -> Row:
    return {
        "count": point.count,
        "sum": point.sum,
        "quantiles": [value.quantile for value in point.quantile_values],
        "values": [value.value for value in point.quantile_values],
    }


def _resource(resource: Resource, schema_url: str) -> Row:
    attributes, types = encode_attributes(resource.attributes)
    return {
        "service": dict(reversed(attributes)).get("service.name", ""),
        "resource": attributes,
        "resource_types": types,
        "resource_schema_url": schema_url,
        "resource_dropped_attributes_count": resource.dropped_attributes_count,
        "resource_entity_refs": entity_refs(resource),
        "resource_id": xxhash.xxh3_64_intdigest(_set_bytes(_typed(resource.attributes))),
    }


def entity_refs(resource: Resource) -> str:
    """The resource's entity references as OTLP/JSON, empty when it has none."""
    return orjson.dumps([to_object(ref) for ref in resource.entity_refs]).decode() if resource.entity_refs else ""


def _scope(scope: Any, schema_url: str) -> Row:
    attributes, types = encode_attributes(scope.attributes)
    return {
        "scope_name": scope.name,
        "scope_version": scope.version,
        "scope_attributes": attributes,
        "scope_attributes_types": types,
        "scope_schema_url": schema_url,
        "scope_dropped_attributes_count": scope.dropped_attributes_count,
        "identity": _set_bytes(_typed(scope.attributes)),
        "labels": _scope_labels(scope),
    }


def _scope_labels(scope: Any) -> list[tuple[str, str]]:
    """The labels that a scope has with Prometheus."""
    if scope.name == TRANSLATOR:
        return []
    ordered = sorted(_typed(scope.attributes), key=lambda attribute: attribute[0].encode())
    named = [(name, text) for name, text in (("name", scope.name), ("version", scope.version)) if text]
    return [(f"otel_scope_{name}", text) for name, text in (*named, *((key, text) for key, text, _ in ordered))]


def _identifying(resource: Resource) -> list[tuple[str, str, str]]:
    """The attributes that make a resource another one: its service's, or all when it names no instance."""
    typed = _typed(resource.attributes)
    if any(key == "service.instance.id" for key, _, _ in typed):
        return [attribute for attribute in typed if attribute[0] in _IDENTIFYING]
    return typed


def _typed(attributes: Iterable[Any]) -> list[tuple[str, str, str]]:
    """Keys, texts and signatures."""
    return [(attribute.key, *encode_value(attribute.value)) for attribute in attributes]


def _set_bytes(attributes: Iterable[tuple[str, str, str]]) -> bytes:
    """The attributes in the order of their keys, as bytes that only the same ones have."""
    ordered = sorted(attributes, key=lambda attribute: attribute[0].encode())
    return b"".join(_sized(part.encode()) for key, text, sign in ordered for part in (key, sign, text))


def _sized(part: bytes) -> bytes:
    return len(part).to_bytes(4, "little") + part


def _double(bits: int) -> float:
    (value,) = struct.unpack("<d", bits.to_bytes(8, "little"))
    return float(value)
