"""Words of others, such as a server's error message, made fit to stand in a message of ours."""

MAX_CHARS = 300


def quoted(words: str | bytes, max_chars: int = MAX_CHARS) -> str:
    """The words on one line: control characters as escapes, cut off with ``…`` where they are too many."""
    text = words[: 4 * max_chars].decode("utf-8", "replace") if isinstance(words, bytes) else words
    head = text[: max_chars + 1].strip()
    shown = head if head.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in head)
    return shown if len(shown) <= max_chars else f"{shown[: max_chars - 1]}…"
