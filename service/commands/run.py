"""``airis run``: the service in the foreground."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from airis.service.commands.options import data_directory, own_command

if TYPE_CHECKING:
    from airis.config import Configuration, Sources
    from airis.service.service import Service


def run_service(sources: "Sources", data_dir: Path | None, *, watch: bool = False, welcome: bool = True) -> None:
    """Run until told to stop. Exit codes: 0 ended well, 1 failed, 2 a wrong configuration."""
    import asyncio

    import structlog

    from airis.component import StartError
    from airis.component.loop import loop_factory
    from airis.service.commands.version import slow_because
    from airis.service.logs import configure_logs
    from airis.service.service import Service

    configuration = load_or_exit(sources)
    # gRPC's handlers are for a child that goes on without exec; at the start of the store they only write to stderr.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

    async def serve() -> bool:
        service = Service(configuration, data_directory(data_dir), watch=watch)
        return await service.run(on_ready=lambda: _welcome(service) if welcome else None)

    try:
        configure_logs(configuration.telemetry.logs, configuration.telemetry.resource)
        if reason := slow_because():
            structlog.get_logger().warning("slower kernels", kernels="reference", reason=reason)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            ended_well = runner.run(serve())
    except StartError as error:
        typer.echo(f"airis: {error}", err=True)
        raise typer.Exit(1) from None
    if not ended_well:
        raise typer.Exit(1)


def load_or_exit(sources: "Sources", *, quiet: bool = False) -> "Configuration":
    """The configuration; what is wrong with it is said on stderr, and then the exit code is 2.

    What may not be meant is said there as well, if not `quiet`.
    """
    from airis.config import ConfigError, load_configuration
    from airis.config.report import Report, wants_colour

    try:
        configuration = load_configuration(sources)
        if not quiet:
            typer.echo(Report.of(configuration).text(colour=wants_colour(sys.stderr)), err=True, nl=False)
        return configuration
    except ConfigError as error:
        typer.echo(Report.of(error).text(colour=wants_colour(sys.stderr)), err=True, nl=False)
    raise typer.Exit(2)


def _welcome(service: "Service") -> None:
    """On a terminal, say where data goes in and how to see it."""
    if not sys.stderr.isatty():
        return
    endpoints = service.endpoints()
    width = max(map(len, endpoints), default=0)
    lines = [f"  {name:<{width}}  {address}" for name, address in endpoints.items()]
    here = "" if service.data_dir == data_directory(None) else f", with --data-dir {service.data_dir}"
    hint = _HINT.format(endpoint=endpoints.get("OTLP gRPC", "127.0.0.1:4317"), airis=own_command(), here=here)
    with suppress(OSError):  # the terminal may be gone by now
        typer.echo("\n".join(["", "airis is ready.", *lines, "", hint]), err=True)


_HINT = """\
  Send it telemetry:  export OTEL_EXPORTER_OTLP_ENDPOINT=http://{endpoint}
                      export OTEL_EXPORTER_OTLP_PROTOCOL=grpc
  Or made-up data:    {airis} demo
  Then look:          {airis} services | traces | logs | metrics | sql{here}
"""
