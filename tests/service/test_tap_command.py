"""``airis tap`` shows what passes: what is chosen of it, in words that a terminal cannot obey, or as it was sent."""

import json
import os
import random
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer

from airis.data import Signal
from airis.data.kernels import from_json, to_json, validate
from airis.proto import otlp
from airis.service.admin_client import Frame
from airis.service.commands import where
from airis.service.commands.tap import GONE, Shown, TapFormat
from airis.service.commands.where import Condition, PatternTooSlow, fitting, sample
from airis.service.render.items import items_of, keep_items, line, row
from airis.service.render.rows import json_printable

from ..running import AIRIS, PATIENCE_S, Airis
from .passing import configuration, records, send, spans, until_tapped
from .terminal import Terminal, ending

START = 1_767_323_045_000_000_000
"""2026-01-02T03:04:05Z"""


def attributes(**values: Any) -> list[dict[str, Any]]:
    """Texts, integers, and values as OTLP/JSON has them."""
    kinds = {str: lambda v: {"stringValue": v}, int: lambda v: {"intValue": str(v)}, dict: lambda v: v}
    return [{"key": k.replace("_", "."), "value": kinds[type(v)](v)} for k, v in values.items()]


def resource(service: str) -> dict[str, Any]:
    return {"attributes": attributes(service_name=service)}


SCOPE = {"name": "lib", "version": "1.2", "attributes": attributes(tier="gold")}
SENT: dict[Signal, dict[str, Any]] = {
    Signal.TRACES: {
        "resourceSpans": [
            {
                "resource": resource("shop"),
                "scopeSpans": [
                    {
                        "scope": SCOPE,
                        "spans": [
                            {
                                "traceId": "5b8efff798038103d269b633813fc60c",
                                "spanId": "00000000000000a1",
                                "name": "GET /",
                                "kind": 2,
                                "startTimeUnixNano": str(START),
                                "endTimeUnixNano": str(START + 12_300_000),
                                "attributes": attributes(
                                    http_status=200,
                                    empty="",
                                    tags={"arrayValue": {"values": [{"stringValue": "a b"}, {"doubleValue": "NaN"}]}},
                                ),
                                "events": [{"timeUnixNano": str(START), "name": "e", "attributes": attributes(n=1)}],
                                "links": [
                                    {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "00000000000000a2"}
                                ],
                            },
                            {
                                "name": "pay\x1b[31m\nfake line",
                                "kind": 3,
                                "startTimeUnixNano": str(START),
                                "endTimeUnixNano": str(START - 1),
                                "status": {"code": 2, "message": "no\nmoney \x1b]0;evil\x07"},
                                "attributes": attributes(name="attribute", service_name="own"),
                            },
                        ],
                    }
                ],
            },
            {"resource": resource("cart"), "scopeSpans": [{"spans": [{"name": "add", "kind": 99}]}]},
        ]
    },
    Signal.LOGS: {
        "resourceLogs": [
            {
                "resource": resource("shop"),
                "scopeLogs": [
                    {
                        "scope": SCOPE,
                        "logRecords": [
                            {
                                "timeUnixNano": str(START),
                                "severityNumber": 17,
                                "body": {"stringValue": "two\nlines \x1b]0;evil\x07 \u202egnp"},
                                "traceId": "5b8efff798038103d269b633813fc60c",
                                "attributes": attributes(user_id=7),
                            },
                            {
                                "observedTimeUnixNano": str(START),
                                "severityText": "warning",
                                "eventName": "stock",
                                "body": {"kvlistValue": {"values": attributes(left=3, of="many")}},
                            },
                        ],
                    }
                ],
            }
        ]
    },
    Signal.METRICS: {
        "resourceMetrics": [
            {
                "resource": resource("shop"),
                "scopeMetrics": [
                    {
                        "scope": {},
                        "metrics": [
                            {
                                "name": "queue.length",
                                "unit": "{item}",
                                "gauge": {
                                    "dataPoints": [
                                        {"timeUnixNano": str(START), "asInt": "7", "attributes": attributes(path="/a")},
                                        {"timeUnixNano": str(START), "asDouble": "NaN"},
                                        {"timeUnixNano": str(START), "flags": 1},
                                    ]
                                },
                            },
                            {
                                "name": "took",
                                "unit": "s",
                                "histogram": {
                                    "aggregationTemporality": 2,
                                    "dataPoints": [
                                        {
                                            "timeUnixNano": str(START),
                                            "count": "3",
                                            "sum": 0.75,
                                            "min": 0.1,
                                            "bucketCounts": ["1", "2"],
                                            "explicitBounds": [0.2],
                                        }
                                    ],
                                },
                            },
                            {
                                "name": "sizes",
                                "unit": "By",
                                "exponentialHistogram": {
                                    "dataPoints": [
                                        {
                                            "timeUnixNano": str(START),
                                            "count": "2",
                                            "scale": 1,
                                            "zeroCount": "1",
                                            "positive": {"offset": 3, "bucketCounts": ["1"]},
                                        }
                                    ]
                                },
                            },
                            {
                                "name": "old",
                                "summary": {
                                    "dataPoints": [
                                        {
                                            "timeUnixNano": str(START),
                                            "count": "2",
                                            "sum": 5,
                                            "quantileValues": [{"quantile": 0.5, "value": 2.5}],
                                        }
                                    ]
                                },
                            },
                        ],
                    }
                ],
            }
        ]
    },
}


