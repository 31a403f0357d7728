"""The ClickHouse HTTP interface of the store process, asked as ClickHouse's clients ask it."""

import gzip
import http.client
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import clickhouse_connect
import cramjam
import lz4.frame
import pyarrow
import pytest
import zstandard
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from .store_process import StoreProcess, starting

ENDLESS = "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sipHash64(number))"
SECRET = "kept outside the store"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    """One process for all tests: writable on both listeners, with low limits for reading."""
    with starting(tmp_path_factory.mktemp("store")) as start:
        process = start(
            *("--listen", "127.0.0.1:0", "--allow-writes", "--max-query-seconds", "3"),
            *("--max-query-memory-bytes", "100000000", "--max-result-rows", "400000"),
        )
        assert process.report()[0] == "ready"
        yield process


@pytest.fixture
def database(store: StoreProcess) -> str:
    """An empty database with one table ``t``."""
    store.post("DROP DATABASE IF EXISTS d SYNC")
    store.post("CREATE DATABASE d")
    table = "CREATE TABLE d.t (a UInt64, b String) ENGINE = MergeTree ORDER BY a SETTINGS %s"
    assert store.post(table % "non_replicated_deduplication_window = 100, fsync_after_insert = 1").status == 200
    return "d"


@pytest.fixture
def client(store: StoreProcess, database: str) -> Iterator[Client]:
    """An unmodified clickhouse-connect, over TCP."""
    host, _, port = store.facts["listen"].rpartition(":")
    client = clickhouse_connect.get_client(host=host, port=int(port), database=database)
    yield client
    client.close()


def number_of_rows(store: StoreProcess) -> int:
    return int(store.get("SELECT count() FROM d.t").body)


@pytest.mark.parametrize("unix", [True, False], ids=["unix", "tcp"])
@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/ping", 200, b"Ok.\n"),
        ("HEAD", "/ping", 200, b""),
        ("GET", "/", 200, b"Ok.\n"),
        ("GET", "/nothing", 404, b"There is no handle /nothing\n\nUse / or /ping for health checks.\n"),
    ],
)
def test_says_that_it_is_there(
    store: StoreProcess, method: str, path: str, status: int, body: bytes, unix: bool
) -> None:
    reply = store.request(method, path=path, unix=unix)

    assert (reply.status, reply.body) == (status, body)


@pytest.mark.parametrize(
    ("method", "query", "body", "parameters", "answer"),
    [
        ("GET", "SELECT 1", None, {}, b"1\n"),
        ("POST", "", b"SELECT 1", {}, b"1\n"),
        ("POST", "SELECT", b"1 + 1;", {}, b"2\n"),
        ("POST", "SELECT 1", b"", {}, b"1\n"),
        ("GET", "SELECT 1 FORMAT CSV", None, {}, b"1\n"),
        ("GET", "SELECT 1 AS x", None, {"default_format": "JSONEachRow"}, b'{"x":1}\n'),
        ("GET", "SELECT 1 AS x FORMAT TSV", None, {"default_format": "JSONEachRow"}, b"1\n"),
        ("GET", "SELECT 1 AS x WHERE 0", None, {"default_format": "TSVWithNames"}, b"x\n"),
        (
            "GET",
            "SELECT {x:Int64} + 1, {s:String}",
            None,
            {"param_x": "4", "param_s": "é'\\t"},
            "5\té\\'\\t\n".encode(),
        ),
        ("GET", "SELECT {a:Array(String)}[2]", None, {"param_a": "['x','y']"}, b"y\n"),
        ("GET", "SELECT currentDatabase()", None, {"database": "system"}, b"system\n"),
        ("GET", "SELECT getSetting('max_threads')", None, {"max_threads": "1"}, b"1\n"),
        ("GET", "SELECT getSetting('max_threads') SETTINGS max_threads = 1", None, {}, b"1\n"),
        ("POST", "", b"SELECT getSetting('session_timezone')", {"session_timezone": "Asia/Tokyo"}, b"Asia/Tokyo\n"),
        ("GET", "EXISTS TABLE system.one", None, {}, b"1\n"),
        ("GET", "EXPLAIN SYNTAX SELECT 1", None, {}, b"SELECT 1\\nFROM system.one\n"),
    ],
)
def test_answers_queries(
    store: StoreProcess, method: str, query: str, body: bytes | None, parameters: dict[str, Any], answer: bytes
) -> None:
    reply = store.request(method, query, body, **parameters)

    assert (reply.status, reply.body) == (200, answer)


