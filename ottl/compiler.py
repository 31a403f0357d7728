"""From the tree of a statement to what is called for every item."""

import difflib
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn, Protocol, Union, cast, get_args, get_origin

from airis.ottl.arguments import CONSTANTS, ENUM, FUNCTION, PLACE, Constant, Kind, LambdaKind, Place, checked
from airis.ottl.parser import is_enumerator, parse_condition, parse_statement, parse_value
from airis.ottl.registry import Declared, Functions, Parameter
from airis.ottl.syntax import (
    And,
    Argument,
    Call,
    Compare,
    Expression,
    Lambda,
    ListOf,
    Literal,
    MapOf,
    Math,
    Negative,
    Node,
    Not,
    Or,
    OttlError,
    Path,
    Statement,
    Symbol,
)
from airis.ottl.values import EvaluationError, Value, comparison, negated, reckon, taken, type_name

Getter = Callable[[Any], Value]
Test = Callable[[Any], bool]


class Context(Protocol):
    """What paths and enumerators mean for one kind of item; see `airis.ottl.contexts`."""

    @property
    def name(self) -> str:
        """``span``, ``log`` and so on."""
        ...

    @property
    def enumerators(self) -> Mapping[str, int]:
        """The numbers of symbols."""
        ...

    def place(self, names: Sequence[str], keys: Sequence[Sequence[Getter]]) -> Place:
        """The place of a path, by its names and the keys behind each; raises LookupError that says what there is."""
        ...


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement that can be carried out."""

    text: str
    edit: Callable[[Any], Any]
    applies: Test | None

    def __call__(self, here: Any) -> bool:
        """Carry it out where its condition holds, and say whether that was so; raises EvaluationError."""
        if self.applies is not None and not self.applies(here):
            return False
        self.edit(here)
        return True


class Compiler:
    """Compiles for one context, with the functions that there are."""

    def __init__(self, context: Context, functions: Functions) -> None:
        self.context = context
        self.functions = functions

    def statement(self, text: str) -> Compiled:
        """Compile; raises OttlError."""
        return self.compiled(parse_statement(text))

    def compiled(self, statement: Statement) -> Compiled:
        """Compile a tree; raises OttlError."""
        work = _Compilation(self, statement.text)
        edit = work.call(statement.editor)
        return Compiled(statement.text, edit, None if statement.where is None else work.test(statement.where))

    def condition(self, text: str) -> Test:
        """Compile a condition; raises OttlError."""
        return _Compilation(self, text).test(parse_condition(text))

    def value(self, text: str) -> Getter:
        """Compile a value; raises OttlError."""
        return _Compilation(self, text).getter(parse_value(text))


class _Compilation:
    """Of one text."""

    def __init__(
        self, compiler: Compiler, text: str, parameters: Mapping[str, int] | None = None, depth: int = 0
    ) -> None:
        self.context = compiler.context
        self.functions = compiler.functions
        self.compiler = compiler
        self.text = text
        self.parameters = parameters or {}
        """Of lambdas around, and the place of each among their arguments."""
        self.depth = depth
        """How many arguments these have, those without a name included."""

    def fail(self, reason: str, node: Node) -> NoReturn:
        raise OttlError(reason, self.text, node.at, node.end)

    # Conditions

    def test(self, node: Expression) -> Test:
        match node:
            case Or():
                left, right = self.test(node.left), self.test(node.right)
                return lambda here: left(here) or right(here)
            case And():
                left, right = self.test(node.left), self.test(node.right)
                return lambda here: left(here) and right(here)
            case Not():
                inner = self.test(node.operand)
                return lambda here: not inner(here)
            case Compare():
                return self.compare(node)
            case Literal(value=bool()):
                value = cast(bool, node.value)
                return lambda here: value
            case Call():
                return self.truth(node)
            case _:
                self.fail("expected a condition", node)

    def compare(self, node: Compare) -> Test:
        left, right = self.getter(node.left), self.getter(node.right)
        holds = comparison(node.operator)
        if isinstance(node.right, Literal):
            constant = node.right.value
            return lambda here: holds(left(here), constant)
        return lambda here: holds(left(here), right(here))

    def truth(self, node: Call) -> Test:
        get = self.getter(node)
        name = node.function

        def test(here: Any) -> bool:
            value = get(here)
            if not isinstance(value, bool):
                raise EvaluationError(f"{name} gives {type_name(value)}, which is no condition")
            return value

        return test

    # Values

    def getter(self, node: Expression) -> Getter:
        match node:
            case Literal():
                value = node.value
                return lambda here: value
            case Path():
                return self.path(node)
            case Symbol():
                number = self.enumerator(node)
                return lambda here: number
            case Call():
                return self.converter(node)
            case ListOf():
                items = [self.getter(item) for item in node.items]
                return lambda here: [item(here) for item in items]
            case MapOf():
                pairs = [(key, self.getter(value)) for key, value in node.items]
                return lambda here: {key: value(here) for key, value in pairs}
            case Math():
                left, right, operator = self.getter(node.left), self.getter(node.right), node.operator
                return lambda here: reckon(operator, left(here), right(here))
            case Negative():
                operand = self.getter(node.operand)
                return lambda here: negated(operand(here))
            case _:
                return self.test(node)

    def path(self, node: Path) -> Getter:
        first = node.segments[0]
        if len(node.segments) == 1 and first.name in self.parameters:
            index = self.parameters[first.name]
            keys = [self.getter(key) for key in first.keys]
            return lambda here: _walked(here.arguments[index], keys, here)
        return self.place(node).get

    def place(self, node: Path) -> Place:
        names = [segment.name for segment in node.segments]
        keys = [[self.getter(key) for key in segment.keys] for segment in node.segments]
        try:
            return self.context.place(names, keys)
        except LookupError as error:
            self.fail(str(error.args[0]), node)

    def enumerator(self, node: Symbol) -> int:
        number = self.context.enumerators.get(node.name)
        if number is None:
            kind = "enumerator" if is_enumerator(node.name) else "enumerator (a converter is written with parentheses)"
            self.fail(f"{node.name} is no {kind}{_meant(node.name, self.context.enumerators)}", node)
        return number

    def converter(self, node: Call) -> Getter:
        get = self.call(node)
        if not node.keys:
            return get
        keys = [self.getter(key) for key in node.keys]
        return lambda here: _walked(get(here), keys, here)

    # Functions

    def call(self, node: Call) -> Callable[[Any], Any]:
        declared = self.function(node.function, node)
        given = self.arguments(declared, node)
        try:
            return declared.make(**given)
        except ValueError as error:  # an argument that no item could make right, such as a pattern
            self.fail(f"{declared.name}: {error}", node)

    def function(self, name: str, node: Node) -> Declared:
        declared = self.functions.get(name)
        if declared is None:
            what = "converter" if name[0].isupper() else "editor"
            known = [other for other in self.functions if other[0].isupper() == name[0].isupper()]
            self.fail(f"there is no {what} {name}{_meant(name, known)}", node)
        if declared.contexts is not None and self.context.name not in declared.contexts:
            where = ", ".join(sorted(declared.contexts))
            self.fail(f"{name} works in the context {where}, not in {self.context.name}", node)
        return declared

    def arguments(self, declared: Declared, node: Call) -> dict[str, Any]:
        parameters = {parameter.name: parameter for parameter in declared.parameters}
        given: dict[str, Any] = {}
        for index, argument in enumerate(node.arguments):
            if argument.name is None:
                if index >= len(declared.parameters):
                    count = len(declared.parameters)
                    self.fail(f"{declared.signature()} takes {count} argument{'s' * (count != 1)}", argument)
                parameter = declared.parameters[index]
            elif known := parameters.get(argument.name) or parameters.get(snake_case(argument.name)):
                parameter = known
            else:
                words = _meant(argument.name, parameters)
                self.fail(f"{declared.signature()} has no argument {argument.name}{words}", argument)
            if parameter.name in given:
                self.fail(f"{parameter.name} of {declared.signature()} is given twice", argument)
            given[parameter.name] = self.argument(declared, parameter, argument)
        missing = [p.name for p in declared.parameters if not p.is_optional and p.name not in given]
        if missing:
            self.fail(f"{declared.signature()} needs {', '.join(missing)}", node)
        return given

    def argument(self, declared: Declared, parameter: Parameter, argument: Argument) -> Any:
        what = f"{parameter.name} of {declared.name}"
        return self.as_wanted(_without_none(parameter.type), argument.value, what)

    def as_wanted(self, wanted: Any, node: Expression | Lambda, what: str) -> Any:
        origin = get_origin(wanted)
        if origin is list:
            if not isinstance(node, ListOf):
                self.fail(f"{what} is a list, such as [a, b]", node)
            (inner,) = get_args(wanted)
            return [self.as_wanted(inner, item, f"an item of {what}") for item in node.items]
        if origin is not Annotated:
            return self.constant(wanted, node, what)
        kind = cast(Kind, wanted.__metadata__[0])
        if kind is FUNCTION:
            return self.handed_on(node, what)
        if isinstance(kind, LambdaKind):
            if not isinstance(node, Lambda) or len(node.parameters) != kind.count:
                self.fail(f"{what} is {kind.name}", node)
            return self.lambda_(node)
        if isinstance(node, Lambda):
            self.fail(f"{what} is {kind.name}, not a function", node)
        if kind is PLACE:
            if not isinstance(node, Path):
                self.fail(f"{what} is a path, such as attributes", node)
            return self.place(node)
        if kind is ENUM:
            if isinstance(node, Literal) and type(node.value) is int:
                return node.value
            if not isinstance(node, Symbol):
                self.fail(f"{what} is an enumerator", node)
            return self.enumerator(node)
        return self.of_kind(kind, node, what)

    def of_kind(self, kind: Kind, node: Expression, what: str) -> Callable[[Any], Any]:
        get = checked(self.getter(node), kind)
        if is_written_out(node) and kind.check is not None:
            try:
                return Constant(get(None), None if isinstance(node, Literal) else get)
            except EvaluationError as error:
                self.fail(f"{what}: {error}", node)
        return get

    def constant(self, wanted: type, node: Expression | Lambda, what: str) -> Any:
        value = node.value if isinstance(node, Literal) else None
        if wanted is float and type(value) is int:
            return float(value)
        if type(value) is not wanted:
            self.fail(f"{what} is {CONSTANTS[wanted]}", node)
        return value

    def handed_on(self, node: Expression | Lambda, what: str) -> Callable[..., Value]:
        if isinstance(node, Lambda):
            return self.lambda_(node)
        if not isinstance(node, Symbol):
            self.fail(f"{what} is a function's name, such as SHA256, or a function (x) => …", node)
        declared = self.function(node.name, node)
        if not declared.parameters or any(not p.is_optional for p in declared.parameters[1:]):
            self.fail(f"{what} is called with one value, and {declared.signature()} takes others", node)
        kind = _without_none(declared.parameters[0].type)
        if get_origin(kind) is not Annotated:
            self.fail(f"{declared.signature()} cannot be handed on: it takes {CONSTANTS.get(kind, 'a list')}", node)
        get = declared.make(checked(lambda here: here.value, kind.__metadata__[0]))

        def call(_here: Any, *values: Value) -> Value:
            return cast(Value, get(_Given(values)))

        return call

    def lambda_(self, node: Lambda) -> Callable[..., Value]:
        base, count = self.depth, len(node.parameters)
        own = {name: base + index for index, name in enumerate(node.parameters)}
        body = _Compilation(self.compiler, self.text, {**self.parameters, **own}, base + count).getter(node.body)

        def call(here: Any, *values: Value) -> Value:
            if len(values) < count:
                raise EvaluationError(f"a function of {count} arguments is called with {len(values)}")
            return body(_Frame(here, values[:count]))

        return call


class _Given:
    """Stands where an item would, for a function that is handed on."""

    __slots__ = ("value",)

    def __init__(self, values: Sequence[Value]) -> None:
        self.value = values[0] if values else None


class _Frame:
    """An item with the arguments of the lambdas that are under way."""

    __slots__ = ("_here", "arguments")

    def __init__(self, here: Any, values: Sequence[Value]) -> None:
        self._here = here
        self.arguments = (*getattr(here, "arguments", ()), *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._here, name)


def is_written_out(node: Expression) -> bool:
    """Whether it is the same for every item: a literal, or a list or a map of such."""
    match node:
        case ListOf():
            return all(map(is_written_out, node.items))
        case MapOf():
            return all(is_written_out(value) for _, value in node.items)
        case _:
            return isinstance(node, Literal)


def _walked(value: Value, keys: Sequence[Getter], here: Any) -> Value:
    for key in keys:
        name = key(here)
        if (
            isinstance(value, dict) and isinstance(name, str) and name not in value
        ):  # which a path may name, and nothing else
            raise EvaluationError(f"there is no key {name!a} in the map")
        value = taken(value, name)
    return value


def _without_none(wanted: Any) -> Any:
    if get_origin(wanted) in (Union, types.UnionType):
        (wanted,) = (argument for argument in get_args(wanted) if argument is not type(None))
    return wanted


def snake_case(name: str) -> str:
    """The Collector's documentation names some arguments as Go does."""
    return re.sub("(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def _meant(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), 1, 0.7)
    return f"; did you mean {close[0]}?" if close else ""
