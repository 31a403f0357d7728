"""What was measured, as one JSON file, and what of it counts."""

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from airis import __version__
from measuring import Run
from scenario import Case, Goal
from tools import ROOT, ROTEL

FOLDER = ROOT / "benchmarks/results"
REFERENCE = FOLDER / "reference.json"
"""The one that docs/performance.md is made from."""


@dataclass
class Measured:
    """The runs of one case, in pairs."""

    airis: list[Run] = field(default_factory=list)
    rotel: list[Run] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def ratios(self, figure: Callable[[Run], float]) -> list[float]:
        """The peer's figure by that of airis, for each pair."""
        return [figure(peer) / figure(own) for own, peer in zip(self.airis, self.rotel, strict=False)]

    def verdict(self, goal: Goal) -> list[tuple[str, bool]]:
        """Each goal in words, and whether it was met."""
        if not self.airis:
            return []
        own = self.airis
        cpu = median(run.cpu_s_per_million for run in own)
        found: list[tuple[str, bool]] = []
        if goal.cpu_s_per_million is not None:
            found.append((f"≤ {goal.cpu_s_per_million:g}", cpu <= goal.cpu_s_per_million))
        if goal.times_cheaper is not None and self.rotel:
            ratio = median(self.ratios(lambda run: run.cpu_s_per_million))
            found.append((f"rotel ≥ {goal.times_cheaper:g} times", ratio >= goal.times_cheaper))
        if goal.requests_per_core_second is not None:
            rate = median(run.requests_per_core_s for run in own)
            words = f"≥ {goal.requests_per_core_second / 1000:g} k requests per core-second"
            found.append((words, rate >= goal.requests_per_core_second))
        if goal.times_the_store is not None:
            times = median(run.more["times_the_store"] for run in own)
            found.append((f"≤ {goal.times_the_store:g} times the store", times <= goal.times_the_store))
        if goal.times_without_log is not None:
            times = median(run.more["times_without_log"] for run in own)
            found.append((f"≤ {goal.times_without_log:g} times", times <= goal.times_without_log))
        if goal.replay_mb_per_s is not None:
            speed = median(run.more["replay_mb_per_s"] for run in own)
            found.append((f"≥ {goal.replay_mb_per_s:g} MB/s", speed >= goal.replay_mb_per_s))
            found.append(("0 lost", all(run.lost == 0 for run in own)))
        if goal.start_s is not None:
            start = median(run.more["start_s_scaled"] for run in own)
            found.append((f"start ≤ {goal.start_s:g} s", start <= goal.start_s))
        if goal.rss_times_steady is not None:
            times = median(run.more["rss_times_steady"] for run in own)
            found.append((f"memory ≤ {goal.rss_times_steady:g} times steady", times <= goal.rss_times_steady))
            found.append(("0 lost", all(run.lost == 0 for run in own)))
        return found


@dataclass
class Results:
    """All of one `make bench`."""

    made: dict[str, Any]
    controls: list[dict[str, float]] = field(default_factory=list)
    """Each time before and after."""
    cases: dict[str, dict[str, Measured]] = field(default_factory=dict)
    """By scenario and case."""

    def of(self, scenario: str, case: Case) -> Measured:
        """The runs of a case, none where it was not measured."""
        return self.cases.get(scenario, {}).get(case.name, Measured())

    def again(self, made: dict[str, Any]) -> "Results":
        """These results, of which some cases are measured again under such conditions."""
        both = {
            name: value if str(made[name]) in str(value).split(", ") else f"{value}, {made[name]}"
            for name, value in self.made.items()
        }
        return Results(both, self.controls, self.cases)

    def write(self, path: Path) -> None:
        """As JSON."""
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1, default=str) + "\n")


def read(path: Path) -> Results:
    """From JSON."""
    found = json.loads(path.read_text())
    cases = {
        scenario: {
            name: Measured([Run(**run) for run in case["airis"]], [Run(**run) for run in case["rotel"]], case["failed"])
            for name, case in by_name.items()
        }
        for scenario, by_name in found["cases"].items()
    }
    return Results(found["made"], found["controls"], cases)


def conditions(pairs: int, seconds: float) -> dict[str, Any]:
    """What the figures hold for."""
    rotel = ""
    if ROTEL.exists():
        (folder,) = ROTEL.parents[1].glob("rotel-*.dist-info") or [Path("rotel-")]
        rotel = folder.name.removeprefix("rotel-").removesuffix(".dist-info")
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cpu": model[0].partition(": ")[2] if model else platform.machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "airis": __version__,
        "commit": commit.stdout.strip(),
        "rotel": rotel,
        "pairs": pairs,
        "seconds": seconds,
    }


def median(figures: Iterable[float]) -> float:
    """NaN where there are none."""
    found = list(figures)
    return statistics.median(found) if found else float("nan")
