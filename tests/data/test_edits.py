"""What edits do to attributes and fields at every level, to which items, and which edits there cannot be."""

import importlib
import math
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

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
    Value,
)
from airis.data.fields import Attribute, Field, Source
from airis.data.malformed import MalformedPayload
from airis.proto import otlp

from .edit_requests import (
    LEVELS,
    PAYLOADS,
    after,
    attributes,
    edited,
    item,
    messages,
    pairs,
    traces,
    value,
)


@pytest.mark.parametrize(("signal", "level"), LEVELS)
def test_attributes_are_edited_at_every_level_and_nothing_else_is(kernels, signal, level):
    payload = PAYLOADS[signal]
    others = [other for known, other in LEVELS if known == signal and other != level]
    key = Attribute(level, "a")
    edits = [
        Set(Attribute(level, "new"), "x" * 200),
        Set(Attribute(level, "copy"), key),
        Hash(key, "md5"),
        Rename(level, "copy", "kept"),
        Set(key, 1, "absent"),
    ]

    changed = edited(kernels, signal, payload, *edits)

    digest = importlib.import_module("hashlib").md5(level.encode()).hexdigest()
    for before, found in zip(attributes(signal, payload, level), attributes(signal, changed, level), strict=True):
        assert found == [*pairs(a=digest), *before[1:], *pairs(new="x" * 200, kept=level)]
    for other in others:
        assert attributes(signal, changed, other) == attributes(signal, payload, other)
    undone = edited(kernels, signal, changed, Delete(Attribute(level, "new")), Rename(level, "kept", "a"))
    for before, found in zip(attributes(signal, payload, level), attributes(signal, undone, level), strict=True):
        assert sorted(found, key=lambda pair: pair.key) == before


@pytest.mark.parametrize(("signal", "level"), LEVELS)
def test_what_changes_nothing_gives_back_the_same_object(kernels, signal, level):
    payload, key, missing = PAYLOADS[signal], Attribute(level, "a"), Attribute(level, "missing")
    edits = [
        Set(key, level),
        Set(key, 1, "absent"),
        Set(missing, 1, "present"),
        Set(key, missing),
        Set(key, key),
        Delete(missing),
        Delete(Attribute(level, "a", ("b",))),
        Hash(missing),
        Convert(key, "string"),
        Convert(key, "int"),
        Rename(level, "missing", "a"),
        Rename(level, "a", "a"),
        Truncate(level, 8),
        Limit(level, 2),
        KeepKeys(level, ["a", "b", "n", "r", "s"]),
    ]

    assert edited(kernels, signal, payload, *edits) is payload
    assert edited(kernels, signal, payload) is payload


VALUES: list[Any] = [
    *("", "text", "ü" * 200, True, False, 0, 1, -1, (1 << 63) - 1, -(1 << 63), 0.0, -0.5, math.inf, None),
    *(b"", b"\xff\x00", [], {}, [1, "x", None, [2.5]], {"k": {"": b"x"}, "l": [True]}),
]


@pytest.mark.parametrize("literal", VALUES, ids=repr)
def test_a_value_of_any_type_is_written_and_written_over(kernels, literal):
    before = pairs(a=1, b=2)

    assert after(kernels, before, Set(item("c"), literal)) == [*before, *pairs(c=literal)]
    assert after(kernels, before, Set(item("a"), literal)) == pairs(a=literal, b=2)
    assert after(kernels, pairs(a=literal), Set(item("b"), item("a"))) == pairs(a=literal, b=literal)
    assert after(kernels, pairs(a=literal), Set(item("a"), "text")) == pairs(a="text")


@pytest.mark.parametrize(
    ("when", "there", "missing"),
    [("always", 9, 9), ("absent", 1, 9), ("present", 9, None)],
    ids=["always", "absent", "present"],
)
def test_a_value_is_written_when_wanted(kernels, when, there, missing):
    found = after(kernels, pairs(a=1), Set(item("a"), 9, when), Set(item("b"), 9, when))

    assert found == [*pairs(a=there), *(pairs(b=missing) if missing else [])]


