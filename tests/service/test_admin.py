"""The admin API of a running instance: what runs, what passes, and that its owner alone asks."""

import asyncio
import json
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from airis.component import Host, Telemetry
from airis.component.testing import Sink
from airis.service import admin
from airis.service.admin import QUEUE_SIZE
from airis.service.admin_client import AdminConnection, Frame, Refused, socket_path
from airis.service.port import Port
from airis.service.service import Service
from airis.service.tap import MOST_TAPS, Taps, Wanted

from ..running import PATIENCE_S, Airis
from .fakes import Out, Recorded, batch, settled
from .fakes import configuration as of_fakes
from .passing import ask, configuration, records, send, spans, until_tapped

ROUTES = [
    ("GET", "/"),
    ("POST", "/-/reload"),
    ("GET", "/api/v1/status"),
    ("GET", "/api/v1/ledger"),
    ("GET", "/api/v1/tap"),
]
OWN_ROUTES = [("POST", f"/api/v1/wal/{name}") for name in ("forget", "requeue", "drop", "put")]
"""For the owner of the socket alone."""


@pytest.fixture
def airis(tmp_path: Path, start_airis: Callable[..., Airis]) -> Airis:
    return start_airis(configuration(tmp_path))


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airis]:
    """An instance for tests that change nothing."""
    folder = tmp_path_factory.mktemp("lasting")
    airis = Airis(folder, configuration(folder))
    try:
        yield airis.start()
    finally:
        airis.end()


class Tapping:
    """A tap on a running instance; it is open from the beginning."""

    def __init__(self, airis: Airis, query: str) -> None:
        self.connection = AdminConnection(airis.data_dir, PATIENCE_S)
        self.frames: Iterator[Frame] = self.connection.frames(f"/api/v1/tap?{query}")
        self.watching = next(self.frames).told["watching"]

    def __enter__(self) -> "Tapping":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()


def test_what_passed_is_told_of_every_component(airis: Airis) -> None:
    payload = spans(3)
    send(airis, "traces", payload)
    send(airis, "logs", records(2))

    status, _, found = ask(airis, "GET", "/api/v1/status")

    assert status == 200
    assert (found["pid"], found["configuration"]) == (airis.pid, str(airis.config))
    passed = {
        member["name"]: (member["status"], member["in"]["items"], member["out"]["items"])
        for member in found["components"]
    }
    assert passed == {
        "receivers::otlp": ("StatusOK", 0, 5),
        "processors::batch of traces": ("StatusOK", 3, 3),
        "processors::batch of logs": ("StatusOK", 2, 2),
        "exporters::nop": ("StatusOK", 5, 0),
        "exporters::file": ("StatusOK", 3, 0),
    }
    pipelines = {pipeline["name"]: pipeline["in"] for pipeline in found["pipelines"]}
    assert pipelines["traces"] == {"items": 3, "bytes": len(payload), "refused": 0, "in_flight": 0}
    assert {member["queued"] for member in found["components"]} == {None}, "there is no queue"