def payload(signal_name: Signal) -> bytes:
    return validate(signal_name, from_json(signal_name, orjson.dumps(SENT[signal_name])))[0]


def found(signal_name: Signal) -> Iterator[Any]:
    return items_of(signal_name, otlp.parse(signal_name, payload(signal_name)))


@pytest.mark.parametrize("signal_name", SENT)
def test_an_item_is_a_line(utc: None, golden: Any, request: pytest.FixtureRequest, signal_name: Signal) -> None:
    lines = "".join(f"{line(signal_name, one).plain}\n" for one in found(signal_name))

    assert "\x1b" not in lines
    assert "\u202e" not in lines
    golden(request.path.parent / "testdata" / f"tap_{signal_name}.txt", lines)


@pytest.mark.parametrize("signal_name", SENT)
def test_an_item_is_an_object(golden: Any, request: pytest.FixtureRequest, signal_name: Signal) -> None:
    rows = b"".join(orjson.dumps(row(signal_name, one)) + b"\n" for one in found(signal_name))

    golden(request.path.parent / "testdata" / f"tap_{signal_name}.ndjson", rows.decode())


@pytest.mark.parametrize(
    ("text", "signal_name", "items"),
    [
        ("name=GET /", Signal.TRACES, {0}),
        ("name!=GET /", Signal.TRACES, {1, 2}),
        ("name=~^a", Signal.TRACES, {2}),
        ("kind=Server", Signal.TRACES, {0}),
        ("kind=unspecified", Signal.TRACES, {2}),
        ("status=error", Signal.TRACES, {1}),
        ("status!=ERROR", Signal.TRACES, {0, 2}),
        ("trace_id=5b8efff798038103d269b633813fc60c", Signal.TRACES, {0}),
        ("span_id=~a1$", Signal.TRACES, {0}),
        ("body=x", Signal.TRACES, set()),
        (".name=attribute", Signal.TRACES, {1}),
        ("http.status=200", Signal.TRACES, {0}),
        ("http.status!=200", Signal.TRACES, {1, 2}),
        ("http.status=", Signal.TRACES, {1, 2}),
        ("tags=~a b", Signal.TRACES, {0}),
        ("tier=gold", Signal.TRACES, {0, 1}),
        ("service.name=shop", Signal.TRACES, {0}),
        ("service.name=own", Signal.TRACES, {1}),
        ("service.name=~s|c", Signal.TRACES, {0, 2}),
        ("severity=error", Signal.LOGS, {0}),
        ("severity=~warn|error", Signal.LOGS, {0, 1}),
        ("name=stock", Signal.LOGS, {1}),
        ("body=~lines", Signal.LOGS, {0}),
        ('body={"left":3,"of":"many"}', Signal.LOGS, {1}),
        ("user.id=7", Signal.LOGS, {0}),
        ("name=queue.length", Signal.METRICS, {0, 1, 2}),
        ("kind=Histogram", Signal.METRICS, {3}),
        ("path=/a", Signal.METRICS, {0}),
        ("span_id=", Signal.METRICS, {0, 1, 2, 3, 4, 5}),
    ],
)
def test_a_condition_chooses(text: str, signal_name: Signal, items: set[int]) -> None:
    sent = payload(signal_name)
    everything = set(range(len(list(found(signal_name)))))

    conditions = [Condition.parse(text)]

    assert fitting(conditions, signal_name, sent, otlp.parse(signal_name, sent), everything) == items


