"""Each policy keeps what the Collector's keeps, however the spans of a trace come."""

import random
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis.component.testing import ManualClock, Sink
from airis.processors.tail_sampling.policies import MOST_HASH, threshold_of

from .requests import items
from .traces import Span, batch_of, id_of, kept_of, numbers, sampler

pytestmark = pytest.mark.usefixtures("either_back_end")

FNV_OFFSET, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


def policy(kind: str, **options: Any) -> dict[str, Any]:
    return {"name": kind, "type": kind, kind: options}


def with_attributes(*attributes: dict[str, Any]) -> list[Span]:
    return [Span(attributes=each) for each in attributes]


def lasting(*times_ms: tuple[float, float]) -> list[Span]:
    return [Span(start_ms=start, end_ms=end) for start, end in times_ms]


NUMBERS = {"key": "size", "min_value": 5, "max_value": 10}
TEXTS = {"key": "tier", "values": ["gold", "silver"]}
PATTERNS = {"key": "tier", "values": ["^go", "[0-9]+"], "enabled_regex_matching": True, "cache_max_size": 3}

CASES: dict[str, tuple[dict[str, Any], list[Span], bool]] = {
    "always": ({"name": "a", "type": "always_sample"}, [Span()], True),
    "latency: one span, under": (policy("latency", threshold_ms=5000), lasting((0, 4500)), False),
    "latency: one span, as much": (policy("latency", threshold_ms=5000), lasting((0, 5000)), True),
    "latency: parts of milliseconds do not count": (policy("latency", threshold_ms=5), lasting((0, 4.9999)), False),
    "latency: together": (policy("latency", threshold_ms=5000), lasting((0, 1000), (5000, 5500)), True),
    "latency: the last comes first": (policy("latency", threshold_ms=5000), lasting((5000, 5500), (0, 1000)), True),
    "latency: 0 is any": (policy("latency"), lasting((0, 0)), True),
    "latency: a clock goes wrong": (policy("latency"), lasting((9, 0)), False),
    "latency: between": (policy("latency", threshold_ms=5000, upper_threshold_ms=10000), lasting((0, 6000)), True),
    "latency: up to": (policy("latency", threshold_ms=5000, upper_threshold_ms=10000), lasting((0, 10000)), True),
    "latency: exactly the least": (
        policy("latency", threshold_ms=5000, upper_threshold_ms=10000),
        lasting((0, 5000)),
        False,
    ),
    "latency: more than the most": (
        policy("latency", threshold_ms=5000, upper_threshold_ms=10000),
        lasting((0, 6000), (10000, 10001)),
        False,
    ),
    "number: the least": (policy("numeric_attribute", **NUMBERS), with_attributes({}, {"size": 5}), True),
    "number: the most": (policy("numeric_attribute", **NUMBERS), with_attributes({"size": 10}), True),
    "number: less": (policy("numeric_attribute", **NUMBERS), with_attributes({"size": 4}), False),
    "number: more": (policy("numeric_attribute", **NUMBERS), with_attributes({"size": 11}), False),
    "number: of a resource": (policy("numeric_attribute", **NUMBERS), [Span(resource={"size": 7})], True),
    "number: no upper limit": (
        policy("numeric_attribute", key="size", min_value=5),
        with_attributes({"size": 99}),
        True,
    ),
    "number: no lower limit": (
        policy("numeric_attribute", key="size", max_value=-5),
        with_attributes({"size": -(1 << 63)}),
        True,
    ),
    "number: not there": (policy("numeric_attribute", **NUMBERS), with_attributes({"sizes": 7}), False),
    "number: a text": (policy("numeric_attribute", **NUMBERS), with_attributes({"size": "7"}), False),
    "number: a double": (policy("numeric_attribute", **NUMBERS), with_attributes({"size": 7.0}), False),
    "number: inverted, in": (
        policy("numeric_attribute", **NUMBERS, invert_match=True),
        with_attributes({}, {"size": 7}),
        False,
    ),
    "number: inverted, out": (
        policy("numeric_attribute", **NUMBERS, invert_match=True),
        with_attributes({"size": 4}),
        True,
    ),
    "number: inverted, not there": (policy("numeric_attribute", **NUMBERS, invert_match=True), [Span()], True),
    "text: of a span": (policy("string_attribute", **TEXTS), with_attributes({}, {"tier": "silver"}), True),
    "text: of a resource": (policy("string_attribute", **TEXTS), [Span(resource={"tier": "gold"})], True),
    "text: a part": (policy("string_attribute", **TEXTS), with_attributes({"tier": "golden"}), False),
    "text: not there": (policy("string_attribute", **TEXTS), with_attributes({"level": "gold"}), False),
    "text: an empty value is none": (
        policy("string_attribute", key="tier", values=[""]),
        with_attributes({"tier": ""}),
        False,
    ),
    "text: inverted": (
        policy("string_attribute", **TEXTS, invert_match=True),
        with_attributes({"tier": "gold"}, {}),
        False,
    ),
    "text: inverted, another": (
        policy("string_attribute", **TEXTS, invert_match=True),
        with_attributes({"tier": "x"}),
        True,
    ),
    "text: inverted, not there": (policy("string_attribute", **TEXTS, invert_match=True), [Span()], True),
    "pattern: found": (policy("string_attribute", **PATTERNS), with_attributes({"tier": "golden"}), True),
    "pattern: the other": (policy("string_attribute", **PATTERNS), with_attributes({"tier": "a1"}), True),
    "pattern: neither": (policy("string_attribute", **PATTERNS), with_attributes({"tier": "a go"}), False),
    "pattern: of a resource": (policy("string_attribute", **PATTERNS), [Span(resource={"tier": "go"})], True),
    "pattern: a number is no text": (policy("string_attribute", **PATTERNS), with_attributes({"tier": 12}), False),
    "pattern: an empty text of a span": (
        policy("string_attribute", key="tier", values=[".*"], enabled_regex_matching=True),
        with_attributes({"tier": ""}),
        False,
    ),
    "pattern: an empty text of a resource": (
        policy("string_attribute", key="tier", values=[".*"], enabled_regex_matching=True),
        [Span(resource={"tier": ""})],
        True,
    ),
    "pattern: inverted": (
        policy("string_attribute", **PATTERNS, invert_match=True),
        with_attributes({"tier": "golden"}),
        False,
    ),
    "bool: true": (policy("boolean_attribute", key="vip", value=True), with_attributes({"vip": True}), True),
    "bool: the other": (policy("boolean_attribute", key="vip", value=True), with_attributes({"vip": False}), False),
    "bool: false": (policy("boolean_attribute", key="vip", value=False), with_attributes({"vip": False}), True),
    "bool: of a resource": (policy("boolean_attribute", key="vip", value=True), [Span(resource={"vip": True})], True),
    "bool: not there": (policy("boolean_attribute", key="vip", value=False), [Span()], False),
    "bool: inverted": (
        policy("boolean_attribute", key="vip", value=True, invert_match=True),
        with_attributes({"vip": True}),
        False,
    ),
    "bool: inverted, not there": (
        policy("boolean_attribute", key="vip", value=True, invert_match=True),
        [Span()],
        True,
    ),
    "status: an error": (policy("status_code", status_codes=["ERROR", "OK"]), [Span(), Span(status=2)], True),
    "status: unset": (policy("status_code", status_codes=["ERROR", "OK"]), [Span()], False),
    "status: asked for unset": (policy("status_code", status_codes=["UNSET"]), [Span(status=1), Span()], True),
    "state: a value": (policy("trace_state", key="tier", values=["1", "2"]), [Span(state="a=1,tier=2")], True),
    "state: of another key": (policy("trace_state", key="tier", values=["1"]), [Span(state="a=1,tier=2")], False),
    "state: a part": (policy("trace_state", key="tier", values=["1"]), [Span(state="tier=12")], False),
    "state: none": (policy("trace_state", key="tier", values=["1"]), [Span()], False),
    "state: too long": (
        policy("trace_state", key="tier", values=["v" * 252]),
        [Span(state="tier=" + "v" * 252)],
        False,
    ),
    "flags: set": ({"name": "f", "type": "trace_flags"}, [Span(), Span(flags=0x101)], True),
    "flags: others": ({"name": "f", "type": "trace_flags"}, [Span(flags=0x102)], False),
    "count: enough": (policy("span_count", min_spans=2), [Span()] * 2, True),
    "count: too few": (policy("span_count", min_spans=2), [Span()], False),
    "count: the most": (policy("span_count", min_spans=2, max_spans=3), [Span()] * 3, True),
    "count: too many": (policy("span_count", min_spans=2, max_spans=3), [Span()] * 4, False),
    "ottl: a span": (policy("ottl_condition", span=['attributes["a"] == 1']), with_attributes({}, {"a": 1}), True),
    "ottl: with its context": (policy("ottl_condition", span=['span.name == "x"']), [Span(name="x")], True),
    "ottl: its resource": (
        policy("ottl_condition", span=['resource.attributes["a"] == 1']),
        [Span(resource={"a": 1})],
        True,
    ),
    "ottl: one of two": (policy("ottl_condition", span=['name == "x"', 'name == "y"']), [Span(name="y")], True),
    "ottl: none": (policy("ottl_condition", span=['name == "x"']), [Span(name="y")], False),
    "ottl: an event": (policy("ottl_condition", spanevent=['name == "x"']), [Span(events=("y", "x"))], True),
    "ottl: no event": (policy("ottl_condition", spanevent=['name == "x"']), [Span(name="x")], False),
    "probability: none": (policy("probabilistic", sampling_percentage=0), [Span()], False),
    "probability: all": (policy("probabilistic", sampling_percentage=100), [Span()], True),
}

