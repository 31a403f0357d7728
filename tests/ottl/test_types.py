"""Converters between types, and what asks for a type, answer as the Collector does."""

import math

import pytest

from airis.ottl.syntax import OttlError
from airis.ottl.values import Value

from .evaluation import COMPILER, fault_of, here, shown, value_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Bool("true")', True),
        ("Bool(nil)", None),
        ('Bool(attributes["nope"])', None),
        ('Int("2.0")', None),
        ('Int("12")', 12),
        ('Int("+12")', 12),
        ('Int("1_0")', None),
        ("Int(2.9)", 2),
        ("Int(-2.9)", -2),
        ("Int(true)", 1),
        ("Int(10000000000000000000.0)", -9223372036854775808),
        ('Double("2.0")', 2.0),
        ('Double("0x1p-2")', 0.25),
        ('Double("inf")', math.inf),
        ('Double("1_0")', 10.0),
        ('String("test")', "test"),
        ("String(span_id)", "0102030405060708"),
        ("String(trace_id)", "0102030405060708090a0b0c0d0e0f10"),
        ("String([1,2,3])", "[1,2,3]"),
        ("String(false)", "false"),
        ("String(1.0)", "1"),
        ("String(123456789.123)", "123456789.123"),
        ("String(0.0000001)", "1e-07"),
        ("String(0.000001)", "0.000001"),
        ("String(nil)", None),
        ('String(attributes["m"])', '{"k":"v","n":1}'),
        ('String(attributes["things"])', '[{"name":"foo","value":2},{"name":"bar","value":5}]'),
        ('String({"b": 1, "a": [true, nil, 0xff]})', '{"a":[true,null,"/w=="],"b":1}'),
        ("String(0xff00)", "ff00"),
        ("String(start_time)", '"2022-12-31T23:00:00.123456789Z"'),
        ('String(Duration("1h"))', "3600000000000"),
        ('String(attributes["b"])', "01ff"),
        ('String(Split("a,b", ","))', '["a","b"]'),
        ('String("<&>")', "<&>"),
        ("IsBool(false)", True),
        ("IsBool(nil)", False),
        ("IsBool(42)", False),
        ("IsDouble(1.0)", True),
        ("IsDouble(1)", False),
        ("IsInt(1)", True),
        ('IsInt(attributes["i"])', True),
        ("IsInt(nil)", False),
        ('IsString("a")', True),
        ('IsString(attributes["nope"])', False),
        ("IsMap(attributes)", True),
        ('IsMap(attributes["l"])', False),
        ("IsMap({})", True),
        ("IsMap(nil)", False),
        ("IsList([1])", True),
        ('IsList(attributes["l"])', True),
        ('IsList(Split("a", ","))', True),
        ('IsList("a")', False),
        ("IsList(nil)", False),
        ("IsList(0x01)", False),
        ("IsList(events)", True),
        ("IsEmpty(nil)", True),
        ('IsEmpty("")', True),
        ("IsEmpty(0)", True),
        ("IsEmpty(0.0)", True),
        ("IsEmpty(false)", True),
        ("IsEmpty([])", True),
        ("IsEmpty({})", True),
        ('IsEmpty(attributes["nope"])', True),
        ('IsEmpty(attributes["em"])', True),
        ('IsEmpty(attributes["el"])', True),
        ("IsEmpty(parent_span_id)", True),
        ("IsEmpty(trace_id)", False),
        ("IsEmpty(TraceID(0x00000000000000000000000000000000))", True),
        ('IsEmpty(Duration("0s"))', True),
        ("IsEmpty(Unix(0))", False),
        ("IsEmpty(events)", False),
        ('IsEmpty(" ")', False),
        ('IsMatch("string", ".*ring")', True),
        ('IsMatch(attributes["nope"], "x")', False),
        ('IsMatch(nil, "x")', False),
        ('IsMatch(12, "^12$")', True),
        ('IsMatch(1.5, "1.5")', True),
        (r'IsMatch(attributes["m"], "\"k\":\"v\"")', True),
        ('IsMatch(0x01ff, "01ff")', True),
        ('IsMatch("x", attributes["s"])', False),
        ('IsMatch(true, "true")', True),
        ('IsMatch(start_time, "2022")', True),
        ("IsRootSpan()", True),
        (r'String({"x": "<&>"})', r'{"x":"\u003c\u0026\u003e"}'),
        ('Len("hello")', 5),
        ('Len("é")', 2),
        ('Len(attributes["l"])', 3),
        ('Len(attributes["m"])', 2),
        ("Len(attributes)", 13),
        ("Len(0x0102)", 2),
        ('Len(attributes["b"])', 2),
        ("Len(events)", 0),
        ("Len([1, 2])", 2),
        ("Len({})", 0),
        ('Len(Split("a,b", ","))', 2),
        ("Log(1)", 0.0),
        ('Log("2.5")', 0.9162907318741551),
        ("Log(true)", 0.0),
        ('ParseInt("0b1111_0000", 0)', 240),
        ('ParseInt("0xFF", 0)', 255),
        ('ParseInt("-0o123", 0)', -83),
        ('ParseInt("0123", 0)', 83),
        ('ParseInt("12345", 10)', 12345),
        ('ParseInt("AA", 16)', 170),
        ('ParseInt("-20", 8)', -16),
        ('ParseInt("+20", 8)', 16),
        ('ParseInt("-9223372036854775808", 10)', -9223372036854775808),
        ('ParseInt("z", 36)', 35),
        ('ParseInt("1_0", 0)', 10),
        ('ParseInt("0x_1", 0)', 1),
        ('Hex("1")', "31"),
        ("Hex(1.1)", "3ff199999999999a"),
        ("Hex(true)", "01"),
        ("Hex(false)", "00"),
        ("Hex(12)", "000000000000000c"),
        ("Hex(-1)", "ffffffffffffffff"),
        ("Hex(0x02)", "02"),
        ("Hex(nil)", ""),
        ('Hex(attributes["nope"])', ""),
        ('Hex("")', ""),
    ],
)
def test_gives(text: str, expected: Value) -> None:
    found = value_of(text)

    assert shown(found) == shown(expected)
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('Bool(attributes["l"])', "list cannot be made a bool"),
        ('Int(attributes["l"])', "list cannot be made an int"),
        ('Double(attributes["m"])', "map cannot be made a double"),
        ("Len(nil)", "Len cannot take nil"),
        ("Len(1)", "Len cannot take int"),
        ("Len(true)", "Len cannot take bool"),
        ("Len(trace_id)", "Len cannot take id"),
        ("Log(false)", "there is no logarithm of 0"),
        ("Log(0)", "there is no logarithm of 0"),
        ("Log(-1.5)", "there is no logarithm of -1.5"),
        ("Log(nil)", "there is no logarithm of nil"),
        ('Log(attributes["nope"])', "there is no logarithm of nil"),
        ('Log(attributes["l"])', "list cannot be made a double"),
        ('ParseInt("0xAA", 16)', "'0xAA' is no number in base 16"),
        ('ParseInt("", 10)', "'' is no number in base 10"),
        ('ParseInt("9223372036854775808", 10)', "an int has 64 bits"),
        ('ParseInt("z", 37)', "there is no base 37; it is 0, or from 2 to 36"),
        ('ParseInt("1", 1)', "there is no base 1; it is 0, or from 2 to 36"),
        ('ParseInt("1", -1)', "there is no base -1; it is 0, or from 2 to 36"),
        ('ParseInt("1_0", 10)', "'1_0' is no number in base 10"),
        ('ParseInt("_1", 0)', "'_1' is no number in base 10"),
        ('ParseInt("08", 0)', "'08' is no number in base 8"),
        ('ParseInt("é", 10)', "is no number in base 10"),
        ('ParseInt(" 1", 10)', "' 1' is no number in base 10"),
        ('Hex(attributes["l"])', "list cannot be made bytes"),
        ("Hex(span_id)", "id cannot be made bytes"),
        ("Hex(start_time)", "time cannot be made bytes"),
    ],
)
def test_cannot_be_carried_out_on_an_item(text: str, reason: str) -> None:
    assert reason in fault_of(text)


