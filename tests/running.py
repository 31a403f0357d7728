"""A whole airis as a user runs it: its own process, its own data directory, free ports."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from airis.config.load import default_text

PORTS_OF_ITS_OWN = """
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "127.0.0.1:0"}
      http: {endpoint: "127.0.0.1:0"}
processors: {memory_limiter: {check_interval: 1s, limit_percentage: 80}, batch: }
exporters: {store: }
extensions:
  store:
  query: {endpoint: "127.0.0.1:0"}
  health_check: {endpoint: "127.0.0.1:0"}
service:
  extensions: [store, query, health_check]
  telemetry: {metrics: {address: "127.0.0.1:0"}, logs: {encoding: json}}
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [store]}
    metrics: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [store]}
    logs: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [store]}
"""
"""The built-in configuration but for the ports and the log's encoding."""

AIRIS = Path(sys.executable).with_name("airis")
PATIENCE_S = 60


def built_in_configuration() -> str:
    """What ``airis run`` takes when it is given none, but for the ports and the log's encoding."""
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:0", default_text())
    return f"{text}\n  telemetry: {{metrics: {{address: 127.0.0.1:0}}, logs: {{encoding: json}}}}\n"


def get(url: str) -> tuple[int, str]:
    """Status and body of the answer."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


class Airis:
    """One instance. What it logs is kept, so that a failing test shows it."""

    def __init__(self, folder: Path, configuration: str = PORTS_OF_ITS_OWN, **environment: str) -> None:
        self.data_dir = folder / "data"
        self.config = folder / "airis.yaml"
        self.config.write_text(configuration)
        self.command = [AIRIS, "run", "--config", self.config, "--data-dir", self.data_dir]
        self.environment = {**os.environ, "PYTHONSAFEPATH": "1", "NO_COLOR": "1", **environment}
        self.log: list[dict[str, Any]] = []
        self.process: subprocess.Popen[str] | None = None
        self._logged = threading.Condition()

    def start(self) -> "Airis":
        """Return when it is ready, or fail with what it said. An instance that ended can be started again."""
        self.log = []
        self.process = subprocess.Popen(self.command, env=self.environment, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=self._read_log, args=(self.process, self.log), daemon=True).start()
        self.until("ready")
        return self

    def fail_to_start(self) -> tuple[int, str]:
        """Exit code of a start that comes to nothing, and what it said on stderr."""
        done = subprocess.run(
            self.command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.stdout == ""
        return done.returncode, done.stderr

    def until(self, event: str, times: int = 1) -> dict[str, Any]:
        """Wait for a line of its log; gives it."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.log if line.get("event") == event]

        with self._logged:
            ended = {"event": "ended"}
            self._logged.wait_for(lambda: len(found()) >= times or ended in self.log, PATIENCE_S)
            assert len(found()) >= times, f"airis did not say {event!r}: {self.log}"
            return found()[times - 1]

    @property
    def instance(self) -> Mapping[str, Any]:
        """What it tells other commands."""
        told: dict[str, Any] = json.loads((self.data_dir / "instance.json").read_text())
        return told

    @property
    def grpc(self) -> str:
        """host:port of OTLP over gRPC."""
        return str(self.instance["endpoints"]["OTLP gRPC"])

    @property
    def http(self) -> str:
        """URL of OTLP over HTTP."""
        return str(self.instance["endpoints"]["OTLP HTTP"])

    @property
    def health(self) -> str:
        """URL of the health check."""
        return str(self.instance["endpoints"]["health"])

    @property
    def api(self) -> str:
        """URL of the query API."""
        return str(self.instance["endpoints"]["query API"])

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    @property
    def store_pid(self) -> int:
        """The process id of its store."""
        told = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True)
        lines = [line.split(maxsplit=2) for line in told.stdout.splitlines()]
        (store,) = (int(pid) for pid, parent, command in lines if int(parent) == self.pid and " store " in command)
        return store

    def counted(self, name: str) -> float:
        """The sum of one of its own counters over components and attributes."""
        _, text = get(f"http://{self.instance['metrics_address']}/metrics")
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
        return sum(s.value for s in samples if s.name == f"{name}_total")

    def run(self, *words: str, expect: int = 0, **options: Any) -> str:
        """What another airis command on its data directory prints."""
        command = [AIRIS, *words, "--data-dir", self.data_dir]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False, **options
        )
        assert done.returncode == expect, f"{words} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout if expect == 0 else done.stderr

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a query."""
        return [json.loads(line) for line in self.run("sql", sql, "--format", "ndjson").splitlines()]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal and give its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def end(self) -> None:
        """End it, whatever state it is in."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _read_log(self, process: "subprocess.Popen[str]", log: list[dict[str, Any]]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            try:
                told = json.loads(line)
            except ValueError:
                told = {"event": line.rstrip()}
            with self._logged:
                log.append(told)
                self._logged.notify_all()
        with self._logged:
            log.append({"event": "ended"})
            self._logged.notify_all()
