"""What a model says of its options, for all that describes them: the schema, ``airis explain``, the reference."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, cast, get_args, get_origin

from pydantic import BeforeValidator, SecretStr, WithJsonSchema

from airis.component.config import ANY_CASE, Config, Duration, choices, format_duration, section_of
from airis.config.wording import is_not_supported

Form = Literal[
    "text", "secret", "integer", "number", "boolean", "duration", "choice", "list", "map", "section", "other"
]
EACH = "*"
"""Stands in a path for every item of a list and every key of a map."""
_ANYTHING = "anything"
_COUNTED = ("secret", "integer", "number", "duration", "map", "section")
_LARGE = 2**31 - 2
"""Upper bounds from here on are those of the machine and not worth a word."""


@dataclass(frozen=True, slots=True)
class Value:
    """One form that a value can have."""

    form: Form
    choices: tuple[Any, ...] = ()
    """What a "choice" is between."""
    items: "tuple[Value, ...]" = ()
    """The forms of each item of a "list", and of each value of a "map"."""
    section: type[Config] | None = None
    """The model of a "section"."""
    is_lenient: bool = False
    """Whether other spellings of a "choice" are taken as well."""
    is_any_case: bool = False
    """Whether the case of a "choice"'s letters makes no difference."""
    limits: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """In JSON Schema's words, such as ``minimum``; those of a "duration" are in seconds."""
    schema: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What an "other" type says of itself, as JSON Schema; empty if nothing."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option as it can be written."""

    name: str
    values: tuple[Value, ...]
    required: bool
    default: Any
    """As it would be written; None where there is none, and for a section that is off."""
    is_nullable: bool
    """Whether null is a value of its own, and not the default."""
    description: str
    deprecated: str
    """Why it should not be used any more, else empty."""
    is_supported: bool
    """Whether it has any effect; the Collector has some options that airis only knows."""

    @property
    def section(self) -> type[Config] | None:
        """The model of an option that is a section; None for any other option."""
        return next((value.section for value in self.values if value.section), None)

    @property
    def is_switch(self) -> bool:
        """Whether it is a section that may be absent, which takes ``enabled``."""
        return self.section is not None and self.is_nullable and "enabled" not in self.section.model_fields


def options_of(model: type[Config]) -> list[Option]:
    """The options of a component or section, in the order of its model."""
    defaults = model.model_construct().model_dump()
    return [
        Option(
            name=info.alias or name,
            values=_values(info.annotation, info.metadata),
            required=info.is_required(),
            default=None if info.is_required() else _written(defaults[name]),
            is_nullable=type(None) in choices(info.annotation),
            description=" ".join((info.description or "").split()),
            deprecated=_deprecation(info.deprecated),
            is_supported=not is_not_supported(Annotated[info.annotation, None, *info.metadata]),
        )
        for name, info in model.model_fields.items()
    ]


def walk(model: type[Config], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Option]]:
    """Every option with its path, those of sections below their section; a section in itself is not entered again."""
    yield from _walk(model, path, (model,))


def _walk(
    model: type[Config], path: tuple[str, ...], within: tuple[type[Config], ...]
) -> Iterator[tuple[tuple[str, ...], Option]]:
    for option in options_of(model):
        here = (*path, option.name)
        yield here, option
        for section, containers in sections(option.values):
            if section not in within:
                yield from _walk(section, (*here, *(EACH for _ in containers)), (*within, section))


def sections(values: Sequence[Value]) -> Iterator[tuple[type[Config], tuple[Form, ...]]]:
    """The models in a value, each with the lists and maps that it is in, the outermost first."""
    for value in values:
        if value.section:
            yield value.section, ()
        for section, containers in sections(value.items):
            yield section, (value.form, *containers)


def in_words(values: Sequence[Value], quote: str = "") -> str:
    """What can be written, for a person: ``list of text``, ``integer, 1 to 100``. Choices stand between `quote`."""
    return " or ".join(_words(value, quote) for value in values)


