"""OTLP/JSON, both ways: written as the specification wants it, read as senders send it."""

import base64
import json
import math
import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from airis.data.malformed import MalformedPayload
from airis.proto import otlp
from airis.proto.wire import length_delimited

TRACE, SPAN = bytes(range(16)), bytes(range(0xF0, 0xF8))


def spans(**fields: Any) -> dict[str, Any]:
    """The document of a request with one span."""
    return {"resourceSpans": [{"scopeSpans": [{"spans": [fields]}]}]}


@pytest.fixture
def read(kernels: ModuleType) -> Callable[[Any], Span]:
    """Gives the span in a document of a request with one."""

    def span(document: Any) -> Span:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        payload = kernels.from_json("traces", body)
        return ExportTraceServiceRequest.FromString(payload).resource_spans[0].scope_spans[0].spans[0]

    return span


@pytest.fixture
def read_value(read: Callable[[Any], Span]) -> Callable[[Any], Any]:
    """Gives the AnyValue that is read from a JSON value."""
    return lambda value: read(spans(attributes=[{"key": "k", "value": value}])).attributes[0].value


def written(kernels: ModuleType, **fields: Any) -> dict[str, Any]:
    """The JSON object of a span."""
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(**fields)
    document = json.loads(kernels.to_json("traces", request.SerializeToString()))
    return document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]


def test_a_span_is_written_as_the_specification_wants_it(kernels):
    assert written(
        kernels,
        trace_id=TRACE,
        span_id=SPAN,
        parent_span_id=SPAN[::-1],
        name="häß\n",
        kind=2,
        start_time_unix_nano=(1 << 64) - 1,
        flags=257,
        dropped_attributes_count=3,
        attributes=[
            {"key": "i", "value": {"int_value": -(1 << 63)}},
            {"key": "d", "value": {"double_value": 0.5}},
            {"key": "n", "value": {"double_value": math.nan}},
            {"key": "m", "value": {"double_value": -math.inf}},
            {"key": "b", "value": {"bool_value": False}},
            {"key": "s", "value": {"string_value": ""}},
            {"key": "x", "value": {"bytes_value": b"\xff\xfe"}},
            {"key": "a", "value": {"array_value": {"values": [{"int_value": 1}, {}]}}},
            {"key": "k", "value": {"kvlist_value": {"values": [{"key": "z"}]}}},
            {"key": "e", "value": {}},
        ],
        status={"code": 2, "message": "bad"},
        links=[{"trace_id": TRACE, "span_id": SPAN}],
    ) == {
        "traceId": "000102030405060708090a0b0c0d0e0f",
        "spanId": "f0f1f2f3f4f5f6f7",
        "parentSpanId": "f7f6f5f4f3f2f1f0",
        "name": "häß\n",
        "kind": 2,
        "startTimeUnixNano": "18446744073709551615",
        "flags": 257,
        "droppedAttributesCount": 3,
        "attributes": [
            {"key": "i", "value": {"intValue": "-9223372036854775808"}},
            {"key": "d", "value": {"doubleValue": 0.5}},
            {"key": "n", "value": {"doubleValue": "NaN"}},
            {"key": "m", "value": {"doubleValue": "-Infinity"}},
            {"key": "b", "value": {"boolValue": False}},
            {"key": "s", "value": {"stringValue": ""}},
            {"key": "x", "value": {"bytesValue": "//4="}},
            {"key": "a", "value": {"arrayValue": {"values": [{"intValue": "1"}, {}]}}},
            {"key": "k", "value": {"kvlistValue": {"values": [{"key": "z"}]}}},
            {"key": "e", "value": {}},
        ],
        "status": {"code": 2, "message": "bad"},
        "links": [{"traceId": "000102030405060708090a0b0c0d0e0f", "spanId": "f0f1f2f3f4f5f6f7"}],
    }


def test_metrics_and_logs_are_written_too(kernels):
    metrics = ExportMetricsServiceRequest()
    metric = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    metric.histogram.data_points.add(count=1, sum=0.0, bucket_counts=[1 << 63], explicit_bounds=[math.inf])
    logs = ExportLogsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add(severity_number=9, body={"string_value": "b"})  # type: ignore[arg-type]

    point = json.loads(kernels.to_json("metrics", metrics.SerializeToString()))["resourceMetrics"][0]["scopeMetrics"][0]
    assert point["metrics"][0]["histogram"]["dataPoints"] == [
        {"count": "1", "sum": 0.0, "bucketCounts": ["9223372036854775808"], "explicitBounds": ["Infinity"]}
    ]
    record = json.loads(kernels.to_json("logs", logs.SerializeToString()))["resourceLogs"][0]["scopeLogs"][0][
        "logRecords"
    ]
    assert record == [{"severityNumber": 9, "body": {"stringValue": "b"}}]


