"""What the processors ``attributes`` and ``resource`` do to attributes: their actions, and the edits that these are."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from airis.component.config import ANY_CASE, Config
from airis.component.errors import Permanent
from airis.component.headers import WITHHELD
from airis.data import Batch, Origin, kernels
from airis.data.batch import AUTH_PREFIX
from airis.data.edits import Convert, Delete, DeleteMatching, Edit, Extract, Hash, HashMatching, Set, Value
from airis.data.fields import Attribute, Level
from airis.data.malformed import MalformedPayload

REMEMBERED = 128
"""Compiled programs that are kept for the different values that clients send."""

_WHEN: Mapping[str, Literal["always", "absent", "present"]] = {
    "insert": "absent",
    "update": "present",
    "upsert": "always",
}
_MATCHING = ("delete", "hash")
"""They can mean attributes by a pattern."""
_SOURCES = ("value", "from_attribute", "from_context")


class AttributeAction(Config):
    """One change of attributes."""

    key: str = Field(
        default="",
        description="The attribute that is changed. delete and hash can have a pattern beside it or in its place.",
    )
    action: Annotated[Literal["insert", "update", "upsert", "delete", "hash", "extract", "convert"], ANY_CASE] = Field(
        description="insert writes where the attribute is absent, update where it is there, upsert both; delete takes "
        "it away; hash puts the SHA-256 of its value in its place, as hexadecimal text (an empty text stays as it "
        "is; bytes, lists and maps become one), and of that digest once more where key and pattern both mean an "
        "attribute; extract writes what the named groups of the pattern find in it to attributes of their names, over "
        "those that are there; convert makes its value one of another type."
    )
    value: Any = Field(
        default=None, description="What insert, update and upsert write; it keeps the type that it has in YAML."
    )
    from_attribute: str = Field(
        default="", description="They write a copy of this attribute; nothing is done where it is absent."
    )
    from_context: str = Field(
        default="",
        description="They write what the client sent: metadata.x is its header x, several values joined by ; "
        "(include_metadata of the receiver lets it through, metadata_keys keeps it behind the batch processor), and "
        "auth.subject is who the receiver's authenticator says it is. Nothing is done where there is none.",
    )
    default_value: Any = Field(
        default=None, description="They write this where from_attribute or from_context give nothing."
    )
    pattern: str = Field(
        default="",
        description="A regular expression, in RE2's syntax: delete takes the attributes away in whose keys it is "
        "found, hash hashes them, extract looks for it in the value, if that is a text.",
    )
    converted_type: Literal["int", "double", "string"] | None = Field(
        default=None, description="What convert makes of the value; one that cannot be converted stays as it is."
    )

    @field_validator("value", "default_value")
    @classmethod
    def _can_be_written(cls, value: Any) -> Any:
        Set(Attribute("item", ""), value)
        return value

    @field_validator("from_context")
    @classmethod
    def _is_known(cls, key: str) -> str:
        if key == f"{AUTH_PREFIX}raw":
            raise ValueError('credentials do not go on with the data; who the client is is "auth.subject"')
        if key == "client.address":
            raise ValueError(
                "the address of the client is not kept with its data; "
                'a proxy can send it, and it is "metadata.x-forwarded-for" then'
            )
        if _header(key) in WITHHELD:
            raise ValueError("credentials, and headers that are about one message, do not go on with the data")
        return key

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        kernels.Pattern(pattern)
        return pattern

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        faults = [*self._lacks(), *self._has_too_much()]
        if faults:
            raise ValueError(f"{self.action} {', and '.join(faults)}")
        return self

    def _lacks(self) -> list[str]:
        faults: list[str] = []
        if self.action in _MATCHING and not self.key and not self.pattern:
            faults.append("needs key or pattern")
        elif self.action not in _MATCHING and not self.key:
            faults.append("needs key")
        if self.action in _WHEN and not self._given(*_SOURCES, "default_value"):
            faults.append("needs value, from_attribute, from_context or default_value")
        if self.action == "extract":
            groups = kernels.Pattern(self.pattern).groups if self.pattern else []
            if not self.pattern:
                faults.append("needs pattern")
            elif not groups or None in groups:
                faults.append("needs a pattern whose groups all have names, as in (?P<name>.*)")
        if self.action == "convert" and self.converted_type is None:
            faults.append('needs converted_type: "int", "double" or "string"')
        return faults

    def _has_too_much(self) -> list[str]:
        given = self._given(*_SOURCES)
        faults: list[str] = []
        if self.action in _WHEN and len(given) > 1:
            faults.append(f"takes only one of {' and '.join(given)}")
        # The Collector takes from_context with these two, and does nothing with it.
        refused = {"delete": _SOURCES[:2], "hash": _SOURCES[:2], "extract": _SOURCES, "convert": _SOURCES}
        faults += [f"takes no {name}" for name in self._given(*refused.get(self.action, ()))]
        if self.pattern and self.action not in (*_MATCHING, "extract"):
            faults.append("takes no pattern")
        if self.converted_type is not None and self.action != "convert":
            faults.append("takes no converted_type")
        return faults

    def _given(self, *names: str) -> list[str]:
        return [name for name in names if getattr(self, name) != type(self).model_fields[name].default]

    def edits(self, level: Level, context: Mapping[str, str | None]) -> list[Edit]:
        """The edits of the attributes of a level; `context` has what each `from_context` gives, None for nothing."""
        target = Attribute(level, self.key)
        found: list[Edit]
        match self.action:
            case "delete":
                found = [Delete(target)] if self.key else []
                return [*found, *([DeleteMatching(level, self.pattern)] if self.pattern else [])]
            case "hash":
                found = [Hash(target)] if self.key else []
                return [*found, *([HashMatching(level, self.pattern)] if self.pattern else [])]
            case "extract":
                return [Extract(target, self.pattern, level)]
            case "convert":
                return [Convert(target, self.converted_type or "string")]
            case _:
                return self._writes(target, context)

    def _writes(self, target: Attribute, context: Mapping[str, str | None]) -> list[Edit]:
        when = _WHEN[self.action]
        literal: Value = self.value
        if self.from_context:
            literal = context[self.from_context]
        if self.from_attribute:
            source = Attribute(target.level, self.from_attribute)
            if source == target:
                # A copy of itself changes nothing; with a default it is there to be updated, or absent.
                has_default = self.default_value is not None and when != "present"
                return [Set(target, self.default_value, "absent")] if has_default else []
            copy: Edit = Set(target, source, when)
            if self.default_value is None:
                return [copy]
            default: Edit = Set(target, self.default_value, when)
            # Who comes first stays where insert is asked for, who comes last otherwise.
            return [copy, default] if when == "absent" else [default, copy]
        if literal is None:
            literal = self.default_value
        return [] if literal is None else [Set(target, literal, when)]


class AttributeProgram:
    """Actions in their order, compiled once; where they take what clients sent, once for each that they sent."""

    def __init__(self, actions: Sequence[AttributeAction], level: Level) -> None:
        self._actions = tuple(actions)
        self._level: Level = level
        self._keys = tuple(dict.fromkeys(action.from_context for action in actions if action.from_context))
        self._compiled = lru_cache(REMEMBERED)(self._compile)
        self._compiled((None,) * len(self._keys))

    def run(self, batch: Batch, mask: bytes | None = None) -> Batch:
        """The batch after the actions, itself where nothing changes; a mask leaves out the items whose byte is 0.

        Raises Permanent where copies would make it larger than 1 GiB.
        """
        edits = self._compiled(tuple(_sent(batch.origin, key) for key in self._keys))
        try:
            view = batch.view()
            edited = view.edit(edits, mask)
        except MalformedPayload as error:
            raise Permanent(str(error)) from error
        return batch if edited is view else batch.with_view(edited)

    def _compile(self, values: tuple[str | None, ...]) -> kernels.Edits:
        context = dict(zip(self._keys, values, strict=True))
        return kernels.Edits([edit for action in self._actions for edit in action.edits(self._level, context)])


def _header(key: str) -> str:
    """The name of the header; without a prefix it is one as well, as it is in the Collector."""
    return key.removeprefix("metadata.").lower()


def _sent(origin: Origin, key: str) -> str | None:
    values = origin.sent(key) if key.startswith(AUTH_PREFIX) else origin.metadata.get(_header(key))
    # A header can hold what is no text.
    return ";".join(values).encode(errors="replace").decode() if values else None
