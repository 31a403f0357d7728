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

import structlog

from airis.component import failpoints
from airis.storage.wal import format as layout
from airis.storage.wal.files import File, Files
from airis.storage.wal.format import Head, Kind, NotOurs, SegmentHeader
from airis.storage.wal.records import frame as frame_record
from airis.storage.wal.records import read as read_records
from airis.storage.wal.reserve import Reserve, is_no_room

log = structlog.get_logger("airis.wal")

SUFFIX = ".cursor"
_NEW = ".new"
_MOST_BYTES = 256 * 1024
"""A journal that is longer is written anew."""
MOST_NAME_BYTES = 255
"""What file systems have for the name of a file."""


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
    unread: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """Sequences, first and last, that stand where the disk could not be read: whatever is owed there still is."""
    ended_well: bool = False
    """Whether the process closed the log: what was under way is not to blame for its end."""

    def owes(self, sequence: int) -> bool:
        """Whether a record of this subscriber's is not settled."""
        if self._is_unread(sequence):
            return sequence not in self.settled
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
        self.settled = {s for s in self.settled if s >= next_sequence or self._is_unread(s)}

    def _is_unread(self, sequence: int) -> bool:
        return any(first <= sequence <= last for first, last in self.unread)

    def read_at_last(self, unread: tuple[int, int], owed: Iterable[int]) -> None:
        """What could not be read can be, or is gone: these are what is owed there."""
        if unread in self.unread:
            self.unread.remove(unread)
        self.outstanding.update(sequence for sequence in owed if sequence < self.next)

    @property
    def highest(self) -> int:
        """The highest sequence named."""
        grouped = [sequence for group in self.groups.values() for sequence in group.sequences]
        return max([self.next - 1, *self.settled, *grouped, *(last for _, last in self.unread)])


@dataclass(slots=True)
class Grouped:
    """Sequences that are delivered together, always under the same token."""

    sequences: list[int]
    starts: int = 0
    """How often airis ended while an attempt to deliver it was under way."""
    is_tried: bool = True
    """Whether an attempt is under way, as far as is known: for what was just taken that is assumed."""


class Journal:
    """The file of one subscriber."""

    def __init__(self, files: Files, log_id: bytes, state: State, reserve: Reserve) -> None:
        """`create` and `open` make one."""
        self.state = state
        self.is_behind = False
        """Whether the file says less than `state` because the disk is full."""
        self._files = files
        self._log_id = log_id
        self._reserve = reserve
        self._file: File | None = None
        self._is_synced = True
        self._is_suspect = True

    @property
    def file_name(self) -> str:
        """In the log's directory."""
        return name_of(self.state.signal, self.state.slot, self.state.name)

    @classmethod
    def create(cls, files: Files, log_id: bytes, state: State, reserve: Reserve) -> "Journal":
        """Begin a file with this state; it survives a loss of power on return. Raises OSError."""
        journal = cls(files, log_id, state, reserve)
        journal.rewrite()
        return journal

    @classmethod
    def open(cls, files: Files, log_id: bytes, name: str, reserve: Reserve) -> "Journal":
        """Read a file and go on in a new one; raises NotOurs for one without a state, WrongVersion, OSError."""
        state = read_state(files, log_id, name)
        for group in state.groups.values():
            group.starts += group.is_tried and not state.ended_well
            group.is_tried = False
        state.ended_well = False
        journal = cls(files, log_id, state, reserve)
        with suppress(OSError):  # a full disk; the state has it, and is written at the next sync
            journal.rewrite()
        return journal

    def took(self, token: bytes, sequences: list[int], starts: int = 0) -> None:
        """Note a group before it is delivered; of one that is known from crashes each attempt is noted besides."""
        self.state.groups[token] = Grouped(sequences, starts, is_tried=not starts)
        known = {"starts": starts} if starts else {}
        self._write({"took": token.hex(), "sequences": runs(sequences), **known})
        failpoints.passed("journal.took")

    def tried(self, token: bytes) -> None:
        """Note that an attempt to deliver a group is about to be made; that need not survive a loss of power."""
        self.state.groups[token].is_tried = True
        self._write({"tried": token.hex()})
        if self._file is not None and self._file.size > _MOST_BYTES:  # nothing is settled while a destination is away
            with suppress(OSError):
                self.rewrite()

    def came_back(self, token: bytes, starts: int) -> None:
        """Note that an attempt came to its end, and how often such an end was not reached, one after another."""
        group = self.state.groups[token]
        group.is_tried, group.starts = False, starts
        self._write({"back": token.hex(), "starts": starts})

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
        self._write({"dropped": runs(sequences)})

    def set_aside(self, unread: tuple[int, int]) -> None:
        """Note what cannot be read, and that what stands behind it is delivered first."""
        self.state.unread.append(unread)
        self._write({"unread": list(unread)})

    def read_at_last(self, unread: tuple[int, int], owed: list[int]) -> None:
        """Note that it can be read now, or is gone, and what is owed of it."""
        self.state.read_at_last(unread, owed)
        self._write({"read": list(unread), "owed": runs(owed)})

    def advance(self, next_sequence: int, outstanding: Iterable[int], *, at_once: bool = False) -> None:
        """Write the file anew from here where it has grown, or `at_once`."""
        if at_once or self._is_suspect or self._file is None or self._file.size > _MOST_BYTES:
            self.state.advance(next_sequence, outstanding)
            with suppress(OSError):  # a full disk; the state has it, and is written at the next sync
                self.rewrite()

    def sync(self) -> None:
        """Return when all that was noted survives a loss of power; raises OSError.

        Where the disk has no room for it, not even what was reserved, the file is left behind: waiting for room would
        be waiting for what only deliveries make. After a crash what is delivered meanwhile may be delivered again.
        """
        if not self._is_suspect and not self._is_synced:
            assert self._file is not None
            try:
                self._file.sync()
            except OSError:
                self._is_suspect = True  # nobody knows what is in it, so another is written
            else:
                self._is_synced = True
        if self._is_suspect:
            try:
                self.rewrite()
            except OSError as error:
                if not is_no_room(error):
                    raise
                if not self.is_behind:
                    log.error("no room to note what is delivered", subscriber=self.state.name, error=str(error))
                self.is_behind = True

    def rewrite(self) -> None:
        """Write the file anew as it is, in the room that is reserved if there is no other; raises OSError."""
        self._is_suspect = True
        try:
            new = _write_whole(self._files, self._log_id, self.state)
        except OSError as error:
            if not is_no_room(error) or not self._reserve.give_up():
                raise
            new = _write_whole(self._files, self._log_id, self.state)
        self.close()
        self._file = new
        self._is_synced, self._is_suspect, self.is_behind = True, False, False

    def end(self) -> None:
        """Note that the process ends as it should; raises OSError."""
        self.state.ended_well = True
        self._write({"ended": True})
        self.sync()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _write(self, content: dict[str, Any]) -> None:
        if self._is_suspect or self._file is None:
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


