"""What edits do to attributes and fields at every level, to values of every type, and to the unusual on the wire."""

import importlib
import math
from typing import Any, get_args

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from airis.data.edits import (
    Algorithm,
    Convert,
    Delete,
    DeleteMatching,
    Edit,
    Extract,
    Hash,
    KeepKeys,
    Limit,
    Rename,
    Set,
    Truncate,
    Value,
)
from airis.data.expressions import InvalidExpression
from airis.data.fields import Attribute, Field, Level, Source
from airis.data.malformed import MalformedPayload
from airis.proto import otlp
from airis.proto.wire import VARINT, length_delimited, to_varint

METRIC_KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")


def value(literal: Any) -> AnyValue:
    """A literal as a message."""
    match literal:
        case AnyValue():
            return literal
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=literal)
        case int():
            return AnyValue(int_value=literal)
        case float():
            return AnyValue(double_value=literal)
        case str():
            return AnyValue(string_value=literal)
        case bytes():
            return AnyValue(bytes_value=literal)
    made = AnyValue()
    if isinstance(literal, dict):
        made.kvlist_value.SetInParent()
        made.kvlist_value.values.extend(pairs(**literal))
    else:
        made.array_value.SetInParent()
        made.array_value.values.extend(map(value, literal))
    return made


def pairs(**literals: Any) -> list[KeyValue]:
    """Attributes."""
    return [KeyValue(key=key, value=value(literal)) for key, literal in literals.items()]


def traces(*spans: Span) -> bytes:
    """Spans in one scope."""
    request = ExportTraceServiceRequest()
    owner = request.resource_spans.add(schema_url="https://r")
    owner.resource.attributes.extend(pairs(a="resource", r=1))
    scoped = owner.scope_spans.add(schema_url="https://s", spans=spans)
    scoped.scope.name, scoped.scope.version = "lib", "1"
    scoped.scope.attributes.extend(pairs(a="scope", s=1))
    return request.SerializeToString()


def full_span() -> Span:
    """A span with an event and a link, each with attributes."""
    span = Span(name="get", kind=2, trace_state="k=v", start_time_unix_nano=1, end_time_unix_nano=2, flags=3)
    span.trace_id, span.span_id, span.parent_span_id = b"\x01" * 16, b"\x02" * 8, b"\x03" * 8
    span.status.code, span.status.message = 2, "bad"  # type: ignore[assignment]
    span.attributes.extend(pairs(a="item", b=True))
    for number in range(2):
        span.events.add(name="event", time_unix_nano=9).attributes.extend(pairs(a="event", n=number))
        span.links.add(trace_id=b"\x04" * 16, trace_state="l=v", flags=4).attributes.extend(pairs(a="link", n=number))
    return span


def logs() -> bytes:
    """One log record with everything."""
    request = ExportLogsServiceRequest()
    owner = request.resource_logs.add(schema_url="https://r")
    owner.resource.attributes.extend(pairs(a="resource"))
    scoped = owner.scope_logs.add(schema_url="https://s")
    scoped.scope.attributes.extend(pairs(a="scope"))
    record = scoped.log_records.add(severity_text="INFO", event_name="e", flags=1, trace_id=b"\xab\xcd")
    record.severity_number, record.time_unix_nano, record.observed_time_unix_nano = 9, 1, 2  # type: ignore[assignment]
    record.body.CopyFrom(value({"user": {"id": 7}, "list": ["x", "y"]}))
    record.attributes.extend(pairs(a="item"))
    return request.SerializeToString()


def metrics() -> bytes:
    """A metric of each kind with two points, exemplars where there can be some."""
    request = ExportMetricsServiceRequest()
    owner = request.resource_metrics.add(schema_url="https://r")
    owner.resource.attributes.extend(pairs(a="resource"))
    scoped = owner.scope_metrics.add(schema_url="https://s")
    scoped.scope.attributes.extend(pairs(a="scope"))
    for kind in METRIC_KINDS:
        metric = scoped.metrics.add(name=kind, unit="s", description="d")
        metric.metadata.extend(pairs(a="metric"))
        for number in range(2):
            point = getattr(metric, kind).data_points.add(start_time_unix_nano=1, time_unix_nano=2, flags=1)
            point.attributes.extend(pairs(a="item", n=number))
            if kind != "summary":
                exemplar = point.exemplars.add(time_unix_nano=3, trace_id=b"\x05" * 16)
                exemplar.filtered_attributes.extend(pairs(a="exemplar"))
    return request.SerializeToString()


