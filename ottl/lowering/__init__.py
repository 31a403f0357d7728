"""Statements and conditions as programs of the kernels, which carry them out on all items of a payload at once.

Only what comes out as item by item is lowered. Where that depends on the data, a lowered statement or condition has a
*doubt* with it: what some item must not fulfil, such as a text where a map is wanted, which is an error that has to be
told. A payload with a doubtful item is worked on item by item.

Two things are left open, and may be different in the two ways: what becomes of the further attributes of a key that
comes twice, which OTLP forbids (the first counts in both), and whether statements and conditions are carried out on a
resource, a scope or a metric without any items.
"""

from airis.ottl.lowering.conditions import LoweredCondition, lower_condition
from airis.ottl.lowering.sources import NotLowered
from airis.ottl.lowering.statements import LoweredStatement, lower_statement

__all__ = ["LoweredCondition", "LoweredStatement", "NotLowered", "lower_condition", "lower_statement"]