@pytest.mark.parametrize("payload", [b"\x0a\x05", b"\x0a\x03\x1a\x01\xff"], ids=["truncated", "not UTF-8"])
def test_a_payload_that_never_passed_the_door_is_malformed(kernels, payload):
    with pytest.raises(MalformedPayload):
        kernels.to_json("traces", payload)


@pytest.mark.parametrize("trace_id", [TRACE.hex(), TRACE.hex().upper()], ids=["lower", "upper"])
@pytest.mark.parametrize("name", ["traceId", "trace_id"])
def test_ids_are_hexadecimal_in_any_case(read, trace_id, name):
    assert read(spans(**{name: trace_id})).trace_id == TRACE


@pytest.mark.parametrize("kind", [2, "2", "SPAN_KIND_SERVER", 2.0])
def test_enums_are_numbers_or_names(read, kind):
    assert read(spans(kind=kind)).kind == Span.SPAN_KIND_SERVER


@pytest.mark.parametrize("number", [1700000000123456789, "1700000000123456789"])
def test_integers_of_64_bits_are_numbers_or_strings(read, number):
    assert read(spans(startTimeUnixNano=number)).start_time_unix_nano == 1700000000123456789


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        (0.5, 0.5),
        ("0.5", 0.5),
        ("NaN", math.nan),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        (-0.0, -0.0),
    ],
)
def test_doubles_are_numbers_or_strings(read_value, value, number):
    assert str(read_value({"doubleValue": value}).double_value) == str(number)


@pytest.mark.parametrize(("text", "number"), [("007", 7), ("+5", 5), ("2.0", 2), ("1e3", 1000), (".5e1", 5)])
def test_integers_are_read_leniently(read, text, number):
    assert read(spans(startTimeUnixNano=text)).start_time_unix_nano == number


@pytest.mark.parametrize("text", ["//4=", "__4=", "//4", "__4"])
def test_bytes_are_base64_of_either_alphabet(read_value, text):
    assert read_value({"bytesValue": text}).bytes_value == b"\xff\xfe"


def test_members_come_in_any_order(read):
    document = {
        "flags": 1,
        "status": {"code": 2, "message": "m"},
        "links": [{"spanId": SPAN.hex(), "traceId": TRACE.hex()}, {}],
        "name": "n",
        "traceId": TRACE.hex(),
    }

    span = read(spans(**document))

    assert (span.flags, span.status.message, span.name, span.trace_id) == (1, "m", "n", TRACE)
    assert [(link.trace_id, link.span_id) for link in span.links] == [(TRACE, SPAN), (b"", b"")]
    assert span.SerializeToString() == read(spans(**dict(reversed(document.items())))).SerializeToString()


@pytest.mark.parametrize(
    ("members", "name"),
    [
        (b'"name": "a", "name": "b"', "b"),
        (b'"name": "a", "kind": 1, "name": null', ""),
        (b'"name": null, "name": "a"', "a"),
        (b'"name": 5, "name": "a"', "a"),
        (b'"name": [{"x": [1]}], "name": "a"', "a"),
        (b'"attributes": [{"key": 1}], "name": "a", "attributes": [], "links": []', "a"),
        (b'"na\\u006de": "a", "name": "b"', "b"),
    ],
    ids=str,
)
def test_of_a_name_that_comes_twice_the_last_counts(read, members, name):
    body = json.dumps(spans(x=0)).encode().replace(b'"x": 0', members)

    assert read(body).name == name
    assert not read(body).attributes


def test_of_members_of_which_there_can_be_one_the_last_counts(read_value):
    assert read_value({"intValue": 1, "stringValue": "a"}).string_value == "a"
    assert read_value({"stringValue": "a", "intValue": 0}).WhichOneof("value") == "int_value"
    assert read_value({"stringValue": "a", "intValue": None}).string_value == "a"
    assert read_value({"arrayValue": {"values": [{}]}, "stringValue": ""}).WhichOneof("value") == "string_value"


