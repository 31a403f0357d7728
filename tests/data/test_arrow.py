"""Items as Arrow tables: what columns hold, what becomes of what is odd or hostile, and whose memory it is."""

import ctypes
import gc
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from airis.data.arrow import TABLES, Column
from airis.data.expressions import InvalidExpression
from airis.data.fields import Attribute, Field
from airis.data.layout import TABLES as STORE_TABLES
from airis.data.malformed import MalformedPayload
from airis.data.reference.values import encode_value
from airis.proto.wire import length_delimited

from .test_fields import CASES, EXPONENTIAL, GAUGE, HISTOGRAM, LOGS, SPAN, SPANS, SUM, SUMMARY, TRACE
from .test_view import SPANS as STORED_SPANS
from .test_view import START, any_value, attributes, logs, rows, traces

SIGNALS = ("traces", "metrics", "logs")
NAME = Field("item", "name")
TIME = pa.timestamp("ns", "UTC")


def read(kernels: Any, signal: str, payload: bytes, columns: Any = None) -> Any:
    """The table as pyarrow has it, after all in it was checked."""
    arrow = kernels.scan(signal, payload).arrow(columns)
    table = pa.table(arrow)
    table.validate(full=True)
    assert table.schema.equals(pa.schema(arrow), check_metadata=True)
    return table


def column(kernels: Any, signal: str, payload: bytes, asked: Any) -> Any:
    return read(kernels, signal, payload, {"asked": asked})["asked"]


def in_numbers(kind: Any) -> Any:
    """The same type with numbers for times: Python has none with nanoseconds."""
    if pa.types.is_list(kind):
        return pa.list_(in_numbers(kind.value_type))
    return pa.int64() if kind == TIME else kind


def of_attribute(kernels: Any, values: list[Any], *, kind: Any = None, words: tuple[str, ...] = ()) -> list[Any]:
    """A column of the attribute ``a`` of one span for each value; one without it for an ellipsis."""
    spans = [Span(attributes=[] if value is ... else attributes(a=value)) for value in values]
    return column(kernels, "traces", traces(*spans), Column(Attribute("item", "a"), kind, words)).to_pylist()


@pytest.mark.parametrize(("signal", "payload", "source", "expected"), CASES)
def test_a_column_has_what_the_source_has(kernels, signal, payload, source, expected):
    found = column(kernels, signal, payload, source)
    is_list = source.level in ("event", "link", "exemplar")
    kind = found.type.value_type if is_list else found.type
    if pa.types.is_timestamp(kind):
        assert kind == TIME
        expected = expected if expected < 1 << 63 else None
    elif pa.types.is_binary(kind):
        expected = bytes.fromhex(expected)
    elif pa.types.is_dictionary(kind) or kind == pa.string():
        expected = None if expected is None else encode_value(any_value(expected))[0]
    (value,) = found.cast(in_numbers(found.type)).to_pylist()
    assert expected in (value if is_list else [value])


VALUES = ["x", "", "7", 7, -7, 0, 1 << 62, 2.5, True, b"\xff", ["x", 1], {"k": 1, "l": "m"}, None, ...]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "text",
            [
                *("x", "", "7", "7", "-7", "0", str(1 << 62), "2.5", "true", "/w==", '["x",1]', '{"k":1,"l":"m"}'),
                *("", None),
            ],
        ),
        ("bool", [*[None] * 8, True, *[None] * 5]),
        ("int32", [*[None] * 3, 7, -7, 0, *[None] * 8]),
        ("uint32", [*[None] * 3, 7, None, 0, *[None] * 8]),
        ("int64", [*[None] * 3, 7, -7, 0, 1 << 62, *[None] * 7]),
        ("uint64", [*[None] * 3, 7, None, 0, 1 << 62, *[None] * 7]),
        ("float64", [*[None] * 3, 7.0, -7.0, 0.0, float(1 << 62), 2.5, *[None] * 6]),
        ("binary", [*[None] * 9, b"\xff", *[None] * 4]),
        ("map", [*[None] * 11, [("k", "1"), ("l", "m")], None, None]),
    ],
)
def test_an_attribute_of_several_types_is_null_where_it_is_of_another_one(kernels, kind, expected):
    assert of_attribute(kernels, VALUES, kind=kind) == expected


