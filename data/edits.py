"""Edits of attributes and fields: what both kernel back ends carry out, compiled once as ``kernels.Edits([…])``.

A program of edits works like one edit after another on the whole payload. Three rules hold for all of them:

- Of attributes with the same key the first counts. An edit that writes or deletes one takes the further ones of its
  key away; an edit that changes nothing leaves them.
- An edit that cannot be done to an item leaves that item as it is: a source that is absent, a value of a type that a
  field cannot take, a path through something that is no map or array, more than 100 messages in one another.
- A field of the wrong signal (the body of a span), a level that a signal does not have, a source that lies inside
  what is edited: ValueError, when the edits are made or when they meet the first payload.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from airis.data.fields import Attribute, Field, Level, Source

Value = None | bool | int | float | str | bytes | Sequence["Value"] | Mapping[str, "Value"]
"""A literal: whatever an attribute can hold; None is the empty value."""

Algorithm = Literal["sha256", "hmac_sha256", "sha1", "md5", "xxh3_64", "xxh3_128"]

DEEPEST_LITERAL = 25
"""Lists and maps in one another in a literal, and the longest path: both fit into what protobuf's parsers allow."""

Kind = Literal["text", "int32", "uint32", "time", "value", "id"]
"""What a field holds; a time is unsigned with 64 bits, a value is anything, an id can only be copied from."""

TRACES, METRICS, LOGS = "traces", "metrics", "logs"
_ALL = (TRACES, METRICS, LOGS)

FIELDS: Mapping[tuple[Level, str], tuple[Kind, tuple[str, ...]]] = {
    ("resource", "schema_url"): ("text", _ALL),
    ("scope", "schema_url"): ("text", _ALL),
    ("scope", "name"): ("text", _ALL),
    ("scope", "version"): ("text", _ALL),
    ("metric", "name"): ("text", (METRICS,)),
    ("metric", "description"): ("text", (METRICS,)),
    ("metric", "unit"): ("text", (METRICS,)),
    ("item", "trace_id"): ("id", (TRACES, LOGS)),
    ("item", "span_id"): ("id", (TRACES, LOGS)),
    ("item", "parent_span_id"): ("id", (TRACES,)),
    ("item", "trace_state"): ("text", (TRACES,)),
    ("item", "name"): ("text", (TRACES,)),
    ("item", "kind"): ("int32", (TRACES,)),
    ("item", "status.code"): ("int32", (TRACES,)),
    ("item", "status.message"): ("text", (TRACES,)),
    ("item", "start_time_unix_nano"): ("time", (TRACES, METRICS)),
    ("item", "end_time_unix_nano"): ("time", (TRACES,)),
    ("item", "time_unix_nano"): ("time", (METRICS, LOGS)),
    ("item", "observed_time_unix_nano"): ("time", (LOGS,)),
    ("item", "severity_number"): ("int32", (LOGS,)),
    ("item", "severity_text"): ("text", (LOGS,)),
    ("item", "body"): ("value", (LOGS,)),
    ("item", "event_name"): ("text", (LOGS,)),
    ("item", "flags"): ("uint32", _ALL),
    ("event", "name"): ("text", (TRACES,)),
    ("event", "time_unix_nano"): ("time", (TRACES,)),
    ("link", "trace_id"): ("id", (TRACES,)),
    ("link", "span_id"): ("id", (TRACES,)),
    ("link", "trace_state"): ("text", (TRACES,)),
    ("link", "flags"): ("uint32", (TRACES,)),
    ("exemplar", "time_unix_nano"): ("time", (METRICS,)),
    ("exemplar", "trace_id"): ("id", (METRICS,)),
    ("exemplar", "span_id"): ("id", (METRICS,)),
}
"""The fields that edits know, by level and name, with what they hold and the signals that have them."""

LEVEL_SIGNALS: Mapping[Level, tuple[str, ...]] = {
    "resource": _ALL,
    "scope": _ALL,
    "metric": (METRICS,),
    "item": _ALL,
    "event": (TRACES,),
    "link": (TRACES,),
    "exemplar": (METRICS,),
}

_OUTSIDE_IN: Mapping[Level, int] = {
    "resource": 0,
    "scope": 1,
    "metric": 2,
    "item": 3,
    "event": 4,
    "link": 4,
    "exemplar": 4,
}

RANGES: Mapping[Kind, range] = {
    "int32": range(-(1 << 31), 1 << 31),
    "uint32": range(1 << 32),
    "time": range(1 << 63),
}

_KEYED: tuple[Algorithm, ...] = ("hmac_sha256",)


@dataclass(frozen=True, slots=True)
class Set:
    """Write a value: a literal, or a copy of what a source holds; nothing is done where the source is absent.

    A map or an array on the way along a path must be there, but a missing key with all that follows it is made.
    A field is present where it differs from its default.
    """

    target: Source
    value: Value | Source
    when: Literal["always", "absent", "present"] = "always"
    """``absent`` inserts, ``present`` updates, ``always`` does both."""

    def __post_init__(self) -> None:
        _check_target(self.target)
        _check_choice("when", self.when, ("always", "absent", "present"))
        if isinstance(self.value, Source):
            _check_place(self.value)
            _check_reach(self.target.level, self.value)
        else:
            _check_literal(self.value, DEEPEST_LITERAL)
            _check_type(self.target, self.value)