@pytest.mark.parametrize(
    "document",
    [
        spans(traceId=TRACE.hex(), trace_id=None),
        spans(traceId=None, trace_id=TRACE.hex()),
        spans(trace_id=TRACE.hex(), traceId=None),
    ],
)
def test_another_spelling_that_is_null_does_no_harm(read, document):
    assert read(document).trace_id == TRACE


def test_what_is_not_known_is_ignored(read):
    document = spans(name="n", future={"a": [1]}) | {"more": 1}

    assert read(document).name == "n"


def test_null_is_absence(read):
    assert read(spans(name=None, attributes=None, status=None)) == Span()


def test_a_value_that_is_set_to_its_default_stays_set(read, read_value):
    assert read_value({"intValue": 0}).WhichOneof("value") == "int_value"
    assert read_value({"arrayValue": {}}).WhichOneof("value") == "array_value"
    assert read_value({}).WhichOneof("value") is None
    assert read(spans(status={})).HasField("status")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b'"a\\ud800b"', "a\ufffdb"),
        (b'"\\udc00\\ud83d\\ude00"', "\ufffd\U0001f600"),
        (b'"a\xffb"', "a\ufffdb"),
        (b'"\xed\xa0\x80"', "\ufffd\ufffd\ufffd"),
    ],
    ids=["half a pair", "half a pair and a whole one", "not UTF-8", "an encoded half"],
)
def test_text_that_is_no_text_is_repaired(read, name, text):
    body = json.dumps(spans(name="NAME")).encode().replace(b'"NAME"', name)

    assert read(body).name == text


def test_a_byte_order_mark_is_no_fault(read):
    assert read(b"\xef\xbb\xbf" + json.dumps(spans(name="n")).encode()).name == "n"


PLACE = r"resourceSpans\[0\]\.scopeSpans\[0\]\.spans\[0\]"


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (b"{", "^not JSON: "),
        (b"", "^not JSON: "),
        (b'{"a": NaN}', "^not JSON: "),
        (b"[" * 100_000, "^not JSON: "),
        (b'{"resourceSpans": 1, "a": 01}', "^not JSON: "),
        (b'{"resourceSpans": 1} 1', "^not JSON: "),
        (b"[]", "^the body is not a JSON object$"),
        (b"null", "^the body is not a JSON object$"),
        ({"resourceSpans": {}}, "^resourceSpans: expected an array$"),
        ({"resourceSpans": [1]}, r"^resourceSpans\[0\]: expected an object$"),
        ({"resourceSpans": [None]}, r"^resourceSpans\[0\]: expected an object$"),
        (spans(traceId="xy"), rf"^{PLACE}\.traceId: expected an id in hexadecimal$"),
        (spans(traceId="abc"), rf"^{PLACE}\.traceId: expected an id in hexadecimal$"),
        (spans(traceId=5), rf"^{PLACE}\.traceId: expected an id in hexadecimal$"),
        (spans(name=5), rf"^{PLACE}\.name: expected a string$"),
        (spans(kind="SERVER"), rf"^{PLACE}\.kind: expected an integer$"),
        (spans(kind=1 << 31), rf"^{PLACE}\.kind: 2147483648 is not between -2147483648 and 2147483647$"),
        (spans(startTimeUnixNano=-1), rf"^{PLACE}\.startTimeUnixNano: -1 is not between 0 and 18446744073709551615$"),
        (spans(startTimeUnixNano=1.5), rf"^{PLACE}\.startTimeUnixNano: expected an integer$"),
        (spans(startTimeUnixNano=True), rf"^{PLACE}\.startTimeUnixNano: expected an integer$"),
        (spans(startTimeUnixNano="1" * 39), rf"^{PLACE}\.startTimeUnixNano: expected an integer$"),
        (spans(startTimeUnixNano="1" * 38), rf"^{PLACE}\.startTimeUnixNano: {'1' * 38} is not between 0 and "),
        (spans(startTimeUnixNano=" 1"), rf"^{PLACE}\.startTimeUnixNano: expected an integer$"),
        (spans(startTimeUnixNano="1_0"), rf"^{PLACE}\.startTimeUnixNano: expected an integer$"),
        (spans(startTimeUnixNano="\u0663"), rf"^{PLACE}\.startTimeUnixNano: expected an integer$"),
        (
            spans(startTimeUnixNano=1e30),
            rf"^{PLACE}\.startTimeUnixNano: 1000000000000000019884624838656 is not between",
        ),
        (spans(startTimeUnixNano="1" * 50), rf"^{PLACE}\.startTimeUnixNano: expected an integer$"),
        (spans(flags=1 << 32), rf"^{PLACE}\.flags: 4294967296 is not between 0 and 4294967295$"),
        (spans(status=[]), rf"^{PLACE}\.status: expected an object$"),
        (spans(traceId="", trace_id=""), rf"^{PLACE}\.trace_id: named in both spellings$"),
        (spans(trace_id="", traceId=""), rf"^{PLACE}\.trace_id: named in both spellings$"),
        (
            spans(attributes=[{"value": {"arrayValue": {}, "array_value": {}}}]),
            rf"^{PLACE}\.attributes\[0\]\.value\.array_value: named in both spellings$",
        ),
        (spans(attributes=[{}, {}, {"key": 1}]), rf"^{PLACE}\.attributes\[2\]\.key: expected a string$"),
        (spans(x=[[{}], {"a": "b"}], name=5), rf"^{PLACE}\.name: expected a string$"),
        (
            json.dumps(spans(attributes=[{"value": {"doubleValue": 77}}])).replace("77", "1e400").encode(),
            rf"^{PLACE}\.attributes\[0\]\.value\.doubleValue: the number is too large$",
        ),
        (
            json.dumps(spans(attributes=[{"value": {"doubleValue": 77}}])).replace("77", "9" * 400).encode(),
            rf"^{PLACE}\.attributes\[0\]\.value\.doubleValue: the number is too large$",
        ),
        (
            spans(attributes=[{"key": "k", "value": {"boolValue": 1}}]),
            rf"^{PLACE}\.attributes\[0\]\.value\.boolValue: expected true or false$",
        ),
        (
            spans(attributes=[{"value": {"doubleValue": "inf"}}]),
            rf"^{PLACE}\.attributes\[0\]\.value\.doubleValue: expected a number$",
        ),
        (
            spans(attributes=[{"value": {"bytesValue": "a b"}}]),
            rf"^{PLACE}\.attributes\[0\]\.value\.bytesValue: expected base64$",
        ),
        (
            spans(attributes=[{"value": {"arrayValue": {"values": [{}, 3]}}}]),
            rf"^{PLACE}\.attributes\[0\]\.value\.arrayValue\.values\[1\]: expected an object$",
        ),
    ],
    ids=str,
)
def test_a_fault_is_named_with_its_path(read, document, fault):
    with pytest.raises(MalformedPayload, match=fault):
        read(document)


