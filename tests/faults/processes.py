"""Scenarios in which a process ends: killed, told to, or by itself; and those of a reload."""

import os
import signal

from .configurations import to_sink, to_store
from .log_files import dead_letters
from .producers import Load
from .proxy import FaultProxy, to_port
from .sink import Rule
from .trial import SECOND, SINK, STORE, Trial

RECOVERY = ("wal.open", "wal.complete", "journal.replace", "wal.opened", "journal.took", "sending.sent", "wal.collect")
"""Where a start may be cut off, in the order in which they are passed."""
DELIVERY = ("store.insert", "store.inserted", "sending.sent", "sending.settled", "journal.settled")
"""Between a group and the note that it is delivered."""
INTAKE = ("wal.written", "wal.synced", "wal.rotate", "journal.took")
"""Between a request and its answer, and where files change."""
AWAY = Rule(grpc="UNAVAILABLE", http=503)


def killed_before_the_store(trial: Trial) -> None:
    """R01: everything is stored once, whenever airis is killed."""
    trial.sinks = (STORE,)
    trial.configure(to_store())
    trial.excuse_crashed(STORE)
    _kill_under_load(trial, kills=round(2 * trial.size))


def killed_before_the_sink(trial: Trial) -> None:
    """R01: everything arrives, whenever airis is killed; other than a store, a server may get it again."""
    trial.configure(to_sink(trial.bench.sink()))
    trial.excuse_crashed(SINK)
    _kill_under_load(trial, kills=round(4 * trial.size))


def _kill_under_load(trial: Trial, kills: int) -> None:
    load = Load(producers=trial.rng.choice([6, 12]), items=trial.rng.choice([1, 20, 200]), pause_s=0.01)
    trial.start()
    with trial.load(load) as sending:
        for _ in range(kills):
            sending.until(acknowledged=trial.rng.randint(1, 20))
            trial.pause(0.3)
            trial.kill()
            trial.start()
        sending.until(acknowledged=1)
    trial.settle()


def killed_between_write_and_answer(trial: Trial) -> None:
    """R01: at each step of an acknowledgement, rather than at random."""
    trial.configure(to_sink(trial.bench.sink()))
    load = Load(items=20, filler_bytes=8000, pause_s=0.01)
    with trial.load(load):
        for name in INTAKE[: round(4 * trial.size)]:
            trial.start_until_it_dies(f"{name}=crash@{trial.rng.randint(1, 3)}")
        trial.start()
    trial.excuse_crashed(SINK)
    trial.settle()


def killed_while_it_recovers(trial: Trial) -> None:
    """R02: at each step of a start with a backlog of which a part was under way."""
    sink = trial.bench.sink()
    sink.script(AWAY)
    trial.configure(to_sink(sink))
    trial.start()
    with trial.load() as sending:
        sending.until(acknowledged=30)
    trial.kill()
    for name in RECOVERY[:4]:
        trial.start_until_it_dies(f"{name}=crash")
    sink.script()
    with trial.load(Load(pause_s=0.05)):  # all of the backlog may have been taken by now
        for name in RECOVERY[4:]:
            trial.start_until_it_dies(f"{name}=crash")
        trial.start()
    trial.excuse_crashed(SINK)
    trial.settle()


def killed_between_insert_and_note(trial: Trial) -> None:
    """R31: a group that was stored, and is not known to be, comes again under the same token."""
    trial.sinks = (STORE,)
    trial.configure(to_store())
    with trial.load(Load(items=50, pause_s=0.02)):
        for name in DELIVERY[: round(3 * trial.size)]:
            trial.start_until_it_dies(f"{name}=crash@{trial.rng.randint(2, 4)}")
        trial.start()
    trial.excuse_crashed(STORE)
    trial.settle()


def told_to_end(trial: Trial) -> None:
    """R17: senders that are held are answered with the truth, and the process ends well."""
    sink = trial.bench.sink()
    sink.script(Rule(sleep_s=0.05))
    trial.configure(to_sink(sink, queue="sending_queue: {enabled: false}", processors=["batch"]))
    trial.start()
    with trial.load(Load(producers=12)) as sending:
        for _ in range(round(2 * trial.size)):
            sending.until(acknowledged=20)
            trial.expect(trial.airis.stop() == 0, "it ends with exit code 0")
            trial.start()
    trial.settle()


def told_to_end_twice(trial: Trial) -> None:
    """R17: a second SIGTERM ends it at once, and what was acknowledged is there at the next start."""
    sink = trial.bench.sink()
    sink.script(Rule(sleep_s=3.0))
    trial.configure(to_sink(sink, timeout="30s"))
    trial.start()
    with trial.load() as sending:
        sending.until(acknowledged=30)
        process = trial.airis.process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        trial.airis.until("shutting down")
        trial.expect(trial.airis.stop(signal.SIGTERM) == 1, "it says by its exit code that it was cut short")
        sink.script()
        trial.start()
    trial.settle()


