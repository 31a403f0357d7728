"""What a subscriber has done, in a file of its own: which groups it took, and which of them are settled.

The file is written anew when it has grown (under another name, synced, renamed), so that there is always a whole one.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from airis.component import failpoints
from airis.storage.wal import format as layout
from airis.storage.wal.files import File, Files
from airis.storage.wal.format import Head, Kind, NotOurs, SegmentHeader
from airis.storage.wal.records import frame as frame_record
from airis.storage.wal.records import read as read_records

SUFFIX = ".cursor"
_NEW = ".new"
_MOST_BYTES = 256 * 1024
"""A journal that is longer is written anew."""


@dataclass(slots=True)
class State:
    """Where a subscriber is. What it has to do is `outstanding`, and all of its own from `next` on."""

    name: str
    signal: int
    slot: int
    next: int
    outstanding: set[int] = field(default_factory=set[int])
    """Sequences before `next` that are not settled."""
    groups: dict[bytes, "Grouped"] = field(default_factory=dict[bytes, "Grouped"])
    """By token: what was taken and is not settled."""
    settled: set[int] = field(default_factory=set[int])
    """Sequences from `next` on that are settled all the same."""

    def owes(self, sequence: int) -> bool:
        """Whether a record of this subscriber's is not settled."""
        return sequence in self.outstanding if sequence < self.next else sequence not in self.settled

    def settle(self, sequences: Iterable[int]) -> None:
        """Note what is settled."""
        for sequence in sequences:
            if sequence < self.next:
                self.outstanding.discard(sequence)
            else:
                self.settled.add(sequence)

    def advance(self, next_sequence: int, outstanding: Iterable[int]) -> None:
        """All of the subscriber's before a sequence are settled but these."""
        self.next = next_sequence
        self.outstanding = set(outstanding)
        self.settled = {sequence for sequence in self.settled if sequence >= next_sequence}

    @property
    def highest(self) -> int:
        """The highest sequence named."""
        grouped = [sequence for group in self.groups.values() for sequence in group.sequences]
        return max([self.next - 1, *self.settled, *grouped])


@dataclass(slots=True)
class Grouped:
    """Sequences that are delivered together, always under the same token."""

    sequences: list[int]
    starts: int = 0
    """How often airis ended while it was under way."""


class Journal:
    """The file of one subscriber."""

    def __init__(self, files: Files, log_id: bytes, state: State, file: File) -> None:
        self.state = state
        self._files = files
        self._log_id = log_id
        self._file = file
        self._is_synced = True
        self._is_suspect = False

    @property
    def file_name(self) -> str:
        """In the log's directory."""
        return name_of(self.state.signal, self.state.slot, self.state.name)

    @classmethod
    def create(cls, files: Files, log_id: bytes, state: State) -> "Journal":
        """Begin a file with this state; it survives a loss of power on return."""
        return cls(files, log_id, state, _write_whole(files, log_id, state))

    @classmethod
    def open(cls, files: Files, log_id: bytes, name: str) -> "Journal":
        """Read a file and go on in a new one; raises NotOurs for one without a state, WrongVersion."""
        state = read_state(files, log_id, name)
        for group in state.groups.values():
            group.starts += 1
        return cls(files, log_id, state, _write_whole(files, log_id, state))

    def took(self, token: bytes, sequences: list[int]) -> None:
        """Note a group before it is delivered."""
        self.state.groups[token] = Grouped(sequences)
        self._write({"took": token.hex(), "sequences": _ranges(sequences)})
        failpoints.passed("journal.took")

    def settled(self, token: bytes) -> None:
        """Note that a group is settled."""
        self.state.settle(self.state.groups.pop(token).sequences)
        self._write({"settled": token.hex()})
        failpoints.passed("journal.settled")

    def dissolved(self, token: bytes) -> None:
        """Note that a group's batches will be grouped anew."""
        del self.state.groups[token]
        self._write({"dissolved": token.hex()})

    def dropped(self, sequences: list[int]) -> None:
        """Note what is settled without having been taken."""
        self.state.settle(sequences)
        self._write({"dropped": _ranges(sequences)})

    def advance(self, next_sequence: int, outstanding: Iterable[int]) -> None:
        """Write the file anew from here where it has grown."""
        if self._file.size > _MOST_BYTES or self._is_suspect:
            self.state.advance(next_sequence, outstanding)
            try:
                self.rewrite()
            except OSError:
                self._is_suspect = True  # a full disk; the state has it, and is written at the next sync

    def sync(self) -> None:
        """Return when all that was noted survives a loss of power; raises OSError."""
        if self._is_suspect:
            self.rewrite()
        if not self._is_synced:
            try:
                self._file.sync()
            except OSError:
                self._is_suspect = True
                raise
            self._is_synced = True

    def rewrite(self) -> None:
        """Write the file anew as it is."""
        old, self._file = self._file, _write_whole(self._files, self._log_id, self.state)
        old.close()
        self._is_synced, self._is_suspect = True, False

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _write(self, content: dict[str, Any]) -> None:
        if self._is_suspect:
            return  # the state has it, and is written whole at the next sync
        try:
            self._file.append([_entry(self._log_id, content)])
        except OSError:
            # What follows a half of an entry would be read, but the entry would be missing.
            self._is_suspect = True
        self._is_synced = False


