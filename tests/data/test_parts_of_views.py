"""What is made of a view shares what did not change: chosen items, groups, joined views, and payloads on demand."""

from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, EntityRef, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from airis.data.fields import Attribute, Field
from airis.data.malformed import MalformedPayload
from airis.proto.wire import length_delimited

from .meaning import flat, meaning

UNKNOWN = length_delimited(99, b"\xff")
PER_ITEM = Attribute("item", "key")


def text(value: str) -> AnyValue:
    return AnyValue(string_value=value)


def traces(*resources: tuple[str, dict[str, list[str]]]) -> ExportTraceServiceRequest:
    """Resources by name, their scopes by name, the names of the spans in those."""
    request = ExportTraceServiceRequest()
    for resource, scopes in resources:
        owner = request.resource_spans.add(schema_url=f"https://{resource}")
        owner.resource.attributes.add(key="name").value.string_value = resource
        owner.resource.dropped_attributes_count = 7
        owner.resource.entity_refs.append(EntityRef(type="service", id_keys=["name"]))
        for scope, spans in scopes.items():
            scoped = owner.scope_spans.add(schema_url=f"https://{scope}")
            scoped.scope.name = scope
            scoped.spans.extend(Span(name=span, trace_id=span.encode() * 16) for span in spans)
    return request


def metrics(**named: list[int]) -> ExportMetricsServiceRequest:
    """Sums with points of these numbers, each with its number as an attribute."""
    request = ExportMetricsServiceRequest()
    scoped = request.resource_metrics.add().scope_metrics.add()
    for name, numbers in named.items():
        metric = scoped.metrics.add(name=name, unit="s", metadata=[KeyValue(key="m", value=text(name))])
        metric.sum.is_monotonic = True
        metric.sum.aggregation_temporality = 2  # type: ignore[assignment]
        for number in numbers:
            point = metric.sum.data_points.add(as_int=number)
            point.attributes.add(key="key").value.int_value = number
    return request


def logs(*values: AnyValue | None) -> bytes:
    """A log record for each value, which is its attribute `key`; without it for None."""
    request = ExportLogsServiceRequest()
    scoped = request.resource_logs.add().scope_logs.add()
    for value in values:
        attributes = [] if value is None else [KeyValue(key="key", value=value)]
        scoped.log_records.add(attributes=attributes, severity_number=len(attributes))  # type: ignore[arg-type]
    return request.SerializeToString()


TRACES = traces(("r1", {"s1": ["a", "b"], "s2": ["c"]}), ("r2", {"s3": ["d", "e", "f", "g"]}))


@pytest.mark.parametrize(
    ("mask", "left"),
    [
        ("1010000", [("r1", {"s1": ["a"], "s2": ["c"]})]),
        ("0010000", [("r1", {"s2": ["c"]})]),
        ("0000110", [("r2", {"s3": ["e", "f"]})]),
        ("1110000", [("r1", {"s1": ["a", "b"], "s2": ["c"]})]),
        ("0101001", [("r1", {"s1": ["b"]}), ("r2", {"s3": ["d", "g"]})]),
        ("0000000", []),
    ],
)
def test_what_has_no_item_left_goes(kernels, mask, left):
    view = kernels.scan("traces", TRACES.SerializeToString())

    selected = view.select(bytes(map(int, mask)))

    assert ExportTraceServiceRequest.FromString(selected.payload) == traces(*left)
    assert (selected.items, selected.signal) == (mask.count("1"), "traces")
    assert selected.size_bytes == len(selected.payload)


def test_a_point_is_an_item_and_a_metric_goes_with_its_last_one(kernels):
    view = kernels.scan("metrics", metrics(one=[1, 2], two=[3], three=[]).SerializeToString())

    selected = view.select(b"\x00\x05\x00")

    assert ExportMetricsServiceRequest.FromString(selected.payload) == metrics(one=[2])


def test_all_of_a_view_is_the_view_itself(kernels):
    payload = metrics(one=[1], none=[]).SerializeToString() + UNKNOWN
    view = kernels.scan("metrics", payload)

    assert view.payload is payload
    assert view.select(b"\x01") is view
    assert view.split(max_items=1) == [view]
    assert view.group([]) == [((), view)]
    assert kernels.concat([view]) is view
    assert view.rewrite(lambda level, message: None, ["resource", "scope", "metric", "item"]) is view


