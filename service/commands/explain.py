"""``airis explain``: a component or an option in words."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from airis.component import Config, Factory, Kind
    from airis.config.options import Option
    from airis.service.render.explanation import Subject


class ExplanationFormat(StrEnum):
    """How an explanation is written."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


_MOST_COLUMNS = 100
_ITEM = "-"
"""A step into an item of a list."""


class Unknown(Exception):
    """There is nothing of that name; the text says what there is."""


def explain(
    name: Annotated[
        str,
        typer.Argument(
            help='Such as "otlp", "receiver otlp", "batch::timeout" or "service::telemetry", or as errors name it.'
        ),
    ],
    after_kind: Annotated[str, typer.Argument(metavar="NAME", hidden=True)] = "",
    form: Annotated[ExplanationFormat, typer.Option("--format", help="How to print.")] = ExplanationFormat.TEXT,
) -> None:
    """Explain a component or one of its options.

    A type that there is of several kinds is explained for each of them.
    """
    from airis.service.render.rows import say, terminal

    try:
        subjects = find(f"{name}::{after_kind}")
    except Unknown as unknown:
        say(f"airis: {unknown}")
        raise typer.Exit(2) from None
    from airis.service.render import explanation
    from airis.service.render.yaml import to_json

    if form is ExplanationFormat.JSON:
        typer.echo(to_json([_document(subject) for subject in subjects]), nl=False)
        return
    if form is ExplanationFormat.MARKDOWN:
        typer.echo("\n".join(map(explanation.markdown, subjects)), nl=False)
        return
    console = terminal()
    for number, subject in enumerate(subjects):
        if number:
            console.print()
        for line in explanation.explain(subject, min(console.width, _MOST_COLUMNS)):
            console.print(line, soft_wrap=True)


def find(name: str) -> "list[Subject]":
    """What is meant by a name, in each kind that has it. Raises Unknown."""
    from airis.component import Kind, load
    from airis.config.ids import type_of

    steps = [step.strip() for step in name.split("::") if step.strip()]
    if not steps:
        raise Unknown('name a component, such as "otlp"; "airis components" lists them')
    if steps[0] == "service":
        return [_in_service(steps[1:])]
    kinds = {word: kind for kind in Kind for word in (kind.value, kind.section)}
    wanted = [kinds[steps[0]]] if steps[0] in kinds else list(Kind)
    if steps[0] in kinds and not (steps := steps[1:]):
        raise Unknown(f"name one of the {wanted[0].section}: {', '.join(_types(wanted))}")
    subjects: list[Subject] = []
    troubles: list[Unknown] = []
    for kind, type_name in _installed(wanted, type_of(steps[0])):
        try:
            factory = load(kind, type_name)
            subjects.append(_descend((kind.section, type_name), factory, factory.config, steps[1:]))
        except Unknown as trouble:
            troubles.append(trouble)
        except (ImportError, AttributeError) as error:  # what another package brings may not fit this one
            troubles.append(Unknown(f"{kind.section}::{type_name} cannot be loaded: {error}"))
    if not subjects:
        raise troubles[0]
    return subjects


def _types(kinds: "Sequence[Kind]") -> list[str]:
    from airis.component import known_types

    return sorted({type_name for kind in kinds for type_name in known_types(kind)})


def _installed(kinds: "Sequence[Kind]", type_name: str) -> "list[tuple[Kind, str]]":
    """The kinds that have the type, under the name that it has there."""
    from airis.config.collector import installed_type, what_airis_lacks
    from airis.config.decode import suggestion

    found = [(kind, installed) for kind in kinds if (installed := installed_type(kind, type_name))]
    if not found:
        lacking = next(filter(None, (what_airis_lacks(kind, type_name) for kind in kinds)), None)
        what = kinds[0] if len(kinds) == 1 else "component"
        raise Unknown(lacking or f'there is no {what} of type "{type_name}"; {suggestion(type_name, _types(kinds))}')
    return found


def _in_service(steps: list[str]) -> "Subject":
    from airis.config.schema import ServiceOptions

    return _descend(("service",), None, ServiceOptions, steps)


def _descend(
    path: tuple[str, ...], factory: "Factory | None", model: "type[Config]", steps: Sequence[str]
) -> "Subject":
    """Follow the steps from option to option. An item of a list or a map may be named by any word, or left out."""
    from airis.config.decode import suggestion
    from airis.config.options import EACH, options_of, sections
    from airis.service.render.explanation import Subject

    here = path
    option: Option | None = None
    below: type[Config] | None = model
    written: list[str] = list(path)
    left = list(steps)
    while left:
        options = {option.name: option for option in options_of(below)} if below else {}
        step = left.pop(0)
        if step not in options:
            raise Unknown(f'{"::".join(here)} has no option "{step}"; {suggestion(step, options)}')
        here, option = (*here, step), options[step]
        written.append(step)
        below, containers = next(sections(option.values), (None, ()))
        names = {inner.name for inner in options_of(below)} if below else set[str]()
        for container in containers if left else ():
            if left and left[0] not in names:
                left.pop(0)
            here = (*here, EACH)
            written.append(_ITEM if container == "list" else "<name>")
    return Subject(
        path=here,
        factory=factory,
        model=below,
        option=option,
        summary=" ".join((model.__doc__ or "").split()),
        skeleton=_skeleton(written, option) if option else None,
    )


def _skeleton(written: Sequence[str], option: "Option") -> Any:
    """The keys that lead to the option, and a value that it could have."""
    value = _possible(option)
    for step in reversed(written):
        value = [value] if step == _ITEM else {step: value}
    return value


def _possible(option: "Option") -> Any:
    """The default, or what stands for a value; of a section what is required in it."""
    from airis.config.options import options_of, sections

    section, containers = next(sections(option.values), (None, ()))
    if section is not None:
        inside = options_of(section)
        shown = [inner for inner in inside if inner.required] or (inside[:1] if containers else [])
        value: Any = {inner.name: _possible(inner) for inner in shown} or None
        for container in reversed(containers):
            value = [value] if container == "list" else {"<name>": value}
        return value
    if option.default not in (None, ""):
        return option.default
    form = option.values[0]
    return next((choice for choice in form.choices if choice), f"<{form.form}>")


def _document(subject: "Subject") -> dict[str, Any]:
    from airis.config.options import walk
    from airis.service import reference

    factory, option = subject.factory, subject.option
    described: dict[str, Any] = {"path": "::".join(subject.path)}
    if factory:
        described |= {"kind": factory.kind.value, "type": factory.type_name}
    if option:
        described |= _option(option)
    elif factory:
        described |= {
            "summary": factory.summary,
            "details": reference.details(factory),
            "stability": reference.stability(factory),
            "also_written": reference.also_written(factory),
            "example": reference.example(factory) or None,
        }
    else:
        described["summary"] = subject.summary
    rows = walk(subject.model) if subject.model else ()
    return described | {"options": [{"path": "::".join(path), **_option(inner)} for path, inner in rows]}


def _option(option: "Option") -> dict[str, Any]:
    from airis.config.options import in_words

    return {
        "takes": in_words(option.values),
        "required": option.required,
        "default": option.default,
        "meaning": option.description,
        "deprecated": option.deprecated or None,
    }
