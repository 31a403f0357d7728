"""Prometheus remote write: ``prometheus.WriteRequest`` (1.0) and ``io.prometheus.write.v2.Request`` (2.0).

The fields are those of prometheus.io, "Remote-Write 1.0 specification" and "2.0 specification". ``created_timestamp``
is what release candidates of 2.0 had, and Prometheus before 3.8 sends, in place of a sample's ``start_timestamp``.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

V1, V2 = 1, 2
"""Remote write 1.0 and 2.0."""

METRIC_TYPES = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")
"""Prometheus' types by their number, in both versions."""

_HISTOGRAM = """
    1 count_int uint64 | count
    2 count_float double | count
    3 sum double
    4 schema sint32
    5 zero_threshold double
    6 zero_count_int uint64 | zero_count
    7 zero_count_float double | zero_count
    8 negative_spans BucketSpan *
    9 negative_deltas sint64 *
    10 negative_counts double *
    11 positive_spans BucketSpan *
    12 positive_deltas sint64 *
    13 positive_counts double *
    14 reset_hint int32
    15 timestamp int64
    16 custom_values double *
"""
_BUCKET_SPAN = """
    1 offset sint32
    2 length uint32
"""
# An enum is an int32 on the wire, so that a number that is not known yet stays itself.
_V1 = {
    "WriteRequest": """
        1 timeseries TimeSeries *
        3 metadata MetricMetadata *
    """,
    "MetricMetadata": """
        1 type int32
        2 metric_family_name string
        4 help string
        5 unit string
    """,
    "TimeSeries": """
        1 labels Label *
        2 samples Sample *
        3 exemplars Exemplar *
        4 histograms Histogram *
    """,
    "Label": """
        1 name string
        2 value string
    """,
    "Sample": """
        1 value double
        2 timestamp int64
    """,
    "Exemplar": """
        1 labels Label *
        2 value double
        3 timestamp int64
    """,
    "Histogram": _HISTOGRAM,
    "BucketSpan": _BUCKET_SPAN,
}
_V2 = {
    "Request": """
        4 symbols string *
        5 timeseries TimeSeries *
    """,
    "TimeSeries": """
        1 labels_refs uint32 *
        2 samples Sample *
        3 histograms Histogram *
        4 exemplars Exemplar *
        5 metadata Metadata
        6 created_timestamp int64
    """,
    "Sample": """
        1 value double
        2 timestamp int64
        3 start_timestamp int64
    """,
    "Exemplar": """
        1 labels_refs uint32 *
        2 value double
        3 timestamp int64
    """,
    "Metadata": """
        1 type int32
        3 help_ref uint32
        4 unit_ref uint32
    """,
    "Histogram": f"{_HISTOGRAM}    17 start_timestamp int64",
    "BucketSpan": _BUCKET_SPAN,
}


def _classes(package: str, messages: Mapping[str, str]) -> Mapping[str, Any]:
    """The classes of messages whose fields are written as lines of ``number name type``, ``*`` for repeated ones."""
    file = FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, lines in messages.items():
        message = file.message_type.add(name=name)
        for words in filter(None, map(str.split, lines.splitlines())):
            _add_field(message, package, words)
    pool = DescriptorPool()
    pool.Add(file)
    found = {name: GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}
    return MappingProxyType(found)


def _add_field(message: DescriptorProto, package: str, words: list[str]) -> None:
    number, name, type_name, *rest = words
    field = message.field.add(name=name, number=int(number))
    field.label = FieldDescriptorProto.LABEL_REPEATED if rest == ["*"] else FieldDescriptorProto.LABEL_OPTIONAL
    if type_name[0].isupper():
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{package}.{type_name}"
    else:
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{type_name.upper()}")
    if rest[:1] == ["|"]:
        if rest[1] not in (declared := [oneof.name for oneof in message.oneof_decl]):
            message.oneof_decl.add(name=rest[1])
            declared.append(rest[1])
        field.oneof_index = declared.index(rest[1])


MESSAGES: Mapping[int, Mapping[str, Any]] = MappingProxyType(
    {V1: _classes("prometheus", _V1), V2: _classes("io.prometheus.write.v2", _V2)}
)
"""The message classes of each version, by name."""


def request_class(version: int) -> type[Message]:
    """The message of a request; raises ValueError for a version that there is not."""
    if version not in MESSAGES:
        raise ValueError(f"there is no remote write {version}.0 here")
    request: type[Message] = MESSAGES[version]["WriteRequest" if version == V1 else "Request"]
    return request
