"""How much of a text the parsers take: telemetry is written by anyone."""

from airis.ottl.values import EvaluationError

DEEPEST = 100
"""Objects, lists or elements in one another. The Collector takes 10,000 in XML; a payload cannot hold as many."""
LONGEST = 4 << 20
"""Characters of a document, before and after it was edited."""
MOST_NODES = 50_000
"""Elements, attributes, texts and the like of an XML document."""


def within_limits(text: str, what: str) -> str:
    """The text; raises EvaluationError for one that is too long."""
    if len(text) > LONGEST:
        raise EvaluationError(f"{what} has {len(text)} characters, and more than {LONGEST} are not parsed")
    return text
