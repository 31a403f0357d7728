"""``airis top``: what passes through a running instance, component by component."""

import re
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airis.service.commands.options import DataDirOption, data_directory
from airis.service.commands.reload import NOT_RUNNING
from airis.service.render.rows import say, terminal, write_bytes
from airis.service.render.time import seconds

if TYPE_CHECKING:
    from airis.service.render.top import Page

TIMEOUT_S = 10.0
KEYS_EVERY_S = 0.1
"""How soon a key, or another size of the window, is noticed."""
QUIT, UP, DOWN = "q", "up", "down"
_KEYS = {b"q": QUIT, b"Q": QUIT, b"k": UP, b"\x1b[A": UP, b"\x1bOA": UP, b"j": DOWN, b"\x1b[B": DOWN, b"\x1bOB": DOWN}
_KEY = re.compile(rb"\x1b[\[O][^@-~]*[@-~]|.", re.DOTALL)
"""A key is a character, or a control sequence."""

_ANY_WIDTH = 1_000_000
"""Of what no window shows."""

Document = dict[str, Any]


class TopFormat(StrEnum):
    """How a look is written to stdout."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"


def top(
    interval: Annotated[
        str, typer.Option(metavar="DURATION", help="Time between two looks, of which the rates are.")
    ] = "1s",
    once: Annotated[bool, typer.Option("--once", help="Print one table and end, as into a pipe.")] = False,
    form: Annotated[
        TopFormat,
        typer.Option("--format", help="A table; what the admin API says, with rates; or that on a line every time."),
    ] = TopFormat.TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Show what passes through the running airis, component by component, until q or Ctrl-C.

    Counts are since the start of airis, or of a component that a reload has exchanged. When airis goes away the live
    table says so, waits, and goes on with the next one that runs on the data directory.
    Exit codes: 0 ended by q or Ctrl-C, 1 it does not answer, 3 airis is not running, or was not at the end.
    """
    from http.client import HTTPException

    from airis.service.admin_client import NotRunning

    every_s = seconds(interval, "--interval")
    if every_s <= 0:
        raise typer.BadParameter("write a time that is more than nothing, such as 1s", param_hint="--interval")
    looks = Looks(data_directory(data_dir))
    try:
        looks.next()
        if form is TopFormat.TABLE and not once and sys.stdout.isatty():
            _live(looks, every_s)
        else:
            _print(looks, every_s, form, for_ever=form is TopFormat.NDJSON and not once)
    except KeyboardInterrupt:
        pass
    except NotRunning as error:
        say(str(error))
        raise typer.Exit(NOT_RUNNING) from None
    except (OSError, HTTPException) as error:
        say(f"airis does not answer: {error}")
        raise typer.Exit(1) from None
    if looks.away:
        say(looks.away)
        raise typer.Exit(NOT_RUNNING)


