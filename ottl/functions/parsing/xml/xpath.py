"""XPath 1.0 expressions as trees (https://www.w3.org/TR/1999/REC-xpath-19991116/).

All of its grammar but variables and the namespace axis; names with a prefix are compared as they are written. A slash
at the end of a path, which the Collector takes, is left out.
"""

import re
from dataclasses import dataclass
from typing import Literal as OneOf
from typing import NoReturn, cast, get_args

Axis = OneOf[
    "child",
    "descendant",
    "descendant-or-self",
    "attribute",
    "self",
    "parent",
    "ancestor",
    "ancestor-or-self",
    "following-sibling",
    "preceding-sibling",
    "following",
    "preceding",
]
AXES = frozenset(get_args(Axis))
NODE_TESTS = frozenset(("text", "comment", "node", "processing-instruction"))
DEEPEST = 50
"""Expressions in one another."""


@dataclass(frozen=True, slots=True)
class Number:
    """``1.5``."""

    value: float


@dataclass(frozen=True, slots=True)
class Text:
    """``'a'``."""

    value: str


@dataclass(frozen=True, slots=True)
class Call:
    """``contains(a, b)``."""

    function: str
    arguments: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class Operation:
    """``a or b``, ``a | b``, ``a = b``, ``a + b`` and so on; ``-a`` has its operand on the right."""

    operator: str
    left: "Expression | None"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Step:
    """``child::a[…]``: which nodes, seen from one, and what must hold for them."""

    axis: Axis
    test: str
    """A name, ``*``, ``p:*``, or one of `NODE_TESTS` with parentheses."""
    predicates: "tuple[Expression, ...]" = ()


@dataclass(frozen=True, slots=True)
class Path:
    """Steps from the document, from a node, or from the nodes that an expression gives."""

    start: "OneOf['document', 'here'] | Filtered"
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Filtered:
    """``(…)[1]``."""

    base: "Expression"
    predicates: "tuple[Expression, ...]"


Expression = Number | Text | Call | Operation | Path | Filtered

FUNCTIONS: dict[str, tuple[int, int]] = {
    "last": (0, 0),
    "position": (0, 0),
    "count": (1, 1),
    "local-name": (0, 1),
    "name": (0, 1),
    "string": (0, 1),
    "concat": (2, 99),
    "starts-with": (2, 2),
    "ends-with": (2, 2),
    "contains": (2, 2),
    "substring-before": (2, 2),
    "substring-after": (2, 2),
    "substring": (2, 3),
    "string-length": (0, 1),
    "normalize-space": (0, 1),
    "translate": (3, 3),
    "boolean": (1, 1),
    "not": (1, 1),
    "true": (0, 0),
    "false": (0, 0),
    "number": (0, 1),
    "sum": (1, 1),
    "floor": (1, 1),
    "ceiling": (1, 1),
    "round": (1, 1),
}
"""The least and the most arguments of each; none of them gives nodes."""

_TOKENS = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d*)?|\.\d+)
    | (?P<text>"[^"]*"|'[^']*')
    | (?P<axis>[a-z][a-z-]*)(?=\s*::)
    | (?P<name>[^\W\d][\w.-]*(?::(?:[^\W\d][\w.-]*|\*))?)
    | (?P<operator>::|//|\.\.|!=|<=|>=|[()\[\].@,/|+\-=<>*]))""",
    re.VERBOSE,
)
_LEVELS = (("or",), ("and",), ("=", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "div", "mod"))
_WORDS = frozenset(("or", "and", "div", "mod"))


def parse(text: str) -> Expression:
    """The tree of an expression that selects nodes; ValueError says what is wrong, and where."""
    parser = _Parser(text)
    found = parser.expression()
    parser.ends()
    if not selects_nodes(found):
        parser.fail("it gives a value and selects no nodes", 0)
    return found


