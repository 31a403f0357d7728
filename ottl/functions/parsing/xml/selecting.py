"""The nodes that an XPath expression selects, with the conversions of XPath 1.0, sections 3 and 4."""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from airis.ottl.functions.parsing.xml.tree import Node
from airis.ottl.functions.parsing.xml.xpath import (
    Axis,
    Call,
    Expression,
    Filtered,
    Number,
    Operation,
    Path,
    Step,
    Text,
    parse,
)
from airis.ottl.values import EvaluationError

Found = list[Node] | str | float | bool

MOST_VISITS = 500_000
"""Nodes that are looked at for one document: a path with many ``//`` would look at them over and over."""

_NUMBER = re.compile(r"\s*-?(?:\d+(?:\.\d*)?|\.\d+)\s*", re.ASCII)
_REVERSE = frozenset(("parent", "ancestor", "ancestor-or-self", "preceding", "preceding-sibling"))


class XPath:
    """An expression that selects nodes."""

    def __init__(self, text: str) -> None:
        """Parse; ValueError says what is wrong, and where."""
        self._expression = parse(text)

    def select(self, document: Node) -> list[Node]:
        """The nodes in the order of the document; raises EvaluationError where it would take too long."""
        return _Selection(document).nodes(self._expression, _Place(document, 1, 1))


class _Place:
    """Where an expression is evaluated: a node, and its number among those that are looked at."""

    __slots__ = ("node", "position", "size")

    def __init__(self, node: Node, position: int, size: int) -> None:
        self.node = node
        self.position = position
        self.size = size


class _Selection:
    def __init__(self, document: Node) -> None:
        self.document = document
        self.visits = 0
        self.numbers: dict[int, int] = {}

    def visited(self, count: int = 1) -> None:
        self.visits += count
        if self.visits > MOST_VISITS:
            raise EvaluationError(f"the XPath looks at more than {MOST_VISITS} nodes of the document")

    # Nodes

    def nodes(self, expression: Expression, place: _Place) -> list[Node]:
        found = self.evaluate(expression, place)
        return found if isinstance(found, list) else []

    def path(self, path: Path, place: _Place) -> list[Node]:
        match path.start:
            case "document":
                found = [self.document]
            case "here":
                found = [place.node]
            case start:
                found = self.nodes(start, place)
        for step in path.steps:
            following: dict[int, Node] = {}
            for node in found:
                following.update((id(one), one) for one in self.step(step, node))
            found = list(following.values()) if len(found) == 1 else self.in_order(following.values())
        last = path.steps[-1].axis if path.steps else "self"
        return self.in_order(found) if last in _REVERSE else found

    def step(self, step: Step, node: Node) -> list[Node]:
        found: list[Node] = []
        for candidate in self.on_axis(step.axis, node):
            self.visited()
            if _passes(step, candidate):
                found.append(candidate)
        for predicate in step.predicates:
            found = self.kept(found, predicate)
        return found

    def kept(self, nodes: list[Node], predicate: Expression) -> list[Node]:
        kept: list[Node] = []
        for index, node in enumerate(nodes, 1):
            self.visited()
            value = self.evaluate(predicate, _Place(node, index, len(nodes)))
            if value == index if type(value) is float else _boolean(value):
                kept.append(node)
        return kept

    def in_order(self, nodes: Iterable[Node]) -> list[Node]:
        unordered = list(nodes)
        if len(unordered) < 2:
            return unordered
        if not self.numbers:
            for number, node in enumerate(_all(self.document)):
                self.numbers[id(node)] = number
            self.visited(len(self.numbers))
        return sorted(unordered, key=lambda node: self.numbers[id(node)])

    def on_axis(self, axis: Axis, node: Node) -> Iterable[Node]:
        match axis:
            case "child":
                return node.children
            case "attribute":
                return [one for one in node.attributes if not one.name.startswith("xmlns")]
            case "self":
                return (node,)
            case "parent":
                return () if node.parent is None else (node.parent,)
            case "descendant":
                return _inside(node)
            case "descendant-or-self":
                return (one for one in (node, *_inside(node)))
            case "ancestor":
                return _above(node)
            case "ancestor-or-self":
                return (node, *_above(node))
            case _:
                return self.beside(axis, node)

    def beside(self, axis: Axis, node: Node) -> Iterable[Node]:
        if node.parent is None or node.kind == "attribute":
            return ()
        siblings = node.parent.children
        at = next(index for index, one in enumerate(siblings) if one is node)
        self.visited(at)
        match axis:
            case "following-sibling":
                return siblings[at + 1 :]
            case "preceding-sibling":
                return siblings[:at][::-1]
            case "following":
                inside = set(map(id, (node, *_inside(node))))
                order = [one for one in _all(self.document) if one.kind != "attribute"]
                behind = order[order.index(node) + 1 :]
                return [one for one in behind if id(one) not in inside]
            case _:
                above = set(map(id, _above(node)))
                order = [one for one in _all(self.document) if one.kind != "attribute"]
                return [one for one in order[: order.index(node)][::-1] if id(one) not in above]

    # Values

    def evaluate(self, expression: Expression, place: _Place) -> Found:
        match expression:
            case Number() | Text():
                return expression.value
            case Path():
                return self.path(expression, place)
            case Filtered():
                found = self.nodes(expression.base, place)
                for predicate in expression.predicates:
                    found = self.kept(found, predicate)
                return found
            case Call():
                return self.call(expression, place)
            case Operation():
                return self.operation(expression, place)

    def operation(self, operation: Operation, place: _Place) -> Found:
        right = partial(self.evaluate, operation.right, place)
        if operation.left is None:
            return -_number(right())
        left = self.evaluate(operation.left, place)
        match operation.operator:
            case "or":
                return _boolean(left) or _boolean(right())
            case "and":
                return _boolean(left) and _boolean(right())
            case "|":
                both = [*_list(left), *_list(right())]
                return self.in_order({id(node): node for node in both}.values())
            case "=" | "!=" | "<" | "<=" | ">" | ">=":
                return self.compared(operation.operator, left, right())
            case _:
                return _reckoned(operation.operator, _number(left), _number(right()))

    def compared(self, operator: str, left: Found, right: Found) -> bool:
        """Of nodes, one for which it holds is enough (section 3.4)."""
        if isinstance(left, bool) or isinstance(right, bool):
            return _holds(operator, _boolean(left), _boolean(right))
        lefts = [node.text() for node in left] if isinstance(left, list) else [left]
        rights = [node.text() for node in right] if isinstance(right, list) else [right]
        self.visited(len(lefts) * len(rights))
        return any(_holds(operator, a, b) for a in lefts for b in rights)

    def call(self, call: Call, place: _Place) -> Found:
        match call.function:
            case "last":
                return float(place.size)
            case "position":
                return float(place.position)
            case "true" | "false":
                return call.function == "true"
            case _:
                values = [self.evaluate(argument, place) for argument in call.arguments]
        if call.function in ("count", "sum", "name", "local-name"):
            return _of_nodes(call.function, _list(values[0]) if values else [place.node])
        if call.function in ("boolean", "not"):
            return _boolean(values[0]) is (call.function == "boolean")
        first = values[0] if values else [place.node]
        if call.function in _OF_NUMBERS:
            return _OF_NUMBERS[call.function](_number(first))
        texts = [_string(first), *map(_string, values[1:])]
        return _of_texts(call.function, texts, values)


