"""The store's schema: migrations, retention, what the tables and views promise."""

import re
import time
from pathlib import Path
from typing import Any

import pytest

from airis.data.layout import TABLES
from airis.storage.schema import INSERT_SETTINGS, Retention, Schema, SchemaTooNew, migrate, migrations

PUBLIC_TABLES = set(TABLES)
PUBLIC_VIEWS = {f"otel_metrics_{kind}" for kind in ("gauge", "sum", "histogram", "exponential_histogram", "summary")}
TODAY_S = int(time.time())
DAY_S = 86_400


class Recorder:
    """Notes the commands on their way to the engine, and can fail at one of them."""

    def __init__(self, engine: Any, fail_at: int | None = None) -> None:
        self.engine = engine
        self.fail_at = fail_at
        self.commands: list[str] = []

    async def rows(self, sql: str, *, parameters: Any = None) -> list[dict[str, Any]]:
        return await self.engine.rows(sql, parameters=parameters)

    async def command(self, sql: str) -> None:
        if len(self.commands) == self.fail_at:
            raise ConnectionError("the store went away")
        self.commands.append(sql)
        await self.engine.command(sql)

    @property
    def alterations(self) -> list[str]:
        """Those of the retention."""
        return [sql for sql in self.commands if sql.startswith("ALTER") and " TTL" in sql]


def plain(type_name: str) -> str:
    """The type of the values in a column that merges aggregate; a map in one has no dictionary for its keys."""
    merged = re.fullmatch(r"SimpleAggregateFunction\(\w+, (.*)\)", type_name)
    return merged[1].replace("Map(String,", "Map(LowCardinality(String),") if merged else type_name


@pytest.mark.parametrize("table", TABLES)
async def test_the_columns_are_those_that_the_kernels_write(engine, database, table):
    await migrate(engine, Schema(database))
    columns = engine.query(
        "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {table:String}"
        " AND default_kind = '' ORDER BY position",
        {"table": table},
    )
    assert [(column["name"], plain(column["type"])) for column in columns] == list(TABLES[table])


async def test_a_migration_is_applied_once(engine, database):
    assert await migrate(engine, Schema(database)) == list(migrations())
    assert await migrate(engine, Schema(database)) == []

    recorded = engine.query("SELECT version, name FROM schema_migrations ORDER BY version")
    assert recorded == [{"version": m.version, "name": m.name} for m in migrations()]


async def test_a_migration_that_was_broken_off_is_finished_by_the_next(engine, database):
    whole = Recorder(engine)
    await migrate(whole, Schema(database))

    for step in range(0, len(whole.commands), 5):
        engine.use("default")
        engine.query(f"DROP DATABASE {database} SYNC")
        with pytest.raises(ConnectionError):
            await migrate(Recorder(engine, fail_at=step), Schema(database))
        await migrate(engine, Schema(database))
        engine.use(database)
        tables = {row["name"] for row in engine.query("SHOW TABLES")}
        assert tables > PUBLIC_TABLES | PUBLIC_VIEWS
        assert engine.query("SELECT count() AS n FROM schema_migrations") == [{"n": len(migrations())}]


async def test_a_newer_schema_is_refused_and_left_alone(engine, database):
    await migrate(engine, Schema(database))
    engine.query("INSERT INTO schema_migrations (version, name) VALUES (7, 'from the future')")
    recorder = Recorder(engine)

    said = f"database '{database}' has schema 7, this airis knows up to {len(migrations())}"
    with pytest.raises(SchemaTooNew, match=said):
        await migrate(recorder, Schema(database, Retention(traces=DAY_S)))

    assert all("IF NOT EXISTS" in sql for sql in recorder.commands)


def test_migrations_are_numbered_without_gaps():
    assert [migration.version for migration in migrations()] == list(range(1, len(migrations()) + 1))


@pytest.mark.parametrize("name", ["", "1st", "a-b", "a.b", "a`b", "a'; DROP", "a" * 64], ids=repr)
def test_a_database_name_that_would_need_quoting_is_refused(name):
    with pytest.raises(ValueError, match="is no database name"):
        Schema(name)


@pytest.mark.parametrize("name", ["", "a'b", "a b", "{shard}"], ids=repr)
def test_a_cluster_name_that_would_need_quoting_is_refused(name):
    with pytest.raises(ValueError, match="is no cluster name"):
        Schema(cluster=name)


def test_a_negative_retention_is_refused():
    with pytest.raises(ValueError, match="cannot be negative"):
        Retention(logs=-1)