GOLD, LARGE = policy("string_attribute", **TEXTS), policy("numeric_attribute", **NUMBERS)
BOTH = with_attributes({"tier": "gold"}, {"size": 7})

TOGETHER: dict[str, tuple[list[dict[str, Any]], list[Span], bool]] = {
    "and: both": ([{"name": "p", "type": "and", "and": {"and_sub_policy": [GOLD, LARGE]}}], BOTH, True),
    "and: one": ([{"name": "p", "type": "and", "and": {"and_sub_policy": [GOLD, LARGE]}}], BOTH[:1], False),
    "and: not": (
        [
            {
                "name": "p",
                "type": "and",
                "and": {"and_sub_policy": [GOLD, {"name": "n", "type": "not", "not": {"not_sub_policy": LARGE}}]},
            }
        ],
        BOTH[:1],
        True,
    ),
    "not: kept": ([{"name": "p", "type": "not", "not": {"not_sub_policy": GOLD}}], BOTH, False),
    "not: left out": ([{"name": "p", "type": "not", "not": {"not_sub_policy": GOLD}}], [Span()], True),
    "drop: wins, wherever it stands": (
        [
            {"name": "all", "type": "always_sample"},
            {"name": "p", "type": "drop", "drop": {"drop_sub_policy": [GOLD, LARGE]}},
        ],
        BOTH,
        False,
    ),
    "drop: not all of it": (
        [
            {"name": "p", "type": "drop", "drop": {"drop_sub_policy": [GOLD, LARGE]}},
            {"name": "all", "type": "always_sample"},
        ],
        BOTH[:1],
        True,
    ),
    "drop: alone keeps nothing": (
        [{"name": "p", "type": "drop", "drop": {"drop_sub_policy": [GOLD]}}],
        [Span()],
        False,
    ),
    "one of several": ([GOLD, LARGE], BOTH[1:], True),
    "none of several": ([GOLD, LARGE], [Span()], False),
    "an inverted one does not speak against others": (
        [policy("string_attribute", **TEXTS, invert_match=True), LARGE],
        BOTH,
        True,
    ),
}


