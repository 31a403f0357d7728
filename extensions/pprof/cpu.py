"""A sampling CPU profile of the process's Python stacks, taken by a thread of its own.

A hundred times a second the stack of every thread is noted. Linux says how much CPU time a thread has used, in
nanoseconds, and whether it waits at this moment: what it has used since it was last seen at work goes to the stack that
it is next seen at work with. So the sums are right, waiting is not in the profile, what is written in C counts for the
Python function that called it, and what the event loop itself takes for the functions that it calls.
"""

import platform
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType

from airis.extensions.pprof.stacks import frames_of, place

INTERVAL_S = 0.01
SWITCH_S = 0.00002
"""How long a thread may keep the interpreter from the sampler. With Python's 5 ms short work would never be seen at
work: the sampler would come to look only when the loop waits, and blame the waiting."""
MOST_STACKS = 100_000
"""Different stacks that are kept apart; the time of others is told as one."""

_WAITERS = ("threading.py", "queue.py", "concurrent/futures/thread.py", "selectors.py", "asyncio/runners.py")
"""Modules whose functions do nothing but wait, where a stack ends in them. With uvloop the last is the loop, which lets
the sampler look whenever it is about to call a function: its own work would seem to be most of all."""
_LOCKS_AND_LOOPS: Mapping[str, frozenset[int]] = {"x86_64": frozenset((202, 232, 281)), "aarch64": frozenset((98, 22))}
"""The system calls futex, epoll_wait and epoll_pwait by machine: code at work is in the first when it has to let the
sampler have the interpreter, and may be in the others already when it is looked whether it waits."""

Stack = tuple[tuple[CodeType, int], ...]
"""Code and line, innermost first."""
Key = tuple[str, Stack]
"""The thread's name, and where it was."""


@dataclass(slots=True)
class Sampled:
    """How often a stack was seen, and how much CPU time it used."""

    samples: int = 0
    cpu_ns: int = 0


@dataclass(slots=True)
class Profile:
    """What was sampled."""

    started_unix_ns: int
    duration_ns: int = 0
    of_wall_time: bool = False
    """Whether the system does not say how much CPU time a thread used, so that waiting counts as well."""
    stacks: dict[Key, Sampled] = field(default_factory=dict[Key, Sampled])
    other: Sampled = field(default_factory=Sampled)
    """Stacks beyond the number that is kept."""
    without_python_ns: int = 0
    """CPU time of native threads that run no Python."""

    def collapsed(self) -> str:
        """One line a stack, outermost first, and its CPU time in microseconds, as flame graph tools read it."""
        sums: dict[str, int] = {}
        for (thread, stack), sampled in self.stacks.items():
            frames = (place(code) for code, _ in reversed(stack))
            line = ";".join(_plain(part) for part in (thread, *frames))
            sums[line] = sums.get(line, 0) + sampled.cpu_ns
        lines = [f"{line} {cpu_ns // 1000}" for line, cpu_ns in sorted(sums.items(), key=lambda pair: -pair[1])]
        if self.other.cpu_ns:
            lines.append(f"(other stacks) {self.other.cpu_ns // 1000}")
        if self.without_python_ns:
            lines.append(f"(threads without Python) {self.without_python_ns // 1000}")
        return "".join(f"{line}\n" for line in lines)


