"""What components do wrong, and what happens at the wrong moment: the engine goes on, and nobody is held for ever."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from airis.component import Histogram, Kind, Metrics, Permanent, Retryable, StartError, Status, Telemetry
from airis.component.group_commit import GroupCommit, Limits
from airis.component.testing import FakeHost, ManualClock, Sink
from airis.config import Configuration, TelemetryConfig
from airis.data import Batch, Origin, Signal
from airis.service import cli
from airis.service import graph as graph_module
from airis.service.fan_out import FanOut
from airis.service.graph import Graph, NothingStarts, ReloadFailed
from airis.service.instance import Claim, running
from airis.service.observe import InternalDuration
from airis.service.service import DRAIN_DEADLINE_S, Service

from .fakes import DELIVERED, EVENTS, Aid, In, Out, batch, configuration, counted, named, settled
from .test_reload import Running, of

PATIENCE_S = 3.0
NO_METRICS = {"metrics": {"level": "none"}}


@pytest.fixture(autouse=True)
def nothing_noted() -> None:
    EVENTS.clear()
    DELIVERED.clear()


async def within(work: Any, seconds: float = PATIENCE_S) -> Any:
    """The outcome, or a failure if there is none in time."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
        await asyncio.wait({task}, timeout=0.5)
        pytest.fail(f"it does not end in {seconds} s")
    return task.result()


def with_telemetry(base: Configuration, **telemetry: Any) -> Configuration:
    return replace(base, telemetry=TelemetryConfig.model_validate(telemetry))


def service_of(folder: Path, first: Configuration, *later: Configuration) -> Service:
    """A service that reads `later`, one after the other, when it reloads."""
    coming = list(later)
    return Service(first, folder, load=lambda _sources: coming.pop(0))


def quiet(*arguments: Any, **more: Any) -> Configuration:
    return with_telemetry(configuration(*arguments, **more), **NO_METRICS)


ONE = {"traces": ("in", "", "out")}


# --- Start and shutdown -------------------------------------------------------------------------------------------