def test_without_a_type_an_attribute_is_its_text_and_one_in_common_is_there_once(kernels):
    assert of_attribute(kernels, VALUES) == of_attribute(kernels, VALUES, kind="text")
    assert of_attribute(kernels, VALUES, kind="dictionary") == of_attribute(kernels, VALUES, kind="text")
    found = column(kernels, "traces", traces(*[Span()] * 100), Attribute("resource", "service.name"))
    assert found.type == pa.dictionary(pa.int32(), pa.string())
    assert found.to_pylist() == ["shop"] * 100
    assert set(found.chunk(0).dictionary.to_pylist()) <= {"", "shop"}


def test_times_that_are_not_known_or_not_to_be_told_are_null_and_whole_numbers_have_them(kernels):
    times = [0, 1, START, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
    payload = traces(*[Span(start_time_unix_nano=time) for time in times])
    found = column(kernels, "traces", payload, Field("item", "start_time"))
    assert found.cast(pa.int64()).to_pylist() == [None, 1, START, (1 << 63) - 1, None, None]
    assert column(kernels, "traces", payload, Field("item", "start_time_unix_nano")).to_pylist() == times
    whole = Column(Field("item", "start_time"), "int64")
    assert column(kernels, "traces", payload, whole).to_pylist() == [0, 1, START, (1 << 63) - 1, None, None]


def test_numbers_have_words_as_far_as_there_are_words(kernels):
    found = of_attribute(kernels, [0, 1, 2, -1, "1", 1.0], kind="dictionary", words=("none", "one"))
    assert found == ["none", "one", "2", "-1", "1", "1"]


def test_ids_are_bytes_and_their_digits_texts(kernels):
    payload = traces(Span(trace_id=TRACE, span_id=SPAN), Span(trace_id=b"\xff"), Span())
    asked = {name: Field("item", name) for name in ("trace_id", "trace_id.string", "span_id")}
    assert read(kernels, "traces", payload, asked).to_pydict() == {
        "trace_id": [TRACE, b"\xff", b""],
        "trace_id.string": [TRACE.hex(), "ff", ""],
        "span_id": [SPAN, b"", b""],
    }


def test_of_what_an_item_has_several_a_column_is_of_lists(kernels):
    payload = traces(
        Span(events=[Span.Event(name="a", attributes=attributes(n=1)), Span.Event(time_unix_nano=5)]),
        Span(),
        Span(events=[Span.Event(name="b")]),
    )
    asked = {
        "name": Column(Field("event", "name"), "dictionary"),
        "n": Column(Attribute("event", "n"), "int64"),
        "all": Field("event", "attributes"),
    }
    assert read(kernels, "traces", payload, asked).to_pydict() == {
        "name": [["a", ""], [], ["b"]],
        "n": [[1, None], [], [None]],
        "all": [[[("n", "1")], []], [], [[]]],
    }


def test_what_a_kind_of_point_does_not_have_is_null_and_lists_are_whole(kernels):
    asked = {name: Field("item", name) for name in ("bucket_counts", "explicit_bounds", "quantile_values")}
    nothing: dict[str, Any] = dict.fromkeys(asked)
    for payload, expected in [
        (GAUGE, {}),
        (HISTOGRAM, {"bucket_counts": [1, (1 << 64) - 1], "explicit_bounds": [0.5]}),
        (SUMMARY, {"quantile_values": [{"quantile": 0.5, "value": 7.0}]}),
    ]:
        assert read(kernels, "metrics", payload, asked).to_pylist() == [nothing | expected]


def test_of_entries_with_the_same_key_a_map_has_the_first(kernels):
    few = [*attributes(a=1, b=2), *attributes(a=3, c=4, b=5)]
    many = [attribute for n in (*range(100), *range(50, 150)) for attribute in attributes(**{f"k{n}": n})]
    payload = traces(Span(attributes=few), Span(attributes=few), Span(attributes=many), Span(attributes=few[:2]))
    found = column(kernels, "traces", payload, Field("item", "attributes")).to_pylist()
    expected = [("a", "1"), ("b", "2"), ("c", "4")]
    assert found == [expected, expected, [(f"k{n}", str(n)) for n in range(150)], expected[:2]]


def store_type(kind: Any) -> set[str]:
    """The ClickHouse types that an Arrow type is."""
    if pa.types.is_map(kind):
        return {"Map(LowCardinality(String), String)"}
    if pa.types.is_list(kind):
        return {f"Array({inner})" for inner in store_type(kind.value_type)}
    if kind in (pa.string(), pa.dictionary(pa.int32(), pa.string())):
        return {"String", "LowCardinality(String)"}
    return {
        {"timestamp[ns, tz=UTC]": "DateTime64(9)", "uint32": "UInt32", "int32": "Int32", "int64": "UInt64"}[str(kind)]
    }


@pytest.mark.parametrize(
    ("signal", "table", "payload"),
    [("traces", "otel_traces", traces(STORED_SPANS["a full span"][0])), ("logs", "otel_logs", LOGS)],
)
def test_without_columns_there_are_those_of_the_store_with_what_the_store_gets(kernels, signal, table, payload):
    found = read(kernels, signal, payload)
    stored = dict(STORE_TABLES[table])
    for field in found.schema:
        assert stored[field.name] in store_type(field.type), field.name
    (row,) = rows(kernels, signal, payload)[table]
    for name in found.column_names:
        assert found[name].cast(in_numbers(found[name].type)).to_pylist() == [row[name]], name


def test_points_of_all_kinds_are_in_one_table(kernels):
    kinds = ["gauge", "sum", "histogram", "exponential_histogram", "summary"]
    view = kernels.concat(
        [kernels.scan("metrics", payload) for payload in (GAUGE, SUM, HISTOGRAM, EXPONENTIAL, SUMMARY)]
    )
    table = pa.table(view.arrow())
    table.validate(full=True)
    assert table["MetricType"].to_pylist() == kinds
    assert table["ValueDouble"].to_pylist() == [1.5, None, None, None, None]
    assert table["Count"].to_pylist() == [None, None, 3, 9, 5]
    assert table.column_names == list(TABLES["metrics"])


@given(st.integers(0, (1 << 64) - 1))
@settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("signal", SIGNALS)
def test_texts_are_those_that_the_view_gives_one_by_one(kernels, generator, signal, seed):
    view = kernels.scan(signal, kernels.validate(signal, generator(seed, not_utf8=0.1).request(signal))[0])
    asked = [(key, level) for key in ("a", "service.name", "absent") for level in ("resource", "scope", "item")]
    columns = {
        f"{kind} {level} {key}": Column(Attribute(level, key), kind)
        for key, level in asked
        for kind in ("text", "dictionary")
    }
    table = pa.table(view.arrow(columns))
    table.validate(full=True)
    for key, level in asked:
        expected = view.attribute(key, level)
        assert table[f"text {level} {key}"].to_pylist() == expected
        assert table[f"dictionary {level} {key}"].to_pylist() == expected


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("payload", [b"", length_delimited(1, length_delimited(2, b""))], ids=["nothing", "no items"])
def test_without_items_there_is_a_table_without_rows(kernels, signal, payload):
    table = read(kernels, signal, payload)
    assert (table.num_rows, table.column_names) == (0, list(TABLES[signal]))


def test_views_that_were_made_of_others_have_tables_too(kernels):
    view = kernels.scan("logs", logs(*[LogRecord(severity_text=text) for text in "abcd"]))
    made = kernels.concat([view.select(b"\0\1\0\1"), view.select(b"\1\0\0\0")])
    assert pa.table(made.arrow({"s": Field("item", "severity_text")}))["s"].to_pylist() == ["b", "d", "a"]


@pytest.mark.parametrize("kind", ["text", "dictionary"])
def test_texts_are_utf8_even_where_a_view_was_rewritten_to_others(kernels, kind):
    halves = iter("ü".encode())

    def rewritten() -> Any:
        return view.rewrite(lambda name, span: length_delimited(5, bytes([next(halves)])), ["item"])

    view = kernels.scan("traces", traces(Span(), Span()))
    if kernels.__name__ == "airis.data.reference":
        with pytest.raises(MalformedPayload, match="UTF-8"):
            rewritten()
        return
    table = pa.table(rewritten().arrow({"name": Column(NAME, kind), "all": Field("scope", "attributes")}))
    table.validate(full=True)
    assert table["name"].to_pylist() == ["\ufffd", "\ufffd"]


def test_what_would_repeat_much_is_refused_unless_it_is_there_once(kernels):
    request = ExportTraceServiceRequest()
    owner = request.resource_spans.add()
    owner.resource.attributes.extend(attributes(large="x" * (2 << 20)))
    owner.scope_spans.add(spans=[Span()] * 600)
    view = kernels.scan("traces", request.SerializeToString())
    large = Attribute("resource", "large")
    for asked in (Column(large, "text"), Field("resource", "attributes")):
        with pytest.raises(MalformedPayload, match="the texts or lists of a column would be larger than 1 GiB"):
            pa.table(view.arrow({"large": asked}))
    assert pa.table(view.arrow({"large": large}))["large"].chunk(0).nbytes < 8 << 20


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "a table without columns"),
        ({"a\0b": NAME}, "NUL"),
        ({"a": Field("item", "nam")}, 'no field of item is called "nam"'),
        ({"a": Field("metric", "name")}, "items of traces have no metric"),
        ({"a": Column(NAME, "int64")}, "column \"a\" cannot be of type 'int64', but of text, dictionary"),
        ({"a": Column(NAME, "utf8")}, "column \"a\" cannot be of type 'utf8', but of text, dictionary, bool"),
        ({"a": Column(Field("item", "duration"), "map")}, "cannot be of type 'map', but of int64"),
        ({"a": Column(Attribute("item", "a"), "uint64_list")}, "cannot be of type 'uint64_list'"),
    ],
)
def test_columns_that_there_cannot_be_are_refused_at_once(kernels, columns, message):
    with pytest.raises(InvalidExpression) as refused:
        kernels.scan("traces", SPANS).arrow(columns)
    assert message in str(refused.value)


