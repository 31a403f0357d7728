"""What a query's failure says of itself: its kind, a readable message, the place in the text."""

import re
from dataclasses import dataclass

from airis.storage import StoreError

_TYPE = re.compile(r"\s*\(([A-Z][A-Z0-9_]+)\)\s*$")
_POSITION = re.compile(r"failed at position (\d+)")
_EXPECTED = re.compile(r"\.?\s*Expected one of: (.*)$", re.DOTALL)
_MOST_EXPECTED = 8
"""A longer list of what might stand at a place tells nobody anything."""


@dataclass(frozen=True, slots=True)
class QueryFailure:
    """Why the store did not answer a query."""

    code: int | None
    """ClickHouse's exception code; None when there was no answer."""
    type: str
    """Its name, such as UNKNOWN_IDENTIFIER; STORE_UNAVAILABLE when there was no answer."""
    message: str
    offset: int | None
    """Index of the character in the query where reading it failed; the query's length stands for its end."""

    @property
    def brief(self) -> str:
        """The message without a long list of what might have stood there."""
        expected = _EXPECTED.search(self.message)
        if expected is None or expected[1].count(",") < _MOST_EXPECTED:
            return self.message
        return self.message[: expected.start()]


def failure(error: StoreError, query: str) -> QueryFailure:
    """What the error says about the query as it was sent."""
    named = _TYPE.search(error.reason)
    message = error.reason[: named.start()] if named else error.reason
    kind = named[1] if named else "UNKNOWN" if error.code is not None else "STORE_UNAVAILABLE"
    place = _POSITION.search(message)
    offset = None
    if place:  # counted from 1, in bytes
        offset = len(query.encode()[: int(place[1]) - 1].decode(errors="ignore"))
    return QueryFailure(error.code, kind, message.strip(" ."), offset)


def pointed(query: str, offset: int) -> list[str]:
    """The line of the query that has the character, and a line with a caret below it."""
    before = query[:offset]
    start = before.rfind("\n") + 1
    line = query[start:].partition("\n")[0]
    gap = "".join(c if c == "\t" else " " for c in query[start:offset])
    return [line, f"{gap}^"]
