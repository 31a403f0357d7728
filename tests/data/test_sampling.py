"""A sampler keeps the share that it should, of every trace all or nothing, and says so in what it keeps."""

import math
import random
from collections import Counter
from fractions import Fraction
from typing import Any

import pytest

from .sampled_items import (
    WHOLE,
    exact_threshold,
    fnv1a,
    is_kept_by_hash,
    items,
    pairs,
    records,
    spans,
    states,
)

USUAL = bytes.fromhex("fefefefefefefefefe80000000000000")
LIKELIEST = b"\xff" * 16
CONSISTENT = ("equalizing", "proportional")


def id_of(randomness: str) -> bytes:
    return bytes.fromhex("dd" * 9 + randomness.ljust(14, "0"))


def sampled(kernels: Any, signal: str, payload: bytes, mode: str, percentage: float, **more: Any) -> tuple[bytes, Any]:
    """What is left, and how it was decided; as many as there were."""
    view = kernels.scan(signal, payload)
    kept, counts = kernels.Sampler(mode, percentage, **more).apply(view)
    assert sum(counts.values()) == view.items
    assert sum(count for (_, is_kept, _), count in counts.items() if is_kept) == kept.items
    assert kernels.validate(signal, kept.payload)[0] is kept.payload
    return kept.payload, counts


# The Collector's own cases: id, state, percentage, precision, and for both modes what comes out (None for nothing).
COLLECTOR: dict[str, tuple[bytes, str, float, int, str | None, str | None]] = {
    "all": (USUAL, "", 100, 4, "ot=th:0", "ot=th:0"),
    "more than all": (USUAL, "", 200, 4, "ot=th:0", "ot=th:0"),
    "half": (USUAL, "", 50, 4, "ot=th:8", "ot=th:8"),
    "half, not this": (USUAL, "", 49, 4, None, None),
    "a quarter": (id_of("c"), "", 25, 4, "ot=th:c", "ot=th:c"),
    "a quarter, not this": (id_of("b"), "", 25, 4, None, None),
    "exactly one percent": (
        *(USUAL, "ot=rv:FD70A3D70A3D71", 1, 14),
        *["ot=rv:FD70A3D70A3D71;th:fd70a3d70a3d71"] * 2,
    ),
    "one less": (USUAL, "ot=rv:FD70A3D70A3D70", 1, 14, None, None),
    "rounded down": (USUAL, "ot=rv:FD70A3D70A3D71", 1, 4, *["ot=rv:FD70A3D70A3D71;th:fd70a"] * 2),
    "rounded up": (USUAL, "ot=rv:FD70A3D70A3D71", 1, 3, None, None),
    "by trace id": (id_of("fe"), "", 1, 4, "ot=th:fd70a", "ot=th:fd70a"),
    "sampled before, with zeros": (
        *(USUAL, "ot=rv:90000000000000;th:80000000000000", 50, 4),
        *("ot=rv:90000000000000;th:8", None),
    ),
    "sampled before": (
        USUAL,
        "ot=rv:c0000000000000;th:8",
        50,
        4,
        "ot=rv:c0000000000000;th:8",
        "ot=rv:c0000000000000;th:c",
    ),
    "sampled before, not now": (USUAL, "ot=th:8", 25, 4, None, None),
    "sampled before, to an eighth": (LIKELIEST, "ot=th:8", 25, 4, "ot=th:c", "ot=th:e"),
    "three digits": (USUAL, "ot=rv:a0000000000000", 40, 3, *["ot=rv:a0000000000000;th:99a"] * 2),
    "six digits": (id_of("d"), "ot=th:8", 40, 6, "ot=th:99999a", "ot=th:cccccd"),
    "of two fifths one": (id_of("b"), "ot=th:8", 40, 3, "ot=th:99a", None),
    "tiny": (LIKELIEST, "ot=th:fffc", 100 * 2**-14, 14, "ot=th:fffc", "ot=th:fffffff"),
    "nearly all": (LIKELIEST, "", (1 - 8e-7) * 100, 10, *["ot=th:00000cccccccd"] * 2),
    "less than there is": (LIKELIEST, "ot=th:fffffffffffff8", 2**-4, 4, "ot=th:fffffffffffff8", None),
}