def test_a_value_that_nobody_reads_may_be_as_deep_as_1024(read):
    # Seven more are around it.
    deep = b"[" * 1017 + b"]" * 1017
    body = json.dumps(spans(name="n", x=0)).encode()

    assert read(body.replace(b'"x": 0', b'"x": ' + deep)).name == "n"
    with pytest.raises(MalformedPayload, match=r"^not JSON: "):
        read(body.replace(b'"x": 0', b'"x": [' + deep + b"]"))


def test_what_protobuf_would_merge_is_written_merged(kernels):
    def value(*members: bytes) -> bytes:
        return length_delimited(2, b"".join(members))

    attribute = length_delimited(9, length_delimited(1, b"k") + value(b"\x10\x01", b"\x18\x05") + value(b"\x18\x07"))
    array = [length_delimited(5, length_delimited(1, b"\x18" + number)) for number in (b"\x01", b"\x02", b"\x03")]
    merged = length_delimited(9, value(array[0], b"\x10\x01", array[1]) + value(array[2]))
    name, later, status = length_delimited(5, b"a"), length_delimited(5, b"b"), length_delimited(15, b"\x18\x02")
    span = status + later + attribute + b"\x28\x01" + name + merged + length_delimited(15, length_delimited(2, b"m"))
    payload = length_delimited(1, length_delimited(2, length_delimited(2, span))) + length_delimited(99, b"x")

    document = json.loads(kernels.to_json("traces", payload))

    assert document == {
        "resourceSpans": [
            {
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "name": "a",
                                "attributes": [
                                    {"key": "k", "value": {"intValue": "7"}},
                                    {"value": {"arrayValue": {"values": [{"intValue": "2"}, {"intValue": "3"}]}}},
                                ],
                                "status": {"message": "m", "code": 2},
                            }
                        ]
                    }
                ]
            }
        ]
    }


