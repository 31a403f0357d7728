"""What a read-only request may do: the first of three locks, before the engine's own parser and its readonly mode.

The engine's ``readonly=1`` is not enough: it lets ``INTO OUTFILE`` write, the function ``file`` read any file,
``KILL QUERY`` end others' queries and some sources be looked at, and it runs several statements in one call.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airis.storage.statement import Statement, unquote

MAX_QUERY_BYTES = 256 * 1024
"""Longest statement that reads, as of ClickHouse; its tokens take some hundred times the memory."""

READ_KEYWORDS = frozenset({"SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS"})
"""How a statement may begin that only reads."""

_OTHER_KEYWORDS = frozenset(
    {
        *("INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "UNDROP", "TRUNCATE", "RENAME", "EXCHANGE", "MOVE"),
        *("ATTACH", "DETACH", "OPTIMIZE", "CHECK", "KILL", "SYSTEM", "SET", "USE", "GRANT", "REVOKE", "BACKUP"),
        *("RESTORE", "EXECUTE", "BEGIN", "COMMIT", "ROLLBACK", "WATCH", "REPLACE", "COPY", "PARALLEL"),
    }
)
"""How a statement begins that may change something. Any other word begins none."""

HARMLESS_TABLE_FUNCTIONS = frozenset(
    {
        *("numbers", "numbers_mt", "zeros", "zeros_mt", "primes", "generate_series", "generateseries"),
        *("generaterandom", "values", "sqlstandardvalues", "null", "view", "viewifpermitted", "viewexplain"),
        *("merge", "loop", "format", "mergetreeindex", "mergetreeprojection", "mergetreetextindex"),
    }
)
"""Table functions that stay inside the store. All others are refused, also those a newer engine may add."""

_REACHING_FUNCTIONS = frozenset(
    {
        *("file", "catboostevaluate", "hascolumnintable", "addresstoline", "addresstolinewithinlines"),
        *("aigenerate", "aiclassify", "aiextract", "aitranslate", "aiembed", "aifilter", "airedact", "aisimilarity"),
    }
)
"""Functions that reach files or other machines. Refused as a name anywhere: APPLY calls one without parentheses."""

_REACHING_SETTINGS = (
    # Another dialect is another language than the one that is checked here.
    *("dialect", "allow_experimental_kusto_dialect", "allow_experimental_prql_dialect", "polyglot", "promql"),
    # Name files that a format then reads: FORMAT Template prints any file of the machine.
    *("format_schema", "format_template", "format_avro_schema_registry_url"),
    # Take memory out of the account that is limited.
    *("max_untracked_memory", "memory_profiler", "max_memory_usage_for_user", "memory_tracker"),
    "allow_introspection_functions",
    # Without it, JSON of many brackets runs the process out of its stack.
    "allow_simdjson",
    "allow_experimental_eval_table_function",
)
"""Beginnings of settings that would undo the locks."""

HARMLESS_TEXT_SETTINGS = frozenset(
    {
        *("bool_true_representation", "bool_false_representation", "format_csv_null_representation"),
        *("format_tsv_null_representation", "format_custom_field_delimiter", "format_custom_row_before_delimiter"),
        *("format_custom_row_after_delimiter", "format_custom_row_between_delimiter"),
        *("format_custom_result_before_delimiter", "format_custom_result_after_delimiter"),
        *("format_json_object_each_row_column_for_object_name", "output_format_sql_insert_table_name"),
        *("output_format_pretty_grid_charset", "output_format_avro_codec", "output_format_avro_string_column_pattern"),
        *("output_format_orc_writer_time_zone_name", "network_compression_method", "count_distinct_implementation"),
        *("force_data_skipping_indices", "ignore_data_skipping_indices", "force_optimize_projection_name"),
        *("preferred_optimize_projection_name", "query_cache_tag", "workload", "compatibility"),
        *("insert_deduplication_token", "log_comment", "database"),
    }
)
"""Settings whose value is a text and no more. Texts of other settings are expressions (``filter``), which nobody
checks, or name files and servers: all are refused, also those a newer engine may add."""

_PARSER_LIMITS: Mapping[str, str] = {
    "max_query_size": str(MAX_QUERY_BYTES),
    "max_parser_depth": "1000",
    "max_parser_backtracks": "1000000",
    "max_ast_depth": "1000",
    "max_ast_elements": "50000",
    "max_expanded_ast_elements": "500000",
}
"""ClickHouse's defaults, without which a statement runs the process out of its stack."""
_MOST_SHOWN = 20
LEAST_SECONDS = 0.001
"""A shorter time limit would be rounded to 0, which is none."""


