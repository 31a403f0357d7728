"""How ``--help`` looks: whole names and sentences at any width, under headings, in the order of their use."""

import re
from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup

SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
"""The ``context_settings`` of an app. It has ``rich_markup_mode=None``, too: boxes cut off names in 80 columns."""

_COMPLETION = ("install_completion", "show_completion")


class Command(TyperCommand):
    """A command whose options stand under the headings that they name as their ``rich_help_panel``."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections, ``--help`` last."""
        _write_sections(
            ((_heading(param), record) for param in self.get_params(ctx) if (record := _record(param, ctx))), formatter
        )


class Commands(TyperGroup):
    """Commands with their whole first sentence, under the headings that they name as their ``rich_help_panel``."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options but those for completion in a shell, which work all the same, and the commands."""
        shown: list[Any] = [param for param in self.get_params(ctx) if param.name not in _COMPLETION]
        _write_sections(((_heading(param), record) for param in shown if (record := _record(param, ctx))), formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the sections."""
        commands: list[tuple[str, Any]] = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        _write_sections(
            (
                (command.rich_help_panel or "Commands", (name, _first_sentence(command.help or "")))
                for name, command in commands
                if not command.hidden
            ),
            formatter,
        )


def _write_sections(records: Iterable[tuple[str, tuple[str, str]]], formatter: Any) -> None:
    sections: dict[str, list[tuple[str, str]]] = {}
    for heading, record in records:
        sections.setdefault(heading, []).append(record)
    for heading, section in sections.items():
        with formatter.section(heading):
            formatter.write_dl(section)


def _heading(param: Any) -> str:
    if param.param_type_name == "argument":
        return "Arguments"
    panel = getattr(param, "rich_help_panel", None)
    return panel if isinstance(panel, str) else "Options"


def _record(param: Any, ctx: Any) -> tuple[str, str] | None:
    """Names and sentence of a parameter. A switch that is off by default has no need of its opposite."""
    record = param.get_help_record(ctx)
    if record is None:
        return None
    names, sentence = record
    sentence = re.sub(r"default: \(([^\]]*)\)", r"default: \1", sentence)
    if getattr(param, "is_flag", False) and not param.default:
        names = re.sub(r" / --no-[\w-]+", "", names)
        sentence = re.sub(r"\s*\[default: no-[\w-]+\]", "", sentence)
    return names.replace(" range>", ">"), sentence


def _first_sentence(text: str) -> str:
    paragraph = " ".join(text.split("\n\n")[0].split())
    sentence, stop, _ = paragraph.partition(". ")
    return sentence + stop.rstrip()
