"""Batches and the kernels that work on them: what crosses every stage of a pipeline."""

from airis.data.batch import NO_AUTH, NO_METADATA, NO_ORIGIN, Batch, Origin, Signal, combined_id, join, parts_of

__all__ = ["NO_AUTH", "NO_METADATA", "NO_ORIGIN", "Batch", "Origin", "Signal", "combined_id", "join", "parts_of"]