async def test_a_start_that_fails_at_the_admin_socket_closes_the_components(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")
    deep = tmp_path / ("x" * 110)
    service = service_of(deep, quiet(ONE))

    with pytest.raises(StartError):
        await service.run()

    assert EVENTS == ["start out", "start in", "shutdown in", "shutdown out"]


@pytest.mark.parametrize("what", ["announce", "endpoints"])
async def test_what_fails_after_the_start_closes_the_components(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    if what == "announce":
        monkeypatch.setattr(Claim, "announce", fail)
    else:
        monkeypatch.setattr(In, "endpoints", fail)
    service = service_of(tmp_path, quiet(ONE))

    with pytest.raises(OSError, match="No space"):
        await service.run()

    assert EVENTS == ["start out", "start in", "shutdown in", "shutdown out"]


async def test_a_shutdown_that_raises_cancelled_does_not_keep_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of every component that awaits a task of its own which it has cancelled."""

    async def shutdown(self: In) -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        await task

    monkeypatch.setattr(In, "shutdown", shutdown)
    graph = Graph(configuration({"traces": ("in", "keep", "out")}), Metrics())
    await graph.start(FakeHost(tmp_path))
    await graph.nodes[next(p for p in graph.nodes if p.kind is Kind.PROCESSOR)].component.consume(batch())  # type: ignore[attr-defined]

    with contextlib.suppress(asyncio.CancelledError):
        await graph.shutdown(1)

    assert "shutdown out" in EVENTS
    assert "out" in DELIVERED, "what keep had acknowledged is lost"


@pytest.mark.parametrize("where", ["receiver", "draining", "exporter"])
async def test_a_component_that_hangs_does_not_keep_the_others_from_draining(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Until the deadline nobody else's acknowledged data is handed on, and then it is too late for all of them."""

    async def hang(_self: object) -> None:
        await asyncio.Event().wait()

    pipelines = {"traces": ("in", "keep", "out"), "logs": ("in/hangs", "", "out/hangs")}
    service = service_of(tmp_path, quiet(pipelines, {"aid": []}))
    await service.start()
    graph = service.graph
    keep: Any = graph.component(Kind.PROCESSOR, "keep", "traces")
    await keep.consume(batch())
    if where == "draining":
        monkeypatch.setattr(Aid, "draining", hang)
    else:
        kind, name = (Kind.RECEIVER, "in/hangs") if where == "receiver" else (Kind.EXPORTER, "out/hangs")
        component: Any = graph.component(kind, name)
        component.shutdown = lambda: hang(None)

    await within(service.shutdown(deadline_s=0.5))

    assert "out" in DELIVERED, "what keep had acknowledged is lost"
    assert "shutdown out" in EVENTS


async def test_extensions_that_no_longer_say_what_they_need_are_shut_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Aid) -> list[str]:
        raise RuntimeError("a bug")

    graph = Graph(configuration(ONE, {"aid": []}), Metrics())
    await graph.start(FakeHost(tmp_path))
    monkeypatch.setattr(Aid, "dependencies", fail)

    with contextlib.suppress(RuntimeError):
        await graph.shutdown(1)

    assert "shutdown out" in EVENTS


async def test_a_component_that_does_not_let_itself_be_cancelled_does_not_hold_the_shutdown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()

    async def hang(_self: Out) -> None:
        while not go_on.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await go_on.wait()

    service = service_of(tmp_path, quiet(ONE))
    await service.start()
    monkeypatch.setattr(Out, "shutdown", hang)
    ending = asyncio.create_task(service.shutdown(deadline_s=0.1))

    done, _ = await asyncio.wait({ending}, timeout=2)

    go_on.set()
    await ending
    assert done, "the deadline has passed"


async def test_the_end_of_a_start_has_a_deadline_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starting, go_on = asyncio.Event(), asyncio.Event()

    async def start(_self: In, _host: object) -> None:
        starting.set()
        await asyncio.Event().wait()

    async def hang(_self: Out) -> None:
        await go_on.wait()

    monkeypatch.setattr(In, "start", start)
    monkeypatch.setattr(Out, "shutdown", hang)
    run = asyncio.create_task(service_of(tmp_path, quiet(ONE)).run())
    await starting.wait()
    os.kill(os.getpid(), signal.SIGTERM)

    done, _ = await asyncio.wait({run}, timeout=DRAIN_DEADLINE_S + 3)

    go_on.set()
    await asyncio.wait({run}, timeout=5)
    assert done


# --- Reload while something else is going on ----------------------------------------------------------------------


async def test_a_reload_that_is_asked_for_during_the_start_starts_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The admin extension listens before the pipelines have started."""
    go_on, starting = asyncio.Event(), asyncio.Event()
    start = Out.start

    async def slowly(self: Out, host: Any) -> None:
        starting.set()
        await go_on.wait()
        await start(self, host)

    monkeypatch.setattr(Out, "start", slowly)
    service = service_of(tmp_path, quiet(ONE), quiet(ONE))
    starts = asyncio.create_task(service.start())
    await starting.wait()
    reload = asyncio.create_task(service.reload())
    await asyncio.sleep(0.2)  # the configuration is read in a thread
    go_on.set()

    await asyncio.wait({starts, reload}, timeout=PATIENCE_S)

    try:
        assert starts.exception() is None
        assert sorted(EVENTS) == ["start in", "start out"]
    finally:
        await service.shutdown()


@pytest.mark.parametrize("what", ["constructor", "load"])
async def test_a_reload_that_meets_a_bug_does_not_end_all_reloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    changed = quiet(ONE, options={"out": {"size": 1}})
    made = Out.__init__

    def construct(self: Out, config: Any, telemetry: Any) -> None:
        if config.size == 1:
            raise ValueError("a bug in a constructor")
        made(self, config, telemetry)

    asked = 0

    def load(_sources: object) -> Configuration:
        nonlocal asked
        asked += 1
        if asked == 1 and what == "load":
            raise ImportError("a plugin is being upgraded")
        return changed if asked == 1 else quiet(ONE, options={"out": {"size": 2}})

    if what == "constructor":
        monkeypatch.setattr(Out, "__init__", construct)
    first = quiet(ONE)
    service = Service(first, tmp_path, load=load)
    ready = asyncio.Event()
    run = asyncio.create_task(service.run(ready.set))
    await ready.wait()
    try:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.3)
        after_the_first = service.configuration
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.3)
    finally:
        service.stop()
        await asyncio.wait({run}, timeout=5)

    assert after_the_first is first, "the old configuration goes on"
    assert asked == 2, "the second SIGHUP was not heard"


async def test_a_start_that_raises_cancelled_is_a_failed_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A component that awaits something that was cancelled, not we."""
    start = Out.start

    async def cancelled(self: Out, host: Any) -> None:
        if self.config.size:
            gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            gone.cancel()
            await gone
        await start(self, host)

    monkeypatch.setattr(Out, "start", cancelled)
    running = await Running(of(), tmp_path).start()

    with pytest.raises((ReloadFailed, asyncio.CancelledError)):
        await running.reload(of({"out": {"size": 1}}))

    await running.send(b"after")  # the old configuration runs again
    assert running.delivered() == [b"after"]


async def test_a_reload_that_is_cut_short_while_it_goes_back_lets_go_on_whom_it_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = asyncio.Event()
    start = Out.start

    async def start_out(self: Out, host: Any) -> None:
        if self.config.size:
            raise StartError("no luck")
        if back.is_set():
            EVENTS.append("going back")
            await asyncio.Event().wait()
        await start(self, host)

    monkeypatch.setattr(Out, "start", start_out)
    running = await Running(of(), tmp_path).start()
    back.set()
    reload = asyncio.create_task(running.reload(of({"out": {"size": 1}})))
    while "going back" not in EVENTS:  # noqa: ASYNC110
        await asyncio.sleep(0)
    held = asyncio.create_task(running.send())
    await settled()
    reload.cancel()
    await asyncio.wait({reload})

    with pytest.raises(Retryable):
        await within(held)
    await within(running.graph.shutdown(1))


async def test_where_neither_configuration_starts_nobody_is_held_and_the_rest_drains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipelines = {"traces": ("in", "through", "out"), "logs": ("in", "keep", "out/other")}
    running = await Running(of(**pipelines), tmp_path).start()
    await running.send(b"acknowledged", signal=Signal.LOGS)
    start = Out.start
    held: list[asyncio.Task[None]] = []

    async def failing(self: Out, host: Any) -> None:
        held.append(asyncio.create_task(running.send()))
        await settled()
        raise StartError("the disk is gone")

    monkeypatch.setattr(Out, "start", failing)
    with pytest.raises(NothingStarts):
        await running.reload(of({"out": {"size": 1}}, **pipelines))
    monkeypatch.setattr(Out, "start", start)

    # What the service does now; it has 30 s for it.
    ending = asyncio.create_task(running.graph.shutdown(1))
    done, _ = await asyncio.wait({ending, *held}, timeout=1)
    for task in (ending, *held):
        task.cancel()

    assert set(held) <= done, "callers are held at a port that is never opened"
    assert ending in done, "the shutdown waits for them"
    assert running.delivered("out/other") == [b"acknowledged"]


async def test_a_shutdown_during_a_reload_delivers_what_was_acknowledged(tmp_path: Path) -> None:
    """The exporter that was about to be exchanged still runs, but the port before it is closed for good."""
    pipelines = {"traces": ("in", "keep", "out"), "logs": ("in", "", "out")}
    running = await Running(of(**pipelines), tmp_path).start()
    await running.send(b"acknowledged")
    sink = running.exporter().sink
    sink.gate.clear()
    slow = asyncio.create_task(running.send(b"slow", signal=Signal.LOGS))
    await sink.until(waiting=1)
    reload = asyncio.create_task(running.reload(of({"out": {"size": 1}}, **pipelines)))
    await settled()

    reload.cancel()  # as Service.shutdown does it
    await asyncio.wait({reload})
    sink.gate.set()
    failures = await running.graph.shutdown(1)
    await asyncio.wait({slow})

    assert failures == []
    assert sorted(running.delivered()) == [b"acknowledged", b"slow"]


# --- What hangs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["draining", "ready"])
async def test_an_extension_that_hangs_does_not_hold_the_reload_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(graph_module, "CLOSE_S", 0.05)

    def using(size: int) -> Configuration:
        return configuration(ONE, {"aid": []}, {"aid": {"size": size}})

    running = await Running(using(1), tmp_path).start()

    async def hang(_self: Aid) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Aid, what, hang)
    with contextlib.suppress(ReloadFailed):
        await within(running.graph.reload(using(2), running, drain_s=0.1))


