"""The reference kernels: small, obvious, on protobuf's own messages. The native ones are tested against them."""

from airis.data.reference.announced import Announced
from airis.data.reference.arrow import ArrowTable
from airis.data.reference.edits import Edits
from airis.data.reference.native import Blocks
from airis.data.reference.pattern import Pattern
from airis.data.reference.predicate import Predicate
from airis.data.reference.remote_write import RemoteWritten, from_remote_write
from airis.data.reference.samples import Samples, samples
from airis.data.reference.sampling import Sampler
from airis.data.reference.series import SeriesIndex
from airis.data.reference.split import split
from airis.data.reference.trace_index import TraceIndex
from airis.data.reference.validate import count_items, validate
from airis.data.reference.view import View, concat, scan
from airis.proto.otlp_json import from_json, to_json

__all__ = [
    "Announced",
    "ArrowTable",
    "Blocks",
    "Edits",
    "Pattern",
    "Predicate",
    "RemoteWritten",
    "Sampler",
    "Samples",
    "SeriesIndex",
    "TraceIndex",
    "View",
    "concat",
    "count_items",
    "from_json",
    "from_remote_write",
    "samples",
    "scan",
    "split",
    "to_json",
    "validate",
]
