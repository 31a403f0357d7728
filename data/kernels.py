"""The kernels in use: native ones where the Rust core is installed, the reference ones otherwise.

Both have the same names and one test-suite; nothing above this module knows which one works.
``AIRIS_KERNELS=reference`` chooses the reference back end by hand.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from airis.data.expressions import InvalidExpression
from airis.data.malformed import MalformedPayload

backend: Literal["native", "reference"] = "reference"
if TYPE_CHECKING:
    from airis.data.reference import (
        Announced,
        ArrowTable,
        Blocks,
        Edits,
        Pattern,
        Predicate,
        RemoteWritten,
        Sampler,
        Samples,
        SeriesIndex,
        TraceIndex,
        View,
        concat,
        count_items,
        from_json,
        from_remote_write,
        samples,
        scan,
        split,
        to_json,
        validate,
    )

__all__ = [
    "Announced",
    "ArrowTable",
    "Blocks",
    "Edits",
    "InvalidExpression",
    "MalformedPayload",
    "Pattern",
    "Predicate",
    "RemoteWritten",
    "Sampler",
    "Samples",
    "SeriesIndex",
    "TraceIndex",
    "View",
    "backend",
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

if not TYPE_CHECKING:
    _kernels = None
    if os.environ.get("AIRIS_KERNELS") != "reference":
        try:
            _kernels = import_module("airis._core")
            backend = "native"
        except ImportError:
            pass
    _kernels = _kernels or import_module("airis.data.reference")
    globals().update({name: getattr(_kernels, name) for name in __all__ if name not in globals()})
