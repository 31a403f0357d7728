"""Telemetry made up for trying airis out: the demo shop and the load generator."""
