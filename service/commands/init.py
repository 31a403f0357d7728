"""``airis init``: a configuration to begin with."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from airis.service.commands.options import own_command

if TYPE_CHECKING:
    from airis.component import Config, Factory, Kind
    from airis.data import Signal

_WIDTH = 112
_HEADER = """\
# What this airis takes in, does with it, and where it goes. Written by "airis init"; change what you like.
#
{commands}
#
# Behind a "#" without a blank stands an option: delete the "#" to take it into use, and those of the lines in it.
# A value can come from outside: ${{env:NAME}}, or ${{env:NAME:-value}} with one for when it is not set.
# For completion in an editor: airis schema > airis.schema.json, and here as the first line
#   # yaml-language-server: $schema=airis.schema.json
"""
_COMMANDS = {
    "airis validate --config {name}": "says all that is wrong with it, with line and column",
    "airis graph --config {name}": "draws the pipelines",
    "airis --config {name}": "runs it",
    "airis components": 'lists what else there is, and "airis explain otlp" what can be set',
}
_ABOUT = {
    "receivers": "What takes telemetry in.",
    "processors": "What is done with it on its way; a pipeline says in which order.",
    "exporters": "Where it goes.",
    "connectors": "The end of some pipelines and the beginning of others.",
    "extensions": "What is beside the pipelines.",
    "service": "What of all this runs, and how it is connected. A component that is not named here does nothing.",
}
_TELEMETRY = ("logs::level", "logs::encoding", "metrics::level")
"""What is often changed of ``service::telemetry``."""

Document = dict[str, Any]


def init(
    path: Annotated[Path, typer.Argument(help="The file to write, or its folder.")] = Path("airis.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    added: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="COMPONENT", help='Also this component, as "file" or "exporters::file"; repeatable.'
        ),
    ] = None,
) -> None:
    """Write a commented configuration to begin with.

    It is the built-in one, with what is often changed to be taken into use.
    """
    from airis.service.commands.explain import Unknown
    from airis.service.render.rows import say

    target = path / "airis.yaml" if path.is_dir() else path
    try:
        text = content(target.name, added or ())
    except Unknown as unknown:
        say(f"airis: {unknown}")
        raise typer.Exit(2) from None
    try:
        with target.open("w" if force else "x") as file:
            file.write(text)
    except FileExistsError:
        say(f'airis: {target} is there already; "airis init --force" writes over it')
        raise typer.Exit(1) from None
    except OSError as error:
        say(f"airis: {target}: {error.strerror or error}")
        raise typer.Exit(1) from None
    typer.echo(f"Wrote {target}. Read it, change it, then:")
    typer.echo(f"  {own_command()} validate --config {target}")
    typer.echo(f"  {own_command()} --config {target}")


def content(name: str, added: Iterable[str] = ()) -> str:
    """The file: the built-in configuration with these components added. Raises Unknown."""
    from airis.component import Kind
    from airis.config import default_text

    document = _document(default_text())
    for word in added:
        _add(document, word)
    lines = [_header(name)]
    for kind in Kind:
        components = cast("Document", document.get(kind.section) or {})
        if components:
            lines += ["", *_comment(_ABOUT[kind.section], 0), f"{kind.section}:"]
        for component_id, given in components.items():
            lines += _component(kind, component_id, given or {})
    lines += ["", *_comment(_ABOUT["service"], 0), "service:", *_telemetry(), *_yaml(document["service"], 2)]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _header(name: str) -> str:
    commands = {command.format(name=name): said for command, said in _COMMANDS.items()}
    width = max(map(len, commands))
    return _HEADER.format(commands="\n".join(f"#   {command:<{width}}  {said}" for command, said in commands.items()))


def _document(text: str) -> Document:
    """A configuration as it is written, references and all."""
    from airis.component.config import plain
    from airis.config.decode import raw
    from airis.config.document import parse

    return cast("Document", plain(raw(parse(text, ""))))


def _component(kind: "Kind", component_id: str, given: Document) -> Iterator[str]:
    """A component with its options, and behind "#" those that its example has and it has not."""
    factory = _factory(kind, component_id)
    example = _of_example(factory, component_id)
    yield from _comment(factory.summary, 2)
    if factory.conversions and not any(_conversions(factory)):
        yield from _comment("In no pipeline yet: name it as an exporter of one, and as a receiver of another.", 2)
    yield f"  {component_id}:"
    yield from _options(factory.config, given, example, 4)


def _factory(kind: "Kind", component_id: str) -> "Factory":
    from airis.component import load
    from airis.config.ids import type_of

    return load(kind, type_of(component_id))


def _of_example(factory: "Factory", component_id: str = "") -> Document:
    """The options that the component's example gives it, under this id or else under the first."""
    from airis.config.ids import type_of
    from airis.service.reference import example

    components: Document = _document(example(factory) or "{}").get(factory.kind.section) or {}
    if component_id in components:
        return components[component_id] or {}
    having = (options for name, options in components.items() if type_of(name) == factory.type_name)
    return next(having, None) or {}


