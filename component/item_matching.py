"""Which items a processor is for: the Collector's ``include`` and ``exclude``, and the conditions that these are."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from airis.component.config import Config
from airis.data import Signal, kernels
from airis.data.expressions import (
    AllOf,
    AnyOf,
    Compare,
    Constant,
    Exists,
    Expression,
    InvalidExpression,
    Matches,
    Not,
    OneOf,
)
from airis.data.fields import Attribute, Level, Source
from airis.data.fields import Field as ItemField

FIELDS: Mapping[Signal, tuple[str, ...]] = {
    Signal.TRACES: ("services", "span_names", "span_kinds", "attributes", "resources", "libraries"),
    Signal.METRICS: ("metric_names", "resources"),
    Signal.LOGS: ("log_bodies", "log_severity_texts", "log_severity_number", "attributes", "resources", "libraries"),
}
"""What the items of a signal can be told by; at least one has to be given."""

SPAN_KINDS = tuple(f"SPAN_KIND_{kind}" for kind in ("INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))

_SERVICE_NAME = Attribute("resource", "service.name")
_BODY, _BODY_TEXT = ItemField("item", "body"), ItemField("item", "body.string")
_SEVERITY = ItemField("item", "severity_number")


def _compiles(text: str, info: ValidationInfo) -> str:
    if info.data.get("match_type") == "regexp":
        kernels.Pattern(text)
    return text


Text = Annotated[str, AfterValidator(_compiles)]
"""A text, or a regular expression where `match_type` says so."""


class RegexpCache(Config):
    """How the Collector remembers what matched; it has no effect: patterns are matched in linear time."""

    cacheenabled: bool = Field(default=False, description="Whether the Collector remembers results. It has no effect.")
    cachemaxnumentries: int = Field(default=0, ge=0, description="How many it remembers. It has no effect.")


class AttributeMatch(Config):
    """An attribute that must be there."""

    key: str = Field(min_length=1, description="Its key.")
    value: Any = Field(
        default=None,
        description="What it must equal (the text 1 is no number, but 1 equals 1.0), or a regular expression to be "
        "found in its text. Anything where it is not given.",
    )

    @field_validator("value")
    @classmethod
    def _can_be_compared(cls, value: Any) -> Any:
        if isinstance(value, list | dict):
            raise ValueError("a list or a mapping cannot be matched; match a text, a number or true or false")
        Compare(_SERVICE_NAME, "==", value)
        return value


class LibraryMatch(Config):
    """An instrumentation scope."""

    name: str = Field(default="", description="Its name.")
    version: str | None = Field(
        default=None, description='Its version; any where it is not given, "" is that of one without a version.'
    )


class SeverityNumberMatch(Config):
    """A least severity."""

    min: int = Field(default=0, ge=-(2**31), lt=2**31, description="The least severity number, such as 9 for INFO.")
    match_undefined: bool = Field(default=False, description="Whether log records without one match.")


class MatchProperties(Config):
    """What items are told by; all that is given must hold."""

    match_type: Literal["strict", "regexp"] = Field(
        description="Whether texts must be equal, or are regular expressions (RE2's syntax) to be found in what is "
        "matched: auth.* is found in unauthorized, ^auth is not."
    )
    regexp: RegexpCache | None = Field(
        default=None, description="The Collector's cache of matches. It has no effect: nothing is remembered here."
    )
    services: list[Text] = Field(
        default_factory=list[Text], description="Spans of a resource with one of these in service.name."
    )
    span_names: list[Text] = Field(default_factory=list[Text], description="Spans with one of these names.")
    span_kinds: list[Text] = Field(
        default_factory=list[Text], description="Spans of one of these kinds, such as SPAN_KIND_SERVER."
    )
    log_bodies: list[Text] = Field(
        default_factory=list[Text], description="Log records with one of these as the text of their body."
    )
    log_severity_texts: list[Text] = Field(
        default_factory=list[Text], description="Log records with one of these severity texts."
    )
    log_severity_number: SeverityNumberMatch | None = Field(
        default=None, description="Log records of at least a severity."
    )
    metric_names: list[Text] = Field(
        default_factory=list[Text], description="Data points of metrics with one of these names."
    )
    attributes: list[AttributeMatch] = Field(
        default_factory=list[AttributeMatch],
        description="Spans and log records with all of these attributes.",
    )
    resources: list[AttributeMatch] = Field(
        default_factory=list[AttributeMatch],
        description="Items of a resource with all of these attributes.",
    )
    libraries: list[LibraryMatch] = Field(
        default_factory=list[LibraryMatch],
        description="Spans and log records of one of these instrumentation scopes.",
    )

    @model_validator(mode="after")
    def _can_be_matched(self) -> Self:
        given = self._given()
        if not given:
            fields = dict.fromkeys(name for names in FIELDS.values() for name in names)
            raise ValueError(f"needs at least one of {', '.join(fields)}")
        if all(self.refusal(signal) for signal in FIELDS):
            raise ValueError(f"no item has all of {', '.join(given)}")
        if self.match_type == "regexp":
            self._check_patterns()
        elif not set(self.span_kinds) <= set(SPAN_KINDS):
            raise ValueError(f"span_kinds are {', '.join(SPAN_KINDS)}")
        return self

    def _check_patterns(self) -> None:
        for match in (*self.attributes, *self.resources):
            if not isinstance(match.value, str | None):
                raise ValueError(f'"{match.key}" is matched as text by match_type regexp; write its value in quotes')
        values = [match.value for match in (*self.attributes, *self.resources)]
        for text in (*values, *(text for library in self.libraries for text in (library.name, library.version))):
            try:
                kernels.Pattern(text or "")
            except InvalidExpression as error:
                raise ValueError(f'"{text}": {error}') from error

    def _given(self) -> list[str]:
        names = dict.fromkeys(name for names in FIELDS.values() for name in names)
        return [name for name in names if getattr(self, name) not in ([], None)]

    def refusal(self, signal: Signal) -> str:
        """Why the items of a signal cannot be told by this; empty where they can."""
        other = [name for name in self._given() if name not in FIELDS[signal]]
        if other:
            return f"{', '.join(other)} cannot be matched in {signal}, only {', '.join(FIELDS[signal])}"
        return ""

    def condition(self, signal: Signal) -> Expression:
        """What holds for the items of the signal that match."""
        parts: Mapping[str, Expression] = {
            "services": self._texts(_SERVICE_NAME, self.services),
            "span_names": self._texts(ItemField("item", "name"), self.span_names),
            "span_kinds": self._texts(ItemField("item", "kind.deprecated_string"), self.span_kinds),
            "log_bodies": self._bodies(),
            "log_severity_texts": self._texts(ItemField("item", "severity_text"), self.log_severity_texts),
            "log_severity_number": self._severity(),
            "metric_names": self._texts(ItemField("metric", "name"), self.metric_names),
            "attributes": self._all("item", self.attributes),
            "resources": self._all("resource", self.resources),
            "libraries": AnyOf([self._library(library) for library in self.libraries]),
        }
        return AllOf([parts[name] for name in FIELDS[signal] if name in self._given()])

    def _texts(self, source: Source, texts: Sequence[str]) -> Expression:
        if self.match_type == "strict":
            return OneOf(source, texts)
        return AnyOf([Matches(source, text) for text in texts])

    def _bodies(self) -> Expression:
        found = self._texts(_BODY_TEXT, self.log_bodies)
        takes_nothing = any(
            kernels.Pattern(text).matches(b"") if self.match_type == "regexp" else not text for text in self.log_bodies
        )
        # A body that is absent has no text here, and an empty one in the Collector.
        return AnyOf([found, Compare(_BODY, "==", None)]) if takes_nothing else found

    def _severity(self) -> Expression:
        wanted = self.log_severity_number or SeverityNumberMatch()
        known = AllOf([Compare(_SEVERITY, "!=", 0), Compare(_SEVERITY, ">=", wanted.min)])
        return AnyOf([known, Compare(_SEVERITY, "==", 0)]) if wanted.match_undefined else known

    def _all(self, level: Level, matches: Sequence[AttributeMatch]) -> Expression:
        return AllOf([self._attribute(Attribute(level, match.key), match.value) for match in matches])

    def _attribute(self, source: Attribute, value: Any) -> Expression:
        if value is None:
            return Exists(source)
        return Matches(source, value) if self.match_type == "regexp" else Compare(source, "==", value)

    def _library(self, library: LibraryMatch) -> Expression:
        name = self._texts(ItemField("scope", "name"), [library.name])
        if library.version is None:
            return name
        return AllOf([name, self._texts(ItemField("scope", "version"), [library.version])])


class MatchConfig(Config):
    """Which items are processed: those that `include` matches, but for those that `exclude` matches."""

    include: MatchProperties | None = Field(
        default=None, description="The items that are processed; all where it is not given. Others pass unchanged."
    )
    exclude: MatchProperties | None = Field(
        default=None, description="Of these, the items that are not processed; they pass unchanged."
    )

    def refusal(self, signal: Signal) -> str:
        """Why a pipeline of this signal cannot have this; empty where it can."""
        for name, properties in (("include", self.include), ("exclude", self.exclude)):
            reason = properties.refusal(signal) if properties else ""
            if reason:
                return f"{name}: {reason}"
        return ""

    def predicate(self, signal: Signal) -> kernels.Predicate | None:
        """What holds for the items that are processed, compiled; None for all items."""
        if self.include is None and self.exclude is None:
            return None
        included = self.include.condition(signal) if self.include else Constant(True)
        excluded = self.exclude.condition(signal) if self.exclude else Constant(False)
        return kernels.Predicate(signal, AllOf([included, Not(excluded)]))
