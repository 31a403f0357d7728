"""The reference kernels: small, obvious, on protobuf's own messages. The native ones are tested against them."""

from airis.data.reference.native import Blocks, encode_native
from airis.data.reference.series import SeriesIndex
from airis.data.reference.split import split
from airis.data.reference.validate import count_items, validate
from airis.proto.otlp_json import from_json, to_json

__all__ = ["Blocks", "SeriesIndex", "count_items", "encode_native", "from_json", "split", "to_json", "validate"]