def _options(model: "type[Config]", given: Document, example: Document, indent: int) -> Iterator[str]:
    from airis.config.options import options_of, sections

    known = {option.name: option for option in options_of(model)}
    for name, value in given.items():
        section = next((s for s, steps in sections(known[name].values) if not steps), None) if name in known else None
        if section and isinstance(value, dict | None):
            yield f"{' ' * indent}{name}:"
            inside, shown = (cast("Document", of.get(name) or {}) for of in (given, example))
            yield from _options(section, inside, shown, indent + 2)
        else:
            yield from _yaml({name: value}, indent)
    for name in known:
        if name in example and name not in given:
            yield from _comment(known[name].description, indent)
            yield from _behind_sign(_yaml({name: example[name]}, indent))


def _telemetry() -> Iterator[str]:
    """Some options of ``service::telemetry`` with their defaults, all behind "#"."""
    from airis.config.model import TelemetryConfig
    from airis.config.options import walk

    options = {"::".join(path): option for path, option in walk(TelemetryConfig)}
    yield from _comment(TelemetryConfig.__doc__ or "", 2)
    yield "  #telemetry:"
    section = ""
    for path in _TELEMETRY:
        if path.partition("::")[0] != section:
            section = path.partition("::")[0]
            yield f"    #{section}:"
        yield from _comment(options[path].description, 6)
        yield from _behind_sign(_yaml({options[path].name: options[path].default}, 6))


def _add(document: Document, word: str) -> None:
    """Configure the component as its example does, with the extensions it needs, and name it where it can be used."""
    from airis.component import Kind
    from airis.config.ids import type_of
    from airis.service.reference import example

    factory = _chosen(document, word)
    if factory is None:
        return
    section, type_name = factory.kind.section, factory.type_name
    document[section] = {**(document.get(section) or {}), type_name: _of_example(factory)}
    shown = _document(example(factory) or "{}")
    extensions = document["service"].setdefault("extensions", [])
    service: Document = shown.get("service") or {}
    for name in cast("list[str]", service.get("extensions") or []):
        is_itself = factory.kind is Kind.EXTENSION and type_of(name) == type_name
        if name not in extensions and not is_itself:
            document["extensions"][name] = shown["extensions"][name]
            extensions.append(name)
    _connect(document["service"], factory)


def _chosen(document: Document, word: str) -> "Factory | None":
    """The component that is meant, of those that are not there yet; None if all are. Raises Unknown."""
    from airis.service.commands.explain import Unknown, find

    found = [subject.factory for subject in find(word) if subject.factory and subject.option is None]
    if not found:
        raise Unknown(f'"{word}" is no component; "airis components" lists them')
    missing = [factory for factory in found if factory.type_name not in (document.get(factory.kind.section) or {})]
    if len(missing) > 1:
        names = " or ".join(f'"{factory.kind.section}::{factory.type_name}"' for factory in missing)
        raise Unknown(f'"{word}" is more than one component; write {names}')
    return next(iter(missing), None)


def _connect(service: Document, factory: "Factory") -> None:
    """Name the component in the pipelines of its signals, a connector at the end of some and in front of others."""
    from airis.component import Kind
    from airis.config.ids import type_of

    pipelines = cast("Mapping[str, dict[str, list[str]]]", service["pipelines"])
    by_signal = {type_of(pipeline_id): pipeline for pipeline_id, pipeline in pipelines.items()}
    name = factory.type_name
    if factory.kind is Kind.EXTENSION and name not in service["extensions"]:
        service["extensions"].append(name)
    taken, given = _conversions(factory)
    for signal, pipeline in by_signal.items():
        if factory.kind is Kind.PROCESSOR and signal in factory.stability:
            # Whatever leaves items out or changes them does so before they are joined.
            at = pipeline["processors"].index("batch") if "batch" in pipeline["processors"] else None
            pipeline["processors"].insert(len(pipeline["processors"]) if at is None else at, name)
        if (factory.kind is Kind.RECEIVER and signal in factory.stability) or signal in given:
            pipeline["receivers"].append(name)
        if (factory.kind is Kind.EXPORTER and signal in factory.stability) or signal in taken:
            pipeline["exporters"].append(name)


def _conversions(factory: "Factory") -> tuple[set["Signal"], set["Signal"]]:
    """The signals that a connector can take and hand on without a circle, each pipeline being there once."""
    given = {after for before, after in factory.conversions if before != after}
    taken = {before for before, _ in factory.conversions} - given
    return (taken, given) if taken and given else (set(), set())


def _yaml(value: Document, indent: int) -> list[str]:
    from airis.service.render.yaml import to_yaml

    return [f"{' ' * indent}{line}" for line in to_yaml(value).splitlines()]


def _behind_sign(lines: Sequence[str]) -> Iterator[str]:
    """Each line with a "#" right in front of its text, so that its indentation is kept."""
    for line in lines:
        yield re.sub(r"^( *)", r"\1#", line)


def _comment(text: str, indent: int) -> list[str]:
    import textwrap

    lead = f"{' ' * indent}# "
    return textwrap.wrap(text, _WIDTH, initial_indent=lead, subsequent_indent=lead, break_on_hyphens=False)
