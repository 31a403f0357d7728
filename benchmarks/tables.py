"""The tables: printed by `make bench`, and written into docs/performance.md."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from measuring import Run
from results import Measured, Results, median
from scenario import Case, Scenario
from tools import ROOT

PAGE = ROOT / "docs/performance.md"
_BLOCK = re.compile(r"(<!-- benchmark: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

NONE = "\N{EN DASH}"

Figure = Callable[[Run], float]


def _cpu(run: Run) -> float:
    return run.cpu_s_per_million


def spread(figures: Iterable[float]) -> str:
    """The median with the range."""
    found = sorted(figures)
    return f"{number(median(found))} ({between(found)})" if found else NONE


def between(figures: Sequence[float]) -> str:
    """The range of sorted figures."""
    return f"{number(figures[0])}{NONE}{number(figures[-1])}"


def number(figure: float) -> str:
    """With as many digits as mean something."""
    if figure != figure:
        return NONE
    return f"{figure:.2f}" if abs(figure) < 10 else f"{figure:.1f}" if abs(figure) < 100 else f"{figure:,.0f}"


def goals(case: Case, measured: Measured) -> str:
    """The goals, and whether they were met."""
    return "; ".join(f"{words}: {'met' if is_met else 'MISSED'}" for words, is_met in measured.verdict(case.goal))


def lost(runs: Iterable[Run]) -> str:
    """Acknowledged items that did not arrive."""
    return f"{sum(run.lost for run in runs):,}"


def refusals(runs: Iterable[Run]) -> int:
    """Requests that were not accepted."""
    return sum(count for run in runs for name, count in run.answers.items() if name != "accepted")


def table(key: str, scenario: Scenario, results: Results) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Head and rows of a scenario."""
    head, row = {
        "saturation": (_SATURATION, _saturation),
        "latency": (_LATENCY, _latency),
        "overload": (_OVERLOAD, _overload),
        "store": (_STORE, _store),
        "log": (_LOG, _log),
        "replay": (_REPLAY, _replay),
    }[scenario.measure]
    rows: list[Sequence[str]] = []
    for case in scenario.cases:
        measured = results.of(key, case)
        if case.not_yet:
            rows.append((case.name, f"not yet: {case.not_yet}", *[""] * (len(head) - 2)))
        elif measured.airis:
            rows.append(row(case, measured))
    return head, rows


_SATURATION = ("", "airis", "rotel", "rotel to airis", "goal", "airis, k/s per core", "MiB, airis / rotel", "generator")


def _saturation(case: Case, measured: Measured) -> Sequence[str]:
    own, peer = measured.airis, measured.rotel
    return (
        case.name + (f" ({refusals(own)} not accepted)" if refusals(own) else ""),
        spread(map(_cpu, own)),
        spread(map(_cpu, peer)),
        number(median(measured.ratios(_cpu))),
        goals(case, measured),
        number(median(1e3 / run.cpu_s_per_million for run in own)),
        f"{_mib(own)} / {_mib(peer)}",
        number(median(run.load_cpu_s_per_million for run in own)),
    )


def _mib(runs: Sequence[Run]) -> str:
    return f"{max(run.rss_peak_mib for run in runs):.0f}" if runs else NONE


_LATENCY = ("", "airis p50, ms", "p99", "rotel p50, ms", "p99", "airis, requests/s", "rotel, requests/s")


def _latency(case: Case, measured: Measured) -> Sequence[str]:
    def at(runs: Iterable[Run], quantile: str) -> str:
        return spread(run.more["latency_ms"][quantile] for run in runs)

    own, peer = measured.airis, measured.rotel
    rates = (number(median(run.more["rate"] for run in runs)) for runs in (own, peer))
    return (case.name, at(own, "p50"), at(own, "p99"), at(peer, "p50"), at(peer, "p99"), *rates)


_OVERLOAD = ("", "due, k/s", "accepted, k/s", "refused", "not sent", "lost", "MiB, steady", "peak", "times", "goal")


def _overload(case: Case, measured: Measured) -> Sequence[str]:
    cells = []
    for name, runs in (("airis", measured.airis), ("rotel", measured.rotel)):
        figures: tuple[Figure, ...] = (
            lambda run: run.more["rate"] * run.items_per_request / 1000,
            lambda run: run.items_per_s / 1000,
            lambda run: run.more["refused_requests"],
            lambda run: run.more["unsent"],
            lambda run: run.lost,
            lambda run: run.more["steady_mib"],
            lambda run: run.rss_peak_mib,
            lambda run: run.more["rss_times_steady"],
        )
        if runs:
            cells.append((name, *(number(median(map(figure, runs))) for figure in figures)))
    joined = (" / ".join(column) for column in zip(*cells, strict=True))
    _, *figures_of_both = joined
    return (f"{case.name}, {' / '.join(name for name, *_ in cells)}", *figures_of_both, goals(case, measured))


