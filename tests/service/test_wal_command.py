"""``airis wal`` and ``airis dlq``: over a directory that nobody uses, a damaged one, and one whose airis runs."""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import Result
from typer.testing import CliRunner

from airis.data import kernels
from airis.service import cli
from airis.service.admin_client import AdminConnection
from airis.storage.wal.files import OsFiles
from airis.storage.wal.log import Log, LogOptions, Put
from airis.storage.wal.subscriber import Limits, Subscriber

from ..running import PATIENCE_S, Airis
from .passing import records, send, spans
from .terminal import Terminal, ending

STORE, OLD, LOGS = "exporters/otlp_http:traces", "exporters/old:traces", "exporters/otlp_http:logs"
META = b'{"tenant":"shop","validated":true}'
EVIL = "\x1b]0;evil\x07"

CONFIGURATION = """
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:0"}}}}}}
exporters:
  otlp_http:
    endpoint: http://127.0.0.1:{port}
    compression: none
    retry_on_failure: {{initial_interval: 10ms, max_interval: 50ms}}
    sending_queue: {{storage: file_storage}}
extensions:
  file_storage:
service:
  extensions: [file_storage]
  telemetry: {{metrics: {{address: "127.0.0.1:0"}}, logs: {{encoding: json}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp_http]}}
    logs: {{receivers: [otlp], exporters: [otlp_http]}}
"""


def a_put(number: int, *subscribers: Subscriber, name: str = "") -> Put:
    payload = spans(2, name or f"span {number}")
    lanes = frozenset(subscriber.lane for subscriber in subscribers)
    return Put(lanes, 1, 2, 1, 0, number.to_bytes(16, "big"), META, payload)


class Commands:
    """The command line over a data directory, with the configuration that its log is from."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self.config = folder / "airis.yaml"
        self.config.write_text(CONFIGURATION.format(port=1))

    @property
    def directory(self) -> Path:
        return self.data_dir / "wal"

    def __call__(self, *words: str, **options: Any) -> Result:
        here = ["--data-dir", str(self.data_dir), "--config", str(self.config)]
        return CliRunner().invoke(cli.app, [*words, *here], **options)

    def json(self, *words: str) -> Any:
        result = self(*words)
        assert result.exit_code == 0, result.output
        return orjson.loads(result.stdout)

    def opened(self) -> Log:
        log = Log(OsFiles(self.directory), LogOptions(segment_bytes=1000))
        log.open()
        return log

    def subscriber(self, name: str) -> dict[str, Any]:
        (found,) = (each for each in self.json("wal", "ls")["subscribers"] if each["subscriber"] == name)
        return dict(found)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Six batches for two exporters, one of which is not configured any more; two are delivered, one is buried."""
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("NO_COLOR", "1")
    commands = Commands(tmp_path)
    log = commands.opened()
    store, old = log.subscriber(STORE, 1), log.subscriber(OLD, 1)
    for number in range(6):
        assert log.put([a_put(number, store, old)]) == [None]
    delivered = store.take(Limits(max_items=4))
    assert delivered is not None
    store.settle(delivered)
    refused = store.take(Limits(max_items=2))
    assert refused is not None
    store.bury(refused, f"the server says {EVIL} 400")
    log.close()
    return commands


def only(directory: Path, pattern: str) -> Path:
    (found,) = directory.glob(pattern)
    return found


# What there is


def test_ls_tells_who_is_owed_what(commands: Commands):
    document = commands.json("wal", "ls")
    owed = {
        each["subscriber"]: (each["batches"], each["items"], each["configured"]) for each in document["subscribers"]
    }
    assert owed == {STORE: (3, 6, True), OLD: (6, 12, False)}
    segments = document["segments"]
    assert [segment["first"] for segment in segments] == sorted(segment["first"] for segment in segments)
    assert sum(segment["batches"] for segment in segments) == 6
    assert sum(segment["items"]["traces"] for segment in segments) == 12
    assert sum(segment["owed"].get(STORE, {"items": 0})["items"] for segment in segments) == 6
    assert document["dead_letters"] == 1
    assert document["running"] is False

    table = commands("wal", "ls", "--format", "table")
    assert "not configured any more" in table.stdout
    assert "12 traces" in table.stdout or "2 traces" in table.stdout
    assert "1 dead letter: airis dlq ls" in table.stderr


