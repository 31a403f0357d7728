"""The base of every component's options: strict, immutable, with the Collector's value types."""

import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, SecretStr, WithJsonSchema, model_validator

from airis.data import Signal


@dataclass(frozen=True, slots=True)
class Scalar:
    """A YAML scalar before its field is known: the typed value, and the text that a string field takes.

    Null has no text where it is written in the file, but may have one that was put in, such as ``#secret``.
    """

    value: bool | int | float | None
    text: str


class WrittenList(list[Any]):
    """A list from outside the file before its field is known, with the text that a string field takes."""

    def __init__(self, items: Iterable[Any], text: str) -> None:
        super().__init__(items)
        self.text = text


class WrittenMapping(dict[str, Any]):
    """A mapping, as `WrittenList`."""

    def __init__(self, items: Mapping[str, Any], text: str) -> None:
        super().__init__(items)
        self.text = text


class Secret(SecretStr):
    """Text that prints as ``[REDACTED]``; ``get_secret_value()`` gives it."""

    def _display(self) -> str:
        return "[REDACTED]"


@dataclass(frozen=True, slots=True)
class NamesExtension:
    """Marks an option that is the id of an extension that has to be there; empty, it is none."""


class Config(BaseModel):
    """Options of a component or of a section in it.

    Unknown options are errors and types are strict, as in the Collector. A section that may be absent is
    annotated ``Section | None = None``: absent is off, present (even as null) is on with its defaults, and
    ``enabled: false`` inside turns it off.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=False)

    def refusal(self, signal: Signal) -> str:
        """Why a component with these options cannot be in a pipeline of this signal; empty where it can."""
        return ""

    @model_validator(mode="before")
    @classmethod
    def _fit_yaml(cls, data: Any) -> Any:
        if _is_null(data):
            return {}
        if not isinstance(data, Mapping):
            return data
        fields = {field.alias or name: field for name, field in cls.model_fields.items()}
        given = cast("Mapping[str, Any]", data)
        return {
            key: _fit(fields[key].annotation, value) if key in fields else plain(value)
            for key, value in given.items()
            if not (key in fields and _is_default(fields[key].annotation, value))
        }


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, Scalar) and value.value is None)


def _is_default(annotation: Any, value: Any) -> bool:
    """Whether null stands for the default: it cannot be a value of the option, nor a section, nor a text put in."""
    if not _is_null(value) or section_of(annotation) is not None:
        return False
    options = _types(annotation)
    return type(None) not in options and not (_wants_text(options) and isinstance(value, Scalar) and value.text)


def choices(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def section_of(annotation: Any) -> type[Config] | None:
    """The model of an option that is a section; None for any other option."""
    return next((c for c in choices(annotation) if isinstance(c, type) and issubclass(c, Config)), None)


def plain(value: Any) -> Any:
    """The value with every `Scalar` in it replaced by its typed value."""
    if isinstance(value, Scalar):
        return value.value
    if isinstance(value, dict):
        return {key: plain(item) for key, item in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list):
        return [plain(item) for item in cast("list[Any]", value)]
    return value


def _fit(annotation: Any, value: Any) -> Any:
    """Choose between the text and the typed value of the scalars in `value`, as the field's type demands."""
    options = _types(annotation)
    section = section_of(annotation)
    if section is not None:
        return _fit_section(section, type(None) in options, value)
    if isinstance(value, Scalar):
        return _fit_scalar(options, value)
    for option in options:
        arguments = get_args(option)
        if get_origin(option) is list and isinstance(value, list):
            return [_fit_item(arguments[0], item) for item in cast("list[Any]", value)]
        if get_origin(option) is dict and isinstance(value, dict):
            return {key: _fit_item(arguments[1], item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, WrittenList | WrittenMapping) and _wants_text(options):
        return value.text
    if isinstance(value, str) and any(map(_is_list_of_texts, options)) and not _wants_text(options):
        # The Collector takes "a,b" for a list.
        return value.split(",") if value else []
    return plain(value)


def _types(annotation: Any) -> tuple[Any, ...]:
    """As `choices`, without what is said of each."""
    return tuple(get_args(c)[0] if get_origin(c) is Annotated else c for c in choices(annotation))


def _fit_scalar(options: tuple[Any, ...], scalar: Scalar) -> Any:
    value = scalar.value
    if value is None:
        return scalar.text if scalar.text and _wants_text(options) and type(None) not in options else None
    if _wants_text(options) and not any(_is_literal_of(option, value) for option in options):
        return scalar.text
    # The Collector takes 1e4 and 10.0 for integers.
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63 and int in options:
        return value if float in options else int(value)
    return value


def _fit_item(annotation: Any, value: Any) -> Any:
    """As `_fit`, for what has no default to stand for null: an empty text does."""
    options = _types(annotation)
    fitted = _fit(annotation, value)
    return "" if fitted is None and _wants_text(options) and type(None) not in options else fitted


def _wants_text(options: tuple[Any, ...]) -> bool:
    return any(map(_is_text, options)) and not any(option in (int, float, bool) for option in options)


def _is_text(option: Any) -> bool:
    if get_origin(option) is Literal:
        return any(isinstance(value, str) for value in get_args(option))
    return isinstance(option, type) and issubclass(option, str | SecretStr)


def _is_list_of_texts(option: Any) -> bool:
    return get_origin(option) is list and _wants_text(_types(get_args(option)[0]))


def _is_literal_of(option: Any, value: Any) -> bool:
    """Whether the value itself is one of the choices, not its text."""
    return get_origin(option) is Literal and any(
        type(choice) is type(value) and choice == value for choice in get_args(option)
    )


def _fit_section(section: type[Config], optional: bool, value: Any) -> Any:
    """Apply the rule of optional sections: null is on with defaults, ``enabled`` switches."""
    if _is_null(value):
        return {}
    if optional and isinstance(value, dict) and "enabled" in value and "enabled" not in section.model_fields:
        given = dict(cast("dict[str, Any]", value))
        enabled = plain(given.pop("enabled"))
        if enabled is False:
            return None
        if enabled is not True:
            raise ValueError("enabled: expected true or false")
        return given
    return cast("Any", value)


_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d)", re.ASCII)
_MAX_DURATION_S = 2**63 / 1e9


