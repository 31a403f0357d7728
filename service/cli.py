"""The ``airis`` command. Modules that take long to import are imported by the command that needs them."""

import typer

from airis.service.commands import demo, generate
from airis.service.commands.docs import docs
from airis.service.commands.options import ConfigOption, DataDirOption
from airis.service.commands.print_config import print_config
from airis.service.commands.run import run_service
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


@app.command()
def run(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Run airis until Ctrl-C."""
    run_service(config, data_dir)


app.command()(validate)
app.command("print-config")(print_config)
app.command()(version)
app.command(hidden=True)(docs)
app.command()(demo.demo)
app.add_typer(generate.app, name="generate")


def main() -> None:
    """Entry point of the ``airis`` script."""
    app()
