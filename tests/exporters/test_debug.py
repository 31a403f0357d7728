"""The debug exporter shows everything, to a person, on a terminal that stays whole."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2 import ExportProfilesServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, EntityRef, KeyValue, KeyValueList
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
    Exemplar,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from structlog.testing import capture_logs

from airis.component import Kind, Permanent, StartError
from airis.component.testing import FakeHost, ManualClock, build
from airis.data import Batch, Signal
from airis.exporters.debug import DebugExporter

GOLDEN = Path(__file__).parent / "testdata/debug"
START = 1_581_452_772_000_000_321
END = 1_581_452_773_000_000_789
TRACE_ID, SPAN_ID, PARENT_ID = bytes(range(16)), bytes(range(8)), bytes(range(8, 16))


def attribute(key: str, value: AnyValue | str | int) -> KeyValue:
    if isinstance(value, str):
        value = AnyValue(string_value=value)
    elif isinstance(value, int):
        value = AnyValue(int_value=value)
    return KeyValue(key=key, value=value)


def fill_resource(group: Any, scope: Any) -> None:
    group.schema_url = "https://opentelemetry.io/schemas/1.38.0"
    group.resource.attributes.extend([attribute("service.name", "shop"), attribute("host.id", 7)])
    group.resource.dropped_attributes_count = 2
    group.resource.entity_refs.append(EntityRef(type="service", id_keys=["service.name"], description_keys=["v"]))
    scope.schema_url = "https://example.com/scope"
    scope.scope.name, scope.scope.version = "library", "1.2"
    scope.scope.attributes.append(attribute("scope", "yes"))


def traces() -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    scope = group.scope_spans.add()
    fill_resource(group, scope)
    span = scope.spans.add(
        trace_id=TRACE_ID,
        span_id=SPAN_ID,
        parent_span_id=PARENT_ID,
        name="GET /cart",
        kind=2,
        flags=0x101,
        trace_state="ot=th:0",
        start_time_unix_nano=START,
        end_time_unix_nano=END,
        attributes=[attribute("http.route", "/cart"), attribute("http.status", 500)],
        dropped_attributes_count=1,
        dropped_events_count=2,
        dropped_links_count=3,
    )
    span.status.code, span.status.message = Status.STATUS_CODE_ERROR, "boom"
    span.events.add(name="retry", time_unix_nano=START + 1, attributes=[attribute("n", 1)])
    span.links.add(trace_id=TRACE_ID, span_id=PARENT_ID, attributes=[attribute("why", "batch")])
    scope.spans.add(name="empty", kind=99)
    return request


def logs() -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    scope = group.scope_logs.add()
    fill_resource(group, scope)
    items = [AnyValue(bool_value=True), AnyValue(double_value=1.5), AnyValue(), AnyValue(bytes_value=b"\x00\xff")]
    nested = AnyValue(
        kvlist_value=KeyValueList(values=[attribute("list", AnyValue(array_value=ArrayValue(values=items)))])
    )
    scope.log_records.add(
        time_unix_nano=START,
        observed_time_unix_nano=END,
        severity_number=9,
        severity_text="INFO",
        event_name="cart.opened",
        body=nested,
        attributes=[attribute("user", "é")],
        dropped_attributes_count=1,
        trace_id=TRACE_ID,
        span_id=SPAN_ID,
        flags=1,
    )
    scope.log_records.add()
    return request


def metrics() -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    scope = group.scope_metrics.add()
    fill_resource(group, scope)
    common: dict[str, Any] = {
        "start_time_unix_nano": START,
        "time_unix_nano": END,
        "attributes": [attribute("a", "x"), attribute("b", 2)],
    }
    exemplar = Exemplar(time_unix_nano=START, as_double=0.5, trace_id=TRACE_ID, span_id=SPAN_ID)
    exemplar.filtered_attributes.append(attribute("f", "y"))
    gauge = scope.metrics.add(name="temperature", unit="Cel", description="How warm it is")
    gauge.gauge.data_points.add(as_double=21.5, **common)
    gauge.gauge.data_points.add(flags=1)
    total = scope.metrics.add(name="requests", unit="{request}", metadata=[attribute("origin", "test")])
    total.sum.is_monotonic, total.sum.aggregation_temporality = True, AGGREGATION_TEMPORALITY_CUMULATIVE
    total.sum.data_points.add(as_int=42, exemplars=[exemplar], **common)
    histogram = scope.metrics.add(name="latency", unit="s")
    histogram.histogram.aggregation_temporality = AGGREGATION_TEMPORALITY_DELTA
    histogram.histogram.data_points.add(
        count=3,
        sum=1.25,
        min=0.1,
        max=1,
        explicit_bounds=[0.5, 1],
        bucket_counts=[1, 2, 0],
        exemplars=[exemplar],
        **common,
    )
    histogram.histogram.data_points.add(count=0)
    exponential = scope.metrics.add(name="size", unit="By")
    exponential.exponential_histogram.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    point = exponential.exponential_histogram.data_points.add(
        count=6, scale=-1, zero_count=1, zero_threshold=0.5, **common
    )
    point.negative.offset, point.positive.offset = 0, -1
    point.negative.bucket_counts.extend([1, 2])
    point.positive.bucket_counts.extend([3, 4])
    summary = scope.metrics.add(name="old", unit="s")
    old = summary.summary.data_points.add(count=2, sum=3, **common)
    old.quantile_values.add(quantile=0.5, value=1)
    old.quantile_values.add(quantile=0.99, value=float("nan"))
    scope.metrics.add(name="empty")
    return request


def profiles() -> ExportProfilesServiceRequest:
    request = ExportProfilesServiceRequest()
    tables = request.dictionary
    tables.string_table.extend(["", "cpu", "nanoseconds", "thread.name", "main", "work", "work.go", "x" * 101, "s"])
    tables.mapping_table.add()
    tables.mapping_table.add(memory_start=0x400000, memory_limit=0x500000, filename_strindex=6)
    tables.function_table.add()
    tables.function_table.add(name_strindex=5, filename_strindex=6, start_line=10)
    tables.location_table.add()
    tables.location_table.add(mapping_index=1, address=0x401000).lines.add(function_index=1, line=12)
    tables.stack_table.add()
    tables.stack_table.add(location_indices=[1, 1])
    tables.link_table.add()
    tables.link_table.add(trace_id=TRACE_ID, span_id=SPAN_ID)
    tables.attribute_table.add()
    tables.attribute_table.add(key_strindex=3, value=AnyValue(string_value_strindex=4))
    tables.attribute_table.add(key_strindex=7, value=AnyValue(int_value=3), unit_strindex=8)
    nested = ArrayValue(values=[AnyValue(bool_value=True)])
    tables.attribute_table.add(key_strindex=99, value=AnyValue(array_value=nested))
    group = request.resource_profiles.add()
    scope = group.scope_profiles.add()
    fill_resource(group, scope)
    profile = scope.profiles.add(
        profile_id=TRACE_ID,
        time_unix_nano=START,
        duration_nano=1_000_000,
        period=10,
        dropped_attributes_count=1,
        original_payload_format="pprof",
        original_payload=b"12345",
        attribute_indices=[1, 2, 3, 0, -1, 2**31 - 1],
    )
    profile.sample_type.type_strindex, profile.sample_type.unit_strindex = 1, 2
    profile.period_type.type_strindex = -5
    profile.samples.add(stack_index=1, values=[7], timestamps_unix_nano=[START], attribute_indices=[1], link_index=1)
    profile.samples.add(stack_index=77, link_index=-1)
    scope.profiles.add()
    return request


REQUESTS: dict[Signal, tuple[Callable[[], Message], int]] = {
    Signal.TRACES: (traces, 2),
    Signal.METRICS: (metrics, 7),
    Signal.LOGS: (logs, 2),
    Signal.PROFILES: (profiles, 2),
}


def batch_of(signal: Signal, request: Message | None = None) -> Batch:
    make, items = REQUESTS[signal]
    return Batch(signal, (request or make()).SerializeToString(), items)


async def shown(batch: Batch, monkeypatch: pytest.MonkeyPatch, **options: Any) -> str:
    """What is written to stdout."""
    stdout = io.StringIO()
    monkeypatch.setattr("sys.stdout", stdout)
    exporter = build("debug", {"use_internal_logger": False, **options}, kind=Kind.EXPORTER)
    await exporter.start(FakeHost(Path()))
    await exporter.consume(batch)
    await exporter.shutdown()
    return stdout.getvalue()


@pytest.mark.parametrize("verbosity", ["basic", "normal", "detailed"])
@pytest.mark.parametrize("signal", REQUESTS)
async def test_shows_what_the_golden_file_shows(
    signal: Signal, verbosity: str, monkeypatch: pytest.MonkeyPatch, golden: Callable[[Path, str], None]
) -> None:
    text = await shown(batch_of(signal), monkeypatch, verbosity=verbosity)

    golden(GOLDEN / f"{signal}.{verbosity}.txt", text)


@pytest.mark.parametrize(
    "hostile", ["\x1b[2Jgone", "\x9b31m", "two\nlines", "bell\a", "\u202egnorw", "\u2028", "\x7f"], ids=ascii
)
@pytest.mark.parametrize("verbosity", ["normal", "detailed"])
async def test_no_control_character_reaches_the_terminal(
    hostile: str, verbosity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add(schema_url=hostile)
    group.resource.attributes.append(attribute(hostile, hostile))
    scope = group.scope_spans.add(schema_url=hostile)
    scope.scope.name = scope.scope.version = hostile
    span = scope.spans.add(name=hostile, trace_state=hostile, attributes=[attribute(hostile, hostile)])
    span.status.message = hostile
    span.events.add(name=hostile)
    nested = AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=hostile)]))
    span.attributes.append(attribute("nested", nested))

    text = await shown(batch_of(Signal.TRACES, request), monkeypatch, verbosity=verbosity)

    assert all(line.isprintable() for line in text.split("\n"))
    assert hostile.encode("unicode_escape").decode() in text


@pytest.mark.parametrize("verbosity", ["normal", "detailed"])
async def test_nothing_that_profiles_refer_to_reaches_the_terminal_unescaped(
    verbosity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = profiles()
    hostile = "\x1b[2Jgone"
    request.dictionary.string_table[:] = [hostile] * 9
    request.resource_profiles[0].scope_profiles[0].profiles[0].original_payload_format = hostile

    text = await shown(batch_of(Signal.PROFILES, request), monkeypatch, verbosity=verbosity)

    assert all(line.isprintable() for line in text.split("\n"))
    assert "\\x1b[2Jgone" in text


async def test_references_without_end_make_no_text_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    request = ExportProfilesServiceRequest()
    request.dictionary.string_table.extend(["", "x" * 1_000_000])
    request.dictionary.attribute_table.add()
    request.dictionary.attribute_table.add(key_strindex=1).value.string_value = "y" * 1_000_000
    scope = request.resource_profiles.add().scope_profiles.add()
    for _ in range(100):
        scope.profiles.add(attribute_indices=[1] * 1000).sample_type.type_strindex = 1

    text = await shown(batch_of(Signal.PROFILES, request), monkeypatch, verbosity="normal")

    assert len(text) < 1_000_000


@pytest.mark.parametrize("scale", [-(2**31), 2**31 - 1], ids=["coarsest", "finest"])
async def test_no_exponential_histogram_is_too_strange_to_show(scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    request = ExportMetricsServiceRequest()
    point = request.resource_metrics.add().scope_metrics.add().metrics.add().exponential_histogram.data_points.add()
    point.scale, point.positive.offset, point.negative.offset = scale, 2**31 - 1, -(2**31)
    point.positive.bucket_counts.append(1)
    point.negative.bucket_counts.append(1)

    assert "Count: 1" in await shown(batch_of(Signal.METRICS, request), monkeypatch, verbosity="detailed")


async def test_the_internal_log_gets_counts_as_fields_and_an_event_for_each_line() -> None:
    exporter = build("debug", {"verbosity": "normal"}, kind=Kind.EXPORTER)
    await exporter.start(FakeHost(Path()))

    with capture_logs() as events:
        await exporter.consume(batch_of(Signal.TRACES))

    first, *lines = events
    assert (first["event"], first["resource_spans"], first["spans"]) == ("traces", 1, 2)
    assert (first["log_level"], first["exporter"]) == ("info", "debug")
    assert len(lines) == 4
    assert lines[2]["event"].startswith("GET /cart")


@pytest.mark.parametrize(
    ("initial", "thereafter", "expected"),
    [(2, 1, [1, 2, 3, 4, 5, 6, 7]), (2, 3, [1, 2, 5]), (2, 0, [1, 2]), (0, 2, [2, 4, 6])],
    ids=["all", "every third", "none after the first", "every second from the start"],
)
async def test_samples_within_each_second(initial: int, thereafter: int, expected: list[int]) -> None:
    clock = ManualClock()
    options = {"sampling_initial": initial, "sampling_thereafter": thereafter}
    exporter: DebugExporter = build("debug", options, kind=Kind.EXPORTER, clock=clock)

    for _second in range(2):
        taken: list[int] = []
        for number in range(1, 8):
            with capture_logs() as events:
                await exporter.consume(batch_of(Signal.LOGS))
            taken += [number] if events else []
        assert taken == expected
        await clock.advance(1)


async def test_writes_to_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.txt"
    path.write_text("before\n")

    on_screen = await shown(batch_of(Signal.LOGS), monkeypatch, output_paths=["stdout", str(path)])

    assert path.read_text() == "before\n" + on_screen
    assert on_screen == 'logs {"resource_logs": 1, "log_records": 2}\n'


async def test_a_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    options = {"use_internal_logger": False, "output_paths": [str(tmp_path)]}
    exporter = build("debug", options, kind=Kind.EXPORTER)

    with pytest.raises(StartError, match="output_paths: cannot append to"):
        await exporter.start(FakeHost(tmp_path))
    await exporter.shutdown()


async def test_what_cannot_be_read_is_permanent() -> None:
    exporter = build("debug", kind=Kind.EXPORTER)

    with pytest.raises(Permanent):
        await exporter.consume(Batch(Signal.TRACES, struct.pack("BB", 0x0A, 0x7F), 1))


async def test_nop_acknowledges_everything() -> None:
    exporter = build("nop", kind=Kind.EXPORTER)
    await exporter.start(FakeHost(Path()))

    await exporter.consume(Batch(Signal.TRACES, b"anything", 1))

    await exporter.shutdown()