PAYLOADS = {"traces": traces(full_span()), "metrics": metrics(), "logs": logs()}
LEVELS: list[tuple[str, Level]] = [
    *(("traces", level) for level in ("resource", "scope", "item", "event", "link")),
    *(("metrics", level) for level in ("resource", "scope", "metric", "item", "exemplar")),
    *(("logs", level) for level in ("resource", "scope", "item")),
]  # type: ignore[list-item]


def edited(kernels: Any, signal: str, payload: bytes, *edits: Edit, mask: bytes | None = None) -> bytes:
    """The payload after the edits."""
    return kernels.scan(signal, payload).edit(kernels.Edits(edits), mask).payload


def messages(signal: str, payload: bytes, level: Level) -> list[Any]:
    """All messages at a level."""
    found: list[Any] = [otlp.parse(signal, payload)]
    steps = {
        "traces": ["resource_spans", "scope_spans", "spans"],
        "metrics": ["resource_metrics", "scope_metrics", "metrics"],
        "logs": ["resource_logs", "scope_logs", "log_records"],
    }[signal]
    for step in steps[: {"resource": 1, "scope": 2}.get(level, 3)]:
        found = [inner for message in found for inner in getattr(message, step)]
    if level in ("resource", "scope"):
        return [getattr(message, level) for message in found]
    if signal == "metrics" and level != "metric":
        found = [point for metric in found for point in getattr(metric, metric.WhichOneof("data")).data_points]
    if level in ("event", "link", "exemplar"):
        found = [inner for message in found for inner in getattr(message, f"{level}s", ())]
    return found


def attributes(signal: str, payload: bytes, level: Level) -> list[list[KeyValue]]:
    """The attributes of all messages at a level."""
    name = {"metric": "metadata", "exemplar": "filtered_attributes"}.get(level, "attributes")
    return [list(getattr(message, name)) for message in messages(signal, payload, level)]


def after(kernels: Any, before: list[KeyValue], *edits: Edit) -> list[KeyValue]:
    """What the attributes of a span become."""
    payload = edited(kernels, "traces", traces(Span(attributes=before)), *edits)
    [found] = attributes("traces", payload, "item")
    return found


def item(key: str, *path: str | int) -> Attribute:
    """An attribute of an item."""
    return Attribute("item", key, path)


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


NESTED = {"user": {"id": 7, "tags": ["x", {"y": 1}]}, "empty": None, "text": "t"}


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        (("user", "id"), {**NESTED, "user": {"id": 9, "tags": ["x", {"y": 1}]}}),
        (("user", "tags", 0), {**NESTED, "user": {"id": 7, "tags": [9, {"y": 1}]}}),
        (("user", "tags", 1, "y"), {**NESTED, "user": {"id": 7, "tags": ["x", {"y": 9}]}}),
        (("user",), {**NESTED, "user": 9}),
        # What is missing is made, of maps.
        (("new", "deep", "er"), {**NESTED, "new": {"deep": {"er": 9}}}),
        (("empty", "k"), {**NESTED, "empty": {"k": 9}}),
        # An index must be there, and a text has nothing inside.
        (("user", "tags", 2), NESTED),
        (("user", 0), NESTED),
        (("new", 0), NESTED),
        (("text", "k"), NESTED),
        (("user", "tags", "k"), NESTED),
    ],
    ids=repr,
)
def test_a_value_is_written_inside_another(kernels, path, changed):
    assert after(kernels, pairs(a=NESTED), Set(item("a", *path), 9)) == pairs(a=changed)


def test_a_path_in_an_attribute_that_is_missing_makes_it(kernels):
    assert after(kernels, [], Set(item("a", "b", "c"), 1)) == pairs(a={"b": {"c": 1}})
    assert after(kernels, [], Set(item("a", 0), 1), Set(item("a", "b"), 1, "present")) == []


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        (("user", "id"), {**NESTED, "user": {"tags": ["x", {"y": 1}]}}),
        (("user", "tags", 0), {**NESTED, "user": {"id": 7, "tags": [{"y": 1}]}}),
        (("user", "tags", 1, "y"), {**NESTED, "user": {"id": 7, "tags": ["x", {}]}}),
        (("empty",), {"user": NESTED["user"], "text": "t"}),
        (("user", "tags", 2), NESTED),
        (("missing",), NESTED),
        (("missing", "k"), NESTED),
        (("text", "k"), NESTED),
        (("text", 0), NESTED),
    ],
    ids=repr,
)
def test_what_is_inside_a_value_is_deleted(kernels, path, changed):
    assert after(kernels, pairs(a=NESTED), Delete(item("a", *path))) == pairs(a=changed)


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


