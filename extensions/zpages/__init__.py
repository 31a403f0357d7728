"""Pages for people: what runs, how each component is, and what went through it, at this moment."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import parse_qs

import orjson
from pydantic import Field
from starlette.types import Receive, Scope, Send

from airis import __version__
from airis.component import Config, Duration, Extension, Host, Overview, Telemetry, extension
from airis.component.browsers import other_site_of
from airis.component.http import HttpServer, HttpServerConfig, answer
from airis.extensions.zpages import facts, ledger
from airis.extensions.zpages.page import HEADERS, Html, element, page, table
from airis.extensions.zpages.page import facts as fact_table

PREFIX = "/debug/"
FIRST = "servicez"
_READING = ("GET", "HEAD")


class ExpvarConfig(Config):
    """The page with what the process uses."""

    enabled: bool = Field(default=False, description="Serve /debug/expvarz, in JSON: memory, threads, collections.")


class ZpagesConfig(HttpServerConfig):
    """Where the pages are."""

    endpoint: str = Field(default="localhost:55679", description="host:port to listen on.")
    write_timeout: Duration = Field(
        default=30.0,
        ge=0,
        description="Longest time from the end of a request's headers until its answer has left; 0: for ever.",
    )
    expvar: ExpvarConfig = Field(default_factory=ExpvarConfig, description="What the process uses.")


@extension("zpages")
class Zpages(Extension[ZpagesConfig]):
    """Serve `/debug/servicez`, `pipelinez`, `ledgerz`, `extensionz`, `featurez`, `tracez` and `expvarz`, also as JSON.

    `ledgerz` says where every accepted item is, what is queued, and what is in its way. JSON is `?format=json`.
    The pages are for whoever reaches them on this machine; pages of other sites are refused.
    """

    def __init__(self, config: ZpagesConfig, telemetry: Telemetry, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives seconds since 1970."""
        super().__init__(config, telemetry)
        self._clock = clock
        self._server = HttpServer(self._serve, config, telemetry)
        self._host: Host | None = None
        self.pages: Mapping[str, tuple[Callable[[Overview], dict[str, Any]], Callable[[Any], Sequence[str]]]] = {
            FIRST: (lambda overview: facts.service(overview, self._running().data_dir, self._clock()), _service),
            "pipelinez": (lambda overview: facts.pipelines(overview, telemetry.metrics), _pipelines),
            "ledgerz": (lambda _overview: self._running().ledger().document(), ledger.shown),
            "extensionz": (facts.extensions, _extensions),
            "featurez": (facts.features, _features),
            "tracez": (facts.traces, _traces),
        }
        """By name: what a page says, and how that is shown."""

    async def start(self, host: Host) -> None:
        """Listen."""
        self._host = host
        await self._server.start(host)

    async def shutdown(self) -> None:
        """Stop listening."""
        await self._server.shutdown()

    def endpoints(self) -> Mapping[str, str]:
        """The URL of the first page."""
        return {"zpages": f"{self._server.url}{PREFIX}{FIRST}"}

    async def _serve(self, scope: Scope, _receive: Receive, send: Send) -> None:
        name = scope["path"].removeprefix("/debug").strip("/") or FIRST
        if reason := other_site_of(scope, self.config):
            await answer(send, 403, f"{reason}\n".encode())
        elif scope["method"] not in _READING:
            await answer(send, 405, b"these pages are read only\n", headers=[(b"allow", ", ".join(_READING).encode())])
        elif name == "expvarz":
            await self._expvarz(send)
        elif name not in self.pages:
            known = "".join(f"  {PREFIX}{other}\n" for other in self.pages)
            await answer(send, 404, f"there is no such page; there is\n{known}".encode())
        else:
            what, shown = self.pages[name]
            told = what(self._running().overview())
            if parse_qs(scope["query_string"].decode("latin-1")).get("format") == ["json"]:
                await _answer_json(send, told)
            else:
                names = [*self.pages, *(["expvarz"] if self.config.expvar.enabled else [])]
                text = page(name, names, __version__, *shown(told))
                await answer(send, 200, text, "text/html; charset=utf-8", HEADERS)

    async def _expvarz(self, send: Send) -> None:
        if self.config.expvar.enabled:
            await _answer_json(send, facts.process())
        else:
            await answer(send, 404, b"expvarz is off; write expvar: {enabled: true} in the zpages extension\n")

    def _running(self) -> Host:
        assert self._host is not None
        return self._host