def test_a_name_that_is_no_text_is_refused_and_any_other_is_taken(kernels):
    with pytest.raises(UnicodeEncodeError):
        pa.table(kernels.scan("traces", SPANS).arrow({"\ud800": NAME}))
    assert read(kernels, "traces", SPANS, {"": NAME, "ü \n": NAME}).column_names == ["", "ü \n"]


def test_a_table_may_be_read_as_often_as_wanted_and_a_stream_once(kernels):
    arrow = kernels.scan("traces", SPANS).arrow({"name": NAME})
    assert pa.table(arrow) == pa.table(arrow)
    capsule = arrow.__arrow_c_stream__(None)
    assert pa.RecordBatchReader._import_from_c_capsule(capsule).read_all() == pa.table(arrow)
    with pytest.raises(pa.ArrowInvalid):
        pa.RecordBatchReader._import_from_c_capsule(capsule)


def test_what_was_read_outlives_the_view_the_stream_and_the_payload(kernels):
    payload = bytes(bytearray(traces(*[Span(name=f"span {n}", attributes=attributes(n=n)) for n in range(1000)])))
    before = sys.getrefcount(payload)
    view = kernels.scan("traces", payload)
    arrow = view.arrow({"name": NAME, "all": Field("item", "attributes")})
    del view
    reader = pa.RecordBatchReader.from_stream(arrow)
    del arrow
    batch = reader.read_next_batch()
    with pytest.raises(StopIteration):
        reader.read_next_batch()
    del reader
    names = batch.column(0)
    del batch
    gc.collect()
    assert sys.getrefcount(payload) == before
    assert names.to_pylist() == [f"span {n}" for n in range(1000)]


