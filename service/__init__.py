"""The engine: graph, lifecycle, own telemetry and the command line."""
