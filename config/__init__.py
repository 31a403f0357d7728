"""The configuration language: YAML with positions, substitution, strict options, all errors at once."""

from airis.config.errors import ConfigError, Mark, Problem
from airis.config.load import default_text, load_configuration, read_configuration
from airis.config.model import ComponentConfig, Configuration, PipelineConfig, Sources
from airis.config.telemetry import LogsTelemetryConfig, MetricsTelemetryConfig, ResourceConfig, TelemetryConfig

__all__ = [
    "ComponentConfig",
    "ConfigError",
    "Configuration",
    "LogsTelemetryConfig",
    "Mark",
    "MetricsTelemetryConfig",
    "PipelineConfig",
    "Problem",
    "ResourceConfig",
    "Sources",
    "TelemetryConfig",
    "default_text",
    "load_configuration",
    "read_configuration",
]