@pytest.mark.parametrize(
    ("source", "copy"),
    [
        (Attribute("resource", "r"), 1),
        (Attribute("scope", "a"), "scope"),
        (Attribute("item", "b"), True),
        (Field("resource", "schema_url"), "https://r"),
        (Field("scope", "schema_url"), "https://s"),
        (Field("scope", "name"), "lib"),
        (Field("scope", "version"), "1"),
        (Field("item", "name"), "get"),
        (Field("item", "kind"), 2),
        (Field("item", "trace_state"), "k=v"),
        (Field("item", "status.code"), 2),
        (Field("item", "status.message"), "bad"),
        (Field("item", "start_time_unix_nano"), 1),
        (Field("item", "flags"), 3),
        (Field("item", "trace_id"), "01" * 16),
        (Field("item", "parent_span_id"), "03" * 8),
    ],
    ids=lambda source: f"{source.level} {getattr(source, 'name', '')}" if isinstance(source, Source) else None,
)
@pytest.mark.parametrize("level", ["item", "event", "link"])
def test_a_value_is_copied_from_what_is_around(kernels, level, source, copy):
    changed = edited(kernels, "traces", PAYLOADS["traces"], Set(Attribute(level, "copy"), source))

    assert [found[-1] for found in attributes("traces", changed, level)] == pairs(copy=copy) * (
        1 if level == "item" else 2
    )


def test_a_point_gets_what_its_metric_has(kernels):
    changed = edited(
        kernels,
        "metrics",
        PAYLOADS["metrics"],
        Set(Attribute("item", "unit"), Field("metric", "unit")),
        Set(Attribute("exemplar", "of"), Attribute("metric", "a")),
        Set(Attribute("exemplar", "n"), Attribute("item", "n")),
    )

    assert [found[2:] for found in attributes("metrics", changed, "item")] == [pairs(unit="s")] * 10
    assert [found[1:] for found in attributes("metrics", changed, "exemplar")] == [
        pairs(of="metric", n=number) for _ in range(4) for number in range(2)
    ]


def test_an_edit_sees_what_those_before_it_made_and_no_more(kernels):
    changed = edited(
        kernels,
        "traces",
        PAYLOADS["traces"],
        Set(Attribute("item", "first"), Attribute("resource", "a")),
        Set(Attribute("resource", "a"), "changed"),
        Set(Attribute("item", "second"), Attribute("resource", "a")),
        Set(Attribute("event", "third"), Attribute("item", "second")),
        Delete(Attribute("resource", "a")),
        Set(Attribute("item", "fourth"), Attribute("resource", "a")),
        Set(Field("resource", "schema_url"), "https://new"),
        Set(Attribute("scope", "fifth"), Field("resource", "schema_url")),
    )

    assert attributes("traces", changed, "item")[0][2:] == pairs(first="resource", second="changed")
    assert [found[2:] for found in attributes("traces", changed, "event")] == [pairs(third="changed")] * 2
    assert attributes("traces", changed, "scope")[0][2:] == pairs(fifth="https://new")
    assert attributes("traces", changed, "resource") == [pairs(r=1)]


FIELDS: list[tuple[str, Field, Any]] = [
    *(
        ("traces", Field("item", name), text)
        for name in ("name", "trace_state", "status.message")
        for text in ("", "ü")
    ),
    ("traces", Field("item", "kind"), 0),
    ("traces", Field("item", "kind"), -1),
    ("traces", Field("item", "status.code"), 1),
    ("traces", Field("item", "status.code"), 0),
    ("traces", Field("item", "start_time_unix_nano"), (1 << 63) - 1),
    ("traces", Field("item", "end_time_unix_nano"), 0),
    ("traces", Field("item", "flags"), (1 << 32) - 1),
    ("traces", Field("event", "name"), "new"),
    ("traces", Field("event", "time_unix_nano"), 5),
    ("traces", Field("link", "trace_state"), "new"),
    ("traces", Field("link", "flags"), 0),
    ("traces", Field("scope", "name"), "new"),
    ("traces", Field("scope", "version"), ""),
    ("metrics", Field("metric", "name"), "new"),
    ("metrics", Field("metric", "description"), "new"),
    ("metrics", Field("metric", "unit"), ""),
    ("metrics", Field("item", "start_time_unix_nano"), 5),
    ("metrics", Field("item", "time_unix_nano"), 5),
    ("metrics", Field("item", "flags"), 300),
    ("metrics", Field("exemplar", "time_unix_nano"), 5),
    ("logs", Field("item", "severity_number"), 17),
    ("logs", Field("item", "severity_text"), "ERROR"),
    ("logs", Field("item", "event_name"), ""),
    ("logs", Field("item", "time_unix_nano"), 5),
    ("logs", Field("item", "observed_time_unix_nano"), 0),
    ("logs", Field("item", "flags"), 7),
]


