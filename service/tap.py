"""What passes through a running instance, for somebody who looks: batches are noted as they are and told as they are.

The data waits for nobody: what a tap has no room for is counted in place of being kept. To read, choose and show items
is for whoever asked, in a process of their own; here a batch costs a look at its size, and bytes that are written on.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import orjson

from airis.config.decode import nearest
from airis.data import Batch, Signal
from airis.service.port import Port

MOST_TAPS = 8
"""At a time."""
MOST_BYTES = 8 * 1024 * 1024
"""Of payloads that a tap keeps until they are read; a larger batch is kept where it is the only one."""
MOST_BATCHES = 4096
PIECE_BYTES = 256 * 1024
"""Of what is written at once, unless a single batch is larger."""
REST_S = 0.05
"""Between two looks at what was kept: many small batches cost one writing."""
SHUTTING_DOWN = "airis is shutting down"
"""Why all taps end at last."""
HEARTBEAT_S = 10.0
"""After so long without data a sign of life is told."""

Places = Mapping[str, Sequence[Port]]
"""Where data passes, by what a person calls it: ``pipelines::traces``, ``processors::batch of traces``."""


class TooManyTaps(Exception):
    """There are as many as there may be."""


class NotOne(Exception):
    """A name stands for no place, or for several ones."""

    def __init__(self, message: str, choices: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.choices = list(choices)
        """Names that would be right."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a tap is to see."""

    place: str
    signal: Signal | None = None
    """None for all of them."""
    share: float = 1.0
    """The chance of each item to be shown: a batch of which none will be is left out, the others are told whole."""
    items: int | None = None
    """So many are enough: with the batch that reaches this number the tap ends."""
    output: bool = False
    """What the component hands on, in place of what it takes."""


class Tap:
    """Watches ports. Safe to be ended more than once."""

    def __init__(self, wanted: Wanted, chance: Callable[[], float], heartbeat_s: float) -> None:
        self.wanted = wanted
        self.ports: frozenset[Port] = frozenset()
        self.missed_batches = 0
        self.missed_items = 0
        self.ended = ""
        """Why there is nothing more to come."""
        self.told_pieces = 0
        """How often somebody took what there was to tell."""
        self._chance = chance
        self._heartbeat_s = heartbeat_s
        self._kept: deque[Batch] = deque()
        self._kept_bytes = 0
        self._seen_items = 0
        self._wake = asyncio.Event()

    def see(self, batch: Batch) -> None:
        """Keep the batch, or count that it was missed."""
        wanted = self.wanted
        if wanted.signal is not None and batch.signal is not wanted.signal:
            return
        if wanted.share < 1 and self._chance() < (1 - wanted.share) ** batch.items:
            return
        if self._kept and (self._kept_bytes + batch.size_bytes > MOST_BYTES or len(self._kept) >= MOST_BATCHES):
            self.missed_batches += 1
            self.missed_items += batch.items
            return
        self._kept.append(batch)
        self._kept_bytes += batch.size_bytes
        self._wake.set()
        self._seen_items += batch.items
        if wanted.items is not None and self._seen_items >= wanted.items:
            self.end("limit")

    def watch(self, ports: frozenset[Port]) -> None:
        """Look at these ports and at no others."""
        for port in self.ports - ports:
            port.watchers = tuple(watcher for watcher in port.watchers if watcher is not self)
        for port in ports - self.ports:
            port.watchers = (*port.watchers, self)
        self.ports = ports

    def end(self, reason: str) -> None:
        """Look no more; what was kept is told, then the reason."""
        self.watch(frozenset())
        self.ended = self.ended or reason
        self._wake.set()

    async def frames(self) -> AsyncIterator[bytes]:
        """All there is to tell until the end, in pieces.

        A frame is a JSON object on a line; behind one with ``size_bytes`` come so many bytes, an OTLP request of its
        ``signal``. Others say what is watched, how much was missed so far, and why it ends; ``{}`` is a sign of life.
        """
        yield _frame(watching=self.wanted.place)
        told_missed = 0
        while True:
            try:
                async with asyncio.timeout(self._heartbeat_s):
                    await self._wake.wait()
            except TimeoutError:
                yield _frame()
            self._wake.clear()
            while True:
                if told_missed != self.missed_batches:
                    told_missed = self.missed_batches
                    yield _frame(missed_batches=self.missed_batches, missed_items=self.missed_items)
                if not self._kept:
                    break
                yield self._piece()
                self.told_pieces += 1
            if self.ended:
                yield _frame(ended=self.ended)
                return
            await asyncio.sleep(REST_S)

    def _piece(self) -> bytes:
        """The oldest batches that fit in one writing."""
        parts: list[bytes] = []
        size = 0
        while self._kept and (not parts or size + self._kept[0].size_bytes <= PIECE_BYTES):
            batch = self._kept.popleft()
            self._kept_bytes -= batch.size_bytes
            size += batch.size_bytes
            parts += [_header(batch), batch.payload]
        return b"".join(parts)


