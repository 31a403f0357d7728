"""``airis demo``: a shop with an incident, sent to the airis that runs here or to one started for it."""

import asyncio
import math
import os
import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from airis.service.commands.generate import parse_seconds, say_once
from airis.service.commands.options import own_command

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from airis.demo.play import Play
    from airis.demo.shop import Shop

HISTORY_S = 30 * 60
INCIDENT_S = 3 * 60
LOCAL_ENDPOINT = "localhost:4317"
LOCAL_PORT = 4317
READY_URL = "http://127.0.0.1:8000/readyz"
START_TIMEOUT_S = 60.0
DRAIN_TIMEOUT_S = 30.0

LOOK_AT = """
What to look at, in another terminal:

  {airis} services
  {airis} traces --service checkout --status error --last 5m
  {airis} trace {trace_id}
  {airis} logs --grep "declined" --severity error
  {airis} metrics http.server.request.duration --rate --service checkout
"""
INCIDENT_BEGINS = """{at}  The incident begins: checkouts are slow, and some fail. Find out why:

  {airis} traces --service storefront --min-duration 1s --last 5m
  {airis} traces --service checkout --status error --last 5m
  {airis} logs --grep "payment-db" --severity warn
"""
INCIDENT_ENDS = "{at}  The incident is over; see the rates come back with: {airis} metrics shop.orders --rate\n"


def demo(
    endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            show_default="localhost:4317, where an airis is started if none listens",
            help="OTLP gRPC endpoint to send to.",
        ),
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, max=1000, help="Visits per second; about seven spans each.")] = 12.0,
    duration: Annotated[
        float,
        typer.Option(
            parser=parse_seconds,
            metavar="DURATION",
            show_default="until Ctrl-C",
            help='End after so long, such as "10m".',
        ),
    ] = math.inf,
    seed: Annotated[
        int | None, typer.Option(show_default="another every time", help="The same seed gives the same visits and ids.")
    ] = None,
    history: Annotated[bool, typer.Option(help="Send the last 30 minutes first.")] = True,
    incident_after: Annotated[
        float,
        typer.Option(
            parser=parse_seconds,
            metavar="DURATION",
            show_default="2m",
            help="When payment's database gets slow, or inf.",
        ),
    ] = 120.0,
) -> None:
    """Play a small shop: six services with traces, metrics and logs, and an incident to find the cause of."""
    from airis.demo.load import summary

    try:
        play = asyncio.run(_play(endpoint, rate, duration, seed, HISTORY_S if history else 0, incident_after))
    except asyncio.CancelledError:
        raise typer.Exit(1) from None
    if play is None:
        raise typer.Exit(1)
    for signal, account in play.account.items():
        typer.echo(summary(account, signal, play.seconds))
    if not all(account.complete for account in play.account.values()):
        raise typer.Exit(1)


async def _play(
    endpoint: str | None, rate: float, duration_s: float, seed: int | None, history_s: int, incident_after_s: float
) -> "Play | None":
    """Play until the end and give the play with its accounts; None when there is nobody to send to."""
    import signal

    from airis.demo.play import Play
    from airis.demo.sender import Sender
    from airis.demo.shop import Shop
    from airis.demo.transports import Target, connect
    from airis.demo.visits import SECONDS, Incident

    loop, this = asyncio.get_running_loop(), asyncio.current_task()
    assert this is not None
    # Whatever ends the demo must end the airis that it started, which is in a session of its own.
    endings = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in endings:
        loop.add_signal_handler(number, this.cancel)
    airis: Process | None = None
    if endpoint is None and not await accepts(LOCAL_PORT):
        typer.echo(f"No airis on {LOCAL_ENDPOINT}; starting one.")
        airis = await start_airis()
        if airis is None:
            return None
    try:
        async with Sender(connect(Target(endpoint=endpoint or LOCAL_ENDPOINT)), on_refusal=say_once()) as sender:
            start = time.time_ns() - history_s * SECONDS
            shop = Shop(random.Random(seed), start, traces_per_s=rate)
            play = Play(shop, sender)
            for number in endings:
                loop.add_signal_handler(number, play.stop)
            watch = asyncio.create_task(_stop_with(airis, play)) if airis else None
            reached = await _back_fill(play, start) if history_s else start
            if math.isfinite(incident_after_s):
                begins = reached + int(incident_after_s * SECONDS)
                shop.plan_incident(Incident(begins, begins + INCIDENT_S * SECONDS))
            await play.run(duration_s, Announcer(shop, _tell))
            if watch:
                watch.cancel()
            return play
    finally:
        if airis is not None:
            await end_airis(airis)