def parse_duration(text: str) -> float:
    """Seconds in a Go duration such as ``1m30s``, or in days (``30d``); raises ValueError if it is not one."""
    sign, rest = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    total, position = 0.0, 0
    for part in _DURATION_PART.finditer(rest):
        if part.start() != position:
            break
        total += float(part[1]) * _UNITS[part[2]]
        position = part.end()
    if not rest or position != len(rest):
        raise ValueError(f'"{text}" is not a duration; write a number and a unit, such as "200ms", "5s" or "1h30m"')
    if total > _MAX_DURATION_S:
        raise ValueError(f'"{text}" is longer than 292 years')
    return sign * total


def format_duration(seconds: float) -> str:
    """The shortest Go duration with a single unit: ``200ms``, ``5s``, ``1.5h`` is ``90m``."""
    if seconds == 0:
        return "0s"
    for unit in ("h", "m", "s", "ms", "us", "ns"):
        count = round(seconds / _UNITS[unit], 9)
        if abs(count) >= 1 and (count == int(count) or unit == "ns"):
            return f"{int(count)}{unit}"
    return f"{seconds}s"


def _to_seconds(value: Any) -> Any:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value == 0:
            return 0.0
        raise ValueError(f'a duration needs a unit; write "{value}s" for seconds')
    return value


Duration = Annotated[
    float,
    BeforeValidator(_to_seconds),
    PlainSerializer(format_duration),
    WithJsonSchema({"type": "string", "examples": ["200ms", "5s", "1h30m"]}),
]
"""An option written as a Go duration; in code, seconds as a float. A default is given in seconds."""


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


ANY_CASE = BeforeValidator(_lower)
"""For ``Annotated[Literal["basic", …], ANY_CASE]``: the case of letters makes no difference."""
