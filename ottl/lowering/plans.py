"""Groups of statements as steps: programs of the kernels, and what goes item by item between them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, cast

from airis.data import Signal, kernels
from airis.data.edits import Convert, Delete, Edit, Hash, Set
from airis.data.expressions import Expression, Not
from airis.data.fields import Attribute, Field, Source
from airis.ottl import syntax
from airis.ottl.compiler import Compiled
from airis.ottl.contexts import CONTEXTS, Context
from airis.ottl.functions.editors import EDITORS
from airis.ottl.inference import nodes
from airis.ottl.lowering.conditions import LoweredCondition, any_holds, lower_condition
from airis.ottl.lowering.sources import LEVELS, REPEATED, NotLowered
from airis.ottl.lowering.statements import LoweredStatement, lower_statement
from airis.ottl.options import Group
from airis.ottl.parser import parse_condition, parse_statement
from airis.ottl.payload import CONTEXTS_OF

if TYPE_CHECKING:
    from airis.data.kernels import Edits, Predicate, View

EACH_IS_AN_ITEM = ("span", "log", "datapoint")
"""Contexts whose items are those that a mask has a byte for."""


@dataclass(frozen=True)
class Condition:
    """A condition for the kernels, compiled, and the doubt about it."""

    holds: "Predicate | None"
    """None: always."""
    doubt: "Predicate | None"
    """None: never."""

    def mask(self, view: "View", within: bytes | None = None) -> bytes | None:
        """One byte for each item of the view, 1 where it holds and the given mask has it; None for all items."""
        return within if self.holds is None else _both(self.holds.mask(view), within)

    def is_doubtful(self, view: "View", within: bytes | None = None) -> bool:
        """Whether there is doubt about an item that the given mask has."""
        return self.doubt is not None and 1 in _both(self.doubt.mask(view), within)


_OPPOSITE = bytes.maketrans(b"\0\1", b"\1\0")


def opposite(mask: bytes, within: bytes | None) -> bytes:
    """The items that a mask of 0 and 1 has not, and the other one has."""
    return _both(mask.translate(_OPPOSITE), within)


def _both(a: bytes, b: bytes | None) -> bytes:
    """Two masks of 0 and 1 as one."""
    return a if b is None else (int.from_bytes(a) & int.from_bytes(b)).to_bytes(len(a))


@dataclass(frozen=True)
class KernelStep:
    """Statements as one program of the kernels."""

    statements: tuple[Compiled, ...]
    """What it does, for a payload that there is doubt about."""
    edits: "Edits"
    condition: Condition
    otherwise: "Edits | None" = None
    """Edits of the items that the condition does not hold for, so that each item is written once."""


@dataclass(frozen=True)
class ItemStep:
    """Statements that go item by item."""

    statements: tuple[Compiled, ...]


Step = KernelStep | ItemStep


@dataclass(frozen=True)
class Plan:
    """How a group is carried out."""

    group: Group
    condition: Condition
    """Of the whole group."""
    steps: tuple[Step, ...]


def plan(signal: Signal, group: Group) -> Plan | None:
    """How a group can be carried out with the kernels; None: item by item."""
    context = CONTEXTS[group.context]
    trees = [parse_statement(statement.text) for statement in group.statements]
    if not all(_stays_apart(context, tree) for tree in trees):
        return None
    try:
        applies = _applies(context, group)
        condition = _compiled(signal, applies.holds if group.conditions else None, applies.doubt)
    except (NotLowered, kernels.InvalidExpression):
        return None
    together = _sharing_the_cache(trees)
    parts = [None if index in together else _lowered(signal, context, tree) for index, tree in enumerate(trees)]
    if all(part is None for part in parts):
        return None
    if group.conditions and group.context not in EACH_IS_AN_ITEM and None in parts:
        return None  # which of its resources and the like the conditions hold for, no mask tells
    return Plan(group, condition, tuple(_steps(signal, group.statements, parts)))


@dataclass(frozen=True)
class FilterPlan:
    """How conditions that leave items out are asked."""

    keeps: "Predicate"
    """Holds for what is left by those that are asked first."""
    doubt: "Predicate | None"
    """Of those."""
    rest: tuple[Group, ...]
    """What is asked item by item of that."""

    def is_doubtful(self, view: "View") -> bool:
        """Whether there is doubt about an item."""
        return self.doubt is not None and 1 in self.doubt.mask(view)


def plan_filter(signal: Signal, groups: Sequence[Group]) -> FilterPlan | None:
    """How conditions can be asked with the kernels; None: item by item.

    Item by item they are asked from the outside in, and none behind one that holds: the kernels can ask the first ones.
    """
    outside_in = [group for name in CONTEXTS_OF[signal] for group in groups if group.context == name]
    asked: list[LoweredCondition] = []
    rest: list[Group] = []
    for group in outside_in:
        left = list(group.conditions)
        while left and not rest and (lowered := _asked(signal, group.context, left[0][0])):
            asked.append(lowered)
            del left[0]
        if left:
            rest.append(replace(group, conditions=left))
    if not asked:
        return None
    every = any_holds(asked)
    try:
        doubt = None if every.doubt is None else kernels.Predicate(signal, every.doubt)
        return FilterPlan(kernels.Predicate(signal, Not(every.holds)), doubt, tuple(rest))
    except ValueError:  # together they are more than there can be
        return None


def _asked(signal: Signal, context: str, text: str) -> LoweredCondition | None:
    if LEVELS[context] in REPEATED:
        return None  # the kernels leave items out, not parts of one
    try:
        return lowered_condition(signal, CONTEXTS[context], parse_condition(text))
    except NotLowered:
        return None


def lowered_condition(signal: Signal, context: Context, tree: syntax.Expression) -> LoweredCondition:
    """A condition for the kernels, as one that can be compiled; raises NotLowered."""
    lowered = lower_condition(context, tree)
    _compile(signal, lowered.holds, tree)
    return lowered


def lowered_statement(signal: Signal, context: Context, tree: syntax.Statement) -> LoweredStatement:
    """A statement for the kernels, as one that can be compiled; raises NotLowered."""
    lowered = lower_statement(context, tree)
    for expression in (lowered.where, lowered.doubt):
        if expression is not None:
            _compile(signal, expression, tree.where or tree.editor)
    try:
        kernels.Edits(lowered.edits)
    except ValueError as error:
        raise NotLowered(str(error), tree.editor) from None
    return lowered


def _lowered(signal: Signal, context: Context, tree: syntax.Statement) -> LoweredStatement | None:
    try:
        return lowered_statement(signal, context, tree)
    except NotLowered:
        return None


def _compile(signal: Signal, expression: Expression, node: syntax.Node) -> "Predicate":
    try:
        return kernels.Predicate(signal, expression)
    except ValueError as error:
        raise NotLowered(str(error), node) from None


def _compiled(signal: Signal, holds: Expression | None, doubt: Expression | None) -> Condition:
    return Condition(
        None if holds is None else kernels.Predicate(signal, holds),
        None if doubt is None else kernels.Predicate(signal, doubt),
    )


def _applies(context: Context, group: Group) -> LoweredCondition:
    """The conditions of a group; raises NotLowered."""
    trees = [parse_condition(text) for text, _ in group.conditions]
    lowered = [lower_condition(context, tree) for tree in trees]
    for tree, condition in zip(trees, lowered, strict=True):
        if condition.levels & set(REPEATED):
            raise NotLowered("the kernels choose items, not parts of one", tree)
    return any_holds(lowered)


def _steps(signal: Signal, statements: Sequence[Compiled], parts: Sequence[LoweredStatement | None]) -> list[Step]:
    """Neighbours that go the same way together, programs only where no condition is between their edits."""
    steps: list[Step] = []
    edits: list[Edit] = []
    for statement, part in zip(statements, parts, strict=True):
        last = steps[-1] if steps else None
        if part is None:
            before = last.statements if isinstance(last, ItemStep) else ()
            steps[len(steps) - bool(before) :] = [ItemStep((*before, statement))]
            continue
        is_plain = part.where is None and part.doubt is None
        if is_plain and isinstance(last, KernelStep) and last.condition == _ALWAYS:
            edits.extend(part.edits)
            steps[-1] = KernelStep((*last.statements, statement), kernels.Edits(edits), _ALWAYS)
            continue
        before_it = last if isinstance(last, KernelStep) and last.condition == _ALWAYS else None
        if before_it and part.where is not None and part.doubt is None and not _asks_of(part.where, edits):
            both = kernels.Edits([*edits, *part.edits])
            condition = _compiled(signal, part.where, None)
            steps[-1] = KernelStep((*before_it.statements, statement), both, condition, before_it.edits)
            continue
        edits = list(part.edits)
        condition = _ALWAYS if is_plain else _compiled(signal, part.where, part.doubt)
        steps.append(KernelStep((statement,), kernels.Edits(edits), condition))
    return steps


_ALWAYS = Condition(None, None)


def _asks_of(condition: Expression, edits: Sequence[Edit]) -> bool:
    """Whether a condition asks what edits write, of which it would have to be asked behind them."""
    written = {place for edit in edits for place in _places_written(edit)}
    return any((source.level, name) in written for source in _sources(condition) for name in (_name(source), None))


def _places_written(edit: Edit) -> set[tuple[str, str | None]]:
    """Levels with what is written there, None for any of it."""
    if isinstance(edit, Set | Delete | Hash | Convert):
        return {(edit.target.level, _name(edit.target))}
    return {(edit.level, None)}


def _name(source: Source) -> str:
    return f"attributes {source.key}" if isinstance(source, Attribute) else source.name.partition(".")[0]


def _sources(condition: object) -> Iterator[Source]:
    """All that a condition asks."""
    if isinstance(condition, Attribute | Field):
        yield condition
    elif isinstance(condition, list | tuple):
        for one in cast(Sequence[object], condition):
            yield from _sources(one)
    elif is_dataclass(condition):
        for field in fields(condition):
            yield from _sources(getattr(condition, field.name))


def _stays_apart(context: Context, statement: syntax.Statement) -> bool:
    """Whether what it does to an item is nothing to others, so that it can be done to all before the next one is."""
    call = statement.editor
    if call.function not in EDITORS or not call.arguments:
        return False
    target = next((argument.value for argument in call.arguments if argument.name in (None, "target")), None)
    if not isinstance(target, syntax.Path):
        return False
    names = [segment.name for segment in target.segments]
    level, at = context.level_of(names, [segment.keys for segment in target.segments])
    return names[at] == "cache" or LEVELS.get(level) == LEVELS[context.name]


def _sharing_the_cache(trees: Sequence[syntax.Statement]) -> range:
    """From the first statement that uses the cache to the last one: it is kept while an item is worked on."""
    using = [index for index, tree in enumerate(trees) if any(map(_is_cache, nodes(tree)))]
    return range(using[0], using[-1] + 1) if using else range(0)


def _is_cache(node: object) -> bool:
    return isinstance(node, syntax.Path) and any(segment.name == "cache" for segment in node.segments)
