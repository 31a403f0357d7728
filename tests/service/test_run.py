"""The service as its user meets it: it starts or says why not, ends or is killed, and keeps what it acknowledged."""

import itertools
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from ..running import AIRIS, PATIENCE_S, PORTS_OF_ITS_OWN, Airis, get

Start = Callable[..., Airis]

SLOW_BATCHES = PORTS_OF_ITS_OWN.replace("batch: }", "batch: {timeout: 10s, send_batch_size: 100000}}")
SPANS = 20
"""In each request of the load."""
SENDERS = 4
RETRYABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED}
"""OTLP specification, "Failures": a client sends again after these."""


def resource(service: str) -> Resource:
    return Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value=service))])


def spans(service: str, batch: int, count: int = SPANS) -> ExportTraceServiceRequest:
    """A request whose spans have the batch's number as their name."""
    request = ExportTraceServiceRequest()
    scoped = request.resource_spans.add(resource=resource(service)).scope_spans.add()
    now = time.time_ns()
    for number in range(count):
        scoped.spans.add(
            trace_id=os.urandom(16),
            span_id=(batch * count + number + 1).to_bytes(8, "big"),
            name=str(batch),
            start_time_unix_nano=now,
            end_time_unix_nano=now + 1000,
        )
    return request


class Load:
    """Senders that each have one request on the way, until the end; it keeps what became of every batch."""

    def __init__(self, endpoint: str) -> None:
        self.acknowledged: list[int] = []
        self.refusals: list[grpc.StatusCode] = []
        self._endpoint = endpoint
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]

    def until(self, acknowledged: int) -> None:
        """Wait until so many more batches are acknowledged."""
        with self._changed:
            wanted = len(self.acknowledged) + acknowledged
            assert self._changed.wait_for(lambda: len(self.acknowledged) >= wanted, PATIENCE_S), self.refusals

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Wait for the last answers."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        with grpc.insecure_channel(self._endpoint) as channel:
            stub = TraceServiceStub(channel)
            while not self._stopping.is_set():
                with self._changed:
                    number = next(self._numbers)
                try:
                    stub.Export(spans("load", number), timeout=PATIENCE_S)
                except grpc.RpcError as refused:
                    with self._changed:
                        self.refusals.append(refused.code())
                    self._stopping.wait(0.05)  # as clients do
                else:
                    with self._changed:
                        self.acknowledged.append(number)
                        self._changed.notify_all()


@contextmanager
def load(airis: Airis) -> Iterator[Load]:
    sending = Load(airis.grpc)
    sending.start()
    try:
        yield sending
    finally:
        sending.end()


def assert_stored_once(airis: Airis, load: Load) -> None:
    """Every acknowledged batch is there, whole; and none is there twice, acknowledged or not."""
    stored = {
        int(row["batch"]): (row["spans"], row["different"])
        for row in airis.rows(
            "SELECT SpanName AS batch, toInt32(count()) AS spans, toInt32(uniqExact(SpanId)) AS different"
            " FROM otel_traces WHERE ServiceName = 'load' GROUP BY batch"
        )
    }
    whole_and_once = (SPANS, SPANS)
    assert {number: stored.get(number) for number in load.acknowledged if stored.get(number) != whole_and_once} == {}
    assert {number: found for number, found in stored.items() if found != whole_and_once} == {}


class DeadBeforeItAnswers:
    """Stands before the store, passes everything on, and kills the store when it begins to answer an insert."""

    def __init__(self, airis: Airis) -> None:
        self.lost = threading.Event()
        self._pid = airis.store_pid
        self._path = airis.data_dir / "store.sock"
        self._store = self._path.rename(airis.data_dir / "moved.sock")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self.lost.is_set():
            client, _ = self._listener.accept()
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        inserting = False
        with client, socket.socket(socket.AF_UNIX) as store:
            store.connect(str(self._store))
            while True:
                readable, _, _ = select.select([client, store], [], [])
                if client in readable:
                    asked = client.recv(65536)
                    inserting = inserting or b"INSERT" in asked
                    store.sendall(asked)
                    if not asked:
                        return
                if store in readable:
                    answer = store.recv(65536)
                    if inserting:
                        self._path.unlink()  # for the next one, which listens there itself
                        os.kill(self._pid, signal.SIGKILL)
                        self.lost.set()
                        return
                    client.sendall(answer)


