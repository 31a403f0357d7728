"""The life of the store process: its lock, its start, and the three ways it ends."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airis.storage.child import DRAIN_S, Locked, lock_directory

from .store_process import COMMAND, Start, starting
from .test_server import ENDLESS, wait_until_running


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts store processes in the test's directory."""
    with starting(tmp_path) as start:
        yield start


def free(data_dir: Path) -> bool:
    """Whether nobody holds the lock."""
    try:
        os.close(lock_directory(data_dir, 0))
    except Locked:
        return False
    return True


def test_says_when_it_serves_and_where(start: Start) -> None:
    store = start("--listen", "127.0.0.1:0")

    word, facts = store.report()

    assert word == "ready"
    assert facts["pid"] == store.process.pid
    assert facts["listen"].startswith("127.0.0.1:")
    assert facts["version"].encode() + b"\n" == store.get("SELECT version()").body
    assert stat.S_IMODE(store.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.data_dir.stat().st_mode) == 0o700


def test_ends_in_order_on_sigterm_and_starts_again_with_its_data(start: Start) -> None:
    store = start()
    assert store.report() == ("ready", {"pid": store.process.pid, "listen": None, "version": store.facts["version"]})
    store.post("CREATE TABLE default.t (a UInt8) ENGINE = MergeTree ORDER BY a")
    store.post("INSERT INTO default.t VALUES (1), (2)")

    store.process.terminate()

    assert store.process.wait(10) == 0
    assert not store.socket.exists()
    assert free(store.data_dir)
    again = start()
    again.report()
    assert again.get("SELECT count() FROM default.t").body == b"2\n"


def test_sigterm_waits_only_so_long_for_a_query(start: Start) -> None:
    store = start()
    store.report()
    connection = store.connection()
    connection.request("POST", "/?max_execution_time=0", ENDLESS)
    wait_until_running(store, ENDLESS)

    store.process.terminate()

    assert store.process.wait(DRAIN_S + 5) == 0
    connection.close()


def test_answers_a_running_query_before_it_ends(start: Start) -> None:
    store = start()
    store.report()
    query = "SELECT sleep(0.5) + 1"
    connection = store.connection()
    connection.request("POST", "/", query)
    wait_until_running(store, query)

    store.process.terminate()

    assert connection.getresponse().read() == b"1\n"
    assert store.process.wait(10) == 0
    connection.close()


def test_leaves_sigint_to_its_parent(start: Start) -> None:
    store = start()
    store.report()

    store.process.send_signal(signal.SIGINT)

    assert store.get("SELECT 1").body == b"1\n"


def test_ends_with_the_pipe_of_its_parent_whatever_it_does(start: Start) -> None:
    store = start()
    store.report()
    connection = store.connection()
    connection.request("POST", "/?max_execution_time=0", ENDLESS)
    wait_until_running(store, ENDLESS)

    assert store.process.stdin
    store.process.stdin.close()

    assert store.process.wait(2) == 0
    assert free(store.data_dir)
    connection.close()


PARENT = """
import subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print(child.stdout.readline().decode(), end="", flush=True)
sys.stdin.read()
"""


def test_ends_with_a_parent_that_is_killed(tmp_path: Path, start: Start) -> None:
    command = [*COMMAND, "--data-dir", str(tmp_path / "data"), "--socket", str(tmp_path / "store.sock")]
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout
        assert parent.stdout.readline().startswith(b"ready ")

        parent.kill()

    store = start()  # meets a locked directory, at most for a moment
    assert store.report()[0] == "ready"
    store.process.terminate()
    assert store.process.wait(10) == 0


def test_survives_kill_with_what_it_acknowledged(start: Start) -> None:
    store = start()
    store.report()
    store.post("CREATE TABLE default.t (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS fsync_after_insert = 1")
    store.post("INSERT INTO default.t SELECT number FROM numbers(1000)")

    store.process.kill()
    store.process.wait(10)

    again = start()
    again.report()
    assert again.get("SELECT count() FROM default.t").body == b"1000\n"


def test_waits_for_its_predecessor(start: Start, tmp_path: Path) -> None:
    lock = lock_directory(tmp_path / "data", 0)
    store = start()
    with pytest.raises(subprocess.TimeoutExpired):
        store.process.wait(0.3)

    os.close(lock)

    assert store.report()[0] == "ready"


def test_names_the_process_that_has_the_directory(tmp_path: Path) -> None:
    lock = lock_directory(tmp_path / "data", 0)

    with pytest.raises(Locked, match=f"is in use by process {os.getpid()}") as locked:
        lock_directory(tmp_path / "data", 0.1)

    assert locked.value.option == "data_dir"
    os.close(lock)


def test_exits_with_3_where_the_directory_stays_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from airis.storage import child

    lock = lock_directory(tmp_path, 0)
    monkeypatch.setattr(child, "_end_with_stdin", lambda: None)
    umask, handler = os.umask(0), signal.getsignal(signal.SIGINT)

    code = child.run(child.StoreOptions(tmp_path, tmp_path / "s", lock_wait_s=0))

    os.umask(umask)
    signal.signal(signal.SIGINT, handler)
    os.close(lock)
    said = capfd.readouterr()
    assert code == 3
    assert said.out.startswith('failed {"option":"data_dir","reason":')
    assert said.err == f"airis store: {tmp_path} is in use by process {os.getpid()}\n"


def test_explains_why_it_does_not_start(start: Start, tmp_path: Path) -> None:
    def failure(*options: str) -> tuple[str, str]:
        store = start(*options)
        word, facts = store.report()
        assert (word, store.process.wait(10)) == ("failed", 1)
        assert store.process.stderr
        assert store.process.stderr.read().decode().endswith(f"airis store: {facts['reason']}\n")
        return facts["option"], facts["reason"]

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        option, reason = failure("--listen", f"127.0.0.1:{port}")
    assert (option, "the port is taken" in reason) == ("listen", True)
    assert failure("--listen", "nonsense")[0] == "listen"

    (tmp_path / "data" / "status").unlink(missing_ok=True)
    (tmp_path / "data" / "status").mkdir()
    option, reason = failure()
    assert (option, "the engine cannot open" in reason) == ("data_dir", True)

    (tmp_path / "data").rename(tmp_path / "elsewhere")
    (tmp_path / "data").write_text("no directory")
    assert failure() == ("data_dir", f"{tmp_path}/data: File exists")
