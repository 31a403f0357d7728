"""Groups of statements and conditions carried out on batches."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from airis.component import Permanent, Telemetry
from airis.component.occasional import Occasional
from airis.data import Batch, Signal, kernels
from airis.ottl.compiler import Compiled
from airis.ottl.contexts import Here
from airis.ottl.lowering.plans import EACH_IS_AN_ITEM, KernelStep, Plan, opposite, plan
from airis.ottl.options import Group
from airis.ottl.payload import here_of
from airis.ottl.values import EvaluationError
from airis.proto.otlp import parse

if TYPE_CHECKING:
    from airis.data.kernels import View


def parsed(signal: Signal, payload: bytes) -> Any:
    """A payload as one request; raises Permanent for what is none."""
    try:
        return parse(signal, payload)
    except DecodeError as error:
        raise Permanent(f"it cannot be read: {error}") from error


class Faults:
    """What is done with an error on one item, as the mode of its group says, and how many there were."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._log = telemetry.log
        self._count = telemetry.counter(
            "airis_ottl_errors", "{error}", "Statements and conditions that could not be carried out on an item."
        )
        self._due = Occasional()

    def note(self, group: Group, text: str, error: EvaluationError) -> None:
        """Count, and tell or raise: Permanent in a group that propagates."""
        self._count.add(1, context=group.context)
        if group.error_mode == "propagate":
            raise Permanent(f"{text}: {error}") from error
        if group.error_mode == "ignore" and self._due.due():
            self._log.warning("a statement could not be carried out", statement=text, error=str(error))

    def any_holds(self, group: Group, here: Here) -> bool:
        """Whether one of a group's conditions holds for an item; one that cannot be told does not."""
        for text, test in group.conditions:
            try:
                if test(here):
                    return True
            except EvaluationError as error:
                self.note(group, text, error)
        return False


class Runner:
    """The groups of statements for one signal."""

    def __init__(self, signal: Signal, groups: Sequence[Group], telemetry: Telemetry, *, lower: bool = True) -> None:
        """`lower` says whether the kernels may do what they can."""
        self.signal = signal
        self.groups = groups
        self.faults = Faults(telemetry)
        self._plans = [plan(signal, group) if lower else None for group in groups]

    def transformed(self, batch: Batch) -> Batch:
        """The batch after all statements, the very same where nothing changed; raises Permanent."""
        if not self.groups:
            return batch
        state = _State(batch)
        try:
            for group, chosen in zip(self.groups, self._plans, strict=True):
                if chosen is None or not self._run_plan(chosen, state, batch):
                    self._run(group, group.statements, state, batch)
            return state.batch()
        except kernels.MalformedPayload as error:
            raise Permanent(f"it cannot be read: {error}") from error

    def _run_plan(self, chosen: Plan, state: "_State", batch: Batch) -> bool:
        """Carry a group out with the kernels; False where there is doubt, and all of it has to go item by item."""
        start = state.view()
        if chosen.condition.is_doubtful(start):
            return False
        mask = chosen.condition.mask(start)
        for step in chosen.steps:
            if isinstance(step, KernelStep):
                view = state.view()
                if not step.condition.is_doubtful(view, mask):
                    chosen_items = step.condition.mask(view, mask)
                    edited = view.edit(step.edits, chosen_items)
                    if step.otherwise is not None and chosen_items is not None:
                        edited = edited.edit(step.otherwise, opposite(chosen_items, mask))
                    state.set_view(edited)
                    continue
                if mask is not None and chosen.group.context not in EACH_IS_AN_ITEM:
                    state.set_view(start)  # before this step are others of the kernels only
                    return False
            self._run(chosen.group, step.statements, state, batch, mask)
        return True

    def _run(
        self,
        group: Group,
        statements: Sequence[Compiled],
        state: "_State",
        batch: Batch,
        mask: bytes | None = None,
    ) -> None:
        """Item by item; with a mask, on the items that it has and whatever the group's conditions say by now."""
        items = here_of(self.signal, state.request(), group.context, batch.origin.metadata)
        for index, here in enumerate(items):
            if mask is not None:
                if not mask[index]:
                    continue
            elif group.conditions and not self.faults.any_holds(group, here):
                continue
            for statement in statements:
                try:
                    statement(here)
                except EvaluationError as error:
                    self.faults.note(group, statement.text, error)


class _State:
    """A batch under way, as the kernels or as statements have it, whichever worked on it last."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._view: View | None = None
        self._request: Any = None

    def view(self) -> "View":
        """For the kernels; raises MalformedPayload."""
        if self._request is not None:
            payload = self._request.SerializeToString()
            if self._view is None or payload != self._view.payload:
                self._view = None if payload == self._batch.payload else kernels.scan(self._batch.signal, payload)
            self._request = None
        if self._view is None:
            self._view = self._batch.view()
        return self._view

    def set_view(self, view: "View") -> None:
        """What the kernels made of it."""
        self._view = view
        self._request = None

    def request(self) -> Any:
        """As a message, which may be changed; raises Permanent."""
        if self._request is None:
            payload = self._batch.payload if self._view is None else self._view.payload
            self._request = parsed(self._batch.signal, payload)
        return self._request

    def batch(self) -> Batch:
        """What has become of it, the very same batch where nothing changed."""
        batch = self._batch
        if self._request is None:
            return batch if self._view is None or self._view is batch.view() else batch.with_view(self._view)
        payload = self._request.SerializeToString()
        if payload == batch.payload:
            return batch
        return batch.with_payload(payload, kernels.count_items(batch.signal, payload))
