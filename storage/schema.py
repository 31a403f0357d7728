"""The store's tables: numbered forward-only migrations, and the retention of each signal.

A migration is a file ``migrations/NNNN_name.sql``: statements that end in ``;`` at the end of a line and may be
run again. It may say ``$database``, ``$on_cluster``, ``$replicated`` (prefix of an engine) and ``$local`` (suffix of
the tables that hold the data). A statement that says ``$cluster`` is for clusters only. Columns: docs/storage.md.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any, Protocol

INSERT_SETTINGS: Mapping[str, str] = {
    # One block may fill in more than a year, day by day. Every day costs 4 to 10 ms, so that a sender of random times
    # must not be let on: its block fails with code 252 (TOO_MANY_PARTS), "Too many partitions".
    "max_partitions_per_insert_block": "400",
    "throw_on_max_partitions_per_insert_block": "1",
    # With Distributed tables an insert is acknowledged when the shards have it, not when it is queued for them.
    "distributed_foreground_insert": "1",
}
"""Settings that go with every insert of the writer."""

_DAY_S = 86_400
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_CLUSTER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}|\{cluster\}")
_MIGRATION_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_TTL = re.compile(r" TTL (.+?)(?: SETTINGS |$)")
_STATEMENT_END = re.compile(r";[ \t]*\n")


class SchemaTooNew(RuntimeError):
    """The store was migrated by a newer airis; nothing was changed."""


class SchemaClient(Protocol):
    """What migrating needs of a store client."""

    async def rows(self, sql: str, *, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The result's rows, by column name."""
        ...

    async def command(self, sql: str) -> object:
        """Run a statement that has no result."""
        ...


@dataclass(frozen=True, slots=True)
class Retention:
    """How long each signal is kept, in seconds; 0 keeps it for ever."""

    traces: float = 30 * _DAY_S
    logs: float = 30 * _DAY_S
    metrics: float = 30 * _DAY_S

    def __post_init__(self) -> None:
        """Refuse a negative time."""
        if min(self.traces, self.logs, self.metrics) < 0:
            raise ValueError("a retention cannot be negative; 0 keeps the data for ever")


@dataclass(frozen=True, slots=True)
class Schema:
    """Where the tables are and how long they keep their rows."""

    database: str = "airis"
    retention: Retention = field(default_factory=Retention)
    cluster: str | None = None
    """Name of a cluster of the server: data in ``*_local`` tables of its shards, Distributed tables over them."""
    replicated: bool = False
    """Use the Replicated engines; their paths and replica names are the server's defaults."""

    def __post_init__(self) -> None:
        """Refuse names that would need quoting: they become part of statements."""
        if not _IDENTIFIER.fullmatch(self.database):
            raise ValueError(
                f"{self.database!r} is no database name; write letters, digits and _, not starting with a digit"
            )
        if self.cluster is not None and not _CLUSTER.fullmatch(self.cluster):
            raise ValueError(f"{self.cluster!r} is no cluster name; write letters, digits, _, - and ., or {{cluster}}")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str
    text: str

    def statements(self, schema: Schema) -> Iterator[str]:
        """The statements for a schema, in order, without the final semicolon."""
        names = _names(schema)
        for statement in _STATEMENT_END.split(self.text):
            if statement.strip() and (schema.cluster is not None or "$cluster" not in statement):
                yield Template(statement).substitute(names).strip()


def _names(schema: Schema) -> dict[str, str]:
    clustered = schema.cluster is not None
    return {
        "database": schema.database,
        "local": "_local" if clustered else "",
        "on_cluster": f"ON CLUSTER '{schema.cluster}'" if clustered else "",
        "cluster": f"'{schema.cluster}'",
        "replicated": "Replicated" if schema.replicated else "",
    }


