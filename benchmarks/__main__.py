"""Measure airis beside rotel: CPU-seconds per million items, latency, memory (docs/performance.md says how).

The system under test is pinned to the last CPU, all else to the first. Every run is a fresh process; the systems take
turns, and the median of the pairs counts. On a shared machine a ratio counts, a time does not.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import controls
import measuring
import results
import tables
import tools
from processes import LOAD_CPU, Failed
from results import Measured, Results
from scenario import Case, Scenario, load_all


def chosen(scenarios: dict[str, Scenario], only: list[str]) -> list[tuple[str, Scenario, Case]]:
    """The cases whose scenario or name has one of these words in it."""
    cases = [(key, scenario, case) for key, scenario in scenarios.items() for case in scenario.cases]
    return [each for each in cases if not only or any(word in f"{each[0]}: {each[2].name}" for word in only)]


def measure(scenario: Scenario, case: Case, measured: Measured, pairs: int, seconds: float, *, peer: bool) -> None:
    """Run the systems in turn."""
    for _ in range(pairs):
        for name, runs in (("airis", measured.airis), ("rotel", measured.rotel)):
            if name == "rotel" and not (peer and case.rotel and scenario.rotel is not None):
                continue
            try:
                runs.append(measuring.run(name, scenario, case, seconds))
            except Failed as failed:
                measured.failed.append(f"{name}: {failed}")
                print(f"  {name} failed: {failed}", file=sys.stderr)


def measure_all(arguments: argparse.Namespace, scenarios: dict[str, Scenario]) -> Results:
    """Measure what is asked for, and print as it comes."""
    tools.build()
    has_peer = tools.ROTEL.exists() and not arguments.without_rotel
    if not has_peer:
        print("rotel is not there: measuring without a peer")
    os.sched_setaffinity(0, {LOAD_CPU})
    found = Results(results.conditions(arguments.pairs, arguments.seconds))
    if arguments.into:
        found = results.read(arguments.into).again(found.made)
        arguments.json = arguments.into
    found.controls.append(controls.measure())
    cases = chosen(scenarios, arguments.only)
    for number, (key, scenario, case) in enumerate(cases, 1):
        if case.not_yet:
            continue
        started = time.monotonic()
        print(f"[{number}/{len(cases)}] {scenario.title}: {case.name}", flush=True)
        measured = found.cases.setdefault(key, {})[case.name] = Measured()
        measure(scenario, case, measured, arguments.pairs, arguments.seconds, peer=has_peer)
        if measured.airis:
            head, rows = tables.table(key, scenario.model_copy(update={"cases": [case]}), found)
            print("  " + "; ".join(f"{name} {cell}" for name, cell in zip(head[1:], rows[0][1:], strict=True) if cell))
        print(f"  took {time.monotonic() - started:.0f} s", flush=True)
        found.write(arguments.json)
    found.controls.append(controls.measure())
    found.write(arguments.json)
    return found


def report(scenarios: dict[str, Scenario], found: Results) -> None:
    """Print the tables."""
    print(f"\n{tables.conditions(found)}\nCPU-seconds per million items, unless said otherwise.")
    for key, scenario in scenarios.items():
        head, rows = tables.table(key, scenario, found)
        if rows:
            print(f"\n{scenario.title}\n{tables.text(head, rows)}")


def write_docs(scenarios: dict[str, Scenario], source: Path, *, check: bool) -> None:
    """Make the tables of docs/performance.md from a result, or say where they differ from it."""
    written = tables.PAGE.read_text()
    made = tables.page(scenarios, results.read(source), written)
    missing = set(scenarios) - tables.shown(written)
    if missing:
        sys.exit(f"{tables.PAGE.name} has no place for {', '.join(sorted(missing))}")
    if check and made != written:
        sys.exit(f"{tables.PAGE.name} does not say what {source.name} says; run: python benchmarks --docs")
    if not check:
        tables.PAGE.write_text(made)


def main() -> None:
    """Run the command line."""
    options = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    options.add_argument("--pairs", type=int, default=3, help="runs of every system, in turn")
    options.add_argument("--seconds", type=float, default=3.0, help="length of a window")
    options.add_argument("--only", nargs="+", default=[], help="cases with one of these words in 'scenario: case'")
    options.add_argument("--without-rotel", action="store_true", help="measure airis alone")
    options.add_argument("--list", action="store_true", help="name the cases and end")
    default = results.FOLDER / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    options.add_argument("--json", type=Path, default=default, help="where the result goes, or comes from for --docs")
    options.add_argument("--into", type=Path, help="a result to measure some cases of again")
    options.add_argument("--docs", action="store_true", help="write the tables of docs/performance.md from a result")
    options.add_argument("--check", action="store_true", help="with --docs: only see whether they agree")
    options.add_argument("--show", type=Path, help="print the tables of a result, and end")
    arguments = options.parse_args()
    scenarios = load_all()
    if arguments.list:
        for key, _, case in chosen(scenarios, arguments.only):
            print(f"{key}: {case.name}")
    elif arguments.docs:
        source = results.REFERENCE if arguments.json == default else arguments.json
        write_docs(scenarios, source, check=arguments.check)
    elif arguments.show:
        report(scenarios, results.read(arguments.show))
    else:
        report(scenarios, measure_all(arguments, scenarios))
        print(f"\nwritten to {arguments.json}")


if __name__ == "__main__":
    main()
