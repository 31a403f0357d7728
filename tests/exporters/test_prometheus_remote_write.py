"""The prometheus_remote_write exporter: what a server is sent, and what becomes of its answers."""

import asyncio
import json
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import cramjam
import pytest
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from pydantic import ValidationError

from airis.component import Kind, Partial, Permanent, Retryable, Throttled
from airis.component.testing import FakeHost, Sink, build
from airis.data import Batch, Signal
from airis.proto.remote_write import request_class

NOW = 1_700_000_000_000
V2 = {"protobuf_message": "io.prometheus.write.v2.Request"}
WRITTEN = {"X-Prometheus-Remote-Write-Samples-Written": "1"}


def batch_of(points: int = 1, *, delta: int = 0, time_nano: int = NOW * 10**6) -> Batch:
    """So many gauges, and counters that are not cumulative."""
    message = ExportMetricsServiceRequest()
    owner = message.resource_metrics.add()
    owner.resource.attributes.add(key="service.name").value.string_value = "api"
    metrics = owner.scope_metrics.add().metrics
    for number in range(points):
        metrics.add(name=f"m{number}", unit="s").gauge.data_points.add(as_double=number, time_unix_nano=time_nano)
    for number in range(delta):
        metrics.add(name=f"d{number}").sum.data_points.add(as_int=1)
    return Batch(Signal.METRICS, message.SerializeToString(), points + delta, arrived_unix_nano=1)


