"""What regular expressions and grok patterns find in strings."""

from typing import Any

from airis.ottl.arguments import StringGetter, prepared
from airis.ottl.functions.parsing.grok import Grok
from airis.ottl.patterns import Regex
from airis.ottl.registry import Converter, Functions
from airis.ottl.values import Value

PATTERNS = Functions()


def _with_names(pattern: str) -> Regex:
    regex = Regex(pattern)
    if not any(regex.groups):
        raise ValueError(f"{pattern!a} has no group with a name, such as (?P<name>…)")
    return regex


@PATTERNS.declare("ExtractPatterns")
def extract_patterns(target: StringGetter, pattern: StringGetter) -> Converter:
    """A map of what the named groups of a regular expression find, empty where it does not match."""
    regex = prepared(pattern, _with_names)

    def get(here: Any) -> dict[str, Value]:
        compiled = regex(here)
        found = compiled.first(target(here))
        if found is None:
            return {}
        named = zip(compiled.groups, found[1:], strict=True)
        return {name: text or "" for name, text in named if name}

    return get


@PATTERNS.declare("ExtractGrokPatterns")
def extract_grok_patterns(
    target: StringGetter,
    pattern: StringGetter,
    named_captures_only: bool | None = None,
    pattern_definitions: list[str] | None = None,
) -> Converter:
    """A map of what the parts of a grok pattern find, of the types that they ask for; empty where it does not match."""
    definitions = dict(_definition(text) for text in pattern_definitions or ())
    only_named = bool(named_captures_only)

    def compiled(text: str) -> Grok:
        grok = Grok(text, definitions, only_named)
        if only_named and not grok.has_names:
            raise ValueError(f"{text!a} names nothing; write %{{PATTERN:name}}, or leave out namedCapturesOnly")
        return grok

    grok = prepared(pattern, compiled)

    def get(here: Any) -> dict[str, Value]:
        return grok(here).parse(target(here))

    return get


def _definition(text: str) -> tuple[str, str]:
    name, separator, pattern = text.partition("=")
    if not separator:
        shown = text if len(text) <= 20 else f"{text[:17]}..."
        raise ValueError(f"the pattern definition {shown!a} is not NAME=pattern")
    if ":" in name:
        raise ValueError(f'the name of a pattern has no ":", as {name!a} has')
    return name, pattern
