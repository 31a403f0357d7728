"""Browsers and operating systems by the text that they send of themselves.

The rules are those of uap-core, which the Collector has as well, as the package ua-parser brings them. Its matcher in
Python backtracks, which a hostile text could use: one of those in linear time is needed.
"""

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import Any

from airis.ottl.arguments import StringGetter
from airis.ottl.functions.parsing.limits import within_limits
from airis.ottl.registry import Converter, Functions
from airis.ottl.values import Value

USER_AGENT = Functions()

_NEEDED = "it needs the packages ua-parser and ua-parser-rs: pip install 'airis[user-agent]'"


@cache
def _parser() -> Callable[[str], Any]:
    """Of a text the browser and the system; ValueError where the packages are missing."""
    try:
        ua_parser: Any = import_module("ua_parser")
    except ImportError:
        raise ValueError(_NEEDED) from None
    resolver = ua_parser.RegexResolver or ua_parser.Re2Resolver
    if resolver is None:
        raise ValueError(_NEEDED)
    parser = ua_parser.Parser(resolver(ua_parser.load_builtins()))
    domains = ua_parser.Domain.USER_AGENT | ua_parser.Domain.OS

    def parse(text: str) -> Any:
        return parser(text, domains)

    return parse


def _version(parts: Sequence[str | None]) -> str:
    """Up to the first part that is not there."""
    given: list[str] = []
    for part in parts:
        if not part:
            break
        given.append(part)
    return ".".join(given)


@USER_AGENT.declare("UserAgent")
def user_agent(user_agent: StringGetter) -> Converter:
    """A map of the browser and the operating system that a user agent's text tells."""
    parse = _parser()

    def get(here: Any) -> dict[str, Value]:
        text = within_limits(user_agent(here), "a user agent")
        found = parse(text)
        browser, system = found.user_agent, found.os
        result: dict[str, Value] = {
            "user_agent.name": browser.family if browser else "Other",
            "user_agent.original": text,
            "user_agent.version": _version((browser.major, browser.minor, browser.patch)) if browser else "",
            "os.name": system.family if system else "Other",
        }
        if system and (version := _version((system.major, system.minor, system.patch, system.patch_minor))):
            result["os.version"] = version
        return result

    return get