async def test_a_start_that_hangs_does_not_hold_callers_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await Running(of(), tmp_path).start()
    start = Out.start

    async def hang(self: Out, host: Any) -> None:
        if self.config.size:
            await asyncio.Event().wait()
        await start(self, host)

    monkeypatch.setattr(Out, "start", hang)
    monkeypatch.setattr(graph_module, "START_S", 0.1)
    reload = asyncio.create_task(running.graph.reload(of({"out": {"size": 1}}), running, drain_s=0.1))
    await settled()

    try:
        await within(running.send())
    finally:
        reload.cancel()
        await asyncio.wait({reload})


async def test_a_failed_start_whose_shutdown_hangs_does_not_hold_the_reload_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_module, "CLOSE_S", 0.05)
    shutdown = Out.shutdown

    async def hang(self: Out) -> None:
        if self.config.size:
            await asyncio.Event().wait()
        await shutdown(self)

    running = await Running(of(), tmp_path).start()
    monkeypatch.setattr(Out, "shutdown", hang)

    with pytest.raises(ReloadFailed):
        await within(running.graph.reload(of({"out": {"size": 1, "fails": "start"}}), running, drain_s=0.1))


async def test_what_the_old_component_never_answered_does_not_hold_up_the_new_one(tmp_path: Path) -> None:
    pipelines = {"traces": ("in", "through", "out"), "logs": ("in", "keep", "out/other")}
    running = await Running(of(**pipelines), tmp_path).start()
    running.exporter().sink.gate.clear()  # for ever
    stuck = asyncio.create_task(running.send(b"stuck"))
    await running.exporter().sink.until(waiting=1)
    await running.graph.reload(of({"out": {"size": 1}}, **pipelines), running, drain_s=0.01)
    await running.send(b"acknowledged", signal=Signal.LOGS)

    # The component that has it is gone: nobody will ever answer, unless the engine does.
    second = await running.graph.reload(of({"out": {"size": 2}}, **pipelines), running, drain_s=0.01)
    ending = asyncio.create_task(running.graph.shutdown(1))
    done, _ = await asyncio.wait({ending, stuck}, timeout=1)
    for task in (ending, stuck):
        task.cancel()

    assert ending in done, "it waits for a component that is long gone"
    assert stuck in done, "its caller is held for ever"
    assert running.delivered("out/other") == [b"acknowledged"]
    assert second == [], "the new exporter had nothing to drain"


