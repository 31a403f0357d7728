"""``airis reload``: let a running instance read its configuration again."""

from typing import Annotated, Any

import typer

from airis.service.commands.options import DataDirOption, data_directory

NOT_RUNNING = 3


def reload(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    data_dir: DataDirOption = None,
) -> None:
    """Let the running airis read its configuration again and change only what is different.

    A configuration that is wrong changes nothing. Exit codes: 0 done, 1 it did not start and the old one runs on,
    2 the configuration is wrong, 3 airis is not running.
    """
    from http.client import HTTPException

    from airis.service.admin_client import AdminConnection, NotRunning
    from airis.service.render.rows import printable

    try:
        status, told = AdminConnection(data_directory(data_dir)).json("POST", f"/-/reload?dry_run={int(dry_run)}")
    except NotRunning as error:
        typer.echo(printable(str(error)), err=True)
        raise typer.Exit(NOT_RUNNING) from None
    except (OSError, HTTPException) as error:
        typer.echo(printable(f"airis does not answer: {error}"), err=True)
        raise typer.Exit(1) from None
    if status != 200:
        report = told.get("report") or told["error"]["message"]
        typer.echo("\n".join(map(printable, report.splitlines())), err=True)
        raise typer.Exit(2 if status == 400 else 1)
    _explain(told, dry_run)


def _explain(told: dict[str, Any], dry_run: bool) -> None:
    from airis.service.render.rows import printable

    for warning in told["warnings"]:
        typer.echo(printable(f"warning: {warning}"), err=True)
    for change in told["changes"]:
        typer.echo(printable(f"{change['sign']} {change['what']}"))
        for detail in change["details"]:
            typer.echo(printable(f"    {detail}"))
    for failure in told["failures"]:
        typer.echo(printable(f"did not shut down well: {failure}"), err=True)
    count = len(told["changes"])
    if not count:
        typer.echo("nothing is different")
    else:
        things = f"{count} change{'s' * (count > 1)}"
        typer.echo(f"{things}; nothing was done, this is --dry-run" if dry_run else f"{things}; reloaded")
