"""What a read-only request may say."""

import pytest

from airis.storage.guard import Guard, Limits, Refused
from airis.storage.statement import NoStatement, insert_with_data, parse

GUARD = Guard({"file", "url", "s3", "executable", "python", "eval", "numbers", "merge", "input", "generateSeries"})


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "select 1 ; -- the end",
        "/* INSERT INTO t */ WITH 1 AS x SELECT x",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "FROM numbers(3) SELECT number",
        "SELECT * FROM numbers(3) JOIN generateSeries(1, 2) USING number",
        "SELECT 'file(\\'x\\') INTO OUTFILE', 'it''s; fine', $q$ url('x'); $q$",
        "SELECT SpanAttributes['url.full'], \"url\", `s3`, url IN (1, 2) FROM t",
        "SELECT format('{}', 1), x -> y FROM merge('otel_.*')",
        "SELECT 1 # a comment with file('x')\n",
        "SHOW TABLES",
        "DESCRIBE TABLE t",
        "EXISTS TABLE t",
        "EXPLAIN SELECT 1 FORMAT JSON",
    ],
)
def test_lets_reading_through(sql: str) -> None:
    GUARD.check(parse(sql.encode()))


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("INSERT INTO t SELECT 1", 164),
        ("DROP TABLE t", 164),
        ("KILL QUERY WHERE 1", 164),
        ("SYSTEM SHUTDOWN", 164),
        ("SET readonly = 0", 164),
        ("EXECUTE IMMEDIATE 'x'", 164),
        ("SELEC 1", 62),
        ("EXPLODE TABLE t", 62),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", 497),
        ("EXPLAIN SELECT 1 into /* here */ outfile '/tmp/x'", 497),
        ("SELECT file('/etc/passwd')", 497),
        ("SELECT FILE /* a */ ('/etc/passwd')", 497),
        ("SELECT `file`('/etc/passwd')", 497),
        ("SELECT \"file\"('/etc/passwd')", 497),
        (r"SELECT `\x66ile`('/etc/passwd')", 497),
        ("SELECT * APPLY(file) FROM (SELECT '/etc/passwd')", 497),
        (r"SELECT * APPLY `\x66ile` FROM (SELECT '/etc/passwd')", 497),
        ("SELECT * FROM Url('http://127.0.0.1/', 'RawBLOB')", 497),
        ("SELECT (SELECT count() FROM s3('x'))", 497),
        ("DESCRIBE file('x')", 497),
        ("SELECT * FROM python(x)", 497),
        ("SELECT * FROM eval('SELECT 1')", 497),
        ("SELECT hasColumnInTable('host', 'd', 't', 'c')", 497),
        ("SELECT 'open", 497),
        ("SELECT “1”", 497),
        ("SELECT 1 \\G", 497),
    ],
)
def test_refuses_what_writes_or_reaches_outside(sql: str, code: int) -> None:
    with pytest.raises(Refused) as refused:
        GUARD.check(parse(sql.encode()))
    assert refused.value.code == code


@pytest.mark.parametrize(
    "sql", ["", " ; ", "-- nothing", "SELECT 1; SELECT 2", "SELECT 1;;DROP TABLE t;", "SELECT $x$;$x$; SELECT 2"]
)
def test_takes_exactly_one_statement(sql: str) -> None:
    with pytest.raises(NoStatement):
        parse(sql.encode())


@pytest.mark.parametrize(
    ("sql", "output_format", "settings", "bare"),
    [
        ("SELECT 1", "", {}, "SELECT 1"),
        ("SELECT 1 FORMAT JSON", "JSON", {}, "SELECT 1 FORMAT JSON"),
        ("SELECT 'FORMAT JSON'", "", {}, "SELECT 'FORMAT JSON'"),
        ("SELECT 1 SETTINGS a = 1, b = 'it''s', c=-1.5;", "", {"a": "1", "b": "it's", "c": "-1.5"}, "SELECT 1 "),
        ("SELECT 1 SETTINGS a=1 FORMAT CSV", "CSV", {"a": "1"}, "SELECT 1  FORMAT CSV"),
        ("SELECT 1 FORMAT CSV SETTINGS a=1", "CSV", {"a": "1"}, "SELECT 1 FORMAT CSV "),
        ("SELECT (SELECT 1 SETTINGS a=1)", "", {}, "SELECT (SELECT 1 SETTINGS a=1)"),
        ("SELECT 1 SETTINGS a=[1]", "", {}, "SELECT 1 SETTINGS a=[1]"),
        ("SELECT 1 SETTINGS a", "", {}, "SELECT 1 SETTINGS a"),
    ],
)
def test_finds_the_clauses_at_the_end(sql: str, output_format: str, settings: dict[str, str], bare: str) -> None:
    statement = parse(sql.encode())

    assert (statement.format, statement.settings, statement.bare_sql) == (output_format, settings, bare)