def test_a_form_may_bring_query_and_parameters(store: StoreProcess) -> None:
    form = (
        b'--x\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT {a:String}\r\n'
        b'--x\r\nContent-Disposition: form-data; name="param_a"\r\n\r\nb\r\n--x--\r\n'
    )

    reply = store.post(form, headers={"Content-Type": "multipart/form-data; boundary=x"})

    assert reply.body == b"b\n"


def test_says_what_it_did(store: StoreProcess) -> None:
    headers = {"X-ClickHouse-Format": "JSON", "X-ClickHouse-Database": "system"}

    reply = store.get("SELECT currentDatabase() AS d, number FROM numbers(7)", headers=headers, query_id="mine")

    assert json.loads(reply.body)["data"][6] == {"d": "system", "number": 6}
    assert reply.headers["content-type"].startswith("application/json")
    assert reply.headers["x-clickhouse-format"] == "JSON"
    assert reply.headers["x-clickhouse-query-id"] == "mine"
    assert reply.headers["x-clickhouse-timezone"]
    assert reply.headers["x-clickhouse-server-display-name"]
    summary = reply.summary
    assert (summary["read_rows"], summary["result_rows"], summary["written_rows"]) == (7, 7, 0)
    assert summary["elapsed_ns"] > 0


def native(*rows: tuple[int, str]) -> bytes:
    """A Native block for the columns a and b."""
    numbers = b"".join(a.to_bytes(8, "little") for a, _ in rows)
    texts = b"".join(bytes([len(b)]) + b.encode() for _, b in rows)
    return bytes([2, len(rows)]) + b"\x01a\x06UInt64" + numbers + b"\x01b\x06String" + texts


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "lz4": lambda data: cast(Any, lz4.frame).compress(data),
    "snappy": lambda data: bytes(cramjam.snappy.compress_raw(data)),
}


@pytest.mark.parametrize("encoding", ENCODERS)
def test_stores_native_blocks_in_every_encoding(store: StoreProcess, database: str, encoding: str) -> None:
    data = ENCODERS[encoding](native((1, "x"), (2, "y")))
    headers = {"Content-Encoding": encoding} if encoding else {}

    reply = store.request("POST", "INSERT INTO t (a, b) FORMAT Native", data, database=database, headers=headers)

    assert (reply.status, reply.body) == (200, b"")
    assert reply.summary["written_rows"] == 2
    assert store.get("SELECT * FROM d.t ORDER BY a").body == b"1\tx\n2\ty\n"


@pytest.mark.parametrize(
    ("query", "body", "parameters"),
    [
        ("", b"INSERT INTO d.t FORMAT Native\n" + native((1, "x")), {}),
        ("INSERT INTO d.t FORMAT CSV", b"1,x\n", {}),
        ("INSERT INTO d.t FORMAT CSV", b"\n1,x\n", {"input_format_csv_skip_first_lines": "1"}),
        ("", b"INSERT INTO d.t VALUES (1, 'x');", {}),
        ("INSERT INTO d.t VALUES", b"(1, concat('', 'x'))", {}),
        ("INSERT INTO d.t SELECT 1, 'x'", b"", {}),
        ("", b"INSERT INTO {table:Identifier} (b, a) FORMAT TSV\nx\t1", {"param_table": "t", "database": "d"}),
        ("INSERT INTO d.t SETTINGS input_format_allow_errors_num = 1 FORMAT TSV", b"bad\tx\n1\tx\n", {}),
    ],
)
def test_stores_data_however_it_comes(
    store: StoreProcess, database: str, query: str, body: bytes, parameters: dict[str, Any]
) -> None:
    reply = store.request("POST", query, body, **parameters)

    assert (reply.status, reply.body) == (200, b"")
    assert reply.summary["written_rows"] == 1
    assert store.get("SELECT * FROM d.t").body == b"1\tx\n"


