"""Which context statements are meant for, where it is not written: the innermost one that they name.

Source: pkg/ottl/context_inferrer.go of opentelemetry-collector-contrib (v0.155).
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import cast

from airis.ottl.contexts import CONTEXTS
from airis.ottl.registry import Functions
from airis.ottl.syntax import Call, Node, Path, Segment, Statement, Symbol

_INNERMOST_FIRST = ("log", "exemplar", "datapoint", "metric", "spanevent", "spanlink", "span", "resource", "scope")
_ALIASES = {"instrumentation_scope": "scope"}


def nodes(node: object) -> Iterator[Node | Segment]:
    """A node and all that it is made of."""
    if isinstance(node, tuple):
        for item in cast(tuple[object, ...], node):
            yield from nodes(item)
    elif isinstance(node, Node | Segment | Statement):
        if not isinstance(node, Statement):
            yield node
        for field in dataclasses.fields(node):
            yield from nodes(getattr(node, field.name))


def named_contexts(trees: Sequence[object]) -> set[str]:
    """The contexts that paths begin with."""
    first = (node.segments[0].name for tree in trees for node in nodes(tree) if isinstance(node, Path))
    return {_ALIASES.get(name, name) for name in first} & CONTEXTS.keys()


def inferred(trees: Sequence[object], allowed: Sequence[str], functions: Functions) -> str | None:
    """The context for statements and conditions, as they were parsed; None where they name none.

    Where functions or enumerators are not to be had in the innermost context that is named, it is one further in that
    has them all, if there is one.
    """
    named = named_contexts(trees)
    if not named:
        return None
    start = next(name for name in _INNERMOST_FIRST if name in named)
    if _serves(start, trees, functions):
        return start
    for name in _INNERMOST_FIRST:
        levels = CONTEXTS[name].levels
        if name in allowed and name != start and start in levels and _serves(name, trees, functions):
            return name
    return start


def _serves(name: str, trees: Sequence[object], functions: Functions) -> bool:
    context = CONTEXTS[name]
    for tree in trees:
        for node in nodes(tree):
            if isinstance(node, Call):
                declared = functions.get(node.function)
                if declared is not None and declared.contexts is not None and name not in declared.contexts:
                    return False
            elif isinstance(node, Symbol) and node.name not in functions and node.name not in context.enumerators:
                return False
    return True