def content(message: Any, name: str) -> Any:
    """What a field of a message holds."""
    for part in name.split("."):
        message = getattr(message, part)
    return message


@pytest.mark.parametrize(("signal", "field", "new"), FIELDS, ids=str)
def test_a_field_is_written_and_all_around_it_kept(kernels, signal, field, new):
    payload = PAYLOADS[signal]

    changed = edited(kernels, signal, payload, Set(field, new))
    cleared = edited(kernels, signal, payload, Delete(field))

    for before, found, empty in zip(
        *(messages(signal, each, field.level) for each in (payload, changed, cleared)), strict=True
    ):
        assert content(found, field.name) == new != content(before, field.name)
        assert content(empty, field.name) == type(new)()
        for message in (found, empty):
            owner, _, name = field.name.rpartition(".")
            setattr(content(message, owner) if owner else message, name, content(before, field.name))
            assert message == before


def test_a_schema_url_is_written(kernels):
    edits = [
        Set(Field("resource", "schema_url"), "https://new"),
        Set(Field("scope", "schema_url"), Attribute("resource", "a")),
    ]
    for signal, payload in PAYLOADS.items():
        request: Any = otlp.parse(signal, edited(kernels, signal, payload, *edits))
        owner = getattr(request, {"traces": "resource_spans", "logs": "resource_logs"}.get(signal, "resource_metrics"))[
            0
        ]
        scoped = getattr(owner, {"traces": "scope_spans", "logs": "scope_logs"}.get(signal, "scope_metrics"))[0]
        assert (owner.schema_url, scoped.schema_url) == ("https://new", "resource")
        cleared = edited(kernels, signal, payload, Delete(Field("resource", "schema_url")))
        assert b"https://r" not in cleared
        assert b"https://s" in cleared


@pytest.mark.parametrize(
    ("edit", "body"),
    [
        (Set(Field("item", "body"), "text"), "text"),
        (Set(Field("item", "body"), None), None),
        (Set(Field("item", "body", ("user", "id")), 8), {"user": {"id": 8}, "list": ["x", "y"]}),
        (Set(Field("item", "body", ("list", 1)), 8), {"user": {"id": 7}, "list": ["x", 8]}),
        (Set(Field("item", "body"), Field("item", "body", ("user",))), {"id": 7}),
        (Set(Field("item", "body"), Attribute("item", "a")), "item"),
        (Delete(Field("item", "body", ("list",))), {"user": {"id": 7}}),
        (Convert(Field("item", "body"), "string"), '{"list":["x","y"],"user":{"id":7}}'),
        (
            Hash(Field("item", "body", ("list", 0)), "md5"),
            {"user": {"id": 7}, "list": ["9dd4e461268c8034f5c8564e155c67a6", "y"]},
        ),
    ],
    ids=str,
)
def test_a_body_is_edited_as_a_value(kernels, edit, body):
    [record] = messages("logs", edited(kernels, "logs", PAYLOADS["logs"], edit), "item")

    assert record.body == value(body)


def test_a_body_is_taken_away(kernels):
    [record] = messages("logs", edited(kernels, "logs", PAYLOADS["logs"], Delete(Field("item", "body"))), "item")

    assert not record.HasField("body")


@pytest.mark.parametrize(
    ("edit", "target"),
    [
        (Set(Field("item", "name"), Attribute("item", "b")), "a bool as a text"),
        (Set(Field("item", "kind"), Attribute("item", "a")), "a text as a number"),
        (Set(Field("item", "start_time_unix_nano"), Attribute("item", "negative")), "a time before 1970"),
        (Set(Field("item", "kind"), Attribute("item", "large")), "more than 32 bits"),
        (Set(Field("item", "flags"), Attribute("item", "negative")), "a negative number as flags"),
    ],
)
def test_a_value_of_a_wrong_type_is_not_copied_to_a_field(kernels, edit, target):
    payload = traces(Span(attributes=pairs(a="t", b=True, negative=-1, large=1 << 40), name="n"))

    assert edited(kernels, "traces", payload, edit) is payload, target