def test_a_view_of_nothing_has_no_groups_and_one_part(kernels):
    view = kernels.scan("logs", b"")

    assert view.group([PER_ITEM]) == []
    assert view.split(max_items=1) == [view]
    assert (view.items, view.size_bytes, view.payload) == (0, 0, b"")


def test_what_is_made_of_a_view_leaves_it_as_it_was(kernels):
    payload = TRACES.SerializeToString()
    view = kernels.scan("traces", payload)

    view.select(b"\x01" + bytes(6)).rewrite(lambda level, message: b"", ["resource", "item"])

    assert view.payload is payload
    assert view.attribute("name", "resource") == ["r1"] * 3 + ["r2"] * 4


def test_a_payload_is_made_once(kernels):
    selected = kernels.scan("traces", TRACES.SerializeToString()).select(b"\x01" + bytes(6))

    assert selected.size_bytes == len(selected.payload)
    assert selected.payload is selected.payload


def test_unknown_fields_stay_with_what_they_are_in(kernels):
    span = Span(name="a").SerializeToString() + UNKNOWN
    scope = length_delimited(2, span) * 2 + length_delimited(1, b"\x0a\x01s" + UNKNOWN) + UNKNOWN
    owner = UNKNOWN + length_delimited(2, scope) + length_delimited(1, UNKNOWN)
    payload = length_delimited(1, owner) + UNKNOWN

    selected = kernels.scan("traces", payload).select(b"\x01\x00")

    assert selected.payload.count(UNKNOWN) == 6
    assert meaning("traces", selected.payload).count(UNKNOWN) == 6


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_messages_that_come_in_parts_are_one(kernels, kept):
    first, second = (length_delimited(1, length_delimited(1, length_delimited(1, key))) for key in (b"a", b"b"))
    scope = b"".join(length_delimited(2, Span(name=name).SerializeToString()) for name in "xyz")
    payload = length_delimited(1, first + length_delimited(2, scope) + second)
    view = kernels.scan("traces", payload)

    selected = view.select(bytes(index == kept for index in range(3)))

    assert flat("traces", selected.payload) == [flat("traces", payload)[kept]]
    assert view.attribute("b", "resource") == [""] * 3 == selected.attribute("b", "resource") * 3


def test_data_that_comes_in_parts_is_one_and_of_a_oneof_the_last_counts(kernels):
    point = length_delimited(1, b"\x39" + bytes(8))
    gauge, total = (length_delimited(number, point * 2) for number in (5, 7))
    rest = length_delimited(7, b"\x10\x02" + point)
    metric = total + gauge + total + b"\x0a\x01n" + rest
    payload = length_delimited(1, length_delimited(2, length_delimited(2, metric)))
    view = kernels.scan("metrics", payload)

    first, last = view.select(b"\x01\x00\x00"), view.select(b"\x00\x00\x01")

    assert view.items == 3
    for selected in (first, last):
        [metric] = ExportMetricsServiceRequest.FromString(selected.payload).resource_metrics[0].scope_metrics[0].metrics
        assert (metric.name, metric.sum.aggregation_temporality, len(metric.sum.data_points)) == ("n", 2, 1)


def test_lengths_that_are_longer_than_they_must_be_are_no_fault(kernels):
    span = Span(name="a").SerializeToString()
    padded = b"\x12" + bytes([len(span) | 0x80, 0]) + span
    payload = length_delimited(1, length_delimited(2, padded + length_delimited(2, span) + padded))

    selected = kernels.scan("traces", payload).select(b"\x00\x01\x01")

    assert flat("traces", selected.payload) == flat("traces", payload)[1:]


@pytest.mark.parametrize("mask", [b"", b"\x01" * 6, b"\x01" * 8])
def test_a_mask_has_a_byte_for_each_item(kernels, mask):
    view = kernels.scan("traces", TRACES.SerializeToString())

    with pytest.raises(ValueError, match=f"a mask of {len(mask)} bytes for 7 items"):
        view.select(mask)
    with pytest.raises(ValueError, match=f"a mask of {len(mask)} bytes for 7 items"):
        view.rewrite(lambda level, message: None, ["item"], mask)


