"""A destination of OTLP that tells the oracle what arrived, and answers as a script says."""

import gzip
import json
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from concurrent import futures
from dataclasses import asdict, dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from .items import REQUESTS, is_poison, stamps_of
from .oracle import Helper, OracleClient, Wire

SERVICES = {
    "traces": trace_service_pb2.DESCRIPTOR.services_by_name["TraceService"].full_name,
    "logs": logs_service_pb2.DESCRIPTOR.services_by_name["LogsService"].full_name,
    "metrics": metrics_service_pb2.DESCRIPTOR.services_by_name["MetricsService"].full_name,
}
RESPONSES: dict[str, Any] = {
    "traces": trace_service_pb2.ExportTraceServiceResponse,
    "logs": logs_service_pb2.ExportLogsServiceResponse,
    "metrics": metrics_service_pb2.ExportMetricsServiceResponse,
}
REJECTED = {"traces": "rejected_spans", "logs": "rejected_log_records", "metrics": "rejected_data_points"}


@dataclass(slots=True)
class Rule:
    """What is answered, instead of success, to so many requests that it is for."""

    grpc: str = "OK"
    http: int = 200
    retry_after_s: float | None = None
    as_date: bool = False
    """Retry-After as an HTTP date."""
    rejected: int = 0
    message: str = ""
    sleep_s: float = 0.0
    takes: bool = False
    """Whether the items count as delivered all the same: the answer is what goes wrong."""
    poison_only: bool = False
    times: int = 1 << 30


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came."""

    at_s: float
    """Of a clock that all processes share."""
    answer: str
    """The name of the gRPC code, also of the one that an HTTP status stands for in the script."""
    keys: list[str]
    retry_after_s: float | None = None
    as_date: bool = False
    rejected: int = 0


class Sink:
    """What both servers share."""

    def __init__(self, name: str, oracle: OracleClient) -> None:
        self.name = name
        self._oracle = oracle
        self._rules: list[Rule] = []
        self._seen: list[Seen] = []
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._active = 0

    def script(self, *rules: dict[str, Any]) -> None:
        """Answer so from now on; without rules take everything."""
        with self._lock:
            self._rules = [Rule(**rule) for rule in rules]

    def begin(self) -> None:
        """Forget the run before, when all of it is answered."""
        with self._idle:
            self._idle.wait_for(lambda: not self._active)
            self._rules, self._seen = [], []

    def seen(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(each) for each in self._seen]

    def take(self, signal: str, body: bytes) -> Rule:
        """The answer to a request, after what is in it was delivered, where it was."""
        with self._lock:
            self._active += 1
        try:
            return self._take(signal, body)
        finally:
            with self._idle:
                self._active -= 1
                self._idle.notify_all()

    def _take(self, signal: str, body: bytes) -> Rule:
        request = REQUESTS[signal].FromString(body)
        stamps = list(stamps_of(signal, request))
        poisoned = is_poison(request)
        with self._lock:
            rule = next((r for r in self._rules if r.times > 0 and (poisoned or not r.poison_only)), Rule())
            rule.times -= 1
            refused = (rule.grpc, rule.http) != ("OK", 200)
            keys = [stamp.key for stamp in stamps]
            told = (rule.retry_after_s, rule.as_date, rule.rejected)
            self._seen.append(Seen(time.monotonic(), rule.grpc, keys, *told))
        if not refused or rule.takes:
            self._oracle.deliver(self.name, stamps[rule.rejected :])
        time.sleep(rule.sleep_s)
        return rule


class _Grpc(grpc.GenericRpcHandler):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        _, service, _ = handler_call_details.method.split("/")
        signal = next((name for name, full in SERVICES.items() if full == service), None)
        if signal is None:
            return None

        def export(body: bytes, context: grpc.ServicerContext) -> bytes:
            rule = self._sink.take(signal, body)
            if rule.grpc == "OK":
                return _response(signal, rule)
            code = grpc.StatusCode[rule.grpc]
            if rule.retry_after_s is not None:
                info = AnyMessage()
                wait = Duration()
                wait.FromNanoseconds(int(rule.retry_after_s * 1e9))
                info.Pack(RetryInfo(retry_delay=wait))
                details = Status(code=code.value[0], message="as the script says", details=[info])
                context.set_trailing_metadata((("grpc-status-details-bin", details.SerializeToString()),))
            context.abort(code, "as the script says")

        return grpc.unary_unary_rpc_method_handler(export)


def _response(signal: str, rule: Rule) -> bytes:
    response = RESPONSES[signal]()
    if rule.rejected or rule.message:
        setattr(response.partial_success, REJECTED[signal], rule.rejected)
        response.partial_success.error_message = rule.message
    encoded: bytes = response.SerializeToString()
    return encoded


def _http(sink: Sink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            signal = self.path.rpartition("/")[2]
            rule = sink.take(signal, body)
            answer = _response(signal, rule) if rule.http == 200 else b""
            self.send_response(rule.http)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            if rule.retry_after_s is not None:
                date = formatdate(time.time() + rule.retry_after_s, usegmt=True)
                self.send_header("Retry-After", date if rule.as_date else str(int(rule.retry_after_s)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no fault of ours."""


def serve(name: str, oracle_port: str) -> None:
    """Print the ports (gRPC, HTTP, control), and serve until stdin ends."""
    sink = Sink(name, OracleClient(int(oracle_port)))
    server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", 64 << 20)])
    server.add_generic_rpc_handlers((_Grpc(sink),))
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    http_server = _HttpServer(("127.0.0.1", 0), _http(sink))
    threading.Thread(target=http_server.serve_forever, daemon=True).start()

    class Control(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            operations: dict[str, Callable[..., Any]] = {"script": sink.script, "begin": sink.begin, "seen": sink.seen}
            for line in self.rfile:
                operation, arguments = json.loads(line)
                self.wfile.write(json.dumps(operations[operation](*arguments)).encode() + b"\n")
                self.wfile.flush()

    control = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Control)
    control.daemon_threads = True
    threading.Thread(target=control.serve_forever, daemon=True).start()
    print(grpc_port, http_server.server_address[1], control.server_address[1], flush=True)
    sys.stdin.read()
    server.stop(None)


class SinkClient:
    """The destination, from another process."""

    def __init__(self, name: str, oracle_port: int) -> None:
        self.name = name
        self._process = Helper("sink", name, str(oracle_port))
        self.grpc_port, self.http_port, control = map(int, self._process.said)
        self._wire = Wire(control)

    def begin(self) -> None:
        self._wire.call("begin")

    def script(self, *rules: Rule) -> None:
        """Answer so from now on."""
        self._wire.call("script", *map(asdict, rules))

    def seen(self) -> list[Seen]:
        """All requests of this run, in their order."""
        return [Seen(**each) for each in self._wire.call("seen")]

    def end(self) -> None:
        self._process.end()
