"""The attributes processor does what the Collector's documentation and examples say, to the items that it is for."""

import hashlib
import struct
from typing import Any

import pytest

from airis.component import Permanent
from airis.component.testing import Sink
from airis.data import Batch, Origin, Signal

from .actions import action, processor
from .requests import attributes, batch, items, typed

pytestmark = pytest.mark.usefixtures("either_back_end")

EXTRACT_DOCUMENT = r"^\/api\/v1\/document\/(?P<new_user_key>.*)\/update\/(?P<version>.*)$"
EXTRACT_URL = r"^(?P<http_protocol>.*):\/\/(?P<http_domain>.*)\/(?P<http_path>.*)(?:\?|\&)(?P<http_query_params>.*)"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def after(actions: list[dict[str, Any]], before: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A span's attributes after the actions."""
    sink = Sink()
    given = batch(Signal.TRACES, before, **fields)
    await processor(actions, sink).consume(given)
    assert sink.items == given.items == 1
    return attributes(items(sink.batches[0]))[0]


CASES: dict[str, tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]] = {
    "insert where nothing is": ([action("a", "insert", value=123)], {}, {"a": 123}),
    "insert beside others": ([action("a", "insert", value=123)], {"b": "bob"}, {"b": "bob", "a": 123}),
    "insert leaves what is there": ([action("a", "insert", value=123)], {"a": "bob"}, {"a": "bob"}),
    "insert a copy": ([action("to", "insert", from_attribute="of")], {"of": 8}, {"of": 8, "to": 8}),
    "insert a copy of nothing": ([action("to", "insert", from_attribute="of")], {"b": 1}, {"b": 1}),
    "insert a copy over nothing": (
        [action("to", "insert", from_attribute="of")],
        {"of": 8, "to": "x"},
        {"of": 8, "to": "x"},
    ),
    "update where nothing is": ([action("db.secret", "update", value="redacted")], {"boo": "foo"}, {"boo": "foo"}),
    "update": ([action("db.secret", "update", value="redacted")], {"db.secret": "pw"}, {"db.secret": "redacted"}),
    "update with a copy of nothing": ([action("boo", "update", from_attribute="foo")], {"boo": "b"}, {"boo": "b"}),
    "update nothing with a copy": ([action("boo", "update", from_attribute="foo")], {"foo": "b"}, {"foo": "b"}),
    "update with a copy": (
        [action("boo", "update", from_attribute="foo")],
        {"foo": "party", "boo": "not"},
        {"foo": "party", "boo": "party"},
    ),
    "upsert where nothing is": ([action("region", "upsert", value="earth")], {}, {"region": "earth"}),
    "upsert what is there": ([action("region", "upsert", value="earth")], {"region": 1}, {"region": "earth"}),
    "upsert with a copy of nothing": ([action("new", "upsert", from_attribute="old")], {"new": 1}, {"new": 1}),
    "upsert with a copy": ([action("new", "upsert", from_attribute="old")], {"old": 2, "new": 1}, {"old": 2, "new": 2}),
    "a copy of itself": (
        [action("boo", name, from_attribute="boo") for name in ("insert", "update", "upsert")],
        {"boo": "ghosts"},
        {"boo": "ghosts"},
    ),
    "a value keeps the type of the YAML": (
        [
            action(name, "insert", value=value)
            for name, value in {"i": 1, "d": 1.0, "t": "1", "b": True, "l": [1, "x"], "m": {"k": 1.5}}.items()
        ],
        {},
        {"i": 1, "d": 1.0, "t": "1", "b": True, "l": [1, "x"], "m": {"k": 1.5}},
    ),
    "empty and false values are values": (
        [action("t", "upsert", value=""), action("i", "upsert", value=0), action("b", "upsert", value=False)],
        {"t": "x"},
        {"t": "", "i": 0, "b": False},
    ),
    "the case of an action's letters": ([action("a", "UPsert", value=1)], {}, {"a": 1}),
    "delete": ([action("a", "delete")], {"a": 1.5, "b": 1}, {"b": 1}),
    "delete nothing": ([action("a", "delete")], {"b": 1}, {"b": 1}),
    "delete by key and pattern": (
        [action("dup", "delete", pattern="^dup_.")],
        {"dup": 1, "dup_a": 1, "dup_b": 2, "not_dup_a": 3, "dup_": 4},
        {"not_dup_a": 3, "dup_": 4},
    ),
    "delete by pattern alone": ([{"action": "delete", "pattern": "dup"}], {"dup": 1, "my_dup": 2, "d": 3}, {"d": 3}),
    "hash a text": ([action("k", "hash")], {"k": "foo"}, {"k": digest(b"foo")}),
    "hash an integer": ([action("k", "hash")], {"k": 24}, {"k": digest(struct.pack("<q", 24))}),
    "hash a double": ([action("k", "hash")], {"k": 2.4}, {"k": digest(struct.pack("<d", 2.4))}),
    "hash true": ([action("k", "hash")], {"k": True}, {"k": digest(b"\1")}),
    "hash false": ([action("k", "hash")], {"k": False}, {"k": digest(b"\0")}),
    "hash an empty text": ([action("k", "hash")], {"k": ""}, {"k": ""}),
    "hash by pattern alone": (
        [{"action": "hash", "pattern": "^user_"}],
        {"user_a": "x", "user": "y", "user_b": 1},
        {"user_a": digest(b"x"), "user": "y", "user_b": digest(struct.pack("<q", 1))},
    ),
    "hash by key and pattern, which is both in turn": (
        [action("user_a", "hash", pattern="^user_")],
        {"user_a": "x", "user_b": "y"},
        {"user_a": digest(digest(b"x").encode()), "user_b": digest(b"y")},
    ),
    "hash a list": ([action("k", "hash")], {"k": ["a"]}, {"k": ""}),
    "hash nothing": ([action("k", "hash")], {"boo": "foo"}, {"boo": "foo"}),
    "extract": (
        [action("url", "extract", pattern=EXTRACT_URL)],
        {"url": "http://example.com/path?q=1,r=2", "http_path": 7},
        {
            "url": "http://example.com/path?q=1,r=2",
            "http_path": "path",
            "http_protocol": "http",
            "http_domain": "example.com",
            "http_query_params": "q=1,r=2",
        },
    ),
    "extract over what is there": (
        [action("user_key", "extract", pattern=EXTRACT_DOCUMENT)],
        {"user_key": "/api/v1/document/12345678/update/v1", "new_user_key": "2321", "foo": "casper"},
        {
            "user_key": "/api/v1/document/12345678/update/v1",
            "new_user_key": "12345678",
            "foo": "casper",
            "version": "v1",
        },
    ),
    "extract from what does not match": (
        [action("user_key", "extract", pattern=EXTRACT_DOCUMENT)],
        {"user_key": "/api/v1/document/12345678/update"},
        {"user_key": "/api/v1/document/12345678/update"},
    ),
    "extract from a number": ([action("k", "extract", pattern="(?P<x>.*)")], {"k": 12}, {"k": 12}),
    "convert a text to an integer": ([action("k", "convert", converted_type="int")], {"k": "123"}, {"k": 123}),
    "convert a double to an integer": ([action("k", "convert", converted_type="int")], {"k": -1.9}, {"k": -1}),
    "convert a bool to an integer": ([action("k", "convert", converted_type="int")], {"k": True}, {"k": 1}),
    "convert what is no integer": ([action("k", "convert", converted_type="int")], {"k": "1.5"}, {"k": "1.5"}),
    "convert a text to a double": ([action("k", "convert", converted_type="double")], {"k": "123.6"}, {"k": 123.6}),
    "convert an integer to a double": ([action("k", "convert", converted_type="double")], {"k": 1}, {"k": 1.0}),
    "convert to a text": (
        [action(key, "convert", converted_type="string") for key in "abcd"],
        {"a": 123, "b": 1.5, "c": True, "d": [1, "x"]},
        {"a": "123", "b": "1.5", "c": "true", "d": '[1,"x"]'},
    ),
    "convert nothing": ([action("k", "convert", converted_type="int")], {}, {}),
    "a default for insert": ([action("env", "insert", from_attribute="e", default_value="p")], {}, {"env": "p"}),
    "insert before its default": (
        [action("env", "insert", from_attribute="e", default_value="p")],
        {"e": "s"},
        {"e": "s", "env": "s"},
    ),
    "no default over what is there": (
        [action("env", "insert", from_attribute="e", default_value="p")],
        {"env": 1},
        {"env": 1},
    ),
    "no default to update nothing": ([action("n", "update", from_attribute="m", default_value="d")], {}, {}),
    "a default for update": ([action("n", "update", from_attribute="m", default_value="d")], {"n": 1}, {"n": "d"}),
    "update before its default": (
        [action("n", "update", from_attribute="m", default_value="d")],
        {"m": "c", "n": "o"},
        {"m": "c", "n": "c"},
    ),
    "a default for upsert": ([action("n", "upsert", from_attribute="m", default_value=3.14)], {"n": 1}, {"n": 3.14}),
    "upsert before its default": (
        [action("n", "upsert", from_attribute="m", default_value=1)],
        {"m": "c"},
        {"m": "c", "n": "c"},
    ),
    "a value before its default": ([action("n", "upsert", value="v", default_value="d")], {}, {"n": "v"}),
    "a default alone": ([action("n", "insert", default_value=True)], {}, {"n": True}),
    "a default for itself": (
        [action("n", "upsert", from_attribute="n", default_value=1), action("m", "upsert", from_attribute="m")],
        {},
        {"n": 1},
    ),
    "the README's sample": (
        [
            action("db.table", "delete"),
            action("redacted_span", "upsert", value=True),
            action("copy_key", "update", from_attribute="key_original"),
            action("account_id", "insert", value=2245),
            action("account_password", "delete"),
            action("account_email", "hash"),
            action("http.status_code", "convert", converted_type="int"),
            action("region", "insert", from_attribute="cloud.region", default_value="us-east-1"),
        ],
        {
            "db.table": "users",
            "key_original": 1,
            "copy_key": 2,
            "account_password": "x",
            "account_email": "a@b",
            "http.status_code": "200",
        },
        {
            "key_original": 1,
            "copy_key": 1,
            "account_email": digest(b"a@b"),
            "http.status_code": 200,
            "redacted_span": True,
            "account_id": 2245,
            "region": "us-east-1",
        },
    ),
}


