"""Records: what was written is read, what was damaged is told, and both kernels see the same."""

import struct
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis.storage.wal import format as reference
from airis.storage.wal import records
from airis.storage.wal.format import Found, Head, Kind, NotOurs, SegmentHeader, WrongVersion

LOG_ID = b"id of some log 1"
HEADS = st.builds(
    Head,
    sequence=st.integers(0, (1 << 64) - 1),
    kind=st.sampled_from([Kind.BATCH, Kind.END, Kind.ENTRY]),
    codec=st.just(0),
    signal=st.integers(0, 255),
    items=st.integers(0, (1 << 32) - 1),
    requests=st.integers(0, (1 << 32) - 1),
    wall_unix_nano=st.integers(-(1 << 63), (1 << 63) - 1),
    batch_id=st.binary(min_size=16, max_size=16),
    slots=st.integers(0, (1 << 64) - 1),
)
RECORDS = st.lists(st.tuples(HEADS, st.binary(max_size=20), st.binary(max_size=60)), max_size=5)


def joined(parts: list[tuple[Head, bytes, bytes]]) -> bytes:
    return b"".join(reference.frame(LOG_ID, *part) + part[2] for part in parts)


def same(data: bytes) -> list[Found]:
    """What both kernels find."""
    found = list(reference.read(LOG_ID, data))
    assert list(records.read(LOG_ID, data)) == found
    assert [f.end for f in found] == [*[f.offset for f in found[1:]], *([len(data)] if found else [])]
    return found


@given(RECORDS)
def test_what_was_written_is_read(parts: list[tuple[Head, bytes, bytes]]):
    assert [records.frame(LOG_ID, *part) for part in parts] == [reference.frame(LOG_ID, *part) for part in parts]

    assert [(f.head, f.meta, f.payload) for f in same(joined(parts))] == parts
    assert all(f.payload == b"" for f in records.read(LOG_ID, joined(parts), payloads=False))


@given(RECORDS, st.integers(0, 1 << 32))
def test_what_is_damaged_costs_itself_alone(parts: list[tuple[Head, bytes, bytes]], seed: int):
    data = joined(parts)
    if not data:
        return
    at = Random(seed).randrange(len(data))
    damaged = data[:at] + bytes([data[at] ^ 1 << seed % 8]) + data[at + 1 :]

    whole = [(f.head, f.meta, f.payload) for f in same(damaged) if f.is_whole]

    ends = [len(joined(parts[: i + 1])) for i in range(len(parts))]
    hit = next(i for i, end in enumerate(ends) if at < end)
    assert whole == parts[:hit] + parts[hit + 1 :]


@given(RECORDS, st.integers(0, 1 << 32))
def test_whatever_happens_to_a_file_is_read_without_an_error(parts: list[tuple[Head, bytes, bytes]], seed: int):
    random = Random(seed)
    data = bytearray(joined(parts))
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(data) + 1)
        match random.randrange(4):
            case 0:
                del data[at:]
            case 1:
                del data[at : at + random.randint(1, 30)]
            case 2:
                data[at:at] = random.choice([b"\0" * 100, reference.MARKER, bytes(data[:at])])
            case _:
                data[at : at + 40] = bytes(40)
    heads = {head for head, _, _ in parts}

    assert {f.head for f in same(bytes(data)) if f.is_whole} <= heads


def test_nothing_in_a_payload_passes_for_a_record():
    # A sender knows the format, but not the id of the log.
    inner = reference.frame(b"id of other logs", Head(7, Kind.BATCH), b"", b"forged") + b"forged"
    data = bytearray(joined([(Head(1, Kind.BATCH), b"", inner), (Head(2, Kind.BATCH), b"", b"ours")]))
    data[9] ^= 1

    assert [f.head.sequence for f in same(bytes(data)) if f.is_whole and f.head] == [2]


def test_a_header_says_whose_file_it_is():
    header = SegmentHeader(LOG_ID, 5, 1_700_000_000_000_000_000)
    packed = header.pack()
    assert SegmentHeader.unpack(packed) == header

    with pytest.raises(WrongVersion, match="version 2"):
        SegmentHeader.unpack(packed[:8] + struct.pack("<H", 2) + packed[10:])
    for data in (b"", b"something else" * 10, packed[:-1], packed[:20] + b"\xff" + packed[21:]):
        with pytest.raises(NotOurs):
            SegmentHeader.unpack(data)


def test_a_record_has_room_for_one_gibibyte(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reference, "MAX_CONTENT_BYTES", 10)
    with pytest.raises(ValueError, match="a record of 11 bytes"):
        reference.frame(LOG_ID, Head(1, Kind.BATCH), b"m", b"0123456789")
