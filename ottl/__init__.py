"""The OpenTelemetry Transformation Language: statements and conditions on telemetry."""
