"""From positioned YAML to options: pydantic's findings in the words and places of the file."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin

from pydantic import ValidationError

from airis.component.config import Config, Scalar, WrittenList, WrittenMapping, choices, section_of
from airis.config.document import Entry, Node, resolve_plain
from airis.config.errors import Mark, Problem
from airis.config.wording import (
    HIDDEN,
    allowed,
    alternatives,
    expected,
    fixed_texts,
    form,
    is_duration,
    is_key_hidden,
    is_not_supported,
    is_secret,
    is_text,
    plain_types,
    shown,
)

M = TypeVar("M", bound=Config)
Detail = Mapping[str, Any]
"""One finding of pydantic."""

_WRONG_TYPE = {
    "int_type",
    "int_from_float",
    "bool_type",
    "float_type",
    "string_type",
    "list_type",
    "dict_type",
    "model_type",
    "model_attributes_type",
    "none_required",
    "literal_error",
    "enum",
}
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_WORD = re.compile(r"\w+")
_SHORT = 2
_OTHER_SPELLINGS = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def decode(model: type[M], node: Node, path: tuple[str, ...], key_mark: Mark, problems: list[Problem]) -> M | None:
    """The options in `node`; None, with what is wrong added to `problems`, if they cannot be used."""
    found: list[Problem] = []
    options: M | None = None
    try:
        options = model.model_validate(_written(model, node, path, found))
    except ValidationError as error:
        details = cast("list[Detail]", error.errors())
        _Explanation(path, found).explain(_Spot(node, key_mark, model), details, 0)
    problems.extend(found)
    return None if found else options


def raw(node: Node) -> Any:
    """The node as dicts and lists with `Scalar` leaves, for `Config` to choose text or typed value."""
    return _written(Any, node, (), [])


def suggestion(name: str, valid: Iterable[str]) -> str:
    """``did you mean "x"?``, or the valid names where none is near."""
    names = sorted(valid)
    near = nearest(name, names)
    if near:
        return f'did you mean "{near}"?'
    return f"valid here: {', '.join(names)}" if names else "nothing is valid here"


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name that was probably meant."""
    return next(iter(difflib.get_close_matches(name, sorted(valid), n=1, cutoff=0.6)), None)


def _written(annotation: Any, node: Node, path: tuple[str, ...], problems: list[Problem]) -> Any:
    """As `raw`; a text for a list is split at its commas, and a wrong ``enabled`` is left out as a problem."""
    value = node.value
    if isinstance(value, dict):
        entries = _without_wrong_switch(annotation, value, path, problems)
        section, other = section_of(annotation), _item(annotation, dict)
        inside = _options(section) if section else {}
        mapping = {
            key: _written(inside.get(key, other), entry.node, (*path, key), problems) for key, entry in entries.items()
        }
        return WrittenMapping(mapping, node.text) if node.text else mapping
    item = _item(annotation, list)
    if isinstance(value, list):
        items = [_written(item, part, (*path, str(i)), problems) for i, part in enumerate(value)]
        return WrittenList(items, node.text) if node.text else items
    if isinstance(value, str) and is_text(item) and not is_text(annotation):
        return [part.strip() for part in value.split(",")] if value else []
    return value


def _without_wrong_switch(
    annotation: Any, entries: dict[str, Entry], path: tuple[str, ...], problems: list[Problem]
) -> dict[str, Entry]:
    """The entries of a section; ``enabled`` of one that may be absent must be true or false."""
    section = section_of(annotation)
    if section is None or "enabled" not in entries or type(None) not in choices(annotation):
        return entries
    node = entries["enabled"].node
    if "enabled" in _options(section) or (isinstance(node.value, Scalar) and isinstance(node.value.value, bool)):
        return entries
    rule, message = _wrong_type(_Spot(node, node.mark, bool))
    problems.append(Problem(node.mark, (*path, "enabled"), message, rule, not node.substituted))
    return {key: entry for key, entry in entries.items() if key != "enabled"}


def _options(section: type[Config]) -> dict[str, Any]:
    """The types of a section's options, with their bounds, by the names that they have in a file."""
    return {
        field.alias or name: Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        for name, field in section.model_fields.items()
    }


def _item(annotation: Any, *containers: type) -> Any:
    """The type of what is in a list, or behind the keys of a mapping; Any where that is not known."""
    return next((get_args(a)[-1] for a in plain_types(annotation) if get_origin(a) in containers), Any)