# Axes


def _passes(step: Step, node: Node) -> bool:
    match step.test:
        case "node()":
            return True
        case "text()":
            return node.is_text
        case "comment()":
            return node.kind == "comment"
        case "processing-instruction()":
            return node.kind == "instruction"
        case name:
            if node.kind != ("attribute" if step.axis == "attribute" else "element"):
                return False
            if name == "*":
                return True
            return node.prefix == name[:-2] if name.endswith(":*") else node.name == name


def _inside(node: Node) -> Iterator[Node]:
    waiting = node.children[::-1]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += reversed(one.children)


def _above(node: Node) -> Iterator[Node]:
    while node.parent is not None:
        node = node.parent
        yield node


def _all(document: Node) -> Iterator[Node]:
    for node in (document, *_inside(document)):
        yield node
        yield from node.attributes


# Conversions


def _list(value: Found) -> list[Node]:
    return value if isinstance(value, list) else []


def _boolean(value: Found) -> bool:
    return not math.isnan(value) and value != 0 if type(value) is float else bool(value)


def _string(value: Found) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            if not math.isfinite(value):
                return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
            return str(int(value)) if value.is_integer() else repr(value)
        case list():
            return value[0].text() if value else ""
        case _:
            return str(value)


def _number(value: Found) -> float:
    if isinstance(value, bool | float):
        return float(value)
    text = _string(value)
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def _holds(operator: str, a: str | float, b: str | float) -> bool:
    if operator in ("=", "!="):
        if isinstance(a, float) or isinstance(b, float):
            a, b = _number(a), _number(b)
        return (a == b) is (operator == "=")
    left, right = _number(a), _number(b)
    match operator:
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case _:
            return left >= right


def _reckoned(operator: str, a: float, b: float) -> float:
    match operator:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "div":
            if b == 0:
                return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1, b)
            return a / b
        case _:
            return math.fmod(a, b) if math.isfinite(a) and b != 0 else math.nan


# Functions


def _of_nodes(function: str, nodes: list[Node]) -> Found:
    match function:
        case "count":
            return float(len(nodes))
        case "sum":
            return math.fsum(numbers) if all(map(math.isfinite, numbers := [_number([n]) for n in nodes])) else math.nan
        case "name":
            return nodes[0].name if nodes else ""
        case _:
            return nodes[0].local_name if nodes else ""


def _whole(function: Callable[[float], float], number: float) -> float:
    return float(function(number)) if math.isfinite(number) else number


_OF_NUMBERS: dict[str, Callable[[float], float]] = {
    "number": lambda number: number,
    "floor": partial(_whole, math.floor),
    "ceiling": partial(_whole, math.ceil),
    "round": partial(_whole, lambda number: math.floor(number + 0.5)),
}


def _of_texts(function: str, texts: list[str], values: list[Found]) -> Found:
    first = texts[0]
    other = texts[1] if len(texts) > 1 else ""
    match function:
        case "string":
            return first
        case "concat":
            return "".join(texts)
        case "starts-with":
            return first.startswith(other)
        case "ends-with":
            return first.endswith(other)
        case "contains":
            return other in first
        case "substring-before":
            return first.partition(other)[0] if other and other in first else ""
        case "substring-after":
            return first.partition(other)[2] if other else first
        case "substring":
            return _substring(first, [_number(value) for value in values[1:]])
        case "string-length":
            return float(len(first))
        case "normalize-space":
            return " ".join(first.split())
        case _:
            return _translated(first, other, texts[2])


def _substring(text: str, numbers: list[float]) -> str:
    start = _OF_NUMBERS["round"](numbers[0])
    end = start + _OF_NUMBERS["round"](numbers[1]) if len(numbers) > 1 else math.inf
    return "".join(character for position, character in enumerate(text, 1) if start <= position < end)


def _translated(text: str, characters: str, others: str) -> str:
    table: dict[int, str] = {}
    for index, character in enumerate(characters):
        table.setdefault(ord(character), others[index : index + 1])
    return text.translate(table)