def test_looking_changes_nothing(commands: Commands):
    def state() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in commands.directory.rglob("*") if path.is_file()}

    before = state()
    for words in (["wal", "ls"], ["wal", "inspect", "0-"], ["wal", "verify"], ["wal", "export"], ["dlq", "ls"]):
        assert commands(*words).exit_code == 0
    assert commands("dlq", "show", "2").exit_code == 0
    assert state() == before


def test_ls_reads_a_log_that_was_cut_short(commands: Commands):
    log = commands.opened()
    log.put([a_put(9, log.subscriber(STORE, 1))])
    # no close: the process is killed
    assert commands.subscriber(STORE)["items"] == 8


def test_inspect_shows_a_record_and_what_is_in_it(commands: Commands):
    record = commands.json("wal", "inspect", "3")
    assert (record["record"], record["signal"], record["items"], record["whole"]) == (3, "traces", 2, True)
    assert record["subscribers"] == record["owed"] == [STORE, OLD]
    assert record["meta"] == orjson.loads(META)
    path = commands.directory / record["file"]
    assert path.read_bytes()[record["offset"] :].startswith(b"\xa1riR")
    names = [span["name"] for span in record["content"]["resourceSpans"][0]["scopeSpans"][0]["spans"]]
    assert names == ["span 3", "span 3"]
    assert commands.json("wal", "inspect", "0")["owed"] == [OLD]

    request = commands.json("wal", "inspect", "3", "--format", "otlp-json")
    assert request == record["content"]
    table = commands("wal", "inspect", "3-", "--format", "table").stdout
    assert [line.split()[0] for line in table.splitlines()[2:]] == ["3", "4", "5"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["wal", "inspect", "99"], 1, "there is no record 99"),
        (["wal", "inspect", "x"], 2, '"x" names no records; write 42, 40-49 or 40-'),
        (["wal", "inspect", "5-3"], 2, "names no records"),
        (["wal", "forget", "exporters/nobody:traces"], 1, f"there are:\n  {OLD}\n  {STORE}"),
        (["wal", "forget", STORE], 1, "take the exporter out of the configuration first"),
        (["wal", "forget", OLD], 2, "Give up 12 items in 6 batches"),
        (["wal", "export", "--format", "otlp-proto"], 2, "--signal"),
        (["wal", "export", "--subscriber", "x"], 1, 'the log has no subscriber "x"'),
        (["wal", "requeue", "nothing", "--to", STORE], 1, '"nothing" is no file, and no copy in quarantine'),
        (["dlq", "show", "x"], 1, 'there is no dead letter "x"\nthere are:\n  2-00000000'),
        (["dlq", "show", "../../airis.yaml"], 1, "there is no dead letter"),
        (["dlq", "requeue"], 2, "name some, or say --all, or --exporter"),
        (["dlq", "requeue", "2", "--to", "x"], 1, 'the log has no subscriber "x"'),
        (["dlq", "ls", "--exporter", "x"], 1, f'"x" has no dead letters\nthere are:\n  {STORE}'),
        (["dlq", "drop", "--all"], 2, "Say --yes"),
        (["wal", "ls", "--storage", "x"], 1, 'no file_storage extension "x"; there are: file_storage'),
    ],
)
def test_what_cannot_be_done_says_what_was_meant(commands: Commands, words: list[str], code: int, said: str):
    result = commands(*words)
    assert (result.exit_code, said in result.stderr) == (code, True), result.output


def test_a_directory_without_a_log_says_so(commands: Commands, tmp_path: Path):
    result = commands("wal", "ls", "--directory", str(tmp_path / "nowhere"))
    assert result.exit_code == 1
    assert "nowhere is not there" in result.stderr
    result = commands("wal", "ls", "--directory", str(tmp_path))
    assert result.exit_code == 1
    assert "there is no log in it" in result.stderr
    assert commands.json("wal", "ls", "--directory", str(commands.directory))["subscribers"][0]["configured"] is None


