"""Which items are shown: those that meet ``--where status=error``, and of them a sample."""

import math
import random
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from signal import ITIMER_REAL, SIGALRM, setitimer
from signal import signal as set_handler
from types import FrameType
from typing import Any, Literal, cast

from airis.data import Signal, kernels
from airis.service.render.items import items_of, kind_name, severity_name, status_name, text_of


def _nothing(_metric: Any, _item: Any) -> str:
    return ""


_IDS: Mapping[str, Callable[[Any, Any], str]] = {
    "trace_id": lambda _, item: item.trace_id.hex(),
    "span_id": lambda _, item: item.span_id.hex(),
}
_TEXTS: Mapping[Signal, Mapping[str, Callable[[Any, Any], str]]] = {
    Signal.TRACES: {
        "name": lambda _, span: span.name,
        "kind": lambda _, span: kind_name(span).lower(),
        "status": lambda _, span: status_name(span).lower(),
        **_IDS,
    },
    Signal.METRICS: {
        "name": lambda metric, _: metric.name,
        "kind": lambda metric, _: metric.WhichOneof("data"),
    },
    Signal.LOGS: {
        "name": lambda _, record: record.event_name,
        "severity": lambda _, record: severity_name(record).lower(),
        "body": lambda _, record: text_of(record.body),
        **_IDS,
    },
}
"""The text of a field, from a data point's metric and the item."""
FIELDS = frozenset(field for texts in _TEXTS.values() for field in texts)
_WORDS = ("kind", "status", "severity")
"""Fields of few values, which are compared in any case."""
MOST_PATTERN = 1000
"""Characters of a pattern."""
PATTERN_S = 2.0
"""What a pattern may take for one batch: there are some that never come to an end with what passes."""

Operator = Literal["=", "!=", "=~"]


class PatternTooSlow(Exception):
    """A pattern does not come to an end on what passes."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What the text of a field or an attribute must be; what is not there is an empty text."""

    key: str
    is_field: bool
    operator: Operator
    value: str

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read ``key=value``, ``key!=value`` or ``key=~pattern``; raises ValueError with what to write."""
        match = re.fullmatch(r"(\.?)(.+?)(!=|=~|=)(.*)", text, re.DOTALL)
        if match is None:
            raise ValueError(f'"{text}" is no condition; write key=value, key!=value or key=~pattern')
        dot, key, value = match[1], match[2], match[4]
        operator = cast("Operator", match[3])
        is_field = not dot and key in FIELDS
        if operator == "=~":
            if len(value) > MOST_PATTERN:
                raise ValueError(f"the pattern of {key} is longer than {MOST_PATTERN} characters")
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f'"{value}" is no pattern: {error}') from None
        elif is_field and key in _WORDS:
            value = value.lower()
        return cls(key, is_field, operator, value)

    def fits(self) -> Callable[[str], bool]:
        """Whether a text meets the condition."""
        if self.operator == "=~":
            search = re.compile(self.value).search
            return lambda text: search(text) is not None
        wanted = self.operator == "="
        return lambda text: (text == self.value) is wanted

    def column(self, signal: Signal, payload: bytes, message: Any) -> Sequence[str]:
        """The text of every item in order: an attribute is the item's own, else its scope's, else its resource's."""
        if self.is_field:
            text_of_item = _TEXTS[signal].get(self.key, _nothing)
            return [text_of_item(metric, item) for _, _, metric, item in items_of(signal, message)]
        view = kernels.scan(signal, payload)
        levels = [view.attribute(self.key, level) for level in ("item", "scope", "resource")]
        return [next((text for text in texts if text is not None), "") for texts in zip(*levels, strict=True)]


def fitting(conditions: Sequence[Condition], signal: Signal, payload: bytes, message: Any, items: set[int]) -> set[int]:
    """Those of the items, counted from 0, that meet all conditions. Raises PatternTooSlow and MalformedPayload."""
    for condition in conditions:
        if not items:
            break
        column = condition.column(signal, payload, message)
        fits = condition.fits()
        with _in_time(condition):
            items = {item for item in items if item < len(column) and fits(column[item])}
    return items


def sample(items: int, share: float, chance: Callable[[], float] = random.random) -> Iterator[int]:
    """Some of so many items, counted from 0: each with the same chance, and at least one.

    airis leaves out the batches of which none would be chosen, so that over all batches the chance is `share`.
    """
    if share >= 1:
        yield from range(items)
        return
    none_of_one = math.log1p(-share)
    at_least_one = -math.expm1(items * none_of_one)
    position = int(math.log1p(-chance() * at_least_one) / none_of_one)
    while position < items:
        yield position
        position += 1 + int(math.log1p(-chance()) / none_of_one)


@contextmanager
def _in_time(condition: Condition) -> Generator[None]:
    """Raise PatternTooSlow when the block takes too long: matching looks for signals, in the main thread."""
    if condition.operator != "=~":
        yield
        return

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise PatternTooSlow(f'the pattern "{condition.value}" takes too long on what passes; write a simpler one')

    before = set_handler(SIGALRM, give_up)
    setitimer(ITIMER_REAL, PATTERN_S)
    try:
        yield
    finally:
        setitimer(ITIMER_REAL, 0)
        set_handler(SIGALRM, before)
