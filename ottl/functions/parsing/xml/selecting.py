"""The nodes that an XPath expression selects."""

import math
from collections.abc import Iterable, Iterator
from functools import partial

from airis.ottl.functions.parsing.xml.plain import OF_NUMBERS, Plain, boolean, holds, number, of_texts, reckoned, string
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

Found = list[Node] | Plain

CHARACTERS_OF_A_VISIT = 256
"""So many characters of a text that is looked at count as a node."""
MOST_VISITS = 500_000
"""Nodes that are looked at for one document: a path with many ``//`` would look at them over and over."""

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
        self.texts: dict[int, str] = {}

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
            if value == index if type(value) is float else boolean(value):
                kept.append(node)
        return kept

    def in_order(self, nodes: Iterable[Node]) -> list[Node]:
        unordered = list(nodes)
        if len(unordered) < 2:
            return unordered
        if not self.numbers:
            for index, node in enumerate(_all(self.document)):
                self.numbers[id(node)] = index
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
                order = self.order()
                return [one for one in order[order.index(node) + 1 :] if id(one) not in inside]
            case _:
                above = set(map(id, _above(node)))
                order = self.order()
                return [one for one in order[: order.index(node)][::-1] if id(one) not in above]

    def order(self) -> list[Node]:
        nodes = [self.document, *_inside(self.document)]
        self.visited(len(nodes))
        return nodes

    # Values

    def text(self, node: Node) -> str:
        """The value of an attribute, a text or a comment, or all text in an element."""
        if node.kind not in ("element", "document"):
            return node.data
        if id(node) not in self.texts:
            inside = list(_inside(node))
            self.visited(len(inside))
            self.texts[id(node)] = "".join(one.data for one in inside if one.is_text)
        return self.texts[id(node)]

    def plain(self, value: Found) -> Plain:
        """Of nodes the text of the first; long texts count as many nodes."""
        plain = (self.text(value[0]) if value else "") if isinstance(value, list) else value
        if isinstance(plain, str):
            self.visited(len(plain) // CHARACTERS_OF_A_VISIT)
        return plain

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
            return -number(self.plain(right()))
        left = self.evaluate(operation.left, place)
        match operation.operator:
            case "or":
                return boolean(left) or boolean(right())
            case "and":
                return boolean(left) and boolean(right())
            case "|":
                both = [*_list(left), *_list(right())]
                return self.in_order({id(node): node for node in both}.values())
            case "=" | "!=" | "<" | "<=" | ">" | ">=":
                return self.compared(operation.operator, left, right())
            case _:
                return reckoned(operation.operator, number(self.plain(left)), number(self.plain(right())))

    def compared(self, operator: str, left: Found, right: Found) -> bool:
        """Of nodes, one for which it holds is enough (section 3.4)."""
        if isinstance(left, bool) or isinstance(right, bool):
            return holds(operator, boolean(left), boolean(right))
        lefts = [self.plain([node]) for node in left] if isinstance(left, list) else [left]
        rights = [self.plain([node]) for node in right] if isinstance(right, list) else [right]
        self.visited(len(lefts) * len(rights))
        return any(holds(operator, a, b) for a in lefts for b in rights)

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
            return self.of_nodes(call.function, _list(values[0]) if values else [place.node])
        if call.function in ("boolean", "not"):
            return boolean(values[0]) is (call.function == "boolean")
        plain = [self.plain(value) for value in values or [[place.node]]]
        if call.function in OF_NUMBERS:
            return OF_NUMBERS[call.function](number(plain[0]))
        return self.plain(of_texts(call.function, list(map(string, plain)), plain))

    def of_nodes(self, function: str, nodes: list[Node]) -> Found:
        match function:
            case "count":
                return float(len(nodes))
            case "sum":
                numbers = [number(self.plain([node])) for node in nodes]
                return math.fsum(numbers) if all(map(math.isfinite, numbers)) else math.nan
            case "name":
                return nodes[0].name if nodes else ""
            case _:
                return nodes[0].local_name if nodes else ""


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


def _list(value: Found) -> list[Node]:
    return value if isinstance(value, list) else []
