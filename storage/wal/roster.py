"""Which slot is whose: a small file beside the journals, so that a journal that is gone is missed."""

import json
from contextlib import suppress
from dataclasses import dataclass

from airis.storage.wal import format as layout
from airis.storage.wal.files import Files
from airis.storage.wal.format import Head, Kind, NotOurs, SegmentHeader
from airis.storage.wal.records import frame as frame_record
from airis.storage.wal.records import read as read_records
from airis.storage.wal.segment import Lane

SUFFIX = ".roster"
NAME = f"subscribers{SUFFIX}"
_NEW = NAME + ".new"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a slot."""

    name: str
    is_forgotten: bool = False
    """Given up by hand; the slot is free when no segment has anything for it."""


def read(files: Files, log_id: bytes) -> dict[Lane, Holder]:
    """Who has which slot; nothing where there is no file. Raises NotOurs, WrongVersion, OSError."""
    if NAME not in files.names():
        return {}
    data = files.read(NAME)
    if SegmentHeader.unpack(data).log_id != log_id:
        raise NotOurs("it is of another log")
    found = next(read_records(log_id, data, layout.SEGMENT_HEADER_BYTES), None)
    if found is None or not found.is_whole or not found.head or found.head.kind != Kind.ENTRY:
        raise NotOurs("it is damaged")
    return {
        Lane(int(signal), int(slot)): Holder(str(name), bool(is_forgotten))
        for signal, slot, name, is_forgotten in json.loads(found.meta)["holders"]
    }


def write(files: Files, log_id: bytes, holders: dict[Lane, Holder]) -> None:
    """Put this in place of what the file says; it survives a loss of power on return. Raises OSError."""
    content = {"holders": [[*lane, holder.name, holder.is_forgotten] for lane, holder in sorted(holders.items())]}
    meta = json.dumps(content, separators=(",", ":")).encode()
    with suppress(FileNotFoundError):
        files.remove(_NEW)
    file = files.create(_NEW)
    try:
        head = SegmentHeader(log_id, 0, 0).pack()
        file.append([head, frame_record(log_id, Head(0, Kind.ENTRY), meta, b"")])
        file.sync()
        files.replace(_NEW, NAME)
        files.sync()
    except OSError:
        with suppress(OSError):
            files.remove(_NEW)
        raise
    finally:
        file.close()