@pytest.mark.parametrize(("method", "path"), [*ROUTES, *OWN_ROUTES])
def test_every_route_is_listed(lasting: Airis, method: str, path: str) -> None:
    status, headers, text = ask(lasting, "GET", "/")

    assert (status, headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert f"{method:<5}{path}" in text.splitlines()


@pytest.mark.parametrize(
    ("method", "path", "status", "allow", "said"),
    [
        ("GET", "/api/v2/status", 404, None, "there is no /api/v2/status here"),
        ("GET", "/-/reload", 405, "POST", "/-/reload takes POST"),
        ("HEAD", "/-/reload", 405, "POST", ""),
        ("POST", "/api/v1/status", 405, "GET, HEAD", "/api/v1/status takes GET, HEAD"),
        ("GET", "/api/v1/tap?of=traces&sample=1", 400, None, 'unknown parameter "sample"'),
        ("GET", "/api/v1/tap?of=traces&share=0", 400, None, '"share" is 0; write a number'),
        ("GET", "/api/v1/tap?of=traces&share=x", 400, None, '"share" is x; write a number'),
        ("GET", "/api/v1/tap?of=traces&items=inf", 400, None, '"items" is inf; write a whole number'),
        ("GET", "/api/v1/tap?of=traces&signal=spans", 400, None, '"spans" is no signal; write traces, metrics, logs'),
        ("GET", "/api/v1/tap?of=tracse", 404, None, 'there is no "tracse"; did you mean "traces"?'),
        ("GET", "/api/v1/tap?of=traces&signal=logs", 404, None, "pipelines::traces carries no logs"),
        ("GET", "/api/v1/tap?of=nop&output=1", 404, None, "exporters::nop has no output of its own"),
        ("GET", "/api/v1/tap", 404, None, 'there is no ""'),
    ],
)
def test_errors_are_json(lasting: Airis, method: str, path: str, status: int, allow: str | None, said: str) -> None:
    answered, headers, body = ask(lasting, method, path)

    assert (answered, headers.get("allow"), headers["content-type"]) == (status, allow, "application/json")
    assert said in (body["error"]["message"] if body else "")


@pytest.mark.parametrize("path", ["/", "/api/v1/status", "/api/v1/tap?of=traces"])
def test_headers_can_be_asked_for_alone(lasting: Airis, path: str) -> None:
    status, headers, body = ask(lasting, "HEAD", path)

    assert (status, body) == (200, "")
    assert headers["content-type"]


def test_headers_of_a_tap_are_no_tap(airis: Airis) -> None:
    connection = AdminConnection(airis.data_dir, PATIENCE_S)
    connection.request("HEAD", "/api/v1/tap?of=traces")
    assert connection.getresponse().status == 200

    assert ask(airis, "GET", "/api/v1/status")[2]["taps"] == []


def test_a_tap_has_the_very_bytes_that_pass(lasting: Airis) -> None:
    sent = [spans(2), spans(5)]
    with Tapping(lasting, "of=pipelines::traces") as tapping:
        for payload in sent:
            send(lasting, "traces", payload)
        send(lasting, "logs", records(1))
        seen = [next(tapping.frames) for _ in sent]

    assert tapping.watching == "pipelines::traces"
    assert [(frame.told["items"], frame.payload) for frame in seen] == [(2, sent[0]), (5, sent[1])]
    assert {frame.told["receiver"] for frame in seen} == {"otlp"}


def test_what_a_processor_hands_on_is_seen_behind_it(lasting: Airis) -> None:
    with Tapping(lasting, "of=batch&signal=traces&output=1") as tapping:
        send(lasting, "traces", spans(3))

        assert next(tapping.frames).told["items"] == 3


def test_choices_are_told(lasting: Airis) -> None:
    with pytest.raises(Refused, match='"batch" is in several places') as refused:
        Tapping(lasting, "of=batch")

    assert refused.value.choices == ["processors::batch of logs", "processors::batch of traces"]
    with Tapping(lasting, "of=batch&signal=logs") as tapping:
        assert tapping.watching == "processors::batch of logs"


def test_there_are_so_many_taps_and_one_that_is_left_makes_room(airis: Airis) -> None:
    with ExitStack() as stack:
        for _ in range(MOST_TAPS):
            stack.enter_context(Tapping(airis, "of=traces"))
        with pytest.raises(Refused, match=f"{MOST_TAPS} taps are open"):
            Tapping(airis, "of=traces")
    until_tapped(airis, 0)
    with Tapping(airis, "of=traces&signal=traces"):
        told = ask(airis, "GET", "/api/v1/status")[2]["taps"]
    assert told == [{"of": "pipelines::traces", "signal": "traces", "missed_batches": 0}]


def test_a_tap_goes_on_where_a_component_is_exchanged(airis: Airis, tmp_path: Path) -> None:
    with Tapping(airis, "of=receivers::otlp") as tapping:
        airis.config.write_text(configuration(tmp_path, size=2_000_000))
        assert "~ receivers::otlp" in airis.run("reload")
        send(airis, "traces", spans(4))

        assert next(tapping.frames).told["items"] == 4


def test_a_tap_ends_where_its_place_is_gone(airis: Airis, tmp_path: Path) -> None:
    with Tapping(airis, "of=exporters::file") as tapping:
        airis.config.write_text(configuration(tmp_path).replace("[nop, file]", "[nop]"))
        airis.run("reload")

        assert [frame.told for frame in tapping.frames] == [{"ended": "exporters::file is no longer there"}]


def test_a_tap_ends_with_airis_and_does_not_hold_it_up(airis: Airis) -> None:
    with Tapping(airis, "of=traces") as tapping, Tapping(airis, "of=logs"):
        send(airis, "traces", spans(1))
        assert airis.process is not None
        airis.process.send_signal(signal.SIGTERM)

        *seen, last = [frame.told for frame in tapping.frames]
        assert last == {"ended": "airis is shutting down"}
        assert sum(told["items"] for told in seen) == 1
        assert airis.process.wait(PATIENCE_S) == 0
    assert not [line for line in airis.log if line.get("level") == "error"]


def test_the_owner_alone_reaches_the_socket_whatever_the_umask(tmp_path: Path) -> None:
    airis = Airis(tmp_path, configuration(tmp_path))
    airis.data_dir.mkdir(mode=0o755)
    airis.command = ["sh", "-c", 'umask 0; exec "$@"', "sh", *airis.command]  # type: ignore[list-item]
    try:
        airis.start()

        mode = (airis.data_dir / "admin.sock").stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
    finally:
        airis.end()


def test_the_data_directory_is_the_owners(airis: Airis) -> None:
    assert stat.S_IMODE(airis.data_dir.stat().st_mode) == 0o700


def test_the_socket_of_a_killed_instance_is_replaced(airis: Airis) -> None:
    airis.end()
    assert (airis.data_dir / "admin.sock").exists()

    airis.start()

    assert ask(airis, "GET", "/api/v1/status")[0] == 200


def test_a_data_directory_with_a_long_name_has_its_socket_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 20) / ("down" * 20)
    folder.mkdir(parents=True)
    airis = Airis(folder, configuration(folder), XDG_RUNTIME_DIR=str(tmp_path))
    try:
        airis.start()

        (path,) = tmp_path.glob("*.sock")
        assert airis.instance["admin_socket"] == str(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        airis.environment["XDG_RUNTIME_DIR"] = "/nowhere"  # as for another session of the user
        assert airis.run("reload") == "nothing is different\n"
        assert airis.stop() == 0
        assert not path.exists()
    finally:
        airis.end()


def test_two_directories_with_long_names_have_sockets_of_their_own() -> None:
    places = {socket_path(Path(f"/{'x' * 200}/{name}")) for name in ("a", "b")}

    assert len(places) == 2
    assert socket_path(Path("/var/lib/airis")) == Path("/var/lib/airis/admin.sock")


class Stuck:
    """A client of a tap that does not read."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.sent: list[bytes] = []

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        self.sent.append(message.get("body", b""))

    async def receive(self) -> Any:
        await asyncio.Event().wait()


async def test_the_end_of_airis_does_not_wait_for_who_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "STALLED_S", 0.01)
    ports: dict[str, tuple[Port, ...]] = {"pipelines::traces": (Port(),)}
    taps, client = Taps(lambda _output: ports), Stuck()
    with taps.open(Wanted("pipelines::traces")) as tap:
        streaming = asyncio.create_task(admin._stream(tap, client.receive, client.send))
        await settled()
        ports.clear()
        taps.follow(True)

        async with asyncio.timeout(PATIENCE_S):
            await streaming


async def test_who_reads_late_gets_all_until_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "STALLED_S", 0.001)
    port = Port()
    port.resume(Sink())
    taps, client = Taps(lambda _output: {"pipelines::traces": (port,)}), Stuck()
    with taps.open(Wanted("pipelines::traces", items=3)) as tap:
        streaming = asyncio.create_task(admin._stream(tap, client.receive, client.send))
        await port.consume(batch(3))
        _, pending = await asyncio.wait({streaming}, timeout=0.05)
        assert pending, "the limit is no reason to hurry"
        client.reads.set()

        async with asyncio.timeout(PATIENCE_S):
            await streaming
    assert b"".join(client.sent).endswith(b'{"ended":"limit"}\n')
    assert b"xxx" in b"".join(client.sent)


class Asked:
    """The admin API of a service, asked from inside."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def status(self) -> dict[str, Any]:
        """The document."""
        answered: list[Any] = []

        async def keep(message: Any) -> None:
            answered.append(message)

        async def gone() -> Any:
            return {"type": "http.disconnect"}

        scope = {"type": "http", "method": "GET", "path": "/api/v1/status", "query_string": b"", "headers": []}
        await self.service.admin(scope, gone, keep)
        assert answered[0]["status"] == 200
        found: dict[str, Any] = json.loads(answered[1]["body"])
        return found


async def test_a_queue_is_told_of_and_what_is_about_to_start(tmp_path: Path) -> None:
    service = Service(of_fakes({"traces": ("in", "through", "out")}), tmp_path)
    Telemetry("exporter", "out", service.metrics).gauge(QUEUE_SIZE, "{batch}", "Batches that wait.").set(7)

    found = {member["name"]: member for member in (await Asked(service).status())["components"]}

    assert found["exporters::out"]["queued"] == 7
    assert {(member["status"], tuple(member["endpoints"])) for member in found.values()} == {("StatusNone", ())}
    assert set(found) == {"receivers::in", "processors::through of traces", "exporters::out"}


async def test_who_asks_in_the_middle_of_a_reload_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(of_fakes({"traces": ("in", "through", "out")}), tmp_path)
    await service.graph.start(service)
    answers: list[dict[str, Any]] = []

    async def start(component: Out, host: Host) -> None:
        answers.append(await Asked(service).status())
        await Recorded.start(component, host)

    monkeypatch.setattr(Out, "start", start)
    await service.graph.reload(of_fakes({"logs": ("in", "", "out/2")}), service, drain_s=1)

    (during,) = answers
    assert [pipeline["name"] for pipeline in during["pipelines"]] == ["logs"]
    assert [pipeline["name"] for pipeline in (await Asked(service).status())["pipelines"]] == ["logs"]
    await service.graph.shutdown()
