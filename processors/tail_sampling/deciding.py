"""What becomes of traces, by what all policies say together."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airis.component import Telemetry
from airis.component.occasional import Occasional
from airis.ottl.running import Faults
from airis.processors.tail_sampling.options import TailSamplingConfig
from airis.processors.tail_sampling.policies import (
    DROPPED,
    ERROR,
    NOT_SAMPLED,
    SAMPLED,
    Decisions,
    Policy,
    policy_of,
    those,
)
from airis.processors.tail_sampling.traces import Traces

Labels = dict[str, str]
LABELS: dict[int, Labels] = {
    SAMPLED: {"sampled": "true", "decision": "sampled"},
    NOT_SAMPLED: {"sampled": "false", "decision": "not_sampled"},
    DROPPED: {"sampled": "false", "decision": "dropped"},
}


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What became of traces, which share it."""

    is_kept: bool
    reason: str = ""
    """Why it was not kept."""
    policy: str = ""
    """The first that kept it, where that is recorded."""
    part: str = ""
    """The policy in a composite policy that kept it."""


LEFT_OUT = Verdict(False, "sampled")


@dataclass(frozen=True, slots=True)
class _Named:
    name: str
    policy: Policy
    label: Labels


class Decider:
    """Asks the policies of many traces at once, and counts what each of them says."""

    def __init__(
        self, config: TailSamplingConfig, telemetry: Telemetry, stopwatch: Callable[[], float] = time.perf_counter
    ) -> None:
        self._telemetry = telemetry
        self._log = Occasional()
        faults = Faults(telemetry)
        _, _, name = telemetry.component_id.partition("/")
        prefix = f"{name}." if name else ""
        # What one drops no other needs to be asked of.
        self._policies = [
            _Named(policy.name, policy_of(policy, faults), {"policy": prefix + policy.name})
            for policy in sorted(config.policies, key=lambda policy: policy.type != "drop")
        ]
        self._ends_at_first = config.sample_on_first_match
        self._records = config.record_policy
        self._stopwatch = stopwatch
        self._verdicts: dict[tuple[str, str], Verdict] = {}
        self.traces = telemetry.counter(
            "count_traces_sampled", "{traces}", "Traces that a policy would keep, leave out or drop."
        )
        self.spans = telemetry.counter("count_spans_sampled", "{spans}", "Spans of these traces.")
        self.bytes = telemetry.counter("count_bytes_sampled", "By", "Bytes of these spans, without their resources.")
        self.all_traces = telemetry.counter(
            "global_count_traces_sampled", "{traces}", "Traces that were kept, left out or dropped."
        )
        self.errors = telemetry.counter(
            "sampling_policy_evaluation_error", "{errors}", "Traces of which a policy could not be asked."
        )
        self.asked = telemetry.counter(
            "sampling_policy_execution_count", "{executions}", "Traces a policy was asked of."
        )
        self.took = telemetry.counter("sampling_policy_execution_time_sum", "µs", "Time that a policy took.")

    def decide(self, traces: Traces) -> list[Verdict]:
        """The verdict on each trace, in order."""
        verdicts = [LEFT_OUT] * len(traces)
        dropped = 0
        asked: Sequence[int] = range(len(traces))
        for named in self._policies:
            started = self._stopwatch()
            decisions = self._ask(named, traces, asked)
            self._count(named, traces, asked, decisions, self._stopwatch() - started)
            for number in those(SAMPLED, asked, decisions):
                if verdicts[number] is LEFT_OUT:
                    verdicts[number] = self._kept_by(named.name)
            dropped += decisions.count(DROPPED)
            if DROPPED in decisions or self._ends_at_first:  # one that drops keeps nothing
                over = bytes([SAMPLED, DROPPED])
                asked = [number for number, its in zip(asked, decisions, strict=True) if its not in over]
            if not asked:
                break
        for number, part in traces.parts.items() if self._records else ():
            if verdicts[number].is_kept:
                verdicts[number] = self._kept_by(verdicts[number].policy, part)
        kept = len(traces) - verdicts.count(LEFT_OUT)
        self.all_traces.add(kept, **LABELS[SAMPLED])
        self.all_traces.add(dropped, **LABELS[DROPPED])
        self.all_traces.add(len(traces) - kept - dropped, **LABELS[NOT_SAMPLED])
        return verdicts

    def _ask(self, named: _Named, traces: Traces, asked: Sequence[int]) -> Decisions:
        try:
            return named.policy.decide(traces, asked)
        except Exception:  # a fault of ours must not keep the others from deciding on what nobody else has
            if self._log.due():
                self._telemetry.log.exception("a policy failed", policy=named.name)
            return bytes([ERROR]) * len(asked)

    def _kept_by(self, name: str, part: str = "") -> Verdict:
        key = (name, part) if self._records else ("", "")
        return self._verdicts.get(key) or self._verdicts.setdefault(key, Verdict(True, "", *key))

    def _count(self, named: _Named, traces: Traces, asked: Sequence[int], decisions: Decisions, took_s: float) -> None:
        self.asked.add(len(decisions), **named.label)
        self.took.add(took_s * 1e6, **named.label)
        self.errors.add(decisions.count(ERROR))
        for decision, labels in LABELS.items():
            if decision in decisions:
                numbers = those(decision, asked, decisions)
                labels = named.label | labels
                self.traces.add(len(numbers), **labels)
                self.spans.add(sum(map(traces.spans.__getitem__, numbers)), **labels)
                self.bytes.add(sum(map(traces.sizes.__getitem__, numbers)), **labels)
