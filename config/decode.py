"""From positioned YAML to options: pydantic's findings in the words and places of the file."""

import difflib
import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, cast, get_args

from pydantic import ValidationError

from airis.component.config import Config, Scalar, WrittenList, WrittenMapping, section_of
from airis.config.document import Node
from airis.config.errors import Mark, Problem

M = TypeVar("M", bound=Config)

_EXPECTED = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "bool_type": "true or false",
    "float_type": "a number",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def decode(model: type[M], node: Node, path: tuple[str, ...], key_mark: Mark, problems: list[Problem]) -> M | None:
    """The options in `node`; None, with what is wrong added to `problems`, if they cannot be used."""
    try:
        return model.model_validate(raw(node))
    except ValidationError as error:
        details = cast("list[dict[str, Any]]", error.errors())
        problems.extend(_problem(model, node, path, key_mark, detail) for detail in details)
        return None


def raw(node: Node) -> Any:
    """The node as dicts and lists with `Scalar` leaves, for `Config` to choose text or typed value."""
    if isinstance(node.value, dict):
        mapping = {key: raw(entry.node) for key, entry in node.value.items()}
        return WrittenMapping(mapping, node.text) if node.text else mapping
    if isinstance(node.value, list):
        items = [raw(item) for item in node.value]
        return WrittenList(items, node.text) if node.text else items
    return node.value


def suggestion(name: str, valid: Iterable[str]) -> str:
    """``did you mean "x"?``, or the valid names where none is near."""
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f'did you mean "{near[0]}"?'
    return f"valid here: {', '.join(names)}" if names else "nothing is valid here"


def _problem(model: type[Config], root: Node, path: tuple[str, ...], key_mark: Mark, detail: dict[str, Any]) -> Problem:
    location: Sequence[str | int] = detail["loc"]
    node, mark, steps = root, key_mark, list[str]()
    for step in location:
        if isinstance(node.value, dict) and str(step) in node.value:
            entry = node.value[str(step)]
            node, mark = entry.node, entry.key_mark
        elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            mark = node.mark
        elif detail["type"] != "missing" or step is not location[-1]:
            continue
        steps.append(str(step))
    where = (*path, *steps)
    kind = detail["type"]
    if kind == "extra_forbidden":
        valid = _options(model, location[:-1])
        return Problem(mark, where[:-1], f'unknown option "{location[-1]}"; {suggestion(str(location[-1]), valid)}')
    if kind == "missing":
        return Problem(mark, where[:-1], f'option "{location[-1]}" is required')
    if not isinstance(node.value, dict):
        mark = node.mark
    return Problem(mark, where, _message(kind, detail, node))


def _message(kind: str, detail: dict[str, Any], node: Node) -> str:
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, got {_shown(node)}"
    if kind in ("literal_error", "enum"):
        expected = str(detail["ctx"]["expected"]).replace("'", '"')
        return f"expected {expected}, got {_shown(node)}"
    if kind == "value_error":
        # The text of a validator may repeat the value, which is no one's business if it came from outside.
        return "the value put in here is not valid" if _is_from_outside(node) else str(detail["ctx"]["error"])
    message = str(detail["msg"]).removeprefix("Input ").removeprefix("should ")
    return f"must {message}" if str(detail["msg"]).startswith("Input should") else message


def _is_from_outside(node: Node) -> bool:
    """Whether anything in the node is."""
    if node.substituted:
        return True
    if isinstance(node.value, dict):
        return any(_is_from_outside(entry.node) for entry in node.value.values())
    return isinstance(node.value, list) and any(map(_is_from_outside, node.value))


def _shown(node: Node) -> str:
    if node.substituted:
        return "something else from outside the file"
    if isinstance(node.value, dict):
        return "a mapping"
    if isinstance(node.value, list):
        return "a list"
    if isinstance(node.value, Scalar):
        return node.value.text if node.value.value is not None else "nothing"
    return json.dumps(node.value, ensure_ascii=False)


def _options(model: type[Config], location: Sequence[str | int]) -> list[str]:
    """The names of the options in the section at `location`."""
    annotation: Any = model
    for step in location:
        section = section_of(annotation)
        if section is not None and step in section.model_fields:
            annotation = section.model_fields[str(step)].annotation
        else:
            annotation = next(iter(get_args(annotation)[-1:]), None)
    section = section_of(annotation)
    return [field.alias or name for name, field in section.model_fields.items()] if section else []
