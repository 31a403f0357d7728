"""Conditions as expressions of the kernels."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from airis.data.expressions import (
    AllOf,
    AnyOf,
    Compare,
    Constant,
    Expression,
    HasPrefix,
    HasSuffix,
    HasType,
    Matches,
    Not,
    OneOf,
    Operator,
    Scalar,
    Type,
)
from airis.data.fields import Level, Source
from airis.ottl import syntax
from airis.ottl.contexts import Context
from airis.ottl.lowering.sources import NotLowered, Read, any_of, constant, is_constant, of_other_types, read
from airis.ottl.values import Value, comparison

_EXACT = 1 << 53
"""Below it every integer is a double: there OTTL, which compares mixed numbers as doubles, and the kernels agree."""
_FEWEST = 3
"""Equalities in an ``or`` that are worth a set."""
_FLIPPED: Mapping[str, Operator] = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_TYPE_TESTS: Mapping[str, Type] = {
    "IsString": "text",
    "IsBool": "bool",
    "IsInt": "int",
    "IsDouble": "double",
    "IsMap": "map",
    "IsList": "array",
}
_TYPE_OF_KIND: Mapping[str, Type] = {
    "text": "text",
    "id_text": "text",
    "int": "int",
    "double": "double",
    "bool": "bool",
}
_IDS = {"SpanID": 8, "TraceID": 16}


@dataclass(frozen=True, slots=True)
class LoweredCondition:
    """A condition of the kernels, and what must hold for no item where it is to be used."""

    holds: Expression
    doubt: Expression | None
    levels: frozenset[Level]
    """That it asks."""


def lower_condition(context: Context, node: syntax.Expression) -> LoweredCondition:
    """A condition of a context for the kernels; raises NotLowered."""
    work = _Lowering(context)
    holds, doubt = work.lower(node)
    return LoweredCondition(holds, doubt, frozenset(work.levels))


_Part = tuple[Expression, Expression | None]
"""What holds, and what must not."""


class _Lowering:
    """Of one condition."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.levels: set[Level] = set()

    def lower(self, node: syntax.Expression) -> _Part:
        match node:
            case syntax.Literal(value=bool()):
                return Constant(bool(node.value)), None
            case syntax.Not():
                holds, doubt = self.lower(node.operand)
                return Not(holds), doubt
            case syntax.And() | syntax.Or():
                return self.chain(node)
            case syntax.Compare():
                return self.compare(node)
            case syntax.Call():
                return self.call(node)
            case _:
                raise NotLowered("a condition that the kernels do not have", node)

    def chain(self, node: syntax.And | syntax.Or) -> _Part:
        """What comes later is looked at, and can fail, only where what comes before leaves it open."""
        is_and = isinstance(node, syntax.And)
        parts = [self.lower(operand) for operand in _operands(node, type(node))]
        doubts: list[Expression | None] = []
        for index, (_, doubt) in enumerate(parts):
            before = [holds for holds, _ in parts[:index]]
            is_reached = AllOf(before) if is_and else Not(AnyOf(before))
            doubts.append(AllOf([is_reached, doubt]) if doubt is not None and before else doubt)
        conditions = [holds for holds, _ in parts]
        return AllOf(conditions) if is_and else _with_sets(conditions), any_of(*doubts)

    # Comparisons

    def compare(self, node: syntax.Compare) -> _Part:
        left, right, operator = node.left, node.right, node.operator
        if is_constant(left) and is_constant(right):
            holds = comparison(operator)(constant(self.context, left), constant(self.context, right))
            return Constant(holds), None
        if is_constant(left):
            left, right, operator = right, left, _FLIPPED[operator]
        found = self.read(left)
        if is_constant(right):
            return self.with_literal(found, operator, constant(self.context, right), node), found.doubt
        if isinstance(right, syntax.Call) and right.function in _IDS:
            return self.with_id(found, operator, right, node), found.doubt
        other = self.read(right)
        self.check_comparable(found, other, operator, node)
        return Compare(found.source, operator, other.source), any_of(found.doubt, other.doubt)

    def read(self, node: syntax.Expression) -> Read:
        if not isinstance(node, syntax.Path):
            raise NotLowered("a value that is neither written out nor a path", node)
        found = read(self.context, node)
        self.levels.add(found.source.level)
        return found

    def with_literal(self, found: Read, operator: Operator, value: Value, node: syntax.Node) -> Expression:
        if isinstance(value, list | dict):
            raise NotLowered("a comparison with a list or a map", node)
        if found.kind == "id":  # which equals an id alone
            return Constant(operator == "!=")
        if found.kind == "id_text":
            return self.with_id_text(found, operator, value, node)
        if value is None and operator not in ("==", "!="):
            raise NotLowered("an order with nil", node)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and not (found.kind == "int" and isinstance(value, int)) and abs(cast(float, value)) >= _EXACT:
            raise NotLowered("a number from 2^53 on, which OTTL compares with others as a double", node)
        holds = comparison(operator)
        if found.unset is not None and (value is None or holds(found.unset, value) != holds(None, value)):
            raise NotLowered(f"what is not set counts as {found.unset} here", node)
        return Compare(found.source, operator, cast(Scalar, value))

    def with_id_text(self, found: Read, operator: Operator, value: Value, node: syntax.Node) -> Expression:
        if operator not in ("==", "!="):
            raise NotLowered("an order of ids", node)
        digits = 2 * found.id_bytes
        if not isinstance(value, str) or not re.fullmatch(f"[0-9a-f]{{{digits}}}", value):
            return Constant(operator == "!=")
        equal: Expression = Compare(found.source, "==", value)
        if not value.strip("0"):
            # An id of another size counts as zero.
            equal = AnyOf([equal, Not(Matches(found.source, f"[0-9a-f]{{{digits}}}", whole=True))])
        return equal if operator == "==" else Not(equal)

    def with_id(self, found: Read, operator: Operator, call: syntax.Call, node: syntax.Node) -> Expression:
        """A comparison with ``SpanID(0x…)`` or ``TraceID(0x…)``."""
        value = self.arguments(call, "value").get("value")
        size = _IDS[call.function]
        raw = value.value if isinstance(value, syntax.Literal) else None
        if not isinstance(raw, bytes) or len(raw) != size or call.keys:
            raise NotLowered(f"an id that is not written out as {size} bytes", call)
        if found.kind != "id" or operator not in ("==", "!="):
            raise NotLowered("a comparison of an id with something else", node)
        if size != found.id_bytes:
            return Constant(operator == "!=")
        return self.with_id_text(found, operator, raw.hex(), node)

    def check_comparable(self, a: Read, b: Read, operator: Operator, node: syntax.Node) -> None:
        """Between two paths there must be no mix of integers and doubles, which OTTL makes doubles."""
        kinds = {a.kind, b.kind}
        are_alike = kinds in ({"text"}, {"int"}, {"bool"})
        if not (are_alike or kinds == {"text", "value"}) or a.unset is not None or b.unset is not None:
            raise NotLowered("values of two places that may be numbers of different types", node)

    # Functions

    def call(self, node: syntax.Call) -> _Part:
        if node.keys:
            raise NotLowered("keys behind a function", node)
        name = node.function
        if name == "IsRootSpan":
            self.levels.add("item")
            path = syntax.Path(node.at, node.end, (syntax.Segment("span"), syntax.Segment("parent_span_id")))
            return Matches(read(self.context, path).source, "0*", whole=True), None
        if name == "IsMatch":
            return self.is_match(node)
        if name in ("HasPrefix", "HasSuffix"):
            return self.has_end(node)
        if name in _TYPE_TESTS:
            return self.is_of_type(node)
        raise NotLowered(f"the kernels have no {name}", node)

    def is_match(self, node: syntax.Call) -> _Part:
        given = self.arguments(node, "target", "pattern")
        pattern = self.text(given.get("pattern"), node)
        found = self.read_argument(given.get("target"), node)
        if found.kind not in ("text", "int", "value") or found.unset is not None:
            raise NotLowered("a text that the kernels write otherwise", node)
        matches: Expression = Matches(found.source, pattern)
        if found.kind != "value":
            return matches, found.doubt
        # Doubles, bytes, lists and maps have other texts in the two ways, or none.
        return matches, any_of(found.doubt, of_other_types(found.source, "text", "bool", "int"))

    def has_end(self, node: syntax.Call) -> _Part:
        is_prefix = node.function == "HasPrefix"
        ending = "prefix" if is_prefix else "suffix"
        given = self.arguments(node, "value", ending)
        text = self.text(given.get(ending), node)
        found = self.read_argument(given.get("value"), node)
        if found.kind not in ("text", "value"):
            raise NotLowered(f"{node.function} of what is no string", node)
        is_other = None if found.kind == "text" else Not(HasType(found.source, ["text"]))
        holds = HasPrefix(found.source, text) if is_prefix else HasSuffix(found.source, text)
        return holds, any_of(found.doubt, is_other)

    def is_of_type(self, node: syntax.Call) -> _Part:
        wanted = _TYPE_TESTS[node.function]
        found = self.read_argument(self.arguments(node, "value").get("value"), node)
        if found.kind == "value":
            return HasType(found.source, [wanted]), found.doubt
        if found.kind == "text":
            return Constant(_TYPE_OF_KIND[found.kind] == wanted), found.doubt
        raise NotLowered(f"{node.function} of a field", node)

    def arguments(self, call: syntax.Call, *names: str) -> Mapping[str, syntax.Expression | syntax.Lambda]:
        return {argument.name or names[index]: argument.value for index, argument in enumerate(call.arguments)}

    def read_argument(self, node: object, call: syntax.Call) -> Read:
        if not isinstance(node, syntax.Path):
            raise NotLowered(f"{call.function} of what is no path", call)
        return self.read(node)

    def text(self, node: object, call: syntax.Call) -> str:
        if not isinstance(node, syntax.Literal) or not isinstance(node.value, str):
            raise NotLowered(f"{call.function} with a text that is not written out", call)
        return node.value


