"""A shorthand for the log formats that write a dash, or a number below 0, where there is nothing."""

import re
from collections.abc import Iterable

_ABSENT = re.compile(r"%\{(-1?)([A-Z][^}]*)\}")


def dashed(pattern: str) -> str:
    """A pattern in which ``%{-INT:name}`` is an INT or a dash that is not kept, and ``%{-1INT:name}`` one or a -1."""
    return _ABSENT.sub(r"(?:\1|%{\2})", pattern)


def columns(specifications: str | Iterable[str], separator: str) -> str:
    """A pattern of columns, each as it stands between ``%{`` and ``}``, in the notation of `dashed`."""
    parts = specifications.split() if isinstance(specifications, str) else specifications
    return dashed(separator.join(f"%{{{part}}}" for part in parts))