def test_all_conditions_are_to_be_met() -> None:
    sent = payload(Signal.TRACES)
    conditions = [Condition.parse("service.name=~s|c"), Condition.parse("kind=server")]

    assert fitting(conditions, Signal.TRACES, sent, otlp.parse(Signal.TRACES, sent), {0, 1, 2}) == {0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name", '"name" is no condition; write key=value'),
        ("=x", "is no condition"),
        ("", "is no condition"),
        ("body=~(", '"(" is no pattern'),
        (f"body=~{'x' * 1001}", "longer than 1000 characters"),
    ],
)
def test_what_is_no_condition_is_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"condition|pattern") as wrong:
        Condition.parse(text)

    assert said in str(wrong.value)


def test_a_pattern_that_comes_to_an_end_leaves_no_timer_behind() -> None:
    sent = payload(Signal.LOGS)

    fitting([Condition.parse("body=~x")], Signal.LOGS, sent, otlp.parse(Signal.LOGS, sent), {0, 1})

    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_pattern_that_does_not_come_to_an_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where, "PATTERN_S", 0.05)
    record = {"body": {"stringValue": f"{'a' * 60}!"}}
    sent = from_json("logs", orjson.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}))
    condition = Condition.parse("body=~^(a+)+$")

    with pytest.raises(PatternTooSlow, match="takes too long"):
        fitting([condition], Signal.LOGS, sent, otlp.parse(Signal.LOGS, sent), {0})
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_sample_is_a_share_of_the_items_whatever_their_batches() -> None:
    chance = random.Random(7)
    share, sizes = 0.03, [1, 1, 2, 5, 10, 50, 500] * 2000
    chosen = 0
    for size in sizes:
        if chance.random() >= (1 - share) ** size:  # airis hands on a batch of which something is chosen
            items = list(sample(size, share, chance.random))
            assert items
            assert items == sorted(set(items))
            assert items[-1] < size
            chosen += len(items)

    assert chosen / sum(sizes) == pytest.approx(share, rel=0.02)


@pytest.mark.parametrize("position", [0, 3, 9])
def test_every_place_in_a_batch_has_the_same_chance(position: int) -> None:
    chance = random.Random(7)
    hits = sum(position in sample(10, 0.2, chance.random) for _ in range(20_000) if chance.random() >= (1 - 0.2) ** 10)

    assert hits / 20_000 == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize(("share", "items"), [(1.0, 5), (1e-12, 1)])
def test_a_sample_ends(share: float, items: int) -> None:
    assert len(list(sample(5, share))) == items


@pytest.mark.parametrize("signal_name", SENT)
@pytest.mark.parametrize("kept", [{0}, {1}, {0, 2}, set()], ids=str)
def test_what_is_left_of_a_request_is_what_was_chosen(signal_name: Signal, kept: set[int]) -> None:
    message: Any = otlp.parse(signal_name, payload(signal_name))
    keep_items(signal_name, message, kept)

    everything = [row(signal_name, one) for one in found(signal_name)]
    left = [
        row(signal_name, one) for one in items_of(signal_name, otlp.parse(signal_name, message.SerializeToString()))
    ]
    assert left == [one for number, one in enumerate(everything) if number in kept]
    assert bool(message.ByteSize()) == bool(left), "what is empty is left out"