def test_stores_data_once_for_each_token(store: StoreProcess, database: str) -> None:
    for token, row in (("one", b"1,x"), ("one", b"1,x"), ("two", b"1,x")):
        reply = store.request("POST", "INSERT INTO d.t FORMAT CSV", row, insert_deduplication_token=token)
        assert reply.status == 200

    assert number_of_rows(store) == 2


@pytest.mark.parametrize(
    ("query", "body", "code", "status"),
    [
        ("INSERT INTO d.t FORMAT CSV", b"1,x\nbad,y\n", 27, 400),
        ("INSERT INTO d.t FORMAT Native", native((1, "x"), (2, "y"))[:-1], 33, 500),
        ("INSERT INTO d.nothing FORMAT CSV", b"1,x\n", 60, 404),
        ("INSERT INTO d.t (nothing) FORMAT CSV", b"1\n", 16, 500),
        ("INSERT INTO d.t FORMAT Nothing", b"1\n", 73, 404),
    ],
)
def test_stores_nothing_of_data_that_is_wrong(
    store: StoreProcess, database: str, query: str, body: bytes, code: int, status: int
) -> None:
    reply = store.request("POST", query, body)

    assert (reply.code, reply.status) == (code, status)
    assert number_of_rows(store) == 0


@pytest.mark.parametrize(
    ("table", "settings", "code"),
    [
        ("(a UInt64, b String, CONSTRAINT c CHECK a < 1) ENGINE = MergeTree ORDER BY a", {}, 469),
        (
            "(a UInt64, b String) ENGINE = MergeTree ORDER BY a PARTITION BY a",
            {"max_partitions_per_insert_block": 1},
            252,
        ),
        ("(a UInt64, b String MATERIALIZED throwIf(a = 2)) ENGINE = MergeTree ORDER BY a", {}, 395),
    ],
    ids=["constraint", "partitions", "expression"],
)
def test_what_the_table_does_not_take_is_not_acknowledged(
    store: StoreProcess, database: str, table: str, settings: dict[str, Any], code: int
) -> None:
    store.post(f"CREATE TABLE d.u {table}")

    reply = store.request("POST", "INSERT INTO d.u (a) FORMAT CSV", b"1\n2\n", **settings)

    assert (reply.code, reply.status) == (code, 500)
    assert store.get("SELECT count() FROM d.u").body == b"0\n"


def test_settings_of_an_insert_hold(store: StoreProcess, database: str) -> None:
    store.post("INSERT INTO d.t SETTINGS insert_deduplication_token = 'x' FORMAT CSV\n1,x\n")
    store.post("INSERT INTO d.t SETTINGS insert_deduplication_token = 'x' VALUES (2, 'y')")
    store.post("INSERT INTO d.t VALUES (3, 'z')")

    assert store.get("SELECT a FROM d.t ORDER BY a").body == b"1\n3\n"


@pytest.mark.parametrize(
    ("query", "parameters", "code", "status"),
    [
        ("SELECT 1 FROM", {}, 62, 400),
        ("SELECT 1; SELECT 2", {}, 62, 400),
        ("SELECT toInt8('x')", {}, 6, 400),
        ("SELECT nothing", {}, 47, 404),
        ("SELECT nothing_here()", {}, 46, 404),
        ("SELECT * FROM nothing", {}, 60, 404),
        ("SELECT 1", {"database": "nothing"}, 81, 404),
        ("SELECT 1", {"nothing": "1"}, 115, 404),
        ("SELECT 1", {"max_threads": "x"}, 27, 400),
        ("SELECT 1 FORMAT Nothing", {}, 73, 404),
        ("SELECT 1 FORMAT DataFrame", {}, 73, 404),
        ("SELECT {x:Int8}", {}, 456, 500),
        ("SELECT {x:Int8}", {"param_x": "1'"}, 457, 500),
        ("SELECT throwIf(1)", {}, 395, 500),
        ("SELECT 1", {"compress": "1"}, 48, 501),
        ("SELECT 1", {"decompress": "1"}, 48, 501),
    ],
)
def test_errors_have_codes_and_statuses(
    store: StoreProcess, query: str, parameters: dict[str, Any], code: int, status: int
) -> None:
    for reply in (store.get(query, **parameters), store.post(query, **parameters)):
        assert (reply.code, reply.status) == (code, status)
        assert reply.body.startswith(b"Code: %d. DB::Exception: " % code)
        assert reply.body.endswith(b" (version %b)\n" % store.facts["version"].encode())
        assert reply.body.count(b"Code: ") == reply.body.count(b"(version ") == 1


