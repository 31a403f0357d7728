"""Scenarios between airis and its destinations: outages, slow and dead connections, and every kind of answer."""

import socket
from collections.abc import Sequence
from itertools import pairwise

from .configurations import to_sink, to_sink_over_http, to_store
from .producers import Load
from .proxy import FaultProxy, Mode, to_port
from .sink import Rule
from .trial import SECOND, SINK, STORE, Trial

ONE_BY_ONE = Load(producers=1, items=1, only=("traces",), pause_s=0.01)
ALONE = (
    "sending_queue: {storage: file_storage, num_consumers: 4, batch: {flush_timeout: 10ms, min_size: 1, max_size: 1}}"
)
"""Nothing is joined."""
LAG_ITEMS = 600
"""Five requests of each sender."""
EARLY_S = 0.02
"""Clocks of two processes on one machine, and a timer's grain."""


def away(trial: Trial) -> None:
    """R04: refused, reset, or swallowed for longer than retries usually last; then all arrives."""
    sink = trial.bench.sink()
    proxy = FaultProxy(to_port(sink.grpc_port), seed=trial.seed)
    modes: Sequence[Mode] = ("refuse", "reset", "black_hole", "cut_request", "cut_answer")
    trial.configure(to_sink(proxy.port))
    trial.start()
    try:
        with trial.load(Load(pause_s=0.01)) as sending:
            for mode in modes:
                sending.until(acknowledged=10)
                proxy.set(mode)
                sending.until(acknowledged=20)
                trial.pause(0.5 * trial.size)
            proxy.set("pass")
        trial.settle()
    finally:
        proxy.close()


def slow(trial: Trial) -> None:
    """R05: connections that are open and dead are given up, and another destination does not notice."""
    sink, second = trial.bench.sink(), trial.bench.sink(SECOND)
    proxy = FaultProxy(to_port(second.grpc_port), seed=trial.seed)
    trial.configure(to_sink(sink, second=proxy.port, timeout="500ms"))
    trial.start()
    modes: Sequence[Mode] = ("half_open", "delay", "black_hole")
    try:
        with trial.load(Load(pause_s=0.01)) as sending:
            for mode in modes:
                proxy.set(mode)
                sending.until(acknowledged=30)
                trial.wait(
                    lambda: trial.bench.oracle.missing([SINK]) < LAG_ITEMS,
                    f"the healthy destination keeps up while the other one is {mode}",
                )
            proxy.set("pass")
        trial.sinks = (SINK, SECOND)
        trial.settle()
    finally:
        proxy.close()


def told_when_to_come_again(trial: Trial) -> None:
    """R06: Retry-After in seconds and as a date, and RetryInfo, are waited for; other statuses are final."""
    sink = trial.bench.sink()
    protocol = trial.rng.choice(["http", "grpc"]) if trial.size > 1 else "http"
    rules = [
        Rule(grpc="UNAVAILABLE", http=429, retry_after_s=1, times=1),
        Rule(grpc="RESOURCE_EXHAUSTED", http=503, retry_after_s=2, as_date=True, times=1),
        Rule(grpc="UNAVAILABLE", http=503, retry_after_s=1, times=1),
        Rule(grpc="UNAVAILABLE", http=502, times=1),
        Rule(grpc="UNAVAILABLE", http=504, times=1),
        Rule(grpc="INVALID_ARGUMENT", http=400, times=1),
        Rule(grpc="UNIMPLEMENTED", http=500, times=1),
    ]
    sink.script(*rules)
    trial.configure(to_sink(sink, queue=ALONE) if protocol == "grpc" else to_sink_over_http(sink, ALONE))
    trial.start()
    with trial.load(ONE_BY_ONE) as sending:
        sending.until(acknowledged=len(rules) + 5)
    trial.wait(lambda: len(trial.buried()) >= 2, "what is refused for good is a dead letter")
    _expect_final(trial, {"INVALID_ARGUMENT", "UNIMPLEMENTED"})
    trial.settle()
    seen = sink.seen()
    for number, before in enumerate(seen):
        if before.retry_after_s:
            again = [each.at_s - before.at_s for each in seen[number + 1 :] if each.keys == before.keys]
            # A date has whole seconds.
            least = before.retry_after_s - (1.0 if before.as_date else 0.0) - EARLY_S
            trial.expect(bool(again), f"what was told to come again in {before.retry_after_s} s does")
            trial.expect(min(again, default=least) >= least, f"nobody comes before {least} s have passed: {again}")