def test_a_log_of_another_version_is_not_read(commands: Commands):
    segment = min(commands.directory.glob("*.wal"))
    data = segment.read_bytes()
    segment.write_bytes(data[:8] + b"\x02\x00" + data[10:])
    for words in (["wal", "ls"], ["wal", "verify"], ["dlq", "requeue", "2"], ["wal", "forget", OLD, "--yes"]):
        result = commands(*words)
        assert result.exit_code == 1
        assert "version 2 of the format; this airis knows version 1" in result.stderr


def test_a_log_that_another_process_uses_is_not_changed(commands: Commands):
    (commands.directory / "lock").touch()
    lock = os.open(commands.directory / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    for words in (["dlq", "requeue", "2"], ["wal", "forget", OLD, "--yes"]):
        result = commands(*words)
        assert result.exit_code == 1
        assert "another process uses the log" in result.stderr
    assert commands.subscriber(OLD)["items"] == 12
    os.close(lock)


# Damage


Damaging = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    ("pattern", "damage", "offset", "what"),
    [
        ("0*00.wal", lambda d: d[:200] + b"\xff" + d[201:], 64, "the content of record 0 is damaged"),
        ("0*00.wal", lambda d: d[:70] + b"\xff" + d[71:], 64, "no record"),
        ("0*00.wal", lambda d: d[:20] + b"\xff" + d[21:], 0, "the header of the file is damaged"),
        ("0*00.wal", lambda d: d[:-5], None, "damaged"),
        ("*old*.cursor", lambda d: d[:150] + b"\xff" + d[151:], 64, "the content of record 0 is damaged"),
        ("dead/*.dead", lambda d: d[:-1] + b"\xff", 64, "the content of record 2 is damaged"),
        ("*.roster", lambda d: d[:-1] + b"\xff", 64, "damaged"),
    ],
)  # fmt: skip
def test_verify_names_each_damage(commands: Commands, pattern: str, damage: Damaging, offset: int | None, what: str):
    assert commands("wal", "verify").exit_code == 0
    path = only(commands.directory, pattern)
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()

    result = commands("wal", "verify")

    assert result.exit_code == 1
    (line, *_) = result.stdout.splitlines()
    assert line.startswith(f"{path}:" if offset is None else f"{path}:{offset}: ")
    assert what in line or "not wholly written" in line
    assert path.read_bytes() == before


def test_damage_is_passed_over_and_said(commands: Commands):
    path = only(commands.directory, "0*00.wal")
    path.write_bytes(path.read_bytes()[:200] + b"\xff" + path.read_bytes()[201:])
    assert commands.json("wal", "inspect", "0")["content"] is None
    result = commands("wal", "export")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 5
    assert "record 0 cannot be read and is left out" in result.stderr
    assert commands("wal", "ls").exit_code == 0

    log = commands.opened()
    log.close()
    copies = commands.json("wal", "ls")["quarantine"]
    assert len(copies) == 1
    result = commands("wal", "requeue", copies[0]["file"])
    assert result.exit_code == 1
    assert "there is no whole record in it" in result.stderr


def test_a_damaged_dead_letter_can_be_dropped(commands: Commands):
    path = only(commands.directory, "dead/*.dead")
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    assert "cannot be read" in commands("dlq", "ls").stderr
    assert "cannot be read" in commands("dlq", "show", "2").stderr
    assert commands("dlq", "requeue", "2").exit_code == 1
    assert commands("dlq", "drop", "2", "--yes").exit_code == 0
    assert not path.exists()


# Out and in


