"""What a component is: its options, its promises, its registration and what it reports of itself."""

from airis.component.config import Config, Duration, Secret, format_duration, parse_duration
from airis.component.errors import ConsumeError, Partial, Permanent, Retryable, StartError, Throttled
from airis.component.health import Health, Member, Overview, PipelineOverview, Status
from airis.component.kind import Kind
from airis.component.lifecycle import (
    Component,
    Connector,
    Consumer,
    Exporter,
    Extension,
    Host,
    Outputs,
    Processor,
    Receiver,
)
from airis.component.registry import (
    Factory,
    connector,
    exporter,
    extension,
    factory_of,
    known_types,
    load,
    processor,
    receiver,
)
from airis.component.telemetry import Counter, Gauge, Histogram, Metrics, Telemetry

__all__ = [
    "Component",
    "Config",
    "Connector",
    "ConsumeError",
    "Consumer",
    "Counter",
    "Duration",
    "Exporter",
    "Extension",
    "Factory",
    "Gauge",
    "Health",
    "Histogram",
    "Host",
    "Kind",
    "Member",
    "Metrics",
    "Outputs",
    "Overview",
    "Partial",
    "Permanent",
    "PipelineOverview",
    "Processor",
    "Receiver",
    "Retryable",
    "Secret",
    "StartError",
    "Status",
    "Telemetry",
    "Throttled",
    "connector",
    "exporter",
    "extension",
    "factory_of",
    "format_duration",
    "known_types",
    "load",
    "parse_duration",
    "processor",
    "receiver",
]
