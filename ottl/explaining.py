"""Which way a statement or a condition goes, and why."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from airis.data import Signal
from airis.data.edits import (
    Convert,
    Delete,
    DeleteMatching,
    Edit,
    Extract,
    Hash,
    HashMatching,
    KeepKeys,
    Limit,
    Rename,
    Set,
    Truncate,
)
from airis.data.fields import Attribute, Field, Source
from airis.ottl import syntax
from airis.ottl.compiler import Compiler
from airis.ottl.contexts import CONTEXTS
from airis.ottl.functions import FILTER, TRANSFORM
from airis.ottl.inference import inferred
from airis.ottl.lowering.plans import lowered_condition, lowered_statement
from airis.ottl.lowering.sources import LEVELS, REPEATED, NotLowered
from airis.ottl.parser import parse_condition, parse_statement
from airis.ottl.payload import CONTEXTS_OF

_EDITOR = re.compile(r"\s*(?!not\b)[a-z]\w*\s*\(")
DEFAULT_CONTEXT = {Signal.TRACES: "span", Signal.METRICS: "datapoint", Signal.LOGS: "log"}


@dataclass(frozen=True)
class Explanation:
    """Which way something goes."""

    context: str
    is_statement: bool
    edits: tuple[str, ...] = ()
    """What the kernels do, of a statement that goes to them."""
    is_sure: bool = True
    """Whether they do it for every batch, and not only where no item could fail or come out otherwise."""
    reason: str = ""
    """Why it goes item by item; empty where it does not."""
    part: str = ""
    """The line with the part that prevents it, and under it a mark."""


def is_statement(text: str) -> bool:
    """Whether a text begins as a statement does, rather than a condition."""
    return _EDITOR.match(text) is not None


def signal_of(context: str) -> Signal:
    """The first signal that has a context."""
    return next(signal for signal, contexts in CONTEXTS_OF.items() if context in contexts)


def context_of(text: str, context: str | None, signal: Signal | None = None) -> str:
    """The context that is given, else that which paths name, else that of a signal's items; raises OttlError."""
    tree: object = parse_statement(text) if is_statement(text) else parse_condition(text)
    allowed = CONTEXTS_OF[signal] if signal else tuple(CONTEXTS)
    functions = TRANSFORM if is_statement(text) else FILTER
    found = context or inferred([tree], allowed, functions) or DEFAULT_CONTEXT[signal or Signal.TRACES]
    if found not in allowed:
        words = ", ".join(allowed)
        raise syntax.OttlError(f"{signal or 'OTTL'} has no context {found}; there is {words}", text, 0, len(text))
    return found


def explained(text: str, context: str) -> Explanation:
    """Which way a text goes in a context; raises OttlError for one that cannot be used."""
    signal = signal_of(context)
    known = CONTEXTS[context]
    try:
        if is_statement(text):
            Compiler(known, TRANSFORM).statement(text)
            lowered = lowered_statement(signal, known, parse_statement(text))
            return Explanation(context, True, tuple(map(_words, lowered.edits)), lowered.doubt is None)
        Compiler(known, FILTER).condition(text)
        tree = parse_condition(text)
        condition = lowered_condition(signal, known, tree)
        if LEVELS[context] in REPEATED:
            raise NotLowered(f"the kernels leave items out, not each {context} of one", tree)
        return Explanation(context, False, (), condition.doubt is None)
    except NotLowered as found:
        error = syntax.OttlError(found.reason, text, found.node.at, found.node.end)
        return Explanation(context, is_statement(text), reason=found.reason, part=error.pointed_out())


def _words(edit: Edit) -> str:
    match edit:
        case Set(target, value, when):
            written = f"a copy of {_place(value)}" if isinstance(value, Attribute | Field) else _literal(value)
            only = {"always": "", "absent": ", where it is absent", "present": ", where it is present"}[when]
            return f"set {_place(target)} to {written}{only}"
        case Delete(target):
            return f"delete {_place(target)}"
        case KeepKeys(level, keys):
            return f"keep the {level} attributes {_listed(keys)}"
        case DeleteMatching(level, pattern):
            return f"delete the {level} attributes whose keys match {_literal(pattern)}"
        case Truncate(level, max_bytes):
            return f"cut the texts of {level} attributes to {max_bytes} bytes"
        case Extract() | Rename() | Hash() | HashMatching() | Convert() | Limit():
            return repr(edit)


def _place(place: Source) -> str:
    keys = "".join(f"[{_literal(key)}]" for key in place.path)
    if isinstance(place, Attribute):
        return f"{place.level} attributes[{_literal(place.key)}]{keys}"
    return f"{place.level} {place.name}{keys}"


def _listed(keys: Sequence[str]) -> str:
    return ", ".join(map(_literal, keys)) or "of none"


def _literal(value: object) -> str:
    match value:
        case None:
            return "nil"
        case bool():
            return str(value).lower()
        case bytes():
            return f"0x{value.hex()}"
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            return f'"{escaped}"'
        case _:
            return str(value)
