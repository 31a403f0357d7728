"""``airis services``: who sends what."""

import time
from typing import TYPE_CHECKING

from airis.service.commands.options import ConfigOption, DataDirOption
from airis.service.render.rows import Format, FormatOption, chosen, say, write_rows
from airis.service.render.time import LastOption, ago, iso, since_nano

if TYPE_CHECKING:
    from airis.storage import Store
    from airis.storage.reader import Service

_FIELDS = ("service", "spans", "errors", "log_records", "series", "last_seen")
_COLUMNS = ("service", "spans", "errors", "log records", "series", "last seen")


def services(
    last: LastOption = "24h", form: FormatOption = None, config: ConfigOption = None, data_dir: DataDirOption = None
) -> None:
    """List the services that sent something, and how much."""
    from airis.service.access import run_reading

    wanted = chosen(form)
    since = since_nano(last)

    async def find(store: "Store") -> "list[Service]":
        from airis.storage import reader

        return await reader.services(store, since=since)

    found = run_reading(find, config, data_dir)
    if not found:
        say(f"Nothing arrived in the last {last}; look further back with --last 30d, or ask: airis status")
    if wanted == Format.TABLE:
        if found:
            now = time.time()
            write_rows([_table_row(service, now) for service in found], wanted, _COLUMNS)
    else:
        write_rows([_row(service) for service in found], wanted, _FIELDS)


def _row(service: "Service") -> dict[str, object]:
    return {
        "service": service.name,
        "spans": service.spans,
        "errors": service.errors,
        "log_records": service.log_records,
        "series": service.series,
        "last_seen": iso(service.last_unix_nano),
    }


def _table_row(service: "Service", now: float) -> dict[str, object]:
    return {
        "service": service.name or "(no name)",
        "spans": service.spans or None,
        "errors": f"{service.errors / service.spans:.1%}" if service.errors else "",
        "log records": service.log_records or None,
        "series": service.series or None,
        "last seen": ago(now - service.last_unix_nano / 1e9),
    }