async def _stop_with(airis: "Process", play: "Play") -> None:
    """Stop the play when the airis that was started for it ends."""
    code = await airis.wait()
    typer.echo(f"airis ended by itself with exit code {code}; the demo ends, too.", err=True)
    play.stop()


async def _back_fill(play: "Play", start_unix_nano: int) -> int:
    """Send the history, on a terminal with a bar, and give how far it went."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("The last 30 minutes", total=1.0)
        return await play.back_fill(start_unix_nano, lambda share: progress.update(task, completed=share))


def _tell(text: str) -> None:
    """Print at once, into a file or pipe as well."""
    print(text, flush=True)


class Announcer:
    """Says once what to look at, and when the incident begins and ends; called with the time after each step."""

    def __init__(self, shop: "Shop", tell: Callable[[str], None]) -> None:
        self._shop = shop
        self._tell = tell
        self._airis = own_command()
        self._welcomed = self._begun = self._ended = False

    def __call__(self, now_unix_nano: int) -> None:
        """Say what is new by this time."""
        shop, incident = self._shop, self._shop.incident
        at = time.strftime("%H:%M:%S", time.localtime(now_unix_nano / 1e9))
        if not self._welcomed and shop.notable_trace_id:
            self._welcomed = True
            self._tell(LOOK_AT.format(airis=self._airis, trace_id=shop.notable_trace_id.hex()))
            if incident and now_unix_nano < incident.begins_unix_nano:
                seconds = (incident.begins_unix_nano - now_unix_nano) / 1e9
                soon = f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"
                self._tell(f"{at}  All is well. In {soon} something will go wrong. Ctrl-C ends the demo.\n")
        if incident and not self._begun and now_unix_nano >= incident.begins_unix_nano:
            self._begun = True
            self._tell(INCIDENT_BEGINS.format(airis=self._airis, at=at))
        if incident and not self._ended and now_unix_nano >= incident.ends_unix_nano:
            self._ended = True
            self._tell(INCIDENT_ENDS.format(airis=self._airis, at=at))


async def accepts(port: int) -> bool:
    """Whether something listens on this port of 127.0.0.1."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


async def start_airis() -> "Process | None":
    """A running airis that takes OTLP, as a child process; None, with the reason on stderr, when it does not start.

    It has a session of its own, so that Ctrl-C reaches the demo first and airis gets everything sent before it ends.
    """
    airis = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "airis", "run", "--no-welcome"),
        env={**os.environ, "PYTHONSAFEPATH": "1"},
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not (await accepts(LOCAL_PORT) and await _ready()):
                if airis.returncode is not None:
                    typer.echo(f"airis did not start; it ended with exit code {airis.returncode}.", err=True)
                    return None
                await asyncio.sleep(0.1)
    except TimeoutError:
        typer.echo(f"airis was not ready after {START_TIMEOUT_S:.0f} s.", err=True)
        await end_airis(airis)
        return None
    except BaseException:
        await end_airis(airis)
        raise
    return airis


async def _ready() -> bool:
    """Whether the query API says that airis is ready, or is not there to ask."""
    import aiohttp

    try:
        async with aiohttp.ClientSession() as session, session.get(READY_URL) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return True


async def end_airis(airis: "Process") -> None:
    """Ask it to end, and see that it does."""
    with suppress(ProcessLookupError):
        airis.terminate()
    try:
        await asyncio.wait_for(airis.wait(), DRAIN_TIMEOUT_S)
    except TimeoutError:
        airis.kill()
        await airis.wait()
