"""Processors: what happens to a batch between receiver and exporter, one file for each type."""
