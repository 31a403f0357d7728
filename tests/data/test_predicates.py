"""Conditions: what compares with what, what is combined how, and what cannot be compiled."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from airis.data import expressions
from airis.data.expressions import (
    AllOf,
    AnyOf,
    Compare,
    Constant,
    Contains,
    Exists,
    Expression,
    HasPrefix,
    HasSuffix,
    HasType,
    InvalidExpression,
    Matches,
    Not,
    OneOf,
    Some,
)
from airis.data.fields import Attribute, Field
from airis.proto.wire import length_delimited

from .conftest import NUMBERS, TEXTS
from .test_view import attributes, metrics, traces

A = Attribute("item", "a")
B = Attribute("item", "b")
ABSENT = Attribute("item", "absent")
NAME = Field("item", "name")
NAN = float("nan")
BIG = 1 << 53


def holds(kernels: Any, condition: Expression, **values: Any) -> bool:
    """Whether a condition holds for a span with these attributes."""
    view = kernels.scan("traces", traces(Span(name="GET /cart", trace_id=b"\xab\xcd", attributes=attributes(**values))))
    mask = kernels.Predicate("traces", condition).mask(view)
    assert mask in (b"\0", b"\1")
    return mask == b"\1"


@pytest.mark.parametrize(
    ("left", "right", "order"),
    [
        ("a", "a", "="),
        ("a", "b", "<"),
        ("a", "", ">"),
        ("Z", "a", "<"),
        ("z", "é", "<"),
        ("\uffff", "\U0001f600", "<"),
        (b"a", b"a", "="),
        (b"a", b"\xff", "<"),
        (False, True, "<"),
        (True, True, "="),
        (1, 1, "="),
        (-1, 1, "<"),
        (1, 1.0, "="),
        (1.0, 1, "="),
        (1, 1.5, "<"),
        (-1, -1.5, ">"),
        (0.0, -0.0, "="),
        (0, -0.0, "="),
        (0.1, 0.1, "="),
        (BIG + 1, float(BIG), ">"),
        (BIG, float(BIG), "="),
        (BIG + 1, BIG, ">"),
        ((1 << 63) - 1, 2.0**63, "<"),
        (-(1 << 63), -(2.0**63), "="),
        ((1 << 63) - 1, float("inf"), "<"),
        (-(1 << 63), float("-inf"), ">"),
        (NAN, NAN, ""),
        (NAN, 1, ""),
        (1, NAN, ""),
        ("1", 1, ""),
        (1, "1", ""),
        (True, 1, ""),
        (0, False, ""),
        ("a", b"a", ""),
        (None, None, "=?"),
        (None, "", ""),
        (None, 0, ""),
        ("", None, ""),
        ([1, "a"], None, ""),
    ],
)
@pytest.mark.parametrize("operator", ["==", "!=", "<", "<=", ">", ">="])
def test_values_compare_with_values_of_their_type_alone(kernels, left, right, order, operator):
    expected = {"==": "=" in order, "!=": "=" not in order}.get(operator, order in tuple(operator))

    assert holds(kernels, Compare(A, operator, right), a=left) == expected
    assert holds(kernels, Compare(A, operator, B), a=left, b=right) == expected
    if operator == "==":
        assert holds(kernels, OneOf(A, ["other", right]), a=left) == expected
        assert holds(kernels, OneOf(A, frozenset([right, *range(100), *map(str, range(1000))])), a=left) == (
            expected or (left in (1, "1") and left is not True)
        )


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ([], [], True),
        ([1, "a", [2.0]], [1.0, "a", [2]], True),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ([None], [None], True),
        ([NAN], [NAN], False),
        ({}, {}, True),
        ({}, [], False),
        ({"x": 1, "y": {"z": b""}}, {"y": {"z": b""}, "x": 1}, True),
        ({"x": 1}, {"x": 2}, False),
        ({"x": 1}, {"y": 1}, False),
        ({"x": 1}, {"x": 1, "y": 1}, False),
    ],
)
def test_arrays_are_equal_in_order_and_maps_in_any(kernels, left, right, expected):
    assert holds(kernels, Compare(A, "==", B), a=left, b=right) == expected
    assert holds(kernels, Compare(A, "!=", B), a=left, b=right) != expected
    assert not holds(kernels, Compare(A, "<=", B), a=left, b=right)


@pytest.mark.parametrize("operator", ["==", "!=", "<", "<=", ">", ">="])
def test_what_is_absent_equals_none_alone(kernels, operator):
    assert holds(kernels, Compare(ABSENT, operator, None)) == (operator == "==")
    assert holds(kernels, Compare(ABSENT, operator, ABSENT)) == (operator == "==")
    assert holds(kernels, Compare(ABSENT, operator, "")) == (operator == "!=")
    assert holds(kernels, Compare(A, operator, None), a=None) == (operator == "==")
    assert not holds(kernels, Exists(ABSENT))
    assert holds(kernels, Exists(A), a=None)
    assert not holds(kernels, Matches(ABSENT, ""))
    assert not holds(kernels, HasPrefix(A, ""), a=None)
    assert not holds(kernels, HasType(ABSENT, ("empty",)))


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        (Matches(A, "b+"), "abbc", True),
        (Matches(A, "b+", whole=True), "abbc", False),
        (Matches(A, "b|bb", whole=True), "bb", True),
        (Matches(A, "^5..$"), 503, True),
        (Matches(A, r"^0\.5$"), 0.5, True),
        (Matches(A, "^true$"), True, True),
        (Matches(A, r'^\[1,"x"\]$'), [1, "x"], True),
        (Matches(A, r'"k":"AQ=="'), {"k": b"\1"}, True),
        (Matches(A, r"^\x{1}b$"), b"\1b", True),
        (Matches(A, "^.$"), b"\xff", False),
        (Matches(A, "$"), b"\xff", True),
        (HasPrefix(A, "ab"), "abc", True),
        (HasPrefix(A, "bc"), "abc", False),
        (HasPrefix(A, "12"), 123, True),
        (HasSuffix(A, "bc"), "abc", True),
        (HasSuffix(A, "ab"), "abc", False),
        (HasSuffix(A, b"\xff"), b"a\xff", True),
        (Contains(A, "b"), "abc", True),
        (Contains(A, "d"), "abc", False),
        (Contains(A, ""), "", True),
        (Contains(A, "é"), "café", True),
        (HasType(A, ("text",)), "x", True),
        (HasType(A, ("int", "double")), 1, True),
        (HasType(A, ("int",)), 1.0, False),
        (HasType(A, ("int",)), True, False),
        (HasType(A, ("bytes",)), "x", False),
        (HasType(A, ("array",)), [], True),
        (HasType(A, ("map",)), {}, True),
        (HasType(A, ("empty",)), None, True),
        (OneOf(A, ()), "x", False),
        (OneOf(A, (None,)), None, True),
        (OneOf(A, ("x", b"y")), "y", False),
        (OneOf(A, (1.5, 2)), 2.0, True),
        (OneOf(A, (1.5, 2)), 1.5, True),
        (OneOf(A, (1,)), True, False),
        (OneOf(Field("item", "trace_id"), ("abcd",)), "", True),
        (OneOf(Field("item", "trace_id"), ("ABCD",)), "", False),
        (Compare(Field("item", "trace_id"), "==", "abcd"), "", True),
        (Compare(Field("item", "trace_id"), "<", "abce"), "", True),
        (Compare(Field("item", "trace_id"), ">", "abc"), "", True),
        (Compare(Field("item", "trace_id"), "==", A), "abcd", True),
        (Compare(A, "==", Field("item", "trace_id")), "abcd", True),
        (Matches(Field("item", "trace_id"), "^abcd$"), "", True),
        (Matches(NAME, "^GET /"), "", True),
    ],
)
def test_a_condition_looks_at_the_value_or_at_its_text(kernels, condition, value, expected):
    assert holds(kernels, condition, a=value) == expected


TRUE, FALSE = Constant(True), Constant(False)
IS_X, IS_Y = Compare(A, "==", "x"), Compare(A, "==", "y")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (TRUE, True),
        (FALSE, False),
        (AllOf(()), True),
        (AnyOf(()), False),
        (Not(TRUE), False),
        (Not(Not(IS_X)), True),
        (Not(IS_Y), True),
        (AllOf((IS_X, TRUE)), True),
        (AllOf((IS_X, FALSE)), False),
        (AllOf((IS_X, IS_Y)), False),
        (AnyOf((IS_Y, IS_X)), True),
        (AnyOf((IS_Y, FALSE)), False),
        (AnyOf((IS_Y, TRUE)), True),
        (AnyOf((AllOf((IS_Y, TRUE)), AllOf((IS_X, Not(IS_Y))))), True),
        (AllOf((IS_X, Compare(Attribute("resource", "service.name"), "==", "shop"))), True),
        (AnyOf((IS_Y, Compare(Attribute("resource", "service.name"), "==", "x"))), False),
        (AllOf((Compare(Attribute("scope", "on"), "==", True), Exists(Attribute("resource", "cores")), IS_X)), True),
    ],
)
def test_conditions_are_combined_as_in_logic(kernels, condition, expected):
    assert holds(kernels, condition, a="x") == expected


def event(**values: Any) -> Span.Event:
    return Span.Event(name=values.pop("name", ""), attributes=attributes(**values))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Compare(Field("event", "name"), "==", "a"), b"\1\0"),
        (Compare(Field("event", "name"), "!=", "a"), b"\1\0"),
        (Not(Compare(Field("event", "name"), "==", "a")), b"\0\1"),
        (Compare(Attribute("event", "x"), "==", None), b"\0\0"),
        (Exists(Attribute("event", "x")), b"\1\0"),
        # One event each, or both of the same.
        (
            AllOf((Compare(Field("event", "name"), "==", "a"), Compare(Attribute("event", "x"), "==", 2))),
            b"\1\0",
        ),
        (
            Some(
                "event", AllOf((Compare(Field("event", "name"), "==", "a"), Compare(Attribute("event", "x"), "==", 2)))
            ),
            b"\0\0",
        ),
        (
            Some(
                "event", AllOf((Compare(Field("event", "name"), "==", "b"), Compare(Attribute("event", "x"), "==", 2)))
            ),
            b"\1\0",
        ),
        (Some("event", Constant(True)), b"\1\0"),
        (Some("event", Constant(False)), b"\0\0"),
        (Some("event", Compare(NAME, "==", "none")), b"\0\0"),
        (Not(Some("event", Not(Compare(Field("event", "name"), "==", "a")))), b"\0\1"),
        (Compare(Field("event", "name"), "==", Attribute("event", "y")), b"\1\0"),
        (Compare(Field("event", "name"), "==", Attribute("link", "l")), b"\1\0"),
        (Some("event", Some("link", Compare(Field("event", "name"), "==", Attribute("link", "l")))), b"\1\0"),
        (Some("event", Compare(Attribute("resource", "service.name"), "==", "shop")), b"\1\0"),
        # One event beside another: what is asked of the outer one is asked of it also after the inner one.
        (
            Some(
                "event",
                AllOf(
                    (
                        AllOf((Compare(Field("event", "name"), "==", "a"),) * 9),
                        Some("event", Compare(Field("event", "name"), "==", "b")),
                    )
                ),
            ),
            b"\1\0",
        ),
    ],
)
def test_a_condition_on_events_holds_where_it_holds_for_one_of_them(kernels, condition, expected):
    some = Span(
        events=[event(name="a", x=1, y="b"), event(name="b", x=2, y="b")],
        links=[Span.Link(attributes=attributes(l="z")), Span.Link(attributes=attributes(l="a"))],
    )
    view = kernels.scan("traces", traces(some, Span(name="none")))

    assert kernels.Predicate("traces", condition).mask(view) == expected


def test_what_lies_above_the_items_is_asked_for_each_resource_scope_and_metric(kernels):
    first = metrics(
        Metric(name="a", gauge={"data_points": [{"as_int": 1}, {"as_int": 2}]}),
        Metric(name="b", sum={"data_points": [{"as_int": 1}]}),
    )
    second = first.replace(b"shop", b"pohs").replace(b"lib", b"bil")
    view = kernels.scan("metrics", first + second + first)

    def mask(*conditions: Expression) -> list[int]:
        return list(kernels.Predicate("metrics", AllOf(conditions)).mask(view))

    service = Compare(Attribute("resource", "service.name"), "==", "shop")
    scope = Compare(Field("scope", "name"), "==", "lib")
    metric = Compare(Field("metric", "name"), "==", "a")
    assert mask(service) == [1, 1, 1, 0, 0, 0, 1, 1, 1]
    assert mask(Not(scope)) == [0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert mask(metric) == [1, 1, 0, 1, 1, 0, 1, 1, 0]
    assert mask(metric, service, scope, Compare(Field("item", "value_int"), "==", 2)) == [0, 1, 0, 0, 0, 0, 0, 1, 0]
    assert mask(AnyOf((metric, Not(service)))) == [1, 1, 0, 1, 1, 1, 1, 1, 0]


def test_one_predicate_answers_for_many_views(kernels):
    predicate = kernels.Predicate("traces", AllOf((Matches(NAME, "^a"), Compare(Field("item", "kind"), ">", 1))))

    for _ in range(3):
        view = kernels.scan("traces", traces(Span(name="ab", kind=2), Span(name="b", kind=2), Span(name="a")))
        assert predicate.mask(view) == b"\1\0\0"
    assert predicate.mask(kernels.scan("traces", b"")) == b""


def test_a_predicate_is_about_items_of_its_signal(kernels):
    with pytest.raises(ValueError, match="a condition on logs, but a view of traces"):
        kernels.Predicate("logs", TRUE).mask(kernels.scan("traces", b""))
    with pytest.raises(ValueError, match="profiles is not supported"):
        kernels.Predicate("profiles", TRUE)


def nested(depth: int, around: Callable[[Expression], Expression]) -> Expression:
    made: Expression = TRUE
    for _ in range(depth - 1):
        made = around(made)
    return made


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (nested(65, Not), ".".join(["condition"] * 64) + ": more than 64 conditions in one another"),
        (AllOf((TRUE,) * 10_000), "conditions[9999]: more than 10000 conditions"),
        (AllOf((OneOf(A, range(500_000)), OneOf(A, range(500_001)))), "conditions[1].values"),
        (AllOf((TRUE, Not(Exists(Field("item", "nam"))))), "conditions[1].condition.source: no field of item"),
        (Compare(A, "==", Field("metric", "name")), "right: items of traces have no metric"),
        (Compare(Field("item", "x"), "==", 1), "left: no field of item"),
        (AnyOf((Matches(A, "("),)), "conditions[0].pattern: "),
        (Not("x"), "condition: str is no condition"),
        (Some("exemplar", TRUE), "level: items of traces have no exemplar"),
        (Some("event", Exists(Field("event", "x"))), "condition.source: no field of event"),
        (Exists(Attribute("item", "a", (-1,))), "source: -1 is no index of an array"),
    ],
)
def test_what_cannot_be_compiled_is_refused_with_its_place(kernels, condition, message):
    with pytest.raises(InvalidExpression) as caught:
        kernels.Predicate("traces", condition)

    assert str(caught.value).startswith(message)


def test_what_is_just_small_enough_is_compiled(kernels):
    assert holds(kernels, nested(64, lambda inner: AllOf((inner,))))
    assert holds(kernels, AllOf((TRUE,) * 9_999))
    assert holds(kernels, Compare(A, "==", (1 << 63) - 1), a=(1 << 63) - 1)
    assert not holds(kernels, Compare(A, "==", (1 << 64) - 1), a=-1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Compare(A, "=", 1), "no operator is called '='; there are ==, !=, <, <=, >, >="),
        (lambda: Compare(A, "==", 1 << 64), "18446744073709551616 does not fit 64 bits"),
        (lambda: OneOf(A, (-(1 << 63) - 1,)), "-9223372036854775809 does not fit 64 bits"),
        (lambda: HasType(A, ("string",)), "no type is called 'string'"),
        (lambda: Some("item", TRUE), "no level is called 'item'; there are event, link, exemplar"),
    ],
)
def test_what_is_wrong_by_itself_cannot_be_made(make, message):
    with pytest.raises(InvalidExpression, match=message.replace("(", r"\(")):
        make()


class Conditions:
    """Conditions at random, on what `Generator` puts into requests."""

    def __init__(self, signal: str, seed: int, names: dict[str, list[str]]) -> None:
        self.random = random.Random(seed)
        self.names = names
        self.signal = signal

    def condition(self, depth: int = 0) -> Expression:
        choice = self.random.random()
        if depth < 4 and choice < 0.4:
            several = [self.condition(depth + 1) for _ in range(self.random.randint(0, 3))]
            repeated = {"traces": ("event", "link"), "metrics": ("exemplar",), "logs": ()}[self.signal]
            made: list[Expression] = [AllOf(several), AnyOf(several), Not(self.condition(depth + 1))]
            made += [Some(level, self.condition(depth + 1)) for level in repeated]
            return self.random.choice(made)
        source = self.source()
        operator = self.random.choice(["==", "==", "!=", "<", "<=", ">", ">="])
        makers: list[Callable[[], Expression]] = [
            lambda: Constant(self.random.random() < 0.5),
            lambda: Compare(source, operator, self.scalar()),
            lambda: Compare(source, operator, self.scalar()),
            lambda: Compare(source, operator, self.source()),
            lambda: OneOf(source, [self.scalar() for _ in range(self.random.choice([0, 1, 30]))]),
            lambda: Matches(
                source, self.random.choice(["", "a", "^$", "[0-9]+", "(?i)S", "^.$", r"\.", "e.*a", "é|ü"])
            ),
            lambda: Matches(source, self.random.choice(["", ".", "a|ab", "[0-9.]*", ".*"]), whole=True),
            lambda: Exists(source),
            lambda: HasType(source, [self.random.choice(expressions.get_args(expressions.Type)) for _ in range(3)]),
            lambda: self.random.choice([HasPrefix, HasSuffix, Contains])(source, self.random.choice(TEXTS)[:2]),
        ]
        return self.random.choice(makers)()

    def source(self) -> Attribute | Field:
        level: Any = self.random.choice(list(self.names))
        path = self.random.choice([(), (), (0,), ("a",), ("", 1), (1, "s")])
        if self.random.random() < 0.4:
            return Attribute(level, self.random.choice(TEXTS), path)
        name = self.random.choice(self.names[level])
        allowed = {"body": path, "trace_state": path[:1] if path and isinstance(path[0], str) else ()}
        if name in ("attributes", "metadata", "filtered_attributes"):
            allowed[name] = path if path and isinstance(path[0], str) else ()
        if name.endswith("bucket_counts") or name in ("explicit_bounds", "quantile_values"):
            allowed[name] = path if path and isinstance(path[0], int) else ()
        return Field(level, name, allowed.get(name, ()))

    def scalar(self) -> Any:
        number = self.random.choice(NUMBERS)
        double = self.random.choice([0.0, 1.0, -0.0, 0.1, float("inf"), NAN, 2.0**53, float(number)])
        truth = self.random.random() < 0.5
        return self.random.choice([None, self.random.choice(TEXTS), b"", b"\0", truth, number, number - BIG, double])


def names_of(kernels: Any, signal: str) -> dict[str, list[str]]:
    """The names of all fields by level, from the errors."""
    names: dict[str, list[str]] = {}
    for level in ("resource", "scope", "metric", "item", "event", "link", "exemplar"):
        try:
            kernels.Predicate(signal, Exists(Field(level, "?")))  # type: ignore[arg-type]
        except InvalidExpression as error:
            if "there are" in str(error):
                names[level] = str(error).partition("there are ")[2].split(", ")
    return names


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
@given(st.integers(0, (1 << 64) - 1))
@settings(
    deadline=None, derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_back_ends_agree_on_any_condition(generator, signal, seed):
    native = pytest.importorskip("airis._core")
    reference = pytest.importorskip("airis.data.reference")
    payload = generator(seed).request(signal)
    views = native.scan(signal, payload), reference.scan(signal, payload)
    conditions = Conditions(signal, seed, names_of(reference, signal))
    assert conditions.names == names_of(native, signal)

    for _ in range(20):
        condition = conditions.condition()
        masks = [
            back_end.Predicate(signal, condition).mask(view)
            for back_end, view in zip((native, reference), views, strict=True)
        ]
        assert masks[0] == masks[1], condition


KEYS = ("a", "b", "ab", "abcd", "abce", "abcde", "abcdf", "http.method", "http.metho1", "ab" * 70)


def alike(chance: random.Random) -> Span:
    """A span of a shape that many others have, or nearly."""
    keys = list(KEYS[: chance.choice([3, 6, 10])])
    if chance.random() < 0.1:
        chance.shuffle(keys)
    keys = [key for key in keys if chance.random() < 0.95]
    values = ["x", "x" * chance.randrange(9), "y" * 130, 7, 1 << 40, True, 0.5, b"b", None, ["x"], {"a": "x"}]
    span = Span(
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        name="n" * chance.choice([3, 3, 3, 4, 200]),
        kind=chance.choice([2, 2, 3]),
        start_time_unix_nano=1 << 60,
        attributes=[attributes(x=value)[0] for value in chance.choices(values, [9, 5, *[1] * 9], k=len(keys))],
        status=Status(code=chance.choice([0, 1, 2]), message=chance.choice(["", "", "broken"])),
        flags=chance.choice([0, 0x101]),
    )
    for attribute, key in zip(span.attributes, keys, strict=True):
        attribute.key = key
    return span


@given(st.integers(0, (1 << 64) - 1))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_the_back_ends_agree_on_items_that_are_much_alike(seed):
    native = pytest.importorskip("airis._core")
    reference = pytest.importorskip("airis.data.reference")
    chance = random.Random(seed)
    spans = [alike(chance).SerializeToString() for _ in range(40)]
    # Fields that come again, in other places and of other wire types, count as they do in protobuf.
    extra = [
        b"",
        Span(kind=1).SerializeToString(),
        Span(status=Status(message="m")).SerializeToString(),
        b"\x31" + bytes(8),
    ]
    spans = [span + chance.choice(extra) if chance.random() < 0.1 else span for span in spans]
    payload = b"".join(length_delimited(2, span) for span in spans)
    payload = length_delimited(1, length_delimited(2, payload))
    views = native.scan("traces", payload), reference.scan("traces", payload)

    conditions: list[Expression] = [
        Compare(Field("item", "name"), "==", "nnn"),
        Compare(Field("item", "kind"), "==", 2),
    ]
    conditions += [Compare(Field("item", "status.code"), "==", code) for code in (0, 1, 2)]
    conditions += [Compare(Field("item", "status.message"), "==", "m"), Compare(Field("item", "flags"), ">", 0)]
    for key in (*KEYS, "absent"):
        source = Attribute("item", key)
        conditions += [Exists(source), *(Compare(source, "==", value) for value in ("x", 7, 0.5, True, b"b", None))]
    for condition in conditions:
        masks = [
            back_end.Predicate("traces", condition).mask(view)
            for back_end, view in zip((native, reference), views, strict=True)
        ]
        assert masks[0] == masks[1], condition
