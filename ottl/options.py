"""How statements and conditions stand in a configuration, and what is made of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from airis.component import Config
from airis.data import Signal
from airis.ottl.compiler import Compiled, Compiler, Test
from airis.ottl.contexts import CONTEXTS
from airis.ottl.inference import inferred
from airis.ottl.parser import parse_condition, parse_statement
from airis.ottl.payload import CONTEXTS_OF
from airis.ottl.registry import Functions
from airis.ottl.syntax import Expression, OttlError, Statement

ErrorMode = Literal["ignore", "silent", "propagate"]

ERROR_MODE = (
    "What happens where a statement or a condition cannot be carried out on an item: ignore logs it and goes on, "
    "silent goes on, propagate refuses the data."
)
CONTEXT = (
    "What the paths belong to: resource, scope, span, spanevent, metric, datapoint or log. Without it every path says "
    "it, as in span.name."
)


def _can_be_parsed(text: str) -> str:
    parse_statement(text)
    return text


def _is_condition(text: str) -> str:
    parse_condition(text)
    return text


StatementText = Annotated[str, AfterValidator(_can_be_parsed)]
ConditionText = Annotated[str, AfterValidator(_is_condition)]


class ConditionsConfig(Config):
    """Conditions of one context."""

    context: str = Field(default="", description=CONTEXT)
    error_mode: ErrorMode | None = Field(default=None, description="Instead of the processor's.")
    conditions: list[ConditionText] = Field(default_factory=list[ConditionText], description="Of which one must hold.")


class StatementsConfig(ConditionsConfig):
    """Statements of one context."""

    statements: list[StatementText] = Field(
        default_factory=list[StatementText],
        description="Are carried out in this order on every item, where there are conditions on those that one of "
        "them holds for.",
    )

    @model_validator(mode="after")
    def _has_statements(self) -> Self:
        if not self.statements:
            raise ValueError("needs statements")
        return self


@dataclass(frozen=True)
class Group:
    """Compiled conditions and statements of one context."""

    context: str
    error_mode: ErrorMode
    conditions: Sequence[tuple[str, Test]]
    """With their texts."""
    statements: Sequence[Compiled] = field(default_factory=tuple[Compiled, ...])


class Unusable(ValueError):
    """Statements that cannot be used: why, for all of them."""


def compiled(config: ConditionsConfig, signal: Signal, error_mode: ErrorMode, functions: Functions) -> Group:
    """Compile a group for a signal; raises Unusable."""
    statements = config.statements if isinstance(config, StatementsConfig) else []
    trees = [parse_statement(text) for text in statements]
    tests = [parse_condition(text) for text in config.conditions]
    context = _context_of(config, [*trees, *tests], signal, functions)
    compiler = Compiler(CONTEXTS[context], functions)
    problems: list[str] = []

    def attempt(make: Any, text: str) -> Any:
        try:
            return make(text)
        except OttlError as error:
            problems.append(f"{text!a}, {error}" if len(statements) + len(tests) > 1 else str(error))

    group = Group(
        context,
        config.error_mode or error_mode,
        [(text, attempt(compiler.condition, text)) for text in config.conditions],
        [attempt(compiler.statement, text) for text in statements],
    )
    if problems:
        raise Unusable("; ".join(problems))
    return group


def _context_of(
    config: ConditionsConfig, trees: Sequence[Statement | Expression], signal: Signal, functions: Functions
) -> str:
    allowed = CONTEXTS_OF[signal]
    context = config.context or inferred(trees, allowed, functions)
    if context is None:
        raise Unusable(f"no path says what it belongs to; write context, or one of {', '.join(allowed)} before it")
    if context not in allowed:
        raise Unusable(f"{signal} have no {context}, but {', '.join(allowed)}")
    return context
