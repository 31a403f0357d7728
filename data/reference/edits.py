"""Edits of attributes and fields, one after another, on protobuf's own messages."""

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_args

import xxhash
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from airis.data.edits import (
    FIELDS,
    RANGES,
    Convert,
    Delete,
    DeleteMatching,
    Edit,
    Extract,
    Hash,
    HashMatching,
    KeepKeys,
    Limit,
    Rename,
    Set,
    Truncate,
    Value,
    check_signal,
)
from airis.data.expressions import InvalidExpression
from airis.data.fields import Attribute, Field, Level, Source
from airis.data.malformed import MalformedPayload
from airis.data.reference.conversion import convert, hashed_bytes
from airis.data.reference.inside import depth_of, find, first_alone, keep, value_at, with_value, without
from airis.data.reference.pattern import Pattern
from airis.data.reference.places import copied, members, owners, points, scopes
from airis.proto.otlp import MAX_DEPTH

MAX_EDITED_BYTES = 1 << 30
"""Every item can get a copy of what its resource has: a sender could make much of little."""

Levels = Mapping[Level, Any]
"""The messages from a resource's owner down to the one that is edited."""

_ATTRIBUTES: Mapping[Level, str] = {"metric": "metadata", "exemplar": "filtered_attributes"}
"""Where they are not in a field of that name."""

_DEPTHS: Mapping[Level, int] = {"resource": 2, "scope": 3, "metric": 3, "item": 3, "event": 4, "link": 4, "exemplar": 6}
"""Messages from the request down to the one at a level; a data point lies two deeper than a span."""


class Edits:
    """A program of edits; raises ValueError for something that is no edit, InvalidExpression for a pattern."""

    def __init__(self, edits: Sequence[Edit]) -> None:
        self.edits = tuple(edits)
        self.patterns: dict[str, Pattern] = {}
        for edit in self.edits:
            if type(edit) not in get_args(Edit):
                raise ValueError(f"{edit!r} is no edit")
            if isinstance(edit, DeleteMatching | HashMatching | Extract):
                pattern = self.patterns[edit.pattern] = Pattern(edit.pattern)
                if isinstance(edit, Extract) and (not pattern.groups or None in pattern.groups):
                    raise InvalidExpression(f"all groups of {edit.pattern!r} must have names, and there must be one")


def edited(signal: str, request: Any, edits: Edits, mask: bytes | None) -> Any:
    """The request after the edits, None where nothing changes."""
    check_signal(edits.edits, signal)
    made = copied(request)
    edit_request(signal, made, edits, mask)
    if made.ByteSize() > MAX_EDITED_BYTES:
        raise MalformedPayload("edits would make more than 1 GiB of it")
    return None if made.SerializeToString() == request.SerializeToString() else made


def edit_request(signal: str, request: Any, edits: Edits, mask: bytes | None) -> None:
    """Edit a request in place."""
    for edit in edits.edits:
        level = edit.target.level if isinstance(edit, Set | Delete | Hash | Convert) else edit.level
        depth = _DEPTHS[level] + (2 if signal == "metrics" and level == "item" else 0)
        for levels in _levels(signal, request, level, mask):
            _act(edit, levels, depth, edits.patterns)


def _levels(signal: str, request: Any, level: Level, mask: bytes | None) -> Iterator[Levels]:
    """Every message at a level that is to be edited, with those around it."""
    number = 0
    for owner in owners(signal, request):
        before_owner = number
        resource: dict[Level, Any] = {"resource": owner}
        for scoped in scopes(signal, owner):
            before_scope = number
            scope: dict[Level, Any] = {**resource, "scope": scoped}
            for part in members(signal, scoped):
                before_part = number
                for item in points(part) if signal == "metrics" else (part,):
                    around: dict[Level, Any] = {**scope, "metric": part, "item": item}
                    number += 1
                    if level == "item" and _has_chosen(mask, number - 1, number):
                        yield around
                    if level in ("event", "link", "exemplar") and _has_chosen(mask, number - 1, number):
                        for inside in getattr(item, f"{level}s", ()):
                            around[level] = inside
                            yield around
                if level == "metric" and _has_chosen(mask, before_part, number):
                    yield {**scope, "metric": part}
            if level == "scope" and _has_chosen(mask, before_scope, number):
                yield scope
        if level == "resource" and _has_chosen(mask, before_owner, number):
            yield resource