def test_a_batch_that_cannot_be_read_is_told_and_the_next_one_is_shown(capsysbinary: Any) -> None:
    shown = Shown(TapFormat.JSON, [], 1.0, None)
    frames = [
        Frame({"signal": "traces", "items": 3, "size_bytes": 4}, b"\xff\xff\xff\xff"),
        Frame({"signal": "traces", "items": 1, "size_bytes": 4}, spans(1)),
        Frame({"ended": "x is no longer there"}, b""),
    ]

    assert shown.follow(iter(frames)) == "x is no longer there"

    told = capsysbinary.readouterr()
    assert b"a batch of 3 items cannot be read" in told.err
    assert json.loads(told.out)["name"] == "GET /"


def test_profiles_are_shown_whole_or_it_is_said_how(capsysbinary: Any) -> None:
    document = b'{"resourceProfiles":[{"scopeProfiles":[{"profiles":[{"samples":[{"stackIndex":1},{}]}]}]}]}'
    sent = from_json(Signal.PROFILES, document)
    frames = [Frame({"signal": "profiles", "items": 2}, sent)] * 2

    assert Shown(TapFormat.OTLP, [], 1.0, 3).follow(iter(frames)) == ""
    assert capsysbinary.readouterr().out == (document + b"\n") * 2
    for shown in (
        Shown(TapFormat.JSON, [], 1.0, None),
        Shown(TapFormat.OTLP, [Condition.parse("a=b")], 1.0, None),
        Shown(TapFormat.OTLP, [], 0.5, None),
    ):
        with pytest.raises(typer.Exit) as exit_code:
            shown.follow(iter(frames))
        assert exit_code.value.exit_code == 2
        written = capsysbinary.readouterr()
        assert not written.out
        assert b"profiles are only shown whole: write --format otlp, without --where and --sample" in written.err


def test_what_was_missed_is_said_when_it_happens_and_at_the_end_and_not_all_the_time(capsys: Any) -> None:
    shown = Shown(TapFormat.JSON, [], 1.0, None)
    frames = [Frame({"missed_batches": n, "missed_items": 1000 * n}, b"") for n in (1, 2, 3, 40)]
    times = iter([0.0, 1.0, 1.9, 5.0, 5.1])

    assert shown.follow(
        iter([*frames, Frame({"missed_batches": 41, "missed_items": 41_000}, b"")]), lambda: next(times)
    ) == (GONE)
    shown.say_missed()
    shown.say_missed()

    said = capsys.readouterr().err.splitlines()
    assert [text.partition(" (")[0] for text in said] == [
        "Not seen so far: 1 batch",
        "Not seen so far: 40 batches",
        "Not seen so far: 41 batches",
    ]
    assert "(41.0k items)" in said[-1]


def test_a_terminal_cannot_obey_json_either() -> None:
    document = orjson.dumps({"a": "\x1b[31m \x9b31m \u202e \U000e0001 é\n"}).decode()

    shown = json_printable(document)

    assert shown.isprintable()
    assert "é" in shown
    assert json.loads(shown) == json.loads(document)


@pytest.fixture
def airis(tmp_path: Path, start_airis: Callable[..., Airis]) -> Airis:
    return start_airis(configuration(tmp_path))


