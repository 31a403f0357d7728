"""The ``airis`` command. Modules that take long to import are imported by the command that needs them."""

import os
from collections.abc import Callable
from typing import Annotated

import typer

from airis.service.commands import demo, dlq, generate, ottl, wal
from airis.service.commands.components import components
from airis.service.commands.docs import docs
from airis.service.commands.explain import explain
from airis.service.commands.graph import graph
from airis.service.commands.init import init
from airis.service.commands.logs import logs
from airis.service.commands.look import SETTINGS, Command, Commands
from airis.service.commands.metrics import metrics
from airis.service.commands.options import ConfigOption, DataDirOption, SetOption, sources
from airis.service.commands.print_config import print_config
from airis.service.commands.reload import reload
from airis.service.commands.run import run_service
from airis.service.commands.schema import schema
from airis.service.commands.services import services
from airis.service.commands.sql import sql
from airis.service.commands.status import status
from airis.service.commands.store import store
from airis.service.commands.tap import tap
from airis.service.commands.top import top
from airis.service.commands.trace import trace
from airis.service.commands.traces import traces
from airis.service.commands.validate import validate
from airis.service.commands.version import version

app = typer.Typer(
    name="airis",
    cls=Commands,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=SETTINGS,
)

RUN, CONFIGURE, READ, TRY = "Run it", "Configure it", "Read what is stored", "Try it out"


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback(invoke_without_command=True)
def airis(
    context: typer.Context,
    config: ConfigOption = None,
    sets: SetOption = None,
    data_dir: DataDirOption = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Receive, process, store, query: an observability backend in one process.

    Without a command airis runs, as with "airis run".
    """
    if context.invoked_subcommand is None:
        run_service(sources(config, sets), data_dir)
    # Given before the command they are for the command, which reads them where it reads the environment.
    if config:
        os.environ["AIRIS_CONFIG"] = "\n".join(config)
    if sets:
        os.environ["AIRIS_SET"] = "\n".join(sets)
    if data_dir is not None:
        os.environ["AIRIS_DATA_DIR"] = str(data_dir)


@app.command(cls=Command, rich_help_panel=RUN)
def run(
    config: ConfigOption = None,
    sets: SetOption = None,
    data_dir: DataDirOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Reload when a file of the configuration changes.")] = False,
    welcome: Annotated[bool, typer.Option(hidden=True, help="Say on a terminal what to do next.")] = True,
) -> None:
    """Run airis until Ctrl-C."""
    run_service(sources(config, sets), data_dir, watch=watch, welcome=welcome)


runs: tuple[Callable[..., None], ...] = (reload, status, top, tap, version)
configures: tuple[Callable[..., None], ...] = (init, validate, print_config, graph, components, explain, schema)
reads: tuple[Callable[..., None], ...] = (services, traces, trace, logs, metrics)
for command in runs:
    app.command(cls=Command, rich_help_panel=RUN)(command)
for command in configures:
    app.command(cls=Command, rich_help_panel=CONFIGURE)(command)
for command in reads:
    app.command(cls=Command, rich_help_panel=READ)(command)
app.add_typer(ottl.app, name="ottl", rich_help_panel=CONFIGURE)
# A statement may begin with a comment, which looks like an option.
app.command(cls=Command, rich_help_panel=READ, context_settings={"ignore_unknown_options": True})(sql)
app.add_typer(wal.app, name="wal", rich_help_panel=RUN)
app.add_typer(dlq.app, name="dlq", rich_help_panel=RUN)
app.command(cls=Command, rich_help_panel=TRY)(demo.demo)
app.add_typer(generate.app, name="generate", rich_help_panel=TRY)
app.command(hidden=True)(docs)
app.command(hidden=True)(store)


def main() -> None:
    """Entry point of the ``airis`` script."""
    app()