def _has_chosen(mask: bytes | None, start: int, end: int) -> bool:
    return mask is None or any(mask[start:end])


def _act(edit: Edit, levels: Levels, depth: int, patterns: Mapping[str, Pattern]) -> None:
    """Carry out an edit on a message that has `depth` messages from the request down to it."""
    match edit:
        case Set(target, value, when):
            if when == "always" or (_get(levels, target) is None) == (when == "absent"):
                new = _get(levels, value) if isinstance(value, Attribute | Field) else any_value(value)
                _put(levels, target, new, depth)
        case Delete(target):
            _delete(levels, target)
        case Hash(target, algorithm, key):
            _hash(levels, target, algorithm, key, depth)
        case HashMatching(level, pattern, algorithm, key):
            names = dict.fromkeys(attribute.key for attribute in _attributes(levels, level))
            for name in names:
                if patterns[pattern].matches(name.encode()):
                    _hash(levels, Attribute(level, name), algorithm, key, depth)
        case Convert(target, to):
            if (old := _get(levels, target)) is not None:
                _put(levels, target, convert(old, to), depth)
        case DeleteMatching(level, pattern):
            attributes = _attributes(levels, level)
            keep(attributes, [not patterns[pattern].matches(attribute.key.encode()) for attribute in attributes])
        case Extract(source, pattern, level):
            _extract(patterns[pattern], _get(levels, source), _attributes(levels, level))
        case KeepKeys(level, keys):
            attributes = _attributes(levels, level)
            keep(attributes, (attribute.key in keys for attribute in attributes))
        case Rename():
            _rename(edit, _attributes(levels, edit.level))
        case Truncate(level, max_bytes):
            for attribute in _attributes(levels, level):
                text = attribute.value.string_value.encode()
                if len(text) > max_bytes:
                    attribute.value.CopyFrom(AnyValue(string_value=text[:max_bytes].decode("utf-8", "ignore")))
        case Limit():
            _limit(edit, _attributes(levels, edit.level))


def _hash(levels: Levels, target: Source, algorithm: str, key: bytes, depth: int) -> None:
    old = _get(levels, target)
    if old is not None:
        content = hashed_bytes(old)
        text = "" if content is None else _DIGESTS[algorithm](content, key)
        _put(levels, target, AnyValue(string_value=text), depth)


def _extract(pattern: Pattern, value: AnyValue | None, attributes: Any) -> None:
    text = value.string_value.encode() if value is not None and value.WhichOneof("value") == "string_value" else None
    found = pattern.search(text) if text is not None else None
    if text is None or found is None:
        return
    for name, place in zip(pattern.groups, found[1:], strict=True):
        part = text[slice(*place)].decode() if place else ""
        _write_changed(first_alone(attributes, name or ""), AnyValue(string_value=part))


def _rename(edit: Rename, attributes: Any) -> None:
    keys = [attribute.key for attribute in attributes]
    is_taken = edit.new in keys and edit.when_taken == "keep"
    if edit.old not in keys or edit.old == edit.new or is_taken:
        return
    renamed = keys.index(edit.old)
    attributes[renamed].key = edit.new
    # An attribute that is written has a value, if an empty one.
    attributes[renamed].value.SetInParent()
    keep(attributes, (at == renamed or key not in (edit.old, edit.new) for at, key in enumerate(keys)))


def _limit(edit: Limit, attributes: Any) -> None:
    has_priority = [attribute.key in edit.priority_keys for attribute in attributes]
    room = edit.count - sum(has_priority)
    kept: list[bool] = []
    for is_first in has_priority:
        kept.append(is_first or room > 0)
        room -= not is_first
    keep(attributes, kept)


def _message(levels: Levels, level: Level) -> Any:
    return getattr(levels[level], level) if level in ("resource", "scope") else levels[level]


def _attributes(levels: Levels, level: Level) -> Any:
    return getattr(_message(levels, level), _ATTRIBUTES.get(level, "attributes"))


def _field(levels: Levels, field: Field) -> tuple[Any, str]:
    """The message that has a field, and the field's own name."""
    if field.name == "schema_url":
        return levels[field.level], field.name
    message = _message(levels, field.level)
    *inside, name = field.name.split(".")
    return (getattr(message, inside[0]) if inside else message), name


