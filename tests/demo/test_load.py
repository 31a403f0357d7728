"""Load: rate, length, batching, stopping, and an account in which nothing is missing."""

import asyncio
import math
import random

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from airis.data import Signal
from airis.demo.load import Account, Load, Plan, summary
from airis.demo.payloads import Common, LogRequests, Logs, TraceRequests, Traces
from airis.demo.sender import Outcome


class Time:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now = 0.0

    def clock(self):
        return self.now

    def unix_nano(self):
        return round(self.now * 1e9)

    async def sleep(self, seconds):
        self.now += seconds


class FakeSink:
    """Takes every request, or gives the outcomes it was told."""

    def __init__(self, time, *outcomes, takes_s=0.0):
        self.time = time
        self.outcomes = list(outcomes)
        self.takes_s = takes_s
        self.payloads = []

    async def send(self, signal, payload):
        self.payloads.append((self.time.now, payload))
        self.time.now += self.takes_s
        return self.outcomes.pop(0) if self.outcomes else Outcome()


def log_load(plan, time, sink, workers=1):
    requests = [LogRequests(Common(), Logs(), time.unix_nano) for _ in range(workers)]
    return Load(plan, requests, sink, clock=time.clock, sleep=time.sleep)


def records_of(sink):
    requests = [ExportLogsServiceRequest.FromString(payload) for _, payload in sink.payloads]
    return [request.resource_logs[0].scope_logs[0].log_records for request in requests]


@pytest.mark.parametrize(
    ("units", "batch_items", "sizes"), [(1, 100, [1]), (250, 100, [100, 100, 50]), (3, 1, [1, 1, 1])]
)
async def test_sends_so_many_units_in_requests_of_so_many_items(units, batch_items, sizes):
    time = Time()
    sink = FakeSink(time)

    account = await log_load(Plan(units=units, batch_items=batch_items), time, sink).run()

    assert [len(records) for records in records_of(sink)] == sizes
    assert account == Account(sent=units, accepted=units, requests=len(sizes))


async def test_every_worker_sends_its_own_share():
    time = Time()
    sink = FakeSink(time)

    account = await log_load(Plan(units=20), time, sink, workers=3).run()

    assert account.sent == account.accepted == 60


@pytest.mark.parametrize("rate", [5.0, 400.0, 2000.0])
async def test_keeps_the_rate_for_the_duration(rate):
    time = Time()
    sink = FakeSink(time)

    account = await log_load(Plan(duration_s=10, rate=rate), time, sink).run()

    assert account.sent == pytest.approx(10 * rate, rel=0.01, abs=1)
    assert time.now <= 10


async def test_the_rate_counts_spans_and_not_traces():
    time = Time()
    sink = FakeSink(time)
    requests = TraceRequests(Common(), Traces(child_spans=4), time.unix_nano, random.Random(1))

    account = await Load(Plan(duration_s=10, rate=50), [requests], sink, clock=time.clock, sleep=time.sleep).run()

    assert account.sent == pytest.approx(500, abs=5)


async def test_a_slow_rate_does_not_hold_items_back_for_a_full_batch():
    time = Time()
    sink = FakeSink(time)

    await log_load(Plan(units=20, rate=4), time, sink).run()

    for sent_at, payload in sink.payloads:
        first = ExportLogsServiceRequest.FromString(payload).resource_logs[0].scope_logs[0].log_records[0]
        assert sent_at - first.time_unix_nano / 1e9 <= 1.0
    assert len(sink.payloads) < 20


async def test_a_slow_server_is_not_flooded_afterwards():
    time = Time()
    sink = FakeSink(time, takes_s=5.0)

    account = await log_load(Plan(duration_s=20, rate=100), time, sink).run()

    assert account.sent <= 600


async def test_the_account_balances():
    time = Time()
    outcomes = Outcome(), Outcome(rejected=3, message="late"), Outcome(refusals=2), Outcome(failed=True, message="no")
    sink = FakeSink(time, *outcomes)

    account = await log_load(Plan(units=40, batch_items=10, stop_on_failure=False), time, sink).run()

    assert (account.sent, account.accepted, account.rejected, account.failed) == (40, 27, 3, 10)
    assert account.unanswered == 0
    assert account.refusals == 2
    assert account.messages == {"late": 1, "no": 1}
    assert not account.complete
    assert "2 attempts" in summary(account, Signal.LOGS, 1.0)


@pytest.mark.parametrize(
    ("signal", "sent", "said"),
    [
        (Signal.TRACES, 1, "1 span in 1 request,"),
        (Signal.METRICS, 2, "2 data points in 1 request,"),
        (Signal.LOGS, 0, "0 log records in 0 requests,"),
    ],
)
def test_the_summary_counts_in_words(signal, sent, said):
    account = Account(sent=sent, accepted=sent, requests=min(sent, 1))

    assert said in summary(account, signal, 1.0)


async def test_a_server_cannot_reject_more_than_it_was_sent():
    account = Account()

    account.sent = 10
    account.settle(10, Outcome(rejected=99))

    assert (account.accepted, account.rejected, account.unanswered) == (0, 10, 0)


async def test_the_first_failure_ends_the_run_unless_told_otherwise():
    time = Time()
    sink = FakeSink(time, Outcome(failed=True))

    account = await log_load(Plan(units=40, batch_items=10), time, sink).run()

    assert (account.sent, account.failed) == (10, 10)


async def test_stop_waits_for_the_answer_under_way():
    entered, answer = asyncio.Event(), asyncio.Event()

    class Waiting:
        async def send(self, signal, payload):
            entered.set()
            await answer.wait()
            return Outcome()

    load = log_load(Plan(duration_s=math.inf), Time(), Waiting())
    running = asyncio.create_task(load.run())
    await entered.wait()
    load.stop()
    answer.set()
    account = await running

    assert account.complete
    assert account.requests == 1


async def test_what_has_no_answer_after_a_stop_is_unanswered(monkeypatch):
    monkeypatch.setattr("airis.demo.load.STOP_GRACE_S", 0.0)
    entered = asyncio.Event()

    class Silent:
        async def send(self, signal, payload):
            entered.set()
            await asyncio.Event().wait()

    load = log_load(Plan(duration_s=math.inf, batch_items=10), Time(), Silent())
    running = asyncio.create_task(load.run())
    await entered.wait()
    load.stop()
    account = await running

    assert (account.sent, account.unanswered) == (10, 10)
    assert not account.complete