def test_a_table_may_be_read_and_freed_by_another_thread(kernels):
    found: list[Any] = []
    arrow = kernels.scan("traces", SPANS).arrow({"name": NAME})
    capsule = arrow.__arrow_c_stream__()
    thread = threading.Thread(
        target=lambda: found.append(pa.RecordBatchReader._import_from_c_capsule(capsule).read_all())
    )
    thread.start()
    thread.join()
    assert found[0]["name"].to_pylist() == ["GET /"]


class Structure(ctypes.Structure):
    """A stream as C has it: the last two members are `release` and `private_data`."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("get_schema", "get_next", "get_last_error", "release", "private")]


def structure(capsule: Any) -> Structure:
    """What a capsule points to."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    return Structure.from_address(get(capsule, b"arrow_array_stream"))


def test_a_stream_may_be_released_before_all_of_it_is_read(kernels):
    capsule = kernels.scan("traces", SPANS).arrow().__arrow_c_stream__()
    stream = structure(capsule)
    release = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(stream.release)
    release(ctypes.addressof(stream))
    assert not stream.release
    del capsule  # does not release it again


def readings(arrow: Any) -> Iterator[tuple[str, Callable[[], object]]]:
    """The ways in which memory is given up."""
    yield "read and dropped", lambda: pa.table(arrow)
    yield "never read", lambda: arrow.__arrow_c_stream__()
    yield "begun", lambda: pa.RecordBatchReader.from_stream(arrow).schema
    yield "some of it", lambda: pa.RecordBatchReader.from_stream(arrow).read_next_batch().column(0)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the size of the process from /proc")
