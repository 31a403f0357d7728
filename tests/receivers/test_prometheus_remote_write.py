"""The prometheus_remote_write receiver as senders meet it: what is answered, what is handed on, and when."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import cramjam
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from pydantic import ValidationError

from airis.component import Kind, Partial, Permanent, Retryable
from airis.component.testing import FakeHost, Sink, build
from airis.data import Signal
from airis.receivers.prometheus_remote_write import PATH, PrometheusRemoteWriteReceiver, version_of

from ..data.remote_write_requests import NOW, Request, histogram, sample

V1 = "application/x-protobuf"
V2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
CONTENT_TYPES = {1: V1, 2: V2}
VERSIONS = pytest.mark.parametrize("version", [1, 2])
UP = {"__name__": "up", "instance": "a:1", "job": "shop"}


class Prw:
    """A running receiver, what is behind it, and a client."""

    def __init__(self, receiver: PrometheusRemoteWriteReceiver, sink: Sink, session: aiohttp.ClientSession) -> None:
        self.receiver = receiver
        self.sink = sink
        self.session = session

    @property
    def url(self) -> str:
        return self.receiver.endpoints()["Prometheus remote write"]

    async def post(self, body: bytes, content_type: str = V2, *, encoding: str | None = "snappy", **more: str) -> Any:
        """Status, headers and text of the answer to a body, which is compressed here."""
        headers = {"Content-Type": content_type, **more}
        if encoding is not None:
            headers["Content-Encoding"] = encoding
        packed = bytes(cramjam.snappy.compress_raw(body)) if encoding in (None, "snappy") else body
        async with self.session.post(self.url, data=packed, headers=headers) as response:
            return response.status, response.headers, await response.text()

    async def write(self, request: Request) -> Any:
        return await self.post(request.body(), CONTENT_TYPES[request.version])

    def metrics(self) -> list[Any]:
        messages = [ExportMetricsServiceRequest.FromString(batch.payload) for batch in self.sink.batches]
        owners = [owner for message in messages for owner in message.resource_metrics]
        return [metric for owner in owners for scope in owner.scope_metrics for metric in scope.metrics]


@pytest.fixture
async def prw(tmp_path: Path) -> AsyncIterator[Prw]:
    sink = Sink()
    receiver = build("prometheus_remote_write", {"endpoint": "127.0.0.1:0"}, sink, kind=Kind.RECEIVER, grace_s=0.05)
    await receiver.start(FakeHost(tmp_path))
    async with aiohttp.ClientSession() as session:
        yield Prw(receiver, sink, session)
    await receiver.shutdown()


def written(headers: Any) -> list[str | None]:
    names = ("Samples", "Histograms", "Exemplars")
    return [headers.get(f"X-Prometheus-Remote-Write-{name}-Written") for name in names]


@VERSIONS
async def test_what_was_taken_is_answered_204_with_an_empty_body(prw: Prw, version: int) -> None:
    status, headers, text = await prw.write(Request(version).series(UP, sample(), sample(2.0, NOW + 1)))

    assert (status, text) == (204, "")
    assert written(headers) == (["2", "0", "0"] if version == 2 else [None] * 3)
    assert prw.sink.items == 2
    assert prw.sink.batches[0].origin.receiver == "prometheus_remote_write"


async def test_the_counts_are_those_of_each_kind(prw: Prw) -> None:
    exemplar = ({"trace_id": "0af7651916cd43dd8448eb211c80319c"}, 1.0, NOW)
    request = Request(2).series(UP, sample(), exemplars=[exemplar]).series({"__name__": "h"}, histograms=[histogram()])

    _, headers, _ = await prw.write(request)

    assert written(headers) == ["1", "1", "1"]


@VERSIONS
async def test_the_answer_waits_for_what_is_behind(prw: Prw, version: int) -> None:
    prw.sink.gate.clear()
    answer = asyncio.create_task(prw.write(Request(version).series(UP, sample())))
    await prw.sink.until(waiting=1)
    assert not answer.done()

    prw.sink.gate.set()

    assert (await answer)[0] == 204


@VERSIONS
@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (Retryable("full", 1.2), 503, "2"),
        (Retryable("full"), 503, None),
        (Permanent("no"), 400, None),
        (ZeroDivisionError(), 503, None),
    ],
    ids=["later", "again", "never", "fault"],
)
async def test_what_was_not_taken_is_answered_so_that_only_what_helps_is_sent_again(
    prw: Prw, version: int, error: Exception, status: int, retry_after: str | None
) -> None:
    prw.sink.error = error

    found, headers, _ = await prw.write(Request(version).series(UP, sample()))

    assert (found, headers.get("Retry-After")) == (status, retry_after)
    assert written(headers) == (["0", "0", "0"] if version == 2 else [None] * 3)


async def test_what_was_rejected_behind_is_told(prw: Prw) -> None:
    prw.sink.error = Partial(3, "too old")
    points = [sample(timestamp=NOW + index) for index in range(5)]

    status, headers, text = await prw.write(Request(2).series(UP, *points))

    assert (status, text, written(headers)[0]) == (400, "3 rejected: too old\n", "2")


@VERSIONS
async def test_a_bad_series_does_not_take_the_others_with_it(prw: Prw, version: int) -> None:
    request = Request(version).series({"job": "x"}, sample()).series(UP, sample())
    request.series([("__name__", "twice"), ("a", "1"), ("a", "2")], sample(), sample())

    status, headers, text = await prw.write(request)

    assert status == 400
    assert text == "2 left out: a label is there twice, first in 'twice'\n1 left out: there is no label __name__\n"
    assert [metric.name for metric in prw.metrics()] == ["up"]
    assert written(headers)[0] == ("1" if version == 2 else None)
    assert prw.receiver.left_out.values == {(("reason", "duplicate_label"),): 2, (("reason", "no_name"),): 1}


async def test_exemplars_without_a_point_are_no_fault(prw: Prw) -> None:
    status, headers, _ = await prw.write(Request(2).series(UP, exemplars=[({"a": "b"}, 1.0, NOW)]))

    assert (status, written(headers)) == (204, ["0", "0", "0"])
    assert prw.receiver.left_out.values == {(("reason", "exemplar_alone"),): 1}


@VERSIONS
async def test_an_empty_request_is_taken(prw: Prw, version: int) -> None:
    assert (await prw.write(Request(version)))[0] == 204
    assert prw.sink.batches == []


@pytest.mark.parametrize(
    ("content_type", "version"),
    [
        ("application/x-protobuf", 1),
        ("Application/X-Protobuf; charset=x", 1),
        ("application/x-protobuf;proto=prometheus.WriteRequest", 1),
        ("application/x-protobuf; proto=io.prometheus.write.v2.Request", 2),
        ('application/x-protobuf;proto="io.prometheus.write.v2.Request"', 2),
        ("application/x-protobuf;proto=io.prometheus.write.v3.Request", None),
        ("application/x-protobuf;proto=", None),
        ("application/json", None),
        ("", None),
    ],
)
def test_the_content_type_says_which_version_it_is(content_type: str, version: int | None) -> None:
    assert version_of(content_type) == version


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "identity"])
async def test_another_encoding_is_refused_before_the_body_is_looked_at(prw: Prw, encoding: str) -> None:
    status, _, text = await prw.post(b"not that, either", encoding=encoding)

    assert (status, "use one of snappy" in text) == (415, True)


async def test_another_media_type_is_refused_before_the_body_is_looked_at(prw: Prw) -> None:
    assert (await prw.post(b"{}", "application/json"))[0] == 415


async def test_a_body_without_an_encoding_is_snappy_all_the_same(prw: Prw) -> None:
    assert (await prw.post(Request(1).series(UP, sample()).body(), V1, encoding=None))[0] == 204


@pytest.mark.parametrize(
    ("body", "text"),
    [(b"\x08", "the message ends inside a number"), (b"\x2a\xff", "the message ends inside a number")],
    ids=["cut off", "length cut off"],
)
async def test_what_is_no_request_is_refused_for_good(prw: Prw, body: bytes, text: str) -> None:
    status, _, found = await prw.post(body)

    assert status == 400
    assert text in found or "not a remote-write request" in found
    assert prw.receiver.unreadable.values == {(("reason", "malformed"), ("transport", "http")): 1}


async def test_what_is_not_snappy_is_refused_for_good(prw: Prw) -> None:
    async with prw.session.post(
        prw.url, data=b"\xff\xff\xff", headers={"Content-Type": V2, "Content-Encoding": "snappy"}
    ) as response:
        assert response.status == 400


async def test_a_body_that_says_it_is_larger_than_allowed_is_not_inflated(prw: Prw) -> None:
    bomb = b"\x80\x80\x80\x80\x04" + b"\xfe\x01\x00" * 100  # 1 GiB
    async with prw.session.post(
        prw.url, data=bomb, headers={"Content-Type": V2, "Content-Encoding": "snappy"}
    ) as response:
        assert response.status == 413


async def test_metrics_that_would_be_many_times_larger_than_their_request_are_refused(tmp_path: Path) -> None:
    options = {"endpoint": "127.0.0.1:0", "max_request_body_size": 3000}
    receiver = build("prometheus_remote_write", options, sink := Sink(), kind=Kind.RECEIVER)
    await receiver.start(FakeHost(tmp_path))
    request = Request(2)
    for _ in range(60):
        request.series({**UP, "a": "x" * 1000}, sample())
    async with aiohttp.ClientSession() as session:
        status, _, text = await Prw(receiver, sink, session).write(request)
    await receiver.shutdown()

    assert (status, "larger as OTLP than is allowed" in text, sink.items) == (400, True, 0)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", PATH, 405), ("POST", "/", 404)])
async def test_there_is_one_thing_to_do_at_one_path(prw: Prw, method: str, path: str, status: int) -> None:
    async with prw.session.request(method, prw.url.removesuffix(PATH) + path) as response:
        assert response.status == status


async def test_a_reload_without_a_pipeline_for_metrics_takes_the_path_away(tmp_path: Path) -> None:
    downstream: dict[Signal, Sink] = {Signal.METRICS: Sink()}
    options = {"endpoint": "127.0.0.1:0"}
    receiver = build("prometheus_remote_write", options, downstream, kind=Kind.RECEIVER)
    await receiver.start(FakeHost(tmp_path))
    async with aiohttp.ClientSession() as session:
        del downstream[Signal.METRICS]
        status, _, _ = await Prw(receiver, Sink(), session).write(Request(2).series(UP, sample()))
    await receiver.shutdown()

    assert status == 404


async def test_headers_go_on_where_they_are_wanted(tmp_path: Path) -> None:
    options = {"endpoint": "127.0.0.1:0", "include_metadata": True}
    receiver = build("prometheus_remote_write", options, sink := Sink(), kind=Kind.RECEIVER)
    await receiver.start(FakeHost(tmp_path))
    async with aiohttp.ClientSession() as session:
        body = Request(2).series(UP, sample()).body()
        await Prw(receiver, sink, session).post(body, **{"X-Scope-OrgID": "a", "Authorization": "secret"})
    await receiver.shutdown()

    metadata = sink.batches[0].origin.metadata
    assert metadata["x-scope-orgid"] == ("a",)
    assert "authorization" not in metadata


async def test_a_sender_that_is_held_at_the_shutdown_is_told_to_come_back(prw: Prw) -> None:
    prw.sink.gate.clear()
    answer = asyncio.create_task(prw.write(Request(2).series(UP, sample())))
    await prw.sink.until(waiting=1)

    await prw.receiver.shutdown()

    assert (await answer)[0] == 503


async def test_what_a_target_is_stays_known_between_requests(prw: Prw) -> None:
    target = {"__name__": "target_info", "instance": "a:1", "job": "shop", "k8s_pod_name": "p"}
    await prw.write(Request(1).series(target, sample()).family("up", "counter", "h", "u"))
    await prw.write(Request(1).series(UP, sample()))

    owner = ExportMetricsServiceRequest.FromString(prw.sink.batches[0].payload).resource_metrics[0]
    attributes = {attribute.key: attribute.value.string_value for attribute in owner.resource.attributes}
    assert attributes == {"service.name": "shop", "service.instance.id": "a:1", "k8s_pod_name": "p"}
    (metric,) = prw.metrics()
    assert (metric.WhichOneof("data"), metric.unit, metric.description) == ("sum", "u", "h")


async def test_strings_that_are_not_utf8_are_mended_and_counted(prw: Prw) -> None:
    body = Request(1).series({"__name__": "up", "a": "bad?"}, sample()).body().replace(b"bad?", b"bad\xff")

    assert (await prw.post(body, V1))[0] == 204

    assert prw.receiver.repaired.value == 1
    assert prw.metrics()[0].gauge.data_points[0].attributes[0].value.string_value == "bad\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    "options", [{"endpoint": "9090"}, {"compression_algorithms": ["lzma"]}, {"path": "/"}], ids=lambda o: next(iter(o))
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        build("prometheus_remote_write", options, Sink(), kind=Kind.RECEIVER)


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="there is no Prometheus here")
async def test_prometheus_itself_sends_what_it_scrapes(prw: Prw, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "prometheus.yml").write_text(
        f"""
