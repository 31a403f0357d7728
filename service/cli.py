"""The ``airis`` command. Modules that take long to import are imported by the command that needs them."""

import os

import typer

from airis.service.commands import demo, generate
from airis.service.commands.docs import docs
from airis.service.commands.logs import logs
from airis.service.commands.metrics import metrics
from airis.service.commands.options import ConfigOption, DataDirOption
from airis.service.commands.print_config import print_config
from airis.service.commands.run import run_service
from airis.service.commands.services import services
from airis.service.commands.sql import sql
from airis.service.commands.status import status
from airis.service.commands.store import store
from airis.service.commands.trace import trace
from airis.service.commands.traces import traces
from airis.service.commands.validate import validate
from airis.service.commands.version import version

app = typer.Typer(
    name="airis",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def airis(context: typer.Context, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Receive, process, store, query: an observability backend in one process.

    Without a command airis runs, as with "airis run".
    """
    if context.invoked_subcommand is None:
        run_service(config, data_dir)
    # Given before the command they are for the command, which reads them where it reads the environment.
    if config is not None:
        os.environ["AIRIS_CONFIG"] = str(config)
    if data_dir is not None:
        os.environ["AIRIS_DATA_DIR"] = str(data_dir)


@app.command()
def run(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Run airis until Ctrl-C."""
    run_service(config, data_dir)


app.command()(validate)
app.command("print-config")(print_config)
app.command()(status)
app.command()(services)
app.command()(traces)
app.command()(trace)
app.command()(logs)
app.command()(metrics)
# A statement may begin with a comment, which looks like an option.
app.command(context_settings={"ignore_unknown_options": True})(sql)
app.command()(demo.demo)
app.add_typer(generate.app, name="generate")
app.command()(version)
app.command(hidden=True)(docs)
app.command(hidden=True)(store)


def main() -> None:
    """Entry point of the ``airis`` script."""
    app()
