"""Functions by name: editors and converters, as they are declared."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from airis.ottl.values import Value

Editor = Callable[[Any], None]
"""Changes the item it is called with."""
Converter = Callable[[Any], Value]
"""Gives a value for the item it is called with."""

F = TypeVar("F", bound=Callable[..., Editor] | Callable[..., Converter])


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a function takes."""

    name: str
    type: Any
    """A constant's type, or an annotated one of `airis.ottl.arguments`, or a `list` or an optional one of these."""
    is_optional: bool


@dataclass(frozen=True, slots=True)
class Declared:
    """A function that statements can call."""

    name: str
    parameters: tuple[Parameter, ...]
    make: Callable[..., Callable[[Any], Any]]
    """Of its arguments, once, what is called for every item."""
    contexts: frozenset[str] | None
    """Where it can be called; None: everywhere."""

    @property
    def is_editor(self) -> bool:
        """Whether it changes something, rather than give a value."""
        return self.name[0].islower()

    def signature(self) -> str:
        """How it is called."""
        words = [f"{p.name}?" if p.is_optional else p.name for p in self.parameters]
        return f"{self.name}({', '.join(words)})"


class Functions(Mapping[str, Declared]):
    """Functions by name."""

    def __init__(self, declared: Iterable[Declared] = ()) -> None:
        self._declared = {function.name: function for function in declared}

    def __getitem__(self, name: str) -> Declared:
        return self._declared[name]

    def __iter__(self) -> Any:
        return iter(self._declared)

    def __len__(self) -> int:
        return len(self._declared)

    def declare(self, name: str, contexts: Iterable[str] | None = None) -> Callable[[F], F]:
        """Declare a factory under a name; its parameters are those of the function, in order.

        A parameter with a default can be left out. See `airis.ottl.arguments` for the types.
        """

        def declare(make: F) -> F:
            parameters = tuple(
                Parameter(p.name, p.annotation, p.default is not inspect.Parameter.empty)
                for p in inspect.signature(make).parameters.values()
            )
            where = None if contexts is None else frozenset(contexts)
            self._declared[name] = Declared(name, parameters, make, where)
            return make

        return declare

    def and_also(self, others: "Functions") -> "Functions":
        """These and others."""
        return Functions([*self._declared.values(), *others.values()])