@pytest.mark.parametrize("mode", CONSISTENT)
@pytest.mark.parametrize("name", COLLECTOR)
def test_decides_and_writes_as_the_collector(kernels, name, mode):
    trace_id, state, percentage, precision, equalizing, proportional = COLLECTOR[name]
    expected = equalizing if mode == "equalizing" else proportional

    payload, counts = sampled(kernels, "traces", spans((trace_id, state)), mode, percentage, precision=precision)

    assert states(payload) == ([] if expected is None else [expected])
    policy = "sampling_randomness" if "rv:" in state else "trace_id_w3c"
    assert counts == {(policy, expected is not None, ""): 1}


@pytest.mark.parametrize(
    ("percentage", "text"), [(100, "0"), (75, "4"), (50, "8"), (25, "c"), (10, "e668"), (100 / 3, "aaac")]
)
def test_a_hash_has_the_collectors_threshold(kernels, percentage, text):
    ids = [number.to_bytes(16, "big") for number in range(1, 200)]

    payload, _ = sampled(kernels, "traces", spans(*((each, "") for each in ids)), "hash_seed", percentage, hash_seed=7)

    fields = [dict(field.split(":") for field in state.removeprefix("ot=").split(";")) for state in states(payload)]
    assert fields
    assert {each["th"] for each in fields} == {text}
    assert all(each["rv"] >= text.ljust(14, "0") for each in fields)


@pytest.mark.parametrize("seed", [0, 22, 2**32 - 1])
@pytest.mark.parametrize("percentage", [0, 1, 50, 99, 100])
def test_a_hash_keeps_what_the_specification_says(kernels, percentage, seed):
    source = random.Random(seed + percentage)
    ids = [source.randbytes(16) for _ in range(500)]

    payload, _ = sampled(
        kernels, "traces", spans(*((each, "") for each in ids)), "hash_seed", percentage, hash_seed=seed
    )

    assert [span.trace_id for span in items("traces", payload)] == [
        each for each in ids if is_kept_by_hash(seed, each, percentage)
    ]


def test_the_randomness_of_a_hash_decides_as_the_hash(kernels):
    number = fnv1a(22, USUAL)

    payload, _ = sampled(kernels, "traces", spans((USUAL, "")), "hash_seed", 100, hash_seed=22)

    [state] = states(payload)
    randomness = int(state.removeprefix("ot=rv:").removesuffix(";th:0"), 16)
    assert randomness >> 42 == 16383 - number % 16384
    assert randomness % 16384 == number % 16384
    assert randomness >> 14 & 2**28 - 1 == number >> 18 ^ number >> 18 << 10


@pytest.mark.parametrize("precision", [1, 2, 3, 4, 9, 14])
def test_thresholds_are_those_of_exact_arithmetic(kernels, precision):
    for share in (*(Fraction(1, 1 << n) for n in (1, 4, 5, 20)), *(Fraction(n, 64) for n in (3, 21, 40, 63))):
        payload, _ = sampled(
            kernels, "traces", spans((LIKELIEST, "")), "equalizing", float(share * 100), precision=precision
        )

        assert states(payload) == [f"ot=th:{exact_threshold(share, precision)}"], share


PRIORITIES: dict[str, tuple[Any, bool | None]] = {
    "whole": (2, True),
    "nothing": (0, False),
    "negative": (-1, None),
    "half": (0.5, True),
    "nothing as a double": (-0.0, False),
    "not a number": (math.nan, None),
    "text": ("1", True),
    "text of nothing": ("0.0", False),
    "text of something else": ("high", None),
    "a truth": (True, None),
    "empty": (None, None),
}


