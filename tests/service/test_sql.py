"""``airis sql`` writes any result in any format, exactly, and says what is wrong with a query."""

import io

import orjson
import pytest
import typer

from airis.query.failures import failure, pointed
from airis.service.commands import sql
from airis.service.render import rows
from airis.storage import StoreError

VALUES = (
    "SELECT toUInt64(18446744073709551615) AS big, nan AS n, -inf AS i, map('a', [1, 2]) AS m,"
    " toDecimal64(1.25, 2) AS d, true AS b, NULL AS z, 'it''s' AS t"
)


def test_rows_go_into_a_pipe_one_object_a_line(airis):
    result = airis("sql", "SELECT number AS n FROM numbers(3)")

    assert result.stdout == '{"n":0}\n{"n":1}\n{"n":2}\n'


def test_values_are_exact(airis):
    result = airis("sql", VALUES)

    assert '"big":18446744073709551615' in result.stdout
    row = orjson.loads(result.stdout)
    assert (row["n"], row["i"], row["m"], row["b"], row["z"]) == ("nan", "-inf", {"a": [1, 2]}, True, None)


def test_a_table(airis):
    result = airis("sql", VALUES, "--format", "table")

    cells = [line.split() for line in result.stdout.splitlines()]
    assert cells[0] == ["big", "n", "i", "m", "d", "b", "z", "t"]
    # The null is an empty cell.
    assert cells[2] == ["18446744073709551615", "nan", "-inf", '{"a":', "[1,", "2]}", "1.25", "true", "it's"]


def test_a_table_obeys_no_control_characters(airis):
    result = airis("sql", "SELECT '\\x1b[31mred' AS `na\\x1b[2Jme`", "--format", "table")

    assert "\x1b" not in result.stdout
    assert "\\x1b[31mred" in result.stdout


def test_numbers_stand_at_the_right(airis):
    result = airis("sql", "SELECT arrayJoin([1, 100]) AS number, 'x' AS text", "--format", "table")

    assert [line.rstrip() for line in result.stdout.splitlines()[2:]] == ["     1   x", "   100   x"]


def test_two_columns_of_one_name_are_both_shown(airis):
    result = airis("sql", "SELECT 1, 1", "--format", "table")

    assert result.stdout.splitlines()[0].split() == ["1", "1", "(2)"]


def test_a_long_table_is_cut_and_says_so(airis):
    count = sql.MOST_TABLE_ROWS + 1
    result = airis("sql", f"SELECT number FROM numbers({count})", "--format", "table")

    assert len(result.stdout.splitlines()) == sql.MOST_TABLE_ROWS + 2
    assert "--format ndjson" in result.stderr


def test_json_is_an_array_of_rows(airis):
    assert orjson.loads(airis("sql", "SELECT number AS n FROM numbers(2)", "--format", "json").stdout) == [
        {"n": 0},
        {"n": 1},
    ]


def test_csv_has_names(airis):
    assert airis("sql", "SELECT 1 AS a, 'x,y' AS b", "--format", "csv").stdout == '"a","b"\n1,"x,y"\n'


def test_arrow_is_a_stream(airis):
    import pyarrow as pa

    result = airis("sql", "SELECT number AS n FROM numbers(5)", "--format", "arrow")

    assert pa.ipc.open_stream(result.stdout_bytes).read_all().to_pydict() == {"n": [0, 1, 2, 3, 4]}


def test_the_query_can_come_from_stdin(airis):
    assert airis("sql", "-", stdin="SELECT 1 AS one\n").stdout == '{"one":1}\n'


def test_a_query_may_name_its_own_format(airis):
    assert airis("sql", "SELECT 1 AS one FORMAT TSVWithNames", "--format", "table").stdout == "one\n1\n"


def test_the_tables_are_those_of_airis(airis):
    assert airis("sql", "SELECT count() AS c FROM otel_logs").stdout == '{"c":3}\n'


def test_a_syntax_error_is_pointed_at(airis):
    result = airis("sql", "SELECT 'häß'\nFROM numbers(3)\n  WHER x = 1")

    assert (result.exit_code, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert lines[0].startswith("airis: Syntax error: failed at position ")
    assert lines[0].endswith(" (SYNTAX_ERROR)")
    assert lines[1:] == ["    WHER x = 1", "         ^"]


def test_other_errors_are_one_line(airis):
    result = airis("sql", "SELECT * FROM nowhere")

    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "nowhere" in result.stderr
    assert "DB::Exception" not in result.stderr


def test_nothing_can_be_changed(airis):
    result = airis("sql", "CREATE TABLE x (a Int8) ENGINE = Memory")

    assert result.exit_code == 1
    assert result.stderr.endswith("airis sql only reads.\n")


def test_a_store_that_does_not_answer_ends_with_1(airis, monkeypatch):
    async def unreachable(*_: object) -> None:
        raise StoreError("cannot be reached: Connection refused")

    monkeypatch.setattr(sql, "write_result", unreachable)
    result = airis("sql", "SELECT 1")

    assert (result.exit_code, result.stderr) == (1, "airis: cannot be reached: Connection refused\n")


def test_bytes_are_not_written_to_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdout", Terminal())
    assert rows.chosen(None) == "table"
    with pytest.raises(typer.BadParameter):
        rows.chosen(rows.Format.ARROW)


@pytest.mark.parametrize(
    ("reason", "code", "kind", "message", "offset"),
    [
        ("Unknown `x`. (UNKNOWN_IDENTIFIER)", 47, "UNKNOWN_IDENTIFIER", "Unknown `x`", None),
        ("Syntax error: failed at position 1 (S): S. (SYNTAX_ERROR)", 62, "SYNTAX_ERROR", None, 0),
        ("Syntax error: failed at position 12 (x): x. (SYNTAX_ERROR)", 62, "SYNTAX_ERROR", None, 10),
        ("something else", 1, "UNKNOWN", "something else", None),
        ("cannot be reached", None, "STORE_UNAVAILABLE", "cannot be reached", None),
    ],
)
def test_a_failure_is_taken_apart(reason, code, kind, message, offset):
    failed = failure(StoreError(reason, code), "SELECT 'ä' x")

    assert (failed.code, failed.type, failed.offset) == (code, kind, offset)
    assert message is None or failed.message == message


@pytest.mark.parametrize(
    ("query", "offset", "shown"),
    [
        ("SELEC 1", 6, ["SELEC 1", "      ^"]),
        ("a\n\tb c\nd", 5, ["\tb c", "\t  ^"]),
        ("SELECT", 6, ["SELECT", "      ^"]),
    ],
    ids=["line", "tab", "end"],
)
def test_the_caret_is_below_the_place(query, offset, shown):
    assert pointed(query, offset) == shown


def test_a_long_list_of_what_might_stand_there_is_left_out():
    short = failure(
        StoreError("Syntax error: failed at position 1 (x). Expected one of: a, b. (SYNTAX_ERROR)", 62), "x"
    )
    names = ", ".join("abcdefghij")
    long = failure(StoreError(f"Syntax error: at x. Expected one of: {names}. (SYNTAX_ERROR)", 62), "x")

    assert short.brief.endswith("Expected one of: a, b")
    assert long.brief == "Syntax error: at x"
    assert long.message.endswith(names)
