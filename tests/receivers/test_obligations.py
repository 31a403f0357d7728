"""The obligations of an OTLP server, as the specification and the Collector have them, over real sockets."""

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import aiohttp
import cramjam
import grpc
import lz4.frame
import pytest
import zstandard
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from airis.component import Partial, Permanent, Retryable
from airis.data import Signal

from .conftest import Client, GrpcClient, HttpClient, Otlp, StartOtlp, request_of

REJECTED_FIELD = {
    Signal.TRACES: "rejected_spans",
    Signal.METRICS: "rejected_data_points",
    Signal.LOGS: "rejected_log_records",
    Signal.PROFILES: "rejected_profiles",
}


def retry_delay_s(status: Status | None) -> float | None:
    """The delay in a Status' RetryInfo."""
    assert status is not None
    for detail in status.details:
        info = RetryInfo()
        assert detail.Unpack(info)
        return info.retry_delay.ToNanoseconds() / 1e9
    return None


def is_code(client: Client, code: str, grpc_code: str, http_status: str) -> bool:
    return code == (grpc_code if isinstance(client, GrpcClient) else http_status)


async def test_what_was_taken_is_answered_with_an_empty_message(client: Client, otlp: Otlp, signal: Signal) -> None:
    request = request_of(signal, 3)

    outcome = await client.export(signal, request)

    assert is_code(client, outcome.code, "OK", "200")
    assert outcome.response is not None
    assert not outcome.response.HasField("partial_success")
    assert [(b.signal, b.payload, b.items) for b in otlp.sink.batches] == [(signal, request, 3)]


async def test_an_empty_request_is_a_success_that_goes_no_further(client: Client, otlp: Otlp, signal: Signal) -> None:
    otlp.sink.error = AssertionError("an empty batch was handed on")

    for request in (b"", request_of(signal, 0)):
        assert is_code(client, (await client.export(signal, request)).code, "OK", "200")


@pytest.mark.parametrize(
    ("error", "grpc_code", "http_status", "delay_s", "retry_after"),
    [
        (Retryable("full", 1.5), "UNAVAILABLE", "503", 1.5, "2"),
        (Retryable("full", 0.0), "UNAVAILABLE", "503", 0, "0"),
        (Retryable("full"), "UNAVAILABLE", "503", None, None),
        (Permanent("full"), "INVALID_ARGUMENT", "400", None, None),
    ],
    ids=["retryable with delay", "retryable at once", "retryable", "permanent"],
)
async def test_a_refusal_says_whether_and_when_to_try_again(
    client: Client,
    otlp: Otlp,
    signal: Signal,
    error: Exception,
    grpc_code: str,
    http_status: str,
    delay_s: float | None,
    retry_after: str | None,
) -> None:
    otlp.sink.error = error

    outcome = await client.export(signal, request_of(signal))

    assert is_code(client, outcome.code, grpc_code, http_status)
    assert outcome.status is not None
    assert outcome.status.code == getattr(grpc.StatusCode, grpc_code).value[0]
    assert outcome.status.message == "full"
    assert retry_delay_s(outcome.status) == delay_s
    if isinstance(client, HttpClient):
        assert outcome.headers.get("retry-after") == retry_after


@pytest.mark.parametrize(("rejected", "reason"), [(2, "two names are too long"), (0, "only a warning")])
async def test_a_partial_success_has_the_rejected_count(
    client: Client, otlp: Otlp, signal: Signal, rejected: int, reason: str
) -> None:
    otlp.sink.error = Partial(rejected, reason)

    outcome = await client.export(signal, request_of(signal, 5))

    assert is_code(client, outcome.code, "OK", "200")
    assert outcome.response is not None
    partial: Any = outcome.response.partial_success
    told = f"2 samples: {reason}" if signal is Signal.PROFILES and rejected else reason
    assert (getattr(partial, REJECTED_FIELD[signal]), partial.error_message) == (rejected, told)


async def test_a_fault_behind_asks_for_another_try_without_its_text(client: Client, otlp: Otlp) -> None:
    otlp.sink.error = RuntimeError("secret")

    outcome = await client.export(Signal.LOGS, request_of(Signal.LOGS))

    assert is_code(client, outcome.code, "UNAVAILABLE", "503")
    assert "secret" not in str(outcome)


async def test_a_long_reason_reaches_the_client_cut(client: Client, otlp: Otlp) -> None:
    otlp.sink.error = Retryable("ü" * 20_000, 1)

    outcome = await client.export(Signal.LOGS, request_of(Signal.LOGS))

    assert is_code(client, outcome.code, "UNAVAILABLE", "503")
    assert outcome.status is not None
    assert outcome.status.message == "ü" * 500


async def test_what_cannot_be_decoded_is_the_clients_fault(client: Client, otlp: Otlp, signal: Signal) -> None:
    garbage = b"\x0a\xff"

    if isinstance(client, HttpClient):
        outcome = await client.post(signal, garbage)
    else:
        outcome = await client.export(signal, garbage)

    assert is_code(client, outcome.code, "INVALID_ARGUMENT", "400")
    assert outcome.status is not None
    assert outcome.status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert outcome.status.message
    assert otlp.receiver.admission.unreadable.value == 1
    assert not otlp.sink.batches