def check_name(subscriber: str) -> None:
    """Raises ValueError for a name that makes a longer one than a file can have."""
    size = len(name_of(99, 99, subscriber) + _NEW)
    if size > MOST_NAME_BYTES:
        raise ValueError(
            f'the id is too long: the file of "{subscriber}" in the log would have a name of {size} bytes, and '
            f"{MOST_NAME_BYTES} are the most; choose a shorter one"
        )


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
        groups = {
            bytes.fromhex(token): Grouped(list(_spread(sequences)), int(starts), all(tried))
            for token, sequences, starts, *tried in content["groups"]
        }
        return State(
            str(content["name"]),
            int(content["signal"]),
            int(content["slot"]),
            int(content["next"]),
            set(_spread(content["outstanding"])),
            groups,
            set(_spread(content["settled"])),
            [(int(first), int(last)) for first, last in content.get("unread", ())],
            bool(content.get("ended")),
        )
    if state is None:
        return None
    state.ended_well = "ended" in content
    if "took" in content:
        starts = int(content.get("starts", 0))
        state.groups[bytes.fromhex(content["took"])] = Grouped(list(_spread(content["sequences"])), starts, not starts)
    elif "tried" in content:
        state.groups[bytes.fromhex(content["tried"])].is_tried = True
    elif "back" in content:
        came_back = state.groups[bytes.fromhex(content["back"])]
        came_back.is_tried, came_back.starts = False, int(content["starts"])
    elif "settled" in content:
        group = state.groups.pop(bytes.fromhex(content["settled"]), None)
        state.settle(group.sequences if group else ())
    elif "dissolved" in content:
        state.groups.pop(bytes.fromhex(content["dissolved"]), None)
    elif "dropped" in content:
        state.settle(_spread(content["dropped"]))
    elif "unread" in content:
        first, last = content["unread"]
        state.unread.append((int(first), int(last)))
    elif "read" in content:
        first, last = content["read"]
        state.read_at_last((int(first), int(last)), _spread(content["owed"]))
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
        "outstanding": runs(sorted(state.outstanding)),
        "settled": runs(sorted(state.settled)),
        "groups": [[token.hex(), runs(g.sequences), g.starts, g.is_tried] for token, g in state.groups.items()],
        "unread": state.unread,
        "ended": state.ended_well,
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
        with suppress(OSError):
            files.remove(new)
        raise
    return file


def _entry(log_id: bytes, content: dict[str, Any]) -> bytes:
    meta = json.dumps(content, separators=(",", ":")).encode()
    return frame_record(log_id, Head(0, Kind.ENTRY), meta, b"")


def runs(sequences: list[int]) -> list[list[int]]:
    """Runs of following numbers as [first, last], in the order in which they come."""
    breaks = [i for i, (a, b) in enumerate(pairwise(sequences), 1) if b != a + 1]
    return [[sequences[i], sequences[j - 1]] for i, j in pairwise([0, *breaks, len(sequences)])] if sequences else []


def _spread(ranges: list[list[int]]) -> Iterator[int]:
    for first, last in ranges:
        yield from range(first, last + 1)