@cache
def migrations() -> Sequence[Migration]:
    """All migrations that this program knows, oldest first."""
    folder = files("airis.storage") / "migrations"
    named = [(file, match) for file in folder.iterdir() if (match := _MIGRATION_FILE.fullmatch(file.name))]
    known = [Migration(int(match[1]), match[2], file.read_text(encoding="utf-8")) for file, match in named]
    return tuple(sorted(known, key=lambda migration: migration.version))


# Version 0: what the record of the migrations itself needs.
_BOOTSTRAP = Migration(
    0,
    "bootstrap",
    """
CREATE DATABASE IF NOT EXISTS $database $on_cluster;
CREATE TABLE IF NOT EXISTS $database.schema_migrations$local $on_cluster
    (version UInt32, name String, applied_at DateTime DEFAULT now())
    ENGINE = ${replicated}MergeTree ORDER BY version;
CREATE TABLE IF NOT EXISTS $database.schema_migrations $on_cluster AS $database.schema_migrations_local
    ENGINE = Distributed($cluster, $database, schema_migrations_local, version);
""",
)


async def migrate(client: SchemaClient, schema: Schema) -> list[Migration]:
    """Bring the store to the newest schema and the wanted retention; hands back what was applied.

    Safe to break off and to run twice, also at the same time: every statement may be repeated, and a migration is
    recorded after its last one. Raises SchemaTooNew before anything is changed.
    """
    for statement in _BOOTSTRAP.statements(schema):
        await client.command(statement)
    rows = await client.rows(f"SELECT DISTINCT version FROM {schema.database}.schema_migrations")
    applied = {int(row["version"]) for row in rows}
    newest = migrations()[-1].version
    if max(applied, default=0) > newest:
        raise SchemaTooNew(
            f"database {schema.database!r} has schema {max(applied)}, this airis knows up to {newest}; "
            "run the newer airis that wrote it, or another database"
        )
    missing = [migration for migration in migrations() if migration.version not in applied]
    for migration in missing:
        for statement in migration.statements(schema):
            await client.command(statement)
        await client.command(
            f"INSERT INTO {schema.database}.schema_migrations (version, name)"
            f" VALUES ({migration.version}, '{migration.name}')"
        )
    await _retain(client, schema)
    return missing


async def _retain(client: SchemaClient, schema: Schema) -> None:
    """Change the TTL of the tables where it is not what the retention says.

    The tables recalculate the expiry of their parts on such a change (materialize_ttl_recalculate_only), which reads
    the time column alone: a longer retention also saves the parts that are there.
    """
    names = _names(schema)
    rows = await client.rows(
        "SELECT name, engine_full FROM system.tables WHERE database = {database:String}",
        parameters={"database": schema.database},
    )
    current = {str(row["name"]): _TTL.search(str(row["engine_full"])) for row in rows}
    for table, wanted in _ttls(schema.retention).items():
        table += names["local"]
        found = current[table]
        if (found and found[1]) != wanted:
            change = f"MODIFY TTL {wanted}" if wanted else "REMOVE TTL"
            await client.command(f"ALTER TABLE {schema.database}.{table} {names['on_cluster']} {change}")


def _ttls(retention: Retention) -> dict[str, str | None]:
    """The TTL expression of every table as ClickHouse prints it; None where rows are kept for ever."""
    # A series is registered again every hour that it has samples, and samples go by whole days: it must go last.
    series = retention.metrics + 2 * _DAY_S if retention.metrics else 0
    kept = {
        "otel_traces": ("Timestamp", retention.traces),
        "otel_logs": ("Timestamp", retention.logs),
        "metric_series": ("max_time", series),
        "metric_samples": ("ts", retention.metrics),
        "metric_histograms": ("ts", retention.metrics),
        "metric_summaries": ("ts", retention.metrics),
        "metric_exemplars": ("point_ts", retention.metrics),
    }
    return {
        table: f"{column} + toIntervalSecond({round(seconds)})" if seconds else None
        for table, (column, seconds) in kept.items()
    }
