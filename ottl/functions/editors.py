"""The editors: what changes telemetry."""

from collections.abc import Callable, Iterator
from typing import Any

from airis.ottl.arguments import (
    FunctionArgument,
    Getter,
    IntGetter,
    MapGetter,
    Place,
    PlaceArgument,
    StringGetter,
    prepared,
)
from airis.ottl.functions.replacing import check_format, globbed, replaced
from airis.ottl.patterns import Glob, Regex
from airis.ottl.registry import Editor, Functions
from airis.ottl.texts import attribute_text
from airis.ottl.values import EvaluationError, Value, type_name

EDITORS = Functions()
declare = EDITORS.declare

Map = dict[str, Value]


def _map_at(place: Place, here: Any) -> Map:
    value = place.get(here)
    if not isinstance(value, dict):
        raise EvaluationError(f"expected a map, not {type_name(value)}")
    return value


def _rewritten(target: Place, change: Callable[[Any, Map], Map | None]) -> Editor:
    """An editor of a map; nothing is written where there is nothing new."""

    def edit(here: Any) -> None:
        changed = change(here, _map_at(target, here))
        if changed is not None:
            target.set(here, changed)

    return edit


@declare("set")
def set_(target: PlaceArgument, value: Getter) -> Editor:
    """Write a value; nil changes nothing."""

    def edit(here: Any) -> None:
        found = value(here)
        if found is not None:
            target.set(here, found)

    return edit


@declare("delete_key")
def delete_key(target: PlaceArgument, key: StringGetter) -> Editor:
    """Delete one key of a map."""

    def change(here: Any, found: Map) -> Map | None:
        name = key(here)
        return {k: v for k, v in found.items() if k != name} if name in found else None

    return _rewritten(target, change)


@declare("delete_matching_keys")
def delete_matching_keys(target: PlaceArgument, pattern: StringGetter) -> Editor:
    """Delete the keys in which a pattern is found."""
    regex = prepared(pattern, Regex)
    return _rewritten(target, lambda here, found: _where(found, lambda key: not regex(here).matches(key)))


@declare("keep_matching_keys")
def keep_matching_keys(target: PlaceArgument, pattern: StringGetter) -> Editor:
    """Keep the keys in which a pattern is found."""
    regex = prepared(pattern, Regex)
    return _rewritten(target, lambda here, found: _where(found, lambda key: regex(here).matches(key)))


@declare("keep_keys")
def keep_keys(target: PlaceArgument, keys: list[StringGetter]) -> Editor:
    """Keep these keys."""

    def change(here: Any, found: Map) -> Map | None:
        kept = {key(here) for key in keys}
        return _where(found, lambda key: key in kept)

    return _rewritten(target, change)


def _where(found: Map, keeps: Callable[[str], bool]) -> Map | None:
    kept = {key: value for key, value in found.items() if keeps(key)}
    return kept if len(kept) < len(found) else None


@declare("limit")
def limit(target: PlaceArgument, limit: int, priority_keys: list[str]) -> Editor:
    """Keep at most so many keys: those with priority, then the first ones."""
    if limit < 0:
        raise ValueError(f"limit is at least 0, not {limit}")
    if len(priority_keys) > limit:
        raise ValueError(f"there are more priority_keys ({len(priority_keys)}) than the limit ({limit})")
    first = frozenset(priority_keys)

    def change(_here: Any, found: Map) -> Map | None:
        if len(found) <= limit:
            return None
        room = limit - sum(key in found for key in first)
        kept: Map = {}
        for key, value in found.items():
            if key in first:
                kept[key] = value
            elif room > 0:
                kept[key] = value
                room -= 1
        return kept

    return _rewritten(target, change)


@declare("truncate_all")
def truncate_all(
    target: PlaceArgument, limit: int, utf8_safe: bool | None = None, truncation_marker: str | None = None
) -> Editor:
    """Cut the strings of a map to so many bytes, a mark of what is cut off included, at a character's boundary."""
    marker = truncation_marker or ""
    size = limit - len(marker.encode())
    if limit < 0 or size < 0:
        least = f"{len(marker.encode())}, for the truncation_marker" if marker else "0"
        raise ValueError(f"limit is at least {least}, not {limit}")
    if utf8_safe is False:
        raise ValueError("utf8_safe cannot be false: a part of a character is nothing that can be sent on")

    def shortened(text: str) -> str:
        raw = text.encode()
        return text if len(raw) <= limit else raw[:size].decode(errors="ignore") + marker

    return _rewritten(target, lambda _here, found: _with_texts(found, shortened))


def _with_texts(found: Map, change: Callable[[str], str]) -> Map | None:
    changed = {key: change(value) if isinstance(value, str) else value for key, value in found.items()}
    return changed if any(changed[key] is not found[key] for key in found) else None


@declare("stringify_all")
def stringify_all(target: PlaceArgument) -> Editor:
    """Make strings of all values of a map."""

    def change(_here: Any, found: Map) -> Map | None:
        return {key: attribute_text(value) for key, value in found.items()}

    return _rewritten(target, change)


@declare("merge_maps")
def merge_maps(target: PlaceArgument, source: MapGetter, strategy: str) -> Editor:
    """Write the entries of one map into another: ``insert``, ``update`` or ``upsert`` says which."""
    if strategy not in ("insert", "update", "upsert"):
        raise ValueError(f"strategy is insert, update or upsert, not {strategy!a}")

    def change(here: Any, found: Map) -> Map | None:
        others = source(here)
        if strategy == "insert":
            return {**others, **found} if not others.keys() <= found.keys() else None
        if strategy == "update":
            others = {key: value for key, value in others.items() if key in found}
        return {**found, **others} if others else None

    def in_order(here: Any, found: Map) -> Map | None:
        merged = change(here, found)
        return None if merged is None else {**{key: merged[key] for key in found}, **merged}

    return _rewritten(target, in_order)