def name_of(signal: int, slot: int, subscriber: str) -> str:
    """The file of a subscriber, whatever is in its name; all that must not be lost with its content is in it."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "_.-") else f"%{ord(c):x};" for c in subscriber)
    return f"{signal}-{slot}-{safe}{SUFFIX}"


_NAME = re.compile(r"(\d{1,3})-(\d{1,2})-(.*)" + re.escape(SUFFIX))


def parse_name(name: str) -> tuple[int, int, str] | None:
    """Signal, slot and subscriber of a file; None for one that is not ours."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    subscriber = re.sub("%([0-9a-f]{1,6});", lambda code: chr(int(code[1], 16)), match[3])
    return int(match[1]), int(match[2]), subscriber


def read_state(files: Files, log_id: bytes, name: str) -> State:
    """What a file says, changing nothing; raises NotOurs for one without a state, WrongVersion."""
    data = files.read(name)
    SegmentHeader.unpack(data)
    state: State | None = None
    for found in read_records(log_id, data, layout.SEGMENT_HEADER_BYTES):
        if found.is_whole and found.head and found.head.kind == Kind.ENTRY:
            with suppress(ValueError, KeyError, TypeError):
                state = _follow(state, json.loads(found.meta))
    if state is None:
        raise NotOurs("it has no state in it")
    return state


def _follow(state: State | None, content: dict[str, Any]) -> State | None:
    if "name" in content:
        groups = {bytes.fromhex(g[0]): Grouped(list(_spread(g[1])), int(g[2])) for g in content["groups"]}
        return State(
            str(content["name"]),
            int(content["signal"]),
            int(content["slot"]),
            int(content["next"]),
            set(_spread(content["outstanding"])),
            groups,
            set(_spread(content["settled"])),
        )
    if state is None:
        return None
    if "took" in content:
        state.groups[bytes.fromhex(content["took"])] = Grouped(list(_spread(content["sequences"])))
    elif "settled" in content:
        group = state.groups.pop(bytes.fromhex(content["settled"]), None)
        state.settle(group.sequences if group else ())
    elif "dissolved" in content:
        state.groups.pop(bytes.fromhex(content["dissolved"]), None)
    elif "dropped" in content:
        state.settle(_spread(content["dropped"]))
    return state


def _write_whole(files: Files, log_id: bytes, state: State) -> File:
    name = name_of(state.signal, state.slot, state.name)
    new = name + _NEW
    with suppress(FileNotFoundError):
        files.remove(new)  # of a start that was cut short
    content = {
        "name": state.name,
        "signal": state.signal,
        "slot": state.slot,
        "next": state.next,
        "outstanding": _ranges(sorted(state.outstanding)),
        "settled": _ranges(sorted(state.settled)),
        "groups": [[token.hex(), _ranges(g.sequences), g.starts] for token, g in state.groups.items()],
    }
    file = files.create(new)
    try:
        file.append([SegmentHeader(log_id, 0, 0).pack(), _entry(log_id, content)])
        file.sync()
        failpoints.passed("journal.replace")
        files.replace(new, name)
        files.sync()
    except OSError:
        file.close()
        raise
    return file


def _entry(log_id: bytes, content: dict[str, Any]) -> bytes:
    meta = json.dumps(content, separators=(",", ":")).encode()
    return frame_record(log_id, Head(0, Kind.ENTRY), meta, b"")


def _ranges(sequences: list[int]) -> list[list[int]]:
    """Runs of following numbers as [first, last], in the order in which they come."""
    breaks = [i for i, (a, b) in enumerate(pairwise(sequences), 1) if b != a + 1]
    return [[sequences[i], sequences[j - 1]] for i, j in pairwise([0, *breaks, len(sequences)])] if sequences else []


def _spread(ranges: list[list[int]]) -> Iterator[int]:
    for first, last in ranges:
        yield from range(first, last + 1)
