"""Measure CPU-seconds per million items of airis, beside a peer on the same load and the machine's controls.

The method: the system under test is pinned to the last CPU, the load generator (h2load) to the first; a fresh
process per run, the systems alternating; after a warm-up, CPU time of the process and its children over the window
divided by the items that the system itself counted as accepted. On a shared machine a ratio counts, a time does not.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from airis.data.kernels import to_json

GENERATOR_CPU, SYSTEM_CPU = 0, (os.cpu_count() or 2) - 1
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
AIRIS = Path(sys.executable).with_name("airis")
ROTEL = Path(sys.prefix, "rotel", "rotel", "rotel-agent")
"""Where `make bench` puts it."""

CONFIGURATION = """
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc}", max_recv_msg_size_mib: 64}}
      http: {{endpoint: "127.0.0.1:{http}"}}
processors: {{batch: }}
exporters: {{nop: , store: }}
extensions: {{store: }}
service:
  extensions: [{extensions}]
  telemetry: {{metrics: {{address: "127.0.0.1:{metrics}"}}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [{processors}], exporters: [{exporter}]}}
"""

ACCEPTED = ("otelcol_receiver_accepted_spans{", "otelcol_receiver_accepted_spans_total{")
"""Counters of airis, and of Collectors that add the suffix."""


@dataclass(frozen=True)
class Load:
    """What is sent: over which protocol (grpc, http, json), how many spans in a request, from how many connections."""

    protocol: str
    spans: int
    body: Path
    clients: int = 8


@dataclass(frozen=True)
class Measured:
    """One run."""

    system: str
    protocol: str
    spans_per_request: int
    spans: int
    cpu_s_per_million: float
    own_cpu_s_per_million: float
    """Of the first process alone, without those it started."""
    spans_per_wall_s: float
    rss_mib: float


def request(spans: int) -> bytes:
    """One export request: a resource of ten attributes, spans of ten attributes and some 410 bytes each."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    for i in range(10):
        resource.resource.attributes.add(key=f"resource.attribute.{i}").value.string_value = f"value-{i}"
    resource.resource.attributes.add(key="service.name").value.string_value = "checkout"
    scope = resource.scope_spans.add()
    scope.scope.name = "benchmark"
    now = time.time_ns()
    for i in range(spans):
        span = scope.spans.add(name=f"GET /products/{i % 8}", kind=2)
        span.trace_id = (i // 8).to_bytes(8, "big") + os.urandom(8)
        span.span_id = os.urandom(8)
        span.parent_span_id = os.urandom(8)
        span.start_time_unix_nano = now + i * 1000
        span.end_time_unix_nano = now + i * 1000 + 1_500_000
        for key, text in (
            ("http.request.method", "GET"),
            ("url.path", f"/products/{i % 97}"),
            ("url.scheme", "https"),
            ("server.address", "shop.example"),
            ("client.address", f"10.0.{i % 7}.{i % 251}"),
            ("user_agent.original", "benchmark/1.0"),
            ("network.protocol.version", "1.1"),
            ("http.route", "/products/{id}"),
        ):
            span.attributes.add(key=key).value.string_value = text
        span.attributes.add(key="http.response.status_code").value.int_value = 500 if i % 50 == 0 else 200
        span.attributes.add(key="server.port").value.int_value = 443
    return message.SerializeToString()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def descendants(pid: int) -> list[int]:
    """The process and all below it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found.extend(map(int, task.read_text().split()))
    return found


def cpu_seconds(*processes: int) -> float:
    """CPU time of the processes."""
    ticks = 0
    for each in processes:
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_S


def resident_mib(pid: int) -> float:
    """Resident memory of the process and its descendants."""
    pages = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in descendants(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class System:
    """A running system under test."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", ports: dict[str, int]) -> None:
        self.name = name
        self.process = process
        self.ports = ports

    def accepted(self) -> int | None:
        """Spans it says it accepted; None where it does not count."""
        if "metrics" not in self.ports:
            return None
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['metrics']}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return int(sum(float(x.rpartition(" ")[2]) for x in lines if x.startswith(ACCEPTED)))


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Return when the port accepts."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"the system under test did not start: {process.args}")


