"""The options: the Collector's policies, and when they are asked."""

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from airis.component import Config, Duration
from airis.component.unsupported import not_supported
from airis.data import Signal, kernels
from airis.ottl.functions import FILTER
from airis.ottl.options import ConditionsConfig, ConditionText, ErrorMode, Group, compiled

_INVERT = "Whether traces are kept that have no such attribute and value, rather than those that have one."
_KEY = "The attribute's key; it is looked for in resources and spans."
_BURST = "The most at once, which is also the most that a kept trace can have; 0 for twice as much as each second."


class LatencyConfig(Config):
    """How long a trace took, from the first start to the last end of its spans."""

    threshold_ms: int = Field(default=0, description="The least, in milliseconds.")
    upper_threshold_ms: int = Field(
        default=0, description="The most; traces are kept then that took longer than threshold_ms. 0 for no limit."
    )


class NumericAttributeConfig(Config):
    """An attribute that is an integer."""

    key: str = Field(default="", description=_KEY)
    min_value: int = Field(default=0, description="The least value; 0 for no limit.")
    max_value: int = Field(default=0, description="The largest value; 0 for no limit.")
    invert_match: bool = Field(default=False, description=_INVERT)


class ProbabilisticConfig(Config):
    """A share of the traces, chosen by a hash of the trace id."""

    hash_salt: str = Field(
        default="", description="What makes the choice another one; tiers with different shares need different salts."
    )
    sampling_percentage: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="The share, in percent; 100 and more is all."
    )


class StatusCodeConfig(Config):
    """The status of a span."""

    status_codes: list[Literal["OK", "ERROR", "UNSET"]] = Field(
        default_factory=list[Literal["OK", "ERROR", "UNSET"]], description="Of which a span has one."
    )


class StringAttributeConfig(Config):
    """An attribute that is a text."""

    key: str = Field(default="", description=_KEY)
    values: list[str] = Field(
        default_factory=list[str], description="Of which it has one, or regular expressions to be found in it."
    )
    enabled_regex_matching: bool = Field(default=False, description="Whether the values are regular expressions.")
    cache_max_size: int = Field(
        default=0,
        description="How many results the Collector remembers. It has no effect: expressions take linear time.",
    )
    invert_match: bool = Field(default=False, description=_INVERT)

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        for value in self.values if self.enabled_regex_matching else ():
            kernels.Pattern(value)
        return self


class RateLimitingConfig(Config):
    """Spans in each second."""

    spans_per_second: int = Field(default=0, ge=0, description="Spans that are kept in each second, on average.")
    burst_capacity: int = Field(default=0, ge=0, description=_BURST)


class BytesLimitingConfig(Config):
    """Bytes in each second."""

    bytes_per_second: int = Field(
        default=0,
        ge=0,
        description="Bytes of spans, without their resources, that are kept in each second, on average.",
    )
    burst_capacity: int = Field(default=0, ge=0, description=_BURST)


class SpanCountConfig(Config):
    """How many spans a trace has."""

    min_spans: int = Field(default=0, description="The least.")
    max_spans: int = Field(default=0, description="The most; 0 for no limit.")


class TraceStateConfig(Config):
    """A member of the W3C trace state."""

    key: str = Field(default="", description="Its key.")
    values: list[str] = Field(default_factory=list[str], description="Of which a span has one.")


class BooleanAttributeConfig(Config):
    """An attribute that is true or false."""

    key: str = Field(default="", description=_KEY)
    value: bool = Field(default=False, description="Its value.")
    invert_match: bool = Field(default=False, description=_INVERT)


class OttlConditionConfig(Config):
    """Conditions of the OpenTelemetry Transformation Language, of which one holds for a span or one of its events."""

    error_mode: ErrorMode = Field(
        default="propagate",
        description="What happens where a condition cannot be asked of a span: ignore logs it, and like silent it asks "
        "the other spans; propagate leaves this policy out for the trace.",
    )
    span: list[ConditionText] = Field(default_factory=list[ConditionText], description="On spans.")
    spanevent: list[ConditionText] = Field(default_factory=list[ConditionText], description="On events of spans.")

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        self.groups()
        return self

    def groups(self) -> list[Group]:
        """The conditions, compiled; raises Unusable."""
        return [
            compiled(ConditionsConfig(context=context, conditions=conditions), Signal.TRACES, self.error_mode, FILTER)
            for context, conditions in (("span", self.span), ("spanevent", self.spanevent))
            if conditions
        ]


SimpleType = Literal[
    "always_sample",
    "latency",
    "numeric_attribute",
    "probabilistic",
    "status_code",
    "string_attribute",
    "trace_state",
    "trace_flags",
    "rate_limiting",
    "bytes_limiting",
    "span_count",
    "boolean_attribute",
    "ottl_condition",
]

