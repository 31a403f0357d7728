"""``airis generate``: load of a chosen kind, with telemetrygen's options."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from inspect import Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from airis.service.commands.look import SETTINGS, Command, Commands

if TYPE_CHECKING:
    from airis.demo.load import Plan
    from airis.demo.payloads import Common, Requests
    from airis.demo.transports import Target

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=SETTINGS,
    help="Make up telemetry and send it; the options are telemetrygen's.",
)


class GoCommand(Command):
    """Takes switches as Go programs do as well: ``--batch=false``, ``--otlp-http=true``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Turn ``--x=true`` into ``--x`` and ``--x=false`` into ``--no-x`` where x is a switch."""
        switches = {option for param in self.params if getattr(param, "is_flag", False) for option in param.opts}
        for position, arg in enumerate(args):
            name, _, value = arg.partition("=")
            if name in switches and value.lower() in ("true", "false"):
                args[position] = name if value.lower() == "true" else f"--no-{name[2:]}"
        return super().parse_args(ctx, args)


def parse_seconds(text: str | float) -> float:
    """Seconds; ``inf`` is for ever, and a default is seconds already."""
    from airis.component import parse_duration

    if not isinstance(text, str):
        return text
    if text.lower() == "inf":
        return math.inf
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if seconds < 0:
        raise typer.BadParameter(f'"{text}" is negative')
    return seconds


def _hex_id(length: int) -> Callable[[str | bytes], bytes]:
    """An id of so many bytes, or none."""

    def parse(text: str | bytes) -> bytes:
        if isinstance(text, bytes):
            return text
        try:
            value = bytes.fromhex(text)
        except ValueError:
            value = b"?"
        if len(value) not in (0, length):
            raise typer.BadParameter(f'"{text}" is not an id; write {2 * length} hexadecimal digits')
        return value

    return parse


def _choice(*names: str) -> Callable[[str], str]:
    """One of the names, whatever its case."""

    def parse(text: str) -> str:
        for name in names:
            if text.lower() == name.lower():
                return name
        raise typer.BadParameter(f'"{text}" is not one of {", ".join(names)}')

    return parse


def _status_code(text: str) -> str:
    """Name of a status code, of which telemetrygen's number is another spelling."""
    numbers = {"0": "Unset", "1": "Error", "2": "Ok"}
    return _choice("Unset", "Error", "Ok")(numbers.get(text, text))


def say_once() -> Callable[[str], None]:
    """Says why the first request is not taken, on stderr, so that nobody waits for what will not come."""
    said = False

    def say(reason: str) -> None:
        nonlocal said
        if not said:
            typer.echo(f"Not taken, trying again: {reason}", err=True)
        said = True

    return say


_TARGET = "Where to send"
_LOAD = "How much"
_CONTENT = "What"

