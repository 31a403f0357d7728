"""The policies: what each says of many traces at once.

They follow the Collector's, but say the same however the spans of a trace came: where the Collector asks of a trace
span by span (an upper limit of the latency), all of its spans count here. Attributes of another type than a policy is
about do not match; the Collector takes them for 0, false or "".
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import compress
from typing import Protocol

from airis.component import Permanent
from airis.data import Signal, kernels
from airis.data.expressions import AllOf, AnyOf, Compare, Constant, Expression, HasType, Matches, OneOf
from airis.data.fields import Attribute, Field, Level
from airis.ottl.options import Group
from airis.ottl.payload import here_of
from airis.ottl.running import Faults
from airis.processors.tail_sampling.options import (
    AndConfig,
    AnyPolicyConfig,
    BooleanAttributeConfig,
    CompositeConfig,
    LatencyConfig,
    NotConfig,
    NumericAttributeConfig,
    PolicyConfig,
    ProbabilisticConfig,
    SpanCountConfig,
    StatusCodeConfig,
    StringAttributeConfig,
    TraceStateConfig,
)
from airis.processors.tail_sampling.traces import ID_BYTES, NO_ID, Traces
from airis.proto.otlp import parse

DEFAULT_SALT = "default-hash-seed"
MOST_HASH = 2**64 - 1
MOST_MEMBER_CHARACTERS = 256
STATUS_CODES = {"UNSET": 0, "OK": 1, "ERROR": 2}
LEAST_INTEGER, MOST_INTEGER = -(2**63), 2**63 - 1


NOT_SAMPLED, SAMPLED, DROPPED, ERROR = range(4)
"""What a policy says of a trace."""

Decisions = bytes
"""One for each trace."""

_OPPOSITE = bytes.maketrans(bytes([NOT_SAMPLED, SAMPLED]), bytes([SAMPLED, NOT_SAMPLED]))
_IS = {decision: bytes(byte == decision for byte in range(256)) for decision in (NOT_SAMPLED, SAMPLED, DROPPED, ERROR)}


def those(decision: int, asked: Iterable[int], decisions: Decisions) -> list[int]:
    """The traces of which this is said."""
    return list(compress(asked, decisions.translate(_IS[decision])))


class Policy(Protocol):
    """What says of traces whether they are to be kept."""

    def decide(self, traces: Traces, asked: Sequence[int]) -> Decisions:
        """The decision on each of the traces with these numbers, in their order."""
        ...


class _OfFacts:
    """Goes by something that is known of every trace."""

    def __init__(self, holds: Callable[[Traces], Callable[[int], bool]]) -> None:
        self._holds = holds

    def decide(self, traces: Traces, asked: Sequence[int]) -> Decisions:
        return bytes(map(self._holds(traces), asked))


class _OfSpans:
    """Asks whether a condition holds for one span, or for none."""

    def __init__(self, condition: Expression, inverted: bool = False) -> None:
        self._predicate = kernels.Predicate("traces", condition)
        self._inverted = inverted

    def decide(self, traces: Traces, asked: Sequence[int]) -> Decisions:
        found = traces.index.any(self._predicate.mask(traces.view))
        decisions = found.translate(_OPPOSITE) if self._inverted else found
        return decisions if len(asked) == len(traces) else bytes(map(decisions.__getitem__, asked))


class TokenBucket:
    """Keeps traces while there are tokens for all that they have; a second brings so many, up to a most."""

    def __init__(self, each_second: int, most: int, amounts: Callable[[Traces], Sequence[int]]) -> None:
        self._each_second = each_second
        self._most = most or 2 * each_second
        self._amounts = amounts
        self._tokens = float(self._most)
        self._now: float | None = None

    def decide(self, traces: Traces, asked: Sequence[int]) -> Decisions:
        """One trace after the other; one that does not fit leaves the tokens to those behind it."""
        if self._now is not None:
            more = max(traces.now - self._now, 0.0) * self._each_second
            self._tokens = min(self._tokens + more, float(self._most))
        self._now = traces.now
        amounts = self._amounts(traces)
        return bytes(self._takes(amounts[number]) for number in asked)

    def _takes(self, amount: int) -> bool:
        if amount > self._tokens:
            return False
        self._tokens -= amount
        return True


class _Ottl:
    """Asks the conditions of the OpenTelemetry Transformation Language of every span, and of every event."""

    def __init__(self, groups: Iterable[Group], faults: Faults) -> None:
        self._groups = tuple(groups)
        self._faults = faults

    def decide(self, traces: Traces, asked: Sequence[int]) -> Decisions:
        decided: dict[bytes, int] = {}
        request = parse(Signal.TRACES, traces.of(asked).payload)
        for group in self._groups:
            for here in here_of(Signal.TRACES, request, group.context):
                trace_id = here.item.trace_id if len(here.item.trace_id) == ID_BYTES else NO_ID
                if decided.get(trace_id) == SAMPLED:
                    continue
                try:
                    if self._faults.any_holds(group, here):
                        decided[trace_id] = SAMPLED
                except Permanent:
                    decided[trace_id] = ERROR  # until a condition holds for another span, whichever came first
        return bytes(decided.get(traces.ids[number], NOT_SAMPLED) for number in asked)


class _Always:
    def decide(self, traces: Traces, asked: Sequence[int]) -> Decisions:
        del traces
        return bytes([SAMPLED]) * len(asked)


class _All:
    """What all of some policies keep; the next one is asked of what is left."""

    def __init__(self, policies: Sequence[Policy], decision: int) -> None:
        self._policies = policies
        self._decision = decision

    def decide(self, traces: Traces, asked: Sequence[int]) -> Decisions:
        decided: dict[int, int] = {}
        left: Sequence[int] = asked
        for policy in self._policies:
            decisions = policy.decide(traces, left)
            decided.update((number, its) for number, its in zip(left, decisions, strict=True) if its != SAMPLED)
            left = those(SAMPLED, left, decisions)
        return bytes(decided.get(number, self._decision) for number in asked)


class _Not:
    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def decide(self, traces: Traces, asked: Sequence[int]) -> Decisions:
        return self._policy.decide(traces, asked).translate(_OPPOSITE)


class _Share:
    """A policy of several with what it may keep in a second."""

    def __init__(self, name: str, policy: Policy, most: int) -> None:
        self.name = name
        self.policy = policy
        self.most = most
        self.kept = 0


class _Composite:
    """The first policy that would keep a trace decides, by what is left of its share of this second."""

    def __init__(self, shares: Sequence[_Share]) -> None:
        self._shares = shares
        self._second: int | None = None

    def decide(self, traces: Traces, asked: Sequence[int]) -> Decisions:
        second = math.floor(traces.now)
        if second != self._second:
            self._second = second
            for share in self._shares:
                share.kept = 0
        decided: dict[int, int] = {}
        left: Sequence[int] = asked
        for share in self._shares:
            decisions = share.policy.decide(traces, left)
            decided.update((number, self._within(share, traces, number)) for number in those(SAMPLED, left, decisions))
            decided.update(dict.fromkeys(those(ERROR, left, decisions), ERROR))
            left = those(NOT_SAMPLED, left, decisions)
        return bytes(decided.get(number, NOT_SAMPLED) for number in asked)

    @staticmethod
    def _within(share: _Share, traces: Traces, number: int) -> int:
        kept = share.kept + traces.spans[number]
        if kept > share.most:
            return NOT_SAMPLED
        share.kept = kept
        traces.parts[number] = share.name
        return SAMPLED


def policy_of(config: AnyPolicyConfig, faults: Faults) -> Policy:
    """The policy that options describe."""
    together, opposite = getattr(config, "and_", None), getattr(config, "not_", None)
    if config.type == "and" and isinstance(together, AndConfig):
        return _All([policy_of(part, faults) for part in together.and_sub_policy], SAMPLED)
    if config.type == "not" and isinstance(opposite, NotConfig):
        return _Not(policy_of(opposite.not_sub_policy, faults))
    if isinstance(config, PolicyConfig) and config.type == "drop" and config.drop:
        return _All([policy_of(part, faults) for part in config.drop.drop_sub_policy], DROPPED)
    if isinstance(config, PolicyConfig) and config.type == "composite" and config.composite:
        return _composite(config.composite, faults)
    return _simple(config, faults)


def _simple(config: AnyPolicyConfig, faults: Faults) -> Policy:
    match config.type:
        case "latency":
            return _latency(config.latency)
        case "numeric_attribute":
            return _numeric(config.numeric_attribute)
        case "probabilistic":
            return _probabilistic(config.probabilistic)
        case "status_code":
            return _status(config.status_code)
        case "string_attribute":
            return _string(config.string_attribute)
        case "trace_state":
            return _trace_state(config.trace_state)
        case "trace_flags":
            return _OfFacts(lambda traces: traces.has_sampled_flag)
        case "rate_limiting":
            limit = config.rate_limiting
            return TokenBucket(limit.spans_per_second, limit.burst_capacity, lambda traces: traces.spans)
        case "bytes_limiting":
            size = config.bytes_limiting
            return TokenBucket(size.bytes_per_second, size.burst_capacity, lambda traces: traces.sizes)
        case "span_count":
            return _span_count(config.span_count)
        case "boolean_attribute":
            return _boolean(config.boolean_attribute)
        case "ottl_condition":
            return _Ottl(config.ottl_condition.groups(), faults)
        case _:
            return _Always()


def _latency(config: LatencyConfig) -> Policy:
    # Of whole milliseconds the Collector takes more than threshold_ms where there is an upper limit, else as many.
    least = _first_ns_of(config.threshold_ms + (config.upper_threshold_ms != 0))
    behind = _first_ns_of(config.upper_threshold_ms + 1) if config.upper_threshold_ms else math.inf

    def holds(traces: Traces) -> Callable[[int], bool]:
        took = traces.took_ns
        return lambda number: least <= took[number] < behind

    return _OfFacts(holds)


def _first_ns_of(ms: int) -> int:
    """The first nanosecond that, without what is less than a millisecond, makes so many of them."""
    return ms * 1_000_000 if ms > 0 else (ms - 1) * 1_000_000 + 1


def _span_count(config: SpanCountConfig) -> Policy:
    least, most = config.min_spans, config.max_spans or math.inf

    def holds(traces: Traces) -> Callable[[int], bool]:
        spans = traces.spans
        return lambda number: least <= spans[number] <= most

    return _OfFacts(holds)


def _probabilistic(config: ProbabilisticConfig) -> Policy:
    threshold = threshold_of(config.sampling_percentage / 100)
    salt = (config.hash_salt or DEFAULT_SALT).encode()

    def holds(traces: Traces) -> Callable[[int], bool]:
        hashes = memoryview(traces.index.hashes(salt)).cast("Q")
        return lambda number: hashes[number] <= threshold

    return _OfFacts(holds)


def threshold_of(ratio: float) -> int:
    """The largest hash of 64 bits that is kept: a share of all, in the Collector's precision of 64 bits."""
    exact = MOST_HASH * Fraction(ratio)
    whole = math.floor(exact)
    if whole >= MOST_HASH:
        return MOST_HASH
    spare = 64 - whole.bit_length()
    rounded: int = round(exact * 2**spare)
    return rounded >> spare


