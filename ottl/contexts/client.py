"""What is known of the client that sent an item: ``otelcol.client.metadata`` and its like."""

from collections.abc import Sequence

from airis.ottl.arguments import Place
from airis.ottl.contexts.fields import Table, TakesNoKeys
from airis.ottl.contexts.here import Here
from airis.ottl.contexts.places import Fixed, Key, Where
from airis.ottl.values import EvaluationError, Value, taken, type_name


def _metadata(_where: Where, keys: Sequence[Key]) -> Place:
    if len(keys) > 2:
        raise TakesNoKeys

    def get(here: Here) -> Value:
        if not keys:
            return {name: list(values) for name, values in here.metadata.items()}
        name = keys[0](here)
        if not isinstance(name, str):
            raise EvaluationError(f"metadata has keys of type string, not {type_name(name)}")
        values = here.metadata.get(name.lower())
        if values is None or len(keys) == 1:
            return None if values is None else list(values)
        return taken(list(values), keys[1](here))

    return Fixed("client metadata", get)


CLIENT: Table = {"client.metadata": _metadata, "grpc.metadata": _metadata}
"""The fields of ``otelcol``; they cannot be set."""
