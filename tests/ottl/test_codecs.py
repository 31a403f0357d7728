"""What is written can be read again, and what Python can write as well is written the same."""

import base64
import contextlib
import json
import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis.ottl.floats import real
from airis.ottl.functions.clock import CLOCK, RANDOM
from airis.ottl.functions.encodings import BASE64
from airis.ottl.moments import zones
from airis.ottl.moments.directives import Reader, check, formatted
from airis.ottl.moments.durations import duration_text, parse_duration
from airis.ottl.sprintf import sprintf
from airis.ottl.texts import float_text, text_of
from airis.ottl.values import Duration, EvaluationError, Time, Value

from .evaluation import COMPILER, fault_of, here, value_of

NOW = Time(1_800_000_000_000_000_000)  # 15 January 2027
ZONES = ["UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Europe/London"]
nanoseconds = st.integers(-2_000_000_000 * 10**9, 4_000_000_000 * 10**9)
json_values: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.binary(), st.sampled_from(sorted(BASE64)))
def test_base64_can_be_decoded(raw: bytes, variant: str) -> None:
    assert BASE64[variant].decode(BASE64[variant].encode(raw)) == raw


@given(st.binary(min_size=1))
def test_base64_is_the_one_of_python(raw: bytes) -> None:
    assert BASE64["base64"].encode(raw) == base64.b64encode(raw).decode()
    assert BASE64["base64-raw-url"].encode(raw) == base64.urlsafe_b64encode(raw).decode().rstrip("=")


@given(st.text(alphabet="abAB09+/-_= \n", max_size=12), st.sampled_from(sorted(BASE64)))
def test_what_is_taken_for_base64_is_what_python_takes_it_for(text: str, variant: str) -> None:
    try:
        raw = BASE64[variant].decode(text)
    except EvaluationError:
        return
    digits = text.replace("\n", "").rstrip("=").replace("-", "+").replace("_", "/")
    assert raw == base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)


@given(st.binary(max_size=20))
def test_hexadecimal_is_that_of_python(raw: bytes) -> None:
    item = here()
    item.item.attributes.add(key="raw").value.bytes_value = raw

    assert COMPILER.value('Hex(attributes["raw"])')(item) == raw.hex()


@given(nanoseconds, st.sampled_from(ZONES))
def test_a_time_that_was_formatted_can_be_read(nano: int, zone: str) -> None:
    time = Time(nano, ZoneInfo(zone))
    template = "%Y-%m-%d %H:%M:%S.%s %k"

    assert Reader(template, ZoneInfo(zone), lambda: NOW).read(formatted(time, template)).unix_nano == nano


@given(st.integers(-2_000_000_000, 4_000_000_000), st.sampled_from(ZONES))
def test_a_time_is_formatted_as_python_does(unix: int, zone: str) -> None:
    moment = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=unix)).astimezone(ZoneInfo(zone))

    shown = formatted(Time(unix * 10**9, ZoneInfo(zone)), "%Y-%m-%d %H:%M:%S %a %A %b %B %I %p %y")

    assert shown == moment.strftime("%Y-%m-%d %H:%M:%S %a %A %b %B %I %p %y")


@given(
    st.lists(st.sampled_from(["%Y", "%m", "%d", "%H", "%I", "%p", "%z", "%Z", "%c", "%b", " ", "-", "x"])), st.text()
)
def test_reading_a_time_ends_whatever_stands_there(parts: list[str], text: str) -> None:
    template = "".join(parts) or "%Y"
    check(template)
    with contextlib.suppress(ValueError):
        assert isinstance(Reader(template, UTC, lambda: NOW).read(text), Time)


@pytest.mark.parametrize("text", ["2023-05-26 13 PM", "2023-05-26 99 PM"])
def test_an_hour_that_there_is_not_ends_the_reading(text: str) -> None:
    assert "the hour is out of range" in fault_of(f'Time("{text}", "%F %l %p")')


@pytest.mark.parametrize(
    ("text", "template", "expected"),
    [
        ("Jan 10 05:06:07", "%b %d %H:%M:%S", "2027-01-10 05:06:07"),
        ("Jan 22 05:06:07", "%b %d %H:%M:%S", "2027-01-22 05:06:07"),
        ("Dec 30 05:06:07", "%b %d %H:%M:%S", "2026-12-30 05:06:07"),
        ("Feb 29 00:00:00", "%b %d %H:%M:%S", "2026-03-01 00:00:00"),
        ("05:06:07", "%T", "2027-01-01 05:06:07"),
    ],
    ids=["this year", "within a week", "last year", "a day that a year has not", "a time of day"],
)
def test_a_time_without_a_year_is_of_the_last_twelve_months(text: str, template: str, expected: str) -> None:
    assert formatted(Reader(template, UTC, lambda: NOW).read(text), "%Y-%m-%d %H:%M:%S") == expected


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_duration_that_was_written_can_be_read(nano: int) -> None:
    # Go itself loses nanoseconds behind the point of hours and minutes, of which it writes none.
    assert abs(parse_duration(duration_text(Duration(nano))).nano - nano) <= 1


@pytest.mark.parametrize(
    ("nano", "text"),
    [(0, "0s"), (1, "1ns"), (1_500, "1.5µs"), (-2_000_000, "-2ms"), (1_100_000_000, "1.1s"), (3_600 * 10**9, "1h0m0s")],
)
def test_a_duration_is_written_as_go_does(nano: int, text: str) -> None:
    assert duration_text(Duration(nano)) == text


@given(json_values)
def test_the_text_of_a_value_is_json(value: Value) -> None:
    if not isinstance(value, str):
        assert json.loads(text_of(value), parse_int=float) == json.loads(json.dumps(value), parse_int=float)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_double_is_the_shortest_one(number: float) -> None:
    assert float(float_text(number)) == number
    assert float(sprintf("%v", [number])) == number
    assert len(float_text(number)) <= max(25, len(repr(number)) + 2)


@given(st.floats(0, 1e300), st.integers(0, 12))
def test_a_double_with_a_precision_is_the_one_of_python(number: float, precision: int) -> None:
    assert real(number, "f", precision, sharp=False) == f"{number:.{precision}f}"
    assert float(real(number, "g", precision, sharp=False)) == float(f"{number:.{precision}g}")
    assert float.fromhex(real(number, "x", None, sharp=False)) == number


def test_the_clock_and_the_chance_are_those_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(size: int) -> bytes:
        return bytes(range(size))

    monkeypatch.setattr(CLOCK, "unix_nano", lambda: NOW.unix_nano)
    monkeypatch.setattr(RANDOM, "take", count)

    assert value_of("UnixNano(Now())") == NOW.unix_nano
    assert value_of("UUID()") == "00010203-0405-4607-8809-0a0b0c0d0e0f"
    assert value_of("UUIDv7()") == "01a3185c-5000-7001-8203-040506070809"


def test_a_new_uuid_is_of_its_version_and_new() -> None:
    made = [value_of(text) for text in ("UUID()", "UUID()", "UUIDv7()", "UUIDv7()")]

    assert [uuid.UUID(str(text)).version for text in made] == [4, 4, 7, 7]
    assert len(set(made)) == 4


def test_a_time_without_a_zone_is_of_the_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    zones.local.cache_clear()

    assert value_of('UnixSeconds(Time("2023-07-01 12:00:00", "%F %T"))') == 1_688_205_600
    assert value_of('UnixSeconds(Time("2023-07-01 12:00:00Z", "%F %TZ"))') == 1_688_212_800
    assert value_of("Hour(Unix(1688205600))") == 12