@pytest.mark.parametrize(("actions", "before", "expected"), CASES.values(), ids=CASES)
async def test_does_what_the_collector_documents(
    actions: list[dict[str, Any]], before: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert typed(await after(actions, before)) == typed(expected)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ({"foo": "casper"}, {"foo": "casper", "svc.operation": "default"}),
        ({"operation": "arithmetic"}, {"svc.operation": "arithmetic"}),
        ({"svc.operation": "some value"}, {"svc.operation": "default"}),
        ({"operation": "arithmetic", "svc.operation": "add"}, {"svc.operation": "arithmetic"}),
    ],
    ids=["neither", "the one", "the other", "both"],
)
async def test_actions_are_done_in_their_order(before: dict[str, Any], expected: dict[str, Any]) -> None:
    actions = [
        action("operation", "insert", value="default"),
        action("svc.operation", "upsert", from_attribute="operation"),
        action("operation", "delete"),
    ]

    assert await after(actions, before) == expected


@pytest.mark.parametrize(
    ("context", "default", "expected"),
    [
        ("metadata.one", None, {"to": "a"}),
        ("metadata.One", None, {"to": "a"}),
        ("one", None, {"to": "a"}),
        ("metadata.many", None, {"to": "a;b"}),
        ("metadata.none", None, {}),
        ("metadata.none", "d", {"to": "d"}),
        ("metadata.one", "d", {"to": "a"}),
        ("metadata.odd", None, {"to": "?"}),
    ],
    ids=["one", "in any case", "without a prefix", "several", "none", "default", "before its default", "no Unicode"],
)
async def test_writes_what_the_client_sent(context: str, default: str | None, expected: dict[str, Any]) -> None:
    sent = {"one": ("a",), "many": ("a", "b"), "odd": ("\udcff",)}
    actions = [action("to", "insert", from_context=context, default_value=default)]

    assert await after(actions, {}, metadata=sent) == expected