# --- Data on its way ----------------------------------------------------------------------------------------------


async def test_a_pipeline_that_is_added_behind_a_connector_refuses_nobody(tmp_path: Path) -> None:
    old = {"traces": ("in", "", "pass"), "logs": ("pass", "", "out")}
    running = await Running(of(**old), tmp_path).start()
    running.exporter().sink.gate.clear()
    on_its_way = asyncio.create_task(running.send(b"1"))
    await running.exporter().sink.until(waiting=1)

    await running.reload(of(**old, metrics=("pass", "", "out/2")))
    running.exporter().sink.gate.set()

    await within(on_its_way)


async def test_a_pipeline_that_is_taken_away_behind_a_connector_refuses_nobody(tmp_path: Path) -> None:
    new = {"traces": ("in", "", "pass"), "logs": ("pass", "", "out")}
    running = await Running(of(**new, metrics=("pass", "", "out/2")), tmp_path).start()
    running.exporter().sink.gate.clear()
    on_its_way = asyncio.create_task(running.send(b"1"))
    await running.exporter().sink.until(waiting=1)

    await running.reload(of(**new))
    running.exporter().sink.gate.set()

    await within(on_its_way)


async def test_a_branch_that_is_added_makes_nobody_forget_who_has_what(tmp_path: Path) -> None:
    running = await Running(of(traces=("in", "", "out out/bad")), tmp_path).start()
    running.exporter("out/bad").sink.error = Retryable("busy", retry_after=10)
    with pytest.raises(Retryable):
        await running.send(b"once")
    running.exporter("out/bad").sink.error = None

    await running.reload(of(traces=("in", "", "out out/bad out/new")))
    await running.send(b"once")

    assert running.delivered("out/bad") == [b"once"]
    assert running.delivered("out/new") == [b"once"]
    assert running.delivered("out") == [b"once"]


async def torn(good: Sink, bad: Sink, first: Batch, error: Exception | None = None) -> FanOut:
    """A fan-out where one branch has the batch and the other one does not."""
    fan_out = FanOut(named(good, bad))
    good.error, bad.error = error, Retryable("busy", retry_after=10)
    with pytest.raises(Retryable):
        await fan_out.consume(first)
    good.error = bad.error = None
    return fan_out