def test_joined_views_have_the_items_of_all(kernels):
    one, other = TRACES.SerializeToString(), traces(("r3", {"s": ["z"]})).SerializeToString() + UNKNOWN
    first, second = kernels.scan("traces", one), kernels.scan("traces", other)

    joined = kernels.concat([first, second.select(b"\x01"), first.select(b"\x00\x01" + bytes(5))])

    assert joined.items == 9
    assert flat("traces", joined.payload) == [*flat("traces", one + other), flat("traces", one)[1]]
    assert joined.payload.count(UNKNOWN) == 1


def test_only_views_of_one_signal_are_joined(kernels):
    with pytest.raises(ValueError, match="views of different signals cannot be joined"):
        kernels.concat([kernels.scan("traces", b""), kernels.scan("logs", b"")])
    with pytest.raises(ValueError, match="no views to join"):
        kernels.concat([])


def test_groups_come_in_the_order_of_their_first_items(kernels):
    view = kernels.scan("logs", logs(text("b"), text("a"), None, text("b"), None, text("a"), text("c")))

    groups = view.group([PER_ITEM])

    assert [(key, group.items) for key, group in groups] == [(("b",), 2), (("a",), 2), ((None,), 2), (("c",), 1)]
    assert [group.attribute("key") for _, group in groups] == [["b", "b"], ["a", "a"], [None, None], ["c"]]


def array(*values: AnyValue) -> AnyValue:
    made = AnyValue()
    made.array_value.values.extend(values)
    return made


def mapping(*entries: tuple[str, AnyValue]) -> AnyValue:
    made = AnyValue()
    made.kvlist_value.values.extend(KeyValue(key=key, value=value) for key, value in entries)
    return made


ONE, TWO = AnyValue(int_value=1), AnyValue(int_value=2)
DIFFERENT: list[tuple[AnyValue | None, Any]] = [
    (text("1"), "1"),
    (ONE, 1),
    (AnyValue(double_value=1), 1.0),
    (AnyValue(bool_value=True), True),
    (AnyValue(bytes_value=b"1"), b"1"),
    (text(""), ""),
    (None, None),
    (text("n"), "n"),
    (array(), []),
    (array(ONE), [1]),
    (array(array(ONE)), [[1]]),
    (array(ONE, TWO), [1, 2]),
    (array(TWO, ONE), [2, 1]),
    (array(array(ONE), TWO), [[1], 2]),
    (mapping(("a", ONE), ("b", TWO)), {"a": 1, "b": 2}),
    (mapping(("a", TWO), ("b", ONE)), {"a": 2, "b": 1}),
    (mapping(("a", AnyValue())), {"a": None}),
    (mapping(), {}),
    (mapping(("", text("}"))), {"": "}"}),
]


def test_a_value_is_the_same_only_in_its_type(kernels):
    view = kernels.scan("logs", logs(*[value for value, _ in DIFFERENT]))

    groups = view.group([PER_ITEM])

    assert [key for key, _ in groups] == [(shown,) for _, shown in DIFFERENT]
    assert [type(key[0]) for key, _ in groups] == [type(shown) for _, shown in DIFFERENT]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (None, AnyValue()),
        (mapping(("a", ONE), ("b", TWO)), mapping(("b", TWO), ("a", ONE))),
        (AnyValue(double_value=float("nan")), AnyValue(double_value=float("nan"))),
    ],
    ids=["nothing", "order of a map", "not a number"],
)
def test_values_that_are_the_same(kernels, one, other):
    assert len(kernels.scan("logs", logs(one, other)).group([PER_ITEM])) == 1


def test_what_several_sources_say_is_the_key(kernels):
    view = kernels.scan("traces", TRACES.SerializeToString())
    sources = [Field("item", "trace_id"), Attribute("resource", "name"), Attribute("scope", "none")]

    keys = [key for key, _ in view.group(sources)]

    assert keys[:3] == [((name.encode() * 16).hex(), "r1", None) for name in "abc"]
    assert len(keys) == 7


def test_a_group_of_a_resource_is_whole(kernels):
    view = kernels.scan("traces", TRACES.SerializeToString())

    (key, first), (_, second) = view.group([Attribute("resource", "name")])

    assert key == ("r1",)
    assert first.payload + second.payload == TRACES.SerializeToString()


@pytest.mark.parametrize(
    ("source", "keys"),
    [
        (Field("metric", "name"), ["one", "two"]),
        (Attribute("metric", "m"), ["one", "two"]),
        (Attribute("item", "key"), [1, 2, 3]),
        (Attribute("resource", "key"), [None]),
    ],
)
def test_points_are_grouped_by_their_metric_as_well(kernels, source, keys):
    view = kernels.scan("metrics", metrics(one=[1, 2], none=[], two=[3, 1]).SerializeToString())

    assert [key for key, _ in view.group([source])] == [(key,) for key in keys]