def test_memory_is_given_back_in_whatever_way_a_table_is_read(kernels):
    view = kernels.scan("logs", logs(LogRecord(body=any_value("x" * (4 << 20)))))
    arrow = view.arrow({"body": Field("item", "body"), "all": Field("resource", "attributes")})
    for name, reading in readings(arrow):
        reading()
        before = resident_bytes()
        for _ in range(50):
            reading()
        assert resident_bytes() - before < 100 << 20, name


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def test_polars_reads_a_table(kernels):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(kernels.scan("traces", SPANS).arrow())
    assert frame["SpanName"].to_list() == ["GET /"]
    assert frame["Links.TraceId"].to_list() == [[TRACE.hex()]]


def test_duckdb_reads_a_table(kernels):
    duckdb = pytest.importorskip("duckdb")
    twice = Span(name="twice", attributes=[*attributes(a=1), *attributes(a=2)])
    spans = kernels.scan("traces", traces(twice)).arrow()
    query = "SELECT SpanName, SpanAttributes['a'], ServiceName FROM spans"
    assert duckdb.connect().execute(query).fetchall() == [("twice", "1", "shop")]
    del spans


def test_rows_that_a_table_chose_are_chosen_in_the_view(kernels):
    view = kernels.scan("logs", logs(*[LogRecord(severity_number=number) for number in (9, 17, 0, 21)]))
    table = pa.table(view.arrow({"severity": Column(Field("item", "severity_number"))}))
    mask = bytes(number >= 17 for number in table["severity"].to_pylist())
    assert pa.table(view.select(mask).arrow())["SeverityNumber"].to_pylist() == [17, 21]


def test_the_reference_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"need pyarrow: install airis\[arrow\]"):
        importlib.import_module("airis.data.reference").scan("traces", SPANS).arrow()