def selects_nodes(expression: Expression) -> bool:
    """Whether it gives nodes rather than a value."""
    match expression:
        case Path():
            return True
        case Filtered():
            return selects_nodes(expression.base)
        case Operation():
            return expression.operator == "|"
        case _:
            return False


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._tokens()
        self.next = 0
        self.depth = 0

    def _tokens(self) -> list[_Token]:
        found: list[_Token] = []
        at = 0
        while self.text[at:].strip():
            match = _TOKENS.match(self.text, at)
            if match is None:
                at += len(self.text[at:]) - len(self.text[at:].lstrip())
                self.fail(f"{self.text[at]!a} means nothing here", at)
            kind = cast(str, match.lastgroup)
            found.append(_Token(kind, match[kind], match.start(kind)))
            at = match.end()
        return [*found, _Token("end", "", len(self.text))]

    def fail(self, reason: str, at: int | None = None) -> NoReturn:
        place = (self.here.at if at is None else at) + 1
        raise ValueError(f"the XPath {self.text!a} cannot be used: {reason}, at character {place}")

    @property
    def here(self) -> _Token:
        return self.tokens[self.next]

    def is_at(self, text: str, ahead: int = 0) -> bool:
        token = self.tokens[min(self.next + ahead, len(self.tokens) - 1)]
        return token.text == text and token.kind == "operator"

    def take(self) -> _Token:
        token = self.here
        self.next = min(self.next + 1, len(self.tokens) - 1)
        return token

    def took(self, text: str) -> bool:
        if self.is_at(text):
            self.take()
            return True
        return False

    def need(self, text: str) -> None:
        if not self.took(text):
            self.fail(f'expected "{text}"')

    def ends(self) -> None:
        if self.here.kind != "end":
            self.fail(f"expected nothing more, not {self.here.text!a}")

    # Expressions, from what binds least

    def expression(self, level: int = 0) -> Expression:
        self.depth += 1
        if self.depth > DEEPEST * len(_LEVELS):
            self.fail(f"more than {DEEPEST} expressions in one another")
        if level == len(_LEVELS):
            found = self.unary()
        else:
            found = self.expression(level + 1)
            while self.is_operator(_LEVELS[level]):
                operator = self.take().text
                found = Operation(operator, found, self.expression(level + 1))
        self.depth -= 1
        return found

    def is_operator(self, operators: tuple[str, ...]) -> bool:
        token = self.here
        return token.text in operators and token.kind == ("name" if token.text in _WORDS else "operator")

    def unary(self) -> Expression:
        if self.took("-"):
            return Operation("-", None, self.expression(len(_LEVELS)))
        found = self.path()
        while self.took("|"):
            other = self.path()
            if not (selects_nodes(found) and selects_nodes(other)):
                self.fail("only nodes can be put together with |")
            found = Operation("|", found, other)
        return found

    # Paths

    def path(self) -> Expression:
        if self.is_primary():
            return self.filtered()
        if self.is_at("/") or self.is_at("//"):
            return Path("document", self.steps(is_rooted=True))
        return Path("here", self.steps(is_rooted=False))

    def is_primary(self) -> bool:
        token = self.here
        if token.kind in ("number", "text") or self.is_at("("):
            return True
        return token.kind == "name" and self.is_at("(", 1) and token.text not in NODE_TESTS

    def filtered(self) -> Expression:
        base = self.primary()
        predicates = self.predicates()
        if not predicates and not self.is_at("/") and not self.is_at("//"):
            return base
        if not selects_nodes(base):
            self.fail("nothing can be taken out of a value that is no nodes")
        start = Filtered(base, predicates)
        steps = self.steps(is_rooted=True) if self.is_at("/") or self.is_at("//") else ()
        return Path(start, steps) if steps else start

    def primary(self) -> Expression:
        token = self.take()
        match token.kind:
            case "number":
                return Number(float(token.text))
            case "text":
                return Text(token.text[1:-1])
            case "name":
                return self.call(token)
            case _:
                inner = self.expression()
                self.need(")")
                return inner

    def call(self, name: _Token) -> Expression:
        if name.text not in FUNCTIONS:
            self.fail(f"there is no function {name.text}", name.at)
        self.need("(")
        arguments: list[Expression] = []
        while not self.is_at(")"):
            if arguments:
                self.need(",")
            arguments.append(self.expression())
        self.take()
        least, most = FUNCTIONS[name.text]
        if not least <= len(arguments) <= most:
            count = str(least) if least == most else f"{least} to {most}"
            self.fail(f"{name.text} takes {count} arguments, not {len(arguments)}", name.at)
        takes_nodes = name.text in ("count", "sum") or (name.text in ("name", "local-name") and arguments)
        if takes_nodes and not selects_nodes(arguments[0]):
            self.fail(f"{name.text} takes nodes", name.at)
        return Call(name.text, tuple(arguments))

    def steps(self, is_rooted: bool) -> tuple[Step, ...]:
        found: list[Step] = []
        if not is_rooted:
            found.append(self.step())
        while self.is_at("/") or self.is_at("//"):
            is_deep = self.take().text == "//"
            if is_deep:
                found.append(Step("descendant-or-self", "node()"))
            elif not self.begins_step():
                break  # the document itself, or a slash at the end
            found.append(self.step())
        return tuple(found)

    def begins_step(self) -> bool:
        return self.here.kind in ("name", "axis") or any(map(self.is_at, ("*", "@", ".", "..")))

    def step(self) -> Step:
        if self.took("."):
            return Step("self", "node()", self.predicates())
        if self.took(".."):
            return Step("parent", "node()", self.predicates())
        axis: Axis = "child"
        if self.took("@"):
            axis = "attribute"
        elif self.here.kind == "axis":
            token = self.take()
            if token.text not in AXES:
                self.fail(f"there is no axis {token.text}", token.at)
            axis = cast(Axis, token.text)
            self.need("::")
        return Step(axis, self.node_test(), self.predicates())

    def node_test(self) -> str:
        if self.took("*"):
            return "*"
        if self.here.kind != "name":
            self.fail("expected the name of an element or an attribute, * or a test such as text()")
        name = self.take().text
        if name in NODE_TESTS and self.took("("):
            self.need(")")
            return f"{name}()"
        return name

    def predicates(self) -> tuple[Expression, ...]:
        found: list[Expression] = []
        while self.took("["):
            found.append(self.expression())
            self.need("]")
        return tuple(found)
