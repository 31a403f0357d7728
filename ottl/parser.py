"""From the text of a statement or a condition to its tree."""

import re
from typing import NoReturn, cast

from airis.ottl.syntax import (
    And,
    Argument,
    Call,
    Compare,
    Comparison,
    Condition,
    Expression,
    Lambda,
    ListOf,
    Literal,
    MapOf,
    Math,
    Negative,
    Not,
    Or,
    OttlError,
    Path,
    Segment,
    Statement,
    Symbol,
    Token,
    tokens,
    unquoted,
)

DEEPEST = 100
"""Parentheses, calls, lists and the like in one another."""

UNUSED = "_"
"""The name of parameters of a lambda that it does not use."""

_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_WORDS = {"true": True, "false": False, "nil": None}
_RESERVED = {"and", "or", "not", "where", *_WORDS}
_FIELD = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_ENUM = re.compile(r"[A-Z][A-Z0-9_]*", re.ASCII)
_CONDITIONS = (Compare, Not, And, Or)


def parse_statement(text: str) -> Statement:
    """The tree of ``editor(…) [where condition]``; raises OttlError."""
    parser = _Parser(text)
    statement = parser.statement()
    parser.ends()
    return statement


def parse_condition(text: str) -> Expression:
    """The tree of a condition; raises OttlError."""
    parser = _Parser(text)
    condition = parser.condition()
    parser.ends()
    return condition


def parse_value(text: str) -> Expression:
    """The tree of a value, such as a path; raises OttlError."""
    parser = _Parser(text)
    value = parser.value()
    parser.ends()
    return value