async def test_retention_is_changed_only_where_it_differs(engine, database):
    recorder = Recorder(engine)
    await migrate(recorder, Schema(database, Retention(traces=7 * DAY_S, logs=0, metrics=90 * DAY_S)))
    assert len(recorder.alterations) == 6

    again = Recorder(engine)
    await migrate(again, Schema(database, Retention(traces=7 * DAY_S, logs=0, metrics=90 * DAY_S)))
    assert again.alterations == []

    changed = Recorder(engine)
    await migrate(changed, Schema(database, Retention(traces=0, logs=DAY_S, metrics=90 * DAY_S)))
    assert changed.alterations == [
        f"ALTER TABLE {database}.otel_traces  REMOVE TTL",
        f"ALTER TABLE {database}.otel_logs  MODIFY TTL Timestamp + toIntervalSecond(86400)",
    ]


async def test_a_longer_retention_saves_what_is_there(engine, database):
    await migrate(engine, Schema(database, Retention(logs=10 * DAY_S)))
    engine.query(f"INSERT INTO otel_logs (Timestamp, Body) VALUES ({TODAY_S}, 'kept')")

    await migrate(engine, Schema(database, Retention(logs=20 * DAY_S)))
    engine.query("OPTIMIZE TABLE otel_logs FINAL SETTINGS mutations_sync = 2")

    [part] = engine.query(
        "SELECT toUnixTimestamp(max(delete_ttl_info_max)) AS expiry FROM system.parts"
        " WHERE active AND database = currentDatabase() AND table = 'otel_logs'"
    )
    assert part["expiry"] == TODAY_S + 20 * DAY_S


async def test_a_block_that_is_sent_twice_is_stored_once(engine, database):
    await migrate(engine, Schema(database))
    for table in sorted(PUBLIC_TABLES - {"metric_series"}):
        column = {"metric_exemplars": "point_ts"}.get(table, "Timestamp" if table.startswith("otel") else "ts")
        for _ in range(2):
            engine.query(
                f"INSERT INTO {table} ({column}) SETTINGS insert_deduplication_token = 'batch' VALUES ({TODAY_S})"
            )
        assert engine.query(f"SELECT count() AS n FROM {table}") == [{"n": 1}], table


@pytest.mark.parametrize(("days", "stored"), [(366, True), (500, False)], ids=["a year", "a broken clock"])
async def test_a_block_may_fill_in_a_year(engine, database, days, stored):
    await migrate(engine, Schema(database, Retention(0, 0, 0)))
    settings = ", ".join(f"{name} = {value}" for name, value in INSERT_SETTINGS.items())
    insert = (
        f"INSERT INTO metric_summaries (metric, ts) SETTINGS {settings}"
        f" SELECT 'm', fromUnixTimestamp({TODAY_S}) + toIntervalDay(number) FROM numbers({days})"
    )
    if stored:
        engine.query(insert)
    else:
        with pytest.raises(Exception, match="Too many partitions for single INSERT block"):
            engine.query(insert)
    assert engine.query("SELECT count() AS n FROM metric_summaries") == [{"n": days if stored else 0}]


def plan(engine: Any, query: str) -> str:
    return "\n".join(row["explain"] for row in engine.query(f"EXPLAIN indexes = 1, projections = 1 {query}"))


@pytest.mark.parametrize("table", ["otel_traces", "otel_logs"])
async def test_an_insert_writes_one_file_of_data_and_merges_go_by_column(engine, database, table):
    await migrate(engine, Schema(database, Retention(0, 0, 0)))
    for first in (0, 40_000):
        engine.query(
            f"INSERT INTO {table} (Timestamp, TraceId)"
            f" SELECT {TODAY_S} + number % 2, randomPrintableASCII(300) FROM numbers({first}, 40000)"
        )
    of_table = "active AND database = currentDatabase() AND table = {table:String}"
    parts = engine.query(f"SELECT part_type FROM system.parts WHERE {of_table}", {"table": table})
    assert parts == [{"part_type": "Compact"}] * 2

    engine.query(f"OPTIMIZE TABLE {table} FINAL")

    parts = engine.query(f"SELECT part_type, rows FROM system.parts WHERE {of_table}", {"table": table})
    assert parts == [{"part_type": "Wide", "rows": 80_000}]


