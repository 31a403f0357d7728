"""Payloads cut and joined: nothing lost, order kept, every part whole in itself."""

from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2 import ExportProfilesServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from airis.data import Batch, Origin, Signal, join
from airis.data.malformed import MalformedPayload
from airis.proto.wire import length_delimited


def traces() -> ExportTraceServiceRequest:
    """Seven spans: three in two scopes of one resource, four in another resource."""
    request = ExportTraceServiceRequest()
    for resource, scopes in (("r1", (("s1", 2), ("s2", 1))), ("r2", (("s3", 4),))):
        owner = request.resource_spans.add(schema_url=f"https://{resource}")
        owner.resource.attributes.add(key="name").value.string_value = resource
        for scope, count in scopes:
            scoped = owner.scope_spans.add(schema_url=f"https://{scope}")
            scoped.scope.name = scope
            scoped.spans.extend(Span(name=f"{scope}-{number}") for number in range(count))
    return request


def metrics() -> ExportMetricsServiceRequest:
    """Six points of three metrics."""
    request = ExportMetricsServiceRequest()
    scoped = request.resource_metrics.add().scope_metrics.add()
    gauge = scoped.metrics.add(name="gauge", unit="s")
    total = scoped.metrics.add(name="total", description="d")
    total.sum.is_monotonic = True
    total.sum.aggregation_temporality = 2  # type: ignore[assignment]
    for number in range(3):
        gauge.gauge.data_points.add(as_int=number)
        total.sum.data_points.add(as_int=10 + number)
    scoped.metrics.add(name="empty").summary.SetInParent()
    return request


def logs() -> ExportLogsServiceRequest:
    """Three log records."""
    request = ExportLogsServiceRequest()
    scoped = request.resource_logs.add().scope_logs.add()
    for number in range(3):
        scoped.log_records.add(severity_text=str(number))
    return request


def flat(signal: str, payload: bytes) -> list[Any]:
    """Every item with all that owns it."""
    if signal == "traces":
        return [
            (owner.resource, owner.schema_url, scoped.scope, scoped.schema_url, span)
            for owner in ExportTraceServiceRequest.FromString(payload).resource_spans
            for scoped in owner.scope_spans
            for span in scoped.spans
        ]
    if signal == "logs":
        return [
            record
            for owner in ExportLogsServiceRequest.FromString(payload).resource_logs
            for scoped in owner.scope_logs
            for record in scoped.log_records
        ]
    return [
        (metric.name, metric.unit, metric.description, metric.sum.is_monotonic, kind, point)
        for owner in ExportMetricsServiceRequest.FromString(payload).resource_metrics
        for scoped in owner.scope_metrics
        for metric in scoped.metrics
        for kind in [metric.WhichOneof("data")]
        for point in getattr(metric, kind).data_points
    ]


REQUESTS = {"traces": traces(), "metrics": metrics(), "logs": logs()}