global: {{scrape_interval: 1s}}
scrape_configs: [{{job_name: shop/self, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
remote_write:
  - url: {prw.url}
    metadata_config: {{send_interval: 1s}}
    queue_config: {{batch_send_deadline: 1s}}
"""
    )
    process = await asyncio.create_subprocess_exec(
        *("prometheus", "--enable-feature=agent,native-histograms", f"--config.file={tmp_path}/prometheus.yml"),
        *(f"--storage.agent.path={tmp_path}/wal", f"--web.listen-address=127.0.0.1:{port}"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(30):
            await prw.sink.until(items=1500)
    finally:
        process.terminate()
        await process.wait()

    kinds = {metric.name: metric.WhichOneof("data") for metric in prw.metrics()}
    assert {"up", "go_goroutines", "prometheus_http_requests_total"} <= kinds.keys()
    assert kinds["go_memstats_alloc_bytes_total"] == "sum"
    owner = ExportMetricsServiceRequest.FromString(prw.sink.batches[-1].payload).resource_metrics[0]
    attributes = {attribute.key: attribute.value.string_value for attribute in owner.resource.attributes}
    assert (attributes["service.namespace"], attributes["service.name"]) == ("shop", "self")
    assert prw.receiver.left_out.value == prw.receiver.unreadable.value == 0
