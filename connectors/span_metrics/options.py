"""What is counted and measured, by what, and for how long it is kept."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from airis.component import Config, Duration
from airis.component.unsupported import not_supported

SERVICE, NAME, KIND, STATUS = "service.name", "span.name", "span.kind", "status.code"
DEFAULT_DIMENSIONS = (SERVICE, NAME, KIND, STATUS)
DEFAULT_BUCKETS_S = (
    0.002,
    0.004,
    0.006,
    0.008,
    0.01,
    0.05,
    0.1,
    0.2,
    0.4,
    0.8,
    1.0,
    1.4,
    2.0,
    5.0,
    10.0,
    15.0,
)
NANOSECONDS = {"ms": 1_000_000, "s": 1_000_000_000}
"""In a unit."""


class Dimension(Config):
    """An attribute that makes a series of its own of every value."""

    name: str = Field(
        default="",
        description="Of the attribute; that of the span counts, where there is none that of the resource. Required.",
    )
    default: str | None = Field(
        default=None,
        description="For spans that have no such attribute; without it their series do not have it either.",
    )
    glob: Annotated[str, not_supported("patterns are not supported; name each attribute")] = Field(
        default="", description="Not supported. Anything in it is an error."
    )

    @model_validator(mode="after")
    def _is_named(self) -> Self:
        if not self.name and not self.glob:
            raise ValueError("needs a name")
        return self


class ExplicitConfig(Config):
    """Buckets with fixed bounds."""

    buckets: list[Duration] = Field(
        default_factory=lambda: list(DEFAULT_BUCKETS_S), description="Upper bounds of the buckets, ascending."
    )

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if any(above <= below for below, above in zip(self.buckets, self.buckets[1:], strict=False)):
            raise ValueError("buckets must ascend")
        return self


class ExponentialConfig(Config):
    """Buckets that grow by a factor, which follows the values."""

    max_size: int = Field(default=160, ge=0, lt=2**16, description="Most buckets; 0 is the default as well.")


class HistogramConfig(Config):
    """How durations are measured."""

    disable: bool = Field(default=False, description="Make no histograms.")
    unit: Literal["ms", "s"] = Field(
        default="ms", description="Of the durations, and part of the metric's name behind."
    )
    explicit: ExplicitConfig | None = Field(
        default=None, description="Buckets with fixed bounds, which is what there is without a choice."
    )
    exponential: ExponentialConfig | None = Field(default=None, description="An exponential histogram instead.")
    dimensions: list[Dimension] = Field(
        default_factory=list[Dimension], description="Dimensions of durations alone, beside the common ones."
    )

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        if self.explicit is not None and self.exponential is not None:
            raise ValueError("use either explicit or exponential")
        return self


class ExemplarsConfig(Config):
    """Spans as examples of what was counted."""

    enabled: bool = Field(default=False, description="Whether points name spans.")
    max_per_data_point: int = Field(
        default=5, ge=0, description="Spans that a point names, the first since the last one."
    )


class EventsConfig(Config):
    """A count of the spans' events. Every event costs as much as a hundred spans without."""

    enabled: bool = Field(default=False, description="Whether events are counted.")
    dimensions: list[Dimension] = Field(
        default_factory=list[Dimension],
        description="Attributes of the events, such as exception.type; at least one where events are counted.",
    )


class SpanMetricsConfig(Config):
    """What is counted and measured, by what, and for how long it is kept."""

    namespace: str = Field(default="traces.span.metrics", description="First part of the metrics' names.")
    histogram: HistogramConfig = Field(default_factory=HistogramConfig, description="How durations are measured.")
    dimensions: list[Dimension] = Field(
        default_factory=list[Dimension],
        description="Attributes to count by, beside service.name, span.name, span.kind and status.code.",
    )
    calls_dimensions: list[Dimension] = Field(
        default_factory=list[Dimension], description="Dimensions of the calls alone, beside the common ones."
    )
    exclude_dimensions: list[str] = Field(
        default_factory=list[str], description="Those of the four that are always there which shall not be."
    )
    events: EventsConfig = Field(default_factory=EventsConfig, description="A count of the spans' events.")
    exemplars: ExemplarsConfig = Field(default_factory=ExemplarsConfig, description="Spans as examples.")
    aggregation_temporality: Literal["AGGREGATION_TEMPORALITY_CUMULATIVE", "AGGREGATION_TEMPORALITY_DELTA"] = Field(
        default="AGGREGATION_TEMPORALITY_CUMULATIVE",
        description="Whether points tell all since the series began, or what came since the last point.",
    )
    aggregation_cardinality_limit: int = Field(
        default=10_000,
        ge=0,
        description="Most series of a metric and resource; what comes in more of them is counted in one that has "
        "otel.metric.overflow alone. 0: no limit, as in the Collector.",
    )
    series_expiration: Duration = Field(
        default=86_400.0,
        ge=0,
        description="A cumulative series ends when no span came for so long. 0: never, as in the Collector.",
    )
    metrics_expiration: Duration = Field(
        default=0.0, ge=0, description="All series of a resource end when none of its spans came for so long. 0: never."
    )
    metrics_flush_interval: Duration = Field(default=60.0, gt=0, description="How often points are handed on.")
    metric_timestamp_cache_size: int = Field(
        default=1000,
        gt=0,
        description="Most series of which it is remembered when their last delta was handed on: the next begins there.",
    )
    add_resource_attributes: bool = Field(
        default=False, description="Give the metrics the resources of the spans; otherwise they have none."
    )
    resource_metrics_key_attributes: list[str] = Field(
        default_factory=list[str],
        description="Attributes that make a resource another one; all of them where none is named.",
    )
    resource_metrics_cache_size: int = Field(
        default=1000,
        gt=0,
        description="Most resources whose series are kept; that which was not seen for longest goes.",
    )
    include_instrumentation_scope: list[str] = Field(
        default_factory=list[str],
        description="Names of scopes that are a dimension of their spans, with their version.",
    )
    dimensions_cache_size: int = Field(default=0, ge=0, description="Has no effect, as in the Collector.")
    enable_metrics_sampling_method: Annotated[
        bool, not_supported("spans count once each: what sampling left out is not extrapolated")
    ] = Field(default=False, description="Not supported. True is an error.")

    @model_validator(mode="after")
    def _names_no_dimension_twice(self) -> Self:
        for option, own in (
            ("dimensions", []),
            ("calls_dimensions", self.calls_dimensions),
            ("histogram::dimensions", self.histogram.dimensions),
            ("events::dimensions", self.events.dimensions),
        ):
            twice = _twice([*DEFAULT_DIMENSIONS, *(each.name for each in [*self.dimensions, *own])])
            if twice:
                raise ValueError(f'{option}: "{twice}" is a dimension already')
        if self.events.enabled and not self.events.dimensions:
            raise ValueError("events::dimensions: name at least one to count events")
        return self

    @property
    def is_delta(self) -> bool:
        """Whether points tell what came since the last one."""
        return self.aggregation_temporality == "AGGREGATION_TEMPORALITY_DELTA"

    def name_of(self, metric: str) -> str:
        """With the namespace."""
        return f"{self.namespace}.{metric}" if self.namespace else metric


def _twice(names: Iterable[Any]) -> Any:
    return next((name for name, times in Counter(names).items() if times > 1), None)
