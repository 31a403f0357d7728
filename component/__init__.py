"""What a component is: its options, its promises, its registration and what it reports of itself."""

from airis.component.config import Config, Duration, Secret, format_duration, parse_duration
from airis.component.errors import ConsumeError, Partial, Permanent, Retryable, StartError
from airis.component.lifecycle import Component, Consumer, Exporter, Extension, Host, Processor, Receiver
from airis.component.registry import (
    Factory,
    Kind,
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
    "ConsumeError",
    "Consumer",
    "Counter",
    "Duration",
    "Exporter",
    "Extension",
    "Factory",
    "Gauge",
    "Histogram",
    "Host",
    "Kind",
    "Metrics",
    "Partial",
    "Permanent",
    "Processor",
    "Receiver",
    "Retryable",
    "Secret",
    "StartError",
    "Telemetry",
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
