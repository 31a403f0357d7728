"""What memory there is and what is used of it, as the system tells."""

import mmap
from pathlib import Path

import pytest

from airis.component.memory import free_memory, read_resident_bytes, read_total_bytes

MIB = 1024 * 1024


@pytest.mark.parametrize("proc", ["/proc", "/nowhere"], ids=["statm", "ps"])
def test_reads_what_this_process_has_resident(proc: str) -> None:
    before = read_resident_bytes(Path(proc))
    with mmap.mmap(-1, 64 * MIB) as held:  # of the system's, not of what an allocator keeps
        held.write(b"x" * len(held))
        grown = read_resident_bytes(Path(proc)) - before

    assert 60 * MIB < grown < 200 * MIB


def test_freeing_memory_gives_it_back_to_the_system() -> None:
    held = [bytes(1000) for _ in range(60_000)]
    before = read_resident_bytes()
    held.clear()

    free_memory()

    assert read_resident_bytes() < before


@pytest.mark.parametrize(
    ("membership", "files", "expected_mib"),
    [
        ("0::/\n", {"memory.max": "104857600\n"}, 100),
        ("0::/a/b\n", {"memory.max": "max\n", "a/memory.max": "104857600\n", "a/b/memory.max": "max\n"}, 100),
        ("4:cpu:/x\n3:memory:/x\n", {"memory/memory.limit_in_bytes": "104857600\n"}, 100),
        ("3:memory:/x\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ("0::/\n", {}, None),
        (None, {}, None),
    ],
    ids=["v2", "v2, of an ancestor", "v1", "v1 without a limit", "v2 without a limit", "no control groups"],
)
def test_the_total_is_the_least_limit_on_the_way_up(
    tmp_path: Path, membership: str | None, files: dict[str, str], expected_mib: int | None
) -> None:
    for name, text in files.items():
        file = tmp_path / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    if membership is not None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(membership)

    total = read_total_bytes(tmp_path)

    assert total == (expected_mib * MIB if expected_mib else read_total_bytes(tmp_path / "nowhere"))
