"""The kernels in use: native ones where the Rust core is installed, the reference ones otherwise.

Both have the same names and one test-suite; nothing above this module knows which one works.
``AIRIS_KERNELS=reference`` chooses the reference back end by hand.
"""

import os
from typing import TYPE_CHECKING, Literal

from airis.data.malformed import MalformedPayload

backend: Literal["native", "reference"] = "reference"
if TYPE_CHECKING or os.environ.get("AIRIS_KERNELS") == "reference":
    from airis.data.reference import (
        Blocks,
        SeriesIndex,
        View,
        count_items,
        from_json,
        scan,
        split,
        to_json,
        validate,
    )
else:
    try:
        from airis._core import Blocks, SeriesIndex, View, count_items, from_json, scan, split, to_json, validate

        backend = "native"
    except ImportError:
        from airis.data.reference import (
            Blocks,
            SeriesIndex,
            View,
            count_items,
            from_json,
            scan,
            split,
            to_json,
            validate,
        )

__all__ = [
    "Blocks",
    "MalformedPayload",
    "SeriesIndex",
    "View",
    "backend",
    "count_items",
    "from_json",
    "scan",
    "split",
    "to_json",
    "validate",
]