@dataclass(frozen=True, slots=True)
class _Spot:
    """A place in the file, and what the option there may be."""

    node: Node
    key_mark: Mark
    annotation: Any
    steps: tuple[str, ...] = ()
    """From the component to here."""

    @property
    def mark(self) -> Mark:
        """Of the value, or of the key above a mapping."""
        return self.key_mark if isinstance(self.node.value, dict) else self.node.mark

    @property
    def is_hidden(self) -> bool:
        """Whether what stands here must not be repeated."""
        return _is_from_outside(self.node) or is_secret(self.annotation)

    def entry(self, name: str) -> Entry | None:
        """What is written for an option of this section."""
        return self.node.value.get(name) if isinstance(self.node.value, dict) else None

    def down(self, step: str | int) -> "_Spot":
        """The place of an option, an entry or an item in it."""
        section, name = section_of(self.annotation), str(step)
        inside = _options(section).get(name, Any) if section else _item(self.annotation, list, dict)
        entry = self.entry(name)
        if entry is not None:
            is_known = section is not None or not is_key_hidden(self.node, entry)
            return _Spot(entry.node, entry.key_mark, inside, (*self.steps, name if is_known else HIDDEN))
        if isinstance(self.node.value, list) and isinstance(step, int) and step < len(self.node.value):
            node = self.node.value[step]
            return _Spot(node, node.mark, inside, (*self.steps, name))
        return replace(self, annotation=inside)  # a part of a text with commas


@dataclass(frozen=True, slots=True)
class _Explanation:
    """Turns pydantic's findings, whose places are paths, into problems."""

    path: tuple[str, ...]
    problems: list[Problem]

    def explain(self, spot: _Spot, details: Sequence[Detail], depth: int) -> None:
        """Add the problems for all details, whose places agree in the first `depth` steps, which lead to `spot`."""
        deeper: dict[str | int, list[Detail]] = {}
        for detail in details:
            location = detail["loc"]
            is_option = len(location) == depth + 1
            if len(location) == depth or location[-1] == "[key]":
                self.add(spot, *_explained(spot, detail))
            elif is_option and detail["type"] == "extra_forbidden":
                self.unknown(spot, str(location[-1]))
            elif is_option and detail["type"] == "missing":
                self.missing(spot, str(location[-1]))
            else:
                deeper.setdefault(location[depth], []).append(detail)
        if deeper and len(alternatives(spot.annotation)) > 1:
            self.choose(spot, deeper, depth)
            return
        for step, some in deeper.items():
            self.explain(spot.down(step), some, depth + 1)

    def choose(self, spot: _Spot, branches: Mapping[str | int, Sequence[Detail]], depth: int) -> None:
        """Explain a value that may be of several types by the one that it was probably meant to be.

        `branches` are pydantic's findings for each of the types that it tried, by a name that it gives them.
        """
        near = {
            name: details
            for name, details in branches.items()
            if any(len(detail["loc"]) > depth + 1 or detail["type"] not in _WRONG_TYPE for detail in details)
        }
        if not near:
            self.add(spot, *_wrong_type(spot))
            return
        fitting = {getattr(a, "__name__", ""): a for a in alternatives(spot.annotation) if _fits(a, spot.node)}
        name = min(near, key=lambda name: (name not in fitting, len(near[name])))
        meant = fitting.get(str(name), next(iter(fitting.values()), spot.annotation))
        self.explain(replace(spot, annotation=meant), near[name], depth + 1)

    def add(self, spot: _Spot, rule: str, message: str) -> None:
        """What is wrong with the value at a place."""
        is_shown = not spot.is_hidden and not isinstance(spot.node.value, dict | list)
        self.problems.append(Problem(spot.mark, (*self.path, *spot.steps), message, rule, is_shown))

    def unknown(self, spot: _Spot, name: str) -> None:
        """An option that the section does not have."""
        section, entry = section_of(spot.annotation), spot.entry(name)
        hint = suggestion(name, _options(section) if section else ())
        written = HIDDEN if entry and is_key_hidden(spot.node, entry) else name
        mark = entry.key_mark if entry else spot.mark
        path = (*self.path, *spot.steps)
        self.problems.append(Problem(mark, path, f'unknown option "{written}"; {hint}', "unknown-option"))

    def missing(self, spot: _Spot, name: str) -> None:
        """An option that has no default and is not written, or is null."""
        entry, path = spot.entry(name), (*self.path, *spot.steps)
        if entry is None:
            self.problems.append(Problem(spot.key_mark, path, f'option "{name}" is required', "missing-option"))
        else:
            self.problems.append(Problem(entry.key_mark, (*path, name), "a value is required", "missing-option"))


