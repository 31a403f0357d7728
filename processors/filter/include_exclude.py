"""The oldest forms of a filter: what items are kept, told by `include` and `exclude`."""

from collections.abc import Sequence
from typing import Annotated, Literal, NoReturn, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from airis.component import Config
from airis.component.item_matching import AttributeMatch, MatchProperties, RegexpCache, SeverityNumberMatch
from airis.component.unsupported import not_supported
from airis.data import Signal
from airis.data.expressions import AllOf, Expression, Not

_NO_EXPRESSIONS = (
    "expressions of match_type expr are not supported: write it as a condition of metric_conditions, such as "
    'metric.name == "a" and HasAttrOnDatapoint("key", "value")'
)
_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
SEVERITIES = {
    **{str(number): number for number in range(1, 25)},
    **{
        f"{level}{number or ''}": 4 * index + (number or 1)
        for index, level in enumerate(_LEVELS)
        for number in (0, 2, 3, 4)
    },
}
"""The numbers of severities by what stands for them."""


def _no_expr(match_type: object) -> object:
    if match_type == "expr":
        _refuse_expr()
    return match_type


def _refuse_expr() -> NoReturn:
    raise ValueError(_NO_EXPRESSIONS)


def _is_severity(text: str) -> str:
    if text and text.upper() not in SEVERITIES:
        raise ValueError(f"{text!a} is no severity; there is 1 to 24, and TRACE to FATAL4")
    return text


class MetricMatch(Config):
    """What metrics are told by."""

    match_type: Annotated[Literal["strict", "regexp"], BeforeValidator(_no_expr)] = Field(
        description="Whether texts must be equal, or are regular expressions (RE2's syntax) to be found in what is "
        "matched. The Collector's expr is not supported: write it as a condition of metric_conditions."
    )
    regexp: RegexpCache | None = Field(
        default=None, description="The Collector's cache of matches. It has no effect: nothing is remembered here."
    )
    metric_names: list[str] = Field(default_factory=list[str], description="Metrics with one of these names.")
    expressions: Annotated[list[str], not_supported(_NO_EXPRESSIONS)] = Field(
        default_factory=list[str], description="Not supported. Anything in it is an error."
    )
    resource_attributes: list[AttributeMatch] = Field(
        default_factory=list[AttributeMatch], description="Metrics of a resource with all of these attributes."
    )

    @model_validator(mode="after")
    def _can_be_matched(self) -> Self:
        self.conditions()
        return self

    def conditions(self) -> list[Expression]:
        """What holds for metrics with these names, and for those of such a resource; empty where neither is given."""
        found: list[MatchProperties] = []
        if self.metric_names:
            found.append(MatchProperties(match_type=self.match_type, metric_names=self.metric_names))
        if self.resource_attributes:
            found.append(MatchProperties(match_type=self.match_type, resources=self.resource_attributes))
        return [properties.condition(Signal.METRICS) for properties in found]


class SeverityMatch(Config):
    """A least severity."""

    min: Annotated[str, AfterValidator(_is_severity)] = Field(
        default="", description="The least severity, as a name such as WARN or info2, or as its number."
    )
    match_undefined: bool = Field(default=False, description="Whether log records without one match.")


class LogMatch(Config):
    """What log records are told by; all that is given must hold."""

    match_type: Literal["strict", "regexp"] = Field(
        default="strict",
        description="Whether texts must be equal, or are regular expressions (RE2's syntax) to be found in what is "
        "matched.",
    )
    resource_attributes: list[AttributeMatch] = Field(
        default_factory=list[AttributeMatch], description="Log records of a resource with all of these attributes."
    )
    record_attributes: list[AttributeMatch] = Field(
        default_factory=list[AttributeMatch], description="Log records with all of these attributes."
    )
    severity_texts: list[str] = Field(default_factory=list[str], description="Log records with one of these texts.")
    severity_number: SeverityMatch | None = Field(default=None, description="Log records of at least a severity.")
    bodies: list[str] = Field(
        default_factory=list[str], description="Log records with one of these as the text of their body."
    )

    @model_validator(mode="after")
    def _can_be_matched(self) -> Self:
        self.conditions()
        return self

    def conditions(self) -> list[Expression]:
        """What holds for the log records; empty where nothing is given."""
        severity = self.severity_number
        if not (self.resource_attributes or self.record_attributes or self.severity_texts or self.bodies or severity):
            return []
        least = SEVERITIES.get(severity.min.upper(), 0) if severity else 0
        properties = MatchProperties(
            match_type=self.match_type,
            resources=self.resource_attributes,
            attributes=self.record_attributes,
            log_severity_texts=self.severity_texts,
            log_severity_number=SeverityNumberMatch(min=least, match_undefined=severity.match_undefined)
            if severity
            else None,
            log_bodies=self.bodies,
        )
        return [properties.condition(Signal.LOGS)]


def kept(included: Sequence[Expression], excluded: Sequence[Expression]) -> Expression | None:
    """What holds for the items that are kept: all that `include` has, and none that `exclude` has; None for all."""
    parts = [*included, *(Not(condition) for condition in excluded)]
    return AllOf(parts) if parts else None
