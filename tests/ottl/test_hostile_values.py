"""Whatever telemetry holds, an expression gives a value or a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis.ottl.functions import VALUES
from airis.ottl.values import EvaluationError, Value, write_any

from .evaluation import COMPILER, fault_of, here, value_of

values: st.SearchStrategy[Value] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.binary(max_size=20)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.sampled_from(["%d", "2023-01-01", "1h", "utf-8", "asc", "base64", "9" * 5000, "0x" + "f" * 99]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
CALLS = {
    **{name: "attributes['a']" for name in VALUES if len(VALUES[name].parameters) == 1},
    **dict.fromkeys(("ContainsValue", "Decode", "HasPrefix", "HasSuffix"), "attributes['a'], attributes['b']"),
    **dict.fromkeys(("Index", "IsMatch", "ParseInt", "Split", "TrimPrefix"), "attributes['a'], attributes['b']"),
    "Base64Encode": "attributes['a'], attributes['b']",
    "Coalesce": "[attributes['a'], attributes['b']]",
    "Concat": "[attributes['a'], attributes['b']], '-'",
    "Format": "'%v %d %s %x %q %f %*d', [attributes['a'], attributes['b'], attributes['a'], attributes['b']]",
    "FormatTime": "Unix(attributes['a']), '%c %z %Z'",
    "Substring": "attributes['a'], attributes['b'], attributes['b']",
    "SliceToMap": "attributes['a'], ['a']",
    "Sort": "attributes['a']",
    "Time": "attributes['a'], '%Y-%m-%d %H:%M:%S.%L %z'",
    "ToKeyValueString": "attributes['a']",
    "Trim": "attributes['a'], 'x'",
    "Year": "Unix(attributes['a'], attributes['b'])",
    "Hours": "Duration(attributes['a'])",
    "MapEach": "attributes['a'], (k, v) => [k, v, attributes['b']]",
    "Reduce": "attributes['a'], attributes['b'], (sum, k, v) => sum + v",
}
GETTERS = {
    name: COMPILER.value(f"{name}({arguments})".replace("'", '"'))
    for name, arguments in CALLS.items()
    if name[0].isupper()
}


@given(st.sampled_from(sorted(GETTERS)), values, values)
def test_a_function_gives_a_value_or_a_reason(name: str, a: Value, b: Value) -> None:
    item = here()
    for key, value in (("a", a), ("b", b)):
        write_any(item.item.attributes.add(key=key).value, value)

    try:
        GETTERS[name](item)
    except EvaluationError as error:
        told = str(error)
        assert told


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('ParseInt(Concat(["1", Format("%05000d", [1])], ""), 10)', "an int has 64 bits"),
        ("Year(Unix(9223372036854775807))", "outside of the years 1 to 9999"),
        ('FormatTime(Unix(-9223372036854775807), "%Y")', "outside of the years 1 to 9999"),
        ("String(Unix(9223372036854775807))", "outside of the years 1 to 9999"),
        ("String(Log(0.5) / 0.0)", "divide by 0"),
    ],
)
def test_what_is_too_large_has_a_reason(text: str, reason: str) -> None:
    assert reason in fault_of(text)


def test_messages_have_a_name_in_a_format() -> None:
    assert value_of('Format("%v|%d", [events, events])') == "<messages>|<messages>"


def test_a_field_of_64_bits_without_a_sign_has_bytes() -> None:
    item = here()
    item.item.start_time_unix_nano = 2**64 - 1

    assert COMPILER.value("Hex(start_time_unix_nano)")(item) == "f" * 16
