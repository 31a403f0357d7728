"""``airis validate``: is a configuration right, without starting it."""

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from airis.service.commands.options import ConfigOption, SetOption, sources

if TYPE_CHECKING:
    from airis.config import Sources
    from airis.config.report import Report


class ReportFormat(StrEnum):
    """How the mistakes are written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


def validate(
    config: ConfigOption = None,
    sets: SetOption = None,
    form: Annotated[
        ReportFormat,
        typer.Option("--format", help="Text on stderr; JSON, or SARIF for code scanning, on stdout."),
    ] = ReportFormat.TEXT,
    strict: Annotated[bool, typer.Option("--strict", help="Fail with 1 on warnings, too.")] = False,
) -> None:
    """Check a configuration and start nothing.

    Exit codes: 0 it is right, 1 it cannot be read, 2 it is wrong.
    """
    from airis.config.report import wants_colour

    report = _examined(sources(config, sets))
    if form is ReportFormat.TEXT:
        typer.echo(report.text(colour=wants_colour(sys.stderr)), err=True, nl=False)
    else:
        typer.echo(report.json() if form is ReportFormat.JSON else report.sarif())
    if report.errors:
        raise typer.Exit(1 if report.is_unread else 2)
    if strict and report.warnings:
        raise typer.Exit(1)


def _examined(sources: "Sources") -> "Report":
    """What is wrong with the configuration, or with how its components fit together."""
    from airis.component import StartError
    from airis.component.telemetry import Metrics
    from airis.config import ConfigError, Problem, load_configuration
    from airis.config.report import Report
    from airis.service.graph import Graph

    try:
        configuration = load_configuration(sources)
    except ConfigError as error:
        return Report.of(error)
    try:
        Graph(configuration, Metrics())
    except StartError as error:
        path = tuple(filter(None, (*error.component.split("::"), *error.option.split("::"))))
        problem = Problem(configuration.mark_at(*path), path, error.reason, "cannot-start")
        return Report([problem], configuration.warnings, configuration.texts)
    return Report.of(configuration)
