"""A span's trace state (W3C Trace Context, 3.3) with OpenTelemetry's own member of it, `ot`."""

import re

DIGITS = 14
"""Hexadecimal digits of 56 bits."""
MAX_BYTES = 1024
MAX_MEMBERS = 32
MAX_VALUE_BYTES = 256

_PLAIN = "[a-z0-9_*/-]"
_MEMBER = re.compile(
    rf"(?:[a-z]{_PLAIN}{{0,255}}|[a-z0-9]{_PLAIN}{{0,240}}@[a-z]{_PLAIN}{{0,13}})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_FIELD = re.compile("[a-z][a-z0-9]*:[A-Za-z0-9._-]*")
_THRESHOLD = re.compile("[0-9A-Fa-f]{1,14}")
_RANDOMNESS = re.compile("[0-9A-Fa-f]{14}")


class InvalidTraceState(ValueError):
    """Text that is no trace state, no threshold or no randomness."""


class TraceState:
    """A parsed trace state; raises InvalidTraceState."""

    def __init__(self, text: str) -> None:
        members = [member for each in text.split(",") if (member := each.strip(" \t"))]
        if len(text.encode()) > MAX_BYTES or len(members) > MAX_MEMBERS:
            raise InvalidTraceState("too long")
        if not all(map(_MEMBER.fullmatch, members)):
            raise InvalidTraceState("no members of a trace state")
        self.fields: dict[str, str] = {}
        """Of the `ot` member: `rv`, `th`, and what else there is."""
        self.others: list[tuple[str, str]] = []
        """Fields that are neither of these two; one of a name may come twice."""
        self.members = [member for member in members if not member.startswith("ot=")]
        # Of several the last counts, but all must be well-formed.
        for member in members:
            if member.startswith("ot="):
                self._read(member[3:])
        self.randomness = read_randomness(self.fields["rv"]) if "rv" in self.fields else None
        self.threshold = read_threshold(self.fields["th"]) if "th" in self.fields else None

    def _read(self, value: str) -> None:
        self.fields, self.others = {}, []
        for field in value.split(";"):
            if not _FIELD.fullmatch(field):
                raise InvalidTraceState("no field of OpenTelemetry's member")
            name, _, content = field.partition(":")
            if name in ("rv", "th"):
                (read_randomness if name == "rv" else read_threshold)(content)
                self.fields[name] = content
            else:
                self.others.append((name, content))

    def text(self) -> str | None:
        """The trace state with OpenTelemetry's member first, None where there is no room for it."""
        known = [(name, self.fields[name]) for name in ("rv", "th") if name in self.fields]
        value = ";".join(f"{name}:{content}" for name, content in (*known, *self.others))
        text = ",".join([f"ot={value}", *self.members])
        is_long = len(value) > MAX_VALUE_BYTES or len(self.members) >= MAX_MEMBERS or len(text) > MAX_BYTES
        return None if is_long else text


def read_threshold(text: str) -> int:
    """A threshold: 1 to 14 hexadecimal digits, with zeros behind them."""
    if not _THRESHOLD.fullmatch(text):
        raise InvalidTraceState("no threshold")
    return int(text.ljust(DIGITS, "0"), 16)


def read_randomness(text: str) -> int:
    """Randomness: 14 hexadecimal digits."""
    if not _RANDOMNESS.fullmatch(text):
        raise InvalidTraceState("no randomness")
    return int(text, 16)