@pytest.mark.parametrize("mode", [*CONSISTENT, "hash_seed"])
@pytest.mark.parametrize("name", PRIORITIES)
def test_a_span_can_ask_to_be_kept(kernels, name, mode):
    value, asked = PRIORITIES[name]
    payload = spans((LIKELIEST, "a=b", {"sampling.priority": value}), (LIKELIEST, "a=b", {"other": 1}))

    for percentage in (0.1, 99):
        kept, counts = sampled(kernels, "traces", payload, mode, percentage, hash_seed=1)
        by_chance = sampled(kernels, "traces", spans((LIKELIEST, "a=b")), mode, percentage, hash_seed=1)[0]

        expected = states(by_chance) if asked is None else ["th:0"] * asked
        assert [state.partition(",")[0][-4:] for state in states(kept)[: len(expected)]] == [
            state.partition(",")[0][-4:] for state in expected
        ]
        assert len(states(kept)) == len(expected) + len(states(by_chance))
        assert counts.get(("sampling_priority", bool(asked), ""), 0) == (asked is not None)


@pytest.mark.parametrize("fail_closed", [True, False], ids=["closed", "open"])
@pytest.mark.parametrize(
    ("trace_id", "state", "mode", "fault", "after"),
    [
        (b"", "", "equalizing", "missing_randomness", "ot=th:0"),
        (bytes(16), "a=b", "proportional", "missing_randomness", "ot=th:0,a=b"),
        (b"short", "", "proportional", "missing_randomness", "ot=th:0"),
        (bytes(16), "", "hash_seed", "missing_randomness", "ot=rv:ffffffffffffff;th:0"),
        (USUAL, "ot=rv:abababababababab", "equalizing", "malformed", None),
        (USUAL, "ot=th:abababababababab", "equalizing", "malformed", None),
        (USUAL, "ot=th:-1", "hash_seed", "malformed", None),
        (id_of("7"), "ot=th:8", "equalizing", "inconsistent_threshold", "ot=th:0"),
        (
            USUAL,
            "x=y,ot=th:8;rv:70000000000000;p:1",
            "proportional",
            "inconsistent_threshold",
            "ot=rv:70000000000000;th:0;p:1,x=y",
        ),
        (USUAL, "ot=rv:70000000000000", "hash_seed", "randomness_in_use", None),
        (USUAL, "ot=th:8", "hash_seed", "threshold_in_use", None),
        (USUAL, "ot=th:00", "hash_seed", "threshold_in_use", None),
    ],
)
def test_a_fault_is_counted_and_closes_or_opens(kernels, trace_id, state, mode, fault, after, fail_closed):
    kept, counts = sampled(kernels, "traces", spans((trace_id, state)), mode, 100, fail_closed=fail_closed)

    assert states(kept) == ([] if fail_closed else [state if after is None else after])
    assert [(is_kept, what) for _, is_kept, what in counts] == [(not fail_closed, fault)]


HOSTILE = (
    *(
        "=",
        "a",
        "a=",
        "=b",
        "A=b",
        "a=b=c",
        "a==",
        "1=b",
        "a@=b",
        "@a=b",
        "a@1=b",
        "ü=1",
        "a=ü",
        "a=\x7f",
        "a=\0",
        "a\t=b",
    ),
    *("ot=", "ot=;", "ot=th", "ot=th:", "ot=:8", "ot=th:8;", "ot=;th:8", "ot=th:8;;a:b", "ot=TH:8", "ot=t_h:8"),
    *("ot=th:0x8", "ot=th:8 ;a:b", "ot=th:+8", "ot=th:8_0", "ot=rv:0123456789abcg", "ot=a:b:c", "ot=a:ü", "ot=th:٣"),
    *(
        "ot=th:8,ot=th:g",
        "ot=th:g,ot=th:8",
        "a" * 257 + "=b",
        "a=" + "b" * 257,
        "a" * 242 + "@b=c",
        "a@" + "b" * 15 + "=c",
    ),
    *("ot=a:" + "b" * 255, ",".join(f"a{n}=b" for n in range(33)), "a=" + "b" * 250 + ",c=" + "d" * 250 + "," * 600),
    ",".join(f"{key}=" + "b" * size for key, size in (("a", 256), ("c", 256), ("d", 256), ("e", 246))),
)