def sent_by(**origin: str) -> Batch:
    return Batch(Signal.LOGS, b"the same bytes", 3, Origin(receiver="in", transport="grpc", **origin))


async def test_the_same_bytes_of_another_tenant_are_other_data() -> None:
    good, bad = Sink(), Sink()
    fan_out = await torn(good, bad, sent_by(tenant="a"))

    await fan_out.consume(sent_by(tenant="b"))

    assert [b.origin.tenant for b in good.batches] == ["a", "b"], "b was acknowledged, and is nowhere"


async def test_what_two_senders_say_alike_at_once_goes_on_from_both() -> None:
    """Nobody can tell it from a sender whose own timeout passed; what is lost is worse than what comes twice."""
    good, slow = Sink(), Sink()
    slow.gate.clear()
    fan_out = FanOut(named(good, slow))
    both = [asyncio.create_task(fan_out.consume(batch())) for _ in range(2)]
    await good.until(items=6)
    slow.gate.set()
    await asyncio.gather(*both)

    assert (good.items, slow.items) == (6, 6)


async def test_what_is_remembered_keeps_no_payload_in_memory() -> None:
    payload = bytes(100_000)
    before = sys.getrefcount(payload)

    async def refused() -> FanOut:
        return await torn(Sink(), Sink(), Batch(Signal.LOGS, payload, 3), Permanent("too old"))

    fan_out = await refused()
    gc.collect()

    assert sys.getrefcount(payload) == before, "4096 of these can be 16 GB"
    del fan_out


async def test_a_branch_that_says_try_again_is_heard_where_another_one_has_a_bug() -> None:
    buggy, busy = Sink(), Sink()
    buggy.error, busy.error = RuntimeError("a bug"), Retryable("busy", retry_after=10)

    with pytest.raises(Retryable):
        await FanOut(named(buggy, busy)).consume(batch())


async def test_a_branch_that_was_cancelled_itself_cuts_no_other_short() -> None:
    class Cancelled:
        async def consume(self, _batch: Batch) -> None:
            raise asyncio.CancelledError

    slow = Sink()
    slow.gate.clear()
    handed_over = asyncio.create_task(FanOut(named(Cancelled(), slow)).consume(batch()))
    await slow.until(waiting=1)
    await settled()
    early = handed_over.done()
    slow.gate.set()
    await asyncio.wait({handed_over})

    assert not early, "it is answered before the other branch has answered"


async def test_who_leaves_while_it_is_held_behind_its_receiver_is_counted(tmp_path: Path) -> None:
    running = await Running(of(traces=("in", "", "out")), tmp_path).start()
    running.exporter().sink.gate.clear()
    first = asyncio.create_task(running.send())
    await running.exporter().sink.until(waiting=1)
    two = {"traces": ("in", "", "out"), "traces/2": ("in", "", "out/2")}
    reload = asyncio.create_task(running.reload(of(**two)))
    await settled()
    held = asyncio.create_task(running.send())
    await settled()

    held.cancel()
    await asyncio.wait({held})
    running.exporter().sink.gate.set()
    await asyncio.gather(first, reload)

    assert counted(running.metrics, "otelcol_receiver_refused_spans") == 3
    assert counted(running.metrics, "otelcol_receiver_requests") == 2


# --- What is told -------------------------------------------------------------------------------------------------


async def test_a_reload_that_is_refused_leaves_the_gauges_of_what_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Out.__init__

    def construct(self: Out, config: Any, telemetry: Any) -> None:
        made(self, config, telemetry)
        telemetry.gauge("otelcol_exporter_queue_size", "{batch}", "Held.", lambda: 7 if self.runs else 0)

    monkeypatch.setattr(Out, "__init__", construct)
    running = await Running(of(), tmp_path).start()
    assert counted(running.metrics, "otelcol_exporter_queue_size") == 7
    cycle = {"aid/a": ["aid/b"], "aid/b": ["aid/a"]}

    with pytest.raises(StartError):
        await running.reload(configuration({"traces": ("in", "through", "out")}, cycle, {"out": {"size": 1}}))

    assert counted(running.metrics, "otelcol_exporter_queue_size") == 7


