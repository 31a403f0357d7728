"""What the four ``replace_`` editors have in common: a replacement, what a function makes of it, and a format."""

from typing import Any

from airis.ottl.arguments import Function
from airis.ottl.patterns import Found, Glob, Regex
from airis.ottl.values import EvaluationError, type_name


def check_format(template: str | None) -> None:
    """Raise ValueError for a replacement_format without exactly one ``%s``."""
    if template is not None and (template.count("%s") != 1 or template.count("%") != 1):
        raise ValueError(f'replacement_format has exactly one "%s", not {template!a}')


def made(text: str, here: Any, function: Function | None, template: str | None) -> str:
    """A replacement as the function and the format make it; raises EvaluationError."""
    if function is None:
        return text
    result = function(here, text)
    if not isinstance(result, str):
        raise EvaluationError(f"the function makes {type_name(result)} of a replacement, not a string")
    return result if template is None else template.replace("%s", result)


def globbed(text: str, glob: Glob, replacement: str, here: Any, function: Function | None, template: str | None) -> str:
    """A text that matches is replaced as a whole."""
    return made(replacement, here, function, template) if glob.matches(text) else text


def replaced(
    text: str, regex: Regex, replacement: str, here: Any, function: Function | None, template: str | None
) -> str:
    """A text with all that matches replaced; groups can be referred to."""
    expand = regex.expanded(replacement)

    def make(raw: bytes, found: Found) -> bytes:
        return made(expand(raw, found).decode(errors="replace"), here, function, template).encode()

    result = regex.replace(text, expand if function is None else make)
    return text if result is None else result