async def test_a_trace_is_found_by_its_id_without_reading_the_others(engine, database):
    await migrate(engine, Schema(database))
    engine.query(
        "INSERT INTO otel_traces (Timestamp, TraceId, SpanName)"
        f" SELECT {TODAY_S}, lower(hex(cityHash64(number))), toString(number % 100) FROM numbers(50000)"
    )
    found = plan(
        engine,
        "SELECT SpanName FROM otel_traces WHERE TraceId = lower(hex(cityHash64(7)))"
        " SETTINGS min_table_rows_to_use_projection_index = 0",
    )
    assert re.search(r"Name: by_trace_id\n.*\n.*\n.*binary search\n +Parts: 1\n +Marks: 1\n", found)


@pytest.mark.parametrize(
    ("index", "condition"),
    [
        ("log_attribute_items", "has(LogAttributeItems, 'n=7')"),
        ("resource_attribute_items", "has(ResourceAttributeItems, 'host.name=h7')"),
        ("body", "lower(Body) LIKE '%word7%'"),
        ("trace_id", "TraceId = 'a7'"),
    ],
)
async def test_logs_are_searched_by_index(engine, database, index, condition):
    await migrate(engine, Schema(database))
    engine.query(
        "INSERT INTO otel_logs (Timestamp, Body, TraceId, LogAttributes, ResourceAttributes)"
        f" SELECT {TODAY_S}, concat('A Word', toString(number), ' came'), concat('a', toString(number)),"
        " map('n', toString(number)), map('host.name', concat('h', toString(number))) FROM numbers(50000)"
    )
    query = f"SELECT count() AS n FROM otel_logs WHERE {condition}"
    assert index in plan(engine, query)
    assert engine.query(query)[0]["n"] > 0


def register(engine: Any, kind: str, version: str, registered_s: int) -> None:
    """One registration of series 1, in a part of its own."""
    engine.query(
        "INSERT INTO metric_series (id, metric, otel_name, kind, temporality, service, attributes, resource, bounds,"
        " resource_id, min_time, max_time) SELECT 1, 'm', 'm.x', {kind:String}, 'delta', 'shop', map('k', 'v'),"
        " map('service.version', {version:String}), [1, 2], cityHash64({version:String}), {time:UInt32}, {time:UInt32}",
        {"kind": kind, "version": version, "time": registered_s},
    )


async def test_registrations_of_a_series_become_one_row(engine, database):
    await migrate(engine, Schema(database))
    for hour in (2, 0, 1):
        register(engine, "gauge", "1", TODAY_S + hour * 3600)
    engine.query("OPTIMIZE TABLE metric_series FINAL")

    assert engine.query(
        "SELECT attributes, toUnixTimestamp(min_time) AS first, toUnixTimestamp(max_time) AS last FROM metric_series"
    ) == [{"attributes": {"k": "v"}, "first": TODAY_S, "last": TODAY_S + 7200}]


async def test_a_native_block_of_plain_types_becomes_series(engine, database):
    await migrate(engine, Schema(database))
    register(engine, "histogram", "1", TODAY_S)
    before = engine.query("SELECT * FROM metric_series")
    columns = ", ".join(f"{column.name}::{column.type} AS {column.name}" for column in TABLES["metric_series"])
    block = engine.native(f"SELECT {columns} FROM metric_series")
    engine.query("TRUNCATE TABLE metric_series")

    engine.insert("metric_series", block)

    assert engine.query("SELECT * FROM metric_series") == before


