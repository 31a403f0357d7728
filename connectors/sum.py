"""Adds up attributes of spans, events, data points and log records, by conditions and other attributes."""

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from airis.component import Config, Connector, Outputs, Telemetry, connector
from airis.component.unsupported import not_supported
from airis.data import Batch, Signal
from airis.ottl.tallying import SECTIONS, Amount, Tally, TallyConfig, Wanted, number, wanted
from airis.ottl.values import Value

SCOPE = "github.com/open-telemetry/opentelemetry-collector-contrib/connector/sumconnector"


class SumOfConfig(TallyConfig):
    """A metric."""

    source_attribute: str = Field(
        min_length=1,
        description="The attribute to add up. Texts that are numbers count as such; items with anything else are not "
        "in the metric.",
    )


Sums = dict[str, SumOfConfig]
_WHAT = "Metrics that add up an attribute of {}, by name."


class SumConfig(Config):
    """What is added up."""

    spans: Sums = Field(default_factory=Sums, description=_WHAT.format("spans"))
    spanevents: Sums = Field(default_factory=Sums, description=_WHAT.format("events of spans"))
    datapoints: Sums = Field(default_factory=Sums, description=_WHAT.format("data points"))
    logs: Sums = Field(default_factory=Sums, description=_WHAT.format("log records"))
    metrics: Annotated[dict[str, Any], not_supported("metrics have no attributes; add up those of datapoints")] = Field(
        default_factory=dict[str, Any], description="Not supported. Anything in it is an error."
    )

    @model_validator(mode="after")
    def _can_be_compiled(self) -> Self:
        self.compiled()
        return self

    def compiled(self) -> dict[str, list[Wanted]]:
        """The metrics by section."""
        found: dict[str, list[Wanted]] = {}
        for section in SECTIONS:
            named: Mapping[str, SumOfConfig] = getattr(self, section)
            for name, each in named.items():
                if not name:
                    raise ValueError(f"{section}: a metric needs a name")
                found.setdefault(section, []).append(wanted(name, each, section, _value_of(each.source_attribute)))
        return found


def _value_of(key: str) -> Amount:
    def value(attributes: Mapping[str, Value]) -> float | None:
        return number(attributes.get(key))

    return value


@connector("sum", {(signal, Signal.METRICS): "beta" for signal in (Signal.TRACES, Signal.METRICS, Signal.LOGS)})
class SumConnector(Connector[SumConfig]):
    """Add up an attribute of spans, events of spans, data points or log records.

    Every batch gives the deltas of its own items, by resource, with the first and the last of their times; nothing is
    kept, and a batch is acknowledged when they were taken. Every item that is looked at costs several microseconds.
    """

    def __init__(
        self, config: SumConfig, downstream: Outputs, telemetry: Telemetry, clock: Callable[[], int] = time.time_ns
    ) -> None:
        super().__init__(config, downstream, telemetry)
        self.tally = Tally(config.compiled(), SCOPE, telemetry, is_monotonic=False, clock=clock)

    async def consume(self, batch: Batch) -> None:
        """Return when the sums were taken."""
        await self.tally.consume(batch, self.downstream.by_signal[Signal.METRICS])
