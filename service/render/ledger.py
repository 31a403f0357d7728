"""The ledger for a terminal: what is wrong first, then where every item is, and what holds the queues."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from airis.service.render.amounts import size
from airis.service.render.rows import one_line, terminal, write_table
from airis.service.render.top import duration

_KEPT = {"disk": "on disk", "memory": "in memory", "none": "by senders"}
Document = Mapping[str, Any]
"""What the admin API says at ``/api/v1/ledger``; see docs/ledger.md."""


def write_troubles(document: Document) -> None:
    """A line for each thing that is wrong; nothing where nothing is."""
    console = terminal()
    for trouble in document["troubles"]:
        line = Text("  ✗ ", style="red").append(one_line(trouble["where"]), style="bold")
        line.append(f" {one_line(trouble['what'])}", style="default")
        if trouble["for_s"] is not None:
            line.append(f", for {duration(trouble['for_s'])}", style="default")
        console.print(line, soft_wrap=True)


def write_ledger(document: Document) -> None:
    """The equation of every branch, what senders were told, queues, breakers, bulkheads and logs."""
    sections: Sequence[tuple[Sequence[Mapping[str, str]], frozenset[str]]] = (
        ([_branch(branch) for branch in document["branches"]], frozenset()),
        ([_received(each) for each in document["received"]], frozenset({"accepted", "refused", "failed"})),
        ([_queue(queue) for queue in document["queues"]], frozenset({"batches", "items", "size", "full", "oldest"})),
        (list(_guards(document)), frozenset()),
        ([_log(log) for log in document["logs"]], frozenset({"used", "limit", "disk free", "dead letters"})),
    )
    for rows, numeric in sections:
        if rows:
            terminal().print()
            write_table(rows, list(rows[0]), numeric)


def _branch(branch: Document) -> dict[str, str]:
    return {
        "where every item is": branch["signal"],
        "to": branch["id"],
        "since the start": branch["equation"],
        "balance": balance(branch),
    }


def balance(line: Document) -> str:
    """In a word whether the equation holds."""
    if line["imbalance"] > 0:
        return f"{line['imbalance']:,} MISSING"
    if line["imbalance"] < 0:
        return f"{-line['imbalance']:,} TOO MANY"
    return f"ok, {line['moving']:,} in flight" if line["moving"] else "ok"


def _received(each: Document) -> dict[str, str]:
    numbers = {what: f"{each[what]:,}" for what in ("accepted", "refused", "failed")}
    return {"what senders were told": each["signal"], **numbers}


def _queue(queue: Document) -> dict[str, str]:
    failing, oldest, has_queue = queue["failing_for_s"], queue["oldest_age_s"], queue["kind"] != "none"
    return {
        "queue": queue["exporter"],
        "signal": queue["signal"],
        "kept": _KEPT[queue["kind"]],
        "batches": f"{queue['batches']:,}" if has_queue else "",
        "items": f"{queue['items']:,}" if has_queue else "",
        "size": size(queue["size_bytes"]) if has_queue else "",
        "full": "" if queue["fill"] is None else f"{queue['fill']:.0%}",
        "oldest": "" if oldest is None else duration(oldest),
        "delivers": "yes" if failing is None else f"not for {duration(failing)}",
    }


def _guards(document: Document) -> Iterator[dict[str, str]]:
    for breaker in document["breakers"]:
        state = f"{breaker['state'].replace('_', '-')} for {duration(breaker['for_s'])}"
        yield {"guard": "circuit breaker", "of": breaker["exporter"], "state": state}
    for bulkhead in document["bulkheads"]:
        state = f"{bulkhead['under_way']} of {bulkhead['limit']} places taken, {bulkhead['waiting']} waiting"
        yield {"guard": "bulkhead", "of": bulkhead["exporter"], "state": state}


def _log(log: Document) -> dict[str, str]:
    return {
        "write-ahead log": log["extension"],
        "used": size(log["used_bytes"]),
        "limit": size(log["limit_bytes"]) if log["limit_bytes"] else "the disk",
        "disk free": size(log["free_bytes"]),
        "dead letters": f"{log['dead_letters']:,}",
    }