class Taps:
    """All taps of an instance."""

    def __init__(self, places: Callable[[bool], Places]) -> None:
        """`places` gives where data passes at this moment: into components, or with True out of them."""
        self._places = places
        self._taps: set[Tap] = set()

    def __iter__(self) -> Iterator[Tap]:
        return iter(list(self._taps))

    @contextmanager
    def open(
        self, wanted: Wanted, chance: Callable[[], float] = random.random, heartbeat_s: float = HEARTBEAT_S
    ) -> Generator[Tap]:
        """A tap on a place that there is, until the end of the block. Raises TooManyTaps."""
        if len(self._taps) >= MOST_TAPS:
            raise TooManyTaps(f"{MOST_TAPS} taps are open, and there may be no more; end one of them")
        tap = Tap(wanted, chance, heartbeat_s)
        self._taps.add(tap)
        try:
            tap.watch(frozenset(self._places(wanted.output)[wanted.place]))
            yield tap
        finally:
            self._taps.discard(tap)
            tap.end("closed")

    def follow(self, final: bool) -> None:
        """Look at what now stands in the places; where a change is `final`, a place that is gone ends its taps."""
        for tap in list(self._taps):
            if tap.ended:
                continue
            places = self._places(tap.wanted.output)
            tap.watch(frozenset(places.get(tap.wanted.place, ())))
            if final and tap.wanted.place not in places:
                tap.end(f"{tap.wanted.place} is no longer there" if places else SHUTTING_DOWN)


def find(name: str, signal: Signal | None, places: Mapping[str, Sequence[Signal]]) -> str:
    """The one place that a person means; `places` has the signals that pass each. Raises NotOne."""
    named = [name] if name in places else [place for place in places if name in _spellings(place)]
    fitting = [place for place in named if signal is None or signal in places[place]]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise NotOne(f'"{name}" is in several places', sorted(fitting))
    if named:
        raise NotOne(f"{' and '.join(sorted(named))} {'carries' if len(named) == 1 else 'carry'} no {signal}")
    near = nearest(name, {spelling for place in places for spelling in _spellings(place)})
    if near:
        raise NotOne(f'there is no "{name}"; did you mean "{near}"?')
    raise NotOne(f'there is no "{name}"', sorted(places))


def _spellings(place: str) -> set[str]:
    """What a person may call a place: with and without its section, with and without its pipeline."""
    whole = {place, place.partition("::")[2]}
    return whole | {spelling.partition(" of ")[0] for spelling in whole}


def _header(batch: Batch) -> bytes:
    return _frame(
        signal=batch.signal,
        items=batch.items,
        size_bytes=batch.size_bytes,
        receiver=batch.origin.receiver,
        arrived_unix_nano=batch.arrived_unix_nano,
    )


def _frame(**told: object) -> bytes:
    return orjson.dumps(told) + b"\n"
