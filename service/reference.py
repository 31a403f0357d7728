"""The reference pages that are made from the code: every component with its options, and what a page is made of."""

import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from importlib.resources import files
from typing import Any, cast

from airis.component import Config, Factory, Kind, load
from airis.config.options import EACH, Option, in_words, walk
from airis.config.schema import ServiceOptions, spellings
from airis.service import language

INDEX = "components.md"
_FOLDER = "components"
_MADE = "Made from the code by `airis docs --write`; do not edit."
_WIDTH = 120
_HEADER = f"""\
# Components

{_MADE}

Every component can be given more than once, as `type/name`. In a terminal `airis components` lists those that are
installed, and `airis explain batch` says what is on a page here.
"""
_OF_PATHS = f"""\
`::` stands between a section and an option in it, `{EACH}` for each item of a list and each key of a map. A section
that is off is on as soon as it is there, even as null; `enabled: false` in it turns it off.
"""


def pages() -> dict[str, str]:
    """File name below ``docs/`` and content of every generated page."""
    own = [load(kind, name) for kind in Kind for name in _own_types(kind)]
    made = {INDEX: _joined(_index(own)), _path("", "service"): _joined(_service()), language.PAGE: language.page(_MADE)}
    return made | {_path(f.kind.section, f.type_name): _joined([_heading(f), body(f)]) for f in own}


def is_ours(name: str) -> bool:
    """Whether a file below ``docs/`` is one that this module makes, now or before."""
    return name in (INDEX, language.PAGE) or (name.startswith(f"{_FOLDER}/") and name.endswith(".md"))


def body(factory: Factory) -> str:
    """Everything about one component, in Markdown without a heading."""
    return _joined(_component(factory))


def table(model: type[Config]) -> str:
    """The options of a component or a section, in Markdown."""
    return _joined(_table(model))


def stability(factory: Factory) -> dict[str, str]:
    """Level by signal; of a connector by conversion, such as ``traces to metrics``; empty for an extension."""
    by_signal: dict[str, str] = {signal.value: level for signal, level in factory.stability.items()}
    return by_signal | {f"{taken} to {given}": level for (taken, given), level in factory.conversions.items()}


def stability_in_words(factory: Factory) -> str:
    """Levels and what has them: ``beta for traces, metrics; alpha for logs``."""
    by_level: dict[str, list[str]] = {}
    for what, level in stability(factory).items():
        by_level.setdefault(level, []).append(what)
    return "; ".join(f"{level} for {', '.join(whats)}" for level, whats in by_level.items())


def also_written(factory: Factory) -> list[str]:
    """Other spellings of the type, which the Collector has or had."""
    return [name for name, _ in spellings(factory.kind, factory.type_name) if name != factory.type_name]


def details(factory: Factory) -> list[str]:
    """What is said of a component after its summary, by paragraph; a list is one, its items on lines of their own."""
    _, *paragraphs = (inspect.getdoc(factory.component) or "").split("\n\n")
    return [re.sub(r"\s+(?!- )", " ", paragraph.strip()) for paragraph in paragraphs]


def example(factory: Factory) -> str:
    """A whole configuration that shows the component, from ``examples/`` in its package; empty if there is none."""
    package = files(factory.component.__module__.partition(".")[0])
    path = package.joinpath("examples", factory.kind.section, f"{factory.type_name}.yaml")
    return path.read_text() if path.is_file() else ""


def facts(option: Option) -> str:
    """What can be written, and what holds where nothing is, on a line."""
    default = default_in_words(option)
    shown = default if not default or option.required or option.section else f"default {default}"
    return ", ".join(filter(None, (in_words(option.values), shown, "" if option.is_supported else "not supported")))


def meaning(option: Option) -> str:
    """What it is for; first, why it is not to be used, if that is so."""
    return f"{option.deprecated} {option.description}" if option.deprecated else option.description


def default_in_words(option: Option) -> str:
    """What holds where an option is not given: ``required``, ``off``, or its default as it is written in a list."""
    if option.required:
        return "required"
    if option.section:
        return "off" if option.default is None else "on"
    return "" if option.default in (None, "", [], {}) else written(option.default)


def written(value: Any) -> str:
    """A value as YAML that fits on a line."""
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return f"{{{', '.join(f'{key}: {written(item)}' for key, item in items)}}}"
    if isinstance(value, list):
        return f"[{', '.join(written(item) for item in cast('list[Any]', value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return '""' if value == "" else str(value)


def _own_types(kind: Kind) -> list[str]:
    """Types that are in airis itself: other packages have pages of their own."""
    installed = entry_points(group=f"airis.{kind.section}")
    return sorted(entry.name for entry in installed if entry.module.startswith("airis."))


def _heading(factory: Factory) -> str:
    return f"# {factory.type_name} {factory.kind}\n\n{_MADE} All: [{INDEX}](../../{INDEX}).\n"


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"


def _path(folder: str, name: str) -> str:
    return "/".join(filter(None, (_FOLDER, folder, f"{name}.md")))


def _index(components: list[Factory]) -> Iterator[str]:
    yield _HEADER
    for kind in Kind:
        of_kind = [factory for factory in components if factory.kind is kind]
        if not of_kind:
            continue
        yield f"## {kind.section.capitalize()}\n"
        levels = any(map(stability, of_kind))
        yield "| type | stability | what it does |" if levels else "| type | what it does |"
        yield "|---|---|---|" if levels else "|---|---|"
        for factory in of_kind:
            cells = [f"[`{factory.type_name}`]({_path(kind.section, factory.type_name)})"]
            cells += [stability_in_words(factory)] if levels else []
            yield _row(*cells, factory.summary)
        yield ""
    yield "## Service\n"
    yield f"[Which components run, how they are connected, and what airis says of itself]({_path('', 'service')})."


def _service() -> Iterator[str]:
    yield f"# service\n\n{_MADE} All: [{INDEX}](../{INDEX}).\n"
    yield f"{ServiceOptions.__doc__}\n"
    yield from _table(ServiceOptions)


def _component(factory: Factory) -> Iterator[str]:
    yield f"{factory.summary}\n"
    for paragraph in details(factory):
        yield "\n".join(textwrap.fill(line, _WIDTH) for line in paragraph.split("\n")) + "\n"
    if levels := stability_in_words(factory):
        yield f"Stability: {levels}.\n"
    if others := also_written(factory):
        yield f"Also written {', '.join(f'`{name}`' for name in others)}.\n"
    if shown := example(factory):
        yield f"```yaml\n{shown}```\n"
    yield from _table(factory.config)


def _table(config: type[Config]) -> Iterator[str]:
    rows = list(walk(config))
    if not rows:
        yield "No options."
        return
    yield "| option | type | default | meaning |"
    yield "|---|---|---|---|"
    for path, option in rows:
        default = default_in_words(option)
        shown = default if option.required or option.section or not default else f"`{default}`"
        yield _row(f"`{'::'.join(path)}`", in_words(option.values, "`"), shown, meaning(option))
    if any(option.section for _, option in rows):
        yield f"\n{_OF_PATHS}"


def _row(*cells: str) -> str:
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