@pytest.mark.parametrize(
    ("kind", "table", "values"),
    [
        ("gauge", "metric_samples", "(metric, id, ts, value) VALUES ('m', 1, {time:String}, 1.5)"),
        ("sum", "metric_samples", "(metric, id, ts, value) VALUES ('m', 1, {time:String}, 1.5)"),
        ("histogram", "metric_histograms", "(metric, id, ts, count, pos) VALUES ('m', 1, {time:String}, 3, [1, 2])"),
        (
            "exponential_histogram",
            "metric_histograms",
            "(metric, id, ts, count, pos, schema) VALUES ('m', 1, {time:String}, 3, [1, 2], 4)",
        ),
        ("summary", "metric_summaries", "(metric, id, ts, count, quantiles) VALUES ('m', 1, {time:String}, 3, [0.5])"),
    ],
)
async def test_a_view_gives_each_point_once_with_the_resource_of_its_time(engine, database, kind, table, values):
    await migrate(engine, Schema(database))
    # Registered every hour and not merged yet; the version changes in the third hour.
    for hour, version in enumerate(["1", "1", "2", "2"]):
        register(engine, kind, version, TODAY_S + hour * 3600)
    for seconds in (-30, 60, 7300, 99_000):
        engine.query(f"INSERT INTO {table} {values}", {"time": f"{TODAY_S + seconds}.000000001"})
    engine.query(
        "INSERT INTO metric_exemplars (metric, id, ts, point_ts, value, trace_id)"
        " VALUES ('m', 1, 0, {time:String}, 9, 't')",
        {"time": f"{TODAY_S + 60}.000000001"},
    )

    rows = engine.query(
        f"SELECT * FROM otel_metrics_{kind} WHERE MetricName = 'm.x' AND ServiceName = 'shop' ORDER BY TimeUnix"
    )

    assert [row["ResourceAttributes"]["service.version"] for row in rows] == ["1", "1", "2", "2"]
    assert all(row["Attributes"] == {"k": "v"} for row in rows)
    if kind != "summary":
        assert [row["Exemplars.TraceId"] for row in rows] == [[], ["t"], [], []]
    if kind in ("sum", "histogram", "exponential_histogram"):
        assert {row["AggregationTemporality"] for row in rows} == {1}
    for other in PUBLIC_VIEWS - {f"otel_metrics_{kind}"}:
        assert engine.query(f"SELECT count() AS n FROM {other}") == [{"n": 0}]


EXAMPLES = re.findall(
    r"```sql\n(.*?)```", (Path(__file__).parents[2] / "docs/storage.md").read_text(encoding="utf-8"), re.DOTALL
)


@pytest.mark.parametrize("example", [query for block in EXAMPLES for query in block.split("\n\n")])
async def test_the_examples_of_the_documentation_run(engine, database, example):
    await migrate(engine, Schema(database))
    engine.query(example.strip().rstrip(";"))


async def test_the_grid_functions_of_promql_take_nanoseconds(engine, database):
    await migrate(engine, Schema(database))
    engine.query(
        "INSERT INTO metric_samples (metric, id, ts, value) SELECT 'm', 1,"
        f" fromUnixTimestamp64Nano(toInt64({TODAY_S}) * 1000000000 + number * 15000000001), number FROM numbers(20)"
    )
    [row] = engine.query(
        f"SELECT timeSeriesRateToGrid('{TODAY_S + 60}', '{TODAY_S + 240}', '60', '60')(ts, value) AS rates"
        " FROM metric_samples SETTINGS enable_time_series_aggregate_functions = 1"
    )
    assert row["rates"] == pytest.approx([1 / 15] * 4)


@pytest.mark.parametrize("replicated", [False, True], ids=["one replica", "replicated"])
def test_a_cluster_has_local_tables_and_distributed_ones_over_them(engine, replicated):
    schema = Schema("telemetry", cluster="prod", replicated=replicated)
    statements = [statement for migration in migrations() for statement in migration.statements(schema)]

    local, distributed = {}, {}
    for statement in statements:
        engine.query("SELECT formatQuery({statement:String})", {"statement": statement})
        if altered := re.search(r"^ALTER TABLE telemetry\.(\w+) ON CLUSTER 'prod'\s", statement, re.M):
            assert altered[1] in {f"{table}_local" for table in PUBLIC_TABLES}
            continue
        created = re.search(
            r"^CREATE (?:TABLE|VIEW) IF NOT EXISTS telemetry\.(\w+) ON CLUSTER 'prod'\s", statement, re.M
        )
        assert created, statement
        if created[1].endswith("_local"):
            local[created[1].removesuffix("_local")] = statement
        else:
            distributed[created[1]] = statement

    assert set(distributed) == PUBLIC_TABLES | PUBLIC_VIEWS
    assert set(local) == set(distributed) | {"metric_identities", "metric_point_exemplars"}
    for table in PUBLIC_TABLES:
        engine_name = re.search(r"ENGINE = (\w*MergeTree)\n", local[table])
        assert engine_name
        assert engine_name[1].startswith("Replicated") == replicated
    for name, statement in distributed.items():
        assert f"Distributed('prod', telemetry, {name}_local" in statement
    for view in PUBLIC_VIEWS:
        assert all(name.endswith("_local") for name in re.findall(r"telemetry\.(\w+)", local[view]))


def test_without_a_cluster_nothing_is_distributed():
    statements = [statement for migration in migrations() for statement in migration.statements(Schema())]
    assert not any("Distributed" in s or "_local" in s or "ON CLUSTER" in s or "$" in s for s in statements)
