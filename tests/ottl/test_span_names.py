"""Spans are called what the semantic conventions call them, also by attributes of older versions."""

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from airis.ottl.compiler import Compiler
from airis.ottl.contexts import CONTEXTS, Here
from airis.ottl.functions import TRANSFORM
from airis.ottl.syntax import OttlError
from airis.ottl.values import Value, from_attributes, write_attributes

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = range(1, 6)
COMPILER = Compiler(CONTEXTS["span"], TRANSFORM)


def after(statement: str, kind: int, attributes: dict[str, Value]) -> tuple[str, dict[str, Value]]:
    owner = ResourceSpans()
    scoped = owner.scope_spans.add()
    span = scoped.spans.add(name="GET /u/123", kind=kind)
    write_attributes(span.attributes, attributes)
    COMPILER.statement(statement)(Here(owner, scoped, None, span))
    return span.name, from_attributes(span.attributes)


@pytest.mark.parametrize(
    ("kind", "attributes", "expected"),
    [
        (SERVER, {"http.request.method": "GET", "http.route": "/u/{id}"}, "GET /u/{id}"),
        (SERVER, {"http.method": "GET", "http.route": "/u/{id}"}, "GET /u/{id}"),
        (SERVER, {"http.request.method": "GET", "url.path": "/u/123"}, "GET"),
        (CLIENT, {"http.request.method": "GET", "url.template": "/u/{id}"}, "GET /u/{id}"),
        (CLIENT, {"http.request.method": "GET", "http.route": "/u/{id}"}, "GET"),
        (SERVER, {"rpc.system.name": "grpc", "rpc.service": "shop.Cart", "rpc.method": "Add"}, "shop.Cart/Add"),
        (CLIENT, {"rpc.system": "grpc", "rpc.grpc.service": "shop.Cart", "rpc.grpc.method": "Add"}, "shop.Cart/Add"),
        (CLIENT, {"rpc.system": "grpc", "rpc.method": "Add"}, "Add"),
        (CLIENT, {"rpc.system": "grpc", "rpc.service": "shop.Cart"}, "shop.Cart/*"),
        (CLIENT, {"rpc.system": "grpc"}, "grpc"),
        (CLIENT, {"db.system.name": "pg", "db.query.summary": "SELECT a", "db.namespace": "n"}, "SELECT a"),
        (
            CLIENT,
            {"db.system": "pg", "db.operation": "SELECT", "db.name": "shop", "db.collection.name": "items"},
            "SELECT shop.items",
        ),
        (CLIENT, {"db.system.name": "pg", "db.stored_procedure.name": "p"}, "p"),
        (CLIENT, {"db.system.name": "pg", "db.namespace": "n", "db.stored_procedure.name": "p"}, "n.p"),
        (CLIENT, {"db.system.name": "pg", "db.operation.name": "SELECT", "db.namespace": "n"}, "SELECT n"),
        (CLIENT, {"db.system.name": "pg", "server.address": "h", "server.port": 5432}, "h:5432"),
        (CLIENT, {"db.system.name": "pg", "db.operation.name": "SELECT"}, "SELECT"),
        (CLIENT, {"db.system.name": "pg"}, "pg"),
        (SERVER, {"db.system.name": "pg"}, "GET /u/123"),
        (
            CONSUMER,
            {"messaging.system": "kafka", "messaging.operation.name": "poll", "messaging.destination.name": "t"},
            "poll t",
        ),
        (
            PRODUCER,
            {"messaging.system": "kafka", "messaging.operation": "send", "messaging.destination": "t"},
            "send t",
        ),
        (PRODUCER, {"messaging.system": "k", "messaging.destination.template": "/t/{id}"}, "/t/{id}"),
        (
            PRODUCER,
            {"messaging.system": "k", "messaging.destination.name": "t", "messaging.destination.temporary": True},
            "(temporary)",
        ),
        (
            PRODUCER,
            {"messaging.system": "k", "messaging.destination.name": "t", "messaging.destination.anonymous": True},
            "(anonymous)",
        ),
        (PRODUCER, {"messaging.system": "k", "messaging.destination.temporary": "true", "server.address": "h"}, "h"),
        (PRODUCER, {"messaging.system": "k", "messaging.operation.name": "send"}, "send"),
        (SERVER, {"messaging.system": "k"}, "k"),
        (INTERNAL, {"http.request.method": "GET"}, "GET /u/123"),
        (SERVER, {}, "GET /u/123"),
        (PRODUCER, {"http.request.method": "GET"}, "GET /u/123"),
    ],
)
def test_a_span_is_called_what_the_conventions_say(kind: int, attributes: dict[str, Value], expected: str) -> None:
    name, left = after('set_semconv_span_name("1.43.0")', kind, attributes)
    assert (name, left) == (expected, attributes)


def test_the_original_name_is_kept_where_it_was_another() -> None:
    statement = 'set_semconv_span_name("1.37.0", originalSpanNameAttribute="was")'

    assert after(statement, SERVER, {"http.method": "GET"})[1] == {"http.method": "GET", "was": "GET /u/123"}
    assert after(statement, SERVER, {"http.method": "GET", "was": 1})[1]["was"] == "GET /u/123"
    assert after(statement, INTERNAL, {})[1] == {}


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ('set_semconv_span_name("1.36.0")', "semconv_version is 1.37.0 to 1.43.0, not '1.36.0'"),
        ('set_semconv_span_name("1.44")', "semconv_version is 1.37.0 to 1.43.0, not '1.44'"),
        ('set_semconv_span_name("latest")', "'latest' is no version such as 1.37.0"),
        ('set_semconv_span_name("1.37.0", "")', "original_span_name_attribute cannot be empty"),
        ("set_semconv_span_name(name)", "a string that is written out"),
        ("set_semconv_span_name()", "needs semconv_version"),
    ],
)
def test_what_is_wrong_for_every_span_is_said_at_load(statement: str, reason: str) -> None:
    with pytest.raises(OttlError, match=reason):
        COMPILER.statement(statement)


def test_names_of_spans_are_set_in_spans_alone() -> None:
    with pytest.raises(OttlError, match="works in the context span, not in log"):
        Compiler(CONTEXTS["log"], TRANSFORM).statement('set_semconv_span_name("1.37.0")')