@pytest.mark.parametrize("state", HOSTILE)
def test_a_malformed_trace_state_is_counted_and_stays(kernels, state):
    payload = spans((LIKELIEST, state))
    view = kernels.scan("traces", payload)

    kept, counts = kernels.Sampler("equalizing", 50, fail_closed=False).apply(view)

    assert kept is view
    assert counts == {("missing_randomness", True, "malformed"): 1}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a=b", "ot=th:8,a=b"),
        ("a=b , c=d e ,\t,1t@s=!", "ot=th:8,a=b,c=d e,1t@s=!"),
        ("a=b,ot=x:1;th:0;y:;x:2,c=d", "ot=th:8;x:1;y:;x:2,a=b,c=d"),
        ("ot=th:1;th:2", "ot=th:8"),
        ("ot=x:1;rv:c0000000000000;th:c,a=b,ot=p:1", "ot=th:8;p:1,a=b"),
        ("ota=th:9,other=ot", "ot=th:8,ota=th:9,other=ot"),
        ("a" * 256 + "=" + "b" * 256, "ot=th:8," + "a" * 256 + "=" + "b" * 256),
        ("a" * 241 + "@" + "b" * 14 + "=c", "ot=th:8," + "a" * 241 + "@" + "b" * 14 + "=c"),
        (",".join(f"a{n}=b" for n in range(31)), "ot=th:8," + ",".join(f"a{n}=b" for n in range(31))),
        ("ot=a:" + "b" * 248 + ";th:0", "ot=th:8;a:" + "b" * 248),
    ],
)
def test_only_opentelemetrys_member_of_a_trace_state_changes(kernels, before, after):
    kept, counts = sampled(kernels, "traces", spans((LIKELIEST, before)), "equalizing", 50)

    assert states(kept) == [after]
    assert counts == {("trace_id_w3c", True, ""): 1}


@pytest.mark.parametrize(
    "state",
    [
        ",".join(f"a{n}=b" for n in range(32)),
        "ot=a:" + "b" * 250,
        ",".join(f"{key}=" + "b" * size for key, size in (("a", 256), ("c", 256), ("d", 256), ("e", 245))),
    ],
    ids=["members", "value", "bytes"],
)
def test_a_trace_state_without_room_is_counted_and_stays(kernels, state):
    view = kernels.scan("traces", spans((LIKELIEST, state)))

    kept, counts = kernels.Sampler("equalizing", 50).apply(view)

    assert kept is view
    assert counts == {("trace_id_w3c", True, "no_room"): 1}