def test_databases_of_interleaved_requests_stay_apart(store: StoreProcess) -> None:
    for name in ("one", "two"):
        store.post(f"CREATE DATABASE {name}")
        store.post("CREATE TABLE t (a String) ENGINE = MergeTree ORDER BY a", database=name)

    def write_and_read(number: int) -> bytes:
        name = ("one", "two", "")[number % 3]
        if not name:
            return store.get("SELECT currentDatabase()").body
        store.request("POST", "INSERT INTO t FORMAT CSV", name.encode(), database=name)
        return store.get("SELECT DISTINCT concat(currentDatabase(), ' ', a) FROM t", database=name).body

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(write_and_read, range(60)))

    assert answers == [b"one one\n", b"two two\n", b"default\n"] * 20


def test_nothing_of_a_request_is_left_for_the_next(store: StoreProcess) -> None:
    store.get("SELECT repeat('x', 1000) FROM numbers(1000000) FORMAT JSON")  # fails with a result half written
    store.get("SELECT 1", max_threads="1", database="system")

    assert store.get("SELECT currentDatabase()").body == b"default\n"
    assert store.get("SELECT getSetting('max_threads') = 1").body == b"0\n"


WRITES = (
    "INSERT INTO d.t VALUES (1, 'x')",
    "INSERT INTO d.t SELECT 1, 'x'",
    "CREATE TABLE d.u (a Int8) ENGINE = Memory",
    "DROP TABLE d.t",
    "TRUNCATE TABLE d.t",
    "ALTER TABLE d.t DELETE WHERE 1",
    "KILL QUERY WHERE 1",
    "SYSTEM STOP MERGES",
    "SET readonly = 0",
)


@pytest.mark.parametrize("query", WRITES)
def test_get_and_readonly_requests_write_nothing(store: StoreProcess, database: str, query: str) -> None:
    replies = [
        store.get(query),
        store.request("POST", query, b"", readonly="1"),
        store.request("POST", query, b"", readonly="2", unix=False),
        store.request("POST", "", query.encode(), readonly="1"),
    ]

    assert [reply.code for reply in replies] == [164] * 4
    assert number_of_rows(store) == 0


@pytest.mark.parametrize("query", WRITES)
def test_the_name_of_a_parameter_runs_nothing(store: StoreProcess, database: str, query: str) -> None:
    name = f"param_x` = '1'; {query}; SET `param_y"

    assert store.get("SELECT {x:String}", unix=False, param_x="1", **{name: "2"}).body == b"1\n"

    assert store.get("EXISTS TABLE d.t").body == b"1\n"
    assert store.get("EXISTS TABLE d.u").body == b"0\n"
    assert number_of_rows(store) == 0


def test_the_name_of_a_parameter_lifts_no_limit(read_only_store: StoreProcess) -> None:
    name = "param_x` = '1', `max_memory_usage` = '0', `param_y"

    reply = read_only_store.get("SELECT getSetting('max_memory_usage')", unix=False, **{name: "1"})

    assert reply.body == b"1073741824\n"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELECT 1" + " + 1" * 60_000, 167),
        ("SELECT " + "(" * 100_000 + "1" + ")" * 100_000, 306),
        ("SELECT 1 " + " " * 256 * 1024, 62),
        ("SELECT " + "/*x" * 80_000, 497),
        ("SELECT '" + "\\'" * 100_000, 497),
    ],
    ids=["deep tree", "deep parentheses", "long", "open comments", "open quotes"],
)
def test_no_query_wears_down_the_process(read_only_store: StoreProcess, query: str, code: int) -> None:
    parser = {"max_parser_depth": 10**9, "max_ast_depth": 10**9, "max_ast_elements": 10**9, "max_query_size": 10**9}
    began = time.monotonic()

    reply = read_only_store.post(query, unix=False, **parser)

    assert reply.code == code
    assert len(reply.body) < 1000 or code != 497
    assert time.monotonic() - began < 60  # it would be minutes
    assert read_only_store.get("SELECT 1").body == b"1\n"