@pytest.mark.parametrize(("options", "spans", "is_kept"), CASES.values(), ids=CASES.keys())
async def test_keeps_what_the_policy_is_about(options, spans, is_kept):
    others = [Span(trace=2, name="other", start_ms=1, end_ms=1)]  # it must not be taken for the same trace

    kept = await kept_of([options], [batch_of([*others, *spans])])

    assert [number for number in kept if number == 1] == [1] * len(spans) * is_kept


@pytest.mark.parametrize(("policies", "spans", "is_kept"), TOGETHER.values(), ids=TOGETHER.keys())
async def test_policies_decide_together(policies, spans, is_kept):
    assert await kept_of(policies, [batch_of(spans)]) == [1] * len(spans) * is_kept


def fnv1a(data: bytes) -> int:
    value = FNV_OFFSET
    for byte in data:
        value = (value ^ byte) * FNV_PRIME % 2**64
    return value


@pytest.mark.parametrize("salt", ["", "gateway"])
async def test_a_share_is_chosen_by_the_collectors_hash(salt):
    share = policy("probabilistic", sampling_percentage=30, hash_salt=salt)
    rng = random.Random(1)
    traces = [rng.getrandbits(128) for _ in range(500)]

    kept = await kept_of([share], [batch_of(Span(trace=number) for number in traces)])

    most = Fraction(30) / 100 * 2**64
    hashes = {number: fnv1a((salt or "default-hash-seed").encode() + id_of(number)) for number in traces}
    assert kept == sorted(number for number, hashed in hashes.items() if hashed < most)
    assert 110 < len(kept) < 190


