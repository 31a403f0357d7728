"""Options by which several reading commands choose what to show."""

from collections.abc import Sequence
from typing import Annotated

import typer

ServiceOption = Annotated[str, typer.Option("--service", metavar="NAME", help="Only of this service.")]
AttributeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--attr", metavar="KEY=VALUE", help="Only with this attribute, its own or its resource's; repeatable."
    ),
]


def pairs(given: Sequence[str] | None, option: str) -> dict[str, str]:
    """The keys and values of ``key=value`` options; one without a ``=`` ends the command with a word about it."""
    found: dict[str, str] = {}
    for text in given or ():
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f'"{text}" is no pair; write key=value', param_hint=option)
        found[key] = value
    return found


def described(conditions: Sequence[tuple[str, object]]) -> str:
    """The conditions that were given, for a sentence: `` with --service shop --status error``."""
    given = [f"{option} {value}" for option, value in conditions if value]
    return f" with {' '.join(given)}" if given else ""