_TYPE = "What it goes by; the section of that name has its options."


class AnyPolicyConfig(Config):
    """What every policy has."""

    name: str = Field(default="", description="What it is called in metrics and in what is recorded.")
    type: str = Field(description=_TYPE)
    latency: LatencyConfig = Field(default_factory=LatencyConfig, description="How long a trace took.")
    numeric_attribute: NumericAttributeConfig = Field(
        default_factory=NumericAttributeConfig, description="The range of an attribute that is an integer."
    )
    probabilistic: ProbabilisticConfig = Field(default_factory=ProbabilisticConfig, description="A share of traces.")
    status_code: StatusCodeConfig = Field(default_factory=StatusCodeConfig, description="The status of a span.")
    string_attribute: StringAttributeConfig = Field(
        default_factory=StringAttributeConfig, description="The value of an attribute that is a text."
    )
    trace_state: TraceStateConfig = Field(default_factory=TraceStateConfig, description="A member of the trace state.")
    rate_limiting: RateLimitingConfig = Field(default_factory=RateLimitingConfig, description="Spans in each second.")
    bytes_limiting: BytesLimitingConfig = Field(
        default_factory=BytesLimitingConfig, description="Bytes in each second."
    )
    span_count: SpanCountConfig = Field(default_factory=SpanCountConfig, description="How many spans a trace has.")
    boolean_attribute: BooleanAttributeConfig = Field(
        default_factory=BooleanAttributeConfig, description="The value of an attribute that is true or false."
    )
    ottl_condition: OttlConditionConfig = Field(default_factory=OttlConditionConfig, description="Conditions in OTTL.")

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.type == "status_code" and not self.status_code.status_codes:
            raise ValueError("status_code needs status_codes, such as [ERROR]")
        numbers = self.numeric_attribute
        if self.type == "numeric_attribute" and not (numbers.min_value or numbers.max_value):
            raise ValueError("numeric_attribute needs a min_value or a max_value other than 0")
        if self.type == "ottl_condition" and not (self.ottl_condition.span or self.ottl_condition.spanevent):
            raise ValueError("ottl_condition needs conditions in span or in spanevent")
        return self


class SimplePolicyConfig(AnyPolicyConfig):
    """A policy that is not made of others."""

    type: SimpleType = Field(description=_TYPE)  # pyright: ignore[reportIncompatibleVariableOverride]


class NotConfig(Config):
    """The opposite of a policy."""

    not_sub_policy: SimplePolicyConfig = Field(description="The policy.")


class PartPolicyConfig(AnyPolicyConfig):
    """A policy of several that are asked together."""

    type: SimpleType | Literal["not"] = Field(description=_TYPE)  # pyright: ignore[reportIncompatibleVariableOverride]
    not_: NotConfig | None = Field(default=None, alias="not", description="The opposite of a policy.")

    @model_validator(mode="after")
    def _has_its_section(self) -> Self:
        _check_section(self.type, "not", self.not_)
        return self


class AndConfig(Config):
    """Policies that must all keep a trace."""

    and_sub_policy: list[PartPolicyConfig] = Field(default_factory=list[PartPolicyConfig], description="The policies.")


class DropConfig(Config):
    """Policies of traces that are left out."""

    drop_sub_policy: list[PartPolicyConfig] = Field(
        default_factory=list[PartPolicyConfig],
        description="A trace that all of them keep is left out, whatever others say.",
    )


class CompositePartConfig(AnyPolicyConfig):
    """A policy with a share of what is kept in each second."""

    type: SimpleType | Literal["and"] = Field(description=_TYPE)  # pyright: ignore[reportIncompatibleVariableOverride]
    and_: AndConfig | None = Field(default=None, alias="and", description="Policies that must all keep a trace.")

    @model_validator(mode="after")
    def _has_its_section(self) -> Self:
        _check_section(self.type, "and", self.and_)
        return self


class RateAllocationConfig(Config):
    """What a policy may keep."""

    policy: str = Field(default="", description="Its name.")
    percent: int = Field(
        default=0,
        ge=0,
        description="Its share of max_total_spans_per_second; 0 for as much as each has in equal parts.",
    )


class CompositeConfig(Config):
    """Policies with a limit in each second."""

    max_total_spans_per_second: int = Field(default=0, ge=0, description="The limit that shares are of.")
    policy_order: list[str] = Field(
        default_factory=list[str],
        description="Names in the order in which policies are asked; others follow as they are written.",
    )
    composite_sub_policy: list[CompositePartConfig] = Field(
        default_factory=list[CompositePartConfig],
        description="The policies. The first that would keep a trace decides, by what is left of its share.",
    )
    rate_allocation: list[RateAllocationConfig] = Field(
        default_factory=list[RateAllocationConfig],
        description="The shares. A policy without one keeps nothing, as in the Collector.",
    )


