"""What the filter processor asks of a metric about its data points."""

from typing import Any

from airis.ottl.arguments import Getter
from airis.ottl.contexts.fields import data_of
from airis.ottl.registry import Converter, Functions
from airis.ottl.values import equal, from_any

ON_METRICS = Functions()


@ON_METRICS.declare("HasAttrKeyOnDatapoint", contexts=["metric"])
def has_attr_key_on_datapoint(key: str) -> Converter:
    """Whether a data point of the metric has an attribute."""
    return lambda here: any(attribute.key == key for point in _points(here) for attribute in point.attributes)


@ON_METRICS.declare("HasAttrOnDatapoint", contexts=["metric"])
def has_attr_on_datapoint(key: str, value: Getter) -> Converter:
    """Whether a data point of the metric has an attribute of this value."""

    def test(here: Any) -> bool:
        wanted = value(here)
        return any(
            attribute.key == key and equal(from_any(attribute.value), wanted)
            for point in _points(here)
            for attribute in point.attributes
        )

    return test


def _points(here: Any) -> Any:
    data = data_of(here.metric)
    return () if data is None else data.data_points
