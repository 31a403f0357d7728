"""Which policy kept a span, written where the Collector writes it: into the attributes of its scope."""

from functools import lru_cache

from airis.data import kernels
from airis.data.edits import Edit, Set
from airis.data.fields import Attribute
from airis.processors.tail_sampling.deciding import Verdict

POLICY = Attribute("scope", "tailsampling.policy")
PART = Attribute("scope", "tailsampling.composite_policy")
CACHED = Attribute("scope", "tailsampling.cached_decision")


class Recorder:
    """Writes verdicts into what they are on."""

    def __init__(self) -> None:
        self._edits = lru_cache(maxsize=None)(_edits)

    def recorded(self, view: "kernels.View", verdict: Verdict, is_late: bool = False) -> "kernels.View":
        """The spans of traces with one verdict, with its policies."""
        return view.edit(self._edits(verdict.policy, verdict.part, is_late))


def _edits(policy: str, part: str, is_late: bool) -> "kernels.Edits":
    edits: list[Edit] = [Set(POLICY, policy)] if policy else []
    if part and not is_late:
        edits.append(Set(PART, part))
    if is_late:
        edits.append(Set(CACHED, True))
    return kernels.Edits(edits)