async def test_a_failed_reload_leaves_no_metrics_of_what_never_ran(tmp_path: Path) -> None:
    running = await Running(of(), tmp_path).start()
    before = set(running.metrics.registered)

    for number in range(3):
        new = of({f"out/{number}": {"fails": "start"}}, traces=("in", f"through/{number}", f"out out/{number}"))
        with pytest.raises(ReloadFailed):
            await running.reload(new)

    assert {key for key in running.metrics.registered if key[0] != "airis_fan_out_torn_items"} - before == set()


async def test_a_pipeline_that_goes_takes_its_metrics_along(tmp_path: Path) -> None:
    running = await Running(of(), tmp_path).start()
    before = set(running.metrics.registered)

    for number in range(3):
        await running.reload(of(**{"traces": ("in", "through", "out"), f"traces/{number}": ("in", "", "out")}))
    await running.reload(of())

    assert {key for key in running.metrics.registered if key[0] != "airis_fan_out_torn_items"} - before == set()


async def test_another_log_level_leaves_the_listener_of_the_metrics(tmp_path: Path) -> None:
    metrics = {"address": "127.0.0.1:0"}
    first = with_telemetry(configuration(ONE), metrics=metrics)
    second = with_telemetry(configuration(ONE), metrics=metrics, logs={"level": "warn"})
    service = service_of(tmp_path, first, second)
    await service.start()
    try:
        before = service._own_metrics.address
        await service.reload()
        assert service._own_metrics.address == before
    finally:
        await service.shutdown()


async def test_another_metrics_level_is_that_of_all_processors(tmp_path: Path) -> None:
    pipelines = {"traces": ("in", "through", "out")}
    first = with_telemetry(configuration(pipelines), metrics={"address": "127.0.0.1:0"})
    second = with_telemetry(configuration(pipelines), metrics={"address": "127.0.0.1:0", "level": "detailed"})
    service = service_of(tmp_path, first, second)
    await service.start()
    try:
        await service.reload()
        names = {metric.name for metric in service.metrics}
        assert "otelcol_processor_internal_duration" in names
    finally:
        await service.shutdown()


async def test_after_a_failed_reload_it_is_known_where_the_metrics_are(tmp_path: Path) -> None:
    first = with_telemetry(configuration(ONE), metrics={"address": "127.0.0.1:0"})
    fails = configuration(ONE, options={"out": {"fails": "start"}})
    second = with_telemetry(fails, metrics={"address": "127.0.0.1:0", "level": "detailed"})
    service = service_of(tmp_path, first, second)
    await service.start()
    service._announce()
    try:
        with pytest.raises(ReloadFailed):
            await service.reload()
        told = running(tmp_path)
        assert told is not None
        assert told.metrics_address == service._own_metrics.address
    finally:
        await service.shutdown()


async def test_a_reload_that_was_done_is_not_called_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = service_of(tmp_path, quiet(ONE), quiet(ONE, options={"out": {"size": 1}}))
    await service.start()

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Claim, "announce", full)
    try:
        await service.reload()  # or it raises, and then the old configuration runs
    except OSError:
        out: Any = service.graph.component(Kind.EXPORTER, "out")
        assert out.config.size == 0, "the new configuration runs, but the log and the answer say the old one does"
    finally:
        await service.shutdown()


async def test_what_a_component_says_of_itself_at_the_start_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def start(self: Out, _host: object) -> None:
        self.telemetry.health.report(Status.RECOVERABLE_ERROR, "the server is not ready")

    monkeypatch.setattr(Out, "start", start)
    graph = Graph(configuration(ONE), Metrics())

    await graph.start(FakeHost(tmp_path))

    out: Any = graph.component(Kind.EXPORTER, "out")
    assert out.telemetry.health.status is Status.RECOVERABLE_ERROR


async def test_the_failure_of_an_exporter_that_is_gone_is_not_that_of_its_successor(tmp_path: Path) -> None:
    running = await Running(of(), tmp_path).start()
    old = running.exporter()
    old.sink.gate.clear()
    stuck = asyncio.create_task(running.send(b"stuck"))
    await old.sink.until(waiting=1)
    await running.graph.reload(of({"out": {"size": 1}}), running, drain_s=0.01)

    old.sink.error = Retryable("closed")
    old.sink.gate.set()
    await asyncio.wait({stuck})

    assert running.exporter().telemetry.health.status is Status.OK