def test_a_query_id_cannot_break_the_answer(store: StoreProcess) -> None:
    reply = store.get("SELECT 1", query_id="a\r\nX-B: c")

    assert (reply.body, reply.headers["x-clickhouse-query-id"]) == (b"1\n", "a??X-B: c")


@pytest.mark.parametrize("query", WRITES)
def test_a_read_only_listener_writes_nothing(read_only_store: StoreProcess, query: str) -> None:
    assert read_only_store.post(query, unix=False).code == 164
    assert read_only_store.post(query, unix=False, readonly="0").code == 164
    assert read_only_store.post("SELECT 1", unix=False).body == b"1\n"


@pytest.fixture(scope="module")
def read_only_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    """A process with one reader, and a TCP listener that does not allow writes."""
    with starting(tmp_path_factory.mktemp("read_only")) as start:
        process = start("--listen", "127.0.0.1:0", "--readers", "1", "--max-query-seconds", "0.5")
        assert process.report()[0] == "ready"
        yield process


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret.csv"
    file.write_text(SECRET + "\n")
    return file


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("SELECT file('$')", {}),
        ("SELECT * FROM file('$', 'LineAsString')", {}),
        ("SELECT * FROM `$`", {}),
        ("SELECT * FROM '$'", {}),
        ('SELECT * FROM default."$"', {}),
        ("SELECT 1 IN `$`", {}),
        ("SELECT * FROM {x:Identifier}", {"param_x": "$"}),
        ("SELECT * FROM (SELECT * FROM `$` SETTINGS readonly = 0)", {}),
        ("SELECT * FROM `$` SETTINGS readonly = 0", {}),
        ("SELECT * FROM default.{x:Identifier}", {"param_x": "$"}),
        ("SELECT * APPLY(file) FROM (SELECT '$')", {}),
        ("SELECT arrayMap(file, ['$'])", {}),
        (r"SELECT `\x66ile`('$')", {}),
        ("DESCRIBE `$`", {}),
        ("DESCRIBE file('$')", {}),
        ("EXPLAIN SELECT * FROM `$`", {}),
        ("SELECT 1 FORMAT Template", {"format_template_row": "$"}),
        ("SELECT 1 AS x", {"filter": "throwIf(1, file('$'))"}),
        ("SELECT 1 AS x", {"select": "file('$')"}),
        ("SELECT 1 AS x", {"order": "throwIf(1, file('$'))"}),
        ("SELECT 1 AS x SETTINGS filter = 'throwIf(1, file(''$''))'", {}),
        ("SELECT 1 AS x SETTINGS filter = $$throwIf(1, file('$'))$$", {}),
        ("SELECT 1 AS x SETTINGS max_threads = 1, `order` = $$throwIf(1, file('$'))$$", {}),
        ("SELECT * FROM (SELECT 1 AS x SETTINGS filter = 'throwIf(1, file(''$''))')", {}),
        ("SELECT 1 AS x", {"additional_result_filter": "throwIf(1, file('$'))"}),
        ("SELECT 1 FROM system.one", {"additional_table_filters": "{'system.one': 'throwIf(1, file(''$''))'}"}),
        ("SELECT 1 FORMAT Template SETTINGS format_template_row = '$'", {}),
        ("file('$')", {"dialect": "kusto", "allow_experimental_kusto_dialect": "1"}),
        ("SELECT * FROM url('file://$', 'LineAsString')", {}),
        ("SELECT * FROM filesystem('$')", {}),
        ("SELECT * FROM executable('cat $', 'LineAsString', 'l String')", {}),
        ("SELECT * FROM remote('127.0.0.1', system.one)", {}),
        ("SELECT * FROM s3('http://127.0.0.1:1/a/b', 'CSV', 'a String')", {}),
        ("SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')", {}),
        ("SELECT * FROM sqlite('$', 't')", {}),
        ("SELECT * FROM dictionary('$')", {}),
        ("SELECT * FROM python(os)", {}),
        ("INSERT INTO FUNCTION file('$') SELECT 1", {}),
    ],
)
def test_reading_reaches_no_file_and_no_address(
    store: StoreProcess, secret: Path, query: str, parameters: dict[str, Any]
) -> None:
    named = {name: value.replace("$", str(secret)) for name, value in parameters.items()}

    reply = store.get(query.replace("$", str(secret)), **named)

    assert reply.code in (46, 62, 164, 497)  # 46, 62: this engine has no such thing
    assert SECRET.encode() not in reply.body
    assert secret.read_text() == SECRET + "\n"


