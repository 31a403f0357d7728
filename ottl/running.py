"""Groups of statements and conditions carried out on batches."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError

from airis.component import Permanent, Telemetry
from airis.component.occasional import Occasional
from airis.data import Batch, Signal, kernels
from airis.ottl.contexts import Here
from airis.ottl.options import Group
from airis.ottl.payload import here_of
from airis.ottl.values import EvaluationError
from airis.proto.otlp import parse


def parsed(batch: Batch) -> Any:
    """A batch as one request; raises Permanent for what is none."""
    try:
        return parse(batch.signal, batch.payload)
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

    def __init__(self, signal: Signal, groups: Sequence[Group], telemetry: Telemetry) -> None:
        self.signal = signal
        self.groups = groups
        self.faults = Faults(telemetry)

    def transformed(self, batch: Batch) -> Batch:
        """The batch after all statements, the very same where nothing changed; raises Permanent."""
        if not self.groups:
            return batch
        request = parsed(batch)
        for group in self.groups:
            self._run(group, request, batch)
        payload = request.SerializeToString()
        if payload == batch.payload:
            return batch
        return batch.with_payload(payload, kernels.count_items(batch.signal, payload))

    def _run(self, group: Group, request: Any, batch: Batch) -> None:
        for here in here_of(self.signal, request, group.context, batch.origin.metadata):
            if group.conditions and not self.faults.any_holds(group, here):
                continue
            for statement in group.statements:
                try:
                    statement(here)
                except EvaluationError as error:
                    self.faults.note(group, statement.text, error)
