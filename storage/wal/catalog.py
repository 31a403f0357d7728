"""A log as it lies in its directory, read and never changed, also while another process writes to it."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from airis.storage.wal import format as layout
from airis.storage.wal import journal as journals
from airis.storage.wal import roster
from airis.storage.wal import segment as segments
from airis.storage.wal.dead import SUFFIX as DEAD_SUFFIX
from airis.storage.wal.dead import DeadLetters
from airis.storage.wal.files import Files
from airis.storage.wal.format import Found, NotOurs, SegmentHeader, WrongVersion
from airis.storage.wal.journal import State
from airis.storage.wal.opening import headers_of, log_id_of
from airis.storage.wal.quarantine import QUARANTINE
from airis.storage.wal.records import read as read_records
from airis.storage.wal.roster import Holder
from airis.storage.wal.segment import Amount, Entry, Lane, Segment

DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Damage:
    """A place that cannot be read."""

    file: str
    """In the directory of the log."""
    offset: int
    size_bytes: int
    what: str


@dataclass(slots=True)
class Listed:
    """A segment, and what of it is owed."""

    segment: Segment
    owed: dict[str, Amount] = field(default_factory=dict[str, Amount])
    """By subscriber."""
    trouble: str = ""
    """Why nothing more is known of it."""


@dataclass(slots=True)
class Backlog:
    """What a subscriber is owed."""

    name: str
    lane: Lane
    owed: Amount = field(default_factory=Amount)
    oldest_unix_nano: int = 0
    """When the oldest of it arrived, or what stands in a file with it; 0 where nothing is owed."""
    under_way: int = 0
    """Batches that were taken and are not settled."""
    trouble: str = ""


class Catalog:
    """See the module."""

    def __init__(self, files: Files, *, is_written_to: bool = False) -> None:
        """`is_written_to`: the end of the newest file may just come into being.

        Raises WrongVersion, NotOurs for a directory without a log, OSError.
        """
        self._files = files
        self._is_written_to = is_written_to
        self._headers = headers_of(files)
        log_id = log_id_of(self._headers)
        if log_id is None and not any(name.endswith(segments.SUFFIX) for name in self._headers):
            raise NotOurs("there is no log in it")
        self.log_id = log_id or b""
        self.holders: dict[Lane, Holder] = {}
        with suppress(NotOurs):
            self.holders = roster.read(files, self.log_id)
        self.states: dict[Lane, State] = {}
        self._troubles: dict[Lane, tuple[str, str]] = {}
        self._read_states()

    def _read_states(self) -> None:
        for name in self._headers:
            about = journals.parse_name(name)
            if about is None:
                continue
            lane = Lane(about[0], about[1])
            try:
                self.states[lane] = journals.read_state(self._files, self.log_id, name)
            except FileNotFoundError:  # forgotten just now
                continue
            except (NotOurs, OSError) as error:
                # It would be given all again.
                self.states[lane] = State(about[2], *lane, next=0)
                self._troubles[lane] = (name, str(error))
        for lane, holder in self.holders.items():
            if lane not in self.states and not holder.is_forgotten:
                self.states[lane] = State(holder.name, *lane, next=0)
                self._troubles[lane] = (holder.name, "its file is gone")

    def name_of(self, lane: Lane) -> str:
        """Whose slot it is."""
        state = self.states.get(lane)
        if state is not None:
            return state.name
        holder = self.holders.get(lane)
        return f"{holder.name} (forgotten)" if holder else f"slot {lane.slot}"

    # Segments and what is owed of them

    def segments(self) -> Iterator[Listed]:
        """All segments, oldest first; what is not known from its end is read."""
        for name in self._names():
            first = segments.first_of(name) or 0
            listed = Listed(Segment(name, first, first - 1))
            try:
                listed.segment.size = self._files.size(name)
                self._learn(listed)
            except FileNotFoundError:  # delivered just now
                continue
            except OSError as error:
                listed.trouble = f"it cannot be read: {error.strerror}"
            if listed.segment.has_records or listed.trouble:
                yield listed

    def _names(self) -> list[str]:
        return sorted(name for name in self._headers if name.endswith(segments.SUFFIX))

    def _learn(self, listed: Listed) -> None:
        segment = listed.segment
        summary = segments.end_of(self._files, self.log_id, segment.name)
        if summary is not None:
            with suppress(ValueError, KeyError, TypeError):
                segment.take_summary(summary)
                segment.is_complete = True
        states = self.states.values()
        partly = [s for s in states if s.next <= segment.last and segment.first <= s.highest]
        partly += [s for s in states if any(segment.first <= n <= segment.last for n in s.outstanding)]
        if not segment.is_complete or not segment.totals or partly:
            self._scan(listed)
            return
        for lane, amount in segment.amounts.items():
            state = self.states.get(lane)
            if state is not None and segment.first >= state.next:
                listed.owed[state.name] = amount

    def _scan(self, listed: Listed) -> None:
        scanned = segments.scan(self._files, self.log_id, listed.segment.name)
        if not listed.segment.is_complete or not listed.segment.totals:
            listed.segment.count_anew(scanned.entries)
        for entry in scanned.entries:
            for state in self._owing(entry):
                listed.owed.setdefault(state.name, Amount()).add(entry.head.items, entry.size_bytes)

    def _owing(self, entry: Entry) -> Iterator[State]:
        for lane in segments.lanes_of(entry.head):
            state = self.states.get(lane)
            if state is not None and state.owes(entry.head.sequence):
                yield state

    def backlogs(self, listed: Iterable[Listed]) -> list[Backlog]:
        """What each subscriber is owed of these segments."""
        found: dict[str, Backlog] = {}
        for lane, state in sorted(self.states.items()):
            under_way = sum(len(group.sequences) for group in state.groups.values())
            trouble = self._troubles.get(lane, ("", ""))[1]
            found[state.name] = Backlog(state.name, lane, under_way=under_way, trouble=trouble)
        for each in listed:
            for name, amount in each.owed.items():
                backlog = found[name]
                backlog.owed.add(amount.items, amount.size_bytes, amount.batches)
                backlog.oldest_unix_nano = backlog.oldest_unix_nano or each.segment.oldest_unix_nano
        return list(found.values())

    # Records

    def entries(self, first: int = 0, last: int | None = None) -> Iterator[Entry]:
        """The records with these sequences, in order; raises OSError for a file that cannot be read."""
        names = self._names()
        for place, name in enumerate(names):
            following = segments.first_of(names[place + 1]) if place + 1 < len(names) else None
            begin = segments.first_of(name) or 0
            if (following is not None and following <= first) or (last is not None and begin > last):
                continue
            try:
                scanned = segments.scan(self._files, self.log_id, name)
            except FileNotFoundError:
                continue
            for entry in scanned.entries:
                if entry.head.sequence >= first and (last is None or entry.head.sequence <= last):
                    yield entry

    def owing(self, entry: Entry) -> list[str]:
        """Who is still to have a record."""
        return [state.name for state in self._owing(entry)]

    def payload(self, entry: Entry) -> bytes | None:
        """What is in a record; None where it is damaged. Raises OSError."""
        data = self._files.read(entry.segment, entry.offset, entry.size_bytes) if entry.is_whole else b""
        found = next(read_records(self.log_id, data), None)
        return found.payload if found is not None and found.is_whole else None

    # Damage

    def damage(self) -> Iterator[Damage]:
        """All that cannot be read, file by file."""
        for name, header in self._headers.items():
            yield from self._damage_in(self._files, name, header, name == max(self._names(), default=""))
        letters = self._files.inside(DEAD)
        for name in self.letter_names():
            for each in self._damage_in(letters, name, _header_in(letters, name), is_newest=False):
                yield replace(each, file=f"{DEAD}/{each.file}")

    def _damage_in(
        self, files: Files, name: str, header: SegmentHeader | OSError | None, is_newest: bool
    ) -> Iterator[Damage]:
        try:
            if isinstance(header, OSError):
                raise header
            data = files.read(name)
        except FileNotFoundError:
            return
        except OSError as error:
            yield Damage(name, 0, 0, f"it cannot be read: {error.strerror}")
            return
        if header is None:
            yield Damage(name, 0, min(len(data), layout.SEGMENT_HEADER_BYTES), "the header of the file is damaged")
        elif self.log_id and header.log_id != self.log_id and files is self._files:
            yield Damage(name, 16, 16, "it is of another log")
            return
        log_id = header.log_id if header else self.log_id
        found = list(read_records(log_id, data, layout.SEGMENT_HEADER_BYTES, payloads=False))
        may_grow = self._is_written_to and (is_newest or name.endswith(journals.SUFFIX))
        for place, each in enumerate(found):
            is_last = place == len(found) - 1
            if not each.is_whole and not (is_last and may_grow):
                yield Damage(name, each.offset, each.end - each.offset, _words(each, data, is_last))

    def checked(self) -> int:
        """How many files `damage` looks at."""
        return len(self._headers) + len(self.letter_names())

    # Beside the log

    def letters(self) -> DeadLetters:
        """The dead letters; they are read and not changed."""
        return DeadLetters(self._files.inside(DEAD), self.log_id, lambda: 0)

    def letter_names(self) -> list[str]:
        """The files of the dead letters, oldest first."""
        return [name for name in self._in(DEAD) if name.endswith(DEAD_SUFFIX)]

    def copy(self, name: str) -> bytes:
        """What stands in a copy of what was damaged; raises OSError."""
        return self._files.inside(QUARANTINE).read(name)

    def quarantined(self) -> dict[str, int]:
        """The copies of what was damaged, and their sizes."""
        folder = self._files.inside(QUARANTINE)
        return {name: folder.size(name) for name in self._in(QUARANTINE)}

    def _in(self, folder: str) -> list[str]:
        try:
            return self._files.inside(folder).names()
        except FileNotFoundError:
            return []


def _header_in(files: Files, name: str) -> SegmentHeader | OSError | None:
    try:
        return SegmentHeader.unpack(files.read(name, 0, layout.SEGMENT_HEADER_BYTES))
    except OSError as error:
        return error
    except (NotOurs, WrongVersion):
        return None


def _words(found: Found, data: bytes, is_last: bool) -> str:
    if found.head is not None:
        return f"the content of record {found.head.sequence} is damaged"
    if not any(data[found.offset : found.end]):
        return "nothing but zeros"
    return "an end that was not wholly written" if is_last else "no record"
