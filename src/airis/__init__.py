"""airis: an observability backend that speaks the OpenTelemetry Collector's configuration."""

__version__ = "0.1.0"
