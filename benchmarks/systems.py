"""The systems under test, and the sink behind them: started fresh for every run."""

import json
import os
import re
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from processes import LOAD_CPU, SYSTEM_CPU, Failed, Running, free_ports, started
from scenario import Case, Scenario
from tools import AIRIS, LOAD, ROTEL

SIGNALS = {"spans": "traces", "logs": "logs", "numbers": "metrics", "histograms": "metrics"}
_ITEMS = {"spans": "spans", "logs": "log_records", "numbers": "metric_points", "histograms": "metric_points"}
PORTS = ("GRPC", "HTTP", "METRICS", "CLICKHOUSE")
PLUGIN = Path(__file__).parent / "plugin"
"""Components of airis that are for measuring alone."""
_METRIC = re.compile(r"^(\w+?)(?:_total)?(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


def _get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        text: str = answer.read().decode()
    return text


@dataclass(frozen=True)
class Sink:
    """`airis-load sink`."""

    running: Running
    port: int

    def count(self, kind: str) -> dict[str, int]:
        """Requests, items and bytes that it took, refused and could not read."""
        none = {"requests": 0, "items": 0, "bytes": 0, "refused": 0, "unreadable": 0}
        return {**none, **json.loads(_get(self.port, "/stats")).get(SIGNALS[kind], {})}


@dataclass(frozen=True)
class System:
    """A running system under test."""

    name: str
    running: Running
    env: dict[str, str]
    folder: Path
    sink: Sink | None

    @property
    def pid(self) -> int:
        """Of its first process."""
        return self.running.pid

    def port(self, protocol: str) -> int:
        """Where it receives."""
        return int(self.env[protocol.upper()])

    def metrics_text(self) -> str:
        """Its own metrics; only airis has some."""
        return _get(int(self.env["METRICS"]), "/metrics")

    def metrics(self) -> dict[str, float]:
        """Its own metrics, summed over their labels."""
        found: dict[str, float] = {}
        for name, value in _METRIC.findall(self.metrics_text()):
            found[name] = found.get(name, 0.0) + float(value)
        return found

    def arrived(self, kind: str) -> int | None:
        """Items that came to the end of the pipeline; None where nobody counts them."""
        if self.sink:
            return self.sink.count(kind)["items"]
        if self.name != "airis":
            return None
        return int(self.metrics()[f"otelcol_exporter_sent_{_ITEMS[kind]}"])


@contextmanager
def sinking(folder: Path) -> Iterator[Sink]:
    """A sink on the CPU of the load."""
    (port,) = free_ports(1)
    command = [str(LOAD), "sink", "--listen", f"127.0.0.1:{port}"]
    with started(command, LOAD_CPU, folder) as running:
        running.wait_for(port)
        yield Sink(running, port)


@contextmanager
def system(name: str, scenario: Scenario, case: Case) -> Iterator[System]:
    """A fresh airis or rotel on its CPU, with a sink where the scenario ends in one."""
    with tempfile.TemporaryDirectory(prefix="airis-bench-") as temporary:
        folder = Path(temporary)
        env = {**dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True)), **case.env}
        if scenario.end == "sink":
            with sinking(folder) as sink:
                env["SINK"] = str(sink.port)
                with running(name, scenario, env, folder, sink) as found:
                    yield found
        else:
            with running(name, scenario, env, folder, None) as found:
                yield found


@contextmanager
def running(name: str, scenario: Scenario, env: dict[str, str], folder: Path, sink: Sink | None) -> Iterator[System]:
    """One that listens, in a folder in which it may have been before."""
    if name == "airis":
        config = folder / "airis.yaml"
        config.write_text(scenario.airis)
        env = {**env, "PYTHONPATH": os.pathsep.join([str(PLUGIN), os.environ.get("PYTHONPATH", "")])}
        command = [str(AIRIS), "run", "--config", str(config), "--data-dir", str(folder / "data")]
    elif scenario.rotel is not None:
        files = ["--pid-file", str(folder / "rotel.pid"), "--log-file", str(folder / "rotel.log")]
        endpoints = ["--otlp-grpc-endpoint", "127.0.0.1:{GRPC}", "--otlp-http-endpoint", "127.0.0.1:{HTTP}"]
        options = [option.format(**env) for option in [*endpoints, *scenario.rotel]]
        command = [str(ROTEL), "start", *files, "--otlp-grpc-max-recv-msg-size-mib", "64", *options]
    else:
        raise Failed(f"there is no {name} for {scenario.title}")
    with started(command, SYSTEM_CPU, folder, env) as running:
        ports = [int(env[port]) for port in ("GRPC", "HTTP", "METRICS") if name == "airis" or port != "METRICS"]
        running.wait_for(*ports)
        yield System(name, running, env, folder, sink)
