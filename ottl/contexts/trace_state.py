"""One entry of a trace state (W3C Trace Context, section 3.3)."""

from airis.ottl.contexts.here import Here
from airis.ottl.contexts.places import Key, Where
from airis.ottl.values import EvaluationError, Value, type_name

MOST_ENTRIES = 32


class TraceStateEntry:
    """What a trace state says under a key."""

    def __init__(self, where: Where, key: Key) -> None:
        self._where = where
        self._key = key

    def get(self, here: Here) -> Value:
        """What is there; empty for a key that is absent."""
        key = self._name(here)
        entries = _entries(self._where(here).trace_state)
        return next((value for name, value in entries if name == key), "")

    def set(self, here: Here, value: Value) -> None:
        """Write, in front; raises EvaluationError for what is no string."""
        if not isinstance(value, str):
            raise EvaluationError(f"an entry of the trace state is a string, not {type_name(value)}")
        key = self._name(here)
        message = self._where(here)
        others = [(name, text) for name, text in _entries(message.trace_state) if name != key]
        message.trace_state = ",".join(f"{name}={text}" for name, text in [(key, value), *others][:MOST_ENTRIES])

    def _name(self, here: Here) -> str:
        key = self._key(here)
        if not isinstance(key, str):
            raise EvaluationError(f"the keys of a trace state are strings, not {type_name(key)}")
        return key


def _entries(text: str) -> list[tuple[str, str]]:
    pairs = (entry.strip().partition("=") for entry in text.split(","))
    return [(name, value) for name, equals, value in pairs if equals]
