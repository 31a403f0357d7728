"""What is let in at the door: well-formed requests as they are, strings repaired, everything else refused."""

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2 import ExportProfilesServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from airis.data.malformed import MalformedPayload
from airis.proto.wire import length_delimited as nested
from airis.proto.wire import to_varint

DEEPEST = 100
GROUP, GROUP_END = b"\x83\x01", b"\x84\x01"


def spans(*bodies: bytes) -> bytes:
    """A traces request with spans of these bytes."""
    return nested(1, nested(2, b"".join(nested(2, body) for body in bodies)))


def points(kind: int, *bodies: bytes) -> bytes:
    """A metrics request with data points of these bytes, in the field of a metric that its kind has."""
    return nested(1, nested(2, nested(2, nested(kind, b"".join(nested(1, body) for body in bodies)))))


def records(*bodies: bytes) -> bytes:
    """A logs request with records of these bytes."""
    return spans(*bodies)


def profiles(*bodies: bytes) -> bytes:
    """A profiles request with profiles of these bytes."""
    return spans(*bodies)


def messages(depth: int, innermost: bytes = b"") -> bytes:
    """A request with so many messages in one another below it: resource, attribute, value, array in array."""
    numbers = [1, 1, 1, 2]
    numbers += [5 if index % 2 == 0 else 1 for index in range(depth - len(numbers))]
    for number in reversed(numbers):
        innermost = nested(number, innermost)
    return innermost


def groups(depth: int) -> bytes:
    """So many groups in one another, in a field that is not known."""
    return GROUP * depth + GROUP_END * depth