async def _answer_json(send: Send, told: Mapping[str, Any]) -> None:
    body = orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    await answer(send, 200, body, "application/json", HEADERS)


def _service(told: Mapping[str, Any]) -> Sequence[str]:
    statuses = cast("Mapping[str, int]", told["statuses"])
    pairs = {
        "version": told["version"],
        "kernels": told["kernels"],
        "python": told["python"],
        "platform": told["platform"],
        "process id": str(told["pid"]),
        "configuration": element("code", told["configuration"]),
        "data": element("code", told["data_dir"]),
        "started": told["started"],
        "running for": told["uptime"],
        "pipelines": element("a", str(told["pipelines"]), href=f"{PREFIX}pipelinez"),
        "components": str(told["components"]),
    }
    counted = [(_status(status), f"{count:,}") for status, count in statuses.items()]
    return [
        fact_table(pairs),
        element("h2", "Components by status"),
        table(("status", "components"), counted),
    ]


def _pipelines(told: Mapping[str, Any]) -> Sequence[str]:
    if not told["pipelines"]:
        return [element("p", "There is no pipeline.", class_="quiet")]
    columns = ("role", "component", "status", "since", "counted")
    parts: list[str] = [
        element(
            "p",
            "Receivers and exporters are shared by all pipelines of a signal, and so are their counts.",
            class_="quiet",
        )
    ]
    for pipeline in told["pipelines"]:
        parts.append(element("h2", pipeline["pipeline"]))
        parts.append(table(columns, [_row(component) for component in pipeline["components"]]))
    return parts


def _row(component: Mapping[str, Any]) -> Sequence[str]:
    role = component["role"] if component["role"] == component["kind"] else f"{component['role']} ({component['kind']})"
    counts = cast("Mapping[str, float]", component["counts"])
    counted = element("div", *(element("span", f"{word} {_number(n)}") for word, n in counts.items()), class_="counts")
    return (
        role,
        element("code", component["id"]),
        Html(_status(component["status"]) + _error(component)),
        component.get("since", ""),
        Html(counted + _metrics(component["metrics"])),
    )


def _metrics(samples: Sequence[Mapping[str, Any]]) -> Html:
    """Everything that a component measures, folded."""
    if not samples:
        return Html("")
    rows = [element("tr", element("td", element("code", _label(s))), element("td", _value(s))) for s in samples]
    summary = element("summary", f"{len(samples)} measurement{'s' * (len(samples) > 1)}")
    return element("details", summary, element("table", *rows))


def _label(sample: Mapping[str, Any]) -> str:
    attributes = ", ".join(f"{name}={text}" for name, text in sample["attributes"].items())
    return f"{sample['name']}{{{attributes}}}" if attributes else sample["name"]


def _value(sample: Mapping[str, Any]) -> str:
    if "value" in sample:
        return _number(sample["value"])
    mean = sample["sum"] / sample["count"] if sample["count"] else 0
    return f"{_number(sample['count'])} recorded, mean {_number(mean)}"


def _extensions(told: Mapping[str, Any]) -> Sequence[str]:
    rows = [
        (element("code", e["id"]), Html(_status(e["status"]) + _error(e)), e.get("since", ""))
        for e in told["extensions"]
    ]
    return [table(("extension", "status", "since"), rows)]


def _features(_told: Mapping[str, Any]) -> Sequence[str]:
    return [element("p", "airis has no feature gates: what is there is on.", class_="quiet")]


def _traces(told: Mapping[str, Any]) -> Sequence[str]:
    return [element("p", told["reason"], class_="quiet")]


_LOOKS = {
    "StatusOK": "good",
    "StatusStarting": "wait",
    "StatusStopping": "wait",
    "StatusRecoverableError": "wait",
    "StatusPermanentError": "bad",
    "StatusFatalError": "bad",
}


def _status(status: str) -> Html:
    return element("span", status.removeprefix("Status"), class_=f"status {_LOOKS.get(status, '')}".strip())


def _error(component: Mapping[str, Any]) -> Html:
    return element("div", component["error"]) if "error" in component else Html("")


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:,.4g}"