def test_profiles_have_hexadecimal_ids_and_arrays_of_indexes(kernels):
    request = otlp.layout("profiles").request()
    request.dictionary.string_table.extend(["", "cpu"])  # type: ignore[attr-defined]
    request.dictionary.link_table.add(trace_id=TRACE)  # type: ignore[attr-defined]
    profile = request.resource_profiles.add().scope_profiles.add().profiles.add(profile_id=TRACE)  # type: ignore[attr-defined]
    profile.samples.add(attribute_indices=[1, 0], values=[-1], timestamps_unix_nano=[1 << 63])
    profile.original_payload = b"\xff\xfe"
    payload = request.SerializeToString()

    text = kernels.to_json("profiles", payload)

    assert kernels.from_json("profiles", text) == payload
    assert json.loads(text) == {
        "resourceProfiles": [
            {
                "scopeProfiles": [
                    {
                        "profiles": [
                            {
                                "samples": [
                                    {
                                        "attributeIndices": [1, 0],
                                        "values": ["-1"],
                                        "timestampsUnixNano": ["9223372036854775808"],
                                    }
                                ],
                                "profileId": "000102030405060708090a0b0c0d0e0f",
                                "originalPayload": "//4=",
                            }
                        ]
                    }
                ]
            }
        ],
        "dictionary": {"linkTable": [{"traceId": "000102030405060708090a0b0c0d0e0f"}], "stringTable": ["", "cpu"]},
    }


@pytest.mark.parametrize(("messages", "good"), [(100, True), (101, False)])
def test_messages_nest_as_deep_as_in_protobuf(kernels, read, messages, good):
    # Resource spans, scope spans, span, attribute and value are five; an array and its value are two, a map is one.
    arrays, maps = divmod(messages - 5, 2)
    value: dict[str, Any] = {"kvlistValue": {}} if maps else {}
    for _ in range(arrays):
        value = {"arrayValue": {"values": [value]}}
    document = spans(attributes=[{"value": value}])

    if good:
        payload = kernels.from_json("traces", json.dumps(document).encode())
        assert ExportTraceServiceRequest.FromString(payload).resource_spans
        assert json.loads(kernels.to_json("traces", payload)) == document
    else:
        with pytest.raises(MalformedPayload, match="more than 100 objects in one another"):
            read(document)


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs", "profiles"])
@given(seed=st.integers(0, (1 << 64) - 1))
@settings(
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_what_is_written_reads_back_the_same(kernels, signal, seed):
    request = random_request(signal, seed)

    again = type(request).FromString(kernels.from_json(signal, kernels.to_json(signal, request.SerializeToString())))

    assert again.SerializeToString(deterministic=True) == request.SerializeToString(deterministic=True)


def random_request(signal: str, seed: int) -> Any:
    """A request with two of everything, set at random."""
    source = random.Random(seed)

    def fill(message: Any, depth: int) -> Any:
        for field in message.DESCRIPTOR.fields:
            if depth > 9 or source.random() < 0.2:
                continue
            if field.message_type is not None:
                for _ in range(2 if field.is_repeated else 1):
                    target = getattr(message, field.name)
                    inner = target.add() if field.is_repeated else target
                    inner.SetInParent()
                    fill(inner, depth + 1)
                continue
            value = scalar(field)
            if field.is_repeated:
                getattr(message, field.name).extend([value, value])
            else:
                setattr(message, field.name, value)
        return message

    def scalar(field: Any) -> Any:
        if field.type in (field.TYPE_DOUBLE, field.TYPE_FLOAT):
            return source.choice([0.0, -0.0, 0.1, 1e300, math.inf, -math.inf])
        if field.type == field.TYPE_STRING:
            return source.choice(["", "a", "\U0001f600\n\0", "\ufffd"])
        if field.type == field.TYPE_BYTES:
            return base64.b64decode(source.choice(["", "AA==", "//79", "AAECAwQFBgc="]))
        if field.type == field.TYPE_BOOL:
            return source.random() < 0.5
        high = {field.TYPE_FIXED64: 1 << 64, field.TYPE_UINT64: 1 << 64, field.TYPE_INT64: 1 << 63}
        high |= {field.TYPE_SFIXED64: 1 << 63, field.TYPE_FIXED32: 1 << 32, field.TYPE_UINT32: 1 << 32}
        top = high.get(field.type, 1 << 31)
        return source.choice([0, 1, top - 1])

    return fill(otlp.layout(signal).request(), 0)
