"""What the native core does with Python's memory, for a memory checker to watch: ``python memory_use.py [broken]``."""

import ctypes
import random
import sys

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from airis import _core as kernels


def payload(spans: int) -> bytes:
    """Spans of many sizes."""
    chance = random.Random(1)
    request = ExportTraceServiceRequest()
    scoped = request.resource_spans.add().scope_spans.add()
    for _ in range(spans):
        span = scoped.spans.add(name="x" * chance.randrange(50), trace_id=bytes(16), span_id=bytes(8))
        for number in range(5):
            span.attributes.add(key=f"k{number}").value.string_value = "v" * chance.randrange(200)
    return request.SerializeToString()


def main(*, is_broken: bool) -> None:
    """Make bytes objects in every way that the core has."""
    spans = 200
    checked, items, _ = kernels.validate("traces", payload(spans))
    assert items == spans
    for size in (1, 7, spans):
        assert b"".join(kernels.split("traces", checked, size))
    view = kernels.scan("traces", checked)
    half = view.select(bytes(index % 2 for index in range(spans)))
    assert kernels.concat([view, half]).payload
    assert kernels.from_json("traces", kernels.to_json("traces", half.payload)) == half.payload
    blocks = view.native(1, kernels.SeriesIndex())
    assert all(blocks.block(table) for table in blocks.tables)
    if is_broken:
        memory = ctypes.CDLL(None)
        memory.malloc.restype = ctypes.c_void_p
        ctypes.memset(memory.malloc(8), 0, 9)


if __name__ == "__main__":
    main(is_broken=sys.argv[1:] == ["broken"])