@dataclass(frozen=True, slots=True)
class Delete:
    """Take an attribute, a part of its value or of a body away, or set a field to its default."""

    target: Source

    def __post_init__(self) -> None:
        _check_target(self.target)


@dataclass(frozen=True, slots=True)
class KeepKeys:
    """Delete all attributes but those with these keys."""

    level: Level
    keys: Sequence[str]

    def __post_init__(self) -> None:
        _check_level(self.level)
        _check_texts("keys", self.keys)


@dataclass(frozen=True, slots=True)
class DeleteMatching:
    """Delete the attributes in whose keys a pattern (`kernels.Pattern`) is found."""

    level: Level
    pattern: str

    def __post_init__(self) -> None:
        _check_level(self.level)
        _check_texts("pattern", (self.pattern,))


@dataclass(frozen=True, slots=True)
class Extract:
    """Write what the named groups of a pattern find in a text to attributes of those names.

    Nothing is done where the source is no text or the pattern is not in it; a group that took no part gives an empty
    text. All groups must have names, and there must be one; InvalidExpression when the edits are compiled.
    """

    source: Source
    pattern: str
    level: Level
    """Of the attributes that are written."""

    def __post_init__(self) -> None:
        _check_place(self.source)
        _check_level(self.level)
        _check_reach(self.level, self.source)
        _check_texts("pattern", (self.pattern,))


@dataclass(frozen=True, slots=True)
class Rename:
    """Give an attribute another key, in its place; the second and further ones of the old key go.

    Where there is an attribute of the new key, ``overwrite`` takes that one away, ``keep`` leaves both as they are.
    """

    level: Level
    old: str
    new: str
    when_taken: Literal["overwrite", "keep"] = "overwrite"

    def __post_init__(self) -> None:
        _check_level(self.level)
        _check_texts("old and new", (self.old, self.new))
        _check_choice("when_taken", self.when_taken, ("overwrite", "keep"))


@dataclass(frozen=True, slots=True)
class Hash:
    """Put the digest of a value in its place, as lower-case hexadecimal text.

    Hashed is what the Collector's attributes processor hashes: of a text its UTF-8, of an integer and a double their
    eight bytes in little-endian order, of a bool one byte. Everything else becomes an empty text, as there, and an
    empty text stays one. Where the text form of a number shall be hashed, a `Convert` to a string goes before.
    """

    target: Source
    algorithm: Algorithm = "sha256"
    key: bytes = b""
    """The secret of ``hmac_sha256``; no other algorithm takes one."""

    def __post_init__(self) -> None:
        _check_target(self.target, "text", "value")
        _check_algorithm(self.algorithm, self.key)


@dataclass(frozen=True, slots=True)
class HashMatching:
    """Hash the attributes in whose keys a pattern (`kernels.Pattern`) is found, each as `Hash` does."""

    level: Level
    pattern: str
    algorithm: Algorithm = "sha256"
    key: bytes = b""
    """The secret of ``hmac_sha256``; no other algorithm takes one."""

    def __post_init__(self) -> None:
        _check_level(self.level)
        _check_texts("pattern", (self.pattern,))
        _check_algorithm(self.algorithm, self.key)


@dataclass(frozen=True, slots=True)
class Convert:
    """Make a value one of another type, as the Collector's attributes processor does; what cannot be made stays.

    ``string``: numbers as in JSON, bytes in base64, lists and maps as JSON with sorted keys, the empty value an empty
    text. A double that JSON has not gives Go's message about it, and a list or a map with one in it an empty text.
    ``int``: a text in decimal digits; a double towards zero, at most the largest or the smallest integer; of a bool 1
    or 0. ``double``: a text as Go's ParseFloat takes it, but none in hexadecimal. ``bool``, as OTTL's Bool: a number
    that is not 0, or one of Go's texts (``1``, ``t``, ``T``, ``true``, ``True``, ``TRUE`` and their opposites).
    """

    target: Source
    to: Literal["int", "double", "string", "bool"]

    def __post_init__(self) -> None:
        _check_target(self.target, "value")
        _check_choice("to", self.to, ("int", "double", "string", "bool"))


@dataclass(frozen=True, slots=True)
class Truncate:
    """Cut the texts among the attributes' values, not those inside lists and maps, at a character's boundary."""

    level: Level
    max_bytes: int

    def __post_init__(self) -> None:
        _check_level(self.level)
        _check_count("max_bytes", self.max_bytes)