RETRYABLE = {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
FINAL = {
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAUTHENTICATED",
}


def every_code(trial: Trial) -> None:
    """R07: exactly the codes of the specification are tried again."""
    sink = trial.bench.sink()
    codes = sorted(RETRYABLE | FINAL)
    trial.rng.shuffle(codes)
    sink.script(
        *(Rule(grpc=code, http=503, times=1) for code in codes),
        Rule(grpc="RESOURCE_EXHAUSTED", retry_after_s=0.1, times=1),
    )
    trial.configure(to_sink(sink, queue=ALONE))
    trial.start()
    with trial.load(ONE_BY_ONE) as sending:
        sending.until(acknowledged=len(codes) + 5)
    trial.wait(lambda: len(trial.buried()) >= len(FINAL), "what is refused for good is a dead letter")
    _expect_final(trial, FINAL)
    trial.settle()


def _expect_final(trial: Trial, codes: set[str]) -> None:
    """What got one of these answers is not sent again, and is among the dead letters."""
    seen, buried = trial.bench.sink().seen(), trial.buried()
    for number, each in enumerate(seen):
        if each.answer in codes and each.retry_after_s is None:
            again = [later for later in seen[number + 1 :] if later.keys == each.keys]
            trial.expect(not again, f"what was answered {each.answer} is not sent again")
            trial.bench.oracle.excuse(SINK, set(each.keys) & buried)


def partly_rejected(trial: Trial) -> None:
    """R08: a partial success is not sent again, and what was rejected is counted."""
    sink = trial.bench.sink()
    sink.script(Rule(rejected=3, message="too old", times=4), Rule(message="a warning", times=1))
    trial.configure(to_sink(sink))
    trial.start()
    with trial.load(Load(items=10, pause_s=0.01)) as sending:
        sending.until(acknowledged=20)
    seen = sink.seen()
    rejected = [key for each in seen for key in each.keys[: each.rejected]]
    trial.bench.oracle.excuse(SINK, rejected)
    trial.settle()
    twice = [
        first.keys[0]
        for first, second in pairwise(sorted(sink.seen(), key=lambda s: s.keys))
        if first.keys == second.keys
    ]
    trial.expect(not twice, f"what was partly rejected is not sent again: {twice}")
    counted = trial.airis.counted("airis_exporter_dropped_items")
    trial.expect(counted == len(rejected), f"{len(rejected)} rejected items are counted, not {counted}")


def answer_of_the_store_is_lost(trial: Trial) -> None:
    """R10: an insert that was done, and the answer to which never came, is repeated and counts once."""
    trial.sinks = (STORE,)
    through, store = trial.folder / "proxy.sock", trial.folder / "data" / "store.sock"

    def connect() -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(store))
        return connection

    proxy = FaultProxy(connect, through, trial.seed)
    proxy.only = b"INSERT"
    trial.injections = (*trial.injections, "store_elsewhere")
    trial.configure(to_store(), AIRIS_FAULTS_STORE_SOCKET=str(through))
    trial.start()
    try:
        with trial.load() as sending:
            for _ in range(round(2 * trial.size)):
                sending.until(acknowledged=10)
                proxy.set("cut_answer", times=3)
                trial.wait(proxy.cut.is_set, "an insert's answer was cut")
            proxy.set("pass")
        trial.settle()
    finally:
        proxy.close()
