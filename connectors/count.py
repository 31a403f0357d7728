"""Counts spans, events, metrics, data points and log records, by conditions and attributes."""

import time
from collections.abc import Callable
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from airis.component import Config, Connector, Outputs, Telemetry, connector
from airis.component.unsupported import not_supported
from airis.data import Batch, Signal
from airis.ottl.tallying import SECTIONS, Tally, TallyConfig, Wanted, one, wanted

SCOPE = "github.com/open-telemetry/opentelemetry-collector-contrib/connector/countconnector"

Counts = dict[str, TallyConfig]
_WHAT = "Metrics that count {what}, by name. Where the section is not there it is {name} of all of them."


def _default(name: str, what: str) -> Any:
    return Field(
        default_factory=lambda: {name: TallyConfig(description=f"The number of {what} observed.")},
        description=_WHAT.format(what=what, name=name),
    )


class CountConfig(Config):
    """What is counted."""

    spans: Counts = _default("trace.span.count", "spans")
    spanevents: Counts = _default("trace.span.event.count", "span events")
    metrics: Counts = _default("metric.count", "metrics")
    datapoints: Counts = _default("metric.datapoint.count", "data points")
    logs: Counts = _default("log.record.count", "log records")
    profiles: Annotated[dict[str, Any], not_supported("profiles are not counted")] = Field(
        default_factory=dict[str, Any], description="Not supported. Anything in it is an error."
    )

    @model_validator(mode="after")
    def _can_be_compiled(self) -> Self:
        for name, each in self.metrics.items():
            if each.attributes:
                raise ValueError(f"metrics::{name}: metrics have no attributes; count datapoints")
        self.compiled()
        return self

    def compiled(self) -> dict[str, list[Wanted]]:
        """The metrics by section."""
        found: dict[str, list[Wanted]] = {}
        for section in SECTIONS:
            named: Counts = getattr(self, section)
            for name, each in named.items():
                if not name:
                    raise ValueError(f"{section}: a metric needs a name")
                found.setdefault(section, []).append(wanted(name, each, section, one))
        return found


@connector("count", {(signal, Signal.METRICS): "beta" for signal in (Signal.TRACES, Signal.METRICS, Signal.LOGS)})
class CountConnector(Connector[CountConfig]):
    """Count spans, events of spans, metrics, data points and log records.

    Every batch gives the deltas of its own items, by resource, with the first and the last of their times; nothing is
    kept, and a batch is acknowledged when they were taken. Items are counted in groups, events, metrics and
    whatever has conditions one by one, which costs several microseconds for each.
    """

    def __init__(
        self, config: CountConfig, downstream: Outputs, telemetry: Telemetry, clock: Callable[[], int] = time.time_ns
    ) -> None:
        super().__init__(config, downstream, telemetry)
        self.tally = Tally(config.compiled(), SCOPE, telemetry, is_monotonic=True, clock=clock)

    async def consume(self, batch: Batch) -> None:
        """Return when the counts were taken."""
        await self.tally.consume(batch, self.downstream.by_signal[Signal.METRICS])
