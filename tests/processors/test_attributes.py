"""The attributes processor does what the Collector's documentation and examples say, to the items that it is for."""

import hashlib
import struct
from typing import Any

import pytest

from airis.component import Kind, Permanent
from airis.component.testing import Sink, build
from airis.config import ConfigError, read_configuration
from airis.data import Signal
from airis.processors.attributes import AttributesProcessor

from .requests import attributes, batch, items, typed

pytestmark = pytest.mark.usefixtures("either_back_end")

EXTRACT_DOCUMENT = r"^\/api\/v1\/document\/(?P<new_user_key>.*)\/update\/(?P<version>.*)$"
EXTRACT_URL = r"^(?P<http_protocol>.*):\/\/(?P<http_domain>.*)\/(?P<http_path>.*)(?:\?|\&)(?P<http_query_params>.*)"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def processor(actions: list[dict[str, Any]], sink: Sink, **options: Any) -> AttributesProcessor:
    made = build("attributes", {"actions": actions, **options}, sink, kind=Kind.PROCESSOR)
    assert isinstance(made, AttributesProcessor)
    return made


async def after(actions: list[dict[str, Any]], before: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A span's attributes after the actions."""
    sink = Sink()
    given = batch(Signal.TRACES, before, **fields)
    await processor(actions, sink).consume(given)
    assert sink.items == given.items == 1
    return attributes(items(sink.batches[0]))[0]


def action(key: str, name: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "action": name, **more}


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
    "hash an empty text": ([action("k", "hash")], {"k": ""}, {"k": digest(b"")}),
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


SPAN = {"name": "svcB", "kind": 2}
STRICT, REGEXP = {"match_type": "strict"}, {"match_type": "regexp"}
PROPERTIES: dict[str, tuple[Signal, dict[str, Any], dict[str, Any], bool]] = {
    "service": (Signal.TRACES, {**STRICT, "services": ["a", "shop"]}, {}, True),
    "other service": (Signal.TRACES, {**STRICT, "services": ["sho"]}, {}, False),
    "no service": (Signal.TRACES, {**REGEXP, "services": [".*"]}, {"resource": {}}, False),
    "service by pattern": (Signal.TRACES, {**REGEXP, "services": ["x", "h.p"]}, {}, True),
    "service by anchored pattern": (Signal.TRACES, {**REGEXP, "services": ["^hop"]}, {}, False),
    "span name": (Signal.TRACES, {**STRICT, "span_names": ["svcB"]}, SPAN, True),
    "part of a span name": (Signal.TRACES, {**STRICT, "span_names": ["svc"]}, SPAN, False),
    "span name by pattern": (Signal.TRACES, {**REGEXP, "span_names": ["c[AB]$"]}, SPAN, True),
    "span kind": (Signal.TRACES, {**STRICT, "span_kinds": ["SPAN_KIND_SERVER"]}, SPAN, True),
    "other span kind": (Signal.TRACES, {**STRICT, "span_kinds": ["SPAN_KIND_CLIENT"]}, SPAN, False),
    "span kind by pattern": (Signal.TRACES, {**REGEXP, "span_kinds": ["SERVER|CLIENT"]}, SPAN, True),
    "all of several": (Signal.TRACES, {**STRICT, "services": ["shop"], "span_names": ["svcB"]}, SPAN, True),
    "not all of several": (Signal.TRACES, {**STRICT, "services": ["shop"], "span_names": ["svcA"]}, SPAN, False),
    "attribute is there": (Signal.TRACES, {**STRICT, "attributes": [{"key": "test_request"}]}, {}, True),
    "attribute is not there": (Signal.TRACES, {**STRICT, "attributes": [{"key": "test"}]}, {}, False),
    "attribute": (Signal.TRACES, {**STRICT, "attributes": [{"key": "env", "value": "dev"}]}, {}, True),
    "number as text": (Signal.LOGS, {**STRICT, "attributes": [{"key": "test_request", "value": "123"}]}, {}, False),
    "number": (Signal.LOGS, {**STRICT, "attributes": [{"key": "test_request", "value": 123}]}, {}, True),
    "bool": (Signal.LOGS, {**STRICT, "attributes": [{"key": "flag", "value": False}]}, {}, True),
    "attribute by pattern": (Signal.LOGS, {**REGEXP, "attributes": [{"key": "env", "value": "^d.v$"}]}, {}, True),
    "number by pattern": (Signal.LOGS, {**REGEXP, "attributes": [{"key": "test_request", "value": "^12"}]}, {}, True),
    "all attributes": (
        Signal.TRACES,
        {**STRICT, "attributes": [{"key": "env", "value": "dev"}, {"key": "test_request", "value": False}]},
        {},
        False,
    ),
    "resource": (Signal.LOGS, {**STRICT, "resources": [{"key": "host.type", "value": "n1"}]}, {}, True),
    "other resource": (Signal.METRICS, {**STRICT, "resources": [{"key": "host.type", "value": "n2"}]}, {}, False),
    "resource of metrics": (Signal.METRICS, {**REGEXP, "resources": [{"key": "host.type", "value": "n."}]}, {}, True),
    "library": (Signal.TRACES, {**STRICT, "libraries": [{"name": "mongo"}]}, {}, True),
    "library of a version": (Signal.TRACES, {**STRICT, "libraries": [{"name": "mongo", "version": "3.8"}]}, {}, True),
    "other version": (Signal.TRACES, {**STRICT, "libraries": [{"name": "mongo", "version": "3"}]}, {}, False),
    "no version": (Signal.TRACES, {**STRICT, "libraries": [{"name": "mongo", "version": ""}]}, {}, False),
    "really no version": (
        Signal.TRACES,
        {**STRICT, "libraries": [{"name": "mongo", "version": ""}]},
        {"scope": ("mongo", "")},
        True,
    ),
    "one of two libraries": (
        Signal.LOGS,
        {**REGEXP, "libraries": [{"name": "redis"}, {"name": "^mon", "version": "^3"}]},
        {},
        True,
    ),
    "library of another's version": (
        Signal.LOGS,
        {**STRICT, "libraries": [{"name": "redis", "version": "3.8"}, {"name": "mongo", "version": "2"}]},
        {},
        False,
    ),
    "body": (Signal.LOGS, {**STRICT, "log_bodies": ["AUTH ok"]}, {"body": "AUTH ok"}, True),
    "body by pattern": (Signal.LOGS, {**REGEXP, "log_bodies": ["^AUTH.*"]}, {"body": "AUTH ok"}, True),
    "body that is a number": (Signal.LOGS, {**STRICT, "log_bodies": ["12"]}, {"body": 12}, True),
    "body that is a map": (Signal.LOGS, {**REGEXP, "log_bodies": ['"AUTH']}, {"body": {"k": "AUTH"}}, True),
    "no body, which is empty": (Signal.LOGS, {**STRICT, "log_bodies": [""]}, {}, True),
    "no body, by a pattern": (Signal.LOGS, {**REGEXP, "log_bodies": ["x", ".*"]}, {}, True),
    "no body": (Signal.LOGS, {**REGEXP, "log_bodies": [".+"]}, {}, False),
    "severity text": (Signal.LOGS, {**STRICT, "log_severity_texts": ["INFO"]}, {"severity_text": "INFO"}, True),
    "severity text by pattern": (
        Signal.LOGS,
        {**REGEXP, "log_severity_texts": ["debug.*"]},
        {"severity_text": "INFO"},
        False,
    ),
    "severity": (Signal.LOGS, {**STRICT, "log_severity_number": {"min": 9}}, {"severity_number": 9}, True),
    "less severity": (Signal.LOGS, {**STRICT, "log_severity_number": {"min": 9}}, {"severity_number": 8}, False),
    "no severity": (Signal.LOGS, {**STRICT, "log_severity_number": {"min": 0}}, {}, False),
    "no severity, which matches": (
        Signal.LOGS,
        {**STRICT, "log_severity_number": {"min": 9, "match_undefined": True}},
        {},
        True,
    ),
    "metric name": (Signal.METRICS, {**STRICT, "metric_names": ["requests"]}, {"name": "requests"}, True),
    "metric name by pattern": (Signal.METRICS, {**REGEXP, "metric_names": ["^re", "x"]}, {"name": "requests"}, True),
    "other metric name": (Signal.METRICS, {**STRICT, "metric_names": ["request"]}, {"name": "requests"}, False),
    "a cache has no effect": (
        Signal.TRACES,
        {**REGEXP, "regexp": {"cacheenabled": True, "cachemaxnumentries": 1}, "span_names": ["B"]},
        SPAN,
        True,
    ),
}


@pytest.mark.parametrize("side", ["include", "exclude"])
@pytest.mark.parametrize(("signal", "properties", "fields", "matches"), PROPERTIES.values(), ids=PROPERTIES)
async def test_is_for_the_items_that_are_included_and_not_excluded(
    signal: Signal, properties: dict[str, Any], fields: dict[str, Any], matches: bool, side: str
) -> None:
    sink = Sink()
    own = {"env": "dev", "test_request": 123, "flag": False}
    around = {"resource": {"service.name": "shop", "host.type": "n1"}, "scope": ("mongo", "3.8")}
    given = batch(signal, own, **{**around, **fields})

    await processor([action("env", "delete")], sink, **{side: properties}).consume(given)

    is_changed = matches if side == "include" else not matches
    assert [("env" not in found) for found in attributes(items(sink.batches[0]))] == [is_changed] * given.items
    assert (sink.batches[0] is given) is not is_changed


async def test_excludes_from_what_is_included() -> None:
    sink = Sink()
    include = {**STRICT, "services": ["svcA", "svcB"]}
    exclude = {**STRICT, "attributes": [{"key": "redact_trace", "value": False}]}
    selective = processor([action("credit_card", "delete")], sink, include=include, exclude=exclude)
    cards = [{"credit_card": 1234, "redact_trace": value} for value in ("false", True, False)]

    await selective.consume(batch(Signal.TRACES, *cards, resource={"service.name": "svcB"}))
    await selective.consume(batch(Signal.TRACES, *cards, resource={"service.name": "svcC"}))

    kept = [["credit_card" in found for found in attributes(items(b))] for b in sink.batches]
    assert kept == [[False, False, True], [True, True, True]]
    assert sink.items == 6


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


CONFIGURATION = """\
receivers: {{otlp: {{protocols: {{grpc: }}}}}}
exporters: {{nop: }}
processors:
  attributes:
{options}
service: {{pipelines: {{{pipelines}}}}}
"""
ONE = "receivers: [otlp], processors: [attributes], exporters: [nop]"


def said(options: str, *signals: str) -> list[str]:
    """What is wrong with a configuration."""
    pipelines = ", ".join(f"{signal}: {{{ONE}}}" for signal in signals or ("traces",))
    text = CONFIGURATION.format(options="\n".join(f"    {line}" for line in options.splitlines()), pipelines=pipelines)
    with pytest.raises(ConfigError) as caught:
        read_configuration(text, "t.yaml", {})
    return [str(problem).removeprefix("t.yaml:") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{action: delete}", "delete needs key or pattern"),
        ("{action: upsert, value: 123}", "upsert needs key"),
        ("{action: hash}", "hash needs key"),
        ("{key: a, action: insert}", "insert needs value, from_attribute, from_context or default_value"),
        ("{key: a, action: insert, value: }", "insert needs value, from_attribute, from_context or default_value"),
        ("{key: a, action: upsert, value: 1, from_attribute: b}", "upsert takes only one of value and from_attribute"),
        ("{key: a, action: insert, from_attribute: b, pattern: x}", "insert takes no pattern"),
        ("{key: a, action: update, value: 1, converted_type: int}", "update takes no converted_type"),
        ("{key: a, action: delete, value: 1}", "delete takes no value"),
        ("{key: a, action: hash, from_attribute: b}", "hash takes no from_attribute"),
        ("{key: a, action: hash, pattern: b}", "hash takes no pattern yet; write an action for each key"),
        ("{key: a, action: delete, converted_type: int}", "delete takes no converted_type"),
        ("{key: a, action: extract}", "extract needs pattern"),
        ("{key: a, action: extract, pattern: '(?P<x>.)', value: 1}", "extract takes no value"),
        ("{key: a, action: extract, pattern: '(?P<x>.)', from_context: b}", "extract takes no from_context"),
        (
            "{key: a, action: extract, pattern: '.*$'}",
            "extract needs a pattern whose groups all have names, as in (?P<name>.*)",
        ),
        (
            "{key: a, action: extract, pattern: '(?P<x>.)(.)'}",
            "extract needs a pattern whose groups all have names, as in (?P<name>.*)",
        ),
        ("{key: a, action: convert}", 'convert needs converted_type: "int", "double" or "string"'),
        ("{key: a, action: convert, converted_type: int, value: 1}", "convert takes no value"),
        ("{action: convert, pattern: a}", "convert needs key, and needs converted_type: "),
    ],
)
def test_an_action_that_cannot_be_is_an_error_at_its_place(written: str, expected: str) -> None:
    problems = said(f"actions:\n- {{key: first, action: delete}}\n- {written}")

    assert len(problems) == 1
    assert problems[0].startswith(f"7:7: processors::attributes::actions::1: {expected}")