@pytest.mark.parametrize(
    ("ratio", "threshold"),
    [
        (0.0, 0),
        (1.0, MOST_HASH),
        (2.0, MOST_HASH),
        (0.5, 0x7FFFFFFFFFFFFFFF),
        (1e-30, 0),
        (0.1, 1844674407370955263),  # a double that is somewhat more than a tenth
    ],
)
def test_the_threshold_has_64_bits(ratio, threshold):
    assert threshold_of(ratio) == threshold


async def test_a_rate_is_kept_to_and_what_was_saved_up_can_be_spent_at_once():
    clock, sink = ManualClock(), Sink()
    limit = policy("rate_limiting", spans_per_second=2, burst_capacity=4)
    made = sampler(sink, clock, policies=[limit], decision_wait="1s")

    async def decided(*spans: Span) -> list[int]:
        before = len(sink.batches)
        await made.consume(batch_of(spans))
        await made.tick()
        clock.now += 2.0
        await made.tick()
        await made.tick()
        await drained(made)
        return numbers(sink.batches[before:])

    assert await decided(*[Span(trace=1)] * 5) == []  # more than there can ever be
    assert await decided(*[Span(trace=2)] * 3, Span(trace=3), Span(trace=4)) == [2, 2, 2, 3]
    clock.now -= 1.0
    assert await decided(*[Span(trace=5)] * 3, *[Span(trace=6)] * 2) == [6, 6]


async def drained(made: Any) -> None:
    """Return when everything that was kept so far was taken."""
    await made._outbox.close()


async def test_a_rate_of_bytes_is_kept_to():
    batch = batch_of(Span(trace=number) for number in range(1, 11))
    size = sum(2 + len(span) for span in _spans_of(batch)) // 10

    kept = await kept_of([policy("bytes_limiting", bytes_per_second=size, burst_capacity=3 * size)], [batch])

    assert len(kept) == 3


def _spans_of(batch: Any) -> list[bytes]:
    return [span.SerializeToString() for span in items(batch)]


COMPOSITE = {
    "max_total_spans_per_second": 10,
    "policy_order": ["gold", "rest"],
    "composite_sub_policy": [
        {"name": "rest", "type": "always_sample"},
        {"name": "gold", "type": "string_attribute", "string_attribute": TEXTS},
    ],
    "rate_allocation": [{"policy": "gold", "percent": 50}, {"policy": "rest", "percent": 20}],
}


async def test_a_composite_shares_out_what_may_be_kept_in_a_second():
    gold = [Span(trace=number, attributes={"tier": "gold"}) for number in range(1, 9)]
    others = [Span(trace=number) for number in range(11, 19)]

    kept = await kept_of([policy("composite", **COMPOSITE)], [batch_of([*others, *gold])])

    assert kept == [1, 2, 3, 4, 5, 11, 12]


async def test_a_composite_leaves_a_policy_without_a_share_nothing():
    options = COMPOSITE | {"rate_allocation": [{"policy": "gold", "percent": 0}]}

    kept = await kept_of([policy("composite", **options)], [batch_of([Span(trace=2), *BOTH[:1]])])

    assert kept == [1]


async def test_a_composite_begins_anew_in_every_second():
    clock, sink = ManualClock(), Sink()
    options = COMPOSITE | {"rate_allocation": [{"policy": "rest", "percent": 20}]}
    made = sampler(sink, clock, policies=[policy("composite", **options)], decision_wait="1s")

    for number in (10, 20):
        await made.consume(batch_of(Span(trace=number + each) for each in range(5)))
        await made.tick()
        clock.now += 3
        await made.tick()
    await made.shutdown()

    assert numbers(sink.batches) == [10, 11, 20, 21]


