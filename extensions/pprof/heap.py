"""What holds memory, by the place that asked for it: traced by Python only while somebody wants to know."""

import tracemalloc

MOST_FRAMES = 100
MOST_PLACES = 1000


def start_tracing(frames: int) -> None:
    """Trace every allocation of Python from now on, with so many calls of its stack."""
    tracemalloc.start(frames)


def stop_tracing() -> None:
    """Trace no more, and forget what was traced."""
    tracemalloc.stop()


def is_tracing() -> bool:
    """Whether allocations are traced."""
    return tracemalloc.is_tracing()


def report(most: int) -> str:
    """The places that hold most, innermost call first. Takes a while and much memory itself; not for the loop."""
    held, peak = tracemalloc.get_traced_memory()
    snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, tracemalloc.__file__)])
    lines = [
        f"{held:,} bytes allocated by Python since the start of tracing are still held; the most were {peak:,}.",
        f"Tracing itself takes {tracemalloc.get_tracemalloc_memory():,}. Memory of native code is not in it.",
    ]
    for statistic in snapshot.statistics("traceback")[:most]:
        lines += ["", f"{statistic.size:,} bytes in {statistic.count} blocks"]
        lines += [f"    {frame.filename}:{frame.lineno}" for frame in reversed(statistic.traceback)]
    return "\n".join(lines) + "\n"
