"""A log as it lies there: what is owed, also where parts of it cannot be read or its owner writes just then."""

from pathlib import Path

import pytest

from airis.storage.wal.catalog import Catalog
from airis.storage.wal.files import OsFiles
from airis.storage.wal.format import NotOurs
from airis.storage.wal.log import Log, LogOptions, Put
from airis.storage.wal.subscriber import Limits, Subscriber
from tests.storage.wal.simulated import SimulatedFiles

STORE, KAFKA = "exporters/store:traces", "exporters/kafka:traces"


def filled(files: SimulatedFiles | OsFiles) -> tuple[Log, Subscriber, Subscriber]:
    """Twenty batches of two items for two, the first of whom has the first seven and the tenth."""
    log = Log(files, LogOptions(segment_bytes=1000, reserve_bytes=0))
    log.open()
    store, kafka = log.subscriber(STORE, 1), log.subscriber(KAFKA, 1)
    for number in range(20):
        lanes = frozenset([store.lane, kafka.lane])
        assert log.put([Put(lanes, 1, 2, 1, 0, number.to_bytes(16, "big"), b"", bytes([7]) * 100)]) == [None]
    groups = [store.take(Limits(max_items=2)) for _ in range(10)]
    for number in [*range(7), 9]:
        group = groups[number]
        assert group is not None
        store.settle(group)
    return log, store, kafka


def owed(catalog: Catalog) -> dict[str, tuple[int, int]]:
    return {each.name: (each.owed.batches, each.owed.items) for each in catalog.backlogs(catalog.segments())}


@pytest.mark.parametrize("end", ["running", "killed", "closed"])
def test_what_is_owed_is_what_the_log_itself_says(tmp_path: Path, end: str):
    log, store, kafka = filled(OsFiles(tmp_path))
    if end == "closed":
        log.close()
    catalog = Catalog(OsFiles(tmp_path, make=False), is_written_to=end == "running")
    assert owed(catalog) == {STORE: (12, 24), KAFKA: (20, 40)}
    assert (store.owed.batches, kafka.owed.batches) == (12, 20)
    (backlog, _) = catalog.backlogs(catalog.segments())
    assert backlog.under_way == 2
    assert not list(catalog.damage())
    whose = {entry.head.sequence: catalog.owing(entry) for entry in catalog.entries(6, 9)}
    assert whose == {6: [KAFKA], 7: [STORE, KAFKA], 8: [STORE, KAFKA], 9: [KAFKA]}


def test_an_end_that_is_being_written_is_no_damage(tmp_path: Path):
    log, _, _ = filled(OsFiles(tmp_path))
    newest = tmp_path / list(log.segments)[-1]
    newest.write_bytes(newest.read_bytes()[:-10])
    assert not list(Catalog(OsFiles(tmp_path), is_written_to=True).damage())
    (damage,) = Catalog(OsFiles(tmp_path)).damage()
    assert damage.what == "the content of record 19 is damaged"


def test_what_cannot_be_read_is_said_and_the_rest_is_shown():
    files = SimulatedFiles(1)
    log, _, _ = filled(files)
    log.close()
    name = list(log.segments)[2]
    files.unreadable.add(name)
    catalog = Catalog(files)
    listed = {each.segment.name: each.trouble for each in catalog.segments()}
    assert listed.pop(name) == "it cannot be read: input/output error"
    assert not any(listed.values())
    assert [damage.file for damage in catalog.damage()] == [name]


def test_a_subscriber_whose_file_is_gone_is_shown_with_all_there_is(tmp_path: Path):
    log, store, _ = filled(OsFiles(tmp_path))
    log.close()
    (tmp_path / store.journal.file_name).unlink()
    catalog = Catalog(OsFiles(tmp_path))
    backlogs = {each.name: each for each in catalog.backlogs(catalog.segments())}
    assert backlogs[STORE].trouble == "its file is gone"
    assert backlogs[STORE].owed.batches == len(list(catalog.entries()))


def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        Catalog(OsFiles(tmp_path / "x", make=False))
    assert not (tmp_path / "x").exists()
    with pytest.raises(NotOurs, match="there is no log in it"):
        Catalog(OsFiles(tmp_path))
