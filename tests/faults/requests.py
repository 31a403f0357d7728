"""Scenarios of requests that nobody should send: too large, too deep, not what they say, or far more than one."""

import gzip
import http.client
import json
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cramjam
import lz4.frame
import zstandard
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue

from airis.component.intake import ENCODINGS

from .configurations import to_sink
from .items import record_stamp, request_of, stamps_of
from .memory import peak_bytes, reset_peak
from .producers import GrpcSender
from .trial import Trial

MIB = 1024 * 1024
LIMIT_BYTES = MIB
"""Of a body, in these trials."""
SLACK_BYTES = 16 * MIB
BOMB_BYTES = 64 * MIB
PROTOBUF, JSON = "application/x-protobuf", "application/json"
SMALL = "max_request_body_size: 1048576"


@contextmanager
def _listening(trial: Trial) -> Iterator[None]:
    """An airis with a small limit; what honest senders send meanwhile arrives."""
    text = to_sink(trial.bench.sink()).replace("http: {endpoint: $HTTP}", f"http: {{endpoint: $HTTP, {SMALL}}}")
    trial.configure(text.replace("grpc: {endpoint: $GRPC}", "grpc: {endpoint: $GRPC, max_recv_msg_size_mib: 1}"))
    trial.start()
    with trial.load() as sending:
        sending.until(acknowledged=10)
        yield
        sending.until(acknowledged=10)
    process = trial.airis.process
    trial.expect(process is not None and process.poll() is None, "it lives")
    trial.settle()


