"""The kernels in use: native ones where the Rust core is installed, the reference ones otherwise.

Both have the same names and one test-suite; nothing above this module knows which one works.
``AIRIS_KERNELS=reference`` chooses the reference back end by hand.
"""

import os
from typing import TYPE_CHECKING, Literal

from airis.data.expressions import InvalidExpression
from airis.data.malformed import MalformedPayload

# OTLP/JSON has no native kernel yet.
from airis.proto.otlp_json import from_json, to_json

backend: Literal["native", "reference"] = "reference"
if TYPE_CHECKING or os.environ.get("AIRIS_KERNELS") == "reference":
    from airis.data.reference import (
        Blocks,
        Edits,
        Pattern,
        Predicate,
        SeriesIndex,
        View,
        concat,
        count_items,
        scan,
        split,
        validate,
    )
else:
    try:
        from airis._core import (
            Blocks,
            Edits,
            Pattern,
            Predicate,
            SeriesIndex,
            View,
            concat,
            count_items,
            scan,
            split,
            validate,
        )

        backend = "native"
    except ImportError:
        from airis.data.reference import (
            Blocks,
            Edits,
            Pattern,
            Predicate,
            SeriesIndex,
            View,
            concat,
            count_items,
            scan,
            split,
            validate,
        )

__all__ = [
    "Blocks",
    "Edits",
    "InvalidExpression",
    "MalformedPayload",
    "Pattern",
    "Predicate",
    "SeriesIndex",
    "View",
    "backend",
    "concat",
    "count_items",
    "from_json",
    "scan",
    "split",
    "to_json",
    "validate",
]