def _words(value: Value, quote: str) -> str:
    match value.form:
        case "boolean":
            return "true or false"
        case "choice":
            *others, last = (f"{quote}{choice}{quote}" for choice in value.choices if choice != "")
            return f"{', '.join(others)} or {last}" if others else last
        case "list" | "map":
            items = in_words(value.items, quote)
            several = f"{items}s" if items in _COUNTED else items
            return f"{value.form} of {several}" if items and items != _ANYTHING else value.form
        case "other":
            return str(value.schema.get("title") or value.schema.get("type") or _ANYTHING)
        case form:
            return form + _limits_in_words(value)


def _limits_in_words(value: Value) -> str:
    """The bounds of a number that are worth a word: not 0 at the lower end, nor the machine's at the upper end."""

    def shown(number: float) -> str:
        return format_duration(number) if value.form == "duration" else f"{number:,}"

    least, most = value.limits.get("minimum"), value.limits.get("maximum")
    above, below = value.limits.get("exclusiveMinimum"), value.limits.get("exclusiveMaximum")
    if value.form == "integer":
        least, most = (least if above is None else above + 1), (most if below is None else below - 1)
        above = below = None
    most = None if most is None or most >= _LARGE else most
    if least is not None and most is not None:
        return f", {shown(least)} to {shown(most)}"
    parts = [
        f"more than {shown(above)}" if above is not None else f"at least {shown(least)}" if least else "",
        f"less than {shown(below)}" if below is not None else f"at most {shown(most)}" if most is not None else "",
    ]
    said = " and ".join(filter(None, parts))
    return f", {said}" if said else ""


def _values(annotation: Any, marks: Sequence[Any] = ()) -> tuple[Value, ...]:
    if get_origin(annotation) is Annotated:
        annotation, *inner = get_args(annotation)
        return _values(annotation, (*inner, *marks))
    schema = next((mark.json_schema for mark in marks if isinstance(mark, WithJsonSchema)), None)
    if schema is not None:
        form: Form = "duration" if schema == _DURATION else "other"
        return (Value(form, schema=schema, limits=_limits(marks)),)
    found: list[Value] = []
    words: list[Any] = []
    for choice in choices(annotation):
        if get_origin(choice) is Literal:
            words += get_args(choice)
        elif get_origin(choice) is Annotated:
            found += _values(choice, marks)
        elif choice is not type(None):
            found.append(_value(choice, marks))
    if words:
        is_lenient = any(isinstance(mark, BeforeValidator) and mark is not ANY_CASE for mark in marks)
        found.insert(0, Value("choice", choices=tuple(words), is_lenient=is_lenient, is_any_case=ANY_CASE in marks))
    return tuple(found)


def _value(annotation: Any, marks: Sequence[Any]) -> Value:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is list:
        return Value("list", items=_values(arguments[0]), limits=_limits(marks, "Items"))
    if origin in (dict, Mapping):
        return Value("map", items=_values(arguments[1]), limits=_limits(marks, "Properties"))
    section = section_of(annotation)
    if section is not None:
        return Value("section", section=section)
    if isinstance(annotation, type) and issubclass(annotation, SecretStr):
        return Value("secret", limits=_limits(marks, "Length"))
    form = _FORMS.get(annotation, "other")
    return Value(form, limits=_limits(marks, "Length" if form == "text" else ""))


_FORMS: Mapping[Any, Form] = {str: "text", int: "integer", float: "number", bool: "boolean"}
_DURATION = next(mark.json_schema for mark in get_args(Duration) if isinstance(mark, WithJsonSchema))
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def _limits(marks: Sequence[Any], counted: str = "") -> Mapping[str, Any]:
    """JSON Schema's words for annotated-types' marks; `counted` is what a length is a number of."""
    names = {**_BOUNDS, "min_length": f"min{counted}", "max_length": f"max{counted}", "pattern": "pattern"}
    found = {word: getattr(mark, name, None) for mark in marks for name, word in names.items() if hasattr(mark, name)}
    return {word: limit for word, limit in found.items() if limit is not None}


def _written(value: Any) -> Any:
    """A default from a model's dump as it would be written."""
    if isinstance(value, SecretStr):
        return value.get_secret_value() and str(value)
    if isinstance(value, dict):
        return {key: _written(item) for key, item in cast("dict[str, Any]", value).items()}
    return [_written(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _deprecation(mark: Any) -> str:
    if mark is None or mark is False:
        return ""
    return "Deprecated." if mark is True else f"Deprecated: {getattr(mark, 'message', mark)}"