def _operands(node: syntax.Expression, kind: type) -> Iterator[syntax.Expression]:
    """Those of a chain; it can be longer than functions may be deep."""
    behind: list[syntax.Expression] = []
    while isinstance(node, kind):
        chain = cast(syntax.And | syntax.Or, node)
        behind.append(chain.right)
        node = chain.left
    yield node
    for operand in reversed(behind):
        yield from _operands(operand, kind)


def _with_sets(conditions: list[Expression]) -> Expression:
    """At least one of the conditions, with equalities of one source as a set."""
    values: dict[Source, list[Scalar]] = {}
    for each in conditions:
        if isinstance(each, Compare) and each.operator == "==" and isinstance(each.right, Scalar):
            values.setdefault(each.left, []).append(each.right)
    many = {source for source, equal in values.items() if len(equal) >= _FEWEST}
    rest = [
        each
        for each in conditions
        if not (
            isinstance(each, Compare) and each.left in many and each.operator == "==" and isinstance(each.right, Scalar)
        )
    ]
    return AnyOf([*rest, *(OneOf(source, values[source]) for source in values if source in many)])


def any_holds(conditions: Sequence[LoweredCondition]) -> LoweredCondition:
    """Whether one of several holds; each is looked at where none before it does."""
    doubts: list[Expression | None] = []
    for index, condition in enumerate(conditions):
        before = [other.holds for other in conditions[:index]]
        doubt = condition.doubt
        doubts.append(AllOf([Not(AnyOf(before)), doubt]) if doubt is not None and before else doubt)
    levels = frozenset[Level]().union(*(condition.levels for condition in conditions))
    return LoweredCondition(AnyOf([condition.holds for condition in conditions]), any_of(*doubts), levels)
