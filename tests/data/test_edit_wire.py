"""Edits of what is unusual on the wire, and of what is made to do harm."""

import importlib
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from airis.data.edits import (
    Convert,
    Delete,
    DeleteMatching,
    Extract,
    Hash,
    KeepKeys,
    Limit,
    Rename,
    Set,
    Truncate,
)
from airis.data.fields import Attribute, Field
from airis.data.malformed import MalformedPayload
from airis.proto import otlp
from airis.proto.wire import VARINT, length_delimited, to_varint

from .edit_requests import after, attributes, edited, item, messages, pairs, traces


@pytest.mark.parametrize(
    ("edit", "left"),
    [
        (Set(item("a"), 9), pairs(a=9, b=2)),
        (Set(item("a"), 1), pairs(a=1, b=2)),
        (Set(item("a"), 9, "absent"), None),
        (Set(item("c"), item("a")), [*pairs(a=1, b=2), *pairs(a="second"), *pairs(a=3, c=1)]),
        (Delete(item("a")), pairs(b=2)),
        (Hash(item("a"), "xxh3_64"), [*pairs(a="2bf2c21bb5be9f52"), *pairs(b=2)]),
        (Convert(item("a"), "string"), pairs(a="1", b=2)),
        (Convert(item("a"), "int"), None),
        (Rename("item", "a", "c"), pairs(c=1, b=2)),
        (Rename("item", "b", "a"), pairs(a=2)),
        (Rename("item", "b", "a", "keep"), None),
        (KeepKeys("item", ["a"]), [*pairs(a=1), *pairs(a="second"), *pairs(a=3)]),
        (DeleteMatching("item", "a"), pairs(b=2)),
        (Extract(item("missing"), "(?P<a>.)", "item"), None),
        (Truncate("item", 3), [*pairs(a=1, b=2), *pairs(a="sec"), *pairs(a=3)]),
        (Limit("item", 3), [*pairs(a=1, b=2), *pairs(a="second")]),
    ],
    ids=str,
)
def test_of_a_key_that_comes_more_than_once_the_first_counts(kernels, edit, left):
    before = [*pairs(a=1, b=2), *pairs(a="second"), *pairs(a=3)]

    if isinstance(edit, Hash):
        left = [*pairs(a=importlib.import_module("xxhash").xxh3_64_hexdigest((1).to_bytes(8, "little"))), *pairs(b=2)]
    assert after(kernels, before, edit) == (before if left is None else left)


def test_inside_a_value_as_well_the_first_of_a_key_counts(kernels):
    twice = AnyValue()
    twice.kvlist_value.values.extend([*pairs(k=1), *pairs(l=2), *pairs(k=3)])

    assert after(kernels, pairs(a=twice), Set(item("a", "k"), 9)) == pairs(a={"k": 9, "l": 2})
    assert after(kernels, pairs(a=twice), Delete(item("a", "k"))) == pairs(a={"l": 2})
    assert after(kernels, pairs(a=twice), Set(item("b"), item("a", "k")))[1:] == pairs(b=1)


def raw(*attributes: bytes, **fields: Any) -> bytes:
    """A request with a span of these attributes, as bytes."""
    span = b"".join(length_delimited(9, attribute) for attribute in attributes) + Span(**fields).SerializeToString()
    scoped = length_delimited(2, span)
    return length_delimited(1, length_delimited(2, scoped))


TEXT = length_delimited(2, length_delimited(1, b"x"))


KEY = length_delimited(1, b"a")


UNKNOWN = to_varint(99 << 3 | VARINT) + b"\x05"