def reloaded_under_load(trial: Trial) -> None:
    """R18: nobody is refused, a bad configuration changes nothing, and who is removed keeps what it is owed."""
    sink, second = trial.bench.sink(), trial.bench.sink(SECOND)
    trial.sinks = (SINK, SECOND)
    second.script(AWAY)
    alone, both = to_sink(sink), to_sink(sink, second=second)
    airis = trial.configure(both)
    trial.start()
    with trial.load() as sending:
        sending.until(acknowledged=20)
    with trial.load(Load(pause_s=0.01)) as sending:
        trial.bench.oracle.excuse_run(SECOND, sending.run)  # it is not configured meanwhile
        for number, text in enumerate([alone, "receivers: {oltp: }", alone] * round(2 * trial.size), 1):
            trial.configure_again(text)
            os.kill(airis.pid, signal.SIGHUP)
            trial.wait(lambda number=number: _reloads(trial) >= number, f"reload {number} is told in the log")
            sending.until(acknowledged=5)
        trial.expect(not sending.counts.refusals, f"nobody is refused by a reload: {sending.counts.refusals[:3]}")
    trial.expect(len(list(trial.wal.glob("*second*.cursor"))) == 3, "who was removed keeps what it is owed")
    second.script()
    trial.configure_again(both)
    os.kill(airis.pid, signal.SIGHUP)
    trial.settle()


def _reloads(trial: Trial) -> int:
    told = ("reloaded", "not reloaded, the old configuration goes on")
    return sum(1 for line in trial.airis.log if line.get("event") in told)


def store_dies(trial: Trial) -> None:
    """R33: the store is started again, whatever ends it, and has everything once."""
    trial.sinks = (STORE,)
    trial.configure(to_store())
    trial.start()
    ends = [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT, signal.SIGKILL]
    with trial.load(Load(pause_s=0.02)) as sending:
        for number, end in enumerate(ends[: round(trial.size)], 1):
            sending.until(acknowledged=10)
            os.kill(trial.airis.store_pid, end)
            trial.kills += 1
            sending.until(acknowledged=10)
            if "no_supervisor" in trial.injections:
                break
            trial.airis.until("store serves again", times=number)
    trial.settle()


def poison(trial: Trial) -> None:
    """R30: what a server refuses for good is a dead letter, alone, and the rest goes on."""
    sink = trial.bench.sink()
    sink.script(Rule(grpc="INVALID_ARGUMENT", http=400, poison_only=True))
    queue = "sending_queue: {storage: file_storage, num_consumers: 2, batch: {flush_timeout: 100ms, min_size: 200}}"
    trial.configure(to_sink(sink, queue=queue))
    trial.start()
    with trial.load(Load(poison_every=4, only=("traces", "logs"), pause_s=0.01)) as sending:
        sending.until(acknowledged=60)
    poisoned = sending.counts.poisoned
    trial.wait(lambda: trial.buried() >= poisoned, "every bad item is a dead letter")
    trial.excuse(SINK, lambda: poisoned & trial.buried())
    trial.settle()


def poison_that_kills(trial: Trial) -> None:
    """R30: a batch that ends the process is a dead letter after some starts, and the rest goes on."""
    trial.injections = (*trial.injections, "die_of_poison")
    trial.configure(to_sink(trial.bench.sink()))
    trial.start()
    producers = trial.produce(Load(producers=2, poison_every=10, only=("traces",), pause_s=0.05))
    for _ in range(10):
        trial.wait_for_end()
        producers.stop(0)
        if trial.start_and_stay(2.0):
            break
    poisoned = producers.counts.poisoned
    trial.wait(lambda: trial.buried() >= poisoned, "what ended the process is a dead letter", 10.0)
    with_poison = {keys for _, keys in dead_letters(trial.wal) if poisoned & set(keys)}
    trial.excuse(SINK, lambda: {key for keys in with_poison for key in keys})
    trial.settle()


def dead_beside_alive(trial: Trial) -> None:
    """R32: one of two destinations is away; the other has all at once, and what is owed stays until both have it."""
    sink, second = trial.bench.sink(), trial.bench.sink(SECOND)
    proxy = FaultProxy(to_port(second.grpc_port), seed=trial.seed)
    proxy.set("refuse")
    trial.sinks = (SINK,)
    trial.configure(to_sink(sink, second=proxy.port))
    trial.start()
    try:
        with trial.load(Load(items=20, filler_bytes=4000)) as sending:
            sending.until(acknowledged=60)
        trial.settle()
        trial.expect(not trial.bench.oracle.missing([SINK]), "the one that is there has everything")
        trial.kill()
        trial.start()
        proxy.set("pass")
        trial.sinks = (SINK, SECOND)
        trial.settle()
    finally:
        proxy.close()