# Lists


def _items(value: Value) -> list[Value]:
    match value:
        case None:
            return []
        case list():
            return value
        case _:
            return [value]


@declare("append")
def append(target: PlaceArgument, value: Getter | None = None, values: list[Getter] | None = None) -> Editor:
    """Put values behind those of a list, which a single value, or nothing, is made first."""
    if value is None and values is None:
        raise ValueError("value or values must be given")

    def edit(here: Any) -> None:
        added = [] if value is None else _items(value(here))
        added = [*added, *(get(here) for get in values or ())]
        target.set(here, [*_items(target.get(here)), *added])

    return edit


@declare("delete_index")
def delete_index(target: PlaceArgument, start_index: IntGetter, end_index: IntGetter | None = None) -> Editor:
    """Delete the items of a list from one index up to another, or one item."""

    def edit(here: Any) -> None:
        found = target.get(here)
        if not isinstance(found, list):
            raise EvaluationError(f"expected a list, not {type_name(found)}")
        start = start_index(here)
        end = start + 1 if end_index is None else end_index(here)
        if not 0 <= start <= end <= len(found):
            raise EvaluationError(f"there are no items from {start} up to {end} in a list of {len(found)}")
        if start < end:
            target.set(here, [*found[:start], *found[end:]])

    return edit


# Flattening


@declare("flatten")
def flatten(
    target: PlaceArgument, prefix: str | None = None, depth: int | None = None, resolve_conflicts: bool | None = None
) -> Editor:
    """Bring what is in maps and lists inside a map up to it, with keys joined by dots."""
    if depth is not None and depth < 0:
        raise ValueError(f"depth is at least 0, not {depth}")
    start = f"{prefix}." if prefix else ""

    def change(_here: Any, found: Map) -> Map | None:
        flat: Map = {}
        counts: dict[str, int] = {}
        for key, value in _flat(found, start, depth, bool(resolve_conflicts)):
            name = key
            if resolve_conflicts:
                count = counts.get(key, 0)
                counts[key] = count + 1
                name = key if not count else f"{key}.{count - 1}"
            flat[name] = value
        return flat

    return _rewritten(target, change)


def _flat(found: Map, prefix: str, depth: int | None, same_keys: bool) -> Iterator[tuple[str, Value]]:
    for key, value in found.items():
        yield from _leaves(f"{prefix}{key}", value, depth, same_keys)


def _leaves(key: str, value: Value, depth: int | None, same_keys: bool) -> Iterator[tuple[str, Value]]:
    inner = None if depth is None else depth - 1
    if isinstance(value, dict) and depth != 0:
        yield from _flat(value, f"{key}.", inner, same_keys)
    elif isinstance(value, list) and depth != 0:
        for index, item in enumerate(value):
            yield from _leaves(key if same_keys else f"{key}.{index}", item, inner, same_keys)
    else:
        yield key, value


# Replacing


@declare("replace_match")
def replace_match(
    target: PlaceArgument,
    pattern: str,
    replacement: StringGetter,
    function: FunctionArgument | None = None,
    replacement_format: str | None = None,
) -> Editor:
    """Replace a string that matches a glob."""
    glob = Glob(pattern)
    check_format(replacement_format)

    def edit(here: Any) -> None:
        text = target.get(here)
        if isinstance(text, str):
            new = globbed(text, glob, replacement(here), here, function, replacement_format)
            if new is not text:
                target.set(here, new)

    return edit


@declare("replace_all_matches")
def replace_all_matches(
    target: PlaceArgument,
    pattern: str,
    replacement: StringGetter,
    function: FunctionArgument | None = None,
    replacement_format: str | None = None,
) -> Editor:
    """Replace the strings of a map that match a glob."""
    glob = Glob(pattern)
    check_format(replacement_format)

    def change(here: Any, found: Map) -> Map | None:
        new = replacement(here)
        return _with_texts(found, lambda text: globbed(text, glob, new, here, function, replacement_format))

    return _rewritten(target, change)


@declare("replace_pattern")
def replace_pattern(
    target: PlaceArgument,
    regex: StringGetter,
    replacement: StringGetter,
    function: FunctionArgument | None = None,
    replacement_format: str | None = None,
) -> Editor:
    """Replace what a pattern finds in a string."""
    compiled = prepared(regex, Regex)
    check_format(replacement_format)

    def edit(here: Any) -> None:
        text = target.get(here)
        if text is None:
            return
        if not isinstance(text, str):
            raise EvaluationError(f"expected a string, not {type_name(text)}")
        new = replaced(text, compiled(here), replacement(here), here, function, replacement_format)
        if new is not text:
            target.set(here, new)

    return edit


@declare("replace_all_patterns")
def replace_all_patterns(
    target: PlaceArgument,
    mode: str,
    regex: StringGetter,
    replacement: StringGetter,
    function: FunctionArgument | None = None,
    replacement_format: str | None = None,
) -> Editor:
    """Replace what a pattern finds in the keys or in the string values of a map."""
    if mode not in ("key", "value"):
        raise ValueError(f"mode is key or value, not {mode!a}")
    compiled = prepared(regex, Regex)
    check_format(replacement_format)

    def change(here: Any, found: Map) -> Map | None:
        pattern, new = compiled(here), replacement(here)

        def replace(text: str) -> str:
            return replaced(text, pattern, new, here, function, replacement_format)

        if mode == "value":
            return _with_texts(found, replace)
        renamed = {replace(key): value for key, value in found.items()}
        return renamed if list(renamed) != list(found) else None

    return _rewritten(target, change)
