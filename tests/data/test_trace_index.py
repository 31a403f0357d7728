"""Spans by their traces: what is known of each, and views of some of them."""

import random
import struct
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from airis.data import reference

A, B = b"a" * 16, b"b" * 16


def payload(*spans: dict[str, Any]) -> bytes:
    """Two resources; every second span is of the second one."""
    request = ExportTraceServiceRequest()
    scopes = [request.resource_spans.add().scope_spans.add() for _ in range(2)]
    for number, fields in enumerate(spans):
        scopes[number % 2].spans.add(name=str(number), **fields)
    return request.SerializeToString()


def names(view: Any) -> list[str]:
    request = ExportTraceServiceRequest.FromString(view.payload)
    return [span.name for owner in request.resource_spans for scope in owner.scope_spans for span in scope.spans]


def numbers(kind: str, packed: bytes) -> list[int]:
    return [number for (number,) in struct.iter_unpack(f"<{kind}", packed)]


def test_says_what_is_known_of_each_trace(kernels):
    given = payload(
        {"trace_id": A, "start_time_unix_nano": 9, "end_time_unix_nano": 20, "parent_span_id": b"p" * 8},
        {"trace_id": B, "parent_span_id": bytes(8), "flags": 0x100},
        {"trace_id": A, "start_time_unix_nano": 7, "end_time_unix_nano": 8, "parent_span_id": b"p" * 8, "flags": 0x301},
        {"trace_id": B, "start_time_unix_nano": 5},
        {"trace_id": A, "parent_span_id": b"p" * 8},
    )

    index = kernels.TraceIndex(kernels.scan("traces", given))

    assert len(index) == 2
    assert index.ids == A + B
    assert numbers("I", index.spans) == [3, 2]
    assert numbers("Q", index.starts) == [7, 5]
    assert numbers("Q", index.ends) == [20, 0]
    assert list(index.marks) == [1, 2]
    spans = ExportTraceServiceRequest.FromString(given).resource_spans
    sizes = [sum(2 + span.ByteSize() for span in owner.scope_spans[0].spans) for owner in spans]
    assert numbers("Q", index.sizes) == sizes


def test_an_id_of_another_length_is_none(kernels):
    index = kernels.TraceIndex(kernels.scan("traces", payload({"trace_id": b"short"}, {}, {"trace_id": A})))

    assert index.ids == bytes(16) + A


def test_finds_the_traces_that_have_a_span_of_a_mask(kernels):
    index = kernels.TraceIndex(kernels.scan("traces", payload(*[{"trace_id": A}, {"trace_id": B}] * 2)))

    assert index.any(b"\0\0\0\0") == b"\0\0"
    assert index.any(b"\0\1\0\0") == b"\1\0"  # the first resource has both spans of the first trace
    assert index.any(b"\2\0\0\1") == b"\1\1"
    with pytest.raises(ValueError, match="a mask of 3 bytes for 4 spans"):
        index.any(b"\0\0\0")


def test_splits_a_view_by_traces(kernels):
    view = kernels.scan("traces", payload({"trace_id": A}, {"trace_id": B}, {"trace_id": A}, {"trace_id": b"c" * 16}))
    index = kernels.TraceIndex(view)

    one, none, two = index.split(struct.pack("<3I", 2, 9, 0), 3)

    assert (names(one), names(none), names(two)) == (["3"], [], ["0", "2"])
    assert index.split(bytes(12), 1) == [view]
    assert [part.items for part in index.split(struct.pack("<3I", 1, 1, 1), 1)] == [0]
    with pytest.raises(ValueError, match="8 bytes of numbers for 3 traces"):
        index.split(bytes(8), 1)


def test_hashes_ids_behind_a_salt(kernels):
    index = kernels.TraceIndex(kernels.scan("traces", payload({"trace_id": A}, {"trace_id": B})))

    offset, prime = 0xCBF29CE484222325, 0x100000001B3
    expected = []
    for trace_id in (A, B):
        value = offset
        for byte in b"salt" + trace_id:
            value = (value ^ byte) * prime % 2**64
        expected.append(value)
    assert numbers("Q", index.hashes(b"salt")) == expected


def test_other_signals_have_no_traces(kernels):
    with pytest.raises(ValueError, match="logs have no traces"):
        kernels.TraceIndex(kernels.scan("logs", b""))


def test_nothing_has_no_traces(kernels):
    index = kernels.TraceIndex(kernels.scan("traces", b""))

    assert (len(index), index.ids, index.split(b"", 2)) == (0, b"", [])


@pytest.mark.parametrize("seed", range(150))
def test_both_back_ends_agree(generator, seed):
    native = pytest.importorskip("airis._core")
    made = generator(seed)
    # As one back end writes it: in another form the same span has another size.
    given = reference.scan("traces", made.request("traces")).message.SerializeToString()
    views = [kernels.scan("traces", native.validate("traces", given)[0]) for kernels in (native, reference)]
    one, other = native.TraceIndex(views[0]), reference.TraceIndex(views[1])
    rng = random.Random(seed)
    mask = bytes(rng.choice([0, 1]) for _ in range(views[0].items))
    parts = struct.pack(f"<{len(one)}I", *[rng.randrange(4) for _ in range(len(one))])

    for name in ("ids", "spans", "starts", "ends", "marks", "sizes"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.any(mask) == other.any(mask)
    assert one.hashes(b"x") == other.hashes(b"x")
    assert [names(part) for part in one.split(parts, 3)] == [names(part) for part in other.split(parts, 3)]
