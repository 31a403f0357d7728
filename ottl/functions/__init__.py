"""What statements can call: the functions of opentelemetry-collector-contrib, pkg/ottl/ottlfuncs (v0.155)."""

from airis.ottl.functions.datapoints import ON_METRICS
from airis.ottl.functions.editors import EDITORS
from airis.ottl.functions.parsing import PARSING, TRANSFORM_ONLY
from airis.ottl.registry import Functions

CONVERTERS = Functions().and_also(PARSING)
"""What gives a value."""

TRANSFORM = EDITORS.and_also(CONVERTERS).and_also(TRANSFORM_ONLY)
"""Of the transform processor."""
FILTER = CONVERTERS.and_also(ON_METRICS)
"""Of the filter processor."""

__all__ = ["CONVERTERS", "EDITORS", "FILTER", "TRANSFORM"]
