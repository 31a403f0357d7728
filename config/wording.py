"""What an option may be and what stands there, in the words of a message."""

import json
import re
from collections.abc import Callable
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, SecretStr

from airis.component.config import Duration, Scalar, choices, format_duration, section_of
from airis.component.unsupported import not_supported
from airis.config.document import Entry, Node

HIDDEN = "…"
"""Instead of what came from outside the file, and of the rest of a long text."""
MAX_SHOWN = 60
"""Characters of a value that are repeated in a message."""

_DURATION = get_args(Duration)[1]
_NOT_SUPPORTED = not_supported("").func.__qualname__
_FIXED_BEGINNING = re.compile(r"\^([^\\^$.|?*+()\[\]{}]+)")
_NAME = re.compile(r"\^\[A-Za-z_\]\[A-Za-z0-9_\]\{0,(\d+)\}\$")


def alternatives(annotation: Any) -> list[Any]:
    """The types of a union, or the one type with its bounds; null is none of them."""
    options = [option for option in choices(annotation) if option is not NoneType]
    return [annotation] if len(options) == 1 else options


def plain_types(annotation: Any) -> list[Any]:
    """The types without their bounds; null is none of them."""
    if get_origin(annotation) is Annotated:
        return plain_types(get_args(annotation)[0])
    options = [option for option in choices(annotation) if option is not NoneType]
    return options if options == [annotation] else [found for option in options for found in plain_types(option)]


def is_text(annotation: Any) -> bool:
    """Whether it can be text: any, or of a fixed choice."""
    return any(
        get_origin(option) is Literal or (isinstance(option, type) and issubclass(option, str | SecretStr))
        for option in plain_types(annotation)
    )


def is_secret(annotation: Any) -> bool:
    """Whether its value, or one in it, must not be repeated."""
    return any(
        (isinstance(option, type) and issubclass(option, SecretStr)) or any(map(is_secret, _items(option)))
        for option in plain_types(annotation)
    )


def _items(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (list, dict) else ()


def is_duration(annotation: Any) -> bool:
    """Whether it can be a duration."""
    return _DURATION in _metadata(annotation)


def is_not_supported(annotation: Any) -> bool:
    """Whether the Collector has the option and airis does not."""
    validators = [mark for mark in _metadata(annotation) if isinstance(mark, AfterValidator)]
    return any(getattr(validator.func, "__qualname__", "") == _NOT_SUPPORTED for validator in validators)


def fixed_texts(annotation: Any) -> list[str]:
    """The values of an option that has a fixed choice of texts; else none."""
    types = plain_types(annotation)
    return [str(value) for option in types if get_origin(option) is Literal for value in get_args(option)]


def expected(annotation: Any) -> str:
    """``an integer``, ``"a" or "b"``, ``text or a list``."""
    words = dict.fromkeys(word for option in alternatives(annotation) for word in _words(option))
    *others, last = words or ["another value"]
    return f"{', '.join(others)} or {last}" if others else last


def _words(annotation: Any) -> list[str]:
    if is_duration(annotation):
        return ['a duration such as "5s"']
    texts = fixed_texts(annotation)
    if texts:
        return [json.dumps(text, ensure_ascii=False) for text in texts]
    if section_of(annotation):
        return ["a mapping"]
    words = {bool: "true or false", int: "an integer", float: "a number", list: "a list", dict: "a mapping"}
    return [words.get(get_origin(option) or option, "text") for option in plain_types(annotation)]


def allowed(annotation: Any) -> str:
    """``from 0 to 100``, ``at least 5s``, ``from 1 to 10 characters``; empty without a bound."""
    marks = _metadata(annotation)

    def bound(name: str) -> Any:
        return next((getattr(mark, name) for mark in marks if getattr(mark, name, None) is not None), None)

    shortest, longest = bound("min_length"), bound("max_length")
    if shortest is not None or longest is not None:
        return f"{_between(shortest or None, longest, str)} {'characters' if is_text(annotation) else 'items'}"
    least, most, over, under = bound("ge"), bound("le"), bound("gt"), bound("lt")
    if int in plain_types(annotation):
        least, over = (over + 1 if over is not None else least), None
        most, under = (under - 1 if under is not None else most), None
    write = format_duration if is_duration(annotation) else _number
    parts = [
        f"over {write(over)}" if over is not None else "",
        _between(least, most, write),
        f"under {write(under)}" if under is not None else "",
    ]
    return " and ".join(filter(None, parts))


def _between(least: Any, most: Any, write: Callable[[Any], str]) -> str:
    if least is not None and most is not None:
        return f"from {write(least)} to {write(most)}"
    if least is not None:
        return f"at least {write(least)}"
    return f"at most {write(most)}" if most is not None else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def form(pattern: str) -> str:
    """What a regular expression of a model demands, for the forms that are in use."""
    beginning, name = _FIXED_BEGINNING.fullmatch(pattern), _NAME.fullmatch(pattern)
    if beginning:
        return f'must begin with "{beginning[1]}"'
    if name:
        longest = int(name[1]) + 1
        return f"must be letters, digits and underscores, not a digit first, and no more than {longest}"
    return f"must be of the form {pattern}"


def is_key_hidden(parent: Node, entry: Entry) -> bool:
    """Whether the key of an entry came from outside: then all that it is in did, and its value as well."""
    return parent.substituted and entry.node.substituted


def shown(node: Node, *, hidden: bool = False) -> str:
    """The value, or what can be said of it: `hidden` ones are not repeated."""
    if node.substituted:
        return "something else from outside the file"
    if isinstance(node.value, dict | list):
        return "a mapping" if isinstance(node.value, dict) else "a list"
    if isinstance(node.value, Scalar) and node.value.value is None:
        return "nothing"
    if hidden:
        return "something else"
    if isinstance(node.value, Scalar):
        return node.value.text
    text = node.value if len(node.value) <= MAX_SHOWN else f"{node.value[:MAX_SHOWN]}{HIDDEN}"
    return json.dumps(text, ensure_ascii=False)


def _metadata(annotation: Any) -> list[Any]:
    """All bounds and validators of a type, of a union those of its members."""
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        return [*_metadata(inner), *marks]
    options = choices(annotation)
    return [] if options == (annotation,) else [mark for option in options for mark in _metadata(option)]
