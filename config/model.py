"""A whole configuration, as the service is assembled from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field, field_validator

from airis.component import Config, Factory, Kind
from airis.component.listen import parse_endpoint
from airis.config.errors import Mark, Problem
from airis.data import Signal


@dataclass(frozen=True, slots=True)
class ComponentConfig:
    """A configured component: its id, what it is, its options and where it is written."""

    component_id: str
    factory: Factory
    options: Config
    mark: Mark


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """A pipeline of one signal: the ids of its components, processors in their order."""

    pipeline_id: str
    signal: Signal
    receivers: tuple[str, ...]
    processors: tuple[str, ...]
    exporters: tuple[str, ...]


class LogsTelemetryConfig(Config):
    """airis's own log."""

    level: Literal["debug", "info", "warn", "error"] = Field(
        default="info", description="The least level that is written."
    )
    encoding: Literal["console", "json"] = Field(
        default="console", description="One readable or one JSON line per event."
    )
    initial_fields: dict[str, str] = Field(default_factory=dict, description="Fields added to every event.")


class MetricsTelemetryConfig(Config):
    """airis's own metrics."""

    level: Literal["none", "basic", "normal", "detailed"] = Field(
        default="normal", description='"none" turns them off.'
    )
    address: str = Field(default="localhost:8888", description="Where Prometheus can scrape them, under /metrics.")

    @field_validator("address")
    @classmethod
    def _address_can_be_read(cls, address: str) -> str:
        parse_endpoint(address)
        return address


class TelemetryConfig(Config):
    """What airis says of itself."""

    logs: LogsTelemetryConfig = Field(default_factory=LogsTelemetryConfig, description="airis's own log.")
    metrics: MetricsTelemetryConfig = Field(
        default_factory=MetricsTelemetryConfig, description="airis's own metrics, with the Collector's names."
    )


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything a service is made of; every reference in it is known to resolve."""

    source: str
    components: Mapping[Kind, Mapping[str, ComponentConfig]]
    extensions: tuple[str, ...]
    pipelines: Mapping[str, PipelineConfig]
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)
    warnings: tuple[Problem, ...] = ()
    """What may not be meant."""
