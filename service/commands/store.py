"""``airis store``: the process of the embedded store, which airis starts for itself."""

from pathlib import Path
from typing import Annotated

import typer


def store(
    data_dir: Annotated[Path, typer.Option("--data-dir", help="The directory of the store alone.")],
    socket: Annotated[Path, typer.Option("--socket", help="The unix socket to serve on.")],
    listen: Annotated[str, typer.Option("--listen", help="host:port to serve on as well.")] = "",
    allow_writes: Annotated[bool, typer.Option("--allow-writes", help="Let clients of --listen write.")] = False,
    readers: Annotated[int, typer.Option("--readers", min=1, help="Queries at a time.")] = 4,
    max_query_seconds: Annotated[float, typer.Option("--max-query-seconds", min=0.001, help="Time of a query.")] = 30,
    max_query_memory_bytes: Annotated[
        int, typer.Option("--max-query-memory-bytes", min=1, help="Memory of a query.")
    ] = 1024**3,
    max_result_rows: Annotated[
        int, typer.Option("--max-result-rows", min=1, help="Rows that a query may give.")
    ] = 1_000_000,
    lock_wait_seconds: Annotated[
        float, typer.Option("--lock-wait-seconds", min=0, help="How long to wait for another process to leave.")
    ] = 10.0,
) -> None:
    """Serve the embedded store until stdin ends or SIGTERM comes. Exit codes: 1 no start, 3 directory in use."""
    from airis.config.model import LogsTelemetryConfig
    from airis.service.logs import configure_logs
    from airis.storage.child import main
    from airis.storage.guard import Limits
    from airis.storage.options import StoreOptions

    configure_logs(LogsTelemetryConfig())
    limits = Limits(max_query_seconds, max_query_memory_bytes, max_result_rows)
    main(StoreOptions(data_dir.absolute(), socket.absolute(), listen, allow_writes, readers, limits, lock_wait_seconds))