@pytest.mark.parametrize(
    "attribute",
    [
        pytest.param(TEXT + KEY, id="the value before the key"),
        pytest.param(length_delimited(1, b"b") + TEXT + KEY, id="another key before"),
        pytest.param(KEY + length_delimited(2, b"\x18\x01") + TEXT, id="a value of another type before"),
        pytest.param(KEY + TEXT + UNKNOWN, id="something unknown behind"),
        pytest.param(UNKNOWN + KEY + TEXT, id="something unknown before"),
        pytest.param(
            KEY + length_delimited(2, UNKNOWN + length_delimited(1, b"x")), id="something unknown in the value"
        ),
        pytest.param(KEY + b"\x12\x83\x00" + length_delimited(1, b"x"), id="a length written longer than it must be"),
        pytest.param(KEY + TEXT + b"\x08\x01", id="a key of the wrong wire type behind"),
    ],
)
def test_an_attribute_may_be_written_in_any_way(kernels, attribute):
    payload = raw(attribute, *(length_delimited(1, key) + TEXT for key in (b"k", b"l")))
    [before] = attributes("traces", payload, "item")
    unknown = attribute.count(UNKNOWN) > 0

    for edit, found in (
        (Set(item("a"), "y"), "y"),
        (Hash(item("a"), "md5"), "9dd4e461268c8034f5c8564e155c67a6"),
        (Set(item("a"), item("a")), "x"),
    ):
        changed = edited(kernels, "traces", payload, edit)
        [now] = attributes("traces", changed, "item")
        assert [(pair.key, pair.value.string_value) for pair in now] == [("a", found), ("k", "x"), ("l", "x")]
        if unknown and attribute not in (KEY + length_delimited(2, UNKNOWN + length_delimited(1, b"x")),):
            assert UNKNOWN in changed
    renamed = edited(kernels, "traces", payload, Rename("item", "a", "z"))
    assert attributes("traces", renamed, "item")[0][0].key == "z"
    assert (UNKNOWN in renamed) == unknown
    gone = edited(kernels, "traces", payload, Delete(item("a")))
    assert attributes("traces", gone, "item") == [before[1:]]


def test_an_attribute_without_a_key_or_a_value_is_one(kernels):
    payload = raw(TEXT, KEY)

    changed = edited(kernels, "traces", payload, Set(item(""), 1), Convert(item("a"), "string"))

    assert attributes("traces", changed, "item") == [[*pairs(**{"": 1}), *pairs(a="")]]


def test_what_is_not_known_is_kept_and_so_is_the_order(kernels):
    unknown = length_delimited(99, b"\xff")
    span = unknown + length_delimited(9, KEY + TEXT) + length_delimited(5, b"name") + unknown
    span += length_delimited(9, length_delimited(1, b"b") + TEXT) + b"\x48\x07" + unknown
    resource = unknown + length_delimited(1, KEY + TEXT)
    scoped = unknown + length_delimited(2, span) + unknown
    owner = unknown + length_delimited(1, resource) + length_delimited(2, scoped) + unknown
    payload = unknown + length_delimited(1, owner) + unknown

    changed = edited(
        kernels, "traces", payload, Set(item("b"), "y"), Set(item("c"), 1), Set(Attribute("resource", "a"), "z")
    )

    assert changed.count(unknown) == payload.count(unknown) == 10
    assert b"\x48\x07" in changed
    [found] = messages("traces", changed, "item")
    assert (found.name, list(found.attributes)) == ("name", pairs(a="x", b="y", c=1))
    assert attributes("traces", changed, "resource") == [pairs(a="z")]


def test_a_message_that_comes_in_parts_is_one(kernels):
    resource = length_delimited(1, length_delimited(1, KEY + TEXT))
    other = length_delimited(1, length_delimited(1, length_delimited(1, b"b") + TEXT))
    status = [
        length_delimited(15, Status(message="m").SerializeToString() + UNKNOWN),
        length_delimited(15, b"\x18\x02"),
    ]
    span = status[0] + length_delimited(5, b"first") + status[1] + length_delimited(5, b"second")
    payload = length_delimited(1, resource + length_delimited(2, length_delimited(2, span)) + other)

    changed = edited(
        kernels,
        "traces",
        payload,
        Delete(Attribute("resource", "b")),
        Set(Field("item", "status.code"), 1),
        Set(item("status"), Field("item", "status.message")),
        Set(item("name"), Field("item", "name")),
        Set(Field("item", "name"), "third"),
    )

    assert attributes("traces", changed, "resource") == [pairs(a="x")]
    [found] = messages("traces", changed, "item")
    assert (found.status.code, found.status.message, found.name) == (1, "m", "third")
    assert list(found.attributes) == pairs(status="m", name="second")
    assert UNKNOWN in changed