@pytest.mark.parametrize(("mode", "errors"), [("propagate", 2), ("ignore", 0), ("silent", 0)])
async def test_a_condition_that_cannot_be_asked_of_a_span_is_asked_of_the_others(mode, errors):
    sink = Sink()
    condition = policy("ottl_condition", span=['10 / attributes["n"] == 2'], error_mode=mode)
    made = sampler(sink, policies=[condition, policy("string_attribute", **TEXTS)])
    fault, hit = {"n": 0}, {"n": 5}
    traces = [
        Span(trace=1, attributes=fault),
        Span(trace=2, attributes=fault | {"tier": "gold"}),
        Span(trace=3, attributes={"n": 1}),
        Span(trace=4, attributes=fault),
        Span(trace=4, attributes=hit),
    ]

    await made.consume(batch_of(traces))
    await made.shutdown()

    assert numbers(sink.batches) == [2, 4, 4]
    assert made._decider.errors.value == errors  # of the first two traces


async def test_a_not_of_what_cannot_be_asked_is_not_kept():
    sink = Sink()
    condition = policy("ottl_condition", span=['10 / attributes["n"] == 2'])
    made = sampler(sink, policies=[{"name": "n", "type": "not", "not": {"not_sub_policy": condition}}])

    await made.consume(batch_of([Span(trace=1, attributes={"n": 0}), Span(trace=2, attributes={"n": 1})]))
    await made.shutdown()

    assert numbers(sink.batches) == [2]
    assert made._decider.errors.value == 1


async def test_no_other_policy_is_asked_of_a_trace_that_one_keeps_where_that_is_wished():
    sink = Sink()
    limit = policy("rate_limiting", spans_per_second=1, burst_capacity=1)
    made = sampler(sink, policies=[GOLD, limit], sample_on_first_match=True)

    await made.consume(batch_of([Span(trace=1, attributes={"tier": "gold"}), Span(trace=2), Span(trace=3)]))
    await made.shutdown()

    assert numbers(sink.batches) == [1, 2]
    asked = {dict(labels)["policy"]: count for labels, count in made._decider.asked.values.items()}
    assert asked == {"string_attribute": 3, "rate_limiting": 2}


SPAN = st.builds(
    Span,
    trace=st.integers(1, 4),
    attributes=st.sampled_from([{}, {"tier": "gold"}, {"size": 7}, {"size": 11}]),
    resource=st.sampled_from([{}, {"vip": True}, {"tier": "x"}]),
    start_ms=st.integers(0, 50),
    end_ms=st.integers(0, 80),
    status=st.integers(0, 2),
    state=st.sampled_from(["", "tier=1"]),
    name=st.sampled_from(["x", "y"]),
)
STATELESS = [
    policy("latency", threshold_ms=20, upper_threshold_ms=60),
    {"name": "quick", "type": "not", "not": {"not_sub_policy": policy("latency", threshold_ms=70)}},
    {"name": "both", "type": "and", "and": {"and_sub_policy": [GOLD, policy("status_code", status_codes=["ERROR"])]}},
    LARGE,
    policy("string_attribute", **TEXTS, invert_match=True),
    policy("span_count", min_spans=2, max_spans=3),
    policy("trace_state", key="tier", values=["1"]),
    policy("ottl_condition", span=['name == "x" and status.code == 2']),
    {"name": "drop", "type": "drop", "drop": {"drop_sub_policy": [policy("boolean_attribute", key="vip", value=True)]}},
]


@settings(max_examples=40, deadline=None)
@given(
    spans=st.lists(SPAN, min_size=1, max_size=12),
    policies=st.lists(st.sampled_from(range(len(STATELESS))), min_size=1, unique=True),
    seed=st.integers(0, 2**32),
)
async def test_the_decision_does_not_depend_on_how_the_spans_come(spans, policies, seed):
    chosen = [STATELESS[number] for number in policies]
    shuffled = list(spans)
    rng = random.Random(seed)
    rng.shuffle(shuffled)
    batches = []
    while shuffled:
        count = rng.randint(1, len(shuffled))
        batches.append(batch_of(shuffled[:count]))
        del shuffled[:count]

    assert await kept_of(chosen, batches) == await kept_of(chosen, [batch_of(spans)])
