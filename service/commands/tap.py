"""``airis tap``: the items that pass a pipeline or a component, as they pass."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airis.service.commands.options import DataDirOption, data_directory
from airis.service.commands.reload import NOT_RUNNING
from airis.service.render.rows import json_line, say, terminal, write_bytes

if TYPE_CHECKING:
    from airis.data import Signal
    from airis.service.admin_client import Frame
    from airis.service.commands.where import Condition
    from airis.service.render.items import Found

TIMEOUT_S = 60.0
"""A tap without data gives a sign of life more often than that."""
SAY_EVERY_S = 2.0
SHUTTING_DOWN = "airis is shutting down"
GONE = "airis has ended"


class TapFormat(StrEnum):
    """How items are written to stdout."""

    TEXT = "text"
    JSON = "json"
    OTLP = "otlp"


class TapSignal(StrEnum):
    """What of a component that carries several signals."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"
    PROFILES = "profiles"


def tap(
    name: Annotated[
        str,
        typer.Argument(
            metavar="PLACE",
            help='A pipeline or a component: traces, otlp, batch, exporters::debug, "processors::batch of traces".',
        ),
    ],
    signal: Annotated[TapSignal | None, typer.Option(help="Of a component of several signals only this one.")] = None,
    output: Annotated[
        bool, typer.Option("--output", help="What a processor or a connector hands on, in place of what it takes.")
    ] = False,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Only items that meet key=value, key!=value or key=~pattern; repeatable. The key is name, kind, "
            "status, severity, body, trace_id, span_id, or an attribute of the item, else of its scope, else of its "
            'resource; ".name" is the attribute called name. What is not there is an empty text. A pattern is a '
            "regular expression that is to be found anywhere in the text.",
        ),
    ] = None,
    sample: Annotated[
        float, typer.Option(min=0, max=1, metavar="SHARE", help="Only this share of the items, chosen at random.")
    ] = 1.0,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="End after so many items.", show_default="until Ctrl-C")
    ] = None,
    form: Annotated[
        TapFormat | None,
        typer.Option(
            "--format",
            help="How to print; by default text on a terminal and one JSON object per item into a pipe. "
            '"otlp" is OTLP/JSON, a request on a line, which the Collector reads.',
        ),
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show what passes a pipeline or a component of the running airis, until Ctrl-C.

    Data is never held up for it: what passes faster than it can be shown is not seen, and how much that was is said.
    What a component takes is seen before it takes it, so a batch that is refused and sent again is seen again.
    Exit codes: 0 ended by Ctrl-C or --limit, 1 the place is gone or there are too many taps, 2 there is no such
    place, 3 airis is not running, or no longer.
    """
    from http import HTTPStatus
    from http.client import HTTPException
    from urllib.parse import urlencode

    from airis.service import instance
    from airis.service.admin_client import AdminConnection, NotRunning, Refused

    shown = Shown(
        form or (TapFormat.TEXT if sys.stdout.isatty() else TapFormat.JSON), _conditions(where), sample, limit
    )
    asked: dict[str, object] = {"of": name, "share": sample, "output": int(output)}
    if signal is not None:
        asked["signal"] = signal
    if limit is not None and shown.is_everything:
        asked["items"] = limit
    directory = data_directory(data_dir)
    try:
        connection = AdminConnection(directory, TIMEOUT_S)
        ended = shown.follow(connection.frames(f"/api/v1/tap?{urlencode(asked)}"))
    except KeyboardInterrupt:
        ended = ""
    except NotRunning as error:
        say(str(error))
        raise typer.Exit(NOT_RUNNING) from None
    except Refused as error:
        say("\n".join([f"airis: {error}", *(f"  {choice}" for choice in error.choices)]))
        raise typer.Exit(2 if error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST) else 1) from None
    except (OSError, HTTPException) as error:
        ended = f"airis does not answer: {error}" if instance.running(directory) else GONE
    shown.say_missed()
    if ended:
        say(ended)
        raise typer.Exit(NOT_RUNNING if ended in (SHUTTING_DOWN, GONE) else 1)


@dataclass(slots=True)
class Shown:
    """What is chosen of what passes, and how it is shown."""

    form: TapFormat
    conditions: "Sequence[Condition]"
    share: float
    limit: int | None
    missed: tuple[int, int] = (0, 0)
    """Batches and items that passed unseen."""
    said: tuple[int, int] = (0, 0)
    said_at: float = -SAY_EVERY_S

    @property
    def is_everything(self) -> bool:
        """Whether every item that passes is shown."""
        return not self.conditions and self.share >= 1

    def follow(self, frames: "Iterator[Frame]", clock: Callable[[], float] = time.monotonic) -> str:
        """Show until the limit, or until there is no more: then why."""
        from airis.data import Signal

        for told, payload in frames:
            if "watching" in told and sys.stdout.isatty():
                say(f"Watching {told['watching']}; Ctrl-C ends")
            if "missed_batches" in told:
                self.missed = told["missed_batches"], told["missed_items"]
                if (now := clock()) - self.said_at >= SAY_EVERY_S:
                    self.said_at = now
                    self.say_missed()
            if "ended" in told:
                return "" if told["ended"] == "limit" else str(told["ended"])
            if payload:
                self._show(Signal(told["signal"]), payload, told["items"])
                if self.limit == 0:
                    return ""
        return GONE

    def say_missed(self) -> None:
        """Say how much passed unseen, unless that has been said."""
        from airis.service.render.amounts import count

        if self.missed != self.said:
            batches, items = self.missed
            some = "1 batch" if batches == 1 else f"{count(batches)} batches"
            say(f"Not seen so far: {some} ({count(items)} items), which passed faster than they could be shown")
            self.said = self.missed

    def _show(self, signal: "Signal", payload: bytes, items: int) -> None:
        """Write what is chosen of a batch."""
        from google.protobuf.message import DecodeError

        from airis.data.malformed import MalformedPayload
        from airis.proto import otlp
        from airis.service.commands.where import PatternTooSlow, fitting, sample

        if not signal.is_joinable:
            self._show_whole(signal, payload, items)
            return
        try:
            message = otlp.parse(signal, payload)
            chosen = fitting(self.conditions, signal, payload, message, set(sample(items, self.share)))
        except PatternTooSlow as error:
            say(f"airis: {error}")
            raise typer.Exit(2) from None
        except (DecodeError, MalformedPayload) as error:
            say(f"airis: a batch of {items} items cannot be read: {error}")
            return
        if self.limit is not None:
            chosen = set(sorted(chosen)[: self.limit])
            self.limit -= len(chosen)
        if chosen:
            self._write(signal, message, chosen, whole=len(chosen) == items)

    def _show_whole(self, signal: "Signal", payload: bytes, items: int) -> None:
        """Write a batch whose items mean nothing without the tables of their request."""
        from airis.data import kernels

        if self.form is not TapFormat.OTLP or not self.is_everything:
            say(f"airis: {signal} are only shown whole: write --format otlp, without --where and --sample")
            raise typer.Exit(2)
        try:
            write_bytes(json_line(kernels.to_json(signal, payload)))
        except kernels.MalformedPayload as error:
            say(f"airis: a batch of {items} items cannot be read: {error}")
        if self.limit is not None:
            self.limit = max(0, self.limit - items)

    def _write(self, signal: "Signal", message: Any, chosen: set[int], *, whole: bool) -> None:
        import orjson

        from airis.proto.otlp_json import to_object
        from airis.service.render.items import items_of, keep_items, line, row

        if self.form is TapFormat.OTLP:
            if not whole:
                keep_items(signal, message, chosen)
            write_bytes(json_line(orjson.dumps(to_object(message))))
            return
        found: list[Found] = [one for number, one in enumerate(items_of(signal, message)) if number in chosen]
        if self.form is TapFormat.JSON:
            write_bytes(*(json_line(orjson.dumps(row(signal, one))) for one in found))
        elif sys.stdout.isatty():
            from rich.text import Text

            terminal().print(Text("\n").join(line(signal, one) for one in found), soft_wrap=True)
        else:
            write_bytes("".join(f"{line(signal, one).plain}\n" for one in found).encode(errors="replace"))


def _conditions(where: Sequence[str] | None) -> "list[Condition]":
    if not where:
        return []
    from airis.service.commands.where import Condition

    try:
        return [Condition.parse(text) for text in where]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--where") from None
