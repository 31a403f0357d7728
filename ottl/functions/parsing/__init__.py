"""Functions that take texts apart, and digests: those for all processors, and those of the transform processor."""

from airis.ottl.functions.hashing import HASHING
from airis.ottl.functions.parsing.json_text import JSON
from airis.ottl.functions.parsing.network import NETWORK
from airis.ottl.functions.parsing.patterns import PATTERNS
from airis.ottl.functions.parsing.security_logs import SECURITY_LOGS
from airis.ottl.functions.parsing.separated import SEPARATED
from airis.ottl.functions.parsing.severity import SEVERITY
from airis.ottl.functions.parsing.span_names import SPAN_NAMES
from airis.ottl.functions.parsing.url import URLS
from airis.ottl.functions.parsing.user_agent import USER_AGENT
from airis.ottl.functions.parsing.web_logs import WEB_LOGS
from airis.ottl.functions.parsing.xml import XML
from airis.ottl.registry import Functions

PARSING = Functions(
    declared
    for functions in (HASHING, JSON, NETWORK, PATTERNS, SEPARATED, SEVERITY, URLS, USER_AGENT, XML)
    for declared in functions.values()
)
"""What gives a value, in every processor."""

TRANSFORM_ONLY = WEB_LOGS.and_also(SECURITY_LOGS).and_also(SPAN_NAMES)
"""What the transform processor alone has: parsers of logs, and an editor of spans."""

__all__ = ["PARSING", "TRANSFORM_ONLY"]
