"""The page that says where every item is: the equations, then what holds the queues, what is wrong above all."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airis.component import format_duration
from airis.extensions.zpages.page import Html, element, table

Document = Mapping[str, Any]
"""What `airis.component.ledger.Ledger.document` says."""

_KEPT = {"disk": "on disk", "memory": "in memory", "none": "by senders"}
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def shown(told: Document) -> Sequence[str]:
    """The parts of the page."""
    return [*_troubles(told), *_equations(told), *_passages(told), *_queues(told), *_guards(told), *_logs(told)]


def _troubles(told: Document) -> Iterator[Html]:
    if not told["troubles"]:
        yield element(
            "p", element("span", "all is well", class_="status good"), " Every accepted item is accounted for."
        )
        return
    rows = [
        (
            element("span", trouble["kind"].replace("_", " "), class_="status bad"),
            element("code", trouble["where"]),
            trouble["what"],
            _time(trouble["for_s"]),
        )
        for trouble in told["troubles"]
    ]
    yield table(("wrong", "where", "what", "for"), rows)


def _equations(told: Document) -> Iterator[Html]:
    yield element("h2", "Where every item is, since the start")
    yield element(
        "p",
        "Every exporter owes each signal of its pipelines a copy of its own. What is on its way may be counted on one "
        "side only.",
        class_="quiet",
    )
    rows = [
        (
            branch["signal"],
            Html(element("code", branch["id"]) + element("div", ", ".join(branch["pipelines"]), class_="quiet")),
            branch["equation"],
            f"{branch['moving']:,}",
            _balance(branch["imbalance"]),
        )
        for branch in told["branches"]
    ]
    yield table(("signal", "to, from pipelines", "items", "in flight", "balance"), rows)
    received = [
        (each["signal"], f"{each['accepted']:,}", f"{each['refused']:,}", f"{each['failed']:,}")
        for each in told["received"]
    ]
    yield element("h2", "What senders were told")
    yield table(("signal", "accepted", "refused", "failed"), received)


def _passages(told: Document) -> Iterator[Html]:
    yield element("h2", "Pipelines")
    rows = [
        (
            element("code", passage["name"]),
            "" if passage["received"] is None else f"{passage['received']:,}",
            f"{passage['accepted']:,}",
            f"{sum(each['items'] for each in passage['left_out']):,}",
            f"{passage['held']:,}",
            f"{passage['handed_on']:,}",
            _balance(passage["imbalance"]),
        )
        for passage in told["pipelines"]
    ]
    yield table(("pipeline", "from receivers", "accepted", "left out", "held", "handed on", "balance"), rows)


def _queues(told: Document) -> Iterator[Html]:
    if not told["queues"]:
        return
    yield element("h2", "Queues")
    rows = [
        (
            Html(element("code", queue["exporter"]) + element("div", queue["signal"], class_="quiet")),
            _KEPT[queue["kind"]],
            *_content(queue),
            "" if queue["fill"] is None else f"{queue['fill']:.0%}",
            _time(queue["oldest_age_s"]),
            _delivery(queue),
        )
        for queue in told["queues"]
    ]
    yield table(("exporter", "kept", "batches", "items", "size", "full", "oldest", "delivery"), rows)


def _content(queue: Document) -> Sequence[str]:
    if queue["kind"] == "none":
        return "", "", ""
    return f"{queue['batches']:,}", f"{queue['items']:,}", _size(queue["size_bytes"])


def _delivery(queue: Document) -> Html:
    if queue["failing_for_s"] is None:
        return element("span", "delivers", class_="status good")
    failing = element("span", f"fails for {_time(queue['failing_for_s'])}", class_="status bad")
    return Html(failing + element("div", queue["last_error"]))


def _guards(told: Document) -> Iterator[Html]:
    rows = [
        (
            "circuit breaker",
            element("code", breaker["exporter"]),
            element("span", breaker["state"].replace("_", "-"), class_=f"status {_BREAKERS[breaker['state']]}"),
            f"for {_time(breaker['for_s'])}",
        )
        for breaker in told["breakers"]
    ]
    rows += [
        (
            "bulkhead",
            element("code", bulkhead["exporter"]),
            element("span", f"{bulkhead['under_way']} of {bulkhead['limit']} places taken"),
            f"{bulkhead['waiting']} waiting",
        )
        for bulkhead in told["bulkheads"]
    ]
    if rows:
        yield element("h2", "Breakers and bulkheads")
        yield table(("guard", "exporter", "state", ""), rows)


def _logs(told: Document) -> Iterator[Html]:
    if not told["logs"]:
        return
    yield element("h2", "Write-ahead logs")
    rows = [
        (
            Html(element("code", log["extension"]) + element("div", log["directory"], class_="quiet")),
            f"{_size(log['used_bytes'])} ({log['used_share']:.0%})",
            _size(log["limit_bytes"]) if log["limit_bytes"] else "the disk",
            _size(log["free_bytes"]),
            f"{log['dead_letters']:,}",
            f"{sum(log['unclaimed'].values()):,}",
        )
        for log in told["logs"]
    ]
    yield table(("log", "used", "limit", "disk free", "dead letters", "items for nobody"), rows)


_BREAKERS = {"closed": "good", "half_open": "wait", "open": "bad"}


def _balance(imbalance: int) -> Html:
    if not imbalance:
        return element("span", "ok", class_="status good")
    return element(
        "span", f"{imbalance:,} missing" if imbalance > 0 else f"{-imbalance:,} too many", class_="status bad"
    )


def _time(seconds: float | None) -> str:
    return "" if seconds is None else format_duration(round(seconds))


def _size(amount_bytes: float) -> str:
    power = 0
    while amount_bytes >= 1024 and power < len(_UNITS) - 1:
        amount_bytes, power = amount_bytes / 1024, power + 1
    return f"{amount_bytes:.1f} {_UNITS[power]}" if power else f"{amount_bytes:.0f} B"