RECORDS: dict[str, tuple[bytes, dict[str, Any], dict[str, Any], float, dict[str, Any] | None, tuple[str, str]]] = {
    "trace id": (USUAL, {"a": 1}, {}, 50, {"a": 1, "sampling.threshold": "8"}, ("trace_id_w3c", "")),
    "trace id, not this": (id_of("7"), {}, {}, 50, None, ("trace_id_w3c", "")),
    "own randomness": (
        *(id_of("7"), {"sampling.randomness": "90000000000000"}, {}, 50),
        *({"sampling.randomness": "90000000000000", "sampling.threshold": "8"}, ("sampling_randomness", "")),
    ),
    "smaller share before": (
        LIKELIEST,
        {"sampling.threshold": "c"},
        {},
        50,
        {"sampling.threshold": "c"},
        ("trace_id_w3c", ""),
    ),
    "larger share before": (
        LIKELIEST,
        {"sampling.threshold": "4"},
        {},
        50,
        {"sampling.threshold": "8"},
        ("trace_id_w3c", ""),
    ),
    "no trace": (b"", {"id": "x"}, {"from_attribute": "id"}, 50, None, ("missing_randomness", "missing_randomness")),
    "no trace, open": (
        *(b"", {}, {"fail_closed": False}, 50, {"sampling.threshold": "0"}),
        ("missing_randomness", "missing_randomness"),
    ),
    "malformed threshold": (USUAL, {"sampling.threshold": "x"}, {}, 50, None, ("missing_randomness", "malformed")),
    "malformed randomness": (
        *(USUAL, {"sampling.randomness": "1"}, {"fail_closed": False}, 50),
        *({"sampling.randomness": "1"}, ("missing_randomness", "malformed")),
    ),
    "threshold of another type": (
        USUAL,
        {"sampling.threshold": 7},
        {},
        50,
        {"sampling.threshold": "8"},
        ("trace_id_w3c", ""),
    ),
    "contradiction": (
        *(id_of("7"), {"sampling.threshold": "8"}, {"fail_closed": False}, 50),
        *({"sampling.threshold": "0"}, ("trace_id_w3c", "inconsistent_threshold")),
    ),
    "priority": (
        *(id_of("e"), {"p": 10.0}, {"priority_attribute": "p"}, 50),
        *(None, ("sampling_priority", "")),
    ),
    "priority as a whole number": (
        *(id_of("7"), {"p": 100}, {"priority_attribute": "p"}, 1),
        *({"p": 100, "sampling.threshold": "0"}, ("sampling_priority", "")),
    ),
    "priority that is none": (id_of("e"), {"p": "100"}, {"priority_attribute": "p"}, 1, None, ("trace_id_w3c", "")),
    "priority of nothing": (id_of("e"), {"p": 0}, {"priority_attribute": "p"}, 1, None, ("trace_id_w3c", "")),
    "priority too large": (id_of("e"), {"p": 101}, {"priority_attribute": "p"}, 1, None, ("trace_id_w3c", "")),
    "priority in spite of a fault": (
        *(b"", {"p": 50}, {"priority_attribute": "p"}, 1, {"p": 50, "sampling.threshold": "8"}),
        ("sampling_priority", "missing_randomness"),
    ),
    "nothing but priority": (
        *(b"", {"p": 50}, {"priority_attribute": "p"}, 0, {"p": 50, "sampling.threshold": "8"}),
        ("sampling_priority", ""),
    ),
    "nothing": (LIKELIEST, {}, {}, 0, None, ("sampling_priority", "")),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_log_record_is_sampled(kernels, name):
    trace_id, before, options, percentage, after, (policy, fault) = RECORDS[name]

    kept, counts = sampled(kernels, "logs", records((trace_id, before)), "equalizing", percentage, **options)

    assert pairs(kept) == ([] if after is None else [after])
    assert counts == {(policy, after is not None, fault): 1}


@pytest.mark.parametrize(
    ("value", "hashed"),
    [
        ("checkout", b"checkout"),
        (b"\xff\x00", b"\xff\x00"),
        (-5, b"-5"),
        (0.5, b"0.5"),
        (True, b"true"),
        ("", None),
        (b"", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("trace_id", [USUAL, bytes(16)], ids=["trace", "no trace"])
@pytest.mark.parametrize("by_trace_id", [True, False], ids=["traceID", "record"])
def test_an_attribute_of_a_log_record_is_hashed(kernels, value, hashed, trace_id, by_trace_id):
    policy, content = ("id", hashed) if hashed is not None else ("missing_randomness", None)
    if by_trace_id and any(trace_id):
        policy, content = "trace_id_hash", trace_id

    for seed in range(5):
        kept, counts = sampled(
            kernels,
            "logs",
            records((trace_id, {"id": value})),
            "hash_seed",
            50,
            hash_seed=seed,
            by_trace_id=by_trace_id,
            from_attribute="id",
        )

        is_kept = content is not None and is_kept_by_hash(seed, content, 50)
        assert counts == {(policy, is_kept, "" if content is not None else "missing_randomness"): 1}
        for found in pairs(kept):
            bucket = int(found["sampling.randomness"], 16) % 16384
            assert content is not None
            assert bucket == fnv1a(seed, content) % 16384
            assert found == {
                "id": value,
                "sampling.randomness": found["sampling.randomness"],
                "sampling.threshold": "8",
            }


@pytest.mark.parametrize("mode", [*CONSISTENT, "hash_seed"])
def test_what_a_smaller_share_keeps_a_larger_one_keeps(kernels, mode):
    source = random.Random(22)
    payload = spans(*((source.randbytes(16), "") for _ in range(2000)))
    before: set[bytes] = set()

    for percentage in (0, 0.1, 3, 25, 50, 90, 100):
        kept, _ = sampled(kernels, "traces", payload, mode, percentage)
        now = {span.trace_id for span in items("traces", kept)}

        assert before <= now
        # Five standard deviations of a binomial distribution.
        share = percentage / 100
        assert abs(len(now) - 2000 * share) <= 5 * math.sqrt(2000 * share * (1 - share)) + 1
        before = now


@pytest.mark.parametrize("mode", [*CONSISTENT, "hash_seed"])
def test_a_trace_is_decided_the_same_in_every_batch(kernels, mode):
    source = random.Random(23)
    ids = [source.randbytes(16) for _ in range(20)]
    decided: dict[bytes, set[bool]] = {each: set() for each in ids}

    for _ in range(30):
        batch = source.choices(ids, k=10)
        kept, _ = sampled(kernels, "traces", spans(*((each, "v=1") for each in batch)), mode, 50)
        found = Counter(span.trace_id for span in items("traces", kept))
        assert all(found[each] in (0, batch.count(each)) for each in batch)
        for each in batch:
            decided[each].add(found[each] > 0)

    assert all(len(choices) < 2 for choices in decided.values())
    assert {True, False} <= set().union(*decided.values())


def test_tiers_multiply_their_shares_or_keep_the_smallest(kernels):
    payload = spans((LIKELIEST, ""))

    for mode, texts in (("proportional", ["8", "c", "c"]), ("equalizing", ["8", "8", "8"])):
        before = payload
        for percentage, text in zip((50, 50, 100), texts, strict=True):
            before, _ = sampled(kernels, "traces", before, mode, percentage)
            assert states(before) == [f"ot=th:{text}"]


def test_spans_that_do_not_change_are_the_same_view(kernels):
    view = kernels.scan("traces", spans((LIKELIEST, "a=b,ot=th:c"), (LIKELIEST, "ot=p:1;th:8;q:2")))

    kept, counts = kernels.Sampler("equalizing", 50).apply(view)

    assert kept is view
    assert counts == {("trace_id_w3c", True, ""): 2}


def test_what_has_nothing_left_goes(kernels):
    kept, counts = sampled(kernels, "traces", spans((USUAL, ""), (USUAL, "")), "equalizing", 0)

    assert kept == b""
    assert counts == {("sampling_priority", False, ""): 2}


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("random", 1), {}, "random is no mode of sampling"),
        (("equalizing", 1), {"precision": 0}, "the precision must be 1 to 14 digits"),
        (("equalizing", 1), {"precision": 15}, "the precision must be 1 to 14 digits"),
        (("equalizing", -1), {}, "the percentage must be a number from 0"),
        (("equalizing", math.nan), {}, "the percentage must be a number from 0"),
        (("equalizing", math.inf), {}, "the percentage must be a number from 0"),
        (("hash_seed", 1), {"hash_seed": 1 << 32}, "the seed must have 32 bits"),
        (("hash_seed", 1), {"hash_seed": -1}, "the seed must have 32 bits"),
    ],
)
def test_refuses_what_cannot_be_done(kernels, arguments, options, message):
    with pytest.raises(ValueError, match=message):
        kernels.Sampler(*arguments, **options)


def test_refuses_metrics(kernels):
    with pytest.raises(ValueError, match="metrics cannot be sampled"):
        kernels.Sampler("equalizing", 1).apply(kernels.scan("metrics", b""))


def test_a_threshold_is_of_56_bits(kernels):
    least = f"ot=rv:{WHOLE - 1:x}"

    kept, _ = sampled(
        kernels, "traces", spans((b"", least), (b"", "ot=rv:fffffffffffffe")), "equalizing", 100 * 2.0**-56
    )

    assert states(kept) == [f"{least};th:ffffffffffffff"]


@pytest.mark.parametrize("state", ["ot=th:c", "a=b,ot=th:c0"])
def test_a_share_that_was_kept_is_never_said_to_be_larger(kernels, state):
    view = kernels.scan("traces", spans((LIKELIEST, state, {"sampling.priority": 1})))

    kept, counts = kernels.Sampler("equalizing", 50).apply(view)

    assert kept is view
    assert counts == {("sampling_priority", True, ""): 1}
