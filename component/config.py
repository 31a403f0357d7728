"""The base of every component's options: strict, immutable, with the Collector's value types."""

import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, SecretStr, WithJsonSchema, model_validator


@dataclass(frozen=True, slots=True)
class Scalar:
    """A YAML scalar before its field is known: the typed value, and the text that a string field takes."""

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


class Config(BaseModel):
    """Options of a component or of a section in it.

    Unknown options are errors and types are strict, as in the Collector. A section that may be absent is
    annotated ``Section | None = None``: absent is off, present (even as null) is on with its defaults, and
    ``enabled: false`` inside turns it off.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=False)

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
            if not (key in fields and _is_null(value) and _has_no_null(fields[key].annotation))
        }


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, Scalar) and value.value is None)


def _has_no_null(annotation: Any) -> bool:
    """Whether null in the file cannot be a value of the option, nor a section: it is the default then."""
    return type(None) not in choices(annotation) and section_of(annotation) is None


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
    options = choices(annotation)
    section = section_of(annotation)
    if section is not None:
        return _fit_section(section, type(None) in options, value)
    wants_text = any(map(_is_text, options)) and not any(o in (int, float, bool) for o in options)
    if isinstance(value, Scalar):
        return value.text if wants_text and value.value is not None else value.value
    if isinstance(value, WrittenList | WrittenMapping) and wants_text:
        return value.text
    for option in options:
        arguments = get_args(option)
        if get_origin(option) is list and isinstance(value, list):
            return [_fit(arguments[0], item) for item in cast("list[Any]", value)]
        if get_origin(option) is dict and isinstance(value, dict):
            return {key: _fit(arguments[1], item) for key, item in cast("dict[str, Any]", value).items()}
    return plain(value)


def _is_text(option: Any) -> bool:
    return get_origin(option) is Literal or (isinstance(option, type) and issubclass(option, str | SecretStr))


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