def test_reading_writes_no_file(store: StoreProcess, tmp_path: Path) -> None:
    reply = store.get(f"SELECT 1 INTO OUTFILE '{tmp_path}/out'")

    assert (reply.code, reply.status) == (497, 403)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("query", "parameters", "code", "status"),
    [
        (ENDLESS, {"max_execution_time": "0.3"}, 159, 408),
        (ENDLESS + " SETTINGS max_execution_time = 0.3", {}, 159, 408),
        ("SELECT groupArray(number) FROM numbers(100000000)", {}, 241, 500),
        ("SELECT groupArray(number) FROM numbers(100000000)", {"max_memory_usage": "0"}, 241, 500),
        ("SELECT groupArray(number) FROM numbers(100000000) SETTINGS max_memory_usage = 0", {}, 241, 500),
        ("SELECT repeat('x', 1000) FROM numbers(300000) FORMAT JSON", {}, 241, 500),
        ("SELECT number FROM numbers(1000)", {"max_result_rows": "10"}, 396, 500),
        ("SELECT number FROM numbers(1000000) FORMAT JSONCompact", {}, 396, 500),
        ("SELECT number FROM numbers(1000000) FORMAT JSONCompact", {"max_result_rows": "2000000"}, 396, 500),
        ("SELECT * FROM (SELECT * FROM numbers(1000000) SETTINGS max_result_rows = 0) FORMAT JSON", {}, 396, 500),
    ],
)
def test_reading_has_limits_that_can_only_be_lowered(
    store: StoreProcess, query: str, parameters: dict[str, Any], code: int, status: int
) -> None:
    reply = store.get(query, **parameters)

    assert (reply.code, reply.status) == (code, status)


def test_the_time_limit_cannot_be_raised(read_only_store: StoreProcess) -> None:
    reply = read_only_store.get(ENDLESS, max_execution_time="0", timeout_overflow_mode="throw")

    assert (reply.code, reply.status) == (159, 408)


def test_a_query_waits_for_a_free_reader_no_longer_than_its_limit(read_only_store: StoreProcess) -> None:
    holding = read_only_store.connection()
    holding.request("POST", "/?max_execution_time=0", ENDLESS)
    wait_until_running(read_only_store, ENDLESS)

    reply = read_only_store.get("SELECT 1", unix=False)

    assert reply.code == 202
    holding.close()


def wait_until_running(store: StoreProcess, query: str, *, running: bool = True) -> None:
    """Ask with INSERT … SELECT, which needs no reader."""
    store.post("CREATE TABLE IF NOT EXISTS default.seen (n UInt64) ENGINE = Memory")
    for _ in range(500):
        store.post("TRUNCATE TABLE default.seen")
        quoted = query.replace("'", "\\'")
        look = "INSERT INTO default.seen SELECT count() FROM system.processes WHERE query = '%s' HAVING count() > 0"
        if (store.post(look % quoted).summary["written_rows"] == 1) is running:
            return
    pytest.fail("it never came to that")