@pytest.mark.parametrize("form", ["otlp-json", "otlp-proto"])
def test_what_was_exported_can_be_put_back(commands: Commands, tmp_path: Path, form: str):
    out = tmp_path / "out"
    words = ["wal", "export", "--signal", "traces", "--format", form, "--subscriber", STORE, "--output", str(out)]
    assert commands(*words).exit_code == 0
    assert out.stat().st_mode & 0o777 == 0o600
    result = commands(*words)
    assert result.exit_code == 2
    assert "is there already" in result.stderr

    assert commands("wal", "requeue", str(out)).exit_code == 2
    result = commands("wal", "requeue", str(out), "--to", STORE, "--tenant", "shop")
    assert result.exit_code == 0, result.output
    assert "3 batches with 6 items in the queue" in result.stderr
    assert commands.subscriber(STORE)["items"] == 12
    store = commands.opened().subscriber(STORE, 1)
    group = store.take()
    assert group is not None
    assert [kernels.scan("traces", payload).items for _, payload in store.payloads(group)] == [2] * 6


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"resourceSpans":', "bad:1: it is no request for traces"),
        (b"\x00\x00\x00\x05abc", "bad: at 0 there is no whole request"),
        (b"\x00\x00\x00\x03\xff\xff\xff", "bad: at 0: it is no request for traces"),
        (b"{}", "there are no traces in it"),
    ],
)
def test_what_is_no_export_is_refused(commands: Commands, tmp_path: Path, content: bytes, said: str):
    (tmp_path / "bad").write_bytes(content)
    result = commands("wal", "requeue", str(tmp_path / "bad"), "--to", STORE)
    assert result.exit_code == 1
    assert said in result.stderr
    assert commands.subscriber(STORE)["items"] == 6


def test_what_is_whole_in_quarantine_can_be_put_back(commands: Commands):
    """A file of another log was put there whole."""
    segment = min(commands.directory.glob("*.wal"))
    other = Log(OsFiles(commands.data_dir / "other"))
    other.open()
    other.put([a_put(50, other.subscriber(STORE, 1))])
    other.close()
    strange = only(commands.data_dir / "other", "*.wal")
    (commands.directory / "00000000000000009999.wal").write_bytes(strange.read_bytes())
    commands.opened().close()
    (copy,) = commands.json("wal", "ls")["quarantine"]

    result = commands("wal", "requeue", copy["file"])
    assert "say with --to whose queue it goes into" in result.stderr
    result = commands("wal", "requeue", copy["file"], "--to", STORE)
    assert result.exit_code == 0, result.output
    assert commands.subscriber(STORE)["items"] == 8
    assert commands.json("wal", "ls")["quarantine"] == []
    assert segment.exists()


def test_forget_gives_up_what_is_owed(commands: Commands):
    result = commands("wal", "forget", OLD, "--yes")
    assert result.exit_code == 0
    assert "with 12 items" in result.stderr
    assert [each["subscriber"] for each in commands.json("wal", "ls")["subscribers"]] == [STORE]
    assert "(forgotten)" in commands.json("wal", "inspect", "5")["subscribers"][1]


def test_dead_letters_are_shown_requeued_and_dropped(commands: Commands):
    (letter,) = commands.json("dlq", "ls")
    assert letter["exporter"] == STORE
    assert letter["reason"] == f"the server says {EVIL} 400"
    assert (letter["items"], letter["record"], letter["signal"]) == (2, 2, "traces")
    content = commands.json("dlq", "show", letter["id"], "--format", "otlp-json")
    assert content["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"] == "span 2"
    assert commands.json("dlq", "show", letter["id"])["content"] == content

    result = commands("dlq", "requeue", letter["id"])
    assert result.exit_code == 0, result.output
    assert commands.json("dlq", "ls") == []
    assert commands.subscriber(STORE)["items"] == 8
    log = commands.opened()
    store = log.subscriber(STORE, 1)
    group = store.take()
    assert group is not None
    assert group.entries[-1].head.batch_id == (2).to_bytes(16, "big")
    assert group.entries[-1].meta == META
    store.bury(group, "again")
    log.close()

    assert len(commands.json("dlq", "ls", "--exporter", "otlp_http")) == 4
    assert commands("dlq", "drop", "--exporter", STORE, "--yes").exit_code == 0
    assert commands.json("dlq", "ls") == []


def test_nothing_a_sender_wrote_is_obeyed(commands: Commands):
    log = commands.opened()
    log.put([a_put(70, log.subscriber(STORE, 1), name=EVIL)._replace(meta=b'{"tenant":"\x1b[31m"}')])
    log.close()
    for words in (["wal", "inspect", "6"], ["dlq", "ls"], ["dlq", "show", "2"], ["wal", "inspect", "0-"]):
        shown = commands(*words, "--format", "table").output
        assert "\x1b" not in shown
        assert "\x07" not in shown