class Tap:
    """A running ``airis tap``, which watches from the beginning."""

    def __init__(self, airis: Airis, *words: str) -> None:
        command = [AIRIS, "tap", *words, "--data-dir", airis.data_dir]
        self.process = subprocess.Popen(
            command, env=airis.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        until_tapped(airis, 1)

    def line(self) -> str:
        """The next one."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self, number: int | None = None) -> tuple[int, str, str]:
        """Exit code, the rest that was shown, and what was said."""
        if number is not None:
            self.process.send_signal(number)
        shown, said = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, shown, said


def test_items_are_shown_as_they_pass_until_ctrl_c(airis: Airis) -> None:
    tap = Tap(airis, "traces")
    send(airis, "traces", spans(2))
    send(airis, "logs", records(1))

    shown = [json.loads(tap.line()) for _ in range(2)]

    assert [(item["signal"], item["name"], item["span_id"]) for item in shown] == [
        ("traces", "GET /", "0000000000000001"),
        ("traces", "GET /", "0000000000000002"),
    ]
    assert tap.end(signal.SIGINT) == (0, "", "")


def test_it_ends_with_the_limit(airis: Airis) -> None:
    tap = Tap(airis, "exporters::nop", "--limit", "3", "--format", "text")
    send(airis, "logs", records(2))
    send(airis, "traces", spans(9, "\x1b[31mred"))

    code, shown, said = tap.end()

    assert (code, said) == (0, "")
    first, second, third = shown.splitlines()
    assert "record 0" in first
    assert "record 1" in second
    assert "\\x1b[31mred" in third


def test_conditions_and_the_limit_go_together(airis: Airis) -> None:
    tap = Tap(airis, "otlp", "--signal", "logs", "--where", "body=~[13579]$", "--limit", "2")
    send(airis, "traces", spans(1))
    send(airis, "logs", records(3))
    send(airis, "logs", records(3))

    code, shown, _ = tap.end()

    assert (code, [json.loads(text)["body"] for text in shown.splitlines()]) == (0, ["record 1", "record 1"])


def test_a_request_on_a_line_is_what_was_sent(airis: Airis) -> None:
    payloads = [spans(1), spans(5)]
    tap = Tap(airis, "batch of traces", "--format", "otlp", "--limit", "4")
    for sent in payloads:
        send(airis, "traces", sent)

    code, shown, _ = tap.end()

    first, second = shown.splitlines()
    assert (code, first) == (0, to_json("traces", payloads[0]).decode())
    (resource_spans,) = json.loads(second)["resourceSpans"]
    whole = json.loads(to_json("traces", payloads[1]))["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert resource_spans["scopeSpans"][0]["spans"] == whole[:3]


def test_a_name_that_is_not_one_place_is_told(airis: Airis) -> None:
    assert airis.run("tap", "bacth", expect=2) == 'airis: there is no "bacth"; did you mean "batch"?\n'
    assert airis.run("tap", "batch", expect=2).splitlines() == [
        'airis: "batch" is in several places',
        "  processors::batch of logs",
        "  processors::batch of traces",
    ]


def test_a_place_that_a_reload_takes_away_ends_it(airis: Airis, tmp_path: Path) -> None:
    tap = Tap(airis, "exporters::file")
    airis.config.write_text(configuration(tmp_path).replace("[nop, file]", "[nop]"))
    airis.run("reload")

    assert tap.end() == (1, "", "exporters::file is no longer there\n")


@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGTERM, "airis is shutting down\n"), (signal.SIGKILL, "airis has ended\n")]
)
def test_the_end_of_airis_ends_it(airis: Airis, number: int, said: str) -> None:
    tap = Tap(airis, "traces")
    airis.stop(number)

    assert tap.end() == (3, "", said)


def test_a_terminal_gets_lines_and_obeys_nothing_in_them(airis: Airis) -> None:
    with ending(Terminal(airis, "tap", "traces", "--limit", "2")) as terminal:
        terminal.until("Watching pipelines::traces; Ctrl-C ends")
        until_tapped(airis, 1)
        send(airis, "traces", spans(2, "\x1b]0;evil\x07"))

        code, written = terminal.end()

    assert (code, written.count(b"\\x1b]0;evil\\x07")) == (0, 2)
    assert b"\x1b]" not in written
    assert b"\x07" not in written


def test_without_an_instance_there_is_nothing_to_see(tmp_path: Path) -> None:
    assert "airis is not running" in Airis(tmp_path).run("tap", "traces", expect=3)


def test_who_does_not_read_on_is_told_what_was_missed_and_data_passes(airis: Airis) -> None:
    tap = Tap(airis, "traces", "--where", "name=~x", "--limit", "400")
    os.kill(tap.process.pid, signal.SIGSTOP)
    for _ in range(20):
        send(airis, "traces", spans(40, "x" * 20_000))
    os.kill(tap.process.pid, signal.SIGCONT)

    code, shown, said = tap.end()

    assert (code, len(shown.splitlines())) == (0, 400)
    last = re.fullmatch(
        r"Not seen so far: (\d+) batches \((\d+) items\), which passed faster than .*", said.splitlines()[-1]
    )
    assert last
    assert int(last[2]) == 40 * int(last[1])
    assert int(last[1]) >= 5, "16 MB passed, and half of that is kept"
