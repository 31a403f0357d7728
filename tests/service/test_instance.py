"""Who runs on a data directory."""

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from airis.config import Sources
from airis.service.instance import Claim, InUse, running

HOLD = """
import sys
import threading
from pathlib import Path
from airis.config import Sources
from airis.service.instance import Claim
sources = Sources(("nowhere.yaml",), ("a=b",))
Claim(Path(sys.argv[1])).announce(7, sources, {"OTLP gRPC": "127.0.0.1:4317"}, "127.0.0.1:8888")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_running_instance_is_found_by_its_directory(holder, tmp_path: Path) -> None:
    found = running(tmp_path)

    assert found is not None
    assert (found.pid, found.started_unix_s) == (holder.pid, 7)
    assert found.sources() == Sources(("nowhere.yaml",), ("a=b",))
    assert found.endpoints == {"OTLP gRPC": "127.0.0.1:4317"}


def test_a_directory_has_one_instance_and_says_which(holder, tmp_path: Path) -> None:
    with pytest.raises(InUse, match=f"process id {holder.pid}"):
        Claim(tmp_path)


def test_after_a_kill_nothing_runs_and_the_directory_is_free(holder, tmp_path: Path) -> None:
    holder.kill()
    holder.wait()

    assert running(tmp_path) is None
    claim = Claim(tmp_path)
    claim.announce(8, Sources(), {}, "")
    assert running(tmp_path) is not None
    claim.release()
    assert running(tmp_path) is None


def test_a_directory_that_never_had_an_instance_has_none(tmp_path: Path) -> None:
    assert running(tmp_path) is None
    assert running(tmp_path / "nowhere") is None


def test_a_command_that_looks_meanwhile_does_not_keep_an_instance_from_its_directory(tmp_path: Path) -> None:
    Claim(tmp_path).release()
    look = os.open(tmp_path / "instance.lock", os.O_RDONLY)
    fcntl.flock(look, fcntl.LOCK_SH)
    threading.Timer(0.03, os.close, [look]).start()

    Claim(tmp_path).release()
