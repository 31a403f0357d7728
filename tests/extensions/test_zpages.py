"""The diagnostic pages say how the service is; nothing in them is taken for HTML, and no other site reads them."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from airis import __version__
from airis.component import Health, Kind, Member, Metrics, Overview, PipelineOverview, StartError, Status, Telemetry
from airis.component.ledger import (
    Branch,
    BreakerState,
    BulkheadState,
    HeldBack,
    Ledger,
    LogState,
    Passage,
    QueueState,
    Received,
)
from airis.component.testing import FakeHost, build
from airis.data import Signal
from airis.extensions.zpages import Zpages, ZpagesConfig
from airis.extensions.zpages.page import element

PAGES = ["servicez", "pipelinez", "ledgerz", "extensionz", "featurez", "tracez"]
NOW = 1_767_323_045.0
EVIL = '<script>alert("1")</script>'


class Page(HTMLParser):
    """What a browser would make of the text: elements in their nesting, and the visible text."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.words.extend(data.split())

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def links(self) -> list[str]:
        return [attributes["href"] for tag, attributes in self.elements if "href" in attributes]


def member(kind: Kind, component_id: str, pipeline: str = "", status: Status = Status.OK, error: str = "") -> Member:
    return Member(kind, component_id, pipeline, Health(status, error, NOW - 60))


def overview() -> Overview:
    pipelines = (
        PipelineOverview("traces", Signal.TRACES, ("otlp",), ("batch",), ("nop", "spans")),
        PipelineOverview("metrics/red", Signal.METRICS, ("spans",), (), ("nop",)),
    )
    members = (
        member(Kind.EXTENSION, "zpages"),
        member(Kind.EXTENSION, "health_check", status=Status.PERMANENT_ERROR, error=EVIL),
        member(Kind.RECEIVER, "otlp"),
        member(Kind.PROCESSOR, "batch", "traces", Status.STARTING),
        member(Kind.EXPORTER, "nop", status=Status.RECOVERABLE_ERROR, error="refused by 127.0.0.1"),
        member(Kind.CONNECTOR, "spans"),
    )
    return Overview(NOW - 3600, pipelines, members)


def counted() -> Metrics:
    metrics = Metrics()
    otlp = Telemetry(Kind.RECEIVER, "otlp", metrics)
    otlp.counter("otelcol_receiver_accepted_spans", "{span}", "Taken.").add(1234567, transport=EVIL)
    otlp.counter("otelcol_receiver_accepted_spans", "{span}", "Taken.").add(1, transport="http")
    otlp.counter("otelcol_receiver_refused_spans", "{span}", "Refused.").add(5)
    batch = Telemetry(Kind.PROCESSOR, "batch", metrics, "traces")
    batch.counter("otelcol_processor_incoming_items", "{item}", "In.").add(7)
    batch.histogram("batch_send_size", "{item}", "Items.", (10, 100)).record(50)
    other = Telemetry(Kind.PROCESSOR, "batch", metrics, "logs")
    other.counter("otelcol_processor_incoming_items", "{item}", "In.").add(1000)
    nop = Telemetry(Kind.EXPORTER, "nop", metrics)
    nop.counter("otelcol_exporter_sent_spans", "{span}", "Sent.").add(6)
    nop.counter("otelcol_exporter_send_failed_spans", "{span}", "Not sent.").add(2)
    nop.counter("otelcol_exporter_sent_metric_points", "{datapoint}", "Sent.").add(77)
    nop.gauge("otelcol_exporter_queue_size", "{batch}", "Waiting.").set(3)
    return metrics


class Running:
    """Started pages and a client for them."""

    def __init__(self, session: aiohttp.ClientSession, zpages: Zpages) -> None:
        self.session = session
        self.zpages = zpages
        self.url = zpages.endpoints()["zpages"].removesuffix("/debug/servicez")

    async def get(self, path: str, **options: Any) -> aiohttp.ClientResponse:
        response = await self.session.get(self.url + path, **options)
        await response.read()
        return response

    async def page(self, name: str) -> Page:
        response = await self.get(f"/debug/{name}")
        assert response.status == 200
        return Page(await response.text())

    async def document(self, name: str) -> Any:
        response = await self.get(f"/debug/{name}?format=json")
        assert (response.status, response.content_type) == (200, "application/json")
        return await response.json()


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def start(running: Overview | None = None, accounts: Ledger | None = None, **options: Any) -> Running:
            host = FakeHost(tmp_path)
            host.accounts = accounts or Ledger()
            host.running = running or overview()
            zpages: Zpages = build(
                "zpages",
                {"endpoint": "127.0.0.1:0", **options},
                kind=Kind.EXTENSION,
                metrics=counted(),
                clock=lambda: NOW,
            )
            await zpages.start(host)
            stack.push_async_callback(zpages.shutdown)
            return Running(session, zpages)

        yield start


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_whole_and_needs_nothing_from_elsewhere(start: Start, name: str) -> None:
    response = await (await start()).get(f"/debug/{name}")

    page = Page(await response.text())
    assert response.content_type == "text/html"
    assert page.text.startswith(f"{name} airis airis")
    assert {f"/debug/{other}" for other in PAGES} <= set(page.links())
    assert not any(link.startswith(("http", "//")) for link in page.links())
    assert {tag for tag, _ in page.elements} & {"script", "img", "iframe", "form", "object"} == set()
    assert not any("style" in attributes for _, attributes in page.elements)


