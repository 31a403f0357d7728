"""Leave out telemetry that a condition of the OpenTelemetry Transformation Language holds for."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from airis.component import Config, Consumer, Partial, Permanent, Processor, Telemetry, processor
from airis.component.telemetry import left_out
from airis.component.unsupported import not_supported
from airis.data import Batch, Signal
from airis.ottl.filtering import Filter
from airis.ottl.functions import FILTER
from airis.ottl.options import ERROR_MODE, ConditionsConfig, ConditionText, ErrorMode, Group, compiled
from airis.ottl.running import Faults

Conditions = list[ConditionText | ConditionsConfig]

_LIST = (
    "Conditions, or groups of them with a context and an error_mode of their own: what one of them holds for is left "
    "out of {}. A condition on a resource or a scope leaves out all that it has."
)
_OLDER = "The older form of {}: lists of conditions by context."
_FIELDS = {
    Signal.TRACES: "trace_conditions",
    Signal.METRICS: "metric_conditions",
    Signal.LOGS: "log_conditions",
}


class TraceFilterConfig(Config):
    """Conditions on traces by context."""

    resource: list[ConditionText] = Field(default_factory=list[ConditionText], description="On resources.")
    span: list[ConditionText] = Field(default_factory=list[ConditionText], description="On spans.")
    spanevent: list[ConditionText] = Field(default_factory=list[ConditionText], description="On events of spans.")


class MetricFilterConfig(Config):
    """Conditions on metrics by context."""

    resource: list[ConditionText] = Field(default_factory=list[ConditionText], description="On resources.")
    metric: list[ConditionText] = Field(default_factory=list[ConditionText], description="On metrics.")
    datapoint: list[ConditionText] = Field(default_factory=list[ConditionText], description="On data points.")


class LogFilterConfig(Config):
    """Conditions on logs by context."""

    resource: list[ConditionText] = Field(default_factory=list[ConditionText], description="On resources.")
    log_record: list[ConditionText] = Field(default_factory=list[ConditionText], description="On log records.")


_CONTEXTS = {"log_record": "log"}


def _by_context(config: Config) -> Iterator[ConditionsConfig]:
    for name in type(config).model_fields:
        if conditions := getattr(config, name):
            yield ConditionsConfig(context=_CONTEXTS.get(name, name), conditions=conditions)


class FilterConfig(Config):
    """What is left out of each signal."""

    error_mode: ErrorMode = Field(default="ignore", description=ERROR_MODE)
    trace_conditions: Conditions = Field(default_factory=Conditions, description=_LIST.format("traces"))
    metric_conditions: Conditions = Field(default_factory=Conditions, description=_LIST.format("metrics"))
    log_conditions: Conditions = Field(default_factory=Conditions, description=_LIST.format("logs"))
    traces: TraceFilterConfig | None = Field(default=None, description=_OLDER.format("trace_conditions"))
    metrics: MetricFilterConfig | None = Field(default=None, description=_OLDER.format("metric_conditions"))
    logs: LogFilterConfig | None = Field(default=None, description=_OLDER.format("log_conditions"))
    profile_conditions: Annotated[list[Any], not_supported("conditions on profiles are not supported")] = Field(
        default_factory=list[Any], description="Not supported. Anything in it is an error."
    )
    profiles: Annotated[dict[str, Any] | None, not_supported("conditions on profiles are not supported")] = Field(
        default=None, description="Not supported. Anything in it is an error."
    )

    @field_validator("trace_conditions", "metric_conditions", "log_conditions", "traces", "metrics", "logs")
    @classmethod
    def _can_be_compiled(cls, given: Any, info: ValidationInfo) -> Any:
        signal = next(s for s, name in _FIELDS.items() if info.field_name in (name, str(s)))
        _groups(_by_context(given) if isinstance(given, Config) else given or [], signal, "ignore")
        return given

    def groups(self, signal: Signal) -> list[Group]:
        """The conditions on a signal, compiled."""
        older: Config | None = getattr(self, signal)
        newer: Conditions = getattr(self, _FIELDS[signal])
        return _groups([*newer, *(_by_context(older) if older else ())], signal, self.error_mode)


def _groups(conditions: Iterable[str | ConditionsConfig], signal: Signal, error_mode: ErrorMode) -> list[Group]:
    """Compiled, from the outside in; raises Unusable."""
    groups = [ConditionsConfig(conditions=[entry]) if isinstance(entry, str) else entry for entry in conditions]
    return [compiled(group, signal, error_mode, FILTER) for group in groups]


@processor("filter", traces="beta", metrics="beta", logs="beta")
class FilterProcessor(Processor[FilterConfig]):
    """Leave out what a condition of the OpenTelemetry Transformation Language (OTTL) holds for.

    Conditions on resources are asked first, then those on scopes, then those on items and on what these consist of. A
    metric without any data points left goes as well, a span without events stays. What is left out is counted, and
    a batch with nothing left is acknowledged here. Common conditions are asked of all items of a batch at once, which
    costs a fraction: ``airis ottl explain 'CONDITION'`` says which way one goes and why.
    """

    def __init__(self, config: FilterConfig, downstream: Consumer, telemetry: Telemetry) -> None:
        super().__init__(config, downstream, telemetry)
        faults = Faults(telemetry)
        self._filters = {signal: Filter(signal, config.groups(signal), faults) for signal in _FIELDS}
        self.left_out = left_out(telemetry)
        self.filtered = {
            signal: telemetry.counter(f"{name}_filtered", "{item}", f"{what} left out by a condition.")
            for signal, name, what in (
                (Signal.TRACES, "spans", "Spans"),
                (Signal.METRICS, "datapoints", "Data points"),
                (Signal.LOGS, "logs", "Log records"),
            )
        }

    async def consume(self, batch: Batch) -> None:
        """Hand on what is left; a batch with nothing left is acknowledged here."""
        chosen = self._filters.get(batch.signal)
        if chosen is None:
            raise Permanent(f"{batch.signal} cannot be filtered")
        left = chosen.left_of(batch)
        try:
            if left.items:
                await self.downstream.consume(left)
        except Partial:
            self._count(batch, left)
            raise
        # Behind the hand-over: a batch that was refused and sent again counts once.
        self._count(batch, left)

    def _count(self, batch: Batch, left: Batch) -> None:
        self.filtered[batch.signal].add(batch.items - left.items)
        self.left_out.add(batch.items - left.items, reason="filtered")
