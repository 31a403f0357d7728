"""Scenarios of clocks and memory, and of the books that are kept of it all."""

import time

from .configurations import to_sink
from .machine import CLOCK_FILE, set_clock
from .memory import memory_limit, peak_bytes, reset_peak
from .producers import Load
from .sink import Rule
from .trial import SINK, Trial

MIB = 1024 * 1024
YEARS_S = 10 * 365.25 * 86_400
GROUPED = "sending_queue: {storage: file_storage, num_consumers: 2, batch: {flush_timeout: 200ms, min_size: 100000}}"
MEMORY_BYTES = 512 * MIB
RECOVERY_S = 10.0
SIGNAL_ITEMS = ("spans", "log_records", "metric_points")


def clock_jumps(trial: Trial) -> None:
    """R19: a wall clock that is put forward and back by hours and years holds nothing up."""
    file = trial.folder / "clock"
    set_clock(file, 0.0)
    trial.injections = ("clock", *trial.injections)
    trial.configure(to_sink(trial.bench.sink(), queue=GROUPED), **{CLOCK_FILE: str(file)})
    trial.start()
    with trial.load(Load(pause_s=0.01)) as sending:
        for seconds in (3600.0, -3600.0, YEARS_S, -YEARS_S):
            sending.until(acknowledged=20)
            set_clock(file, seconds)
        sending.until(acknowledged=20)
    trial.settle()


def overloaded(trial: Trial) -> None:
    """R20: three times what a destination takes, for as long as it lasts: memory stays under its limit."""
    sink = trial.bench.sink()
    sink.script(Rule(sleep_s=3.0))
    queue = "sending_queue: {enabled: false}"
    trial.configure(to_sink(sink, queue=queue, processors=["memory_limiter"], timeout="30s"))
    trial.start()
    pid = trial.airis.pid
    reset_peak(pid)
    # The destination takes 5 requests a second; these would send 20 and more.
    with memory_limit(pid, MEMORY_BYTES), trial.load(Load(producers=160, items=20, filler_bytes=200_000)) as sending:
        began = time.monotonic()
        while time.monotonic() < began + 10.0 * trial.size and trial.airis.process.poll() is None:  # type: ignore[union-attr]
            time.sleep(0.5)
        peak = peak_bytes(pid) if trial.airis.process.poll() is None else 0  # type: ignore[union-attr]
        trial.expect(trial.airis.process.poll() is None, "it is not ended for its memory")  # type: ignore[union-attr]
        trial.expect(
            peak < 0.9 * MEMORY_BYTES, f"at most 90 % of {MEMORY_BYTES // MIB} MiB are used, not {peak // MIB}"
        )
        final = [each for each in sending.counts.refusals if not each.is_retryable]
        trial.expect(not final, f"who is refused is told to come again: {final[:3]}")
        trial.expect(bool(sending.counts.refusals), "more comes than can be taken")
    sink.script()
    with trial.load() as again:
        began = time.monotonic()
        again.until(acknowledged=30)
        trial.expect(time.monotonic() - began < RECOVERY_S, "it takes data again soon after the load dropped")
    trial.settle()


def balanced(trial: Trial) -> None:
    """R35: what was accepted is what was delivered, given up for a reason that is counted, or still there."""
    sink = trial.bench.sink()
    sink.script(
        Rule(rejected=2, times=3), Rule(grpc="INVALID_ARGUMENT", poison_only=True), Rule(grpc="UNAVAILABLE", times=20)
    )
    trial.configure(to_sink(sink))
    trial.start()
    with trial.load(Load(poison_every=10, pause_s=0.01)) as sending:
        sending.until(acknowledged=100)
    trial.excuse(SINK, lambda: sending.counts.poisoned & trial.buried())
    trial.excuse(SINK, lambda: [key for seen in sink.seen() for key in seen.keys[: seen.rejected]])
    trial.settle()
    trial.waited(lambda: trial.gauge("otelcol_exporter_queue_size") == 0, 10.0)
    acknowledged = trial.bench.oracle.verdict([]).acknowledged
    accepted = sum(trial.airis.counted(f"otelcol_receiver_accepted_{items}") for items in SIGNAL_ITEMS)
    trial.expect(accepted == acknowledged, f"{acknowledged} items were acknowledged, {accepted} counted as accepted")
    for items in SIGNAL_ITEMS:
        taken = trial.airis.counted(f"otelcol_receiver_accepted_{items}")
        sent = trial.airis.counted(f"otelcol_exporter_sent_{items}")
        failed = trial.airis.counted(f"otelcol_exporter_send_failed_{items}")
        trial.expect(taken == sent + failed, f"{taken} {items} accepted are {sent} sent and {failed} failed")
    dropped = trial.airis.counted("airis_exporter_dropped_items")
    failed = sum(trial.airis.counted(f"otelcol_exporter_send_failed_{items}") for items in SIGNAL_ITEMS)
    trial.expect(dropped == failed, f"{failed} items failed, and {dropped} have a reason")
