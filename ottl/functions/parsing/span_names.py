"""Names of spans as the semantic conventions want them.

Sources: the conventions for spans of HTTP, RPC, databases and messaging; the attributes that stand for those of older
versions are those that the Collector's transform processor reads.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from airis.ottl.registry import Editor, Functions
from airis.ottl.texts import attribute_text
from airis.ottl.values import Value, from_attributes, write_any

SPAN_NAMES = Functions()

OLDEST, NEWEST = (1, 37, 0), (1, 43, 0)
_VERSION = re.compile(r"v?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?", re.ASCII)

Attributes = Mapping[str, Value]

_SERVER, _CLIENT, _PRODUCER, _CONSUMER = 2, 3, 4, 5


def _first(attributes: Attributes, *names: str) -> str | None:
    """The text of the first of these that is there."""
    return next((attribute_text(attributes[name]) for name in names if name in attributes), None)


def _http(target: str) -> Callable[[Attributes], str | None]:
    def name(attributes: Attributes) -> str | None:
        method, of = _first(attributes, "http.request.method", "http.method"), _first(attributes, target)
        return method if method is None or of is None else f"{method} {of}"

    return name


def _rpc(attributes: Attributes) -> str | None:
    system = _first(attributes, "rpc.system.name", "rpc.system")
    method = _first(attributes, "rpc.method", "rpc.grpc.method")
    service = _first(attributes, "rpc.service", "rpc.grpc.service")
    if system is None:
        return None
    if service is None:
        return system if method is None else method
    return f"{service}/{'*' if method is None else method}"


def _address(attributes: Attributes) -> str:
    host, port = _first(attributes, "server.address"), _first(attributes, "server.port")
    return "" if host is None else host if port is None else f"{host}:{port}"


def _database(attributes: Attributes) -> str | None:
    system = _first(attributes, "db.system.name", "db.system")
    if system is None:
        return None
    summary = _first(attributes, "db.query.summary")
    if summary is not None:
        return summary
    namespace = _first(attributes, "db.namespace", "db.name") or ""
    inside = _first(attributes, "db.collection.name", "db.stored_procedure.name")
    target = (f"{namespace}.{inside}" if namespace else inside) if inside is not None else namespace
    operation = _first(attributes, "db.operation.name", "db.operation") or ""
    return " ".join(filter(None, (operation, target or _address(attributes)))) or system


def _messaging(attributes: Attributes) -> str | None:
    system = _first(attributes, "messaging.system")
    if system is None:
        return None
    operation = _first(attributes, "messaging.operation.name", "messaging.operation")
    destination = _destination(attributes)
    if destination:
        return destination if operation is None else f"{operation} {destination}"
    return system if operation is None else operation


def _destination(attributes: Attributes) -> str:
    for kind in ("temporary", "anonymous"):
        if attributes.get(f"messaging.destination.{kind}") is True:
            return f"({kind})"
    names = ("messaging.destination.template", "messaging.destination.name", "messaging.destination")
    named = _first(attributes, *names)
    return _address(attributes) if named is None else named


_NAMES: Mapping[int, tuple[Callable[[Attributes], str | None], ...]] = {
    _SERVER: (_http("http.route"), _rpc, _messaging),
    _CLIENT: (_http("url.template"), _rpc, _database, _messaging),
    _PRODUCER: (_messaging,),
    _CONSUMER: (_messaging,),
}


def semconv_name(kind: int, attributes: Attributes) -> str | None:
    """What a span of a kind is called; None where no convention is for it."""
    return next((name for make in _NAMES.get(kind, ()) if (name := make(attributes))), None)


def _check_version(text: str) -> None:
    found = _VERSION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!a} is no version such as 1.37.0")
    if not OLDEST <= tuple(int(part or 0) for part in found.groups()) <= NEWEST:
        least, most = (".".join(map(str, version)) for version in (OLDEST, NEWEST))
        raise ValueError(f"semconv_version is {least} to {most}, not {text!a}")


@SPAN_NAMES.declare("set_semconv_span_name", contexts=["span"])
def set_semconv_span_name(semconv_version: str, original_span_name_attribute: str | None = None) -> Editor:
    """Give the span the name that the semantic conventions have for it, and keep the other in an attribute."""
    _check_version(semconv_version)
    kept = original_span_name_attribute
    if kept == "":
        raise ValueError("original_span_name_attribute cannot be empty")

    def edit(here: Any) -> None:
        span = here.item
        name = semconv_name(span.kind, from_attributes(span.attributes))
        if name is None or name == span.name:
            return
        if kept is not None:
            attribute = next((one for one in span.attributes if one.key == kept), None) or span.attributes.add(key=kept)
            write_any(attribute.value, span.name)
        span.name = name

    return edit
