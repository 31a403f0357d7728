"""What every thread and every asyncio task does at this moment, as text."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import PurePath
from types import CodeType, FrameType
from typing import Any

MOST_FRAMES = 128
"""Frames of one stack that are looked at, from the innermost on."""


def dump() -> str:
    """All threads of the process and all tasks of the running loop, innermost call first."""
    known = {thread.ident: thread for thread in threading.enumerate()}
    frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]
    parts = [f"{len(frames)} threads"]
    for ident, frame in frames.items():
        thread = known.get(ident)
        name = f'thread "{thread.name}"' if thread else "thread that Python did not start"
        native = f" (native id {thread.native_id})" if thread else ""
        parts.append(_stack(f"{name}{native}", ((f.f_code, line) for f, line in frames_of(frame))))
    tasks = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    parts.append(f"Tasks: {len(tasks)}")
    for task in tasks:
        coroutine: Any = task.get_coro()
        title = f'task "{task.get_name()}" ({getattr(coroutine, "__qualname__", coroutine)})'
        parts.append(_stack(title, reversed(list(_awaited(coroutine)))))
    return "\n\n".join(parts) + "\n"


def frames_of(frame: FrameType | None) -> Iterator[tuple[FrameType, int]]:
    """The frames of a stack with their lines, innermost first."""
    left = MOST_FRAMES
    while frame is not None and left:
        yield frame, frame.f_lineno or 0
        frame = frame.f_back
        left -= 1


def place(code: CodeType) -> str:
    """A function and the end of its file's path: ``Graph.start (service/graph.py)``."""
    return f"{code.co_qualname} ({'/'.join(PurePath(code.co_filename).parts[-2:])})"


def _awaited(coroutine: Any) -> Iterator[tuple[CodeType, int]]:
    """A suspended coroutine and what it waits for, down to the innermost."""
    left = MOST_FRAMES
    while coroutine is not None and left:
        for prefix in ("cr", "gi", "ag"):
            frame = getattr(coroutine, f"{prefix}_frame", None)
            if frame is not None:
                yield frame.f_code, frame.f_lineno or 0
                break
        else:
            return
        coroutine = getattr(coroutine, f"{prefix}_{'yieldfrom' if prefix == 'gi' else 'await'}", None)
        left -= 1


def _stack(title: str, lines: Iterator[tuple[CodeType, int]]) -> str:
    return "\n".join([title, *(f"  {code.co_qualname}\n    {code.co_filename}:{line}" for code, line in lines)])