@pytest.mark.parametrize(
    ("written", "option", "expected"),
    [
        ("{key: a, action: drop}", "action", 'expected "insert", "update", "upsert", "delete", "hash", "extract"'),
        ("{key: a, action: convert, converted_type: bool}", "converted_type", 'expected "int", "double" or "string"'),
        ("{key: a, action: delete, pattern: '['}", "pattern", ""),
        ("{key: a, action: extract, pattern: '(?P<a.b>.)'}", "pattern", ""),
        (
            "{key: a, action: insert, from_context: auth.subject}",
            "from_context",
            "there is nothing to be had from auth",
        ),
        ("{key: a, action: insert, from_context: client.address}", "from_context", "the address of the client is not"),
        ("{key: a, action: insert, from_context: metadata.Authorization}", "from_context", "credentials, and headers"),
        ("{key: a, action: insert, value: 18446744073709551615}", "value", "18446744073709551615 has more than 64"),
    ],
)
def test_an_option_that_cannot_be_is_an_error_at_its_place(written: str, option: str, expected: str) -> None:
    problems = said(f"actions:\n- {written}")

    assert len(problems) == 1
    assert f": processors::attributes::actions::0::{option}: {expected}" in problems[0]


@pytest.mark.parametrize(
    ("written", "signals", "expected"),
    [
        ("{}", ["traces"], 'include: option "match_type" is required'),
        ("{match_type: strict}", ["traces"], "include: needs at least one of services, span_names"),
        ("{match_type: expr, services: [a]}", ["traces"], 'include::match_type: expected "strict" or "regexp"'),
        ("{match_type: regexp, span_names: [a, '[']}", ["traces"], "include::span_names::1: "),
        ("{match_type: regexp, libraries: [{name: '['}]}", ["traces"], 'include: "[": '),
        ("{match_type: strict, span_kinds: [SERVER]}", ["traces"], "include: span_kinds are SPAN_KIND_INTERNAL"),
        ("{match_type: regexp, attributes: [{key: a, value: 1}]}", ["logs"], 'include: "a" is matched as text'),
        ("{match_type: strict, attributes: [{key: a, value: [1]}]}", ["logs"], "include::attributes::0::value: a list"),
        ("{match_type: strict, attributes: [{key: ''}]}", ["logs"], "include::attributes::0::key: must"),
        ("{match_type: strict, span_names: [a], log_bodies: [b]}", ["logs"], "include: no item has all of span_names,"),
    ],
)
def test_a_match_that_cannot_be_is_an_error_at_its_place(written: str, signals: list[str], expected: str) -> None:
    problems = said(f"include: {written}\nactions: [{{key: a, action: delete}}]", *signals)

    assert len(problems) == 1
    assert f": processors::attributes::{expected}" in problems[0]


