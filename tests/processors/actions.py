"""The attributes processor from the actions that it is to do."""

from typing import Any

from airis.component import Kind
from airis.component.testing import Sink, build
from airis.processors.attributes import AttributesProcessor


def action(key: str, name: str, **more: Any) -> dict[str, Any]:
    """One action, as in YAML."""
    return {"key": key, "action": name, **more}


def processor(actions: list[dict[str, Any]], sink: Sink, **options: Any) -> AttributesProcessor:
    """The processor with these actions and other options, before a sink."""
    made = build("attributes", {"actions": actions, **options}, sink, kind=Kind.PROCESSOR)
    assert isinstance(made, AttributesProcessor)
    return made
