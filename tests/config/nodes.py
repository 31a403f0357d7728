"""Documents by path, for tests of where something stands."""

from airis.config.document import Node
from airis.config.errors import Mark

Path = tuple[str, ...]


def nodes(node: Node, path: Path = ()) -> dict[Path, Node]:
    """Every value in the node, itself included."""
    found = {path: node}
    if isinstance(node.value, dict):
        for key, entry in node.value.items():
            found |= nodes(entry.node, (*path, key))
    elif isinstance(node.value, list):
        for i, item in enumerate(node.value):
            found |= nodes(item, (*path, str(i)))
    return found


def marks(node: Node) -> dict[Path, Mark]:
    """Where every value stands."""
    return {path: found.mark for path, found in nodes(node).items()}


def key_marks(node: Node) -> dict[Path, Mark]:
    """Where every key stands."""
    return {
        (*path, key): entry.key_mark
        for path, found in nodes(node).items()
        if isinstance(found.value, dict)
        for key, entry in found.value.items()
    }
