"""All subscribers of a log: those whose files are there, those whose files are missed, new ones, forgotten ones."""

from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from airis.storage.wal import journal as journals
from airis.storage.wal import roster
from airis.storage.wal.format import NotOurs, SegmentHeader
from airis.storage.wal.journal import Journal, State
from airis.storage.wal.opening import Headers
from airis.storage.wal.roster import Holder
from airis.storage.wal.segment import Lane
from airis.storage.wal.subscriber import Subscriber

if TYPE_CHECKING:
    from airis.storage.wal.log import Log

log = structlog.get_logger("airis.wal")

MAX_SLOTS = 64


class Subscribers:
    """By name, and which slot is whose."""

    def __init__(self, of: "Log") -> None:
        """Nothing is read before `resume`."""
        self._log = of
        self.by_name: dict[str, Subscriber] = {}
        self._holders: dict[Lane, Holder] = {}

    # At the start

    def resume(self, headers: Headers) -> None:
        """Go on with those that have a file, and with those whose file is gone; raises WrongVersion, OSError."""
        try:
            self._holders = roster.read(self._log.files, self._log.log_id)
        except NotOurs:
            self._log.quarantine.keep_file(roster.NAME)
        for name, header in headers.items():
            if name.endswith(journals.SUFFIX):
                self._resume(name, header)
        self._miss()
        self._write_roster_if_it_differs()

    def open(self) -> None:
        """Let all count what they are owed."""
        for subscriber in self.by_name.values():
            subscriber.open()

    def _resume(self, name: str, header: SegmentHeader | OSError | None) -> None:
        files, log_id = self._log.files, self._log.log_id
        if isinstance(header, OSError):
            raise header
        try:
            if header is None or header.log_id != log_id:
                raise NotOurs("it is of another log" if header else "its header is damaged")
            journal = Journal.open(files, log_id, name, self._log.reserve)
        except NotOurs as error:
            self._log.quarantine.keep_file(name)
            about = journals.parse_name(name)
            if about is None:
                return
            log.error("a subscriber's file is damaged; it is given all there is again", file=name, error=str(error))
            signal, slot, subscriber = about
            self._again(subscriber, Lane(signal, slot))
        else:
            self.by_name[journal.state.name] = Subscriber(self._log, journal)

    def _again(self, name: str, lane: Lane) -> None:
        """Rather twice than never."""
        state = State(name, *lane, next=0)
        journal = Journal.create(self._log.files, self._log.log_id, state, self._log.reserve)
        self.by_name[name] = Subscriber(self._log, journal)

    def _miss(self) -> None:
        """Give those whose file is gone what the segments have for them; count what is nobody's."""
        there = {subscriber.lane for subscriber in self.by_name.values()}
        owed = self._lanes()
        # Nobody knows for whom there is something in what cannot be read.
        is_unknown = any(s.is_aside and not s.is_complete for s in self._log.segments.values())
        for lane, holder in list(self._holders.items()):
            may_be_owed = lane in owed or is_unknown
            if lane in there or (holder.is_forgotten and may_be_owed):
                continue
            if holder.is_forgotten or holder.name in self.by_name or not may_be_owed:
                del self._holders[lane]  # a slot that is free, or was never used
                continue
            log.error("a subscriber's file is gone; it is given all there is again", subscriber=holder.name)
            self._again(holder.name, lane)
        for lane in owed - there - self._holders.keys():
            items = sum(s.amounts[lane].items for s in self._log.segments.values() if lane in s.amounts)
            self._log.dropped[f"signal {lane.signal}, slot {lane.slot}", "unknown"] += items
            log.error("the log has data for a subscriber that it does not know", **lane._asdict(), items=items)

    def _lanes(self) -> set[Lane]:
        return {lane for segment in self._log.segments.values() for lane in segment.amounts}

    def _write_roster_if_it_differs(self) -> None:
        before = dict(self._holders)
        for subscriber in self.by_name.values():
            self._holders[subscriber.lane] = Holder(subscriber.state.name)
        if before != self._holders or (self._holders and roster.NAME not in self._log.files.names()):
            with suppress(OSError):  # a full disk: it is written at the next start
                self._write_roster()

    def _write_roster(self) -> None:
        roster.write(self._log.files, self._log.log_id, self._holders)

    # Later

    def get(self, name: str, signal: int) -> Subscriber:
        """The subscriber with this name, or a new one; raises ValueError where there cannot be one, OSError."""
        known = self.by_name.get(name)
        if known is not None:
            return known
        journals.check_name(name)
        # A slot of one that is gone is not used again while its records are there: they are not for this one.
        used = {lane.slot for lane in {*self._lanes(), *self._holders} if lane.signal == signal}
        free = next((slot for slot in range(MAX_SLOTS) if slot not in used), None)
        if free is None:
            raise ValueError(
                f'there is no place for "{name}": a log has {MAX_SLOTS} subscribers of a signal at most, those that '
                'are not configured any more included; give up what they are owed with "airis wal forget", or name '
                "another storage"
            )
        lane = Lane(signal, free)
        self._holders[lane] = Holder(name)
        try:
            self._write_roster()
            state = State(name, signal, free, self._log.next_sequence)
            journal = Journal.create(self._log.files, self._log.log_id, state, self._log.reserve)
        except OSError:
            del self._holders[lane]
            raise
        subscriber = self.by_name[name] = Subscriber(self._log, journal)
        subscriber.open()
        return subscriber

    def forget(self, name: str) -> int:
        """Drop one, and give the items that it was owed; raises KeyError, OSError."""
        subscriber = self.by_name[name]
        items = subscriber.owed.items
        self._holders[subscriber.lane] = Holder(name, is_forgotten=True)
        self._write_roster()  # before the file goes, or it would be missed
        del self.by_name[name]
        subscriber.close()
        with suppress(FileNotFoundError):
            self._log.files.remove(subscriber.journal.file_name)
        self._log.files.sync()
        self._log.dropped[name, "forgotten"] += items
        log.warning("a subscriber was forgotten", subscriber=name, items=items)
        return items