def test_a_terminal_is_asked_before_anything_is_given_up(commands: Commands):
    airis = Airis(commands.data_dir.parent, CONFIGURATION.format(port=1))
    with ending(Terminal(airis, "wal", "forget", OLD, "--config", str(airis.config))) as terminal:
        terminal.until("did not get")
        terminal.type(b"n\n")
        terminal.until("Nothing was done")
    assert commands.subscriber(OLD)["items"] == 12


# While airis runs


class Destination(ThreadingHTTPServer):
    """Takes OTLP over HTTP, or answers what it is told to."""

    def __init__(self) -> None:
        self.status = 200
        self.taken: list[bytes] = []
        self.changed = threading.Condition()
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def until(self, batches: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.taken) >= batches, PATIENCE_S)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        assert isinstance(server, Destination)
        self.send_response(server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        if server.status == 200:
            with server.changed:
                server.taken.append(body)
                server.changed.notify_all()

    def log_request(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def destination() -> Iterator[Destination]:
    made = Destination()
    yield made
    made.shutdown()
    made.server_close()


def wait_for(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def test_a_running_airis_does_what_is_asked(tmp_path: Path, destination: Destination):
    log = Log(OsFiles(tmp_path / "data" / "wal"))
    log.open()
    log.put([a_put(0, log.subscriber(OLD, 1))])
    log.close()
    airis = Airis(tmp_path, CONFIGURATION.format(port=destination.server_port))
    try:
        airis.start()
        destination.status = 400
        send(airis, "logs", records(1))
        (letter,) = wait_for(lambda: orjson.loads(airis.run("dlq", "ls")))
        assert letter["exporter"] == LOGS

        destination.status = 503
        send(airis, "traces", spans(3))
        document = orjson.loads(airis.run("wal", "ls"))
        assert document["running"] is True
        owed = {each["subscriber"]: each["items"] for each in document["subscribers"]}
        assert owed == {OLD: 2, STORE: 3, LOGS: 0}
        airis.run("wal", "verify")
        assert orjson.loads(airis.run("wal", "inspect", "2-"))["owed"] == [STORE]

        assert "is configured" in airis.run("wal", "forget", STORE, "--yes", expect=1)
        airis.run("wal", "forget", OLD, "--yes")
        assert airis.counted("airis_file_storage_forgotten_items") == 2

        destination.status = 200
        destination.until(1)
        airis.run("dlq", "requeue", letter["id"])
        destination.until(2)
        assert kernels.scan("logs", destination.taken[1]).items == 1
        assert orjson.loads(airis.run("dlq", "ls")) == []
        assert airis.counted("airis_file_storage_requeued_items") == 1

        out = tmp_path / "requests"
        out.write_bytes(kernels.to_json("traces", spans(4)) + b"\n")
        airis.run("wal", "requeue", str(out), "--to", STORE)
        destination.until(3)
        assert kernels.scan("traces", destination.taken[2]).items == 4
        assert 'no subscriber "x"' in airis.run("wal", "requeue", str(out), "--to", "x", expect=1)

        for path, status, said in (
            ("requeue?storage=file_storage", 400, 'the parameter "letter" is missing'),
            ("requeue?storage=file_storage&letter=x", 409, 'there is no dead letter "x"'),
            ("drop?storage=x&letter=x", 409, 'no file_storage extension "x" runs'),
            ("put?storage=file_storage&to=x", 400, ""),
            (f"forget?storage=file_storage&subscriber={STORE}", 409, "is in use"),
        ):
            answered, told = AdminConnection(airis.data_dir).json("POST", f"/api/v1/wal/{path}")
            assert (answered, said in told["error"]["message"]) == (status, True), told

        destination.status = 400
        send(airis, "logs", records(1))
        wait_for(lambda: orjson.loads(airis.run("dlq", "ls")))
        airis.run("dlq", "drop", "--all", "--yes")
        assert orjson.loads(airis.run("dlq", "ls")) == []
        assert airis.stop() == 0
    finally:
        airis.end()


def test_a_queue_that_the_log_cannot_have_ends_the_start(tmp_path: Path):
    """And not, at run time, in senders that are told to try again for ever."""
    text = CONFIGURATION.format(port=1).replace("otlp_http", "otlp_http/" + "x" * 250)
    code, said = Airis(tmp_path, text).fail_to_start()
    assert code == 1
    assert "the log cannot have a queue for" in said
    assert "choose a shorter one" in said