class Server:
    """Takes requests and answers what it is told to, one after the other, then 204."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], Any]] = []
        self.answers: list[web.Response] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        body = bytes(cramjam.snappy.decompress_raw(await request.read()))
        version = 2 if "v2" in request.headers["Content-Type"] else 1
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((headers, request_class(version).FromString(body)))
        return self.answers.pop(0) if self.answers else web.Response(status=204, headers=WRITTEN)

    def names(self) -> list[str]:
        return sorted(series.labels[0].value for _, message in self.requests for series in message.timeseries)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    served = Server()
    app = web.Application()
    app.router.add_post("/api/v1/write", served.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1/write"
    yield served
    await runner.cleanup()


@pytest.fixture
async def start(server: Server, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    async with AsyncExitStack() as stack:

        async def started(**options: Any) -> Any:
            options = {"endpoint": server.url, "retry_on_failure": {"initial_interval": "10ms"}, **options}
            exporter = build("prometheus_remote_write", options, kind=Kind.EXPORTER)
            await exporter.start(FakeHost(tmp_path))
            stack.push_async_callback(exporter.shutdown)
            return exporter

        yield started


async def test_a_batch_is_a_request_of_1_0(server: Server, start: Callable[..., Any]) -> None:
    await (await start()).consume(batch_of())

    ((headers, message),) = server.requests
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["content-encoding"] == "snappy"
    assert headers["x-prometheus-remote-write-version"] == "0.1.0"
    (series,) = message.timeseries
    assert {label.name: label.value for label in series.labels} == {"__name__": "m0_seconds", "job": "api"}
    assert (series.samples[0].value, series.samples[0].timestamp) == (0.0, NOW)


async def test_a_batch_is_a_request_of_2_0_where_wanted(server: Server, start: Callable[..., Any]) -> None:
    await (await start(**V2)).consume(batch_of())

    ((headers, message),) = server.requests
    assert headers["content-type"] == "application/x-protobuf;proto=io.prometheus.write.v2.Request"
    assert headers["x-prometheus-remote-write-version"] == "2.0.0"
    assert list(message.symbols) == ["", "__name__", "m0_seconds", "job", "api", "seconds"]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"add_metric_suffixes": False}, "m0"),
        ({"namespace": "ns"}, "ns_m0_seconds"),
        ({"translation_strategy": "NoTranslation"}, "m0"),
    ],
)
async def test_the_options_name_metrics(
    server: Server, start: Callable[..., Any], options: dict[str, Any], name: str
) -> None:
    await (await start(**options)).consume(batch_of())

    assert server.names() == [name]


async def test_a_large_batch_is_several_requests(server: Server, start: Callable[..., Any]) -> None:
    await (await start(max_batch_size_bytes=200)).consume(batch_of(20))

    assert len(server.requests) > 5
    assert server.names() == sorted(f"m{number}_seconds" for number in range(20))


async def test_metadata_are_sent_where_wanted(server: Server, start: Callable[..., Any]) -> None:
    await (await start(send_metadata=True)).consume(batch_of())

    assert [family.metric_family_name for _, message in server.requests for family in message.metadata] == [
        "m0_seconds"
    ]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_was_refused_for_now_is_sent_again(server: Server, start: Callable[..., Any], status: int) -> None:
    server.answers = [web.Response(status=status)] * 2

    await (await start()).consume(batch_of())

    assert len(server.requests) == 3


async def test_a_sender_is_told_once_the_time_for_tries_is_over(server: Server, start: Callable[..., Any]) -> None:
    server.answers = [web.Response(status=503, text="busy", headers={"Retry-After": "7"})]
    exporter = await start(retry_on_failure={"enabled": False})

    with pytest.raises(Throttled, match="503 Service Unavailable: busy") as told:
        await exporter.consume(batch_of())
    assert told.value.retry_after == 7


@pytest.mark.parametrize("status", [400, 401, 404, 415, 302])
async def test_what_was_refused_for_good_is_not_sent_again(
    server: Server, start: Callable[..., Any], status: int
) -> None:
    server.answers = [web.Response(status=status)]

    with pytest.raises(Permanent, match=str(status)):
        await (await start()).consume(batch_of())
    assert len(server.requests) == 1


async def test_one_request_of_several_that_was_refused_is_told_as_its_share(
    server: Server, start: Callable[..., Any]
) -> None:
    server.answers = [web.Response(status=400, text="out of order")]
    exporter = await start(max_batch_size_bytes=1)

    with pytest.raises(Partial, match="1 of 10 requests were refused: 400 Bad Request: out of order") as told:
        await exporter.consume(batch_of(10))
    assert told.value.rejected == 1


async def test_points_that_are_no_samples_are_told(server: Server, start: Callable[..., Any]) -> None:
    exporter = await start()

    with pytest.raises(Partial, match="3 points have no samples: temporality") as told:
        await exporter.consume(batch_of(2, delta=3))
    assert (told.value.rejected, len(server.names())) == (3, 2)


async def test_a_server_of_1_0_is_no_server_of_2_0(server: Server, start: Callable[..., Any]) -> None:
    server.answers = [web.Response(status=204)]

    with pytest.raises(Permanent, match=r"write protobuf_message: prometheus\.WriteRequest"):
        await (await start(**V2)).consume(batch_of())


async def test_nothing_is_sent_by_one_that_is_shut_down(start: Callable[..., Any]) -> None:
    exporter = await start()
    await exporter.shutdown()

    with pytest.raises(Retryable, match="shut down"):
        await exporter.consume(batch_of())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"endpoint": "localhost:9090"}, "not an http:// or https:// URL"),
        ({}, "Field required"),
        ({"endpoint": "http://x", "wal": {"directory": "/tmp"}}, "leave wal out"),
        ({"endpoint": "http://x", "headers": {"Content-Type": "x"}}, "is the protocol's"),
        ({"endpoint": "http://x", "compression": "gzip"}, "remote write has snappy alone"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build("prometheus_remote_write", options, kind=Kind.EXPORTER)


@pytest.mark.parametrize("options", [{}, V2], ids=["1.0", "2.0"])
async def test_our_own_receiver_takes_it(tmp_path: Path, options: dict[str, Any]) -> None:
    receiver = build("prometheus_remote_write", {"endpoint": "127.0.0.1:0"}, sink := Sink(), kind=Kind.RECEIVER)
    await receiver.start(FakeHost(tmp_path))
    endpoint = receiver.endpoints()["Prometheus remote write"]
    exporter = build("prometheus_remote_write", {"endpoint": endpoint, **options}, kind=Kind.EXPORTER)
    await exporter.start(FakeHost(tmp_path))
    try:
        await exporter.consume(batch_of(3))
    finally:
        await exporter.shutdown()
        await receiver.shutdown()

    assert sink.items == 3


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="there is no Prometheus here")
async def test_prometheus_itself_takes_it(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    (tmp_path / "prometheus.yml").write_text("scrape_configs: []\n")
    process = await asyncio.create_subprocess_exec(
        *("prometheus", "--web.enable-remote-write-receiver", f"--config.file={tmp_path}/prometheus.yml"),
        *(f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address={address}"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    options = {"endpoint": f"http://{address}/api/v1/write", "retry_on_failure": {"max_interval": "200ms"}}
    exporter = build("prometheus_remote_write", options, kind=Kind.EXPORTER)
    await exporter.start(FakeHost(tmp_path))
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(60):
            query = f"http://{address}/api/v1/query"
            # Prometheus refuses what is much older than its clock.
            await exporter.consume(batch_of(3, time_nano=time.time_ns()))
            async with session.get(query, params={"query": 'count({job="api"})'}) as response:
                result = json.loads(await response.text())["data"]["result"]
    finally:
        await exporter.shutdown()
        process.terminate()
        await process.wait()

    assert [sample["value"][1] for sample in result] == ["3"]