def wait_for_the_end_of(pid: int) -> None:
    """Wait until a process that is not our child has ended."""
    if not hasattr(os, "pidfd_open"):  # macOS has no event for it without a library
        while subprocess.run(["ps", "-p", str(pid)], stdout=subprocess.DEVNULL, check=False).returncode == 0:
            time.sleep(0.05)
        return
    with suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            assert select.select([process], [], [], PATIENCE_S)[0], f"process {pid} is still there"
        finally:
            os.close(process)


@pytest.fixture(scope="module")
def airis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airis]:
    """One that the tests share which leave it as it was; its batches would take 10 s to fill."""
    airis = Airis(tmp_path_factory.mktemp("shared"), SLOW_BATCHES)
    try:
        yield airis.start()
    finally:
        airis.end()


def test_on_a_terminal_it_says_what_to_do(tmp_path: Path) -> None:
    airis = Airis(tmp_path, PORTS_OF_ITS_OWN.replace("logs: {encoding: json}", "logs: {encoding: console}"))
    terminal, its_side = os.openpty()
    airis.process = subprocess.Popen(airis.command, env=airis.environment, stderr=its_side, text=True)
    os.close(its_side)
    said = b""
    try:
        while b"| sql" not in said and select.select([terminal], [], [], PATIENCE_S)[0]:
            said += os.read(terminal, 65536)
        shown = said.decode().replace("\r\n", "\n")

        assert "airis is ready." in shown
        assert "\x1b" not in shown, "NO_COLOR is set"
        for name, address in airis.instance["endpoints"].items():
            assert any(line.split() == [*name.split(), address] for line in shown.splitlines())
        assert f"export OTEL_EXPORTER_OTLP_ENDPOINT=http://{airis.grpc}\n" in shown
        assert "export OTEL_EXPORTER_OTLP_PROTOCOL=grpc\n" in shown
        assert "airis demo" in shown
        assert airis.stop(signal.SIGINT) == 0
    finally:
        airis.end()
        os.close(terminal)


def test_a_start_with_the_slower_kernels_says_so_once(tmp_path: Path) -> None:
    airis = Airis(tmp_path, AIRIS_KERNELS="reference")
    try:
        airis.start()

        told = [line for line in airis.log if line.get("kernels") == "reference"]
        assert [line["level"] for line in told] == ["warning"]
        assert told[0]["reason"] == "AIRIS_KERNELS asks for the slower ones"
    finally:
        airis.end()


def test_it_says_that_it_is_ready(airis: Airis) -> None:
    status, body = get(airis.health)
    assert (status, "Server available" in body) == (200, True)
    assert get(f"{airis.api}/readyz")[0] == 200
    assert get(f"{airis.api}/healthz")[0] == 200


def test_its_own_counts_are_what_was_sent(airis: Airis) -> None:
    logs = ExportLogsServiceRequest()
    records = logs.resource_logs.add(resource=resource("counted")).scope_logs.add().log_records
    metrics = ExportMetricsServiceRequest()
    metric = metrics.resource_metrics.add(resource=resource("counted")).scope_metrics.add().metrics.add(name="m")
    for number in range(7):
        records.add(time_unix_nano=time.time_ns(), severity_number=9)
        metric.gauge.data_points.add(time_unix_nano=time.time_ns() + number, as_int=number)
    ends = [
        f"otelcol_{end}_{items}"
        for end in ("receiver_accepted", "exporter_sent", "receiver_refused", "exporter_send_failed")
        for items in ("spans", "metric_points", "log_records")
    ]
    before = {name: airis.counted(name) for name in ends}

    with grpc.insecure_channel(airis.grpc) as channel:
        TraceServiceStub(channel).Export(spans("counted", 1, count=5))
        MetricsServiceStub(channel).Export(metrics)
        LogsServiceStub(channel).Export(logs)

    assert [airis.counted(name) - before[name] for name in ends] == [5, 7, 7, 5, 7, 7, 0, 0, 0, 0, 0, 0]
    (stored,) = airis.rows("SELECT toInt32(count()) AS n FROM otel_traces WHERE ServiceName = 'counted'")
    assert stored == {"n": 5}