@pytest.mark.parametrize(
    ("signal", "payload", "items"),
    [
        ("traces", b"", 0),
        ("traces", nested(1, b""), 0),
        ("traces", spans(b"", b"", b""), 3),
        ("traces", spans(b"") + spans(b"", b""), 3),
        ("logs", records(b"", b""), 2),
        ("metrics", points(5, b"", b""), 2),
        ("metrics", points(7, b""), 1),
        ("metrics", points(9, b"", b"", b""), 3),
        ("metrics", points(10, b""), 1),
        ("metrics", points(11, b""), 1),
        ("metrics", points(8, b""), 0),
        ("profiles", profiles(b"", nested(2, b"") * 3, nested(2, b"")), 4),
        ("profiles", profiles(nested(2, nested(2, b"\x01\x02") + nested(5, bytes(16)))), 1),
        ("profiles", nested(2, nested(5, b"text") * 2 + nested(7, nested(1, b"\x01"))), 0),
        # Of a oneof the last member counts; the same one twice is merged, one behind another begins anew.
        ("metrics", nested(1, nested(2, nested(2, nested(5, nested(1, b"")) + nested(5, nested(1, b""))))), 2),
        ("metrics", nested(1, nested(2, nested(2, nested(5, nested(1, b"") * 3) + nested(7, nested(1, b""))))), 1),
        ("metrics", nested(1, nested(2, nested(2, nested(5, nested(1, b"") * 3) + nested(7, b"")))), 0),
        ("metrics", nested(1, nested(2, nested(2, (nested(5, nested(1, b"")) + nested(7, b"")) * 2))), 0),
        # What is not known is kept.
        ("traces", b"\xf8\x07\x01" + nested(77, b"\xff\xff") + groups(1) + spans(nested(99, b"\xff")), 1),
        ("traces", GROUP + b"\x00\x01" + GROUP_END, 0),
        # A field of the wrong wire type is one that is not known: no resource, a name, a start, flags.
        ("traces", b"\x08\x01" + spans(b"\x28\x01" + nested(7, b"\x01\x02\x03") + b"\x80\x01\x05"), 1),
        ("traces", b"\x0b\x0c" + b"\x0d\x00\x00\x00\x00", 0),
        # A tag or a number may be longer than it must be.
        ("traces", b"\x8a\x80\x80\x80\x00\x00", 0),
        ("traces", b"\x0a\x80\x80\x80\x80\x00", 0),
        ("traces", spans(b"\x30" + b"\xff" * 9 + b"\x7f"), 1),
        # Repeated numbers, packed and one by one.
        ("metrics", points(9, nested(6, bytes(16)) + b"\x31" + bytes(8) + nested(7, bytes(8)) + nested(6, b"")), 1),
        ("metrics", points(10, nested(8, nested(2, b"\x01\x80\x01") + b"\x10\x05")), 1),
        # Nothing but the wire format counts: an id may have any length.
        ("traces", spans(nested(1, b"\xff") + nested(2, b"\xff" * 99)), 1),
        ("traces", messages(DEEPEST), 0),
        ("traces", groups(DEEPEST), 0),
        ("traces", messages(60, groups(40)), 0),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_well_formed_request_passes_as_the_same_object(kernels, signal, payload, items):
    whole, counted, repaired = kernels.validate(signal, payload)

    assert whole is payload
    assert (counted, repaired) == (items, 0)
    assert kernels.count_items(signal, payload) == items


@pytest.mark.parametrize(
    ("signal", "payload"),
    [
        pytest.param("traces", b"\x0a", id="a length is missing"),
        pytest.param("traces", b"\x0a\x05", id="longer than what is left"),
        pytest.param("traces", nested(1, b"\x0a\x05") + bytes(9), id="longer than the message around it"),
        pytest.param("traces", nested(1, b"\x80") + bytes(9), id="a tag that leaves its message"),
        pytest.param("traces", nested(1, b"\x80\x01\x80") + bytes(9), id="a number that leaves its message"),
        pytest.param("traces", nested(1, b"\x81\x01\x80") + bytes(9), id="eight bytes that leave their message"),
        pytest.param("traces", spans(b"\x39" + bytes(7)), id="seven bytes of eight"),
        pytest.param("traces", b"\x0d\x00\x00\x00", id="three bytes of four"),
        pytest.param("traces", b"\x08\x80", id="a number without its end"),
        pytest.param("traces", b"\x80\x01" + b"\xff" * 10 + b"\x01", id="a number of eleven bytes"),
        pytest.param("traces", b"\x8a\x80\x80\x80\x80\x00\x00", id="a tag of six bytes"),
        pytest.param("traces", b"\x88\x80\x80\x80\x10\x00", id="a tag of more than 32 bits"),
        pytest.param("traces", b"\x0a\x80\x80\x80\x80\x80\x00", id="a length of six bytes"),
        pytest.param("traces", b"\x0a\x80\x80\x80\x80\x10", id="a length of more than 32 bits"),
        pytest.param("traces", b"\x0a\xff\xff\xff\xff\x0f", id="a length of 4 GiB"),
        pytest.param("traces", b"\x00\x00", id="the field number 0"),
        pytest.param("traces", b"\x80\x00\x00", id="the field number 0 in two bytes"),
        pytest.param("traces", b"\x0e", id="wire type 6"),
        pytest.param("traces", b"\x0f", id="wire type 7"),
        pytest.param("traces", GROUP, id="a group without its end"),
        pytest.param("traces", GROUP_END, id="the end of no group"),
        pytest.param("traces", GROUP + b"\x8c\x01", id="the end of another group"),
        pytest.param("traces", nested(1, GROUP) + GROUP_END, id="a group that leaves its message"),
        pytest.param("traces", GROUP + b"\x0e" + GROUP_END, id="wire type 6 in a group"),
        pytest.param("traces", messages(DEEPEST + 1), id="too many messages in one another"),
        pytest.param("traces", groups(DEEPEST + 1), id="too many groups in one another"),
        pytest.param("traces", messages(60, groups(41)), id="too many messages and groups in one another"),
        pytest.param("metrics", points(9, nested(6, bytes(12))), id="packed numbers that end inside one"),
        pytest.param("metrics", points(10, nested(8, nested(2, b"\x01\x80"))), id="packed varints that end inside one"),
        pytest.param(
            "metrics", points(10, nested(8, nested(2, b"\xff" * 10 + b"\x01"))), id="a packed varint too long"
        ),
        pytest.param("profiles", profiles(nested(2, nested(5, bytes(12)))), id="packed timestamps that end inside one"),
        pytest.param("profiles", profiles(nested(11, b"\x80")), id="packed indexes that end inside one"),
        pytest.param(
            "profiles", nested(2, nested(7, nested(1, b"\x80"))), id="locations of a stack that end inside one"
        ),
        # A string that could be repaired does not make the rest better.
        pytest.param("traces", spans(nested(5, b"\xff")) + b"\x0a\x05", id="not UTF-8, and cut off"),
        pytest.param("traces", spans(b"\xaa\x80\x80\x80\x80\x00\x01\xff"), id="not UTF-8, with a tag of six bytes"),
    ],
)
def test_what_is_malformed_is_refused(kernels, signal, payload):
    with pytest.raises(MalformedPayload):
        kernels.validate(signal, payload)
    if signal != "profiles":
        with pytest.raises(MalformedPayload):
            kernels.scan(signal, payload)


def test_the_fault_is_told_with_its_place(kernels):
    with pytest.raises(MalformedPayload, match=r"at byte [56]"):
        kernels.validate("traces", nested(1, nested(3, b"x")) + b"\x0e")


@pytest.mark.parametrize(
    ("kernel", "signal"),
    [
        *(("validate", "events"), ("count_items", "events"), ("scan", "events"), ("scan", "profiles")),
        *(("from_json", "events"), ("to_json", "events")),
    ],
)
def test_a_signal_that_is_not_supported_is_no_fault_of_the_payload(kernels, kernel, signal):
    with pytest.raises(ValueError, match=f"{signal} is not supported") as caught:
        getattr(kernels, kernel)(signal, b"{}")
    assert not isinstance(caught.value, MalformedPayload)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (b"\xff", "\ufffd"),
        (b"a\xffb", "a\ufffdb"),
        (b"\xc3", "\ufffd"),
        (b"\xc3(", "\ufffd("),
        (b"\xe2\x82", "\ufffd"),
        (b"\xe2\x82x", "\ufffdx"),
        (b"\xf0\x9f\x98\x80\xf0\x9f", "\U0001f600\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"\xc0\x80", "\ufffd\ufffd"),
        (b"\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd"),
        (b"x" * 126 + b"\xff", "x" * 126 + "\ufffd"),
    ],
    ids=repr,
)
def test_a_string_is_repaired_as_python_does_it(kernels, sent, stored):
    payload = (
        spans(nested(5, b"before")) + spans(nested(1, b"\xff") + nested(5, sent) + b"\x30\x02") + nested(9, b"\xff")
    )

    whole, items, repaired = kernels.validate("traces", payload)

    assert (items, repaired) == (2, 1)
    assert stored == sent.decode("utf-8", "replace")
    assert whole == spans(nested(5, b"before")) + spans(
        nested(1, b"\xff") + nested(5, stored.encode()) + b"\x30\x02"
    ) + nested(9, b"\xff")
    ExportTraceServiceRequest.FromString(whole)
    assert kernels.validate("traces", whole) == (whole, 2, 0)


def test_strings_are_repaired_wherever_they_are(kernels):
    bad = b"\xff"
    text = nested(1, bad)
    attribute = nested(1, bad) + nested(2, text)
    array = nested(2, nested(5, nested(1, text) + nested(1, nested(6, nested(1, attribute)))))
    resource = nested(1, attribute) + nested(3, b"".join(nested(number, bad) for number in (1, 2, 3, 3, 4)))
    scope = nested(1, bad) + nested(2, bad) + nested(3, attribute)
    record = nested(3, bad) + nested(5, text) + nested(6, array) + nested(12, bad)
    request = nested(
        1, nested(1, resource) + nested(2, nested(1, scope) + nested(2, record) + nested(3, bad)) + nested(3, bad)
    )

    whole, items, repaired = kernels.validate("logs", request)

    assert (items, repaired) == (1, 2 + 5 + 4 + (3 + 3) + 2)
    message = ExportLogsServiceRequest.FromString(whole)
    assert str(message).count("\ufffd") == repaired
    record = message.resource_logs[0].scope_logs[0].log_records[0]
    assert record.attributes[0].value.array_value.values[1].kvlist_value.values[0].key == "\ufffd"


def test_strings_of_profiles_are_repaired_wherever_they_are(kernels):
    bad = b"\xff"
    value = nested(2, nested(1, bad))
    dictionary = nested(5, b"good") + nested(5, bad) + nested(6, value) + nested(4, nested(1, bad))
    owner = nested(1, nested(1, nested(1, bad))) + nested(
        2, nested(3, bad) + nested(2, nested(9, bad) + nested(10, bad))
    )

    whole, items, repaired = kernels.validate("profiles", nested(2, dictionary) + nested(1, owner + nested(3, bad)))

    assert (items, repaired) == (0, 6)
    message = ExportProfilesServiceRequest.FromString(whole)
    assert list(message.dictionary.string_table) == ["good", "\ufffd"]
    assert str(message).count("\ufffd") == str(message).count("\\357\\277\\275") + repaired


def test_a_value_of_bytes_is_not_a_string(kernels):
    payload = spans(nested(9, nested(2, nested(7, b"\xff"))))

    assert kernels.validate("traces", payload)[2] == 0


def test_a_repair_that_makes_a_message_longer_keeps_all_around_it(kernels):
    attributes = b"".join(nested(9, nested(1, b"k%d" % i) + nested(2, nested(1, b"\xff" * 60))) for i in range(40))
    payload = spans(b"", attributes, b"")

    whole, items, repaired = kernels.validate("traces", payload)

    assert (items, repaired) == (3, 40)
    assert len(whole) > len(payload) + 40 * 120
    span = ExportTraceServiceRequest.FromString(whole).resource_spans[0].scope_spans[0].spans[1]
    assert [a.value.string_value for a in span.attributes] == ["\ufffd" * 60] * 40


def test_items_are_counted_without_a_look_into_them(kernels):
    assert kernels.count_items("traces", spans(b"\xff\xff", b"\x00")) == 2
    with pytest.raises(MalformedPayload):
        kernels.count_items("traces", nested(1, b"\x12" + to_varint(9)))