def _somewhere(condition: Callable[[Attribute], Expression], key: str) -> Expression:
    """A condition on an attribute of the resource or of the span."""
    levels: tuple[Level, ...] = ("resource", "item")
    return AnyOf([condition(Attribute(level, key)) for level in levels])


def _numeric(config: NumericAttributeConfig) -> Policy:
    least, most = config.min_value or LEAST_INTEGER, config.max_value or MOST_INTEGER

    def condition(attribute: Attribute) -> Expression:
        within = (Compare(attribute, ">=", least), Compare(attribute, "<=", most))
        return AllOf([HasType(attribute, ["int"]), *within])

    return _OfSpans(_somewhere(condition, config.key), config.invert_match)


def _boolean(config: BooleanAttributeConfig) -> Policy:
    return _OfSpans(
        _somewhere(lambda attribute: Compare(attribute, "==", config.value), config.key), config.invert_match
    )


def _string(config: StringAttributeConfig) -> Policy:
    if not config.enabled_regex_matching:
        values = [value for value in config.values if value]
        return _OfSpans(_somewhere(lambda attribute: OneOf(attribute, values), config.key), config.invert_match)

    def condition(attribute: Attribute) -> Expression:
        matches: Expression = AnyOf([Matches(attribute, value) for value in config.values])
        has_text: Expression = HasType(attribute, ["text"])
        # An empty text of a span has nothing to be found in it, one of a resource has, as in the Collector.
        is_empty = attribute.level == "item"
        return AllOf([has_text, Compare(attribute, "!=", "") if is_empty else Constant(True), matches])

    return _OfSpans(_somewhere(condition, config.key), config.invert_match)


def _status(config: StatusCodeConfig) -> Policy:
    return _OfSpans(OneOf(Field("item", "status.code"), [STATUS_CODES[code] for code in config.status_codes]))


def _trace_state(config: TraceStateConfig) -> Policy:
    values = [value for value in config.values if value and len(config.key) + len(value) < MOST_MEMBER_CHARACTERS]
    return _OfSpans(OneOf(Field("item", "trace_state", (config.key,)), values))


def _composite(config: CompositeConfig, faults: Faults) -> Policy:
    most = config.max_total_spans_per_second
    each = most / len(config.composite_sub_policy) if config.composite_sub_policy else 0.0
    allocated: Mapping[str, int] = {
        share.policy: int(share.percent / 100 * most if share.percent else each) for share in config.rate_allocation
    }
    order = {name: place for place, name in enumerate(config.policy_order)}
    parts = sorted(config.composite_sub_policy, key=lambda part: order.get(part.name, len(order)))
    return _Composite(
        [_Share(part.name, policy_of(part, faults), min(allocated.get(part.name, 0), most)) for part in parts]
    )
