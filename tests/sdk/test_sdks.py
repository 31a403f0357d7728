"""Unmodified SDKs send over loopback, and every field comes back as they sent it, with both kernel back ends."""

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest
from google.protobuf.message import Message

from ..running import PATIENCE_S, PORTS_OF_ITS_OWN, Airis
from .fields import SIGNALS, exactly, items, parse_json, table

HERE = Path(__file__).parent
SETTING_UP_S = 600
"""Packages may have to be downloaded, and Go code compiled."""

FILES = ", ".join(f'file/{signal}: {{path: "${{env:RECORD}}/{signal}", format: proto}}' for signal in SIGNALS)
RECORDING = re.sub(
    r"(traces|metrics|logs)(: {receivers: .*\[store)",
    r"\1\2, file/\1",
    PORTS_OF_ITS_OWN.replace("exporters: {store: }", f"exporters: {{store: , {FILES}}}"),
)
"""The built-in configuration, and beside the store a file for each signal that records what arrives."""
SCHEMA_URL = "https://opentelemetry.io/schemas/1.30.0"
LINKED = {
    "GET /cart.links[0].trace_id": "0af7651916cd43dd8448eb211c80319c",
    "GET /cart.links[0].span_id": "b7ad6b7169203331",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class During:
    """Any time at which the SDK ran: times that it takes by itself."""

    first: int
    last: int

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and self.first <= value <= self.last


@dataclass(slots=True, kw_only=True)
class Run:
    """What one SDK sent over one protocol, and what airis gives back."""

    sdk: str
    protocol: str
    trace_id: str
    start_s: int
    ended: int = 0
    read: dict[str, Message] = field(default_factory=dict)
    """By signal."""

    @property
    def service(self) -> str:
        return f"{self.sdk} {self.protocol} {self.trace_id[:8]}"

    @property
    def sometime(self) -> During:
        return During(first=self.start_s * 1_000_000_000, last=self.ended)

    @property
    def parent(self) -> str:
        """The id that the SDK chose for the first span."""
        spans = [span for _, _, span in items("traces", self.read["traces"])]
        return next(span.span_id.hex() for span in spans if span.name == "GET /cart")  # type: ignore[attr-defined]

    def at(self, nanoseconds: int) -> int:
        return self.start_s * 1_000_000_000 + nanoseconds


def sent_by_every_sdk(run: Run) -> Mapping[str, Mapping[str, object]]:
    """Path → value of every field of what all three programs send."""
    resource = {
        "resource.attributes.service.name": run.service,
        "resource.attributes.host.cpus": 4,
        "resource.schema_url": SCHEMA_URL,
        "scope.schema_url": SCHEMA_URL,
    }
    traces = {
        "scope.name": "tracer",
        "scope.version": "1.2.3",
        "GET /cart.trace_id": run.trace_id,
        "GET /cart.span_id": run.parent,
        "GET /cart.parent_span_id": "a1b2c3d4e5f60718",
        "GET /cart.trace_state": "vendor=1",
        "GET /cart.name": "GET /cart",
        "GET /cart.kind": "SPAN_KIND_SERVER",
        "GET /cart.flags": 0x301,
        "GET /cart.start_time_unix_nano": run.at(123_456_789),
        "GET /cart.end_time_unix_nano": run.at(1_123_456_790),
        "GET /cart.attributes.text": "für élise",
        "GET /cart.attributes.whole": -(2**63),
        "GET /cart.attributes.fraction": 0.1,
        "GET /cart.attributes.yes": True,
        "GET /cart.attributes.texts": ["a", "b"],
        "GET /cart.attributes.wholes": [1, 2, 3],
        "GET /cart.attributes.none": [],
        "GET /cart.dropped_attributes_count": 1,
        "GET /cart.events[0].time_unix_nano": run.at(223_456_789),
        "GET /cart.events[0].name": "cache miss",
        "GET /cart.events[0].attributes.key": "cart:7",
        "GET /cart.events[0].attributes.tries": 2,
        "GET /cart.events[0].dropped_attributes_count": 1,
        "GET /cart.dropped_events_count": 1,
        **LINKED,
        "GET /cart.links[0].flags": 0x301,
        "GET /cart.links[0].attributes.why": "cause",
        "GET /cart.links[0].dropped_attributes_count": 1,
        "GET /cart.dropped_links_count": 1,
        "GET /cart.status.code": "STATUS_CODE_OK",
        "SELECT cart.trace_id": run.trace_id,
        "SELECT cart.span_id": ANY_SPAN_ID,
        "SELECT cart.parent_span_id": run.parent,
        "SELECT cart.trace_state": "vendor=1",
        "SELECT cart.name": "SELECT cart",
        "SELECT cart.kind": "SPAN_KIND_CLIENT",
        "SELECT cart.flags": 0x101,
        "SELECT cart.start_time_unix_nano": run.at(123_456_789),
        "SELECT cart.end_time_unix_nano": run.at(323_456_789),
        "SELECT cart.status.code": "STATUS_CODE_ERROR",
        "SELECT cart.status.message": "no such table",
    }
    metrics = {
        "scope.name": "meter",
        "scope.version": "4.5",
        "orders.name": "orders",
        "orders.description": "Orders placed.",
        "orders.unit": "{order}",
        "orders.sum.is_monotonic": True,
        "orders.sum.aggregation_temporality": "AGGREGATION_TEMPORALITY_CUMULATIVE",
        "orders.sum.data_points[0].start_time_unix_nano": run.sometime,
        "orders.sum.data_points[0].time_unix_nano": run.sometime,
        "orders.sum.data_points[0].attributes.region": "eu",
        "orders.sum.data_points[0].as_int": 3,
        **_exemplar("orders.sum.data_points[0].exemplars[0]", run, as_int=3),
        "orders.sum.data_points[0].exemplars[0].filtered_attributes.customer": "ann",
        "carts.name": "carts",
        "carts.sum.aggregation_temporality": "AGGREGATION_TEMPORALITY_CUMULATIVE",
        "carts.sum.data_points[0].start_time_unix_nano": run.sometime,
        "carts.sum.data_points[0].time_unix_nano": run.sometime,
        "carts.sum.data_points[0].as_int": -2,
        "temperature.name": "temperature",
        "temperature.unit": "Cel",
        "temperature.gauge.data_points[0].start_time_unix_nano": run.sometime,
        "temperature.gauge.data_points[0].time_unix_nano": run.sometime,
        "temperature.gauge.data_points[0].attributes.room": "kitchen",
        "temperature.gauge.data_points[0].as_double": 21.5,
        "latency.name": "latency",
        "latency.unit": "s",
        "latency.histogram.aggregation_temporality": "AGGREGATION_TEMPORALITY_CUMULATIVE",
        "latency.histogram.data_points[0].start_time_unix_nano": run.sometime,
        "latency.histogram.data_points[0].time_unix_nano": run.sometime,
        "latency.histogram.data_points[0].count": 3,
        "latency.histogram.data_points[0].sum": 4.5625,
        "latency.histogram.data_points[0].min": 0.0625,
        "latency.histogram.data_points[0].max": 4.0,
        "latency.histogram.data_points[0].explicit_bounds": [0.1, 1.0],
        "latency.histogram.data_points[0].bucket_counts": [1, 1, 1],
        **_exemplar("latency.histogram.data_points[0].exemplars[0]", run, as_double=0.0625),
        **_exemplar("latency.histogram.data_points[0].exemplars[1]", run, as_double=0.5),
        **_exemplar("latency.histogram.data_points[0].exemplars[2]", run, as_double=4.0),
        "size.name": "size",
        "size.unit": "By",
        "size.exponential_histogram.aggregation_temporality": "AGGREGATION_TEMPORALITY_CUMULATIVE",
        "size.exponential_histogram.data_points[0].start_time_unix_nano": run.sometime,
        "size.exponential_histogram.data_points[0].time_unix_nano": run.sometime,
        "size.exponential_histogram.data_points[0].count": 3,
        "size.exponential_histogram.data_points[0].sum": 4.5625,
        "size.exponential_histogram.data_points[0].min": 0.0625,
        "size.exponential_histogram.data_points[0].max": 4.0,
        "size.exponential_histogram.data_points[0].scale": -1,
        "size.exponential_histogram.data_points[0].positive.offset": -3,
        "size.exponential_histogram.data_points[0].positive.bucket_counts": [1, 0, 1, 1],
    }
    logs = {
        "scope.name": "logger",
        "scope.version": "0.1",
        "payment declined.time_unix_nano": run.at(423_456_789),
        "payment declined.observed_time_unix_nano": run.at(423_456_790),
        "payment declined.severity_number": "SEVERITY_NUMBER_ERROR",
        "payment declined.severity_text": "ERROR",
        "payment declined.body": "payment declined",
        "payment declined.attributes.amount": 12.5,
        "payment declined.attributes.items": ["book"],
        "payment declined.attributes.raw": b"\x00\xff",
        "payment declined.attributes.nested": {"depth": 1},
        "payment declined.trace_id": run.trace_id,
        "payment declined.span_id": run.parent,
        "payment declined.flags": 1,
        "cart.emptied.time_unix_nano": run.at(523_456_789),
        "cart.emptied.observed_time_unix_nano": run.sometime,
        "cart.emptied.severity_number": "SEVERITY_NUMBER_INFO",
        "cart.emptied.event_name": "cart.emptied",
        "cart.emptied.body": {"cart": 7, "ids": [1, 2], "nested": {"ok": True, "ratio": 0.5, "raw": b"\x00\xff"}},
    }
    return {"traces": resource | traces, "metrics": resource | metrics, "logs": resource | logs}


def _exemplar(path: str, run: Run, **value: float) -> Mapping[str, object]:
    return {
        f"{path}.time_unix_nano": run.sometime,
        f"{path}.trace_id": run.trace_id,
        f"{path}.span_id": run.parent,
        **{f"{path}.{name}": number for name, number in value.items()},
    }


ANY_SPAN_ID = object()
ABSENT = object()

DIFFERENCES: Mapping[str, Mapping[str, Mapping[str, object]]] = {
    "python": {
        "traces": {
            "scope.attributes.stable": True,
            "GET /cart.attributes.fractions": [1.0, 2.5],
            # This SDK says of a remote parent that it is one, and leaves the sampled flag out.
            "GET /cart.flags": 0x300,
            "GET /cart.links[0].flags": 0x300,
            "SELECT cart.flags": 0x100,
        },
        "metrics": {
            "scope.attributes.stable": True,
            "temperature.gauge.data_points[0].start_time_unix_nano": ABSENT,
            "size.exponential_histogram.data_points[0].negative.bucket_counts": [0],
        },
        "logs": {"scope.attributes.stable": True},
    },
    "js": {
        "traces": {
            "GET /cart.attributes.whole": 2**53 - 1,
            "GET /cart.attributes.answers": [True, False],
            "GET /cart.links[0].trace_state": "other=2",
            "GET /cart.links[0].flags": 0x101,
        },
        "metrics": {
            # All numbers are doubles there, and it sends no exemplars.
            "orders.sum.data_points[0].as_int": ABSENT,
            "orders.sum.data_points[0].as_double": 3.0,
            "carts.sum.data_points[0].as_int": ABSENT,
            "carts.sum.data_points[0].as_double": -2.0,
        },
        "logs": {},
    },
    "go": {
        "traces": {
            "scope.attributes.stable": True,
            "GET /cart.attributes.wholes": [1, 2, 2**63 - 1],
            "GET /cart.attributes.fractions": [1.0, 2.5],
        },
        "metrics": {
            "scope.attributes.stable": True,
            "orders.sum.aggregation_temporality": "AGGREGATION_TEMPORALITY_DELTA",
            "carts.sum.aggregation_temporality": "AGGREGATION_TEMPORALITY_DELTA",
            "latency.histogram.aggregation_temporality": "AGGREGATION_TEMPORALITY_DELTA",
            "size.exponential_histogram.aggregation_temporality": "AGGREGATION_TEMPORALITY_DELTA",
        },
        "logs": {"scope.attributes.stable": True, "payment declined.dropped_attributes_count": 1},
    },
}


def sent(run: Run, signal: str) -> dict[str, object]:
    """Path → value of every field of what this program sends."""
    fields = {**sent_by_every_sdk(run)[signal], **DIFFERENCES[run.sdk][signal]}
    without_exemplars = run.sdk == "js"
    return {
        path: value
        for path, value in fields.items()
        if value is not ABSENT and not (without_exemplars and "exemplars" in path)
    }


def differing(expected: Mapping[str, object], told: Mapping[str, object]) -> dict[str, tuple[object, object]]:
    """Path → (expected, told) where the two are not the same, in value and type."""
    both = {path: (expected.get(path, ABSENT), told.get(path, ABSENT)) for path in {**expected, **told}}
    return {path: pair for path, pair in both.items() if not same(*pair)}


def same(expected: object, told: object) -> bool:
    if expected is ANY_SPAN_ID:
        return isinstance(told, str) and len(told) == 16 and int(told, 16) > 0
    if isinstance(expected, During):
        return told in expected
    return repr(expected) == repr(told)  # tells 1, 1.0 and True apart, also inside of lists


def skip(reason: str) -> NoReturn:
    """Leave a test out for want of a tool; not where everything must be proven."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def python_program() -> list[object]:
    return [sys.executable, HERE / "send.py"]


@pytest.fixture(scope="session")
def js_program() -> list[object]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        skip("node and npm are not installed")
    folder = HERE / "js"
    installed = folder / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (folder / "package-lock.json").stat().st_mtime:
        install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=SETTING_UP_S, check=False)
        if done.returncode:
            skip(f"npm ci: {done.stderr[-500:]}")
    return [node, folder / "send.mjs"]


@pytest.fixture(scope="session")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    go = shutil.which("go")
    if go is None:
        skip("go is not installed")
    program = tmp_path_factory.mktemp("go") / "send"
    build = [go, "build", "-buildvcs=false", "-o", program, "."]
    done = subprocess.run(build, cwd=HERE / "go", capture_output=True, text=True, timeout=SETTING_UP_S, check=False)
    if done.returncode:
        skip(f"go build: {done.stderr[-500:]}")
    return [program]


@pytest.fixture(scope="module", params=["reference", "native"])
def airis(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airis]:
    """One for all SDKs."""
    folder = tmp_path_factory.mktemp(request.param)
    kernels = "reference" if request.param == "reference" else ""
    airis = Airis(folder, RECORDING, AIRIS_KERNELS=kernels, RECORD=str(folder))
    tell = [sys.executable, "-c", "from airis.data import kernels; print(kernels.backend)"]
    if subprocess.run(tell, env=airis.environment, capture_output=True, text=True).stdout.strip() != request.param:
        skip(f"the {request.param} kernels are not built")
    try:
        yield airis.start()
    finally:
        airis.end()


RUNS = [
    ("python", "grpc"),
    ("python", "http/protobuf"),
    ("js", "grpc"),
    ("js", "http/protobuf"),
    ("js", "http/json"),
    ("go", "grpc"),
    ("go", "http/protobuf"),
]


NAMES = [f"{sdk} {protocol}" for sdk, protocol in RUNS]


@pytest.fixture(scope="module", params=RUNS, ids=NAMES)
def run(request: pytest.FixtureRequest, airis: Airis) -> Run:
    """Let the SDK send, and read back what it sent."""
    sdk, protocol = request.param
    program = request.getfixturevalue(f"{sdk}_program")
    run = Run(sdk=sdk, protocol=protocol, trace_id=secrets.token_hex(16), start_s=int(time.time()))
    endpoint = f"http://{airis.grpc}" if protocol == "grpc" else airis.http
    command = [*program, protocol, endpoint, run.service, run.trace_id, str(run.start_s)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    run.ended = time.time_ns()

    commands = {
        "traces": ("trace", run.trace_id),
        "metrics": ("metrics", "--service", run.service),
        "logs": ("logs", "--service", run.service),
    }
    with ThreadPoolExecutor() as pool:
        texts = pool.map(lambda words: airis.run(*words, "--format", "otlp"), commands.values())
        run.read = {signal: parse_json(signal, text) for signal, text in zip(commands, texts, strict=True)}
    return run


@pytest.mark.parametrize("signal", SIGNALS)
def test_every_field_that_an_sdk_sends_is_read_back(run: Run, signal: str) -> None:
    assert differing(sent(run, signal), table(signal, run.read[signal])) == {}


@pytest.mark.parametrize("signal", SIGNALS)
def test_what_is_read_back_is_what_arrived_and_nothing_else(airis: Airis, run: Run, signal: str) -> None:
    arrived = [message for message in record(airis, signal) if service_name(message, signal) == run.service]

    assert arrived
    assert exactly(signal, [run.read[signal]]) == exactly(signal, arrived)


@pytest.mark.parametrize(
    ("words", "signal", "paths"),
    [
        (("metrics", "orders", "--service"), "metrics", "orders."),
        (("metrics", "orders_total", "--service"), "metrics", "orders."),
        (("metrics", "latency_seconds", "--service"), "metrics", "latency."),
        (("logs", "--severity", "error", "--service"), "logs", "payment declined."),
        (("logs", "--grep", "DECLINED", "--service"), "logs", "payment declined."),
    ],
    ids=["metric", "metric in Prometheus spelling", "histogram in Prometheus spelling", "severity", "grep"],
)
@pytest.mark.parametrize("run", RUNS[:1], indirect=True, ids=NAMES[:1])
def test_a_choice_is_read_back_with_every_field(
    airis: Airis, run: Run, words: tuple[str, ...], signal: str, paths: str
) -> None:
    told = table(signal, parse_json(signal, airis.run(*words, run.service, "--format", "otlp")))

    chosen = ("resource.", "scope.", paths)
    assert differing({k: v for k, v in sent(run, signal).items() if k.startswith(chosen)}, told) == {}


def record(airis: Airis, signal: str) -> Iterator[Message]:
    """What arrived, by resource."""
    kind, resources, _, _ = SIGNALS[signal]
    content = (airis.data_dir.parent / signal).read_bytes()
    while content:
        size = int.from_bytes(content[:4], "big")
        request: Any = kind.FromString(content[4 : 4 + size])
        content = content[4 + size :]
        for owner in getattr(request, resources):
            message = kind()
            getattr(message, resources).append(owner)
            yield message


def service_name(message: Any, signal: str) -> str:
    (owner,) = getattr(message, SIGNALS[signal][1])
    return next(pair.value.string_value for pair in owner.resource.attributes if pair.key == "service.name")


def test_the_lock_file_names_no_registry() -> None:
    assert "resolved" not in (HERE / "js/package-lock.json").read_text()