async def test_every_batch_gets_what_its_own_client_sent() -> None:
    sink = Sink()
    tenants = processor([action("tenant", "upsert", from_context="metadata.x-tenant")], sink)
    senders = [f"t{number % 200}" for number in range(400)]

    for sender in senders:
        await tenants.consume(batch(Signal.LOGS, {"tenant": "own"}, metadata={"x-tenant": (sender,)}))
    await tenants.consume(batch(Signal.LOGS, {"tenant": "own"}))

    assert [attributes(items(b))[0]["tenant"] for b in sink.batches] == [*senders, "own"]


@pytest.mark.parametrize("signal", [Signal.TRACES, Signal.METRICS, Signal.LOGS])
async def test_changes_every_item_and_nothing_around_it(signal: Signal) -> None:
    sink = Sink()
    given = batch(signal, *({"a": number} for number in range(5)), resource={"a": "resource"}, scope=("a", "1"))

    await processor([action("a", "upsert", value="new")], sink).consume(given)

    assert attributes(items(sink.batches[0])) == [{"a": "new"}] * given.items
    assert sink.batches[0].items == given.items
    assert sink.batches[0].id != given.id
    assert b"resource" in sink.batches[0].payload


@pytest.mark.parametrize(
    "actions",
    [
        [action("absent", "delete")],
        [action("absent", "update", value=1)],
        [action("a", "insert", value=1)],
        [action("absent", "hash")],
        [action("a", "insert", from_context="metadata.absent")],
    ],
    ids=["delete", "update", "insert", "hash", "context"],
)
async def test_a_batch_without_a_change_goes_on_as_it_is(actions: list[dict[str, Any]]) -> None:
    sink, given = Sink(), batch(Signal.TRACES, {"a": "x"}, {"a": "y"})

    await processor(actions, sink).consume(given)

    assert sink.batches[0] is given