_STORE = (
    "",
    "airis itself",
    "with the store",
    "store alone, same blocks",
    "65,536 rows",
    "times",
    "rows an insert",
    "goal",
)


def _store(case: Case, measured: Measured) -> Sequence[str]:
    own = measured.airis

    def more(name: str) -> str:
        return spread(run.more[name] for run in own)

    return (
        case.name + (f" ({lost(own)} lost)" if any(run.lost for run in own) else ""),
        spread(run.own_cpu_s_per_million for run in own),
        spread(map(_cpu, own)),
        more("store_alone_cpu_s_per_million"),
        more("store_alone_full_blocks_cpu_s_per_million"),
        more("times_the_store"),
        number(median(run.more["rows"] / run.more["inserts"] for run in own)),
        goals(case, measured),
    )


_LOG = ("", "with the log", "without", "times", "MiB, with / without", "lost", "goal")


def _log(case: Case, measured: Measured) -> Sequence[str]:
    own = measured.airis
    return (
        case.name + (f" ({refusals(own)} not accepted)" if refusals(own) else ""),
        spread(map(_cpu, own)),
        spread(run.more["without_cpu_s_per_million"] for run in own),
        spread(run.more["times_without_log"] for run in own),
        f"{_mib(own)} / {max(run.more['without_mib'] for run in own):.0f}",
        lost(own),
        goals(case, measured),
    )


_REPLAY = (
    "",
    "backlog, GB",
    "MB/s",
    "k/s",
    "CPU-s/M",
    "start, s",
    "of 10 GB",
    "empty",
    "CPU-s",
    "delivering",
    "MiB",
    "lost",
    "goal",
)


def _replay(case: Case, measured: Measured) -> Sequence[str]:
    own = measured.airis

    def more(name: str) -> str:
        return spread(run.more[name] for run in own)

    return (
        case.name,
        number(median(run.more["backlog_gb"] for run in own)),
        more("replay_mb_per_s"),
        spread(run.items_per_s / 1e3 for run in own),
        spread(map(_cpu, own)),
        more("start_s"),
        more("start_s_scaled"),
        more("empty_start_s"),
        " / ".join(map(more, ("start_cpu_s", "start_cpu_s_scaled", "empty_start_cpu_s"))),
        more("delivering_start_s"),
        _mib(own),
        lost(own),
        goals(case, measured),
    )


def text(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for a terminal."""
    lines = [head, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(x, widths, strict=True)).rstrip() for x in lines
    )


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for a page."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows))


def conditions(results: Results) -> str:
    """One sentence on where and when."""
    made = results.made
    controls = {name: sorted(each[name] for each in results.controls) for name in results.controls[0]}
    copy, *rest = controls.items()
    named = [f"{copy[0]} {copy[1][0]:.3f}", *(f"{name} {between(figures)}" for name, figures in rest)]
    runs = [run for case in results.cases.values() for each in case.values() for run in [*each.airis, *each.rotel]]
    others = sorted(run.others for run in runs)
    elsewhere = (
        f"Other work took {median(others):.0%} of the system's CPU during a run (median), at most {others[-1]:.0%}."
    )
    return (
        f"{made['date']}, commit {made['commit']}: {made['cpus']} CPUs ({made['cpu']}), CPython {made['python']}, "
        f"rotel {made['rotel'] or 'none'}; {made['pairs']} pairs of {made['seconds']} s. "
        f"Controls: {'; '.join(named)}. {elsewhere}"
    )


def page(scenarios: dict[str, Scenario], results: Results, page_text: str) -> str:
    """The page with the blocks between its marks made anew."""

    def block(found: re.Match[str]) -> str:
        name = found["name"]
        if name == "conditions":
            made = conditions(results)
        else:
            scenario = scenarios[name]
            made = "\n\n".join(filter(None, (scenario.about, markdown(*table(name, scenario, results)))))
        return f"{found[1]}{made}\n{found[3]}"

    return _BLOCK.sub(block, page_text)


def shown(page_text: str) -> set[str]:
    """Scenarios that the page has a place for."""
    return {found["name"] for found in _BLOCK.finditer(page_text)} - {"conditions"}


def write_page(scenarios: dict[str, Scenario], results: Results, path: Path = PAGE) -> None:
    """Bring docs/performance.md up to date."""
    path.write_text(page(scenarios, results, path.read_text()))
