"""The whole configuration as a JSON Schema (2020-12), for the completion and the checks of editors.

Pipelines need not be whole in it, nor need there be any: a file may be merged with others before it is used.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydantic import Field

from airis import __version__
from airis.component import Config, Factory, Kind, known_types, load
from airis.config.collector import RENAMED, installed_type
from airis.config.document import resolve_plain
from airis.config.model import TelemetryConfig
from airis.config.options import Option, Value, in_words, options_of
from airis.data import Signal

Schema = dict[str, Any]

REFERENCE = r"\$\{"
"""In a text: something from elsewhere is put in here, and only then the value has its type."""
_NAME = r" */ *[^\s$+<=>^`|~]+ *"
_DURATION = r"^[-+]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d))+)$"


class PipelineOptions(Config):
    """The way of one signal from receivers to exporters."""

    receivers: list[str] = Field(description="Ids of the receivers, and of connectors that hand on to here.")
    processors: list[str] = Field(
        default_factory=list[str], description="Ids of the processors, in the order in which data goes through them."
    )
    exporters: list[str] = Field(description="Ids of the exporters, and of connectors; every one gets all the data.")


class ServiceOptions(Config):
    """What of the configured components runs, and how they are connected."""

    extensions: list[str] = Field(default_factory=list[str], description="Ids of the extensions that run.")
    pipelines: dict[str, PipelineOptions] = Field(
        description="The pipelines. Their keys are a signal or signal/name, such as traces or logs/audit."
    )
    telemetry: TelemetryConfig = Field(default_factory=TelemetryConfig, description="What airis says of itself.")


def schema() -> Schema:
    """The schema, with every installed component."""
    made = _Definitions()
    properties = {kind.section: _section(kind, made) for kind in Kind}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:airis:configuration:{__version__}",
        "title": "airis configuration",
        "description": "Components by kind, and the service that connects them.",
        "type": "object",
        "properties": {**properties, "service": _service(made)},
        "additionalProperties": False,
        "$defs": dict(sorted(made.schemas.items())),
    }


def factories(kind: Kind) -> Iterator[Factory]:
    """The installed components of a kind; those of other packages that cannot be imported are left out."""
    for type_name in known_types(kind):
        with suppress(ImportError, AttributeError):
            yield load(kind, type_name)


def spellings(kind: Kind, type_name: str) -> list[tuple[str, bool]]:
    """Every way to write an installed type, its own first, and whether it is one that the Collector gave up."""
    renamed = RENAMED[kind]
    others = sorted({*renamed, *renamed.values()} - {type_name})
    accepted = [type_name, *(name for name in others if installed_type(kind, name) == type_name)]
    return [(name, name in renamed and name != type_name) for name in accepted]


def _section(kind: Kind, made: "_Definitions") -> Schema:
    """The components of a kind. Types are properties as well as patterns, since editors offer what is named."""
    named: Schema = {}
    patterns: Schema = {}
    for factory in factories(kind):
        described = {"title": f"{factory.type_name} {kind}", "description": _description(factory)}
        component = {**made.section(factory.config), **described}
        for spelling, deprecated in spellings(kind, factory.type_name):
            now = f'Now called "{factory.type_name}".'
            old = {"deprecated": True, "deprecationMessage": now} if deprecated else {}
            named[spelling] = patterns[f"^ *{spelling}{_NAME}$"] = component | old
    return {
        "description": f"{kind.section.capitalize()}, by type or type/name.",
        **_mapping(properties=named, patternProperties=patterns),
    }


def _service(made: "_Definitions") -> Schema:
    """The key ``service``: as its model has it, with ids that can be."""
    service, pipeline = (
        {option.name: _described(option, made) for option in options_of(model)}
        for model in (ServiceOptions, PipelineOptions)
    )
    service["extensions"] |= _ids(Kind.EXTENSION)
    pipeline["receivers"] |= {**_ids(Kind.RECEIVER, Kind.CONNECTOR), "minItems": 1}
    pipeline["processors"] |= _ids(Kind.PROCESSOR)
    pipeline["exporters"] |= {**_ids(Kind.EXPORTER, Kind.CONNECTOR), "minItems": 1}
    made.schemas["pipeline"] = _mapping(properties=pipeline)
    words = "|".join(Signal)
    service["pipelines"] |= _mapping(
        properties={signal.value: {"$ref": "#/$defs/pipeline", "title": f"{signal} pipeline"} for signal in Signal},
        patternProperties={f"^ *({words}){_NAME}$": {"$ref": "#/$defs/pipeline"}},
    )
    return {"description": f"{ServiceOptions.__doc__}", **_mapping(properties=service)}


def _ids(*kinds: Kind) -> Schema:
    """A list of ids of components of these kinds."""
    names = (name for kind in kinds for type_name in known_types(kind) for name, _ in spellings(kind, type_name))
    types = "|".join(names)
    item = {"type": "string", **_pattern(f"^ *({types})({_NAME}| *)$", f"the id of one of the {kinds[0].section}")}
    return {"type": ["array", "string", "null"], "items": item, "uniqueItems": True, **_pattern("", "a list of ids")}


def _description(factory: Factory) -> str:
    levels = [f"{signal} {level}" for signal, level in factory.stability.items()]
    levels += [f"{taken} to {given} {level}" for (taken, given), level in factory.conversions.items()]
    return f"{factory.summary}\n\nStability: {', '.join(levels)}." if levels else factory.summary


class _Definitions:
    """The schemas of sections, each made once, however often it is an option."""

    def __init__(self) -> None:
        self.schemas: Schema = {}
        self._names: dict[tuple[type[Config], bool], str] = {}

    def section(self, model: type[Config], *, is_switch: bool = False) -> Schema:
        """A reference to the schema of a model; `is_switch` lets ``enabled`` stand in it."""
        key = (model, is_switch)
        if key not in self._names:
            name = f"{model.__name__}.optional" if is_switch else model.__name__
            self._names[key] = f"{model.__module__}.{name}" if name in self.schemas else name
            self.schemas[self._names[key]] = {}  # a model may have itself in it
            self.schemas[self._names[key]] = self._mapping_of(model, is_switch)
        return {"$ref": f"#/$defs/{self._names[key]}"}

    def _mapping_of(self, model: type[Config], is_switch: bool) -> Schema:
        options = options_of(model)
        switch: Schema = {"enabled": _enabled()} if is_switch else {}
        properties = {**switch, **{option.name: _described(option, self) for option in options}}
        required = [option.name for option in options if option.required]
        described = {"description": " ".join((model.__doc__ or "").split()), **_mapping(properties=properties)}
        described["additionalProperties"] = model.model_config.get("extra") == "allow"
        if required:
            described |= {"type": ["object", "string"], "required": required}
        return described


def _mapping(**keywords: Schema) -> Schema:
    """A mapping with these keys only; null is one with nothing in it."""
    return {
        "type": ["object", "string", "null"],
        **_pattern("", "a mapping"),
        **{word: value for word, value in keywords.items() if value},
        "additionalProperties": False,
    }


def _pattern(pattern: str, expected: str) -> Schema:
    """Of a text: what it is like, or a reference. The message is for editors that know the keyword."""
    either = f"{pattern}|{REFERENCE}" if pattern else REFERENCE
    return {"pattern": either, "patternErrorMessage": f"Expected {expected}, or a reference such as ${{env:NAME}}"}


def _any_case(words: Iterable[str]) -> str:
    """Any of the words, their letters large or small: editors have no flag for it."""
    letters = (("".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in word)) for word in words)
    return f"^(?:{'|'.join(letters)})$"


def _enabled() -> Schema:
    return {
        "type": ["boolean", "string"],
        **_pattern("", "true or false"),
        "description": "false: as if the section were absent.",
    }


def _described(option: Option, made: _Definitions) -> Schema:
    """The schema of an option: its value, and what an editor shows beside it."""
    described: Schema = {
        "title": f"{option.name}: {in_words(option.values)}",
        "description": option.description,
        **_either(option.values, made, is_switch=option.is_switch, null=not option.required or option.is_nullable),
    }
    if option.default is not None and not option.section:
        described["default"] = option.default
    if option.deprecated:
        described |= {"deprecated": True, "deprecationMessage": option.deprecated}
    return described


def _either(values: Sequence[Value], made: _Definitions, *, is_switch: bool = False, null: bool = False) -> Schema:
    """A value in one of its forms, or a text with a reference in it, or null where that is something."""
    forms = [form for value in values for form in _forms(value, made, is_switch)]
    if not forms:
        return {}
    if len(forms) > 1 or not ("type" in forms[0] or "$ref" in forms[0]):
        takes_reference = any(map(_takes_reference, forms))
        reference = [] if takes_reference else [{"type": "string", **_pattern("", in_words(values))}]
        return {"anyOf": [*forms, *reference, *([{"type": "null"}] if null else [])]}
    (form,) = forms
    if "$ref" in form:
        return form
    # One schema in place of several alternatives: an editor then says what is wrong with a value, not that none fits.
    types = _list(form["type"])
    if "string" not in types:
        types.append("string")
        form |= _pattern("", in_words(values))
    return {**form, "type": [*types, *(["null"] if null else [])]}


def _takes_reference(form: Schema) -> bool:
    return "string" in _list(form.get("type", ())) and REFERENCE in form.get("pattern", REFERENCE)


def _forms(value: Value, made: _Definitions, is_switch: bool) -> list[Schema]:
    limits: Mapping[str, Any] = value.limits
    match value.form:
        case "text" | "secret":
            pattern = _pattern(f"(?:{limits['pattern']})", "another text") if "pattern" in limits else {}
            return [{"type": ["string", "number", "boolean"], **limits, **pattern}]
        case "integer" | "number" | "boolean":
            return [{"type": value.form, **limits}]
        case "duration":
            pattern = _pattern(_DURATION, "a number and a unit, such as 200ms, 5s or 1h30m")
            return [{"type": "string", **pattern}, {"const": 0}]
        case "choice":
            # 1.3 without quotes is a number in YAML, and taken as its text.
            twins = [resolve_plain(word) for word in value.choices if isinstance(word, str) and word]
            typed = [twin for twin in twins if not isinstance(twin, str)]
            forms: list[Schema] = [{"enum": [*value.choices, *typed]}]
            if value.is_any_case:
                forms.append({"type": "string", **_pattern(_any_case(value.choices), " or ".join(value.choices))})
            return [*forms, *([{"type": "string"}] if value.is_lenient else [])]
        case "list":
            # A list of texts may be one text with commas.
            types = ["array", "string"] if any(item.form == "text" for item in value.items) else "array"
            return [{"type": types, "items": _items(value, made), **limits}]
        case "map":
            return [{"type": "object", "additionalProperties": _items(value, made), **limits}]
        case "section":
            assert value.section
            return [made.section(value.section, is_switch=is_switch)]
        case "other":
            return [dict(value.schema)] if value.schema else []


def _items(value: Value, made: _Definitions) -> Schema:
    return _either(value.items, made)


def _list(types: Any) -> list[str]:
    return [types] if isinstance(types, str) else list(types)