@pytest.mark.parametrize(
    ("edit", "keys"),
    [
        (Delete(item("b")), "acd"),
        (KeepKeys("item", ["d", "a", "x"]), "ad"),
        (KeepKeys("item", []), ""),
        (DeleteMatching("item", "[bc]"), "ad"),
        (DeleteMatching("item", "^(?:a|d)$"), "bc"),
        (DeleteMatching("item", ""), ""),
        (DeleteMatching("item", "x"), "abcd"),
        (Rename("item", "b", "x"), "axcd"),
        (Rename("item", "b", "d"), "adc"),
        (Rename("item", "d", "a"), "bca"),
        (Rename("item", "b", "d", "keep"), "abcd"),
        (Rename("item", "x", "a"), "abcd"),
        (Limit("item", 2), "ab"),
        (Limit("item", 2, ["d"]), "ad"),
        (Limit("item", 1, ["d", "c"]), "cd"),
        (Limit("item", 0), ""),
        (Limit("item", 9), "abcd"),
    ],
    ids=str,
)
def test_attributes_are_chosen_by_key(kernels, edit, keys):
    found = after(kernels, pairs(a=1, b=2, c=3, d=4), edit)

    assert "".join(pair.key for pair in found) == keys
    if isinstance(edit, Rename) and keys != "abcd":
        assert next(pair.value for pair in found if pair.key == edit.new).int_value == "abcd".index(edit.old) + 1


SPANS = [("r1", ["s1", "s1", "s2"]), ("r2", ["s3"])]


@pytest.mark.parametrize(
    ("mask", "resources", "scopes"),
    [
        (None, {"r1", "r2"}, {"s1", "s2", "s3"}),
        (b"\1\1\1\1", {"r1", "r2"}, {"s1", "s2", "s3"}),
        (b"\0\1\0\0", {"r1"}, {"s1"}),
        (b"\0\0\1\0", {"r1"}, {"s2"}),
        (b"\0\0\0\xff", {"r2"}, {"s3"}),
        (b"\0\0\0\0", set(), set()),
    ],
)
def test_a_mask_chooses_items_and_what_owns_one_of_them(kernels, mask, resources, scopes):
    request = ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                scope_spans=[
                    ScopeSpans(spans=[Span(name=s) for s in names if s == scope]) for scope in dict.fromkeys(names)
                ]
            )
            for _, names in SPANS
        ]
    )
    for owner, (name, _) in zip(request.resource_spans, SPANS, strict=True):
        owner.resource.attributes.extend(pairs(name=name))
        for scoped in owner.scope_spans:
            scoped.scope.name = scoped.spans[0].name
    edits = [Set(Attribute(level, "x"), 1) for level in ("resource", "scope", "item")]

    payload = edited(kernels, "traces", request.SerializeToString(), *edits, mask=mask)

    changed = ExportTraceServiceRequest.FromString(payload).resource_spans
    assert {o.resource.attributes[0].value.string_value for o in changed if len(o.resource.attributes) > 1} == resources
    assert {s.scope.name for o in changed for s in o.scope_spans if s.scope.attributes} == scopes
    assert [len(span.attributes) for o in changed for s in o.scope_spans for span in s.spans] == [
        int(byte > 0) for byte in mask or b"\1\1\1\1"
    ]


def test_a_mask_of_another_length_is_refused(kernels):
    with pytest.raises(ValueError, match="a mask of 2 bytes for 1 items"):
        edited(kernels, "traces", PAYLOADS["traces"], Delete(item("a")), mask=b"\0\0")


@pytest.mark.parametrize(
    ("signal", "edit", "fault"),
    [
        ("traces", Delete(Field("item", "body")), "traces have no item body"),
        ("logs", Set(item("a"), Field("item", "name")), "logs have no item name"),
        ("logs", KeepKeys("event", []), "logs have no event attributes"),
        ("metrics", Delete(Attribute("link", "a")), "metrics have no link attributes"),
        ("traces", Truncate("metric", 1), "traces have no metric attributes"),
        ("traces", Limit("exemplar", 1), "traces have no exemplar attributes"),
        ("traces", Set(item("a"), Field("metric", "name")), "traces have no metric name"),
        ("logs", Set(item("a"), Attribute("metric", "a")), "logs have no metric attributes"),
    ],
    ids=str,
)
def test_what_a_signal_does_not_have_is_refused(kernels, signal, edit, fault):
    with pytest.raises(ValueError, match=fault) as caught:
        edited(kernels, signal, PAYLOADS[signal], edit)
    assert not isinstance(caught.value, MalformedPayload)


DEEP_LITERAL: Value = 1


