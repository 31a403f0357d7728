"""A directory that loses power, is full, or cannot be read: what was not synced may be gone, in part, or garbled."""

import errno
import random
from collections.abc import Sequence


class Node:
    """A file's bytes, and those that would survive."""

    def __init__(self) -> None:
        self.data = b""
        self.durable = b""


class SimulatedFile:
    """A file that is open in one life of the process."""

    def __init__(self, disk: "SimulatedFiles", node: Node) -> None:
        self._disk = disk
        self._node = node

    @property
    def size(self) -> int:
        return len(self._node.data)

    def append(self, parts: Sequence[bytes]) -> None:
        whole = b"".join(parts)
        fits = self._disk.room()
        if self._disk.fails("append"):
            fits = min(fits, self._disk.random.randint(0, len(whole)))
        elif len(whole) <= fits:
            fits = len(whole) + 1
        self._node.data += whole[: int(min(fits, len(whole)))]
        if fits <= len(whole):
            raise OSError(errno.ENOSPC, "no space left on device")

    def sync(self) -> None:
        if self._disk.fails("sync"):
            # What could not be written may be thrown away, and the next sync would know nothing of it.
            raise OSError(errno.EIO, "input/output error")
        self._node.durable = self._node.data

    def truncate(self, size: int) -> None:
        if self._disk.fails("truncate"):
            raise OSError(errno.EIO, "input/output error")
        self._node.data = self._node.data[:size]

    def close(self) -> None:
        pass


class SimulatedFiles:
    """The directory, over all lives of the process."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.current: dict[str, Node] = {}
        self.durable: dict[str, Node] = {}
        self.folders: dict[str, SimulatedFiles] = {}
        self.failing: list[str] = []
        """What is to fail next, once each: append, sync, truncate, create, remove, read."""
        self.unreadable: set[str] = set()
        """Files that cannot be read."""
        self.capacity: int | None = None
        """Bytes of all files that there is room for, those in folders included; None for no limit."""
        self.disk = self
        """The directory that this one is a folder of."""

    def used(self) -> int:
        """Bytes of all files."""
        return sum(len(n.data) for n in self.current.values()) + sum(f.used() for f in self.folders.values())

    def room(self) -> float:
        """Bytes that can be written."""
        limit = self.disk.capacity
        return float("inf") if limit is None else max(0, limit - self.disk.used())

    def fails(self, what: str) -> bool:
        if what in self.failing:
            self.failing.remove(what)
            return True
        return False

    def names(self) -> list[str]:
        return sorted(self.current)

    def size(self, name: str) -> int:
        return len(self._node(name).data)

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        data = self._node(name).data
        if name in self.unreadable or self.fails("read"):
            raise OSError(errno.EIO, "input/output error")
        return data[offset:] if size < 0 else data[offset : offset + size]

    def create(self, name: str) -> SimulatedFile:
        if name in self.current:
            raise FileExistsError(name)
        if self.fails("create") or not self.room():
            raise OSError(errno.ENOSPC, "no space left on device")
        self.current[name] = Node()
        return SimulatedFile(self, self.current[name])

    def reopen(self, name: str) -> SimulatedFile:
        return SimulatedFile(self, self._node(name))

    def replace(self, old: str, new: str) -> None:
        self.current[new] = self.current.pop(old)

    def remove(self, name: str) -> None:
        self._node(name)
        if self.fails("remove"):
            raise OSError(errno.EIO, "input/output error")
        del self.current[name]

    def sync(self) -> None:
        self.durable = dict(self.current)
        for node in self.current.values():
            if not node.durable and not node.data:
                node.durable = b""

    def inside(self, folder: str) -> "SimulatedFiles":
        if folder not in self.folders:
            self.folders[folder] = SimulatedFiles(self.random.getrandbits(32))
            self.folders[folder].disk = self.disk
        return self.folders[folder]

    def _node(self, name: str) -> Node:
        if name not in self.current:
            raise FileNotFoundError(name)
        return self.current[name]

    def lose_power(self) -> None:
        """Begin again with what survived."""
        after: dict[str, Node] = {}
        for name in {*self.current, *self.durable}:
            old, new = self.durable.get(name), self.current.get(name)
            chosen = new if old is new or self.random.random() < 0.5 else old
            if chosen is not None:
                after[name] = node = Node()
                node.data = node.durable = self._survivor(chosen)
        self.current = after
        self.durable = dict(after)
        self.failing.clear()
        self.capacity = None if self.capacity is None else max(self.capacity, self.used())
        for folder in self.folders.values():
            folder.lose_power()

    def _survivor(self, node: Node) -> bytes:
        if not node.data.startswith(node.durable):
            return self.random.choice([node.data, node.durable])
        lost = node.data[len(node.durable) :]
        rest = bytearray(lost[: self.random.randint(0, len(lost))])
        if rest and self.random.random() < 0.3:
            rest[self.random.randrange(len(rest))] ^= 1 << self.random.randrange(8)
        if rest and self.random.random() < 0.3:
            start = self.random.randrange(len(rest))
            rest[start:] = bytes(len(rest) - start)
        return node.durable + bytes(rest)