@dataclass(frozen=True, slots=True)
class Limit:
    """Keep at most so many attributes: those with a priority key, then the first ones.

    More attributes with a priority key than that are all kept. The count of dropped attributes stays as it was sent.
    """

    level: Level
    count: int
    priority_keys: Sequence[str] = ()

    def __post_init__(self) -> None:
        _check_level(self.level)
        _check_count("count", self.count)
        _check_texts("priority_keys", self.priority_keys)


Edit = Set | Delete | DeleteMatching | Extract | KeepKeys | Rename | Hash | HashMatching | Convert | Truncate | Limit


def check_signal(edits: Sequence[Edit], signal: str) -> None:
    """Raise ValueError for an edit that items of a signal cannot have."""
    for edit in edits:
        if isinstance(edit, Set | Delete | Hash | Convert):
            places: tuple[Source, ...] = (edit.target,)
            if isinstance(edit, Set) and isinstance(edit.value, Source):
                places = (edit.target, edit.value)
        else:
            places = (Attribute(edit.level, ""),)
            if isinstance(edit, Extract):
                places = (*places, edit.source)
        for place in places:
            field = FIELDS[place.level, place.name][1] if isinstance(place, Field) else LEVEL_SIGNALS[place.level]
            if signal not in field:
                raise ValueError(f"{signal} have no {_name(place)}")


def _name(place: Source) -> str:
    return f"{place.level} {place.name}" if isinstance(place, Field) else f"{place.level} attributes"


def _check_level(level: str) -> None:
    _check_choice("level", level, get_args(Level))


def _check_algorithm(algorithm: Algorithm, key: bytes) -> None:
    _check_choice("algorithm", algorithm, get_args(Algorithm))
    if (algorithm in _KEYED) != bool(key):
        raise ValueError(f"{algorithm} {'needs a' if algorithm in _KEYED else 'takes no'} key")


def _check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is one of {', '.join(choices)}, not {value!r}")


def _check_count(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 31:
        raise ValueError(f"{name} is a number from 0 to 2147483647, not {value!r}")


def _check_texts(name: str, texts: Sequence[object]) -> None:
    if isinstance(texts, str) or not all(isinstance(text, str) and _is_unicode(text) for text in texts):
        raise ValueError(f"{name} must be texts, not {texts!r}")


def _is_unicode(text: str) -> bool:
    # A surrogate alone is a character of Python's, but none of UTF-8's.
    return re.search("[\ud800-\udfff]", text) is None


def _check_place(place: Source) -> Kind:
    """What is there; raises ValueError for a place that there cannot be."""
    _check_level(place.level)
    if len(place.path) > DEEPEST_LITERAL:
        raise ValueError(f"a path has at most {DEEPEST_LITERAL} steps")
    for step in place.path:
        if isinstance(step, str):
            _check_texts("path", (step,))
        elif isinstance(step, bool) or not 0 <= step < 1 << 31:
            raise ValueError(f"a step of a path is a key or an index from 0, not {step!r}")
    if isinstance(place, Attribute):
        _check_texts("key", (place.key,))
        return "value"
    if (place.level, place.name) not in FIELDS:
        raise ValueError(f"there is no {_name(place)} that edits know")
    kind = FIELDS[place.level, place.name][0]
    if place.path and kind != "value":
        raise ValueError(f"there is nothing inside {_name(place)}")
    return kind


def _check_target(target: Source, *kinds: Kind) -> None:
    kind = _check_place(target)
    if kind == "id" or (kinds and kind not in kinds):
        raise ValueError(f"this edit cannot be done to {_name(target)}")


def _check_reach(level: Level, source: Source) -> None:
    if source.level != level and _OUTSIDE_IN[source.level] >= _OUTSIDE_IN[level]:
        raise ValueError(f"a value for {level} cannot come from {_name(source)}: there can be several of it")


def _check_literal(value: Value, depth: int) -> None:
    match value:
        case None | bool() | float() | bytes():
            return
        case int():
            if not -(1 << 63) <= value < 1 << 63:
                raise ValueError(f"{value} has more than 64 bits")
        case str():
            _check_texts("a value's texts", (value,))
        case Mapping() | Sequence():
            if not depth:
                raise ValueError(f"a value has at most {DEEPEST_LITERAL} lists and maps in one another")
            if isinstance(value, Mapping):
                _check_texts("keys", tuple(value))
            for inside in value.values() if isinstance(value, Mapping) else value:
                _check_literal(inside, depth - 1)
        case _:
            # Types are not checked while the program runs, and values come from configurations.
            raise ValueError(f"{value!r} is nothing that an attribute can hold")


def _check_type(target: Source, value: object) -> None:
    if isinstance(target, Attribute):
        return
    kind = FIELDS[target.level, target.name][0]
    if kind == "text" and not isinstance(value, str):
        raise ValueError(f"{_name(target)} is a text, not {value!r}")
    if kind in RANGES and (not isinstance(value, int) or isinstance(value, bool) or value not in RANGES[kind]):
        numbers = RANGES[kind]
        raise ValueError(f"{_name(target)} is a number from {numbers.start} to {numbers.stop - 1}, not {value!r}")