@pytest.mark.parametrize(
    ("written", "signals", "refused"),
    [
        ("services: [a]", ["traces", "metrics", "logs"], ["metrics", "logs"]),
        ("log_bodies: [a]", ["traces", "metrics", "logs"], ["traces", "metrics"]),
        ("metric_names: [a]", ["traces", "metrics", "logs"], ["traces", "logs"]),
        ("attributes: [{key: a}]", ["traces", "metrics", "logs"], ["metrics"]),
    ],
)
def test_a_pipeline_whose_items_cannot_be_told_by_it_is_an_error(
    written: str, signals: list[str], refused: list[str]
) -> None:
    problems = said(f"exclude: {{match_type: strict, {written}}}\nactions: [{{key: a, action: delete}}]", *signals)

    name = written.partition(":")[0]
    assert [problem.partition(": ")[2].partition(", only")[0] for problem in problems] == [
        f'service::pipelines::{signal}::processors: processor "attributes" is not for {signal}, '
        f"exclude: {name} cannot be matched in {signal}"
        for signal in refused
    ]


def test_all_mistakes_are_said_at_once() -> None:
    options = """\
include: {match_type: regexp, span_names: ['[']}
exclude: {match_type: strict}
actions:
- {key: a, action: insert}
- {key: a, action: drop}
- {key: a, action: delete, value: 1}"""

    assert len(said(options)) == 5


@pytest.mark.parametrize("options", ["actions: []", "exclude: {match_type: strict, services: [a]}"])
def test_something_must_be_done(options: str) -> None:
    (problem,) = said(options)

    assert "actions" in problem