@contextmanager
def running(name: str, command: list[str], ports: dict[str, int]) -> Iterator[System]:
    """Start pinned, give it when it listens, end it."""
    process = subprocess.Popen(
        ["taskset", "-c", str(SYSTEM_CPU), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for port in ports.values():
            wait_for(port, process)
        yield System(name, process, ports)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def airis(name: str, exporter: str, processors: str) -> Iterator[System]:
    """A fresh airis with one traces pipeline to the exporter."""
    with tempfile.TemporaryDirectory() as folder:
        ports = dict(zip(("grpc", "http", "metrics"), free_ports(3), strict=True))
        extensions = "store" if exporter == "store" else ""
        text = CONFIGURATION.format(exporter=exporter, processors=processors, extensions=extensions, **ports)
        config = Path(folder, "airis.yaml")
        config.write_text(text)
        command = [str(AIRIS), "run", "--config", str(config), "--data-dir", str(Path(folder, "data"))]
        with running(name, command, ports) as system:
            yield system


@contextmanager
def rotel(agent: Path) -> Iterator[System]:
    """The peer, receiving, batching and discarding, as it does by default."""
    grpc, http = free_ports(2)
    command = [str(agent), "start", "--exporter", "blackhole", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}"]
    with running(
        "rotel", [*command, "--otlp-http-endpoint", f"127.0.0.1:{http}"], {"grpc": grpc, "http": http}
    ) as system:
        yield system


def send(system: System, load: Load, seconds: int) -> int:
    """Send for so long; the number of requests that were answered."""
    grpc = load.protocol == "grpc"
    path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export" if grpc else "/v1/traces"
    headers = ["-H", "te: trailers", "-H", "content-type: application/grpc"] if grpc else ["--h1"]
    command = ["taskset", "-c", str(GENERATOR_CPU), "h2load", "-t1", f"-c{load.clients}", f"-m{8 if grpc else 1}"]
    command += ["-D", str(seconds), "-d", str(load.body), *headers]
    if not grpc:
        command += ["-H", f"content-type: application/{'json' if load.protocol == 'json' else 'x-protobuf'}"]
    command.append(f"http://127.0.0.1:{system.ports['grpc' if grpc else 'http']}{path}")
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    done = next(line for line in result.stdout.splitlines() if line.startswith("requests:"))
    return int(done.split(" succeeded")[0].rsplit(" ", 1)[1])


def measure(system: System, load: Load, seconds: int) -> Measured:
    """Warm up, then one window."""
    send(system, load, 1)
    pid = system.process.pid
    before, own_cpu, cpu, started = (
        system.accepted(),
        cpu_seconds(pid),
        cpu_seconds(*descendants(pid)),
        time.monotonic(),
    )
    answered = send(system, load, seconds)
    elapsed, used, own = time.monotonic() - started, cpu_seconds(*descendants(pid)) - cpu, cpu_seconds(pid) - own_cpu
    after = system.accepted()
    spans = answered * load.spans if after is None or before is None else after - before
    if not spans:
        sys.exit(f"{system.name} accepted nothing over {load.protocol}")
    per_million, own_per_million, per_second = used / spans * 1e6, own / spans * 1e6, spans / elapsed
    rss = resident_mib(pid)
    return Measured(system.name, load.protocol, load.spans, spans, per_million, own_per_million, per_second, rss)


def controls() -> dict[str, float]:
    """CPU-seconds per million spans to copy and to parse the payload here and now."""
    body = request(512)
    parse = _per_million(lambda: ExportTraceServiceRequest.FromString(body), 512)
    copy = _per_million(lambda: bytes(bytearray(body)), 512)
    return {"parse with upb": parse, "copy twice": copy}


def _per_million(work: Callable[[], object], items: int) -> float:
    best = float("inf")
    for _ in range(7):
        started = time.process_time()
        for _ in range(50):
            work()
        best = min(best, time.process_time() - started)
    return best / (50 * items) * 1e6


def main() -> None:
    """Run the matrix and print one table; the figures also go to a JSON file."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=4, help="length of a window")
    options.add_argument("--pairs", type=int, default=3, help="runs of every system, alternating")
    options.add_argument("--spans", type=int, nargs="+", default=[10, 512, 4096], help="spans per request")
    options.add_argument("--protocols", nargs="+", default=["http", "grpc"], help="of http, grpc and json")
    peer = ROTEL if ROTEL.exists() else None
    options.add_argument("--rotel", default=peer, type=Path, help="a rotel agent to measure beside airis")
    options.add_argument("--only", nargs="+", default=[""], help="measure the systems with one of these in their name")
    options.add_argument("--json", type=Path, help="write all runs to this file")
    arguments = options.parse_args()
    for tool in ("h2load", "taskset"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is needed (Debian: apt-get install nghttp2-client util-linux)")
    systems: list[tuple[str, Callable[[], object]]] = [
        ("airis, discard", lambda: airis("airis, discard", "nop", "")),
        ("airis, batch, discard", lambda: airis("airis, batch, discard", "nop", "batch")),
        ("airis, batch, store", lambda: airis("airis, batch, store", "store", "batch")),
    ]
    if arguments.rotel:
        systems.append(("rotel", lambda: rotel(arguments.rotel)))
    systems = [(name, start) for name, start in systems if any(part in name for part in arguments.only)]
    for name, figure in controls().items():
        print(f"control: {name}: {figure:.3f} CPU-s/M")
    runs: list[Measured] = []
    with tempfile.TemporaryDirectory() as folder:
        for spans in arguments.spans:
            payload = request(spans)
            bodies = {protocol: Path(folder, f"{spans}.{protocol}") for protocol in ("http", "grpc", "json")}
            bodies["http"].write_bytes(payload)
            bodies["grpc"].write_bytes(b"\0" + len(payload).to_bytes(4, "big") + payload)
            bodies["json"].write_bytes(to_json("traces", payload))
            for protocol in arguments.protocols:
                load = Load(protocol, spans, bodies[protocol])
                for _ in range(arguments.pairs):
                    for _, start in systems:
                        with start() as system:  # type: ignore[attr-defined]
                            runs.append(measure(system, load, arguments.seconds))
                report(runs, protocol, spans)
    for name, figure in controls().items():
        print(f"control: {name}: {figure:.3f} CPU-s/M")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(run) for run in runs], indent=1))


def report(runs: list[Measured], protocol: str, spans: int) -> None:
    """Print one line per system: median, range, best rate, memory."""
    chosen = [run for run in runs if run.protocol == protocol and run.spans_per_request == spans]
    for name in dict.fromkeys(run.system for run in chosen):
        mine = [run for run in chosen if run.system == name]
        cpu = sorted(run.cpu_s_per_million for run in mine)
        rate = max(run.spans_per_wall_s for run in mine) / 1000
        own = statistics.median(run.own_cpu_s_per_million for run in mine)
        print(
            f"{protocol:5} {spans:5} spans/request  {name:24} {statistics.median(cpu):7.2f} CPU-s/M"
            f"  ({cpu[0]:.2f} to {cpu[-1]:.2f}; itself {own:.2f})  {rate:8.1f} k spans/s"
            f"  {max(r.rss_mib for r in mine):6.0f} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
