"""Converters to ids answer as the Collector does."""

import pytest

from airis.ottl.syntax import OttlError
from airis.ottl.values import Id, Value

from .evaluation import COMPILER, fault_of, shown, value_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SpanID(0x0000000000000000)", Id.fromhex("0000000000000000")),
        ('SpanID("0102030405060708")', Id.fromhex("0102030405060708")),
        ('SpanID("abcdefgh")', Id.fromhex("6162636465666768")),
        ("SpanID(1)", Id.fromhex("0000000000000001")),
        ("TraceID(0x00000000000000000000000000000001)", Id.fromhex("00000000000000000000000000000001")),
        ('TraceID("a389023abaa839283293ed323892389d")', Id.fromhex("a389023abaa839283293ed323892389d")),
        ('TraceID("A389023ABAA839283293ED323892389D")', Id.fromhex("a389023abaa839283293ed323892389d")),
        ("ProfileID(0x00112233445566778899aabbccddeeff)", Id.fromhex("00112233445566778899aabbccddeeff")),
        ('ProfileID("a389023abaa839283293ed323892389d")', Id.fromhex("a389023abaa839283293ed323892389d")),
    ],
)
def test_gives(text: str, expected: Value) -> None:
    found = value_of(text)

    assert shown(found) == shown(expected)
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('SpanID(attributes["s"])', "an id has 8 bytes, or 16 digits in hexadecimal"),
        ('TraceID(attributes["l"])', "list cannot be made bytes"),
    ],
)
def test_cannot_be_carried_out_on_an_item(text: str, reason: str) -> None:
    assert reason in fault_of(text)


@pytest.mark.parametrize(
    ("text", "reason", "marked"),
    [
        (
            'SpanID("01020304050607")',
            "SpanID: an id has 8 bytes, or 16 digits in hexadecimal",
            'SpanID("01020304050607")',
        ),
        (
            'SpanID("zz02030405060708")',
            "SpanID: an id has 8 bytes, or 16 digits in hexadecimal",
            'SpanID("zz02030405060708")',
        ),
        ("SpanID(0x01)", "SpanID: an id has 8 bytes, or 16 digits in hexadecimal", "SpanID(0x01)"),
        ("SpanID(nil)", "SpanID: an id has 8 bytes, or 16 digits in hexadecimal", "SpanID(nil)"),
        (
            'SpanID("01 203 405060708")',
            "SpanID: an id has 8 bytes, or 16 digits in hexadecimal",
            'SpanID("01 203 405060708")',
        ),
        ('TraceID("abc")', "TraceID: an id has 16 bytes, or 32 digits in hexadecimal", 'TraceID("abc")'),
    ],
)
def test_is_refused_when_it_is_loaded(text: str, reason: str, marked: str) -> None:
    with pytest.raises(OttlError) as error:
        COMPILER.value(text)

    assert reason in error.value.reason
    assert text[error.value.at : error.value.end] == marked
