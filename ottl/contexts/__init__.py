"""What paths mean: a context for each kind of item, with the places that its paths name.

Source: the contexts of opentelemetry-collector-contrib, pkg/ottl/contexts (v0.155). A path may begin with the name of
its context or of one above it (``resource.attributes``); without one it is a field of the context's own.
"""

from airis.ottl.contexts.contexts import CONTEXTS, Context, context
from airis.ottl.contexts.here import Here

__all__ = ["CONTEXTS", "Context", "Here", "context"]
