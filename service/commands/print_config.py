"""``airis print-config``: the configuration that would run."""

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from airis.service.commands.options import ConfigOption, SetOption, sources

if TYPE_CHECKING:
    from airis.component import Config
    from airis.config import Configuration

_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/?#@\s:]*):[^/?#\s]*@")


class Mode(StrEnum):
    """What becomes of secrets."""

    REDACTED = "redacted"
    UNREDACTED = "unredacted"


class DocumentFormat(StrEnum):
    """How a document is written."""

    YAML = "yaml"
    JSON = "json"


def print_config(
    config: ConfigOption = None,
    sets: SetOption = None,
    mode: Annotated[
        Mode, typer.Option(help="Secrets as [REDACTED], or as they are.", show_default=True)
    ] = Mode.REDACTED,
    form: Annotated[DocumentFormat, typer.Option("--format", help="How to print.")] = DocumentFormat.YAML,
    defaults: Annotated[bool, typer.Option("--defaults", help="Also what is not given and has a default.")] = False,
) -> None:
    """Print the configuration that would run.

    All files are merged, everything is put in, and comments are gone; what is printed can be loaded again. Without a
    configuration it is the built-in one as it is written, with its comments.
    """
    from airis.config import default_text
    from airis.service.commands.run import load_or_exit
    from airis.service.render.yaml import to_json, to_yaml

    named = sources(config, sets)
    configuration = load_or_exit(named, quiet=True)
    if not (named.configs or named.sets or defaults) and form is DocumentFormat.YAML:
        typer.echo(default_text(), nl=False)
        return
    document = effective(configuration, redacted=mode is Mode.REDACTED, defaults=defaults)
    typer.echo(to_json(document) if form is DocumentFormat.JSON else to_yaml(document), nl=False)


def effective(configuration: "Configuration", *, redacted: bool = True, defaults: bool = False) -> dict[str, Any]:
    """The configuration as it would be written in one file, with the values that its options have come to."""
    document: dict[str, Any] = {
        kind.section: {name: _options(component.options, defaults) for name, component in components.items()}
        for kind, components in configuration.components.items()
        if components
    }
    service: dict[str, Any] = {"extensions": list(configuration.extensions)} if configuration.extensions else {}
    if telemetry := _options(configuration.telemetry, defaults):
        service["telemetry"] = telemetry
    service["pipelines"] = {
        name: {
            "receivers": list(pipeline.receivers),
            **({"processors": list(pipeline.processors)} if pipeline.processors else {}),
            "exporters": list(pipeline.exporters),
        }
        for name, pipeline in configuration.pipelines.items()
    }
    return cast("dict[str, Any]", _printable({**document, "service": service}, redacted))


def _options(config: "Config", defaults: bool) -> dict[str, Any]:
    dumped = config.model_dump(by_alias=True, exclude_unset=not defaults)
    return cast("dict[str, Any]", _with_switches(config, dumped))


def _with_switches(value: Any, dumped: Any) -> Any:
    """The dump, in which sections that are off say so, since null would turn them on; and less what has no value."""
    from airis.component import Config
    from airis.component.config import section_of

    if isinstance(value, Config):
        for name, info in type(value).model_fields.items():
            key = info.alias or name
            if key not in dumped:
                continue
            section, given = section_of(info.annotation), getattr(value, name)
            if section is None and name not in value.model_fields_set and _is_unset(given):
                del dumped[key]
            elif section is None or given is not None:
                dumped[key] = _with_switches(given, dumped[key])
            elif "enabled" in section.model_fields:
                del dumped[key]
            else:
                dumped[key] = {"enabled": False}
    elif isinstance(value, list):
        return [_with_switches(*pair) for pair in zip(cast("list[Any]", value), dumped, strict=True)]
    elif isinstance(value, dict):
        return {key: _with_switches(item, dumped[key]) for key, item in cast("dict[str, Any]", value).items()}
    return dumped


def _is_unset(default: Any) -> bool:
    """Whether a default says only that there is no value; to write it is an error for some options."""
    from pydantic import SecretStr

    return default in ("", None) or (isinstance(default, SecretStr) and not default.get_secret_value())


def _printable(value: Any, redacted: bool) -> Any:
    """The value with secrets masked, or not, and its dollar signs doubled: one alone could begin a reference."""
    from pydantic import SecretStr

    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        return _printable(str(value) if redacted and secret else secret, redacted=False)
    if isinstance(value, dict):
        return {key: _printable(item, redacted) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_printable(item, redacted) for item in cast("list[Any]", value)]
    if isinstance(value, str):
        shown = _PASSWORD_IN_URL.sub(r"\1:[REDACTED]@", value) if redacted else value
        return shown.replace("$", "$$")
    return value