async def test_a_refusal_behind_goes_to_the_caller() -> None:
    sink = Sink()
    sink.error = Permanent("no")

    with pytest.raises(Permanent, match="no"):
        await processor([action("a", "upsert", value=1)], sink).consume(batch(Signal.TRACES, {}))

    assert sink.items == 0


async def test_what_cannot_be_read_is_refused_for_good() -> None:
    sink = Sink()

    with pytest.raises(Permanent):
        await processor([action("a", "delete")], sink).consume(Batch(Signal.TRACES, b"\xff\xff", 1))

    assert sink.items == 0


async def test_who_the_authenticator_says_it_is_can_be_written_and_a_header_of_that_name_cannot() -> None:
    sink = Sink()
    actions = [
        action("sender", "upsert", from_context="auth.subject"),
        action("none", "upsert", from_context="auth.none", default_value="-"),
    ]
    known = Origin(metadata={"auth.subject": ("forged",)}, auth={"subject": "alice"})
    stranger = Origin(metadata={"auth.subject": ("forged",)})

    for origin in (known, stranger):
        await processor(actions, sink).consume(batch(Signal.TRACES, {"a": 1}).with_origin(origin))

    found = [attributes(items(batch)) for batch in sink.batches]
    assert found == [[{"a": 1, "sender": "alice", "none": "-"}], [{"a": 1, "none": "-"}]]