@pytest.mark.parametrize("output_format", ["TSV", "JSON"])
def test_a_query_ends_with_its_client(store: StoreProcess, output_format: str) -> None:
    query = f"{ENDLESS} FORMAT {output_format}"
    connection = store.connection()
    connection.request("POST", "/?max_execution_time=0", query)
    wait_until_running(store, query)

    connection.close()

    wait_until_running(store, query, running=False)


def test_a_client_that_does_not_read_keeps_no_reader(read_only_store: StoreProcess) -> None:
    idle = read_only_store.connection(unix=False)
    idle.request("GET", "/?query=SELECT+repeat('x',1000)FROM+numbers(900000)")
    idle.getresponse().read(1)

    replies: list[bytes] = []
    while replies[-1:] != [b"1\n"] and len(replies) < 60:  # each waits for half a second
        replies.append(read_only_store.get("SELECT 1").body)

    assert replies[-1] == b"1\n", replies
    idle.close()


def test_results_are_streamed_and_end_with_their_client(store: StoreProcess) -> None:
    query = "SELECT repeat('x', 100) FROM system.numbers"  # endless
    connection = store.connection()
    connection.request("POST", "/?max_result_rows=0&max_execution_time=0", query)

    response = connection.getresponse()
    beginning = response.read(8 * 1024 * 1024)
    response.close()
    connection.close()

    assert beginning.startswith(b"x" * 100 + b"\n")
    wait_until_running(store, query, running=False)


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_an_error_in_the_middle_of_a_result_cannot_be_missed(store: StoreProcess, encoding: str) -> None:
    connection = store.connection()
    target = "/?max_result_rows=0&enable_http_compression=1"
    connection.request(
        "POST",
        target,
        "SELECT sipHash64(number), throwIf(number = 990000) FROM numbers(1000000)",
        {"Accept-Encoding": encoding},
    )
    response = connection.getresponse()

    with pytest.raises(http.client.IncompleteRead) as cut_off:
        response.read()

    body = cut_off.value.partial
    if encoding:
        body = zlib.decompress(body, 16 + zlib.MAX_WBITS)
    tag = response.headers["X-ClickHouse-Exception-Tag"].encode()
    begin = b"\r\n__exception__\r\n%b\r\nCode: 395. DB::Exception: " % tag
    assert response.status == 200
    assert begin in body
    assert body.endswith(b" %b\r\n__exception__\r\n" % tag)
    connection.close()


def test_waiting_for_the_end_gives_an_error_its_status(store: StoreProcess) -> None:
    query = "SELECT throwIf(number = 1990000) FROM numbers(2000000)"

    reply = store.post(query, max_result_rows="0", wait_end_of_query="1")

    assert (reply.code, reply.status) == (395, 500)


DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    "lz4": lambda data: cast(Any, lz4.frame).decompress(data),
}


@pytest.mark.parametrize("encoding", DECODERS)
@pytest.mark.parametrize("rows", [0, 10, 400_000])
def test_compresses_results_where_asked(store: StoreProcess, encoding: str, rows: int) -> None:
    query = f"SELECT number FROM numbers({rows})"
    asked = store.get(query, headers={"Accept-Encoding": f"br, {encoding}"}, enable_http_compression="1")
    not_asked = store.get(query, headers={"Accept-Encoding": encoding})

    assert asked.headers["content-encoding"] == encoding
    assert DECODERS[encoding](asked.body) == not_asked.body
    assert not_asked.body.count(b"\n") == rows
    assert "content-encoding" not in not_asked.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8123"}, 200),
        ({"Host": "[::1]:8123"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Host": "rebound.example:8123"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://page.example"}, 403),
    ],
)
def test_pages_of_other_sites_are_refused(store: StoreProcess, headers: dict[str, str], status: int) -> None:
    assert store.get("SELECT 1", unix=False, headers=headers).status == status


@pytest.mark.parametrize("query", ["CREATE TEMPORARY TABLE x (a Int8)", "SET max_threads = 1", "USE system"])
def test_what_needs_a_session_is_refused(store: StoreProcess, query: str) -> None:
    assert (store.post(query, session_id="x").code, store.post(query).status) == (48, 501)