PolicyType = SimpleType | Literal["and", "not", "drop", "composite"]


class PolicyConfig(AnyPolicyConfig):
    """A policy."""

    type: PolicyType = Field(description=_TYPE)  # pyright: ignore[reportIncompatibleVariableOverride]
    and_: AndConfig | None = Field(default=None, alias="and", description="Policies that must all keep a trace.")
    not_: NotConfig | None = Field(default=None, alias="not", description="The opposite of a policy.")
    drop: DropConfig | None = Field(default=None, description="What is left out, whatever other policies say.")
    composite: CompositeConfig | None = Field(default=None, description="Policies with a limit in each second.")

    @model_validator(mode="after")
    def _has_its_section(self) -> Self:
        for name, section in (("and", self.and_), ("not", self.not_), ("drop", self.drop)):
            _check_section(self.type, name, section)
        _check_section(self.type, "composite", self.composite)
        return self


def _check_section(kind: str, name: str, section: Config | None) -> None:
    if kind == name and section is None:
        raise ValueError(f"a policy of the type {name} needs the section {name}")


class DecisionCacheConfig(Config):
    """How many decisions are remembered for spans that come late; each takes some 200 bytes."""

    sampled_cache_size: int = Field(default=0, ge=0, description="Traces that were kept.")
    non_sampled_cache_size: int = Field(default=0, ge=0, description="Traces that were left out.")


def _named_once(policies: list[PolicyConfig]) -> list[PolicyConfig]:
    if not policies:
        raise ValueError("needs at least one policy, such as {name: all, type: always_sample}")
    seen: set[str] = set()
    for name in _names(policies):
        if not name:
            raise ValueError("every policy needs a name")
        if name in seen:
            raise ValueError(f'two policies have the name "{name}"')
        seen.add(name)
    return policies


def _names(policies: Iterable[PolicyConfig]) -> list[str]:
    return [policy.name for policy in policies]


def _trace_complete(strategy: str) -> str:
    if strategy == "span-ingest":
        raise ValueError("span-ingest is not supported; leave it out: whole traces are decided on, after decision_wait")
    return strategy


class TailSamplingConfig(Config):
    """Which traces are kept, and when that is decided."""

    policies: Annotated[list[PolicyConfig], AfterValidator(_named_once)] = Field(
        description="What decides. A trace is kept where one of them keeps it and no policy of the type drop does."
    )
    decision_wait: Duration = Field(
        default=30.0,
        gt=0,
        description="How long after its first span a trace is decided on, and at most two seconds later.",
    )
    decision_wait_after_root_received: Duration = Field(
        default=0.0,
        ge=0,
        description="How long after a span without a parent came, where that is earlier; 0s for no such rule.",
    )
    num_traces: int = Field(
        default=50_000, ge=1, description="The most traces that are held. The oldest are decided on early instead."
    )
    max_held_mib: int = Field(
        default=512,
        ge=1,
        description="The most MiB of spans that are held, in the same way. Only airis has this option.",
    )
    expected_new_traces_per_sec: int = Field(
        default=0, ge=0, description="What the Collector makes room for at the start. It has no effect."
    )
    sample_on_first_match: bool = Field(
        default=False, description="Whether no further policy is asked of a trace that one of them keeps."
    )
    block_on_overflow: bool = Field(
        default=False,
        description="Whether senders wait while num_traces or max_held_mib are reached, rather than traces be decided "
        "on early.",
    )
    drop_pending_traces_on_shutdown: bool = Field(
        default=False,
        description="Whether what is held at a shutdown is left out, rather than decided on by what there is.",
    )
    maximum_trace_size_bytes: int = Field(
        default=0,
        ge=0,
        description="The most bytes of spans that a trace may have, without their resources; a larger one is left out "
        "at once. 0 for no limit.",
    )
    decision_cache: DecisionCacheConfig = Field(
        default_factory=DecisionCacheConfig,
        description="Decisions that are remembered for spans that come late. Without, those of the last num_traces "
        "traces are, less what is held.",
    )
    sampling_strategy: Annotated[Literal["trace-complete", "span-ingest"], AfterValidator(_trace_complete)] = Field(
        default="trace-complete", description="When policies are asked: of whole traces. span-ingest is not supported."
    )
    record_policy: bool = Field(
        default=False,
        description="Whether the scopes of kept spans get the attribute `tailsampling.policy` (the first policy that "
        "kept the trace), `tailsampling.composite_policy` and, where they came late, `tailsampling.cached_decision`. "
        "The Collector has a feature gate for it.",
    )
    tail_storage: Annotated[
        str, not_supported("storage for held spans is not supported; leave it out, and see what a crash loses")
    ] = Field(default="", description="Not supported. Anything in it is an error.")