@pytest.mark.parametrize(
    ("text", "reason", "marked"),
    [
        ('Bool("x")', "target of Bool: 'x' is no bool", '"x"'),
        ("Bool(0x01)", "target of Bool: bytes cannot be made a bool", "0x01"),
        ("Int(0x01)", "target of Int: bytes cannot be made an int", "0x01"),
        ('Double("x")', "target of Double: 'x' is no number", '"x"'),
        ('Double(" 1")', "target of Double: ' 1' is no number", '" 1"'),
        (
            'IsMatch("x", "(")',
            "IsMatch: '(' is no regular expression: missing closing ) of `(`, at character 1",
            'IsMatch("x", "(")',
        ),
        ('IsMatch("x", nil)', "pattern of IsMatch: expected string, not nil", "nil"),
        ('Log("x")', "target of Log: 'x' is no number", '"x"'),
        ("ParseInt(nil, 10)", "target of ParseInt: expected string, not nil", "nil"),
        ("ParseInt(1, 10)", "target of ParseInt: expected string, not int", "1"),
        ('ParseInt("1", "10")', "base of ParseInt: expected int, not string", '"10"'),
    ],
)
def test_is_refused_when_it_is_loaded(text: str, reason: str, marked: str) -> None:
    with pytest.raises(OttlError) as error:
        COMPILER.value(text)

    assert reason in error.value.reason
    assert text[error.value.at : error.value.end] == marked


def test_a_span_with_a_parent_is_no_root() -> None:
    item = here()
    item.item.parent_span_id = bytes(8)
    assert COMPILER.value("IsRootSpan()")(item) is True

    item.item.parent_span_id = b"12345678"
    assert COMPILER.value("IsRootSpan()")(item) is False