class Refused(Exception):
    """A read-only request may not do this; with ClickHouse's exception code and its name."""

    def __init__(self, code: int, name: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.name = name
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Limits:
    """What one read-only query may take."""

    seconds: float = 30.0
    memory_bytes: int = 1024**3
    result_rows: int = 1_000_000

    @property
    def settings(self) -> Mapping[str, str]:
        """The limits as the engine's settings."""
        return {
            "max_execution_time": f"{self.seconds:g}",
            "max_memory_usage": str(self.memory_bytes),
            "max_result_rows": str(self.result_rows),
            "result_overflow_mode": "throw",
            "timeout_overflow_mode": "throw",
        }

    def lowered(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """The wanted settings within the limits: a limit can be lowered, never raised; 0 (none) is the limit.

        Raises Refused for settings that would undo the locks.
        """
        for name in wanted:
            if any(name.startswith(reaching) for reaching in _REACHING_SETTINGS):
                raise _refused(f"setting '{name}' cannot be changed in a read-only query")
        kept = {name: value for name, value in wanted.items() if name != "readonly"}
        for name, limit in {**_PARSER_LIMITS, **self.settings}.items():
            if name in kept and not name.endswith("_mode"):
                kept[name] = _lower(name, kept[name], limit)
        return {**self.settings, **kept}


def _lower(name: str, wanted: str, limit: str) -> str:
    try:
        number = float(wanted)
    except ValueError:
        raise Refused(72, "CANNOT_PARSE_NUMBER", f"'{wanted}' is no value of setting '{name}'") from None
    return wanted if LEAST_SECONDS <= number < float(limit) else limit


class Guard:
    """Checks statements against the table functions, and settings against those with texts, that the engine has."""

    def __init__(self, table_functions: Iterable[str], text_settings: Iterable[str] = ()) -> None:
        self._sources = {name.lower() for name in table_functions} - HARMLESS_TABLE_FUNCTIONS
        self._text_settings = frozenset(text_settings) - HARMLESS_TEXT_SETTINGS

    def check_settings(self, names: Iterable[str]) -> None:
        """Raise Refused for a setting whose text nobody checks."""
        for name in names:
            if name in self._text_settings:
                raise _refused(f"setting '{name}' cannot be changed in a read-only query")

    def check(self, statement: Statement) -> None:
        """Raise Refused unless the statement only reads, and only from the store."""
        if statement.keyword in _OTHER_KEYWORDS:
            raise Refused(164, "READONLY", f"Cannot execute {statement.keyword} query in readonly mode")
        if statement.keyword not in READ_KEYWORDS:
            begun = f"'{statement.keyword}'" if statement.keyword else "This"
            reason = f"{begun} begins no statement that reads; begin with {', '.join(sorted(READ_KEYWORDS))}"
            raise Refused(62, "SYNTAX_ERROR", f"Syntax error: {reason}")
        found = statement.tokens
        in_settings = False
        for index, token in enumerate(found):
            in_settings = in_settings or token.keyword == "SETTINGS"
            after = found[index + 1].text if index + 1 < len(found) else ""
            if token.kind == "other":
                raise _refused(f"'{token.text[:_MOST_SHOWN]}' at byte {token.start} is not expected outside quotes")
            if token.keyword in ("OUTFILE", "INFILE"):
                raise _refused(f"{token.keyword} is not allowed")
            if token.kind == "quoted" and "\\" in token.text and after == "(":
                raise _refused("a name with escapes cannot be called")
            if token.kind in ("word", "quoted"):
                name = (unquote(token.text) if token.kind == "quoted" else token.text).lower()
                if (
                    in_settings and after == "="
                ):  # also in a subquery; the engine's readonly mode lets some of them pass
                    self.check_settings([name])
                if name in _REACHING_FUNCTIONS or (after == "(" and name in self._sources):
                    raise _refused(f"'{name}' reaches outside the store")


def _refused(reason: str) -> Refused:
    return Refused(497, "ACCESS_DENIED", f"Not allowed in a read-only query: {reason}")