@pytest.mark.parametrize(
    ("text", "max_bytes", "cut"),
    [
        ("abc", 3, "abc"),
        ("abc", 2, "ab"),
        ("abc", 0, ""),
        ("aüb", 3, "aü"),
        ("aüb", 2, "a"),
        ("\U0001f600x", 3, ""),
        ("\U0001f600x", 4, "\U0001f600"),
        ("x" * 300, 200, "x" * 200),
    ],
)
def test_a_text_is_cut_at_a_character(kernels, text, max_bytes, cut):
    before = pairs(a=text, b=["x" * 9], c=b"x" * 9, d=1)

    assert after(kernels, before, Truncate("item", max_bytes)) == [*pairs(a=cut), *before[1:]]


LITTLE = [
    # Digests of what the Collector's attributes processor hashes: sha256 of text, one byte, eight bytes.
    ("sha256", b"", "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("sha256", b"", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ("sha256", b"", True, "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"),
    ("sha256", b"", False, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ("sha256", b"", 1, "7c9fa136d4413fa6173637e883b6998d32e1d675f88cddff9dcbcf331820f4b8"),
    ("sha256", b"", 0.0, "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc"),
    ("sha1", b"", "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
    ("md5", b"", "abc", "900150983cd24fb0d6963f7d28e17f72"),
    (
        "hmac_sha256",
        b"Jefe",
        "what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    ("xxh3_64", b"", "", "2d06800538d394c2"),
    ("xxh3_128", b"", "", "99aa06d3014798d86001c324468d497f"),
]


@pytest.mark.parametrize(("algorithm", "key", "literal", "digest"), LITTLE, ids=str)
def test_a_value_is_hashed(kernels, algorithm, key, literal, digest):
    assert after(kernels, pairs(a=literal, b=1), Hash(item("a"), algorithm, key)) == pairs(a=digest, b=1)


@pytest.mark.parametrize("algorithm", get_args(Algorithm))
@pytest.mark.parametrize("literal", [None, b"x", ["x"], {"k": 1}], ids=repr)
def test_what_has_no_bytes_to_hash_becomes_an_empty_text(kernels, algorithm, literal):
    key = b"k" if algorithm == "hmac_sha256" else b""

    assert after(kernels, pairs(a=literal), Hash(item("a"), algorithm, key)) == pairs(a="")


URL = r"^(?P<scheme>https?)://(?P<host>[^/:]+)(?::(?P<port>\d+))?/"


def test_the_groups_of_a_pattern_become_attributes(kernels):
    before = pairs(url="https://ü.example:443/p", port="old", other=1)

    found = after(kernels, before, Extract(item("url"), URL, "item"))

    assert found == [*pairs(url="https://ü.example:443/p", port="443", other=1, scheme="https", host="ü.example")]


@pytest.mark.parametrize(
    ("literal", "extracted"),
    [
        ("http://h/", {"scheme": "http", "host": "h", "port": ""}),
        ("ftp://h/", {}),
        ("", {}),
        (b"http://h/", {}),
        (["http://h/"], {}),
        (None, {}),
    ],
    ids=repr,
)
def test_of_no_match_and_of_no_text_nothing_is_extracted(kernels, literal, extracted):
    assert after(kernels, pairs(url=literal), Extract(item("url"), URL, "item")) == pairs(url=literal, **extracted)


def test_a_field_or_what_is_around_is_searched_as_well(kernels):
    changed = edited(
        kernels,
        "traces",
        PAYLOADS["traces"],
        Extract(Field("item", "name"), "(?P<first>.)", "item"),
        Extract(Field("resource", "schema_url"), "://(?P<url>.*)", "event"),
        Extract(Attribute("item", "first"), "(?P<again>.)", "link"),
    )

    assert attributes("traces", changed, "item")[0][2:] == pairs(first="g")
    assert [found[2:] for found in attributes("traces", changed, "event")] == [pairs(url="r")] * 2
    assert [found[2:] for found in attributes("traces", changed, "link")] == [pairs(again="g")] * 2


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (DeleteMatching("item", "("), "."),
        (DeleteMatching("item", "(?=a)"), "."),
        (Extract(item("a"), "(?P<a>.)(b)", "item"), "all groups of .* must have names"),
        (Extract(item("a"), "b", "item"), "all groups of 'b' must have names, and there must be one"),
    ],
    ids=str,
)
def test_a_pattern_that_cannot_be_is_refused_when_edits_are_compiled(kernels, edit, fault):
    with pytest.raises(InvalidExpression, match=fault):
        kernels.Edits([edit])


LARGEST, SMALLEST = (1 << 63) - 1, -(1 << 63)
CONVERTED: list[tuple[Any, str, Any]] = [
    *((text, "int", int(text)) for text in ("0", "-5", "+7", "007", str(LARGEST), str(SMALLEST))),
    *((text, "int", text) for text in ("", " 1", "1 ", "1.0", "1e3", "0x1", "1_0", "+", "--1", "٣", str(1 << 63))),
    *((2.9, "int", 2), (-2.9, "int", -2), (1e300, "int", LARGEST), (-1e300, "int", SMALLEST), (math.nan, "int", 0)),
    *((math.inf, "int", LARGEST), (True, "int", 1), (False, "int", 0), (5, "int", 5)),
    *((b"1", "int", b"1"), (None, "int", None), ([1], "int", [1])),
    *((text, "double", float(text)) for text in ("0", "-5", "+7.25", "1e3", "1E-3", ".5", "5.", "1_0.2_5", "1e-999")),
    *(("inf", "double", math.inf), ("-Infinity", "double", -math.inf), ("+INF", "double", math.inf)),
    *(
        (text, "double", text)
        for text in ("", ".", "1e", "e1", "1e999", "0x1p2", "1__0", "_1", "1_", "1_.5", "+nan", " 1")
    ),
    *((3, "double", 3.0), ((1 << 53) + 1, "double", float(1 << 53)), (True, "double", 1.0), (0.5, "double", 0.5)),
    *((text, "bool", True) for text in ("1", "t", "T", "true", "True", "TRUE")),
    *((text, "bool", False) for text in ("0", "f", "F", "false", "False", "FALSE")),
    *((text, "bool", text) for text in ("", "yes", "tRUE", "2")),
    *((2, "bool", True), (0, "bool", False), (0.1, "bool", True), (-0.0, "bool", False), (math.nan, "bool", True)),
    *((b"", "bool", b""), (None, "bool", None)),
    *((5, "string", "5"), (-0.0, "string", "-0"), (1e21, "string", "1e+21"), (0.1, "string", "0.1")),
    *((True, "string", "true"), (None, "string", ""), (b"\xff\x00", "string", "/wA="), ("x", "string", "x")),
    (math.nan, "string", "json: unsupported value: NaN"),
    (math.inf, "string", "json: unsupported value: +Inf"),
    (-math.inf, "string", "json: unsupported value: -Inf"),
    ({"b": [1, 2.5, None, True], "a": {"": b"x"}}, "string", '{"a":{"":"eA=="},"b":[1,2.5,null,true]}'),
    (['<&>"\\\n\x01\x7f\u2028ü'], "string", '["<&>\\"\\\\\\n\\u0001\x7f\\u2028ü"]'),
    ([[], {}], "string", "[[],{}]"),
    ([1, math.nan], "string", ""),
    ({"a": math.inf}, "string", ""),
]


@pytest.mark.parametrize(("literal", "to", "converted"), CONVERTED, ids=str)
def test_a_value_is_converted_as_the_collector_does_it(kernels, literal, to, converted):
    [found] = after(kernels, pairs(a=literal), Convert(item("a"), to))

    assert found.value.SerializeToString() == value(converted).SerializeToString()


def test_a_text_that_is_no_number_to_count_with_becomes_it(kernels):
    [found] = after(kernels, pairs(a="NaN"), Convert(item("a"), "double"))

    assert math.isnan(found.value.double_value)


def test_of_a_map_with_a_key_twice_the_last_is_printed(kernels):
    twice = AnyValue()
    twice.kvlist_value.values.extend([*pairs(a=1), *pairs(a=2)])

    assert after(kernels, pairs(a=twice), Convert(item("a"), "string")) == pairs(a='{"a":2}')


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


def test_copies_cannot_make_much_of_little(monkeypatch):
    reference = importlib.import_module("airis.data.reference.edits")
    monkeypatch.setattr(reference, "MAX_EDITED_BYTES", 3000)
    payload = traces(*[Span() for _ in range(5)])
    edits = reference.Edits(
        [Set(Attribute("resource", "long"), "x" * 500), Set(item("a"), Attribute("resource", "long"))]
    )

    with pytest.raises(MalformedPayload, match="more than 1 GiB"):
        reference.edited("traces", otlp.parse("traces", payload), edits, None)


def test_requests_in_a_row_are_one(kernels):
    changed = edited(kernels, "traces", PAYLOADS["traces"] * 2, Delete(item("a")))

    assert attributes("traces", changed, "item") == [pairs(b=True)] * 2