@pytest.mark.parametrize(
    ("headers", "body", "code", "status"),
    [
        ({"Content-Encoding": "br"}, b"x", 89, 500),
        ({"Content-Encoding": "gzip"}, b"x", 271, 500),
        ({}, b"SELECT '\xff'", 62, 400),
        ({"Content-Length": str(2**40)}, b"", 229, 413),
    ],
)
def test_bodies_that_cannot_be_read_are_refused(
    store: StoreProcess, headers: dict[str, str], body: bytes, code: int, status: int
) -> None:
    reply = store.post(body, headers=headers)

    assert (reply.code, reply.status) == (code, status)


def test_the_engine_keeps_no_log_tables(store: StoreProcess, database: str) -> None:
    store.post("SYSTEM FLUSH LOGS")

    tables = store.get("SELECT database, name FROM system.tables WHERE engine LIKE '%MergeTree' AND database != 'd'")
    kept = [line for line in tables.body.decode().splitlines() if line.startswith("system")]
    assert kept == []
    assert not list(store.data_dir.glob("metadata/system*"))


def test_clickhouse_connect_queries(client: Client) -> None:
    parameters = {"x": 4, "s": "a'b\tc\\"}

    assert client.query("SELECT {x:Int64} + 1, {s:String}", parameters=parameters).result_rows == [(5, "a'b\tc\\")]
    assert client.query("SELECT %s, %s", parameters=(4, "a'b")).result_rows == [(4, "a'b")]
    assert client.command("SELECT count() FROM t") == 0
    assert client.query("SELECT * FROM t LIMIT 0").column_names == ("a", "b")
    assert client.query("SELECT getSetting('max_threads')", settings={"max_threads": 1}).result_rows == [(1,)]


@pytest.mark.parametrize("compression", [False, "lz4", "zstd", "gzip"])
def test_clickhouse_connect_inserts(store: StoreProcess, database: str, compression: bool | str) -> None:
    host, _, port = store.facts["listen"].rpartition(":")
    client = clickhouse_connect.get_client(host=host, port=int(port), database=database, compress=compression)

    summary = client.insert("t", [[1, "x"], [2, "y"]], column_names=["a", "b"])

    assert summary.written_rows == 2
    assert client.query("SELECT * FROM t ORDER BY a").result_rows == [(1, "x"), (2, "y")]
    client.close()


def test_clickhouse_connect_arrow_and_frames(client: Any) -> None:
    client.insert_arrow("t", pyarrow.table({"a": pyarrow.array([1, 2], pyarrow.uint64()), "b": ["x", "y"]}))

    assert client.query_arrow("SELECT * FROM t ORDER BY a").to_pylist() == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert list(client.query_df("SELECT * FROM t ORDER BY a")["b"]) == ["x", "y"]
    with client.query_arrow_stream("SELECT number FROM numbers(100000)") as stream:
        assert sum(batch.num_rows for batch in stream) == 100_000


def test_clickhouse_connect_streams(client: Any) -> None:
    with client.query_row_block_stream("SELECT number FROM numbers(400000)") as stream:
        sizes = [len(block) for block in stream]

    assert sum(sizes) == 400_000
    assert len(sizes) > 1


def test_clickhouse_connect_sees_errors(client: Client) -> None:
    with pytest.raises(DatabaseError, match="code: 47") as error:
        client.query("SELECT nothing")
    assert error.value.code == 47
    failing = "SELECT throwIf(number = 1990000) FROM numbers(2000000)"
    with (
        pytest.raises(Exception, match="395"),
        client.query_row_block_stream(failing, settings={"max_result_rows": 0}) as stream,
    ):
        list(stream)


def test_many_clients_at_a_time(store: StoreProcess, database: str) -> None:
    barrier = threading.Barrier(8)

    def work(number: int) -> int:
        barrier.wait(10)
        store.request("POST", "INSERT INTO d.t FORMAT CSV", b"%d,x" % number, insert_deduplication_token=str(number))
        return store.get("SELECT sleep(0.05)").status

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(8))) == [200] * 8
    assert number_of_rows(store) == 8