@pytest.mark.parametrize("max_items", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("signal", REQUESTS)
def test_parts_have_all_items_in_order_with_their_owners(kernels, signal, max_items):
    payload = REQUESTS[signal].SerializeToString()
    total = kernels.count_items(signal, payload)

    parts = kernels.split(signal, payload, max_items)

    counts = [kernels.count_items(signal, part) for part in parts]
    assert sum(counts) == total
    assert counts == [max_items] * (total // max_items) + ([total % max_items] if total % max_items else [])
    assert [item for part in parts for item in flat(signal, part)] == flat(signal, payload)


@pytest.mark.parametrize("max_items", [7, 8, 1 << 40])
def test_a_payload_that_is_small_enough_is_the_same_object(kernels, max_items):
    payload = traces().SerializeToString()

    [part] = kernels.split("traces", payload, max_items)

    assert part is payload


def test_what_is_not_known_is_repeated_with_the_owner_and_kept_with_the_item(kernels):
    unknown = length_delimited(99, b"\xff")
    scope = ScopeSpans(spans=[Span(name="a"), Span(name="b")]).SerializeToString()
    owner = ResourceSpans(schema_url="u").SerializeToString() + unknown + length_delimited(2, scope)
    payload = length_delimited(1, owner) + unknown

    first, second = kernels.split("traces", payload, 1)

    assert (first.count(unknown), second.count(unknown)) == (2, 2)
    assert b"".join(part for part in (first, second)).count(b"\x2a\x01a") == 1


def test_owners_without_items_are_kept_once(kernels):
    request = traces()
    request.resource_spans.insert(1, ResourceSpans(schema_url="https://empty"))
    payload = request.SerializeToString()

    parts = kernels.split("traces", payload, 2)

    assert b"".join(parts).count(b"https://empty") == 1
    assert [item for part in parts for item in flat("traces", part)] == flat("traces", payload)


def test_points_that_another_kind_of_data_replaced_do_not_come_back(kernels):
    metric = b"".join(length_delimited(number, length_delimited(1, b"") * 2) for number in (5, 7))
    payload = length_delimited(1, length_delimited(2, length_delimited(2, metric)))

    parts = kernels.split("metrics", payload, 1)

    assert [kernels.count_items("metrics", part) for part in parts] == [1, 1]
    assert all(b"\x2a" not in part for part in parts)


def whole_units(signal: str, payload: bytes) -> dict[str, list[int]]:
    """The numbers of items in the resources, scopes, metrics and in the items of a request, in order."""
    counts = {
        "traces": {"resource": [3, 4], "scope": [2, 1, 4], "item": [1] * 7},
        "metrics": {"resource": [6], "scope": [6], "metric": [3, 3, 0], "item": [1] * 6},
        "logs": {"resource": [3], "scope": [3], "item": [1] * 3},
    }[signal]
    assert all(sum(numbers) == len(flat(signal, payload)) for numbers in counts.values())
    return counts


def grouped(numbers: list[int], most: int) -> list[int]:
    """Numbers in a row added up as far as they are not more than the most."""
    sums: list[int] = []
    for number in numbers:
        if sums and (number == 0 or sums[-1] + number <= most):
            sums[-1] += number
        else:
            sums.append(number)
    return sums


@pytest.mark.parametrize("max_items", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("level", ["resource", "scope", "metric", "item"])
@pytest.mark.parametrize("signal", REQUESTS)
def test_what_stands_at_the_level_is_never_cut(kernels, signal, level, max_items):
    payload = REQUESTS[signal].SerializeToString()
    units = whole_units(signal, payload)
    if level not in units:
        with pytest.raises(ValueError, match=f"{signal} have no level {level}"):
            kernels.split(signal, payload, max_items, level=level)
        return

    parts = kernels.split(signal, payload, max_items, level=level)

    assert [kernels.count_items(signal, part) for part in parts] == grouped(units[level], max_items)
    assert [item for part in parts for item in flat(signal, part)] == flat(signal, payload)


@pytest.mark.parametrize("max_bytes", [1, 40, 80, 81, 82, 83, 84, 85, 120, 160, 200, 100_000])
@pytest.mark.parametrize("signal", REQUESTS)
def test_parts_are_as_large_as_the_bytes_allow(kernels, signal, max_bytes):
    payload = REQUESTS[signal].SerializeToString()
    total = kernels.count_items(signal, payload)

    parts = kernels.split(signal, payload, max_bytes=max_bytes)

    counts = [kernels.count_items(signal, part) for part in parts]
    assert [item for part in parts for item in flat(signal, part)] == flat(signal, payload)
    assert all(count == 1 or len(part) <= max_bytes for count, part in zip(counts, parts, strict=True) if count)
    # None has room for the next item: the items before it, and one more, are more bytes.
    for index, count in enumerate(counts):
        before = sum(counts[:index])
        mask = bytes(before <= item <= before + count for item in range(total))
        assert before + count == total or kernels.scan(signal, payload).select(mask).size_bytes > max_bytes


def test_an_item_that_is_too_large_is_alone_and_whole(kernels):
    request = logs()
    request.resource_logs[0].scope_logs[0].log_records[1].severity_text = "x" * 500

    parts = kernels.split("logs", request.SerializeToString(), max_bytes=100)

    assert [[record.severity_text for record in flat("logs", part)] for part in parts] == [["0"], ["x" * 500], ["2"]]


def test_both_limits_hold(kernels):
    payload = traces().SerializeToString()
    first = kernels.split("traces", payload, max_items=2)[0]

    for max_bytes, items in ((len(first), 2), (len(first) - 1, 1)):
        part = kernels.split("traces", payload, 2, max_bytes)[0]
        assert kernels.count_items("traces", part) == items


def test_a_view_is_cut_like_its_payload(kernels):
    payload = metrics().SerializeToString()
    view = kernels.scan("metrics", payload)

    for limits in ((2,), (4, 60), (None, 70, "metric"), (1, None, "metric")):
        parts = view.split(*limits)
        assert [part.payload for part in parts] == kernels.split("metrics", payload, *limits)
        assert [part.items for part in parts] == [kernels.count_items("metrics", part.payload) for part in parts]


def test_a_temporality_that_comes_behind_its_points_goes_with_all_of_them(kernels):
    parts_of_sum = (length_delimited(1, b"") * 2, b"\x10\x02")
    metric = b"".join(length_delimited(7, part) for part in parts_of_sum)
    payload = length_delimited(1, length_delimited(2, length_delimited(2, metric)))

    parts = kernels.split("metrics", payload, 1)

    found = [ExportMetricsServiceRequest.FromString(part).resource_metrics[0].scope_metrics[0] for part in parts]
    assert [scoped.metrics[0].sum.aggregation_temporality for scoped in found] == [2, 2]


def test_what_would_be_repeated_without_end_is_refused(kernels):
    request = ExportTraceServiceRequest()
    owner = request.resource_spans.add(schema_url="x" * (1 << 20))
    owner.scope_spans.add().spans.extend(Span() for _ in range(258))

    with pytest.raises(MalformedPayload, match="repeated to more than 256 MiB"):
        kernels.split("traces", request.SerializeToString(), 1)


@pytest.mark.parametrize("payload", [b"", length_delimited(99, b"x" * 9)], ids=["nothing", "nothing known"])
def test_where_there_are_no_items_there_is_one_part(kernels, payload):
    [part] = kernels.split("traces", payload, 1, 1)

    assert part is payload


def test_what_is_longer_than_it_must_be_is_written_anew_to_be_within_the_limit(kernels):
    owner = length_delimited(2, length_delimited(2, Span(name="a").SerializeToString()) * 2)
    payload = b"\x0a" + bytes([len(owner) | 0x80, 0]) + owner

    [part] = kernels.split("traces", payload, max_bytes=len(payload) - 1)

    assert len(part) <= len(payload) - 1
    assert flat("traces", part) == flat("traces", payload)


@pytest.mark.parametrize("limit", [0, -1])
@pytest.mark.parametrize("name", ["max_items", "max_bytes"])
def test_parts_of_nothing_are_refused(kernels, name, limit):
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        kernels.split("traces", b"", **{name: limit})
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        kernels.scan("traces", b"").split(**{name: limit})


def profiles(*samples: int, table: str = "s") -> bytes:
    """Profiles with so many samples each, in a scope each, behind the table that they refer to."""
    request = ExportProfilesServiceRequest()
    request.dictionary.string_table.extend(["", table])
    owner = request.resource_profiles.add(schema_url="u")
    for number, count in enumerate(samples):
        profile = owner.scope_profiles.add().profiles.add(period=number)
        for _ in range(count):
            profile.samples.add(stack_index=1)
    return request.SerializeToString()


@pytest.mark.parametrize(
    ("samples", "max_items", "counts"),
    [
        ((1, 1, 1), 2, [2, 1]),
        ((2, 1, 2), 3, [3, 2]),
        ((2, 2, 2), 3, [2, 2, 2]),
        ((5, 1, 1), 3, [5, 2]),
        ((1, 5, 1), 3, [1, 5, 1]),
        ((0, 0, 2, 0, 2, 0), 2, [2, 2]),
        ((4, 4), 8, [8]),
        ((9,), 3, [9]),
    ],
)
def test_profiles_are_never_cut_and_every_part_has_the_tables(kernels, samples, max_items, counts):
    payload = profiles(*samples)

    parts = kernels.split("profiles", payload, max_items)

    assert [kernels.count_items("profiles", part) for part in parts] == counts
    whole = ExportProfilesServiceRequest.FromString(payload)
    read = [ExportProfilesServiceRequest.FromString(part) for part in parts]
    assert all(part.dictionary == whole.dictionary for part in read)
    found = [
        profile
        for part in read
        for owner in part.resource_profiles
        for scoped in owner.scope_profiles
        for profile in scoped.profiles
    ]
    assert [(profile.period, len(profile.samples)) for profile in found] == list(enumerate(samples))


@pytest.mark.parametrize(("count", "is_split"), [(15, True), (17, False)])
def test_tables_are_not_repeated_without_end(kernels, count, is_split):
    payload = profiles(*[1] * count, table="x" * (16 * 1024 * 1024))

    if is_split:
        assert len(kernels.split("profiles", payload, 1)) == count
    else:
        with pytest.raises(MalformedPayload, match="what owns the items would be repeated to more than 256 MiB"):
            kernels.split("profiles", payload, 1)


def test_a_malformed_payload_is_refused(kernels):
    with pytest.raises(MalformedPayload):
        kernels.split("traces", b"\x0a\x05", 1)


def test_joining_batches_is_joining_bytes(kernels):
    origin = Origin(receiver="otlp", tenant="t")
    batches = [
        Batch(Signal.TRACES, payload, kernels.count_items("traces", payload), origin, arrived)
        for arrived, payload in enumerate(kernels.split("traces", traces().SerializeToString(), 3), start=5)
    ]

    joined = join(reversed(batches))

    assert joined.payload == b"".join(batch.payload for batch in reversed(batches))
    assert joined.items == 7 == kernels.validate("traces", joined.payload)[1]
    assert (joined.origin, joined.arrived_unix_nano) == (origin, 5)
    assert joined.id not in {batch.id for batch in batches}
    assert join(batches[:1]) is batches[0]


def test_batches_of_profiles_are_not_joined():
    batches = [Batch(Signal.PROFILES, profiles(1), 1), Batch(Signal.PROFILES, profiles(2), 2)]

    with pytest.raises(ValueError, match="batches of profiles cannot be joined"):
        join(batches)
    assert join(batches[:1]) is batches[0]


def test_batches_of_different_signals_are_not_joined():
    with pytest.raises(ValueError, match="different signals"):
        join([Batch(Signal.TRACES, b"", 0), Batch(Signal.LOGS, b"", 0)])
