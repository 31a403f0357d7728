"""The reference page of the transformation language: its contexts with their paths, and its functions."""

import inspect
from collections.abc import Iterable, Iterator

from airis.ottl.contexts import CONTEXTS, Context
from airis.ottl.functions import EDITORS, FILTER, TRANSFORM
from airis.ottl.registry import Declared

PAGE = "ottl.md"
_HEADER = """\
# The transformation language

{made}

Statements and conditions of the OpenTelemetry Transformation Language (OTTL) stand in the configuration of
[`transform`](components/processors/transform.md) and [`filter`](components/processors/filter.md). They are read when
the configuration is, and an error names the place in the statement.

    set(span.attributes["http.route"], "/users") where IsMatch(span.name, "^GET /users/[0-9]+$")
    merge_maps(log.cache, resource.attributes, "upsert")
    set(log.attributes["prod"], Any(log.attributes["tags"], (_, tag) => tag == "prod"))

What an editor (`set`) changes, and what a converter (`IsMatch`) is given, is told by paths. A path begins with the name
of what it belongs to; where the configuration names a context, that name can be left out for the context's own fields.
Arguments can be given by name (`Split(target=span.name, delimiter="/")`); those with a `?` can be left out.

It is the language of the Collector (v0.159) but for this:

- `String` and `Concat` write ids in hexadecimal, and `Format` writes lists and maps by what is in them. (The Collector
  writes ids as lists of numbers, and most lists and all maps as addresses in memory.)
- An argument that is written out and that no item could make right, such as the duration `"1d"`, is an error of the
  configuration, and not one on every item.
- `IsBool(42)` and its like are false, as the Collector's documentation says. (It refuses to start.)
- A text is always UTF-8: where a part of a character would be left, as by `Substring`, there is U+FFFD.
- `Time` reads names of months and days in English alone; another `locale` is an error of the configuration.
"""
_OF_FIELDS = 'Behind attributes, `cache` and a body can be keys: `["a"]`, `["a"][0]`.'


def page(made: str) -> str:
    """The whole page; `made` says where it comes from."""
    return "\n".join([_HEADER.format(made=made), *_contexts(), *_functions()]).rstrip() + "\n"


def _contexts() -> Iterator[str]:
    yield "## Contexts\n"
    yield f"{_OF_FIELDS}\n"
    for context in CONTEXTS.values():
        above = [level for level in context.levels if level != context.name]
        yield f"### {context.name}\n"
        yield f"Paths: {_listed(_paths(context))}\n"
        yield f"With the paths of {_listed(above)}.\n"
        if context.enumerators:
            yield f"Enumerators: {_listed(context.enumerators)}\n"
    yield "### otelcol\n"
    yield f"What the client sent; of every context, and nothing that can be set: {_listed(_client())}\n"


def _paths(context: Context) -> list[str]:
    return [f"{context.name}.{path}" for path in (*context.levels[context.name].table, "cache")]


def _client() -> list[str]:
    return [f"otelcol.{path}" for path in next(iter(CONTEXTS.values())).levels["otelcol"].table]


def _functions() -> Iterator[str]:
    yield "## Editors\n"
    yield from _table(EDITORS[name] for name in sorted(EDITORS))
    yield "\n## Converters\n"
    both = {**TRANSFORM, **FILTER}
    yield from _table(both[name] for name in sorted(both, key=str.lower) if name not in EDITORS)


def _table(functions: Iterable[Declared]) -> Iterator[str]:
    yield "| function | what it does |"
    yield "|---|---|"
    for function in functions:
        first, *_ = (inspect.getdoc(function.make) or "").split("\n\n")
        where = "" if function.contexts is None else f" In the context {', '.join(sorted(function.contexts))} alone."
        only = "" if function.name in TRANSFORM else " Of `filter` alone."
        summary = " ".join(first.split()).replace("``", "`").replace("|", "\\|")
        yield f"| `{function.signature()}` | {summary}{where}{only} |"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
