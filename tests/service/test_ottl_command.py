"""``airis ottl`` says which way statements go, and shows what they do to each item of a file."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ..running import AIRIS

REQUESTS: dict[str, Any] = {
    "traces": {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "name": "GET \u001b[31m",
                                "kind": 2,
                                "attributes": [{"key": "a", "value": {"stringValue": "x\u001b"}}],
                                "events": [{"name": "e"}],
                            },
                            {"name": "work"},
                        ]
                    }
                ],
            }
        ]
    },
    "metrics": {
        "resourceMetrics": [
            {"scopeMetrics": [{"metrics": [{"name": "m", "gauge": {"dataPoints": [{"asInt": "1"}, {"asInt": "2"}]}}]}]}
        ]
    },
    "logs": {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "hello"}}]}]}]},
}


def ottl(*words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run([AIRIS, "ottl", *words], input=stdin, capture_output=True, text=True, check=False)


def run(text: str, signal: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return ottl("run", text, "--input", "-", *words, stdin=json.dumps(REQUESTS[signal]))


def test_a_statement_for_the_kernels_is_explained() -> None:
    shown = ottl("explain", 'set(span.attributes["a"]["b"], 1) where kind == SPAN_KIND_SERVER')

    assert shown.returncode == 0
    assert shown.stdout.splitlines()[1:] == [
        "  context  span",
        "  runs     with the kernels, on all items of a batch at once",
        '  edit     set item attributes["a"]["b"] to 1',
        "  unless   an item of the batch could fail or come out otherwise: then item by item",
    ]


def test_what_goes_item_by_item_is_pointed_out() -> None:
    shown = ottl("explain", 'set(attributes["a"], 1 + 1)', "--context", "log")

    assert shown.stdout.splitlines()[1:] == [
        "  context  log",
        "  runs     item by item: a value that is neither written out nor a path",
        '           set(attributes["a"], 1 + 1)',
        "                                ^^^^^",
    ]


@pytest.mark.parametrize(
    ("text", "signal", "lines"),
    [
        (
            'set(attributes["a"], name) where kind == SPAN_KIND_SERVER',
            "traces",
            [
                'span 1 "GET \\u001b[31m": changed',
                '  - attributes["a"] = {"stringValue": "x\\u001b"}',
                '  + attributes["a"] = {"stringValue": "GET \\u001b[31m"}',
                'span 2 "work": where does not hold',
            ],
        ),
        ('name == "work"', "traces", ['span 1 "GET \\u001b[31m": does not hold', 'span 2 "work": holds']),
        ("set(name, 1)", "logs", []),
        (
            "set(body, 1)",
            "logs",
            ["log 1: changed", '  - body = {"stringValue": "hello"}', '  + body = {"intValue": "1"}'],
        ),
        ("body[0] == 1", "logs", ["log 1: error: nothing can be taken out of a string with a key of type int"]),
        ("set(metric.name, \"n\")", "metrics", ['metric 1 "m": changed', '  - name = "m"', '  + name = "n"']),
        ("value_int == 2", "metrics", ["datapoint 1: does not hold", "datapoint 2: holds"]),
        ('set(spanevent.name, "f")', "traces", ['spanevent 1 "e": changed', '  - name = "e"', '  + name = "f"']),
    ],
)  # fmt: skip
def test_each_item_is_shown_before_and_after(text: str, signal: str, lines: list[str]) -> None:
    shown = run(text, signal)

    if not lines:
        assert shown.returncode == 2
        assert "log has no field name" in shown.stderr
        return
    assert shown.stdout.splitlines() == lines
    assert shown.returncode == 0


def test_what_else_changes_is_shown_too() -> None:
    shown = run('set(resource.attributes["service.name"], name) where name == "work"', "traces", "--context", "span")

    assert [line for line in shown.stdout.splitlines() if line.startswith(("resource", "  "))] == [
        "resource 1: changed",
        '  - attributes["service.name"] = {"stringValue": "shop"}',
        '  + attributes["service.name"] = {"stringValue": "work"}',
    ]


def test_the_whole_request_can_be_had() -> None:
    shown = run("set(body, 1)", "logs", "--output", "otlp")

    [owner] = json.loads(shown.stdout)["resourceLogs"]
    assert owner["scopeLogs"][0]["logRecords"][0]["body"] == {"intValue": "1"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "it is no JSON"),
        ("[]", "there is none of resourceSpans"),
        ('{"resourceSpans": 1}', "resourceSpans"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_no_request_is_told(content: str | None, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    if content is not None:
        file.write_text(content)

    shown = ottl("run", "set(span.name, 1)", "--input", str(file))

    assert shown.returncode == 1
    assert reason in shown.stderr
    assert "Traceback" not in shown.stderr


@pytest.mark.parametrize("command", [["explain"], ["run", "--input", "-"]])
def test_a_statement_that_is_wrong_is_pointed_at(command: list[str]) -> None:
    shown = ottl(*command, "set(span.nam, 1)", stdin=json.dumps(REQUESTS["traces"]))

    assert shown.returncode == 2
    assert shown.stderr.splitlines()[-2:] == ["set(span.nam, 1)", "    ^^^^^^^^"]


def test_a_context_that_there_is_not_is_told() -> None:
    assert "but resource, scope, span" in ottl("explain", "set(name, 1)", "--context", "spam").stderr
    assert "traces has no context log" in run("set(body, 1)", "traces", "--context", "log").stderr