def _get(levels: Levels, place: Source) -> AnyValue | None:
    """A copy of the value at a place, None where it is absent."""
    if isinstance(place, Attribute):
        attributes = _attributes(levels, place.level)
        at = find(attributes, place.key)
        return value_at(attributes[at].value, place.path) if at is not None else None
    message, name = _field(levels, place)
    kind = FIELDS[place.level, place.name][0]
    if kind == "value":
        return value_at(getattr(message, name), place.path) if message.HasField(name) else None
    content = getattr(message, name)
    if not content:
        return None
    if kind == "id":
        return AnyValue(string_value=content.hex())
    if kind == "text":
        return AnyValue(string_value=content)
    return AnyValue(int_value=content - (1 << 64) if content >= 1 << 63 else content)


def _put(levels: Levels, place: Source, value: AnyValue | None, depth: int) -> None:
    """Write a value to a place, if there is one and it can be written there."""
    if value is None:
        return
    if isinstance(place, Attribute):
        attributes = _attributes(levels, place.level)
        at = find(attributes, place.key)
        whole = with_value(AnyValue() if at is None else attributes[at].value, place.path, value)
        if whole is not None and depth + 1 + depth_of(whole) <= MAX_DEPTH:
            _write_changed(first_alone(attributes, place.key), whole)
        return
    message, name = _field(levels, place)
    kind, held = FIELDS[place.level, place.name][0], value.WhichOneof("value")
    if kind == "value":
        whole = with_value(getattr(message, name), place.path, value)
        if whole is not None and depth + depth_of(whole) <= MAX_DEPTH:
            _write(getattr(message, name), whole)
    elif held == "string_value" if kind == "text" else held == "int_value" and value.int_value in RANGES[kind]:
        content = value.string_value if kind == "text" else value.int_value
        # To write a default would make a status of nothing.
        if getattr(message, name) != content:
            setattr(message, name, content)


def _delete(levels: Levels, place: Source) -> None:
    if isinstance(place, Attribute):
        attributes = _attributes(levels, place.level)
        at = find(attributes, place.key)
        if not place.path:
            keep(attributes, [attribute.key != place.key for attribute in attributes])
        elif at is not None and (whole := without(attributes[at].value, place.path)) is not None:
            _write(first_alone(attributes, place.key).value, whole)
        return
    message, name = _field(levels, place)
    if not place.path:
        # To clear a default would make a status of nothing.
        if _get(levels, place) is not None:
            message.ClearField(name)
    elif (whole := without(getattr(message, name), place.path)) is not None:
        _write(getattr(message, name), whole)


def _write_changed(attribute: KeyValue, new: AnyValue) -> None:
    if attribute.value.SerializeToString() != new.SerializeToString():
        _write(attribute.value, new)


def _write(value: AnyValue, new: AnyValue) -> None:
    value.CopyFrom(new)
    value.SetInParent()


def any_value(value: Value) -> AnyValue:
    """A literal as a message."""
    made = AnyValue()
    match value:
        case None:
            pass
        case bool():
            made.bool_value = value
        case int():
            made.int_value = value
        case float():
            made.double_value = value
        case str():
            made.string_value = value
        case bytes():
            made.bytes_value = value
        case Mapping():
            made.kvlist_value.SetInParent()
            made.kvlist_value.values.extend(KeyValue(key=key, value=any_value(each)) for key, each in value.items())
        case _:
            made.array_value.SetInParent()
            made.array_value.values.extend(map(any_value, value))
    return made


_DIGESTS: Mapping[str, Callable[[bytes, bytes], str]] = {
    "sha256": lambda content, _: hashlib.sha256(content).hexdigest(),
    "hmac_sha256": lambda content, key: hmac.new(key, content, hashlib.sha256).hexdigest(),
    "sha1": lambda content, _: hashlib.sha1(content, usedforsecurity=False).hexdigest(),
    "md5": lambda content, _: hashlib.md5(content, usedforsecurity=False).hexdigest(),
    "xxh3_64": lambda content, _: xxhash.xxh3_64_hexdigest(content),
    "xxh3_128": lambda content, _: xxhash.xxh3_128_hexdigest(content),
}
