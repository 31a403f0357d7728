"""Several sources as one, by the Collector's rules for what replaces what."""

from collections.abc import Sequence
from functools import reduce

from airis.config.document import MAX_DEPTH, Entry, Node
from airis.config.errors import Mark

SEPARATOR = "::"


def merge(base: Node, over: Node) -> Node:
    """`over` laid upon `base`: mappings deeply, everything else replaced, a list as well, and anything by null.

    Each value keeps the mark of where it was written; a key has that of its last writing.
    """
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return over
    entries = dict(base.value)
    for key, entry in over.value.items():
        entries[key] = Entry(entry.key_mark, merge(entries[key].node, entry.node)) if key in entries else entry
    return Node(over.mark, entries, base.substituted or over.substituted)


def nest(names: Sequence[str], mark: Mark, node: Node) -> Node:
    """A mapping in a mapping for the names, all written at `mark`, and the node in the innermost."""
    for name in reversed(names):
        node = Node(mark, {name: Entry(mark, node)}, node.substituted)
    return node


def unfold(node: Node, depth: int = 0) -> Node:
    """The node with every key ``a::b`` as ``b`` in a mapping ``a``; not in lists, as in the Collector.

    Where a key without ``::`` says something else, this one holds. A key that begins or ends with ``::`` stays whole:
    it is an address. `depth` is how many levels are around the node.
    """
    if not isinstance(node.value, dict):
        return node
    plain, paths = dict[str, Entry](), list[Node]()
    for key, entry in node.value.items():
        names = key.split(SEPARATOR)
        if not all(names) or depth + len(names) > MAX_DEPTH:
            names = [key]
        inner = unfold(entry.node, depth + len(names))
        if len(names) == 1:
            plain[key] = Entry(entry.key_mark, inner)
        else:
            paths.append(nest(names, entry.key_mark, inner))
    unfolded = reduce(merge, paths, Node(node.mark, plain))
    return Node(node.mark, unfolded.value, node.substituted)
