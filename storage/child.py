"""The store process: the lock on its directory, the engine, the listeners, and an end that comes with its parent's.

What its parent relies on:

- it is started with a pipe as stdin, and ends at once when that pipe ends, however the parent ended;
- SIGTERM lets running queries end for some seconds and closes the engine; SIGINT, which a terminal sends to the whole
  group, is the parent's to decide;
- stdout has one line: ``ready {"pid": …, "listen": …, "version": …}``, or ``failed {"option": …, "reason": …}`` before
  exit code 1, or 3 if another process has the directory. stderr is for people.
"""

import asyncio
import contextlib
import fcntl
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import orjson

from airis.component.errors import StartError
from airis.component.http import HttpServer, HttpServerConfig
from airis.component.listen import parse_endpoint
from airis.component.loop import loop_factory
from airis.component.telemetry import Telemetry
from airis.storage.engine import Engine, EngineError
from airis.storage.options import StoreOptions
from airis.storage.server import ClickHouseHttp

DRAIN_S = 3.0
"""How long running queries may take once the process is told to end."""
CLOSE_S = 20.0
"""How long the engine may take to close; it loses nothing when it is cut off."""
MAX_BODY_BYTES = 256 * 1024 * 1024

EXIT_FAILED = 1
EXIT_LOCKED = 3
_LOCK_POLL_S = 0.05


class Locked(StartError):
    """Another process has the directory."""


def main(options: StoreOptions) -> NoReturn:
    """Serve until told to end, and end: an engine that failed to open leaves threads that Python would wait for."""
    code = run(options)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run(options: StoreOptions) -> int:
    """Serve until told to end; the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_stdin()
    with contextlib.suppress(ImportError):
        importlib.import_module("airis._core")  # tunes the allocator, which halves the cost of taking a large block
    os.umask(0o077)
    try:
        lock = lock_directory(options.data_dir, options.lock_wait_s)
        try:
            engine = _open(options)
            try:
                with asyncio.Runner(loop_factory=loop_factory()) as runner:
                    runner.run(_serve(options, engine))
            finally:
                _close(engine)
        finally:
            os.close(lock)
    except StartError as error:
        _tell("failed", {"option": error.option, "reason": error.reason})
        print(f"airis store: {error.reason}", file=sys.stderr)
        return EXIT_LOCKED if isinstance(error, Locked) else EXIT_FAILED
    return 0


def _end_with_stdin() -> None:
    """End at once when the parent has; a thread, because the loop may be waiting for the engine.

    prctl's PR_SET_PDEATHSIG would also fire when no more than the thread ends that started this process.
    """

    def watch() -> NoReturn:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        os._exit(0)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _tell(word: str, facts: dict[str, object]) -> None:
    print(word, orjson.dumps(facts).decode(), flush=True)


def lock_directory(directory: Path, wait_s: float) -> int:
    """The descriptor of the locked file; the lock ends with the process, also after kill -9. Raises StartError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(f"{directory}: {error.strerror}", "data_dir") from error
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                owner = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
                os.close(lock)
                raise Locked(f"{directory} is in use by process {owner}", "data_dir") from None
            time.sleep(_LOCK_POLL_S)
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    except OSError as error:  # a full disk
        os.close(lock)
        raise StartError(f"{directory}: {error.strerror}", "data_dir") from error
    return lock


def _open(options: StoreOptions) -> Engine:
    if "?" in str(options.data_dir):
        raise StartError(f"{options.data_dir}: the engine cannot use a directory with ? in its name", "data_dir")
    engine = Engine(options.data_dir, options.readers)
    try:
        engine.open()
    except EngineError as error:
        # chDB says no more than that it failed; the engine itself writes the reason to stderr.
        reason = f"{options.data_dir}: the engine cannot open the directory; its message on stderr says why"
        raise StartError(reason, "data_dir") from error
    except (ImportError, OSError) as error:
        raise StartError(f"{options.data_dir}: {error}", "data_dir") from error
    return engine


async def _serve(options: StoreOptions, engine: Engine) -> None:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    telemetry = Telemetry("extension", "store")
    servers: list[HttpServer] = []
    try:
        for option, server in _servers(options, engine, telemetry):
            try:
                await server.start()
            except StartError as error:
                error.option = option
                raise
            servers.append(server)
        os.chmod(options.socket, 0o600)
        listen = servers[1].address if options.listen else None
        _tell("ready", {"pid": os.getpid(), "listen": listen, "version": engine.version})
        await told.wait()
    finally:
        await asyncio.gather(*(server.shutdown(DRAIN_S) for server in servers))


def _servers(options: StoreOptions, engine: Engine, telemetry: Telemetry) -> list[tuple[str, HttpServer]]:
    """The listeners, each with the option that says where it listens."""

    def server(endpoint: str, *, unix: bool, allow_writes: bool, host: str | None) -> HttpServer:
        options_of_http = {
            "endpoint": endpoint,
            "transport": "unix" if unix else "tcp",
            "max_request_body_size": MAX_BODY_BYTES,
            "read_timeout": "5m",
        }
        config = HttpServerConfig.model_validate(options_of_http)
        app = ClickHouseHttp(engine, config, options.limits, allow_writes=allow_writes, browser_host=host)
        return HttpServer(app, config, telemetry)

    listeners = [("data_dir", server(str(options.socket), unix=True, allow_writes=True, host=None))]
    if options.listen:
        try:
            host = parse_endpoint(options.listen)[0]
        except ValueError as error:
            raise StartError(str(error), "listen") from error
        listeners.append(("listen", server(options.listen, unix=False, allow_writes=options.allow_writes, host=host)))
    return listeners


def _close(engine: Engine) -> None:
    """Close the engine; a query that does not end does not hold up the process."""
    closing = _in_thread(engine.close)
    closing.join(CLOSE_S)
    if closing.is_alive():
        print("airis store: the engine did not close in time; ended without", file=sys.stderr)
        sys.stderr.flush()
        os._exit(0)


def _in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
