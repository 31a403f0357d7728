"""What was decided on traces, for spans of them that come late."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from airis.processors.tail_sampling.deciding import Verdict
from airis.processors.tail_sampling.options import DecisionCacheConfig


@dataclass(frozen=True, slots=True, eq=False)
class Remembered:
    """A verdict and when it was reached; traces that were decided on together share it."""

    verdict: Verdict
    at: float
    is_cached: bool
    """It is in a cache that was asked for."""


class _Cache:
    """The verdicts that were used last."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._known: OrderedDict[bytes, Remembered] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: bytes) -> Remembered | None:
        """What is known; it is then the last that goes."""
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
        return known

    def put(self, decided: Iterable[tuple[bytes, Remembered]]) -> None:
        """Keep what was decided on traces, and let go what was not used for longest."""
        self._known.update(decided)
        self.shrink()

    def shrink(self) -> None:
        """Keep no more than there is room for."""
        while len(self._known) > self.size:
            self._known.popitem(last=False)


class Memory:
    """The caches, and the decisions on the last traces where there is none for them."""

    def __init__(self, config: DecisionCacheConfig, num_traces: int) -> None:
        self._caches = {True: _Cache(config.sampled_cache_size), False: _Cache(config.non_sampled_cache_size)}
        self._recent = _Cache(num_traces)
        self._used = [cache for cache in (*self._caches.values(), self._recent) if cache.size]

    def __len__(self) -> int:
        return sum(map(len, self._used))

    def get(self, key: bytes) -> Remembered | None:
        """What was decided on a trace; None where that is not known, or not known any more."""
        for cache in self._used:
            known = cache.get(key)
            if known is not None:
                return known
        return None

    def put(self, keys: Sequence[bytes], verdicts: Sequence[Verdict], at: float) -> None:
        """Remember what was decided on traces."""
        noted = {verdict: Remembered(verdict, at, self._caches[verdict.is_kept].size > 0) for verdict in set(verdicts)}
        if not any(cache.size for cache in self._caches.values()):
            self._recent.put(zip(keys, map(noted.__getitem__, verdicts), strict=True))
            return
        by_cache: dict[_Cache, list[tuple[bytes, Remembered]]] = {}
        for key, verdict in zip(keys, verdicts, strict=True):
            remembered = noted[verdict]
            cache = self._caches[verdict.is_kept] if remembered.is_cached else self._recent
            by_cache.setdefault(cache, []).append((key, remembered))
        for cache, decided in by_cache.items():
            cache.put(decided)

    def leave_room(self, held: int, num_traces: int) -> None:
        """Traces that are held take the room of those that were decided on."""
        self._recent.size = max(num_traces - held, 0)
        self._recent.shrink()