class Looks:
    """What the running instance says of itself, look by look."""

    def __init__(self, data_dir: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.last: Document = {}
        """The newest look that was answered."""
        self.away = ""
        """Why there is no newer one."""
        self._data_dir = data_dir
        self._clock = clock
        self._at = 0.0

    def next(self) -> Document:
        """Look now; rates are those since the last look. Raises NotRunning, OSError and HTTPException."""
        from airis.service.admin_client import AdminConnection

        connection = AdminConnection(self._data_dir, TIMEOUT_S)
        try:
            _, told = connection.json("GET", "/api/v1/status")
        finally:
            connection.close()
        now = self._clock()
        self.last = with_rates(told, self.last, now - self._at)
        self._at = now
        self.away = ""
        return self.last

    def try_next(self) -> None:
        """The same for somebody who goes on without an answer: `away` says why there is none."""
        from http.client import HTTPException

        from airis.service.admin_client import NotRunning

        try:
            self.next()
        except NotRunning as error:
            self.away = str(error)
        except (OSError, HTTPException) as error:
            self.away = f"airis does not answer: {error}"


def with_rates(told: Document, before: Mapping[str, Any], elapsed_s: float) -> Document:
    """The document with ``items_per_s`` and ``bytes_per_s`` beside every count, None at the first look.

    A count that is less than before is of a component, or an airis, that began anew in between.
    """
    earlier = {
        (section, one["name"]): one for section in ("components", "pipelines") for one in before.get(section, ())
    }

    def rated(side: Mapping[str, Any], past: Mapping[str, Any]) -> dict[str, Any]:
        rates = {
            f"{what}_per_s": _increase(side[what], past.get(what, 0)) / elapsed_s if before and elapsed_s > 0 else None
            for what in ("items", "bytes")
        }
        return {**side, **rates}

    def all_rated(section: str) -> list[dict[str, Any]]:
        return [
            {
                name: rated(value, earlier.get((section, one["name"]), {}).get(name, {}))
                if name in ("in", "out")
                else value
                for name, value in one.items()
            }
            for one in told[section]
        ]

    looked = {"now_unix_s": time.time(), "interval_s": elapsed_s if before else None}
    return {**told, **looked, "components": all_rated("components"), "pipelines": all_rated("pipelines")}


def _increase(now: float, before: float) -> float:
    return now - before if now >= before else now


def _print(looks: Looks, every_s: float, form: TopFormat, *, for_ever: bool) -> None:
    """Write one look, or one after the other."""
    import orjson

    while True:
        time.sleep(every_s)
        document = looks.next()
        if form is TopFormat.TABLE:
            from airis.service.render.top import page

            console = terminal()
            for line in page(document, console.width if sys.stdout.isatty() else _ANY_WIDTH).lines:
                console.print(line, soft_wrap=True)
        else:
            write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 if form is TopFormat.JSON else 0), b"\n")
        if not for_ever:
            return


def _live(looks: Looks, every_s: float) -> None:
    """Show look after look in the place of the last one, until q."""
    from rich.console import Group
    from rich.live import Live

    console = terminal()
    skip = 0
    due = time.monotonic() + every_s
    with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        shown_size = None
        while True:
            if shown_size != console.size:
                shown_size = console.size
                shown = _screen(looks, *shown_size, skip)
                skip = shown.skipped
                live.update(Group(*shown.lines), refresh=True)
            for key in pressed(min(KEYS_EVERY_S, max(0.0, due - time.monotonic()))):
                if key == QUIT:
                    return
                skip += 1 if key == DOWN else -1
                shown_size = None
            if time.monotonic() >= due:
                looks.try_next()
                due = time.monotonic() + every_s
                shown_size = None


def _screen(looks: Looks, width: int, height: int, skip: int) -> "Page":
    from rich.text import Text

    from airis.service.render.rows import one_line
    from airis.service.render.top import page

    shown = page(looks.last, width, height - 1 if looks.away else height, skip, note="q quits")
    if looks.away:
        for line in shown.lines:
            line.stylize("dim")
        away = Text(one_line(f"Waiting: {looks.away}"), style="bold red")
        away.truncate(width, overflow="ellipsis")
        shown.lines.insert(0, away)
    return shown


@contextmanager
def _keys() -> Generator[Callable[[float], list[str]]]:
    """Waits so many seconds for keys and gives those that mean something."""
    import os
    import select
    import signal

    # Whatever ends it, the terminal is to be left as it was.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    if not sys.stdin.isatty():

        def wait(seconds: float) -> list[str]:
            time.sleep(seconds)
            return []

        yield wait
        return

    import termios
    import tty

    terminal_input = sys.stdin.fileno()

    def read(seconds: float) -> list[str]:
        ready, _, _ = select.select([terminal_input], [], [], seconds)
        typed = _KEY.findall(os.read(terminal_input, 256)) if ready else []
        return [_KEYS[key] for key in typed if key in _KEYS]

    before = termios.tcgetattr(terminal_input)
    tty.setcbreak(terminal_input)
    try:
        yield read
    finally:
        termios.tcsetattr(terminal_input, termios.TCSADRAIN, before)
