"""Values as YAML that a person reads, and that airis and others read back as the same values."""

import json
import re
from typing import Any, cast

import yaml

from airis.config.document import resolve_plain

_MOST_ON_A_LINE = 80
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""Characters that JSON lets stand as they are; some of them end a line in YAML."""


def to_yaml(value: Any) -> str:
    """The value as a document: block style, short lists of single values on one line, long text in its own lines."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**31, indent=2)


def to_json(value: Any) -> str:
    """The value as a JSON document, which is YAML as well."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return _NOT_IN_YAML.sub(lambda char: f"\\u{ord(char[0]):04x}", text) + "\n"


class _Dumper(yaml.SafeDumper):
    """The safe dumper, less its habit of writing lists at the indentation of their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    """In quotes where any reader could take it for something else: YAML 1.1 and 1.2 do not agree on that."""
    if _NOT_IN_YAML.search(text):
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
    if "\n" in text:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
    style = None if isinstance(resolve_plain(text), str) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _list(dumper: _Dumper, items: list[Any]) -> yaml.Node:
    is_short = all(item is not None and not isinstance(item, list | dict) and "\n" not in str(item) for item in items)
    is_short = is_short and sum(len(str(item)) + 2 for item in items) < _MOST_ON_A_LINE
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=is_short)


def _mapping(dumper: _Dumper, items: dict[str, Any]) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", cast(Any, items), flow_style=False)


def _null(dumper: _Dumper, _: None) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:null", "")


_Dumper.add_representer(type(None), _null)
_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(dict, _mapping)