class Answer:
    """An HTTP answer, read to its end."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.content_type = (answer.getheader("Content-Type") or "").partition(";")[0]
        self.retry_after = answer.getheader("Retry-After")
        self.body = answer.read()

    def says_why(self, encoding: str) -> bool:
        """Whether the body is a Status in the encoding of the request."""
        try:
            if encoding == JSON:
                return self.content_type == JSON and bool(json.loads(self.body)["message"])
            return self.content_type == PROTOBUF and bool(Status.FromString(self.body).message)
        except (ValueError, KeyError, DecodeError):
            return False


def post(
    trial: Trial, body: bytes, *, path: str = "/v1/logs", content_type: str = PROTOBUF, encoding: str = ""
) -> Answer:
    """One request by itself."""
    connection = http.client.HTTPConnection("127.0.0.1", trial.ports[1], timeout=30)
    headers = {"Content-Type": content_type} | ({"Content-Encoding": encoding} if encoding else {})
    try:
        connection.request("POST", path, body, headers)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def _post_in_chunks(trial: Trial, size: int) -> Answer:
    """One whose length is not declared; the server may end it on the way."""
    connection = http.client.HTTPConnection("127.0.0.1", trial.ports[1], timeout=30)
    try:
        connection.putrequest("POST", "/v1/logs")
        connection.putheader("Content-Type", PROTOBUF)
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        try:
            for _ in range(size // 65536):
                connection.send(b"10000\r\n" + bytes(65536) + b"\r\n")
            connection.send(b"0\r\n\r\n")
        except OSError:
            pass
        return Answer(connection.getresponse())
    finally:
        connection.close()


def too_large(trial: Trial) -> None:
    """R23: a body over the limit is refused for good, before it takes memory."""
    with _listening(trial):
        reset_peak(trial.airis.pid)
        before = peak_bytes(trial.airis.pid)
        for words, answer in (
            ("declared", post(trial, bytes(8 * LIMIT_BYTES))),
            ("by a byte", post(trial, bytes(LIMIT_BYTES + 1))),
            ("in chunks", _post_in_chunks(trial, 64 * LIMIT_BYTES)),
        ):
            trial.expect(answer.status == 413, f"a body too large ({words}) is answered 413, not {answer.status}")
            trial.expect(answer.retry_after is None, f"nobody is told to send it again ({words})")
        outcome = GrpcSender(trial.ports[0], "logs").send(bytes(2 * LIMIT_BYTES))
        trial.expect(outcome.code == "RESOURCE_EXHAUSTED", f"over gRPC it is RESOURCE_EXHAUSTED, not {outcome.code}")
        trial.expect(outcome.retry_after_s is None, "without RetryInfo")
        grown = peak_bytes(trial.airis.pid) - before
        trial.expect(grown < 2 * LIMIT_BYTES + SLACK_BYTES, f"memory grew by {grown // MIB} MiB")


def _framed_snappy_bomb() -> bytes:
    return bytes(cramjam.snappy.compress(bytes(BOMB_BYTES)))


def _forged_snappy() -> bytes:
    """A block that says it holds 4 GiB."""
    return b"\xff\xff\xff\xff\x0f" + bytes(100)


def _zstd_with_a_huge_window() -> bytes:
    parameters = zstandard.ZstdCompressionParameters(window_log=31, enable_ldm=True, strategy=1)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return compressor.compress(bytes(BOMB_BYTES)) + compressor.flush()


def _zstd_without_a_size() -> bytes:
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return compressor.compress(bytes(BOMB_BYTES)) + compressor.flush()


BOMBS: dict[tuple[str, str], Callable[[], bytes]] = {
    ("gzip", ""): lambda: gzip.compress(bytes(BOMB_BYTES)),
    ("gzip", "in members"): lambda: gzip.compress(bytes(BOMB_BYTES // 64)) * 64,
    ("deflate", ""): lambda: zlib.compress(bytes(BOMB_BYTES)),
    ("zlib", ""): lambda: zlib.compress(bytes(BOMB_BYTES)),
    ("zstd", "with its size"): lambda: zstandard.ZstdCompressor().compress(bytes(BOMB_BYTES)),
    ("zstd", "without its size"): _zstd_without_a_size,
    ("zstd", "with a window of 2 GiB"): _zstd_with_a_huge_window,
    ("snappy", ""): lambda: bytes(cramjam.snappy.compress_raw(bytes(BOMB_BYTES))),
    ("snappy", "that says 4 GiB"): _forged_snappy,
    ("x-snappy-framed", ""): _framed_snappy_bomb,
    ("lz4", ""): lambda: lz4.frame.compress(bytes(BOMB_BYTES)),
}
assert {name for name, _ in BOMBS} == {*ENCODINGS} - {""}


def bombs(trial: Trial) -> None:
    """R24: what becomes far larger than it came is refused, in every encoding by itself, and takes no memory."""
    with _listening(trial):
        for (encoding, words), make in BOMBS.items():
            body = make()
            reset_peak(trial.airis.pid)
            before = peak_bytes(trial.airis.pid)
            answer = post(trial, body, encoding=encoding)
            grown = peak_bytes(trial.airis.pid) - before
            about = f"{encoding} {words}".strip()
            # A window or a size that no honest sender writes may also be called malformed.
            may_be = (413, 400) if "that says" in words or "window" in words else (413,)
            trial.expect(answer.status in may_be, f"a bomb in {about} is answered 413, not {answer.status}")
            trial.expect(grown < LIMIT_BYTES + SLACK_BYTES, f"memory grew by {grown // MIB} MiB for {about}")
        nested = gzip.compress(gzip.compress(bytes(BOMB_BYTES)))
        answer = post(trial, nested, encoding="gzip, gzip")
        trial.expect(answer.status in (413, 415), f"nested encodings are refused, not {answer.status}")


def malformed(trial: Trial) -> None:
    """R25: what is no request is refused in its own encoding, without a word about our insides."""
    good = request_of("logs", f"{trial.run}.x", 0, range(3), time.time_ns()).SerializeToString()
    bodies = [good[:-1], b"\xff" * 50, b"\x0a\xff\xff\xff\xff\x7f", b"<html>", good[1:]]
    bodies += [trial.rng.randbytes(trial.rng.randrange(1, 200)) for _ in range(round(20 * trial.size))]
    with _listening(trial):
        for body in bodies:
            for encoding, path in ((PROTOBUF, "/v1/logs"), (JSON, "/v1/traces"), (PROTOBUF, "/v1/metrics")):
                answer = post(trial, body, path=path, content_type=encoding)
                if encoding == PROTOBUF and answer.status == 200 and body not in bodies[:5]:
                    continue  # bytes at random may be a message of fields that nobody knows
                trial.expect(answer.status == 400, f"{body[:20]!r} as {encoding} is answered 400, not {answer.status}")
                trial.expect(answer.says_why(encoding), f"{body[:20]!r} as {encoding} is answered in {encoding}")
                trial.expect(b"Traceback" not in answer.body, "no traceback in an answer")
            outcome = GrpcSender(trial.ports[0], "logs").send(body) if body in bodies[:5] else None
            trial.expect(
                outcome is None or outcome.code in ("INVALID_ARGUMENT", "INTERNAL"),
                f"{body[:20]!r} over gRPC is refused for good, not {outcome}",
            )
        for content_type in ("text/plain", "application/xml", ""):
            answer = post(trial, good, content_type=content_type)
            trial.expect(answer.status == 415, f'content type "{content_type}" is answered 415, not {answer.status}')
        for content_type, body in ((PROTOBUF, b""), (JSON, b"{}")):
            answer = post(trial, body, content_type=content_type)
            trial.expect(answer.status == 200, f"an empty request is a success, not {answer.status}")


def _nested(depth: int) -> AnyValue:
    value = AnyValue(string_value="deep")
    for _ in range(depth):
        value = AnyValue(array_value=ArrayValue(values=[value]))
    return value


def _nested_bytes(depth: int) -> bytes:
    """The same as protobuf, for depths that the library does not write."""
    value = b"\x0a\x04deep"
    for _ in range(depth):
        value = b"\x2a" + _long(b"\x0a" + _long(value))
    record = b"\x2a" + _long(value)
    return b"\x0a" + _long(b"\x12" + _long(b"\x12" + _long(record)))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _nested_json(depth: int, key: str = "") -> bytes:
    value = b'{"arrayValue":{"values":[' * depth + b'{"stringValue":"deep"}' + b"]}}" * depth
    attribute = b'{"key":"fault.key","value":{"stringValue":"%s"}}' % key.encode()
    record = b'{"timeUnixNano":"1","attributes":[%s],"body":%s}' % (attribute, value)
    return b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%s]}]}]}' % record


def too_deep(trial: Trial) -> None:
    """R26: values within the limit arrive as they are, deeper ones are refused, whatever carries them."""
    with _listening(trial):
        for depth in (1, 16, 32):
            request = request_of("logs", f"{trial.run}.deep", depth, range(1), 1)
            record = request.resource_logs[0].scope_logs[0].log_records[0]
            record.attributes.append(KeyValue(key="deep", value=_nested(depth)))
            trial.bench.oracle.issue(stamps_of("logs", request))
            answer = post(trial, request.SerializeToString())
            trial.expect(answer.status == 200, f"depth {depth} is taken, not {answer.status}")
            trial.bench.oracle.acknowledge([stamp.key for stamp in stamps_of("logs", request)])
            in_json = record_stamp(f"{trial.run}.json/{depth}/0", 1, "")
            trial.bench.oracle.issue([in_json])
            answer = post(trial, _nested_json(depth, in_json.key), content_type=JSON)
            trial.expect(answer.status == 200, f"depth {depth} in JSON is taken, not {answer.status}")
            trial.bench.oracle.acknowledge([in_json.key])
        for depth in (100, 1000, 20_000, 100_000):
            for words, content_type, body in (
                ("", PROTOBUF, _nested_bytes(depth)),
                ("in JSON ", JSON, _nested_json(depth)),
            ):
                answer = post(trial, body, content_type=content_type)
                may_be = (400, 413) if len(body) > LIMIT_BYTES else (400,)
                trial.expect(answer.status in may_be, f"depth {depth} {words}is refused, not {answer.status}")


def not_utf8(trial: Trial) -> None:
    """R27: text that is not UTF-8 is repaired and counted; the request arrives."""
    with _listening(trial):
        for number, noise in enumerate((b"\xff\xfe\x80", b"\xed\xa0\x80", b"\xc0\xaf.", b"a\x00b")):
            request = request_of("logs", f"{trial.run}.noise", number, range(5), 1)
            record = request.resource_logs[0].scope_logs[0].log_records[2]
            record.attributes.append(KeyValue(key="noise", value=AnyValue(string_value="#" * len(noise))))
            stamps = list(stamps_of("logs", request))
            body = request.SerializeToString().replace(b"#" * len(noise), noise)
            trial.bench.oracle.issue(stamps)
            answer = post(trial, body)
            trial.expect(answer.status == 200, f"{noise!r} in a text is no reason to refuse, but {answer.status}")
            trial.bench.oracle.acknowledge([stamp.key for stamp in stamps])
        repaired = trial.airis.counted("airis_receiver_repaired_strings")
        trial.expect(repaired == 3, f"3 texts were repaired and counted, not {repaired}")


def many(trial: Trial) -> None:
    """R28: very many of something small take no more memory than they are worth."""
    many_attributes = request_of("logs", f"{trial.run}.many", 0, range(1), 1)
    attributes = many_attributes.resource_logs[0].scope_logs[0].log_records[0].attributes
    attributes.extend(KeyValue(key=f"k{n}", value=AnyValue(int_value=n)) for n in range(40_000))
    trial.bench.oracle.issue([*stamps_of("logs", many_attributes), record_stamp("", 0, "")])
    bodies = {
        "empty messages": b"\x0a\x00" * (LIMIT_BYTES // 2),
        "attributes": many_attributes.SerializeToString(),
        "tiny resources": b"\x0a\x06\x0a\x04\x0a\x02\x0a\x00" * (LIMIT_BYTES // 8),
        "empty records": b"\x0a" + _long(b"\x12" + _long(b"\x12\x00" * 100_000)),
    }
    with _listening(trial):
        for words, body in bodies.items():
            reset_peak(trial.airis.pid)
            before = peak_bytes(trial.airis.pid)
            answer = post(trial, body)
            trial.expect(answer.status in (200, 400, 413), f"{words} are answered, with {answer.status}")
            grown = peak_bytes(trial.airis.pid) - before
            trial.expect(grown < 32 * len(body) + SLACK_BYTES, f"memory grew by {grown // MIB} MiB for {words}")


def _long(content: bytes) -> bytes:
    return _varint(len(content)) + content
