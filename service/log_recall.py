"""Batches read from what was taken out of a log: exported files, and copies of what was damaged."""

import os
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from airis.component.sending.durable import SIGNALS, encode_meta
from airis.data import Origin, Signal, kernels
from airis.exporters.file import FRAME_HEADER_BYTES
from airis.storage.wal import format as layout
from airis.storage.wal import segment as segments
from airis.storage.wal.catalog import Catalog
from airis.storage.wal.format import Kind, NotOurs, SegmentHeader, WrongVersion
from airis.storage.wal.operations import NotPossible
from airis.storage.wal.put import Put
from airis.storage.wal.records import read as read_records


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a copy holds."""

    puts: list[tuple[str, Put]]
    """For each subscriber."""
    is_whole: bool
    """Whether nothing in it is damaged."""


def read_copy(catalog: Catalog, name: str, to: str = "") -> Recalled:
    """The batches in a copy in quarantine, for those who were to have them; raises NotPossible, OSError."""
    data = catalog.copy(name)
    log_id, start = catalog.log_id, 0
    with suppress(NotOurs, WrongVersion):
        log_id, start = SegmentHeader.unpack(data).log_id, layout.SEGMENT_HEADER_BYTES
    found = list(read_records(log_id, data, start))
    puts: list[tuple[str, Put]] = []
    for each in found:
        if not each.is_whole or each.head is None or each.head.kind != Kind.BATCH:
            continue
        head = each.head
        names = (
            [to] if to else [catalog.states[lane].name for lane in segments.lanes_of(head) if lane in catalog.states]
        )
        if not to and log_id != catalog.log_id:
            raise NotPossible(f"{name} is of another log; say with --to whose queue it goes into")
        put = Put(frozenset(), head.signal, head.items, head.requests, 0, head.batch_id, each.meta, each.payload)
        puts += [(subscriber, put) for subscriber in names]
    return Recalled(puts, all(each.is_whole for each in found))


def read_exported(path: Path, signal: Signal, tenant: str = "") -> list[Put]:
    """The batches in a file that was exported, of this signal; raises NotPossible with the line, OSError.

    Whose they are is not in OTLP, so `tenant` says it.
    """
    meta = encode_meta(Origin(tenant=tenant), is_validated=True)  # by `_put`
    data = path.read_bytes()
    if data[:1] in (b"{", b" ", b"\n"):
        return [
            _put(signal, _from_json(signal, line, f"{path}:{number}"), f"{path}:{number}", meta)
            for number, line in enumerate(data.splitlines(), 1)
            if line.strip()
        ]
    puts: list[Put] = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + FRAME_HEADER_BYTES], "big")
        payload = data[at + FRAME_HEADER_BYTES : at + FRAME_HEADER_BYTES + size]
        if at + FRAME_HEADER_BYTES + size > len(data):
            raise NotPossible(f"{path}: at {at} there is no whole request; it is no export, or it was cut off")
        puts.append(_put(signal, payload, f"{path}: at {at}", meta))
        at += FRAME_HEADER_BYTES + size
    return puts


def _from_json(signal: Signal, line: bytes, where: str) -> bytes:
    try:
        return kernels.from_json(signal, line)
    except kernels.MalformedPayload as error:
        raise NotPossible(f"{where}: it is no request for {signal}: {error}") from error


def _put(signal: Signal, payload: bytes, where: str, meta: bytes) -> Put:
    try:
        items = kernels.scan(signal, payload).items
    except kernels.MalformedPayload as error:
        raise NotPossible(f"{where}: it is no request for {signal}: {error}") from error
    if not items:
        raise NotPossible(f"{where}: there are no {signal} in it")
    # The same request has the same id, so that a store that has it does not store it again.
    batch_id = sha256(payload).digest()[:16] if payload else os.urandom(16)
    return Put(frozenset(), SIGNALS[signal], items, 1, 0, batch_id, meta, payload)
