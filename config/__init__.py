"""The configuration language: YAML with positions, substitution, strict options, all errors at once."""

from airis.config.errors import ConfigError, Mark, Problem
from airis.config.load import default_text, load_configuration, read_configuration
from airis.config.model import ComponentConfig, Configuration, PipelineConfig, TelemetryConfig

__all__ = [
    "ComponentConfig",
    "ConfigError",
    "Configuration",
    "Mark",
    "PipelineConfig",
    "Problem",
    "TelemetryConfig",
    "default_text",
    "load_configuration",
    "read_configuration",
]