async def test_what_is_ready_sees_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def using(size: int, exporters: str) -> Configuration:
        return configuration({"traces": ("in", "", exporters)}, {"aid": []}, {"aid": {"size": size}})

    running = await Running(using(1, "out"), tmp_path).start()
    seen: list[str] = []

    async def ready(self: Aid) -> None:
        seen.extend(member.component_id for member in running.overview().members)

    monkeypatch.setattr(Aid, "ready", ready)
    await running.reload(using(2, "out out/new"))

    assert "out/new" in seen


async def test_the_time_behind_a_processor_that_hands_on_from_its_own_task_is_not_its_own() -> None:
    """As `batch` does: its task has the context of the caller who happened to be the first."""
    clock = ManualClock()
    duration = InternalDuration(Telemetry("processor", "batch", Metrics()), clock)

    class Slow:
        async def consume(self, _batch: Batch) -> None:
            await clock.sleep(10)

    behind = duration.behind(Slow())

    async def deliver(batches: Any) -> None:
        for each in batches:
            await behind.consume(each)

    commit = GroupCommit(deliver, Limits(items=1), clock, clock.sleep)

    class Processor:
        async def consume(self, batch: Batch) -> None:
            await commit.submit(batch)

    inside = duration.inside(Processor())
    callers = []
    for _ in range(2):
        callers.append(asyncio.create_task(inside.consume(batch(1))))
        await settled()
    for _ in range(2):
        await clock.advance(10)
        await settled()
    await asyncio.gather(*callers)

    # The second one was held for 10 s and was then behind for 10 s.
    # Nobody knows which callers a delivery from another task is for: all of it counts as held.
    assert duration.histogram.sum == 10 + 20


def test_an_answer_that_is_no_json_is_no_traceback(tmp_path: Path) -> None:
    claim = Claim(tmp_path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "admin.sock"))
    listener.listen()

    def answer() -> None:
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 21\r\n\r\nInternal Server Error")
        connection.close()

    thread = threading.Thread(target=answer)
    thread.start()
    told = {
        "pid": os.getpid(),
        "version": "1",
        "started_unix_s": 0,
        "configs": [],
        "sets": [],
        "endpoints": {},
        "metrics_address": "",
        "admin_socket": str(tmp_path / "admin.sock"),
    }
    (tmp_path / "instance.json").write_bytes(orjson.dumps(told))
    try:
        result = CliRunner().invoke(cli.app, ["reload", "--data-dir", str(tmp_path)])
    finally:
        thread.join()
        listener.close()
        claim.release()

    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)


def test_an_instance_that_is_about_to_start_is_not_called_absent(tmp_path: Path) -> None:
    claim = Claim(tmp_path)
    try:
        result = CliRunner().invoke(cli.app, ["reload", "--data-dir", str(tmp_path)])
    finally:
        claim.release()

    assert 'start it with "airis run"' not in result.output


async def test_a_component_that_does_not_start_may_take_some_time_to_close_what_it_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = asyncio.Event()

    async def shutdown(_self: Out) -> None:
        await asyncio.sleep(0.01)
        closed.set()

    monkeypatch.setattr(Out, "shutdown", shutdown)

    with pytest.raises(StartError):
        await Graph(configuration(ONE, options={"out": {"fails": "start"}}), Metrics()).start(FakeHost(tmp_path))

    assert closed.is_set()


async def test_processors_are_timed_through_reloads(tmp_path: Path) -> None:
    def detailed(**pipelines: tuple[str, str, str]) -> Configuration:
        return with_telemetry(of(**pipelines), metrics={"level": "detailed"})

    running = await Running(detailed(traces=("in", "through", "out")), tmp_path).start()
    await running.reload(detailed(traces=("in", "through", "out out/2")))
    running.exporter("out/2").sink.gate.clear()
    slow = asyncio.create_task(running.send())
    await running.exporter("out/2").sink.until(waiting=1)
    await asyncio.sleep(0.05)
    running.exporter("out/2").sink.gate.set()
    await slow

    (duration,) = (m.instrument for m in running.metrics if m.name == "otelcol_processor_internal_duration")
    assert isinstance(duration, Histogram)
    assert sum(duration.counts) == 1
    assert duration.sum < 0.05, "the time behind the processor is not its own"