class _Parser:
    """Goes through the tokens once, and knows what would have been right where it stops."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(tokens(text))
        self.next = 0
        self.depth = 0

    # Tokens

    @property
    def here(self) -> Token:
        return self.tokens[self.next]

    def is_at(self, text: str, ahead: int = 0) -> bool:
        token = self.tokens[min(self.next + ahead, len(self.tokens) - 1)]
        return token.text == text and token.kind in ("operator", "name")

    def take(self) -> Token:
        token = self.here
        self.next = min(self.next + 1, len(self.tokens) - 1)
        return token

    def took(self, text: str) -> bool:
        if self.is_at(text):
            self.take()
            return True
        return False

    def need(self, text: str, after: str) -> Token:
        if not self.is_at(text):
            self.fail(f'expected "{text}" {after}, not {self.here}')
        return self.take()

    def fail(self, reason: str, token: Token | None = None) -> NoReturn:
        token = token or self.here
        raise OttlError(reason, self.text, token.at, token.end)

    def ends(self) -> None:
        if self.here.kind != "end":
            what = "nothing more"
            if self.is_at("=") or self.is_at(":"):
                what = '"==" for a comparison'
            self.fail(f"expected {what}, not {self.here}")

    # Statements and conditions

    def statement(self) -> Statement:
        start = self.here
        if start.kind != "name":
            self.fail(f"expected an editor such as set(…), not {start}")
        if not start.text[0].islower():
            self.fail(f"a statement begins with an editor, in lower-case letters, not with {start}")
        if not self.is_at("(", 1):
            self.fail(f'expected "(" after the editor {start.text}', self.tokens[self.next + 1])
        editor = self.call()
        if editor.keys:
            key = editor.keys[0]
            raise OttlError("nothing can be taken out of an editor", self.text, key.at, key.end)
        where = self.condition() if self.took("where") else None
        return Statement(self.text, editor, where)

    def condition(self) -> Expression:
        found = self.expression()
        if isinstance(found, Literal) and isinstance(found.value, bool):
            return found
        if self.is_at("="):
            self.fail('a comparison is written "=="')
        if not isinstance(found, (*_CONDITIONS, Call)):
            raise OttlError(
                'expected a condition: a comparison such as a == "b", or a converter such as IsMatch(…)',
                self.text,
                found.at,
                found.end,
            )
        return found

    def value(self) -> Expression:
        found = self.expression()
        return self.as_value(found)

    def as_value(self, found: Expression) -> Expression:
        if isinstance(found, _CONDITIONS):
            raise OttlError("a condition cannot be used as a value", self.text, found.at, found.end)
        return found

    def as_condition(self, found: Expression) -> Expression:
        is_bool = isinstance(found, Literal) and isinstance(found.value, bool)
        if not is_bool and not isinstance(found, (*_CONDITIONS, Call)):
            raise OttlError(
                "expected a comparison, a converter, true or false on both sides of and, or and not",
                self.text,
                found.at,
                found.end,
            )
        return found

    # Expressions, from what binds least

    def expression(self) -> Expression:
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(f"more than {DEEPEST} expressions in one another")
        found = self.alternatives()
        self.depth -= 1
        return found

    def alternatives(self) -> Expression:
        left = self.conjunction()
        while self.took("or"):
            right = self.as_condition(self.conjunction())
            left = Or(left.at, right.end, self.as_condition(left), right)
        return left

    def conjunction(self) -> Expression:
        left = self.negation()
        while self.took("and"):
            right = self.as_condition(self.negation())
            left = And(left.at, right.end, self.as_condition(left), right)
        return left

    def negation(self) -> Expression:
        if not self.is_at("not"):
            return self.comparison()
        word = self.take()
        operand = self.as_condition(self.comparison())
        return Not(word.at, operand.end, operand)

    def comparison(self) -> Expression:
        left = self.sum()
        if self.here.text not in _COMPARISONS or self.here.kind != "operator":
            return left
        operator = cast(Comparison, self.take().text)
        right = self.as_value(self.sum())
        if self.here.kind == "operator" and self.here.text in _COMPARISONS:
            self.fail("comparisons cannot be strung together; put and between them")
        return Compare(left.at, right.end, operator, self.as_value(left), right)

    def sum(self) -> Expression:
        left = self.product()
        while self.is_at("+") or self.is_at("-"):
            operator = self.take().text
            right = self.as_value(self.product())
            left = Math(left.at, right.end, "+" if operator == "+" else "-", self.as_value(left), right)
        return left

    def product(self) -> Expression:
        left = self.signed()
        while self.is_at("*") or self.is_at("/"):
            operator = self.take().text
            right = self.as_value(self.signed())
            left = Math(left.at, right.end, "*" if operator == "*" else "/", self.as_value(left), right)
        return left

    def signed(self) -> Expression:
        if not (self.is_at("-") or self.is_at("+")):
            return self.primary()
        sign = self.take()
        if self.is_at("-") or self.is_at("+"):
            self.fail(f"expected a number or a path after {sign}, not {self.here}")
        operand = self.as_value(self.primary())
        if (
            isinstance(operand, Literal)
            and isinstance(operand.value, int | float)
            and not isinstance(operand.value, bool)
        ):
            value = operand.value if sign.text == "+" else -operand.value
            return self.in_range(Literal(sign.at, operand.end, value))
        return operand if sign.text == "+" else Negative(sign.at, operand.end, operand)

    def in_range(self, number: Literal) -> Literal:
        if isinstance(number.value, int) and not -(1 << 63) <= number.value <= 1 << 63:
            raise OttlError("a whole number has at most 64 bits", self.text, number.at, number.end)
        return number

    def primary(self) -> Expression:
        token = self.here
        match token.kind:
            case "string":
                self.take()
                return Literal(token.at, token.end, unquoted(token, self.text))
            case "int":
                self.take()
                return self.in_range(Literal(token.at, token.end, int(token.text)))
            case "float":
                self.take()
                return Literal(token.at, token.end, float(token.text))
            case "bytes":
                self.take()
                if len(token.text) % 2:
                    self.fail("bytes have two digits each", token)
                return Literal(token.at, token.end, bytes.fromhex(token.text[2:]))
            case "name":
                return self.name()
            case _:
                return self.bracketed()

    def bracketed(self) -> Expression:
        if self.is_at("("):
            self.take()
            inner = self.expression()
            self.need(")", "to close the parenthesis")
            return inner
        if self.is_at("["):
            return self.list_of()
        if self.is_at("{"):
            return self.map_of()
        self.fail(f"expected a value, not {self.here}")

    def name(self) -> Expression:
        token = self.here
        if token.text in _WORDS:
            self.take()
            return Literal(token.at, token.end, _WORDS[token.text])
        if token.text in _RESERVED:
            self.fail(f"expected a value, not {token}")
        if self.is_at("(", 1):
            if token.text[0].islower():
                self.fail(
                    f"{token.text} would be an editor; what gives a value is a converter, with a capital first letter"
                )
            return self.call()
        if token.text[0].isupper():
            self.take()
            return Symbol(token.at, token.end, token.text)
        return self.path()

    def path(self) -> Path:
        start = self.here
        segments: list[Segment] = []
        end = start.end
        while True:
            token = self.take()
            if token.kind != "name" or not _FIELD.fullmatch(token.text):
                self.fail(f"expected a field's name, in lower-case letters, not {token}", token)
            keys, end = self.keys(token.end)
            segments.append(Segment(token.text, keys))
            if not self.took("."):
                return Path(start.at, end, tuple(segments))

    def keys(self, end: int) -> tuple[tuple[Expression, ...], int]:
        found: list[Expression] = []
        while self.is_at("["):
            self.take()
            if self.is_at("]"):
                self.fail('expected a key such as "name" or 0')
            found.append(self.value())
            end = self.need("]", "after the key").end
        return tuple(found), end

    def call(self) -> Call:
        name = self.take()
        self.need("(", f"after {name.text}")
        arguments: list[Argument] = []
        while not self.is_at(")"):
            if arguments:
                self.need(",", f'or ")" after an argument of {name.text}')
            arguments.append(self.argument(arguments[-1].name if arguments else None))
        end = self.take().end
        keys, end = self.keys(end)
        return Call(name.at, end, name.text, tuple(arguments), keys)

    def argument(self, before: str | None) -> Argument:
        start = self.here
        name = None
        if start.kind == "name" and self.is_at("=", 1):
            name = self.take().text
            self.take()
        elif before is not None:
            self.fail(f"an argument without a name cannot follow {before}=, which has one")
        value: Expression | Lambda = self.function() if self.is_lambda() else self.value()
        return Argument(start.at, value.end, name, value)

    def is_lambda(self) -> bool:
        """Whether ``(a, b) =>`` comes."""
        if not self.is_at("("):
            return False
        ahead = 1
        while not self.is_at(")", ahead):
            token = self.tokens[min(self.next + ahead, len(self.tokens) - 1)]
            if token.kind != "name" and token.text != ",":
                return False
            ahead += 1
        return self.is_at("=>", ahead + 1)

    def function(self) -> Lambda:
        start = self.need("(", "before the parameters")
        names: list[str] = []
        while not self.is_at(")"):
            if names:
                self.need(",", "between parameters")
            token = self.take()
            is_name = _FIELD.fullmatch(token.text) and token.text not in (*_RESERVED, *names)
            if not is_name and token.text != UNUSED:
                self.fail(f"expected the name of a parameter, not {token}", token)
            names.append(token.text)
        self.need(")", "after the parameters")
        self.need("=>", "after the parameters")
        body = self.expression()
        return Lambda(start.at, body.end, tuple(names), body)

    def list_of(self) -> ListOf:
        start = self.take()
        items: list[Expression] = []
        while not self.is_at("]"):
            if items:
                self.need(",", 'or "]" in a list')
            items.append(self.value())
        return ListOf(start.at, self.take().end, tuple(items))

    def map_of(self) -> MapOf:
        start = self.take()
        items: list[tuple[str, Expression]] = []
        while not self.is_at("}"):
            if items:
                self.need(",", 'or "}" in a map')
                if self.is_at("}"):  # which the Collector takes
                    break
            key = self.take()
            if key.kind != "string":
                self.fail(f'expected a key such as "name", not {key}', key)
            self.need(":", "after the key")
            items.append((unquoted(key, self.text), self.value()))
        return MapOf(start.at, self.take().end, tuple(items))


def is_enumerator(name: str) -> bool:
    """Whether a symbol can be an enumerator: one that has only capital letters, digits and underscores."""
    return _ENUM.fullmatch(name) is not None


__all__ = ["Condition", "is_enumerator", "parse_condition", "parse_statement", "parse_value"]
