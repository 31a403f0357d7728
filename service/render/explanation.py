"""A component, a section or an option in words, for the terminal."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from airis.component import Config, Factory
from airis.config.options import EACH, Option, walk
from airis.service import reference
from airis.service.render.yaml import to_yaml


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be explained."""

    path: tuple[str, ...]
    """From the top of the file: ``("processors", "batch", "timeout")``."""
    factory: Factory | None
    """The component; None for what is in ``service``."""
    model: type[Config] | None
    """The options that it has: those of the component, or of the section; None for any other option."""
    option: Option | None = None
    """The option that `path` leads to; None for a component as a whole."""
    summary: str = ""
    """Of what is neither component nor option."""
    skeleton: object = None
    """The option where it stands in the file, for `to_yaml`."""


def explain(subject: Subject, width: int) -> Iterator[Text]:
    """The lines to print."""
    yield Text("::".join(subject.path), style="bold")
    if subject.option:
        yield from _indented(reference.facts(subject.option), width, 2, "dim")
    for paragraph in _paragraphs(subject):
        yield Text("")
        for line in paragraph.split("\n"):
            yield from _indented(line, width, 2)
    component = subject.factory if subject.option is None else None
    for name, fact in _of_component(component) if component else ():
        yield Text("")
        yield from _indented(f"{name}: {fact}", width, 2, "dim")
    if subject.model:
        rows = list(walk(subject.model))
        yield Text("")
        yield Text("Options" if rows else "No options", style="bold")
        yield from _options(rows, width)
    example = reference.example(component) if component else ""
    shown = example or (to_yaml(subject.skeleton) if subject.skeleton else "")
    if shown:
        yield Text("")
        yield Text("Example" if example else "In the file", style="bold")
        yield from (
            Text(f"  {line}", style="dim" if line.lstrip().startswith("#") else "") for line in shown.splitlines()
        )


def markdown(subject: Subject) -> str:
    """The same in Markdown."""
    heading = f"# {'::'.join(subject.path)}\n"
    if subject.option is None and subject.factory:
        return f"{heading}\n{reference.body(subject.factory)}"
    parts = [
        reference.facts(subject.option) if subject.option else "",
        *_paragraphs(subject),
        f"```yaml\n{to_yaml(subject.skeleton)}```" if subject.skeleton else "",
        reference.table(subject.model) if subject.model else "",
    ]
    return "\n\n".join([heading.rstrip(), *(part.rstrip() for part in parts if part)]) + "\n"


def _paragraphs(subject: Subject) -> list[str]:
    if subject.option:
        return [reference.meaning(subject.option)]
    if subject.factory:
        return [subject.factory.summary, *reference.details(subject.factory)]
    return [subject.summary]


def _of_component(factory: Factory) -> Iterator[tuple[str, str]]:
    if levels := reference.stability_in_words(factory):
        yield "Stability", levels
    if others := reference.also_written(factory):
        yield "Also written", ", ".join(others)


def _options(rows: Sequence[tuple[tuple[str, ...], Option]], width: int) -> Iterator[Text]:
    """Each option with its meaning, indented as it is in the file."""
    for path, option in rows:
        indent = 2 * sum(step != EACH for step in path)
        name = f"{EACH}::{path[-1]}" if path[-2:-1] == (EACH,) else path[-1]
        for number, line in enumerate(_indented(f"{name}: {reference.facts(option)}", width, indent, "dim", hanging=4)):
            if number == 0:
                line.stylize("not dim bold", indent, indent + len(name))
            yield line
        yield from _indented(reference.meaning(option), width, indent + 4)


def _indented(text: str, width: int, indent: int, style: str = "", hanging: int = 0) -> Iterator[Text]:
    wrapper = textwrap.TextWrapper(
        max(width, indent + 30),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + (2 if text.startswith("- ") else hanging)),
        break_long_words=False,
        break_on_hyphens=False,
    )
    yield from (Text(line, style=style) for line in wrapper.wrap(text))