@pytest.mark.parametrize(
    ("sql", "parts"),
    [
        (b"INSERT INTO t FORMAT Native\n\x00\xff", ("INSERT INTO t ", "Native", b"\x00\xff")),
        (b"INSERT INTO t FORMAT CSV  \r\n1", ("INSERT INTO t ", "CSV", b"1")),
        (b"INSERT INTO t FORMAT CSV\n\n1", ("INSERT INTO t ", "CSV", b"\n1")),
        (b"insert into d.`format` (`values`, b) settings a=1 format CSV", None),
        (b"INSERT INTO format VALUES (1)", ("INSERT INTO format ", "Values", b" (1)")),
        (b"INSERT INTO TABLE d . t (a) VALUES(1)", ("INSERT INTO TABLE d . t (a) ", "Values", b"(1)")),
        (b"INSERT INTO t SELECT 1 FORMAT CSV", None),
        (b"SELECT 1 FORMAT CSV", None),
        (b"INSERT INTO t", None),
    ],
)
def test_parts_an_insert_from_its_data(sql: bytes, parts: tuple[str, str, bytes] | None) -> None:
    insert = insert_with_data(sql)

    if parts is None and b"settings" not in sql:
        assert insert is None
    elif parts is None:
        assert insert is not None
        assert (insert.format, insert.data_start) == ("CSV", len(sql))
    else:
        assert insert is not None
        assert (insert.head, insert.format, sql[insert.data_start :]) == parts


@pytest.mark.parametrize(
    ("wanted", "in_force"),
    [
        ({}, "30"),
        ({"max_execution_time": "5"}, "5"),
        ({"max_execution_time": "0"}, "30"),
        ({"max_execution_time": "-1"}, "30"),
        ({"max_execution_time": "1e-7"}, "30"),
        ({"max_execution_time": "nan"}, "30"),
        ({"max_execution_time": "1e9"}, "30"),
    ],
)
def test_limits_can_only_be_lowered(wanted: dict[str, str], in_force: str) -> None:
    assert Limits(seconds=30).lowered(wanted)["max_execution_time"] == in_force


def test_the_limits_of_the_parser_can_only_be_lowered() -> None:
    limited = Limits().lowered({"max_parser_depth": "1000000", "max_ast_depth": "10"})

    assert (limited["max_parser_depth"], limited["max_ast_depth"]) == ("1000", "10")


@pytest.mark.parametrize("rest", ["/*x" * 20_000, "'" + "\\'" * 20_000, '"' + '\\"' * 20_000, "$a$" + " $b$" * 20_000])
def test_what_is_open_is_read_once(rest: str) -> None:
    found = parse(f"SELECT {rest}".encode()).tokens

    assert (len(found), found[1].kind) == (2, "other")


@pytest.mark.parametrize(
    "name",
    [
        "dialect",
        "format_template_row",
        "format_schema",
        "max_untracked_memory",
        "allow_introspection_functions",
        "allow_simdjson",
    ],
)
def test_settings_that_undo_the_locks_are_refused(name: str) -> None:
    with pytest.raises(Refused):
        Limits().lowered({name: "1"})


def test_settings_whose_text_nobody_checks_are_refused() -> None:
    guard = Guard((), ("filter", "log_comment"))

    guard.check_settings(["log_comment", "max_threads"])
    with pytest.raises(Refused):
        guard.check_settings(["filter"])
