"""What is in the directory of a log at the start: segments that are whole, ones that a crash cut short, and others."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

import structlog

from airis.component import failpoints
from airis.storage.wal import format as layout
from airis.storage.wal import journal as journals
from airis.storage.wal import roster
from airis.storage.wal import segment as segments
from airis.storage.wal.files import Files
from airis.storage.wal.format import NotOurs, SegmentHeader, WrongVersion
from airis.storage.wal.quarantine import Quarantine
from airis.storage.wal.segment import Scanned, Segment, Suspect, Writer

log = structlog.get_logger("airis.wal")

Headers = Mapping[str, SegmentHeader | OSError | None]
"""Of all files of the log by their name: None for one that is damaged, an OSError where the disk does not give it."""


def headers_of(files: Files) -> Headers:
    """The headers of all files; raises WrongVersion."""
    found: dict[str, SegmentHeader | OSError | None] = {}
    for name in files.names():
        if name.endswith((segments.SUFFIX, journals.SUFFIX, roster.SUFFIX)):
            try:
                found[name] = SegmentHeader.unpack(files.read(name, 0, layout.SEGMENT_HEADER_BYTES))
            except WrongVersion as error:
                raise WrongVersion(f"{name}: {error}") from error
            except NotOurs:
                found[name] = None
            except OSError as error:
                found[name] = error
    return found


def log_id_of(headers: Headers) -> bytes | None:
    """The id that most of the files have; None where none has one. Raises OSError where none can be read."""
    ids = Counter(header.log_id for header in headers.values() if isinstance(header, SegmentHeader))
    if not ids:
        for header in headers.values():
            if isinstance(header, OSError):
                raise header
    return ids.most_common(1)[0][0] if ids else None


class Opening:
    """Takes the segments of a directory over, and completes what a crash left without an end."""

    def __init__(self, files: Files, log_id: bytes, quarantine: Quarantine, scan: Callable[[Segment], Scanned]) -> None:
        """`scan` reads a segment whole and keeps what is damaged in it."""
        self._files = files
        self._log_id = log_id
        self._quarantine = quarantine
        self._scan = scan

    def segments(self, headers: Headers) -> Iterator[Segment]:
        """Those that have something in them, oldest first. Raises OSError."""
        found = [
            segment
            for name, header in headers.items()
            if name.endswith(segments.SUFFIX) and (segment := self._adopted(name, header)) is not None
        ]
        for place, segment in enumerate(found):
            if segment.failures and not segment.has_records:
                # It cannot be read: it may hold all that fits into it, or before the next one.
                most = segment.first + segment.size // layout.HEAD_BYTES
                segment.last = found[place + 1].first - 1 if place + 1 < len(found) else most
            yield segment

    def _adopted(self, name: str, header: SegmentHeader | OSError | None) -> Segment | None:
        first = header.first_sequence if isinstance(header, SegmentHeader) else segments.first_of(name)
        size = self._files.size(name)
        is_foreign = isinstance(header, SegmentHeader) and header.log_id != self._log_id
        if first is None or size <= layout.SEGMENT_HEADER_BYTES or is_foreign:
            if size > layout.SEGMENT_HEADER_BYTES:
                self._quarantine.keep_file(name)
            else:
                self._files.remove(name)  # begun, and nothing written
            return None
        segment = Segment(name, first, first - 1, size=size)
        try:
            self._learn(segment, header)
        except OSError as error:
            segment.failures = segments.READ_TRIES
            segment.last = first - 1
            log.error("a segment cannot be read; it is kept, and tried again", segment=name, error=str(error))
        return segment

    def _learn(self, segment: Segment, header: SegmentHeader | OSError | None) -> None:
        if isinstance(header, OSError):
            raise header
        summary = segments.end_of(self._files, self._log_id, segment.name) if header else None
        if summary is not None:
            with suppress(ValueError, KeyError, TypeError):
                segment.take_summary(summary)
                segment.is_complete = True
        if not segment.is_complete:
            self._complete(segment)

    def _complete(self, segment: Segment) -> None:
        failpoints.passed("wal.complete")
        scanned = self._scan(segment)
        try:
            if scanned.torn_from is not None:
                self._quarantine.keep(segment.name, scanned.torn_from, segment.size, "torn")
            file = self._files.reopen(segment.name)
            try:
                if scanned.torn_from is not None:
                    file.truncate(scanned.torn_from)
                Writer(self._files, self._log_id, segment, file).complete()
            finally:
                file.close()
        except (OSError, Suspect) as error:  # a full disk: it is read again next time
            log.warning("a segment could not be completed", segment=segment.name, error=str(error))
