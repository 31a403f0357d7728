"""Component and pipeline ids: ``type`` or ``type/name``."""

import re
import unicodedata

_TYPE = re.compile(r"[a-zA-Z][0-9a-zA-Z_]{0,62}")
_MAX_NAME_BYTES = 1024


def parse_id(text: str) -> str:
    """The id without the blanks that may stand around its parts; ValueError says what is wrong with it."""
    type_name, slash, name = (part.strip() for part in text.partition("/"))
    if not _TYPE.fullmatch(type_name):
        raise ValueError(f'"{type_name}" is not a type: a letter, then letters, digits and underscores, 63 at the most')
    if not slash:
        return type_name
    if not name:
        raise ValueError(f'there is no name behind the slash; write "{type_name}" or "{type_name}/name"')
    if len(name.encode(errors="replace")) > _MAX_NAME_BYTES or any(map(_is_no_letter, name)):
        raise ValueError(f'"{name}" is not a name: 1 to {_MAX_NAME_BYTES} bytes, no blanks and no symbols')
    return f"{type_name}/{name}"


def type_of(component_id: str) -> str:
    """What stands before the slash."""
    return component_id.partition("/")[0]


def _is_no_letter(character: str) -> bool:
    """Whether it is a separator, a control character or a symbol of Unicode: ``$``, ``+``, ``<``, but not ``.``."""
    return unicodedata.category(character)[0] in "ZCS"
