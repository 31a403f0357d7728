"""Connectors: the end of some pipelines and the beginning of others, one file for each type."""