def test_a_client_with_one_request_on_the_way_never_waits_for_a_batch_to_fill(airis: Airis) -> None:
    started = time.monotonic()

    with grpc.insecure_channel(airis.grpc) as channel:
        stub = TraceServiceStub(channel)
        for number in range(20):
            stub.Export(spans("patient", number, count=1), timeout=PATIENCE_S)

    assert time.monotonic() - started < 10, "20 requests took longer than the timeout of one batch"


def test_a_directory_has_one_instance(airis: Airis) -> None:
    code, said = airis.fail_to_start()

    assert code == 1
    assert said == f"airis: --data-dir: {airis.data_dir} is in use by airis with process id {airis.pid}\n"
    assert get(airis.health)[0] == 200


@pytest.mark.parametrize(
    ("option", "port_of"),
    [
        ("receivers::otlp::protocols::grpc::endpoint", "grpc: {endpoint: "),
        ("receivers::otlp::protocols::http::endpoint", "http: {endpoint: "),
        ("extensions::query::endpoint", "query: {endpoint: "),
        ("extensions::health_check::endpoint", "health_check: {endpoint: "),
        ("service::telemetry::metrics::address", "metrics: {address: "),
    ],
    ids=["OTLP gRPC", "OTLP HTTP", "query API", "health", "own metrics"],
)
def test_a_taken_port_is_said_in_one_line(tmp_path: Path, option: str, port_of: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        configuration = PORTS_OF_ITS_OWN.replace(f'{port_of}"127.0.0.1:0"', f'{port_of}"{address}"')
        assert configuration != PORTS_OF_ITS_OWN

        code, said = Airis(tmp_path, configuration).fail_to_start()

    assert code == 1
    assert said == f'airis: {option}: "{address}": the port is taken; stop what listens there or write another one\n'


def test_every_mistake_of_a_configuration_is_said_with_its_place(tmp_path: Path) -> None:
    configuration = PORTS_OF_ITS_OWN.replace("limit_percentage: 80", "limit_percentge: 80")
    configuration = configuration.replace("metrics: {receivers: [otlp]", "metrics: {receivers: [oltp]")
    airis = Airis(tmp_path, configuration.replace("exporters: {store: }", "exporters: {stroe: }"))

    code, said = airis.fail_to_start()

    assert code == 2
    mistakes = [line for line in said.splitlines() if line.startswith(str(airis.config))]
    places = [
        _place(configuration, "limit_percentge"),
        _place(configuration, "store: }"),
        _place(configuration, "oltp"),
    ]
    assert sorted(line.split(": ")[0] for line in mistakes) == sorted(f"{airis.config}:{place}" for place in places)
    assert mistakes == sorted(mistakes, key=lambda line: [int(n) for n in line.split(": ")[0].split(":")[1:]])
    assert said.endswith("\n3 errors; nothing was started. See docs/config.md\n")
    assert not airis.data_dir.exists()


def _place(text: str, line_with: str, column_of: str = "") -> str:
    """line:column of a text, the second one in the line that has the first."""
    number, line = next((n, line) for n, line in enumerate(text.splitlines(), 1) if line_with in line)
    return f"{number}:{line.index(column_of or line_with) + 1}"


@pytest.mark.parametrize("where", ["it is a file", "it is below a file", "nobody may write"])
def test_a_data_directory_that_cannot_be_is_said_in_one_line(tmp_path: Path, where: str) -> None:
    airis = Airis(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "read-only").mkdir(mode=0o500)
    data_dir = {
        "it is a file": tmp_path / "file",
        "it is below a file": tmp_path / "file" / "data",
        # root may write everywhere but there
        "nobody may write": tmp_path / "read-only" / "data" if os.geteuid() else Path("/sys/airis"),
    }[where]
    airis.command[-1] = data_dir

    code, said = airis.fail_to_start()

    assert code == 1
    (line,) = said.splitlines()
    assert line.startswith(f"airis: --data-dir: {data_dir}: ")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_lets_it_drain_and_end_well(start_airis: Start, number: int) -> None:
    airis = start_airis()
    store = airis.store_pid

    with load(airis) as sending:
        sending.until(acknowledged=20)
        assert airis.stop(number) == 0

    assert [line["event"] for line in airis.log] == ["ready", "shutting down", "ended"]
    assert set(sending.refusals) <= RETRYABLE
    wait_for_the_end_of(store)
    assert not (airis.data_dir / "instance.json").exists()
    assert_stored_once(airis, sending)  # read without a running instance


def test_it_takes_more_clients_than_the_files_a_process_has_by_default(tmp_path: Path) -> None:
    airis = Airis(tmp_path)
    airis.command = ["sh", "-c", 'ulimit -Sn 150; exec "$@"', "sh", *airis.command]
    host = "127.0.0.1"
    try:
        port = int(airis.start().http.rpartition(":")[2])
        with ExitStack() as clients:
            for _ in range(300):
                client = clients.enter_context(socket.create_connection((host, port), PATIENCE_S))
                client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                assert client.recv(12) == b"HTTP/1.1 404"
        assert airis.stop() == 0
    finally:
        airis.end()


def test_a_second_signal_ends_it_at_once(start_airis: Start) -> None:
    airis = start_airis()
    store = airis.store_pid
    os.kill(store, signal.SIGSTOP)  # so that there is no end to the drain
    try:
        assert get(f"{airis.api}/readyz")[0] == 503
        assert get(f"{airis.api}/healthz")[0] == 200
        assert airis.process is not None
        airis.process.send_signal(signal.SIGTERM)
        airis.until("shutting down")
        started = time.monotonic()
        assert airis.stop(signal.SIGTERM) == 1
        assert time.monotonic() - started < 10, "it ended no sooner than it would have without the signal"
        assert airis.until("shutdown cut short by a second signal")["components"]
    finally:
        os.kill(store, signal.SIGCONT)
    wait_for_the_end_of(store)


def test_after_a_kill_a_new_start_has_all_that_was_acknowledged(start_airis: Start) -> None:
    airis = start_airis()
    store = airis.store_pid

    with load(airis) as sending:
        sending.until(acknowledged=20)
        airis.stop(signal.SIGKILL)
    airis.start()  # at once: the store of the killed one may still be there

    wait_for_the_end_of(store)
    assert airis.store_pid != store
    assert_stored_once(airis, sending)
    with load(airis) as more:
        more.until(acknowledged=1)


def test_a_killed_store_comes_back_and_every_acknowledged_span_is_there_once(start_airis: Start) -> None:
    airis = start_airis(PORTS_OF_ITS_OWN.replace("{store: }", "{store: {flush_interval: 0s}}"))  # always inserting

    with load(airis) as sending:
        for kill in (1, 2, 3):
            sending.until(acknowledged=3 * SENDERS)
            os.kill(airis.store_pid, signal.SIGKILL)
            assert get(airis.health)[0] == 200
            airis.until("store serves again", times=kill)
            sending.until(acknowledged=SENDERS + 1)  # more than those that were on the way

    assert set(sending.refusals) <= RETRYABLE
    ended, again = "store ended, starting it again", "store serves again"
    assert [line["event"] for line in airis.log] == ["ready", *[ended, again] * 3]
    assert_stored_once(airis, sending)
    assert airis.stop() == 0


def test_what_a_store_took_and_died_before_it_said_so_is_there_once(start_airis: Start) -> None:
    airis = start_airis()
    os.kill(airis.store_pid, signal.SIGKILL)  # so that airis has no connection from before
    airis.until("store serves again")
    between = DeadBeforeItAnswers(airis)

    with grpc.insecure_channel(airis.grpc) as channel:
        TraceServiceStub(channel).Export(spans("twice", 1), timeout=PATIENCE_S)

    assert between.lost.is_set()
    assert airis.until("store serves again", times=2)
    assert airis.rows("SELECT toInt32(count()) AS n FROM otel_traces WHERE ServiceName = 'twice'") == [{"n": SPANS}]


def test_it_runs_without_a_word_for_run(tmp_path: Path) -> None:
    airis = Airis(tmp_path)
    airis.command = [AIRIS, "--config", airis.config, "--data-dir", airis.data_dir]
    try:
        assert airis.start().stop() == 0
    finally:
        airis.end()
