"""The admin API: what runs, what passes, and to reload it. On a unix socket that its owner alone reaches."""

import asyncio
import os
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from airis import __version__
from airis.component import Kind, Overview, StartError
from airis.component.http import answer
from airis.component.telemetry import Gauge, component_attributes
from airis.config import ConfigError
from airis.config.report import Report
from airis.data import Signal
from airis.service.admin_answers import Query, Routes, answer_json, refuse
from airis.service.admin_log import LogOperations
from airis.service.graph import NothingStarts, ReloadFailed
from airis.service.plan import Place
from airis.service.port import Port
from airis.service.tap import SHUTTING_DOWN, NotOne, Places, Tap, Taps, TooManyTaps, Wanted, find

if TYPE_CHECKING:
    from airis.service.service import Service

QUEUE_SIZE = "otelcol_exporter_queue_size"
"""The Collector's name for what an exporter holds in its queue."""
STALLED_S = 0.5
"""Who has not read anything for so long does not read."""

OLD_GOES_ON = "nothing was changed, the old configuration goes on"


class Admin:
    """An ASGI application. Errors are JSON: ``{"error": {"type", "message", …}}``."""

    def __init__(self, service: "Service") -> None:
        self.service = service
        self.taps = Taps(self._places)
        routes: Routes = {
            ("POST", "/-/reload"): self._reload,
            ("GET", "/api/v1/status"): self._status,
            ("GET", "/api/v1/ledger"): self._ledger,
            ("GET", "/api/v1/tap"): self._tap,
        }
        self._routes = _listed(routes)
        self._owner_routes = _listed({**routes, **LogOperations(service).routes()})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._answer(self._routes, scope, receive, send)

    async def for_owner(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one who may also take data out of the queues, and put some in."""
        await self._answer(self._owner_routes, scope, receive, send)

    async def _answer(self, routes: Routes, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        handler = routes.get(("GET" if method == "HEAD" else method, path))
        methods = [taken for taken, at in routes if at == path]
        if handler is None and methods:
            taken = ", ".join(["GET, HEAD" if name == "GET" else name for name in methods])
            allow = [(b"allow", taken.encode())]
            await refuse(send, HTTPStatus.METHOD_NOT_ALLOWED, f"{path} takes {taken}", allow)
        elif handler is None:
            paths = [at for _, at in routes]
            await refuse(send, HTTPStatus.NOT_FOUND, f"there is no {path} here", paths=paths)
        elif method == "HEAD" and handler == self._tap:
            await answer_json(send, 200, {})  # no data passes for somebody who asks for headers
        else:
            await handler(parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True), receive, send)

    async def _reload(self, query: Query, _receive: Receive, send: Send) -> None:
        """200 done, 400 the configuration is wrong, 500 it does not start; the old one runs on after the latter two.

        202 where the server of this very request is exchanged by the reload, which goes on.
        """
        dry_run = query.get("dry_run", ["0"])[-1] not in ("0", "false")
        try:
            done = await self.service.reload(dry_run=dry_run)
        except ConfigError as error:
            problems = [
                {"place": str(problem.mark), "path": "::".join(problem.path), "message": problem.message}
                for problem in error.problems
            ]
            report = Report.of(error).text(consequence=OLD_GOES_ON)
            await answer_json(send, 400, {"reloaded": False, "errors": problems, "report": report})
        except (StartError, ReloadFailed, OSError, NothingStarts) as error:
            status = 400 if isinstance(error, OSError) else 500
            body = {
                "reloaded": False,
                "errors": [{"message": str(error)}],
                "report": f"airis: {error}; {OLD_GOES_ON}\n",
            }
            await answer_json(send, status, body)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            is_mine = task is not None and task.cancelling()  # else the reload was given up, for a shutdown
            report = "the reload goes on\n" if is_mine else "airis: shutting down\n"
            await answer_json(send, 202 if is_mine else 503, {"reloaded": False, "errors": [], "report": report})
            if is_mine:
                raise
        else:
            changes = [{"sign": change.sign, "what": change.what, "details": change.details} for change in done.changes]
            warnings = [str(warning) for warning in done.configuration.warnings]
            failures = [f"{component}: {error}" for component, error in done.failures]
            body = {"reloaded": not dry_run, "changes": changes, "warnings": warnings, "failures": failures}
            await answer_json(send, 200, body)

    async def _status(self, _query: Query, _receive: Receive, send: Send) -> None:
        """What runs, and what has passed since the component was started."""
        service = self.service
        overview = service.overview()
        ports = service.graph.ports()
        members: list[dict[str, object]] = []
        for member in overview.members:
            place = Place(member.kind, member.component_id, member.pipeline)
            node = service.graph.nodes.get(place)  # none while it is about to start
            inward = () if member.kind in (Kind.RECEIVER, Kind.EXTENSION) else ports.get(str(place), ())
            members.append(
                {
                    "name": str(place),
                    "kind": member.kind,
                    "id": member.component_id,
                    "pipeline": member.pipeline,
                    "status": member.health.status,
                    "error": member.health.error,
                    "since_unix_s": member.health.since_unix_s,
                    "endpoints": dict(node.component.endpoints()) if node else {},
                    "in": _passed(inward),
                    "out": _passed(node.outlets.values() if node else ()),
                    "queued": self._queued(place),
                }
            )
        body = {
            "version": __version__,
            "pid": os.getpid(),
            "started_unix_s": overview.started_unix_s,
            "configuration": service.configuration.source,
            "components": members,
            "pipelines": [
                {
                    "name": pipeline.pipeline_id,
                    "signal": pipeline.signal,
                    "receivers": pipeline.receivers,
                    "processors": pipeline.processors,
                    "exporters": pipeline.exporters,
                    "in": _passed(ports.get(f"pipelines::{pipeline.pipeline_id}", ())),
                }
                for pipeline in overview.pipelines
            ],
            "taps": [
                {"of": tap.wanted.place, "signal": tap.wanted.signal, "missed_batches": tap.missed_batches}
                for tap in self.taps
            ],
        }
        await answer_json(send, 200, body)

    async def _ledger(self, _query: Query, _receive: Receive, send: Send) -> None:
        """Where every accepted item is; see docs/ledger.md."""
        await answer_json(send, 200, self.service.ledger().document())

    def _queued(self, place: Place) -> float | None:
        """What an exporter says that it holds in its queue; None where it says nothing."""
        attributes = component_attributes(place.kind, place.component_id)
        metric = self.service.metrics.registered.get((QUEUE_SIZE, attributes))
        return sum(metric.instrument.samples().values()) if metric and isinstance(metric.instrument, Gauge) else None

    async def _tap(self, query: Query, receive: Receive, send: Send) -> None:
        """What passes a place, as `Tap.frames`, until the client leaves or there is nothing more to see.

        `of` is the place, `signal` chooses one, `output=1` is for what leaves a component, `share` is the chance of
        an item to be shown, and `items` is how many are enough.
        """
        try:
            wanted = self._wanted(query)
            with self.taps.open(wanted) as tap:
                await _stream(tap, receive, send)
        except NotOne as error:
            await refuse(send, HTTPStatus.NOT_FOUND, str(error), choices=error.choices)
        except ValueError as error:
            await refuse(send, HTTPStatus.BAD_REQUEST, str(error))
        except TooManyTaps as error:
            await refuse(send, HTTPStatus.TOO_MANY_REQUESTS, str(error))

    def _wanted(self, query: Query) -> Wanted:
        """What is asked for. Raises NotOne, and ValueError for what makes no sense."""
        given = {name: values[-1] for name, values in query.items()}
        unknown = given.keys() - {"of", "signal", "output", "share", "items"}
        if unknown:
            raise ValueError(f'unknown parameter "{min(unknown)}"')
        signal = _signal(given.get("signal", ""))
        output = given.get("output", "0") not in ("0", "false")
        share, items = given.get("share", "1"), given.get("items", "")
        if not _is_share(share):
            raise ValueError(f'"share" is {share}; write a number that is more than 0 and at most 1')
        if items and not (items.isascii() and items.isdigit() and int(items)):
            raise ValueError(f'"items" is {items}; write a whole number that is more than 0')
        place = find(given.get("of", ""), signal, self._carried(output))
        if output and place not in self._places(True):
            raise NotOne(f"{place} has no output of its own; leave output out")
        return Wanted(place, signal, float(share), int(items) if items else None, output)

    def _places(self, output: bool) -> Places:
        graph = self.service.graph
        if output:
            return {str(place): list(node.outlets.values()) for place, node in graph.nodes.items() if node.outlets}
        return graph.ports()

    def _carried(self, output: bool) -> Mapping[str, list[Signal]]:
        """The signals that pass each place, on its way in or out."""
        carried: dict[str, list[Signal]] = {place: [] for place in self._places(False)}
        for place, signal in _passing(self.service.overview(), output):
            if signal not in carried.get(place, [signal]):
                carried[place].append(signal)
        return carried


def _listed(routes: Routes) -> Routes:
    """The routes with one before them that lists them all."""

    async def index(_query: Query, _receive: Receive, send: Send) -> None:
        await answer(send, 200, "".join(f"{method:<5}{path}\n" for method, path in listed).encode())

    listed: Routes = {("GET", "/"): index, **routes}
    return listed


def _passing(overview: Overview, output: bool) -> Iterable[tuple[str, Signal]]:
    """Places with a signal that passes them, as often as there are pipelines for it."""
    for pipeline in overview.pipelines:
        signal = pipeline.signal
        yield f"pipelines::{pipeline.pipeline_id}", signal
        for name in pipeline.processors:
            yield str(Place(Kind.PROCESSOR, name, pipeline.pipeline_id)), signal
        for name in pipeline.receivers:
            yield str(Place(Kind.RECEIVER, name)), signal
        for name in pipeline.exporters:
            yield str(Place(Kind.EXPORTER, name)), signal
        for name in pipeline.receivers if output else pipeline.exporters:
            yield str(Place(Kind.CONNECTOR, name)), signal


async def _stream(tap: Tap, receive: Receive, send: Send) -> None:
    """Send what the tap tells. At the end of airis a client that does not read is not waited for."""
    writing = asyncio.create_task(_write(tap, send))
    leaving = asyncio.create_task(_until_gone(receive, tap))
    try:
        while not writing.done():
            told = tap.told_pieces
            await asyncio.wait({writing}, timeout=STALLED_S)
            if tap.ended == SHUTTING_DOWN and tap.told_pieces == told:
                return
        writing.result()
    except asyncio.CancelledError:
        tap.end("the admin endpoint was closed")
        await asyncio.wait({writing}, timeout=STALLED_S)
        raise
    finally:
        writing.cancel()
        leaving.cancel()


async def _write(tap: Tap, send: Send) -> None:
    headers = [(b"content-type", b"application/octet-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async for piece in tap.frames():
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _until_gone(receive: Receive, tap: Tap) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    tap.end("nobody reads")


def _signal(text: str) -> Signal | None:
    if not text:
        return None
    try:
        return Signal(text)
    except ValueError:
        raise ValueError(f'"{text}" is no signal; write {", ".join(Signal)}') from None


def _is_share(text: str) -> bool:
    try:
        return 0 < float(text) <= 1
    except ValueError:
        return False


def _passed(ports: Iterable[Port]) -> dict[str, int]:
    found = {"items": 0, "bytes": 0, "refused": 0, "in_flight": 0}
    for port in ports:
        found["items"] += port.items
        found["bytes"] += port.size_bytes
        found["refused"] += port.refused_items
        found["in_flight"] += port.in_flight_items
    return found