class CpuSampler:
    """Samples from `start` to `stop`."""

    def __init__(
        self,
        interval_s: float = INTERVAL_S,
        most_stacks: int = MOST_STACKS,
        process_time_ns: Callable[[], int] = time.process_time_ns,
        proc: Path = Path("/proc/self"),
    ) -> None:
        self.interval_s = interval_s
        self._most_stacks = most_stacks
        self._process_time_ns = process_time_ns
        self._tasks = proc / "task"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pprof sampler", daemon=True)
        self._profile = Profile(0)
        self._used_ns: dict[int, int] = {}
        """CPU time of each thread at the last look, by its native id."""
        self._owed_ns: dict[int, int] = {}
        """What each has used since it was last seen at work."""
        self._names: dict[int, str] = {}
        self._switch_s = 0.0
        self._python_ns = 0
        self._process_started_ns = 0

    def start(self) -> None:
        """Begin."""
        self._profile.started_unix_ns = time.time_ns()
        self._profile.of_wall_time = self._cpu_ns(threading.get_native_id()) is None
        self._process_started_ns = self._process_time_ns()
        self._switch_s = sys.getswitchinterval()
        sys.setswitchinterval(min(SWITCH_S, self._switch_s))
        self._thread.start()

    def stop(self) -> Profile:
        """End, and give what was sampled."""
        self._stopping.set()
        self._thread.join()
        sys.setswitchinterval(self._switch_s)
        profile = self._profile
        profile.duration_ns = time.time_ns() - profile.started_unix_ns
        if not profile.of_wall_time:
            used = self._process_time_ns() - self._process_started_ns
            profile.without_python_ns = max(used - self._python_ns, 0)
        return profile

    def _run(self) -> None:
        own = threading.get_ident()
        for native_id in self._stacks(own):  # what was used before does not count
            self._used_ns[native_id] = self._cpu_ns(native_id) or 0
        while not self._stopping.wait(self.interval_s):
            for native_id, (name, stack) in self._stacks(own).items():
                self._look(native_id, name, stack)
        for native_id, owed_ns in self._owed_ns.items():
            self._note(self._names[native_id], (), owed_ns)
        self._python_ns += time.thread_time_ns()  # this thread's, which is in no stack

    def _stacks(self, own: int) -> dict[int, tuple[str, Stack]]:
        """Name and stack of every other thread by its native id, without letting any of them go on meanwhile."""
        found: dict[int, tuple[str, Stack]] = {}
        threads = {thread.ident: thread for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():  # pyright: ignore[reportPrivateUsage]
            thread = threads.get(ident)
            if ident != own and thread is not None and thread.native_id is not None:
                stack = tuple((frame.f_code, line) for frame, line in frames_of(frame))
                found[thread.native_id] = (thread.name, stack)
        return found

    def _look(self, native_id: int, name: str, stack: Stack) -> None:
        if self._profile.of_wall_time:
            self._note(name, stack, round(self.interval_s * 1e9))
            return
        now = self._cpu_ns(native_id)
        if now is None:  # it has just ended
            return
        owed = self._owed_ns.get(native_id, 0) + now - self._used_ns.get(native_id, 0)
        self._used_ns[native_id] = now
        self._names[native_id] = name
        if owed and not self._waits(native_id, stack):
            self._note(name, stack, owed)
            owed = 0
        self._owed_ns[native_id] = owed

    def _waits(self, native_id: int, stack: Stack) -> bool:
        file = stack[0][0].co_filename if stack else ""
        if file.endswith(_WAITERS):
            return True
        call = self._call(native_id)
        return call is not None and call not in _LOCKS_AND_LOOPS.get(platform.machine(), ())

    def _call(self, native_id: int) -> int | None:
        """The system call that the thread is in; None if it is in none, or that is not known."""
        try:
            return int((self._tasks / str(native_id) / "syscall").read_bytes().split(maxsplit=1)[0])
        except (OSError, ValueError, IndexError):  # "running", among others
            return None

    def _cpu_ns(self, native_id: int) -> int | None:
        try:
            return int((self._tasks / str(native_id) / "schedstat").read_bytes().split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def _note(self, thread: str, stack: Stack, cpu_ns: int) -> None:
        if not cpu_ns:
            return
        self._python_ns += cpu_ns
        key = (thread, stack)
        sampled = self._profile.stacks.get(key)
        if sampled is None:
            if len(self._profile.stacks) >= self._most_stacks:
                sampled = self._profile.other
            else:
                sampled = self._profile.stacks[key] = Sampled()
        sampled.samples += 1
        sampled.cpu_ns += cpu_ns


def _plain(text: str) -> str:
    """A part of a collapsed stack, in which ``;`` and line ends mean something."""
    return "".join(c if c.isprintable() else " " for c in text).replace(";", ",")
