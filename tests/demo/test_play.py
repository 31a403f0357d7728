"""The demo's stage: history first, then the present, then an account."""

import asyncio
import random

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from airis.data import Signal
from airis.demo.play import Play
from airis.demo.sender import Outcome
from airis.demo.shop import Shop
from airis.demo.visits import SECONDS, Incident
from airis.service.commands.demo import Announcer

NOW = 1_700_000_000 * SECONDS


class Stage:
    """A clock that only sleeping moves, and a sink that takes everything."""

    def __init__(self):
        self.now = NOW
        self.sent = []

    def clock(self):
        return self.now

    async def sleep(self, seconds):
        self.now += int(seconds * SECONDS)

    async def send(self, signal, payload):
        self.sent.append((signal, payload))
        return Outcome()

    def spans(self):
        requests = [ExportTraceServiceRequest.FromString(body) for signal, body in self.sent if signal is Signal.TRACES]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def points(self):
        """Each with what tells its series from the others."""
        requests = [
            ExportMetricsServiceRequest.FromString(body) for signal, body in self.sent if signal is Signal.METRICS
        ]
        return [
            ((resource.resource.SerializeToString(), metric.name, str(point.attributes)), point)
            for request in requests
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in getattr(metric, metric.WhichOneof("data")).data_points
        ]


def play_on(stage, start):
    shop = Shop(random.Random(1), start, traces_per_s=5)
    return shop, Play(shop, stage, clock=stage.clock, sleep=stage.sleep)


async def test_the_history_ends_where_the_present_begins():
    stage = Stage()
    _, play = play_on(stage, NOW - 60 * SECONDS)
    shares = []

    reached = await play.back_fill(NOW - 60 * SECONDS, shares.append)
    history = len(stage.spans())
    await play.run(duration_s=30)

    assert reached == NOW
    assert stage.now == NOW + 30 * SECONDS
    assert shares[-1] == 1.0
    assert history > 60 * 5 * 3
    spans = stage.spans()
    assert all(span.end_time_unix_nano <= NOW for span in spans[:history])
    assert all(NOW < span.end_time_unix_nano <= stage.now for span in spans[history:])
    assert len({span.span_id for span in spans}) == len(spans)
    assert play.account[Signal.TRACES].accepted == play.account[Signal.TRACES].sent == len(spans)
    assert all(account.complete and account.sent for account in play.account.values())


async def test_the_history_ends_while_time_goes_on():
    class Busy(Stage):
        def clock(self):
            self.now += SECONDS // 1000
            return self.now

    _, play = play_on(Busy(), NOW - 60 * SECONDS)

    async with asyncio.timeout(10):
        reached = await play.back_fill(NOW - 60 * SECONDS)

    assert NOW - SECONDS < reached < NOW + SECONDS


async def test_a_short_play_ends_with_its_metrics():
    stage = Stage()
    _, play = play_on(stage, NOW)

    await play.run(duration_s=5)

    assert play.account[Signal.METRICS].accepted == len(stage.points()) > 0
    assert {point.time_unix_nano for _, point in stage.points()} == {NOW + 5 * SECONDS}


async def test_a_play_that_ends_with_an_export_makes_no_second_one():
    stage = Stage()
    _, play = play_on(stage, NOW)

    await play.run(duration_s=20)

    points = [(series, point.time_unix_nano) for series, point in stage.points()]
    assert {time for _, time in points} == {NOW + 10 * SECONDS, NOW + 20 * SECONDS}
    assert len(set(points)) == len(points)


async def test_a_stopped_play_sends_what_happened_until_then():
    stage = Stage()
    _, play = play_on(stage, NOW)

    await play.run(tick=lambda now: play.stop() if now >= NOW + 3 * SECONDS else None)

    assert stage.now == NOW + 3 * SECONDS
    assert {point.time_unix_nano for _, point in stage.points()} == {stage.now}
    assert all(account.complete and account.sent for account in play.account.values())


async def test_a_history_that_was_stopped_has_no_present():
    stage = Stage()
    _, play = play_on(stage, NOW - 60 * SECONDS)

    await play.back_fill(NOW - 60 * SECONDS, lambda share: play.stop())
    history = len(stage.sent)
    await play.run(duration_s=5)

    assert len(stage.sent) == history


async def test_stop_ends_a_play_whose_server_does_not_answer(monkeypatch):
    monkeypatch.setattr("airis.demo.play.STOP_GRACE_S", 0.0)
    entered = asyncio.Event()

    class Silent(Stage):
        async def send(self, signal, payload):
            entered.set()
            await asyncio.Event().wait()

    _, play = play_on(Silent(), NOW - 60 * SECONDS)
    playing = asyncio.create_task(play.back_fill(NOW - 60 * SECONDS))
    await entered.wait()
    play.stop()
    await playing

    assert play.account[Signal.TRACES].unanswered > 0
    assert not play.account[Signal.TRACES].complete


async def test_the_demo_says_what_to_look_at_and_when_something_happens():
    stage = Stage()
    shop, play = play_on(stage, NOW - 60 * SECONDS)
    await play.back_fill(NOW - 60 * SECONDS)
    shop.plan_incident(Incident(NOW + 20 * SECONDS, NOW + 40 * SECONDS))
    told = []

    await play.run(60, Announcer(shop, told.append))

    look_at, well, begins, ends = told
    assert f"airis trace {shop.notable_trace_id.hex()}" not in well
    assert "airis trace " in look_at
    trace_id = bytes.fromhex(look_at.split("airis trace ")[1].split()[0])
    assert any(span.trace_id == trace_id for span in stage.spans())
    assert "All is well" in well
    assert "incident begins" in begins
    assert "incident is over" in ends