def test_a_resource_and_a_scope_that_are_missing_are_made(kernels):
    payload = length_delimited(1, length_delimited(2, length_delimited(2, b"")))
    edits = [
        Set(Attribute("resource", "a"), 1),
        Set(Attribute("scope", "b"), 2),
        Set(Field("scope", "schema_url"), "u"),
    ]

    changed = ExportTraceServiceRequest.FromString(edited(kernels, "traces", payload, *edits))

    expected = ExportTraceServiceRequest()
    owner = expected.resource_spans.add()
    owner.resource.attributes.extend(pairs(a=1))
    scoped = owner.scope_spans.add(schema_url="u", spans=[Span()])
    scoped.scope.attributes.extend(pairs(b=2))
    assert changed == expected
    gone = [
        Delete(Attribute("resource", "a")),
        Set(Attribute("scope", "b"), 2, "present"),
        Delete(Field("scope", "name")),
    ]
    assert edited(kernels, "traces", payload, *gone) is payload


def test_points_that_do_not_count_are_not_edited(kernels):
    # Of a oneof the last member counts: the gauge's points are none.
    gauge, total = (
        length_delimited(kind, length_delimited(1, length_delimited(7, KEY + TEXT)) * count)
        for kind, count in ((5, 2), (7, 1))
    )
    payload = length_delimited(1, length_delimited(2, length_delimited(2, gauge + total + total)))

    changed = edited(kernels, "metrics", payload, Set(item("a"), "new"), mask=b"\0\1")

    assert attributes("metrics", changed, "item") == [pairs(a="x"), pairs(a="new")]


def deep(levels: int) -> AnyValue:
    """Lists in one another."""
    made = AnyValue(int_value=1)
    for _ in range(levels):
        around = AnyValue()
        around.array_value.values.append(made)
        made = around
    return made


def test_a_copy_that_would_lie_too_deep_is_not_made(kernels):
    # A value of a resource lies under 4 messages and one of a link under 6: there are 100 in all.
    request = ExportTraceServiceRequest()
    owner = request.resource_spans.add()
    owner.resource.attributes.extend(pairs(most=deep(48), less=deep(47)))
    owner.scope_spans.add().spans.add().links.add()
    payload = request.SerializeToString()
    assert kernels.validate("traces", payload)[0] is payload

    changed = edited(
        kernels,
        "traces",
        payload,
        *(Set(Attribute("link", key), Attribute("resource", key)) for key in ("most", "less")),
        *(Set(Attribute("resource", "in", ("a", "b")), Attribute("resource", key)) for key in ("most", "less")),
    )

    assert kernels.validate("traces", changed)[0] is changed
    assert [[pair.key for pair in found] for found in attributes("traces", changed, "link")] == [["less"]]
    assert [pair.key for pair in attributes("traces", changed, "resource")[0]] == ["most", "less"]


def test_copies_cannot_make_much_of_little(monkeypatch):
    reference = importlib.import_module("airis.data.reference.edits")
    monkeypatch.setattr(reference, "MAX_EDITED_BYTES", 3000)
    payload = traces(*[Span() for _ in range(5)])
    edits = reference.Edits(
        [Set(Attribute("resource", "long"), "x" * 500), Set(item("a"), Attribute("resource", "long"))]
    )

    with pytest.raises(MalformedPayload, match="more than 1 GiB"):
        reference.edited("traces", otlp.parse("traces", payload), edits, None)