async def test_only_the_page_s_own_stylesheet_may_be_used(start: Start) -> None:
    response = await (await start()).get("/debug/servicez")

    (style,) = re.findall(r"<style>(.*?)</style>", await response.text(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert response.headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    assert "prefers-color-scheme: dark" in style
    assert "url(" not in style


@pytest.mark.parametrize("name", PAGES)
async def test_text_of_components_is_never_markup(start: Start, name: str) -> None:
    page = await (await start()).page(name)

    assert "script" not in {tag for tag, _ in page.elements}
    if name in ("extensionz", "pipelinez"):
        assert EVIL in page.text


def test_what_goes_into_an_element_is_text() -> None:
    written = element("a", "<b>", element("i", "&"), href='"><script>', class_="x", aria_current="page")

    expected = '<a href="&quot;&gt;&lt;script&gt;" class="x" aria-current="page">&lt;b&gt;<i>&amp;</i></a>'
    assert written == expected


async def test_servicez_says_what_runs(start: Start, tmp_path: Path) -> None:
    running = await start()

    told = await running.document("servicez")

    assert (told["version"], told["started"], told["uptime"]) == (__version__, "2026-01-02T02:04:05Z", "1h")
    assert (told["pipelines"], told["data_dir"]) == (2, str(tmp_path))
    assert told["statuses"] == {
        "StatusOK": 3,
        "StatusPermanentError": 1,
        "StatusRecoverableError": 1,
        "StatusStarting": 1,
    }
    page = await running.page("servicez")
    assert __version__ in page.text
    assert "running for 1h" in page.text


async def test_pipelinez_says_how_each_component_is_and_what_it_counted(start: Start) -> None:
    traces, red = (await (await start()).document("pipelinez"))["pipelines"]

    assert (traces["pipeline"], traces["signal"]) == ("traces", "traces")
    otlp, batch, nop, spans = traces["components"]
    assert (otlp["role"], otlp["kind"], otlp["id"], otlp["status"]) == ("receiver", "receiver", "otlp", "StatusOK")
    assert otlp["counts"] == {"accepted": 1234568, "refused": 5}
    assert (batch["status"], batch["counts"]) == ("StatusStarting", {"in": 7})
    assert nop["counts"] == {"sent": 6, "failed": 2, "queued": 3}
    assert (nop["status"], nop["error"]) == ("StatusRecoverableError", "refused by 127.0.0.1")
    assert nop["since"] == "2026-01-02T03:03:05Z"
    assert (spans["role"], spans["kind"]) == ("exporter", "connector")
    assert [component["counts"] for component in red["components"]] == [{}, {"sent": 77, "queued": 3}]


async def test_pipelinez_shows_every_metric_of_a_component(start: Start) -> None:
    running = await start()

    otlp, batch, *_ = (await running.document("pipelinez"))["pipelines"][0]["components"]

    assert otlp["metrics"][0] == {
        "name": "otelcol_receiver_accepted_spans",
        "attributes": {"transport": EVIL},
        "value": 1234567,
    }
    assert batch["metrics"][0] == {
        "name": "otelcol_processor_batch_batch_send_size",
        "attributes": {},
        "count": 1,
        "sum": 50,
    }
    text = (await running.page("pipelinez")).text
    assert "1,234,568" in text
    assert "otelcol_processor_batch_batch_send_size" in text


def accounts() -> Ledger:
    """Of an exporter that delivers nothing, which says so in words of its destination."""
    queue = QueueState("otlp", Signal.TRACES, "disk", 2, 7, 3 * 1024 * 1024, None, 61.0, 60.0, EVIL)
    return Ledger(
        received=(Received(Signal.TRACES, 1007, 5, 0),),
        passages=(Passage("pipelines::traces", Signal.TRACES, 1007, 1007, 0, 0, 1000, (), 0, 0),),
        branches=(
            Branch(Signal.TRACES, Kind.EXPORTER, "otlp", ("traces",), accepted=1007, delivered=993, queued=7),
            Branch(Signal.TRACES, Kind.EXPORTER, "nop", ("traces",), accepted=1007, delivered=1007),
        ),
        queues=(queue, replace(queue, exporter="nop", kind="none", oldest_age_s=None, failing_for_s=None)),
        breakers=(BreakerState("otlp", "open", 20.0),),
        bulkheads=(BulkheadState("otlp", 10, 3, 1),),
        held_back=(HeldBack("in", "exporters::otlp", EVIL, 9.0),),
        logs=(LogState("file_storage", "/data/wal", 2048, 4096, 10_000, 1, 10, {}),),
    )


async def test_ledgerz_says_where_every_item_is_and_what_is_wrong_above_all(start: Start) -> None:
    running = await start(accounts=accounts())

    page = await running.page("ledgerz")

    assert "script" not in {tag for tag, _ in page.elements}
    assert page.text.count(EVIL) == 3, "as text: of two troubles, and of the queue"
    wrong, _, rest = page.text.partition("Where every item is")
    for part in (
        "7 items of traces were accepted, and nobody knows where they are",
        "1 dead letter",
        "held back",
        "9s",
    ):
        assert part in wrong
    for part in (
        "1,007 accepted = 993 delivered + 7 queued 0 7 missing",
        "1,007 accepted = 1,007 delivered 0 ok",
        "2 7 3.0 MiB",
        "by senders delivers",
        "3 of 10 places taken 1 waiting",
        "2.0 KiB (50%) 4.0 KiB",
    ):
        assert part in rest
    assert await running.document("ledgerz") == orjson.loads(orjson.dumps(accounts().document()))


async def test_ledgerz_says_that_all_is_well_where_it_is(start: Start) -> None:
    page = await (await start()).page("ledgerz")

    assert "all is well" in page.text
    assert not {attributes.get("class") for _, attributes in page.elements} & {"status bad"}


async def test_extensionz_lists_the_extensions(start: Start) -> None:
    running = await start()

    zpages, health = (await running.document("extensionz"))["extensions"]

    assert (zpages["id"], zpages["status"]) == ("zpages", "StatusOK")
    assert (health["status"], health["error"]) == ("StatusPermanentError", EVIL)
    assert "health_check" in (await running.page("extensionz")).text


async def test_what_airis_does_not_have_is_said(start: Start) -> None:
    running = await start()

    assert await running.document("featurez") == {"gates": []}
    assert "no feature gates" in (await running.page("featurez")).text
    assert (await running.document("tracez"))["spans"] == []
    assert "no spans of itself" in (await running.page("tracez")).text


async def test_expvarz_is_there_where_it_is_asked_for(start: Start) -> None:
    off = await (await start()).get("/debug/expvarz")
    assert off.status == 404
    assert "expvar: {enabled: true}" in await off.text()

    told = await (await start(expvar={"enabled": True})).document("expvarz")
    assert told["memory"]["resident_bytes"] > 1_000_000
    assert told["threads"] >= 1
    assert told["tasks"] >= 1
    assert {"collections", "collected"} <= told["gc"][0].keys()


@pytest.mark.parametrize("path", ["/", "/debug", "/debug/"])
async def test_the_beginning_is_servicez(start: Start, path: str) -> None:
    response = await (await start()).get(path)

    assert "servicez" in Page(await response.text()).text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/debug/nothing", 404), ("POST", "/debug/servicez", 405), ("HEAD", "/debug/servicez", 200)],
)
async def test_what_is_not_there_is_refused(start: Start, method: str, path: str, status: int) -> None:
    running = await start()

    async with running.session.request(method, running.url + path) as response:
        assert response.status == status
        if status == 405:
            assert response.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:55679"}, 200),
        ({"Host": "rebound.example:55679"}, 403),
        ({"Origin": "https://page.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
    ids=str,
)
async def test_pages_of_other_sites_are_refused(start: Start, headers: dict[str, str], status: int) -> None:
    assert (await (await start()).get("/debug/pipelinez", headers=headers)).status == status


async def test_a_component_that_is_gone_is_shown_without_status(start: Start) -> None:
    pipeline = PipelineOverview("logs", Signal.LOGS, ("gone",), (), ())

    told = await (await start(Overview(NOW, (pipeline,), ()))).document("pipelinez")

    assert told["pipelines"][0]["components"][0]["status"] == "StatusNone"


async def test_a_taken_port_stops_the_start(start: Start, tmp_path: Path) -> None:
    taken = (await start()).url.removeprefix("http://")

    with pytest.raises(StartError, match="the port is taken"):
        await build("zpages", {"endpoint": taken}, kind=Kind.EXTENSION).start(FakeHost(tmp_path))


async def test_shutdown_may_come_twice_and_before_start() -> None:
    zpages: Zpages = build("zpages", kind=Kind.EXTENSION)

    await zpages.shutdown()
    await zpages.shutdown()


def test_listens_on_loopback_unless_told_otherwise() -> None:
    config = ZpagesConfig.model_validate({})

    assert (config.endpoint, config.expvar.enabled, config.write_timeout) == ("localhost:55679", False, 30.0)
