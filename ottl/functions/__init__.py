"""What statements can call: the functions of opentelemetry-collector-contrib, pkg/ottl/ottlfuncs (v0.155)."""

from airis.ottl.functions.editors import EDITORS

__all__ = ["EDITORS"]
