"""Scenarios of the log's disk: power, room, errors, damage, versions, and a backlog."""

import resource
from collections.abc import Callable
from pathlib import Path

from airis.storage.wal import format as layout

from .configurations import to_sink
from .log_files import Record, records
from .machine import EIO_AT, POWER_FILE, lose_power
from .processes import AWAY
from .producers import Load
from .trial import SINK, Trial

LARGE = Load(items=20, filler_bytes=2000)
"""Requests of 40 KiB, so that there are some segments soon."""
FULL_BYTES = 300_000
_AT = {"size": 12, "sequence": 20, "batch id": 48, "slots": 64}
"""Offsets of fields in a record's head, see docs/wal.md."""


def power_lost(trial: Trial) -> None:
    """R03: what was not synced is gone, in part or garbled; what was acknowledged is not."""
    notes = _with_power(trial)
    with trial.load(Load(items=20, pause_s=0.01)) as sending:
        for _ in range(round(2 * trial.size)):
            trial.start()
            sending.until(acknowledged=trial.rng.randint(1, 40))
            trial.kill()
            lose_power(trial.wal, notes, trial.rng)
        trial.start()
    trial.bench.sink().script()
    trial.excuse_crashed(SINK)
    trial.settle()


def fsync_fails(trial: Trial) -> None:
    """R13: what a disk threw away after an error is not acknowledged, and not asked for again."""
    notes = _with_power(trial, **{EIO_AT: str(trial.rng.randint(5, 20))})
    trial.start()
    with trial.load(Load(items=20, pause_s=0.01)) as sending:
        trial.wait(lambda: '"gone"' in notes.read_text(), "the disk throws away what it was to keep")
        if "fsync_again" not in trial.injections:
            trial.airis.until("the disk did not keep what was written")
        sending.until(acknowledged=50)
        trial.kill()
        lose_power(trial.wal, notes, trial.rng)
        trial.airis.environment[EIO_AT] = "0"
        trial.start()
    trial.bench.sink().script()
    trial.excuse_crashed(SINK)
    trial.settle()


def _with_power(trial: Trial, **environment: str) -> Path:
    """An airis whose destination takes nothing at first, so that all is in the log when power goes."""
    notes = trial.folder / "power"
    trial.bench.sink().script(AWAY)
    trial.injections = ("power", *trial.injections)
    trial.configure(to_sink(trial.bench.sink()), **{POWER_FILE: str(notes)}, **environment)
    return notes


def disk_full(trial: Trial) -> None:
    """R12: a record cut off by the end of the disk is taken back, senders are told to come again, and it goes on."""
    trial.configure(to_sink(trial.bench.sink()))
    trial.start()
    with trial.load(LARGE) as sending:
        sending.until(acknowledged=2)
        _limit_files(trial.airis.pid, FULL_BYTES)
        trial.wait(lambda: len(sending.counts.refusals) >= 6, "senders are refused while there is no room", 10.0)
        final = [each for each in sending.counts.refusals if not each.is_retryable]
        trial.expect(not final, f"they are told to come again: {final[:3]}")
        trial.expect(trial.airis.process is not None and trial.airis.process.poll() is None, "it lives")
        if trial.rng.random() < 0.5:
            trial.kill()
            trial.start()
        else:
            _limit_files(trial.airis.pid, resource.RLIM_INFINITY)
        sending.until(acknowledged=20)
    trial.settle()


def _limit_files(pid: int, size: int) -> None:
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))


def file_system_full(trial: Trial) -> None:
    """R12: nothing can be written at all, until another start."""
    sink = trial.bench.sink()
    sink.script(AWAY)
    trial.configure(to_sink(sink))
    trial.start(failpoints="wal.write=ENOSPC@8+")
    with trial.load(LARGE) as sending:
        trial.wait(lambda: len(sending.counts.refusals) >= 6, "senders are refused while there is no room", 10.0)
        trial.expect(not sending.counts.given_up, f"they are told to come again: {sending.counts.given_up}")
        sink.script()
        trial.kill()
        trial.start()
        sending.until(acknowledged=20)
    trial.settle()


def damaged(trial: Trial) -> None:
    """R14: of a log that is damaged in every way, only what is damaged is missing, and a copy of it is kept."""
    sink = trial.bench.sink()
    sink.script(AWAY)
    trial.configure(to_sink(sink))
    trial.start()
    with trial.load(LARGE) as sending:
        sending.until(acknowledged=round(150 * trial.size))
    trial.kill()
    found = records(trial.wal)
    kept_of: list[Path] = []
    chosen = trial.rng.sample(range(2, len(found) - 2, 3), len(_DAMAGES))
    for place, (words, damage) in zip(chosen, _DAMAGES.items(), strict=True):
        if words == "swapped" and found[place].path != found[place + 1].path:
            place -= 1  # the last of its file
        lost = damage(trial, found[place], found[place + 1])
        kept_of += [record.path for record in lost]
        trial.bench.oracle.excuse(SINK, [key for record in lost for key in record.keys])
    gone = _missing_file(trial, found)
    _stale_cursor(trial)
    sink.script()
    trial.start()
    trial.settle()
    kept = list((trial.wal / "quarantine").glob("*.wal.*"))
    wanted = sum(1 for path in kept_of if path != gone)
    trial.expect(len(kept) >= wanted, f"what is damaged is kept: {wanted} records, {len(kept)} files in quarantine")


