"""Change telemetry with statements of the OpenTelemetry Transformation Language."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from airis.component import Config, Consumer, Permanent, Processor, Telemetry, processor
from airis.component.unsupported import not_supported
from airis.data import Batch, Signal
from airis.ottl.functions import TRANSFORM
from airis.ottl.options import ERROR_MODE, ErrorMode, Group, StatementsConfig, StatementText, compiled
from airis.ottl.running import Runner

Statements = list[StatementText | StatementsConfig]

_LIST = "Statements, or groups of them with a context, conditions and an error_mode of their own, for {}."
_FIELDS = {
    Signal.TRACES: "trace_statements",
    Signal.METRICS: "metric_statements",
    Signal.LOGS: "log_statements",
}


class TransformConfig(Config):
    """What is done to each signal."""

    error_mode: ErrorMode = Field(default="ignore", description=ERROR_MODE)
    trace_statements: Statements = Field(default_factory=Statements, description=_LIST.format("traces"))
    metric_statements: Statements = Field(default_factory=Statements, description=_LIST.format("metrics"))
    log_statements: Statements = Field(default_factory=Statements, description=_LIST.format("logs"))
    profile_statements: Annotated[list[Any], not_supported("statements on profiles are not supported")] = Field(
        default_factory=list[Any], description="Not supported. Anything in it is an error."
    )
    flatten_data: Annotated[bool | None, not_supported("flatten_data is not supported; a group works without it")] = (
        Field(default=None, description="Not supported. Anything in it is an error.")
    )

    @field_validator("trace_statements", "metric_statements", "log_statements")
    @classmethod
    def _can_be_compiled(cls, statements: Statements, info: ValidationInfo) -> Statements:
        signal = next(signal for signal, name in _FIELDS.items() if name == info.field_name)
        groups(statements, signal, "ignore")
        return statements

    def groups(self, signal: Signal) -> list[Group]:
        """What is done to a signal, compiled."""
        return groups(getattr(self, _FIELDS[signal]), signal, self.error_mode) if signal in _FIELDS else []


def groups(
    statements: Sequence[StatementText | StatementsConfig], signal: Signal, error_mode: ErrorMode
) -> list[Group]:
    """Compiled groups; statements that follow one another without a group are one. Raises Unusable."""
    found: list[StatementsConfig] = []
    loose: list[str] = []
    for entry in [*statements, None]:
        if isinstance(entry, str):
            loose.append(entry)
            continue
        if loose:
            found.append(StatementsConfig(statements=loose))
            loose = []
        if entry is not None:
            found.append(entry)
    return [compiled(group, signal, error_mode, TRANSFORM) for group in found]


@processor("transform", traces="beta", metrics="beta", logs="beta")
class TransformProcessor(Processor[TransformConfig]):
    """Change telemetry with statements of the OpenTelemetry Transformation Language (OTTL).

    Groups are carried out one after the other, each on every item in turn. A batch in which nothing changes is handed
    on as it is. Common statements are done to all items of a batch at once, which costs a fraction: ``airis ottl
    explain 'STATEMENT'`` says which way one goes and why, ``airis ottl run`` tries it out on a file.

    Functions that take texts apart take at most 4 MiB, and XML and JSON with at most 100 elements, objects or lists in
    one another.
    """

    def __init__(self, config: TransformConfig, downstream: Consumer, telemetry: Telemetry) -> None:
        super().__init__(config, downstream, telemetry)
        self._runners = {signal: Runner(signal, config.groups(signal), telemetry) for signal in _FIELDS}

    async def consume(self, batch: Batch) -> None:
        """Hand on the changed batch, or the very same where nothing changes."""
        runner = self._runners.get(batch.signal)
        if runner is None:
            raise Permanent(f"{batch.signal} cannot be transformed")
        await self.downstream.consume(runner.transformed(batch))
