"""What statements can call: the functions of opentelemetry-collector-contrib, pkg/ottl/ottlfuncs (v0.159)."""

from airis.ottl.functions.datapoints import ON_METRICS
from airis.ottl.functions.editors import EDITORS
from airis.ottl.functions.encodings import ENCODINGS
from airis.ottl.functions.ids import IDS
from airis.ottl.functions.lambdas import LAMBDAS
from airis.ottl.functions.lists import LISTS
from airis.ottl.functions.parsing import PARSING, TRANSFORM_ONLY
from airis.ottl.functions.strings import STRINGS
from airis.ottl.functions.times import TIMES
from airis.ottl.functions.types import TYPES

VALUES = TYPES.and_also(STRINGS).and_also(ENCODINGS).and_also(LISTS).and_also(TIMES).and_also(IDS).and_also(LAMBDAS)
"""What makes one value of another."""

CONVERTERS = VALUES.and_also(PARSING)
"""What gives a value."""

TRANSFORM = EDITORS.and_also(CONVERTERS).and_also(TRANSFORM_ONLY)
"""Of the transform processor."""
FILTER = CONVERTERS.and_also(ON_METRICS)
"""Of the filter processor."""

__all__ = ["CONVERTERS", "EDITORS", "FILTER", "TRANSFORM", "VALUES"]