def _fits(annotation: Any, node: Node) -> bool:
    """Whether a value of the kind that is written, a mapping or a list, can be of this type."""
    if isinstance(node.value, dict):
        return section_of(annotation) is not None or get_origin(annotation) is dict
    return isinstance(node.value, list) and get_origin(annotation) is list


def _explained(spot: _Spot, detail: Detail) -> tuple[str, str]:
    """The rule that is broken, and how."""
    kind, message = str(detail["type"]), str(detail["msg"])
    if kind in _WRONG_TYPE:
        return _wrong_type(spot)
    if kind == "value_error":
        return _refused(spot, str(detail["ctx"]["error"]))
    is_value = shown(spot.node, hidden=spot.is_hidden)
    if kind == "string_pattern_mismatch":
        return "invalid-value", f"{form(str(detail['ctx']['pattern']))}, got {is_value}"
    bounds = allowed(spot.annotation)
    if bounds and kind.startswith(("greater_than", "less_than")):
        return "out-of-range", f"must be {bounds}, got {is_value}"
    if bounds and kind.endswith(("too_short", "too_long")):
        return "out-of-range", f"must have {bounds}" if spot.node.value else "must not be empty"
    if message.startswith("Input should "):
        message = f"must {message.removeprefix('Input should ')}"
    return "invalid-value", message


def _refused(spot: _Spot, reason: str) -> tuple[str, str]:
    """What a validator said, unless it repeats what is no one's business: a secret, or what came from outside."""
    if is_not_supported(spot.annotation):
        return "unsupported-option", reason
    if any(_is_repeated(text, reason) for text in _private_texts(spot)):
        return "invalid-value", "the value put in here is not valid"
    text = spot.node.value
    if isinstance(text, str) and is_duration(spot.annotation) and _NUMBER.fullmatch(text) and not spot.is_hidden:
        return "invalid-value", f'a duration needs a unit; write "{text}s" for seconds'
    return "invalid-value", reason


def _private_texts(spot: _Spot) -> Iterator[str]:
    """All in it that is secret or came from outside."""
    value = spot.node.value
    if isinstance(value, dict):
        for key, entry in value.items():
            if is_key_hidden(spot.node, entry):
                yield key
            yield from _private_texts(spot.down(key))
    elif isinstance(value, list):
        for number in range(len(value)):
            yield from _private_texts(spot.down(number))
    elif spot.node.substituted or is_secret(spot.annotation):
        yield value.text if isinstance(value, Scalar) else value


def _is_repeated(text: str, reason: str) -> bool:
    """Whether any word of the text is in the reason; of short ones only as a word."""
    words = set(_WORD.findall(text.lower()))
    said = reason.lower()
    return any(word in said for word in words if len(word) > _SHORT) or not words.isdisjoint(_WORD.findall(said))


def _wrong_type(spot: _Spot) -> tuple[str, str]:
    """What was expected, and what is there."""
    value, texts = spot.node.value, fixed_texts(spot.annotation)
    rule = "unknown-value" if texts and not isinstance(value, dict | list) else "wrong-type"
    message = f"expected {expected(spot.annotation)}, got {shown(spot.node, hidden=spot.is_hidden)}"
    if spot.is_hidden or not isinstance(value, str):
        return rule, message
    if texts:
        near = nearest(value, texts)
        return rule, f'{message}; did you mean "{near}"?' if near else message
    meant = resolve_plain(_OTHER_SPELLINGS.get(value.lower(), value))
    if isinstance(meant, bool | int | float) and type(meant) in plain_types(spot.annotation):
        written = json.dumps(meant) if isinstance(meant, bool) else value
        return rule, f"{message}; write {written} without quotes"
    return rule, message


def _is_from_outside(node: Node) -> bool:
    """Whether anything in the node is."""
    if node.substituted:
        return True
    if isinstance(node.value, dict):
        return any(_is_from_outside(entry.node) for entry in node.value.values())
    return isinstance(node.value, list) and any(map(_is_from_outside, node.value))