@pytest.mark.parametrize("kind", ["protobuf", "json"])
async def test_a_body_over_the_limit_is_413(start_otlp: StartOtlp, kind: str) -> None:
    otlp = await start_otlp(http={"max_request_body_size": 10_000})
    client = otlp.client(kind)
    assert isinstance(client, HttpClient)

    plain = await client.post(Signal.LOGS, bytes(10_001))
    inflated = await client.post(Signal.LOGS, gzip.compress(bytes(10_001)), {"content-encoding": "gzip"})

    for outcome in (plain, inflated):
        assert outcome.code == "413"
        assert outcome.status is not None
        assert outcome.status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
        assert retry_delay_s(outcome.status) is None
    assert otlp.receiver.admission.unreadable.value == 2


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
async def test_a_grpc_message_over_the_limit_is_resource_exhausted_for_good(
    start_otlp: StartOtlp, compression: grpc.Compression
) -> None:
    otlp = await start_otlp(grpc={"max_recv_msg_size_mib": 1})
    client = otlp.client("grpc")
    assert isinstance(client, GrpcClient)
    fits, too_large = request_of(Signal.LOGS, 1, "x" * 1_000_000), request_of(Signal.LOGS, 1, "x" * 1_100_000)

    assert (await client.export(Signal.LOGS, fits, compression=compression)).code == "OK"
    outcome = await client.export(Signal.LOGS, too_large, compression=compression)

    assert outcome.code == "RESOURCE_EXHAUSTED"
    assert retry_delay_s(outcome.status) is None


async def test_a_request_of_several_mib_is_taken_by_default(start_otlp: StartOtlp, kind: str) -> None:
    otlp = await start_otlp()

    outcome = await otlp.client(kind).export(Signal.LOGS, request_of(Signal.LOGS, 3, "x" * 1_000_000))

    assert outcome.code in ("OK", "200")
    assert otlp.sink.items == 3


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zlib": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "lz4": lz4.frame.compress,
    "snappy": lambda data: bytes(cramjam.snappy.compress_raw(data)),
    "x-snappy-framed": lambda data: bytes(cramjam.snappy.compress(data)),
    "identity": bytes,
}


@pytest.mark.parametrize("encoding", ENCODERS)
async def test_every_content_encoding_is_taken(otlp: Otlp, encoding: str) -> None:
    client = otlp.client("protobuf")
    assert isinstance(client, HttpClient)
    request = request_of(Signal.TRACES, 2000)  # more than goes through the loop's own thread, compressed

    outcome = await client.post(Signal.TRACES, ENCODERS[encoding](request), {"content-encoding": encoding})

    assert outcome.code == "200"
    assert otlp.sink.batches[0].payload == request


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_grpc_compression_is_taken(otlp: Otlp, compression: grpc.Compression) -> None:
    client = otlp.client("grpc")
    assert isinstance(client, GrpcClient)

    assert (await client.export(Signal.TRACES, request_of(Signal.TRACES, 9), compression=compression)).code == "OK"
    assert otlp.sink.items == 9


@pytest.mark.parametrize("kind", ["protobuf", "json"])
@pytest.mark.parametrize(("encoding", "status"), [("br", "415"), ("gzip", "400")], ids=["unknown", "corrupt"])
async def test_a_body_that_cannot_be_inflated_is_the_clients_fault(
    otlp: Otlp, kind: str, encoding: str, status: str
) -> None:
    client = otlp.client(kind)
    assert isinstance(client, HttpClient)

    outcome = await client.post(Signal.LOGS, b"garbage", {"content-encoding": encoding})

    assert outcome.code == status
    assert outcome.status is not None
    assert encoding in outcome.status.message
    if encoding == "br":
        assert outcome.headers["accept-encoding"] == "gzip, zstd, zlib, snappy, deflate, lz4, x-snappy-framed"


@pytest.mark.parametrize(
    ("method", "path", "content_type", "status"),
    [
        ("GET", "/v1/traces", "application/json", 405),
        ("PUT", "/v1/logs", "application/json", 405),
        ("POST", "/v1/traces", "text/plain", 415),
        ("POST", "/v1/traces", "", 415),
        ("POST", "/", "application/json", 404),
        ("POST", "/v1/traces/", "application/json", 404),
        ("POST", "/v1/profiles", "application/json", 404),
        ("POST", "/v1development/profiles", "application/json", 200),
        ("POST", "/v1/traces", "Application/JSON; charset=utf-8", 200),
    ],
)
async def test_the_way_to_ask_is_checked(otlp: Otlp, method: str, path: str, content_type: str, status: int) -> None:
    async with (
        aiohttp.ClientSession(skip_auto_headers=["content-type"]) as session,
        session.request(method, otlp.url + path, data=b"{}", headers={"content-type": content_type}) as reply,
    ):
        assert reply.status == status
        assert reply.content_type == ("application/json" if status == 200 else "text/plain")
        assert reply.headers.get("allow") == ("POST" if status == 405 else None)


async def test_a_signal_that_no_pipeline_takes_is_not_offered(start_otlp: StartOtlp) -> None:
    otlp = await start_otlp(downstream={Signal.TRACES: None})
    grpc_client = otlp.client("grpc")

    assert (await grpc_client.export(Signal.METRICS, b"")).code == "UNIMPLEMENTED"
    assert (await grpc_client.export(Signal.TRACES, b"")).code == "OK"
    async with aiohttp.ClientSession() as session, session.post(f"{otlp.url}/v1/metrics") as reply:
        assert reply.status == 404


async def test_invalid_utf8_is_repaired_and_counted(start_otlp: StartOtlp) -> None:
    otlp = await start_otlp()
    request = request_of(Signal.LOGS, 1, "name").replace(b"name", b"n\xffme")

    for kind in ("grpc", "protobuf"):
        assert (await otlp.client(kind).export(Signal.LOGS, request)).code in ("OK", "200")

    assert [b"n\xef\xbf\xbdme" in batch.payload for batch in otlp.sink.batches] == [True, True]
    assert otlp.receiver.admission.repaired.value == 2