for _ in range(26):
    DEEP_LITERAL = [DEEP_LITERAL]


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: Set(Field("item", "kind"), "x"), "item kind is a number from -2147483648 to 2147483647, not 'x'"),
        (lambda: Set(Field("item", "kind"), 1 << 31), "item kind is a number"),
        (lambda: Set(Field("item", "kind"), True), "item kind is a number"),
        (lambda: Set(Field("item", "flags"), -1), "item flags is a number from 0 to 4294967295"),
        (lambda: Set(Field("item", "time_unix_nano"), -1), "item time_unix_nano is a number"),
        (lambda: Set(Field("item", "name"), 1), "item name is a text, not 1"),
        (lambda: Set(Field("item", "trace_id"), "00"), "cannot be done to item trace_id"),
        (lambda: Set(Field("item", "nonsense"), 1), "there is no item nonsense"),
        (lambda: Set(Field("item", "name", ("a",)), 1), "nothing inside item name"),
        (lambda: Set(Field("planet", "name"), 1), "level is one of resource, scope, .*, not 'planet'"),  # type: ignore[arg-type]
        (lambda: Set(item("a"), Attribute("event", "b")), "a value for item cannot come from event attributes"),
        (lambda: Set(Attribute("event", "a"), Attribute("link", "b")), "a value for event cannot come from link"),
        (lambda: Set(Attribute("resource", "a"), item("b")), "a value for resource cannot come from item"),
        (lambda: Set(item("a"), 1 << 63), "more than 64 bits"),
        (lambda: Set(item("a"), object()), "nothing that an attribute can hold"),  # type: ignore[arg-type]
        (lambda: Set(item("a"), "\ud800"), "must be texts"),
        (lambda: Set(item("a"), {1: 2}), "keys must be texts"),  # type: ignore[dict-item]
        (lambda: Set(item("a"), DEEP_LITERAL), "at most 25 lists and maps"),
        (lambda: Set(item("a", *("k",) * 26), 1), "at most 25 steps"),
        (lambda: Set(item("a", -1), 1), "a key or an index from 0, not -1"),
        (lambda: Set(item("a"), 1, "sometimes"), "when is one of always, absent, present, not 'sometimes'"),  # type: ignore[arg-type]
        (lambda: Hash(Field("item", "kind")), "cannot be done to item kind"),
        (lambda: Hash(item("a"), "crc32"), "algorithm is one of"),  # type: ignore[arg-type]
        (lambda: Hash(item("a"), "hmac_sha256"), "hmac_sha256 needs a key"),
        (lambda: Hash(item("a"), "sha256", b"k"), "sha256 takes no key"),
        (lambda: Convert(Field("item", "name"), "int"), "cannot be done to item name"),
        (lambda: Convert(item("a"), "array"), "to is one of"),  # type: ignore[arg-type]
        (lambda: Extract(Attribute("event", "a"), "(?P<a>.)", "item"), "a value for item cannot come from event"),
        (lambda: DeleteMatching("item", 1), "pattern must be texts"),  # type: ignore[arg-type]
        (lambda: KeepKeys("item", "abc"), "keys must be texts, not 'abc'"),
        (lambda: KeepKeys("item", [1]), "keys must be texts"),  # type: ignore[list-item]
        (lambda: Rename("item", "a", 1), "old and new must be texts"),  # type: ignore[arg-type]
        (lambda: Rename("item", "a", "b", "maybe"), "when_taken is one of"),  # type: ignore[arg-type]
        (lambda: Truncate("item", -1), "max_bytes is a number from 0 to 2147483647, not -1"),
        (lambda: Limit("item", True), "count is a number"),
    ],
)
def test_an_edit_that_cannot_be_is_refused_when_it_is_made(make, fault):
    with pytest.raises(ValueError, match=fault):
        make()


def test_what_is_no_edit_is_refused(kernels):
    with pytest.raises(ValueError, match="is no edit"):
        kernels.Edits(["delete everything"])


def test_a_payload_that_cannot_be_read_is_malformed(kernels):
    with pytest.raises(MalformedPayload):
        edited(kernels, "traces", b"\x0a\x05", Delete(item("a")))


def test_requests_in_a_row_are_one(kernels):
    changed = edited(kernels, "traces", PAYLOADS["traces"] * 2, Delete(item("a")))

    assert attributes("traces", changed, "item") == [pairs(b=True)] * 2