def test_more_groups_than_the_limit_are_together_at_the_end(kernels):
    payload = logs(*[text(letter) for letter in "abcadc"])

    groups = kernels.scan("logs", payload).group([PER_ITEM], limit=2)

    assert [(key, group.attribute("key")) for key, group in groups] == [
        (("a",), ["a", "a"]),
        (("b",), ["b"]),
        (None, ["c", "d", "c"]),
    ]


def test_the_limit_may_be_met(kernels):
    assert [key for key, _ in kernels.scan("logs", logs(text("a"), text("b"))).group([PER_ITEM], limit=2)] == [
        ("a",),
        ("b",),
    ]


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (Field("item", "nothing"), 'no field of item is called "nothing"'),
        (Attribute("metric", "a"), "items of traces have no metric"),
        (Attribute("event", "a"), "of events an item may have several"),
    ],
)
def test_what_cannot_be_asked_is_refused(kernels, source, fault):
    with pytest.raises(ValueError, match=fault):
        kernels.scan("traces", b"").group([source])


def durations(*spans: tuple[str, int, int]) -> bytes:
    """Spans by name, start and end."""
    request = ExportTraceServiceRequest()
    scoped = request.resource_spans.add().scope_spans.add()
    for name, start, end in spans:
        scoped.spans.add(name=name, start_time_unix_nano=start, end_time_unix_nano=end)
    return request.SerializeToString()


def numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(8, "little", signed=True) for value in values)


DURATION = Field("item", "duration")
NAME = Field("item", "name")


def test_of_groups_the_numbers_of_their_items_are_collected(kernels):
    view = kernels.scan("traces", durations(("b", 1, 4), ("a", 5, 5), ("b", 7, 6), ("c", 0, 2**64 - 1), ("a", 1, 3)))

    assert view.collect([NAME], DURATION) == [
        (("b",), numbers(3, -1)),
        (("a",), numbers(0, 2)),
        (("c",), numbers(2**63 - 1)),
    ]
    assert view.collect([NAME], DURATION, 1) == [(("b",), numbers(3, -1)), (None, numbers(0, 2**63 - 1, 2))]
    assert view.collect([], DURATION) == [((), numbers(3, 0, -1, 2**63 - 1, 2))]
    assert view.collect([DURATION], Field("resource", "schema_url")) == [
        ((duration,), numbers(0)) for duration in (3, 0, -1, 2**64 - 1, 2)
    ]
    assert kernels.scan("traces", b"").collect([NAME], DURATION) == []


def test_numbers_are_collected_of_the_groups_that_there_are(kernels):
    view = kernels.scan("traces", TRACES.SerializeToString())
    sources = [Attribute("resource", "name"), Field("item", "trace_id")]

    collected = view.collect(sources, Attribute("item", "none"), 3)

    assert [(key, len(found) // 8) for key, found in collected] == [
        (key, group.items) for key, group in view.group(sources, 3)
    ]


def test_what_is_no_whole_number_is_0(kernels):
    view = kernels.scan("logs", logs(ONE, text("1"), AnyValue(double_value=2), AnyValue(bool_value=True), None))

    assert view.collect([], PER_ITEM) == [((), numbers(1, 0, 0, 0, 0))]


def test_at_least_one_group_must_be_allowed(kernels):
    with pytest.raises(ValueError, match="limit must be at least 1"):
        kernels.scan("traces", b"").group([], limit=0)


def test_a_payload_that_cannot_be_held_is_refused(kernels):
    with pytest.raises(MalformedPayload):
        kernels.scan("traces", bytes((1 << 30) + 1))


def test_log_records_are_kept_byte_by_byte(kernels):
    records = [LogRecord(severity_text="x" * size).SerializeToString() for size in (0, 1, 122, 123, 130, 20_000)]
    payload = length_delimited(1, length_delimited(2, b"".join(length_delimited(2, record) for record in records)))

    selected = kernels.scan("logs", payload).select(b"\x01\x00\x01\x01\x00\x01")

    kept = b"".join(length_delimited(2, records[index]) for index in (0, 2, 3, 5))
    assert selected.payload == length_delimited(1, length_delimited(2, kept))