Seconds = partial(typer.Option, parser=parse_seconds, metavar="DURATION")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The options that all three commands have, in the order of the help."""

    duration: Annotated[
        float, Seconds(rich_help_panel=_LOAD, show_default="0s", help='How long: "5s", "1m", or "inf" until Ctrl-C.')
    ] = 0.0
    rate: Annotated[
        float,
        typer.Option(min=0, rich_help_panel=_LOAD, help="Items per second and worker; 0 is as fast as possible."),
    ] = 1.0
    workers: Annotated[
        int, typer.Option(min=1, rich_help_panel=_LOAD, help="Workers, each with one request under way.")
    ] = 1
    batch: Annotated[bool, typer.Option(rich_help_panel=_LOAD, help="Put several items into a request.")] = True
    batch_size: Annotated[int, typer.Option(min=1, rich_help_panel=_LOAD, help="Items in a request.")] = 100
    interval: Annotated[
        float, Seconds(rich_help_panel=_LOAD, show_default="1s", help="Time between progress reports on a terminal.")
    ] = 1.0
    allow_export_failures: Annotated[
        bool, typer.Option(rich_help_panel=_LOAD, help="Go on when a request fails for good.")
    ] = False

    otlp_endpoint: Annotated[
        str,
        typer.Option(
            rich_help_panel=_TARGET, show_default="localhost:4317, HTTP localhost:4318", help="host:port or URL."
        ),
    ] = ""
    protocol: Annotated[
        str | None,
        typer.Option(
            parser=_choice("grpc", "http", "json"),
            metavar="grpc|http|json",
            rich_help_panel=_TARGET,
            show_default="grpc",
            help="gRPC, protobuf over HTTP, or JSON over HTTP.",
        ),
    ] = None
    otlp_http: Annotated[bool, typer.Option(rich_help_panel=_TARGET, help="The same as --protocol http.")] = False
    otlp_http_url_path: Annotated[
        str, typer.Option(rich_help_panel=_TARGET, show_default="/v1/<signal>", help="HTTP path.")
    ] = ""
    otlp_header: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", rich_help_panel=_TARGET, help="Request header.")
    ] = None
    otlp_insecure: Annotated[
        bool | None,
        typer.Option(rich_help_panel=_TARGET, show_default="only to this machine", help="Plaintext instead of TLS."),
    ] = None
    otlp_insecure_skip_verify: Annotated[
        bool, typer.Option(rich_help_panel=_TARGET, help="Do not check the server's certificate (HTTP only).")
    ] = False
    timeout: Annotated[
        float, Seconds(rich_help_panel=_TARGET, show_default="30s", help="Longest wait for an answer; 0 is for ever.")
    ] = 30.0
    ca_cert: Annotated[
        Path | None, typer.Option(exists=True, rich_help_panel=_TARGET, help="Authority to trust (PEM).")
    ] = None
    mtls: Annotated[bool, typer.Option(rich_help_panel=_TARGET, help="Insist on a client certificate.")] = False
    client_cert: Annotated[
        Path | None, typer.Option(exists=True, rich_help_panel=_TARGET, help="Client certificate (PEM).")
    ] = None
    client_key: Annotated[
        Path | None, typer.Option(exists=True, rich_help_panel=_TARGET, help="Its private key (PEM).")
    ] = None

    service: Annotated[str, typer.Option(rich_help_panel=_CONTENT, help="The service.name of the resource.")] = (
        "telemetrygen"
    )
    otlp_attributes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            rich_help_panel=_CONTENT,
            help='Resource attribute: k="text", k=true, k=7 or k=["a","b"].',
        ),
    ] = None
    telemetry_attributes: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", rich_help_panel=_CONTENT, help="Attribute of every item.")
    ] = None
    size: Annotated[
        int,
        typer.Option(min=0, rich_help_panel=_CONTENT, help="MiB of text to put into each trace, point or log record."),
    ] = 0

    def common(self) -> "Common":
        """What items of every signal have."""
        from airis.demo.payloads import Common, parse_attribute

        try:
            return Common(
                self.service,
                dict(map(parse_attribute, self.otlp_attributes or [])),
                dict(map(parse_attribute, self.telemetry_attributes or [])),
                self.size,
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    def target(self) -> "Target":
        """Where requests go."""
        from airis.demo.transports import Target, WireProtocol

        if self.otlp_http and self.protocol == "grpc":
            raise typer.BadParameter("--otlp-http and --protocol grpc exclude each other")
        wire = WireProtocol(self.protocol or ("http" if self.otlp_http else "grpc"))
        if (self.client_cert is None) != (self.client_key is None) or (self.mtls and self.client_cert is None):
            raise typer.BadParameter("a client certificate takes both --client-cert and --client-key")
        if self.otlp_insecure_skip_verify and wire is WireProtocol.GRPC:
            raise typer.BadParameter("gRPC cannot leave out the check of the server's certificate; use --ca-cert")
        return Target(
            wire,
            self.otlp_endpoint,
            self.otlp_insecure,
            self.otlp_http_url_path,
            dict(map(_header, self.otlp_header or [])),
            self.ca_cert,
            self.client_cert,
            self.client_key,
            self.otlp_insecure_skip_verify,
            self.timeout,
        )

    def plan(self, units: int, counter: str) -> "Plan":
        """How much each worker sends; ``counter`` is the option that says how many units."""
        from airis.demo.load import Plan

        if not units and not self.duration:
            raise typer.BadParameter(f"either {counter} or --duration must be greater than 0")
        batch_items = self.batch_size if self.batch else 1
        return Plan(units, self.duration, self.rate, batch_items, stop_on_failure=not self.allow_export_failures)


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter(f'"{text}" is not a header; write key=value')
    return name, value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def _command(function: Callable[..., None]) -> Callable[..., None]:
    """Register a command that takes the shared options as one object and its own ones by name."""
    hints = get_type_hints(function, include_extras=True)
    own = [each.replace(annotation=hints[each.name]) for each in list(signature(function).parameters.values())[1:]]
    hints = get_type_hints(Shared, include_extras=True)
    shared = [each.replace(annotation=hints[each.name]) for each in signature(Shared).parameters.values()]

    @wraps(function)
    def command(**values: Any) -> None:
        common = Shared(**{each.name: values.pop(each.name) for each in shared})
        function(common, **values)

    parameters = [*own, *shared]
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    app.command(cls=GoCommand)(command)
    return function


TraceId = Annotated[
    bytes,
    typer.Option(parser=_hex_id(16), metavar="HEX", rich_help_panel=_CONTENT, show_default="none", help="Trace id."),
]
SpanId = Annotated[
    bytes,
    typer.Option(parser=_hex_id(8), metavar="HEX", rich_help_panel=_CONTENT, show_default="none", help="Span id."),
]


@_command
def traces(
    shared: Shared,
    *,
    traces: Annotated[
        int, typer.Option(min=0, rich_help_panel=_LOAD, help="Traces per worker, without --duration.")
    ] = 1,
    child_spans: Annotated[int, typer.Option(min=0, rich_help_panel=_CONTENT, help="Child spans of each trace.")] = 1,
    span_duration: Annotated[
        float, Seconds(rich_help_panel=_CONTENT, show_default="123us", help="Duration of each span.")
    ] = 123e-6,
    span_links: Annotated[int, typer.Option(min=0, rich_help_panel=_CONTENT, help="Links of each span.")] = 0,
    status_code: Annotated[
        str,
        typer.Option(
            parser=_status_code,
            metavar="Unset|Error|Ok",
            rich_help_panel=_CONTENT,
            help="Status of every span; 0, 1 and 2 are Unset, Error and Ok.",
        ),
    ] = "Unset",
    marshal: Annotated[
        bool, typer.Option(rich_help_panel=_CONTENT, help="The children's parent is in another process.")
    ] = False,
) -> None:
    """Send traces of a client span and its children."""
    import random
    import time

    from airis.demo.payloads import StatusCode, TraceRequests, Traces

    made = Traces(child_spans, round(span_duration * 1e9), StatusCode(status_code), marshal, span_links)
    common = shared.common()
    _run(
        shared,
        shared.plan(traces, "--traces"),
        [TraceRequests(common, made, time.time_ns, random.Random()) for _ in range(shared.workers)],
    )


@_command
def metrics(
    shared: Shared,
    *,
    metrics: Annotated[
        int, typer.Option(min=0, rich_help_panel=_LOAD, help="Data points per worker, without --duration.")
    ] = 1,
    otlp_metric_name: Annotated[str, typer.Option(rich_help_panel=_CONTENT, help="Name of the metric.")] = "gen",
    metric_type: Annotated[
        str,
        typer.Option(
            parser=_choice("Gauge", "Sum", "Histogram", "ExponentialHistogram", "Summary"),
            metavar="Gauge|Sum|Histogram|ExponentialHistogram|Summary",
            rich_help_panel=_CONTENT,
            help="Kind of the metric.",
        ),
    ] = "Gauge",
    aggregation_temporality: Annotated[
        str,
        typer.Option(
            parser=_choice("delta", "cumulative"),
            metavar="delta|cumulative",
            rich_help_panel=_CONTENT,
            help="What the point of a sum or histogram covers.",
        ),
    ] = "cumulative",
    trace_id: TraceId = b"",
    span_id: SpanId = b"",
) -> None:
    """Send data points of one metric; with --trace-id or --span-id they have an exemplar."""
    import random
    import time

    from airis.demo.instruments import MetricType, Temporality
    from airis.demo.payloads import MetricRequests, Metrics

    temporality = Temporality(aggregation_temporality)
    made = Metrics(otlp_metric_name, MetricType(metric_type), temporality, trace_id, span_id)
    common = shared.common()
    _run(
        shared,
        shared.plan(metrics, "--metrics"),
        [MetricRequests(common, made, time.time_ns, random.Random()) for _ in range(shared.workers)],
    )


@_command
def logs(
    shared: Shared,
    *,
    logs: Annotated[
        int, typer.Option(min=0, rich_help_panel=_LOAD, help="Log records per worker, without --duration.")
    ] = 1,
    body: Annotated[str, typer.Option(rich_help_panel=_CONTENT, help="Body of the records.")] = "the message",
    severity_text: Annotated[str, typer.Option(rich_help_panel=_CONTENT, help="Severity as a word.")] = "Info",
    severity_number: Annotated[
        int, typer.Option(min=1, max=24, rich_help_panel=_CONTENT, help="Severity as a number.")
    ] = 9,
    trace_id: TraceId = b"",
    span_id: SpanId = b"",
) -> None:
    """Send log records that differ in nothing but their time."""
    import time

    from airis.demo.payloads import LogRequests, Logs

    made = Logs(body, severity_text, severity_number, trace_id, span_id)
    common = shared.common()
    _run(
        shared,
        shared.plan(logs, "--logs"),
        [LogRequests(common, made, time.time_ns) for _ in range(shared.workers)],
    )


def _run(shared: Shared, plan: "Plan", workers: "Sequence[Requests]") -> None:
    """Send, print the account; exit code 1 when anything was not accepted."""
    import asyncio
    import signal as signals
    import time

    from rich.console import Console

    from airis.demo.load import Account, Load, summary
    from airis.demo.sender import Sender
    from airis.demo.transports import connect

    console = Console(stderr=True)
    target = shared.target()

    async def report(load: Load) -> None:
        with console.status("") as status:
            while True:
                await asyncio.sleep(shared.interval)
                account = load.account
                status.update(f"{account.sent} sent, {account.accepted} accepted, {account.refusals} refused attempts")

    async def run() -> Account:
        async with Sender(connect(target), on_refusal=say_once()) as sender:
            load = Load(plan, workers, sender)
            for number in (signals.SIGINT, signals.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, load.stop)
            reporting = asyncio.create_task(report(load)) if console.is_terminal and shared.interval else None
            try:
                return await load.run()
            finally:
                if reporting:
                    reporting.cancel()

    began = time.monotonic()
    account = asyncio.run(run())
    typer.echo(summary(account, workers[0].signal, time.monotonic() - began))
    if not account.complete:
        raise typer.Exit(1)
