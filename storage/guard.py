"""What a read-only request may do: the first of three locks, before the engine's own parser and its readonly mode.

The engine's ``readonly=1`` is not enough: it lets ``INTO OUTFILE`` write, the function ``file`` read any file,
``KILL QUERY`` end others' queries and some sources be looked at, and it runs several statements in one call.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airis.storage.statement import Statement, unquote

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
    "allow_experimental_eval_table_function",
)
"""Beginnings of settings that would undo the locks."""


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
        for name, limit in self.settings.items():
            if name in kept and not name.endswith("_mode"):
                kept[name] = _lower(name, kept[name], limit)
        return {**self.settings, **kept}


def _lower(name: str, wanted: str, limit: str) -> str:
    try:
        number = float(wanted)
    except ValueError:
        raise Refused(72, "CANNOT_PARSE_NUMBER", f"'{wanted}' is no value of setting '{name}'") from None
    return wanted if 0 < number < float(limit) or not float(limit) else limit


class Guard:
    """Checks statements against the table functions that the engine has."""

    def __init__(self, table_functions: Iterable[str]) -> None:
        self._sources = {name.lower() for name in table_functions} - HARMLESS_TABLE_FUNCTIONS

    def check(self, statement: Statement) -> None:
        """Raise Refused unless the statement only reads, and only from the store."""
        if statement.keyword in _OTHER_KEYWORDS:
            raise Refused(164, "READONLY", f"Cannot execute {statement.keyword} query in readonly mode")
        if statement.keyword not in READ_KEYWORDS:
            begun = f"'{statement.keyword}'" if statement.keyword else "This"
            reason = f"{begun} begins no statement that reads; begin with {', '.join(sorted(READ_KEYWORDS))}"
            raise Refused(62, "SYNTAX_ERROR", f"Syntax error: {reason}")
        found = statement.tokens
        for index, token in enumerate(found):
            after = found[index + 1].text if index + 1 < len(found) else ""
            if token.kind == "other":
                raise _refused(f"'{token.text}' at byte {token.start} is not expected outside quotes")
            if token.keyword in ("OUTFILE", "INFILE"):
                raise _refused(f"{token.keyword} is not allowed")
            if token.kind == "quoted" and "\\" in token.text and after == "(":
                raise _refused("a name with escapes cannot be called")
            if token.kind in ("word", "quoted"):
                name = (unquote(token.text) if token.kind == "quoted" else token.text).lower()
                if name in _REACHING_FUNCTIONS or (after == "(" and name in self._sources):
                    raise _refused(f"'{name}' reaches outside the store")


def _refused(reason: str) -> Refused:
    return Refused(497, "ACCESS_DENIED", f"Not allowed in a read-only query: {reason}")
