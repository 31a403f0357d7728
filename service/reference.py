"""The reference pages that are made from the code: every component with its options."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from airis.component import Config, Duration, Factory, Kind, format_duration, known_types, load
from airis.component.config import choices, section_of
from airis.config.model import TelemetryConfig

_HEADER = """\
# Components

Made from the code by `airis docs --write`; do not edit. Every component can be given more than once, as
`type/name`. Options that are sections may be left out; what is in them is on when the section is there.
"""


def pages() -> dict[str, str]:
    """File name below ``docs/`` and content of every generated page."""
    return {"components.md": "\n".join(_components())}


def _components() -> Iterator[str]:
    yield _HEADER
    for kind in Kind:
        yield f"## {kind.section.capitalize()}\n"
        for type_name in known_types(kind):
            yield from _component(load(kind, type_name))
    yield "## service::telemetry\n"
    yield "What airis says of itself.\n"
    yield from _table(TelemetryConfig)


def _component(factory: Factory) -> Iterator[str]:
    yield f"### {factory.type_name}\n"
    yield f"{factory.summary}\n"
    if factory.stability:
        yield "Stability: " + ", ".join(f"{signal} {level}" for signal, level in factory.stability.items()) + ".\n"
    yield f"```yaml\n{example(factory)}```\n"
    yield from _table(factory.config)


def example(factory: Factory) -> str:
    """A whole configuration that shows the component: ``examples/receivers/otlp.yaml`` of the repository."""
    return Path("examples", factory.kind.section, f"{factory.type_name}.yaml").read_text()


def _table(config: type[Config]) -> Iterator[str]:
    rows = list(_rows(config, ""))
    if not rows:
        yield "No options.\n"
        return
    yield "| option | type | default | meaning |"
    yield "|---|---|---|---|"
    for name, kind, default, meaning in rows:
        yield f"| `{name}` | {kind} | {default} | {meaning} |"
    yield ""


def _rows(config: type[Config], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for field_name, field in config.model_fields.items():
        name = f"{prefix}{field.alias or field_name}"
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        section = section_of(field.annotation)
        if section is None:
            yield name, _type(field), _default(field), meaning
        else:
            yield name, "section", "off" if field.default is None else "on", meaning
            yield from _rows(section, f"{name}::")


def _is_duration(field: FieldInfo) -> bool:
    marks = get_args(Duration)[1:]
    return any(mark in field.metadata for mark in marks)


def _type(field: FieldInfo) -> str:
    if _is_duration(field):
        return "duration"
    names = (_type_name(c) for c in choices(field.annotation) if c is not type(None))
    return " or ".join(filter(None, names))


def _type_name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments if value != "")
    if origin is list:
        return f"list of {_type_name(arguments[0])}"
    if origin in (dict, Mapping):
        return "map"
    if isinstance(annotation, type) and issubclass(annotation, SecretStr):
        return "secret"
    names: dict[Any, str] = {str: "text", int: "integer", float: "number", bool: "true or false"}
    return names.get(annotation) or str(cast(object, annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None or default is PydanticUndefined or default in ("", [], {}) or isinstance(default, SecretStr):
        return ""
    if _is_duration(field):
        return f"`{format_duration(default)}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, list):
        return ", ".join(f"`{item}`" for item in cast("list[object]", default))
    return f"`{default}`"
