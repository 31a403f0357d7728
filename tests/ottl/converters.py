"""The converters that conditions are lowered with, as the language has them."""

from typing import Any

from airis.ottl.arguments import Getter, StringGetter, StringLikeGetter
from airis.ottl.patterns import Regex
from airis.ottl.registry import Converter, Functions
from airis.ottl.values import Id

STAND_INS = Functions()
declare = STAND_INS.declare


@declare("IsMatch")
def is_match(target: StringLikeGetter, pattern: StringGetter) -> Converter:
    def test(here: Any) -> bool:
        text = target(here)
        return text is not None and Regex(pattern(here)).matches(text)

    return test


@declare("HasPrefix")
def has_prefix(value: StringGetter, prefix: StringGetter) -> Converter:
    return lambda here: value(here).startswith(prefix(here))


@declare("HasSuffix")
def has_suffix(value: StringGetter, suffix: StringGetter) -> Converter:
    return lambda here: value(here).endswith(suffix(here))


@declare("IsRootSpan", contexts=["span"])
def is_root_span() -> Converter:
    return lambda here: not any(here.item.parent_span_id)


@declare("SpanID")
def span_id(value: bytes) -> Converter:
    return lambda here: Id(value)


def _is_of(kind: type) -> Any:
    def make(value: Getter) -> Converter:
        return lambda here: type(value(here)) is kind

    return make


for _name, _kind in (
    ("IsString", str),
    ("IsInt", int),
    ("IsBool", bool),
    ("IsDouble", float),
    ("IsMap", dict),
    ("IsList", list),
):
    declare(_name)(_is_of(_kind))
