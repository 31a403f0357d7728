"""The reading commands: what they list, what they say when there is nothing, and that nothing is lost on the way."""

import json

import orjson
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from airis.data.kernels import from_json

from .conftest import NOW, OTHER_TRACE, SECOND, TRACE

REQUESTS = {
    "traces": (ExportTraceServiceRequest, "resource_spans", "scope_spans", "spans"),
    "logs": (ExportLogsServiceRequest, "resource_logs", "scope_logs", "log_records"),
    "metrics": (ExportMetricsServiceRequest, "resource_metrics", "scope_metrics", "metrics"),
}


def owned(signal: str, payload: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Every item with its resource and scope, in an order of its own."""
    kind, resources, scopes, items = REQUESTS[signal]
    found = []
    for owner in getattr(kind.FromString(payload), resources):
        for scoped in getattr(owner, scopes):
            for item in getattr(scoped, items):
                for data in ("sum", "gauge"):
                    if signal == "metrics" and item.HasField(data):
                        getattr(item, data).data_points.sort(key=lambda point: point.SerializeToString())
                parts = (owner.resource, scoped.scope, item)
                found.append(tuple(part.SerializeToString(deterministic=True) for part in parts))
    return sorted(found)


@pytest.mark.parametrize("signal", REQUESTS)
def test_what_was_sent_comes_back_as_otlp(airis, sent, signal):
    result = airis(signal, "--format", "otlp")

    assert result.exit_code == 0
    assert owned(signal, from_json(signal, result.stdout_bytes)) == owned(signal, sent[1][signal])


def test_one_trace_comes_back_as_otlp(airis, sent):
    back = from_json("traces", airis("trace", TRACE, "--format", "otlp").stdout_bytes)

    wanted = [item for item in owned("traces", sent[1]["traces"]) if bytes.fromhex(TRACE) in item[2]]
    assert owned("traces", back) == wanted


def test_services(airis):
    rows = {row["service"]: row for row in airis.rows("services")}

    assert rows["cart"] | {"last_seen": ""} == {
        "service": "cart",
        "spans": 1,
        "errors": 1,
        "log_records": 3,
        "series": 0,
        "last_seen": "",
    }
    assert (rows["shop"]["spans"], rows["shop"]["errors"], rows["shop"]["series"]) == (2, 0, 3)
    table = airis("services", "--format", "table").stdout
    assert "100.0%" in table


@pytest.mark.parametrize(
    ("options", "traces"),
    [
        ([], [OTHER_TRACE, TRACE]),
        (["--limit", "1"], [OTHER_TRACE]),
        (["--service", "cart"], [TRACE]),
        (["--operation", "GET /slow"], [OTHER_TRACE]),
        (["--status", "error"], [TRACE]),
        (["--status", "ok"], [OTHER_TRACE]),
        (["--min-duration", "1s"], [OTHER_TRACE]),
        (["--attr", "user.id=7", "--attr", "service.name=shop"], [TRACE]),
        (["--attr", "user.id=8"], []),
        (["--last", "1m"], []),
    ],
    ids=" ".join,
)
def test_traces_are_found(airis, options, traces):
    assert [row["trace_id"] for row in airis.rows("traces", *options)] == traces


def test_a_trace_in_the_list(airis):
    [row] = airis.rows("traces", "--status", "error")

    assert (row["service"], row["operation"], row["spans"], row["errors"]) == ("shop", "GET /", 2, 1)
    assert (row["duration_nano"], row["services"]) == (250_000_000, ["cart", "shop"])
    table = airis("traces", "--format", "table").stdout
    assert "250 ms" in table
    assert TRACE in table


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["traces", "--service", "nobody"], "No traces in the last 1h with --service nobody; "),
        (["logs", "--grep", "nothing", "--last", "2h"], "No log records in the last 2h with --grep nothing; "),
        (["services", "--last", "0s"], "Nothing arrived in the last 0s; "),
        (["metrics", "--search", "nothing"], "No such metrics in the last 1h; "),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_nothing_found_is_said_beside_the_result(airis, words, said):
    result = airis(*words, "--format", "table")

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith(said)


@pytest.mark.parametrize(
    "words",
    [
        ["traces", "--last", "soon"],
        ["traces", "--min-duration", "5"],
        ["traces", "--attr", "user"],
        ["traces", "--status", "bad"],
        ["trace", "xyz"],
        ["trace", "abc"],
        ["logs", "--severity", "loud"],
        ["logs", "--severity", "25"],
        ["logs", "--trace", "abcdef"],
        ["logs", "--follow", "--format", "csv"],
        ["metrics", "--rate"],
        ["metrics", "--search", "x", "--format", "otlp"],
        ["sql", " "],
    ],
    ids=" ".join,
)
def test_an_option_that_makes_no_sense_is_refused(airis, words):
    assert airis(*words).exit_code == 2


@pytest.mark.parametrize("given", [TRACE, TRACE.upper(), TRACE[:8], f"00-{TRACE}-00000000000000a1-01"])
def test_a_trace_is_found_by_what_people_paste(airis, given):
    assert [row["name"] for row in airis.rows("trace", given)] == ["GET /", "add\x1b[31m"]


def test_a_trace_as_a_waterfall(airis):
    shown = airis("trace", TRACE, "--format", "table").stdout.splitlines()

    assert shown[0].startswith(f"{TRACE}  ")
    assert shown[0].rstrip().endswith("250 ms  2 spans")
    assert shown[1].split() == ["■", "shop", "■", "cart"]
    assert shown[2].startswith("shop: GET / ")
    assert shown[3].startswith("└ cart: add\\x1b[31m ")
    assert shown[5] == "✗ cart: add\\x1b[31m: no stock"


def test_an_unknown_trace_ends_with_1(airis):
    result = airis("trace", "ffffffff")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "airis: no trace ffffffff… here; see what there is: airis traces\n"


def test_a_beginning_that_several_traces_share_ends_with_1_and_names_them(airis):
    result = airis("trace", "5b8efff")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[1:] == [f"  {OTHER_TRACE}", f"  {TRACE}"]


@pytest.mark.parametrize(
    ("options", "bodies"),
    [
        ([], ["Added 3 items", "Out of stock", "two\nlines \x1b]0;evil\x07"]),
        (["--limit", "1"], ["two\nlines \x1b]0;evil\x07"]),
        (["--grep", "OUT of"], ["Out of stock"]),
        (["--severity", "warn"], ["Out of stock", "two\nlines \x1b]0;evil\x07"]),
        (["--severity", "17"], ["Out of stock"]),
        (["--trace", TRACE], ["Out of stock"]),
        (["--service", "shop"], []),
        (["--attr", "user.id=7"], ["Added 3 items"]),
        (["--last", "20m"], ["two\nlines \x1b]0;evil\x07"]),
    ],
    ids=" ".join,
)
def test_log_records_are_found_oldest_first(airis, options, bodies):
    assert [row["body"] for row in airis.rows("logs", *options)] == bodies


def test_log_records_on_a_terminal(airis):
    lines = airis("logs", "--format", "table").stdout.splitlines()

    # A record of yesterday has its date before the time: the tests may run over midnight.
    assert lines[0].endswith(" INFO  cart  Added 3 items  user.id=7")
    assert lines[1].endswith(f" ERROR cart  Out of stock  trace_id={TRACE}")
    assert lines[2].endswith("WARN  cart  two")
    assert lines[3] == "    lines \\x1b]0;evil\\x07"


def test_the_list_of_metrics(airis):
    rows = {row["name"]: row for row in airis.rows("metrics")}

    requests = rows["http_requests_total"]
    assert (requests["otel_name"], requests["kind"], requests["series"]) == ("http.requests", "sum", 2)
    assert (requests["unit"], requests["help"]) == ("{request}", "Requests")
    assert list(rows) == ["http_requests_total", "queue_length"]
    assert [row["name"] for row in airis.rows("metrics", "--search", "QUEUE")] == ["queue_length"]


@pytest.mark.parametrize("name", ["http.requests", "http_requests_total"])
def test_the_points_of_a_metric(airis, name):
    rows = airis.rows("metrics", name, "--label", "path=/b")

    assert [row["value"] for row in rows] == [0, 20, 40, 60, 80, 100]
    assert {row["labels"]["path"] for row in rows} == {"/b"}
    assert rows[0]["time"] == airis.rows("metrics", name, "--label", "path=/a")[0]["time"]


def test_the_rate_of_a_counter(airis):
    rows = airis.rows("metrics", "http.requests", "--label", "path=/b", "--rate")

    assert [row["value"] for row in rows] == pytest.approx([2.0] * 5)


def test_a_gauge_has_no_rate(airis):
    result = airis("metrics", "queue.length", "--rate")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "gauge: it has no rate" in result.stderr


def test_a_metric_as_a_plot(airis):
    shown = airis("metrics", "http.requests", "--rate", "--format", "table").stdout.splitlines()

    assert shown[0] == "http.requests per second"
    assert shown[-2:] == ["■ 2 request/s  path=/b", "■ 1 request/s  path=/a"]


def test_an_unknown_metric_ends_with_1_and_a_guess(airis):
    result = airis("metrics", "http.request")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "airis: no metric http.request; did you mean http.requests" in result.stderr


def test_a_metric_without_points_in_that_time_is_said_so(airis):
    result = airis("metrics", "http.requests", "--last", "0s")

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("No such points of http.requests in the last 0s")


@pytest.mark.parametrize("command", ["traces", "logs", "metrics", "services"])
def test_every_list_can_be_had_in_every_format(airis, command):
    import pyarrow as pa

    rows = airis.rows(command)
    assert orjson.loads(airis(command, "--format", "json").stdout) == rows
    csv = airis(command, "--format", "csv").stdout.splitlines()
    assert csv[0].split(",") == list(rows[0])
    arrow = pa.ipc.open_stream(airis(command, "--format", "arrow").stdout_bytes).read_all()
    assert arrow.num_rows == len(rows)
    assert arrow.column_names == list(rows[0])


def test_times_are_exact(airis):
    [row] = airis.rows("logs", "--grep", "Out of stock")

    at = NOW - 200 * SECOND
    assert row["time"].endswith(f".{at % SECOND:09d}Z")
    assert json.loads(json.dumps(row))["severity"] == "ERROR"