def _flip(trial: Trial, record: Record, at: int, upto: int) -> list[Record]:
    _change(record.path, trial.rng.randrange(at, upto), lambda byte: byte ^ 1 << trial.rng.randrange(8))
    return [record]


def _change(path: Path, at: int, change: Callable[[int], int]) -> None:
    data = bytearray(path.read_bytes())
    data[at] = change(data[at])
    path.write_bytes(data)


def _change_a_letter(trial: Trial, record: Record) -> list[Record]:
    """What is still a request, but another one."""
    _change(record.path, trial.rng.randrange(record.end - 1500, record.end - 500), lambda byte: byte ^ 1)
    return [record]


def _flip_field(name: str) -> Callable[[Trial, Record, Record], list[Record]]:
    return lambda trial, record, _: _flip(trial, record, record.offset + _AT[name], record.offset + _AT[name] + 4)


def _zero(trial: Trial, record: Record, _: Record) -> list[Record]:
    data = bytearray(record.path.read_bytes())
    start = trial.rng.randrange(record.offset + 1, record.end - 100)
    data[start : record.end] = bytes(record.end - start)
    record.path.write_bytes(data)
    return [record]


def _swap(trial: Trial, record: Record, after: Record) -> list[Record]:
    """Records say where they belong: none of them is lost."""
    data = record.path.read_bytes()
    first, second = data[record.offset : record.end], data[after.offset : after.end]
    record.path.write_bytes(data[: record.offset] + second + first + data[after.end :])
    return []


def _repeat_in_payload(trial: Trial, record: Record, _: Record) -> list[Record]:
    """A marker in the middle of a payload is not where a record begins."""
    data = bytearray(record.path.read_bytes())
    data[record.body + 200 : record.body + 200 + len(layout.MARKER)] = layout.MARKER
    record.path.write_bytes(data)
    return [record]


_DAMAGES: dict[str, Callable[[Trial, Record, Record], list[Record]]] = {
    "marker": lambda trial, record, _: _flip(trial, record, record.offset, record.offset + 4),
    "checksum of the head": lambda trial, record, _: _flip(trial, record, record.offset + 4, record.offset + 8),
    "checksum of the content": lambda trial, record, _: _flip(trial, record, record.offset + 8, record.offset + 12),
    "size": _flip_field("size"),
    "sequence": _flip_field("sequence"),
    "batch id": _flip_field("batch id"),
    "slots": _flip_field("slots"),
    "payload": lambda trial, record, _: _change_a_letter(trial, record),
    "zeros": _zero,
    "swapped": _swap,
    "marker in a payload": _repeat_in_payload,
}


def _missing_file(trial: Trial, found: list[Record]) -> Path:
    paths = sorted({record.path for record in found})
    gone = trial.rng.choice(paths[1:-1])
    trial.bench.oracle.excuse(SINK, [key for record in found if record.path == gone for key in record.keys])
    gone.unlink()
    return gone


def _stale_cursor(trial: Trial) -> None:
    """One that is damaged: its subscriber is given again what is there."""
    cursor = trial.rng.choice(sorted(trial.wal.glob("*.cursor")))
    _change(cursor, trial.rng.randrange(16, 64), lambda byte: byte ^ 1)


def other_version(trial: Trial) -> None:
    """R15: a file of a version that is not known is refused, and left as it is."""
    sink = trial.bench.sink()
    sink.script(AWAY)
    trial.configure(to_sink(sink))
    trial.start()
    with trial.load() as sending:
        sending.until(acknowledged=30)
    trial.kill()
    path = sorted(trial.wal.glob("*.wal"))[0]
    _change(path, 8, lambda _: 9)
    before = path.read_bytes()
    sink.script()
    if "any_version" in trial.injections:
        trial.start()
    else:
        code, said = trial.airis.fail_to_start()
        trial.expect(code == 1 and "version 9" in said, f"the start is refused with the version: {code} {said}")
    trial.expect(path.exists() and path.read_bytes() == before, "the file is left as it is")
    if path.exists():
        _change(path, 8, lambda _: 1)
    if "any_version" not in trial.injections:
        trial.start()
    trial.settle()


def backlog(trial: Trial) -> None:
    """R16: with a backlog that cannot be delivered it listens at once, and takes more."""
    sink = trial.bench.sink()
    sink.script(AWAY)
    trial.configure(to_sink(sink))
    trial.start()
    with trial.load(LARGE) as sending:
        sending.until(acknowledged=round(200 * trial.size))
    trial.kill()
    starting = trial.start_in_background()
    is_ready = trial.wait(starting.is_set, "it is ready while nothing of its backlog can be delivered")
    if is_ready:
        with trial.load() as sending:
            sending.until(acknowledged=20)
    sink.script()
    starting.wait(30)
    trial.settle()
