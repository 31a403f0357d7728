"""Leave out telemetry that a condition of the OpenTelemetry Transformation Language holds for."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from airis.component import Config, Consumer, Partial, Permanent, Processor, Telemetry, processor
from airis.component.item_matching import MatchConfig, RegexpCache
from airis.component.telemetry import left_out
from airis.component.unsupported import not_supported
from airis.data import Batch, Signal, kernels
from airis.data.expressions import Expression
from airis.ottl.filtering import Filter
from airis.ottl.functions import FILTER
from airis.ottl.options import ERROR_MODE, ConditionsConfig, ConditionText, ErrorMode, Group, compiled
from airis.ottl.running import Faults
from airis.processors.filter.include_exclude import LogMatch, MetricMatch, kept

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


_INCLUDE = "The oldest form: the {} that are kept, all others are left out."
_EXCLUDE = "The oldest form: the {} that are left out, also of those that include has. {}"


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
    include: MetricMatch | None = Field(default=None, description=_INCLUDE.format("metrics"))
    exclude: MetricMatch | None = Field(
        default=None, description=_EXCLUDE.format("metrics", "Either a name or the resource's attributes are enough.")
    )
    regexp: RegexpCache | None = Field(
        default=None, description="The Collector's cache of matches. It has no effect: nothing is remembered here."
    )

    @model_validator(mode="after")
    def _is_of_one_form(self) -> Self:
        _check_one_form(self)
        return self

    def kept(self) -> Expression | None:
        """What holds for the data points that include and exclude keep; None for all."""
        return _kept(self)


class LogFilterConfig(Config):
    """Conditions on logs by context."""

    resource: list[ConditionText] = Field(default_factory=list[ConditionText], description="On resources.")
    log_record: list[ConditionText] = Field(default_factory=list[ConditionText], description="On log records.")
    include: LogMatch | None = Field(default=None, description=_INCLUDE.format("log records"))
    exclude: LogMatch | None = Field(
        default=None, description=_EXCLUDE.format("log records", "All that is given must hold.")
    )

    @model_validator(mode="after")
    def _is_of_one_form(self) -> Self:
        _check_one_form(self)
        return self

    def kept(self) -> Expression | None:
        """What holds for the log records that include and exclude keep; None for all."""
        return _kept(self)


AnyFilterConfig = TraceFilterConfig | MetricFilterConfig | LogFilterConfig

_CONTEXTS = {
    "resource": "resource",
    "span": "span",
    "spanevent": "spanevent",
    "metric": "metric",
    "datapoint": "datapoint",
    "log_record": "log",
}


def _by_context(config: AnyFilterConfig) -> Iterator[ConditionsConfig]:
    for name, context in _CONTEXTS.items():
        if conditions := getattr(config, name, None):
            yield ConditionsConfig(context=context, conditions=conditions)


def _check_one_form(config: MetricFilterConfig | LogFilterConfig) -> None:
    """Raise ValueError for conditions beside include and exclude."""
    conditions = [name for name in _CONTEXTS if getattr(config, name, None)]
    if conditions and (config.include or config.exclude):
        raise ValueError(f"include and exclude cannot be used with {', '.join(conditions)}; write them as conditions")


def _kept(config: MetricFilterConfig | LogFilterConfig) -> Expression | None:
    return kept(
        config.include.conditions() if config.include else (), config.exclude.conditions() if config.exclude else ()
    )


class FilterConfig(Config):
    """What is left out of each signal."""

    error_mode: ErrorMode = Field(default="ignore", description=ERROR_MODE)
    trace_conditions: Conditions = Field(default_factory=Conditions, description=_LIST.format("traces"))
    metric_conditions: Conditions = Field(default_factory=Conditions, description=_LIST.format("metrics"))
    log_conditions: Conditions = Field(default_factory=Conditions, description=_LIST.format("logs"))
    traces: TraceFilterConfig | None = Field(default=None, description=_OLDER.format("trace_conditions"))
    metrics: MetricFilterConfig | None = Field(default=None, description=_OLDER.format("metric_conditions"))
    logs: LogFilterConfig | None = Field(default=None, description=_OLDER.format("log_conditions"))
    spans: MatchConfig | None = Field(
        default=None,
        description="The oldest form of trace_conditions: the spans that are kept, and those that are not.",
    )
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
        _groups(_by_context(given) if isinstance(given, AnyFilterConfig) else given or [], signal, "ignore")
        return given

    @field_validator("spans")
    @classmethod
    def _can_be_matched(cls, spans: MatchConfig | None) -> MatchConfig | None:
        if spans is not None and (reason := spans.refusal(Signal.TRACES)):
            raise ValueError(reason)
        return spans

    @model_validator(mode="after")
    def _is_of_one_form(self) -> Self:
        for signal, newer in _FIELDS.items():
            given = [newer] if getattr(self, newer) else []
            if getattr(self, signal) not in (None, type(getattr(self, signal))()):
                given.append(str(signal))
            if signal is Signal.TRACES and self.spans is not None:
                given.append("spans")
            if len(given) > 1:
                raise ValueError(f"{' and '.join(given)} are forms of the same and cannot be used together")
        return self

    def groups(self, signal: Signal) -> list[Group]:
        """The conditions on a signal, compiled."""
        older: AnyFilterConfig | None = getattr(self, signal)
        newer: Conditions = getattr(self, _FIELDS[signal])
        return _groups([*newer, *(_by_context(older) if older else ())], signal, self.error_mode)

    def predicate(self, signal: Signal) -> kernels.Predicate | None:
        """What holds for the items that the oldest forms keep, compiled; None for all items."""
        if signal is Signal.TRACES:
            return self.spans.predicate(signal) if self.spans else None
        older = self.metrics if signal is Signal.METRICS else self.logs
        condition = older.kept() if older else None
        return None if condition is None else kernels.Predicate(signal, condition)


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
        self._predicates = {signal: config.predicate(signal) for signal in _FIELDS}
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
        left = chosen.left_of(_selected(batch, self._predicates[batch.signal]))
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


def _selected(batch: Batch, predicate: kernels.Predicate | None) -> Batch:
    """The items that a predicate holds for, the very same batch where that is all."""
    if predicate is None:
        return batch
    view = batch.view()
    selected = view.select(predicate.mask(view))
    return batch if selected is view else batch.with_view(selected)
