"""Exporters: where batches are delivered, one file for each type."""
