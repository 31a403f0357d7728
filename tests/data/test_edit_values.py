"""Values that are cut, hashed, searched and converted, and what edits do inside of them."""

import math
from typing import Any, get_args

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from airis.data.edits import (
    Algorithm,
    Convert,
    Delete,
    DeleteMatching,
    Extract,
    Hash,
    HashMatching,
    Set,
    Truncate,
)
from airis.data.expressions import InvalidExpression
from airis.data.fields import Attribute, Field

from .edit_requests import PAYLOADS, after, attributes, edited, item, pairs, value

NESTED = {"user": {"id": 7, "tags": ["x", {"y": 1}]}, "empty": None, "text": "t"}


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        (("user", "id"), {**NESTED, "user": {"id": 9, "tags": ["x", {"y": 1}]}}),
        (("user", "tags", 0), {**NESTED, "user": {"id": 7, "tags": [9, {"y": 1}]}}),
        (("user", "tags", 1, "y"), {**NESTED, "user": {"id": 7, "tags": ["x", {"y": 9}]}}),
        (("user",), {**NESTED, "user": 9}),
        # What is missing is made, of maps.
        (("new", "deep", "er"), {**NESTED, "new": {"deep": {"er": 9}}}),
        (("empty", "k"), {**NESTED, "empty": {"k": 9}}),
        # An index must be there, and a text has nothing inside.
        (("user", "tags", 2), NESTED),
        (("user", 0), NESTED),
        (("new", 0), NESTED),
        (("text", "k"), NESTED),
        (("user", "tags", "k"), NESTED),
    ],
    ids=repr,
)
def test_a_value_is_written_inside_another(kernels, path, changed):
    assert after(kernels, pairs(a=NESTED), Set(item("a", *path), 9)) == pairs(a=changed)


def test_a_path_in_an_attribute_that_is_missing_makes_it(kernels):
    assert after(kernels, [], Set(item("a", "b", "c"), 1)) == pairs(a={"b": {"c": 1}})
    assert after(kernels, [], Set(item("a", 0), 1), Set(item("a", "b"), 1, "present")) == []


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        (("user", "id"), {**NESTED, "user": {"tags": ["x", {"y": 1}]}}),
        (("user", "tags", 0), {**NESTED, "user": {"id": 7, "tags": [{"y": 1}]}}),
        (("user", "tags", 1, "y"), {**NESTED, "user": {"id": 7, "tags": ["x", {}]}}),
        (("empty",), {"user": NESTED["user"], "text": "t"}),
        (("user", "tags", 2), NESTED),
        (("missing",), NESTED),
        (("missing", "k"), NESTED),
        (("text", "k"), NESTED),
        (("text", 0), NESTED),
    ],
    ids=repr,
)
def test_what_is_inside_a_value_is_deleted(kernels, path, changed):
    assert after(kernels, pairs(a=NESTED), Delete(item("a", *path))) == pairs(a=changed)


@pytest.mark.parametrize(
    ("text", "max_bytes", "cut"),
    [
        ("abc", 3, "abc"),
        ("abc", 2, "ab"),
        ("abc", 0, ""),
        ("aüb", 3, "aü"),
        ("aüb", 2, "a"),
        ("\U0001f600x", 3, ""),
        ("\U0001f600x", 4, "\U0001f600"),
        ("x" * 300, 200, "x" * 200),
    ],
)
def test_a_text_is_cut_at_a_character(kernels, text, max_bytes, cut):
    before = pairs(a=text, b=["x" * 9], c=b"x" * 9, d=1)

    assert after(kernels, before, Truncate("item", max_bytes)) == [*pairs(a=cut), *before[1:]]


LITTLE = [
    # Digests of what the Collector's attributes processor hashes: sha256 of text, one byte, eight bytes.
    ("sha256", b"", "", ""),
    ("sha256", b"", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ("sha256", b"", True, "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"),
    ("sha256", b"", False, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ("sha256", b"", 1, "7c9fa136d4413fa6173637e883b6998d32e1d675f88cddff9dcbcf331820f4b8"),
    ("sha256", b"", 0.0, "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc"),
    ("sha1", b"", "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
    ("md5", b"", "abc", "900150983cd24fb0d6963f7d28e17f72"),
    (
        "hmac_sha256",
        b"Jefe",
        "what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    ("xxh3_64", b"", "abc", "78af5f94892f3950"),
    ("xxh3_128", b"", "abc", "06b05ab6733a618578af5f94892f3950"),
    ("xxh3_64", b"", "", ""),
]


@pytest.mark.parametrize(("algorithm", "key", "literal", "digest"), LITTLE, ids=str)
def test_a_value_is_hashed(kernels, algorithm, key, literal, digest):
    assert after(kernels, pairs(a=literal, b=1), Hash(item("a"), algorithm, key)) == pairs(a=digest, b=1)


def test_values_are_hashed_by_a_pattern_for_their_keys(kernels):
    before = [
        *pairs(user="x", id=1),
        KeyValue(key="user_id", value=value("")),
        *pairs(user="y", other=True, user_name="n"),
    ]

    found = after(kernels, before, HashMatching("item", "^user", "xxh3_64"))

    assert found == pairs(user="eaf06c6480b2cd11", id=1, user_id="", other=True, user_name="cbaa0f6724ae8b0a")


@pytest.mark.parametrize("algorithm", get_args(Algorithm))
@pytest.mark.parametrize("literal", [None, b"x", ["x"], {"k": 1}], ids=repr)
def test_what_has_no_bytes_to_hash_becomes_an_empty_text(kernels, algorithm, literal):
    key = b"k" if algorithm == "hmac_sha256" else b""

    assert after(kernels, pairs(a=literal), Hash(item("a"), algorithm, key)) == pairs(a="")


URL = r"^(?P<scheme>https?)://(?P<host>[^/:]+)(?::(?P<port>\d+))?/"


def test_the_groups_of_a_pattern_become_attributes(kernels):
    before = pairs(url="https://ü.example:443/p", port="old", other=1)

    found = after(kernels, before, Extract(item("url"), URL, "item"))

    assert found == [*pairs(url="https://ü.example:443/p", port="443", other=1, scheme="https", host="ü.example")]


@pytest.mark.parametrize(
    ("literal", "extracted"),
    [
        ("http://h/", {"scheme": "http", "host": "h", "port": ""}),
        ("ftp://h/", {}),
        ("", {}),
        (b"http://h/", {}),
        (["http://h/"], {}),
        (None, {}),
    ],
    ids=repr,
)
def test_of_no_match_and_of_no_text_nothing_is_extracted(kernels, literal, extracted):
    assert after(kernels, pairs(url=literal), Extract(item("url"), URL, "item")) == pairs(url=literal, **extracted)


def test_a_field_or_what_is_around_is_searched_as_well(kernels):
    changed = edited(
        kernels,
        "traces",
        PAYLOADS["traces"],
        Extract(Field("item", "name"), "(?P<first>.)", "item"),
        Extract(Field("resource", "schema_url"), "://(?P<url>.*)", "event"),
        Extract(Attribute("item", "first"), "(?P<again>.)", "link"),
    )

    assert attributes("traces", changed, "item")[0][2:] == pairs(first="g")
    assert [found[2:] for found in attributes("traces", changed, "event")] == [pairs(url="r")] * 2
    assert [found[2:] for found in attributes("traces", changed, "link")] == [pairs(again="g")] * 2


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (DeleteMatching("item", "("), "."),
        (DeleteMatching("item", "(?=a)"), "."),
        (Extract(item("a"), "(?P<a>.)(b)", "item"), "all groups of .* must have names"),
        (Extract(item("a"), "b", "item"), "all groups of 'b' must have names, and there must be one"),
    ],
    ids=str,
)
def test_a_pattern_that_cannot_be_is_refused_when_edits_are_compiled(kernels, edit, fault):
    with pytest.raises(InvalidExpression, match=fault):
        kernels.Edits([edit])


LARGEST, SMALLEST = (1 << 63) - 1, -(1 << 63)


CONVERTED: list[tuple[Any, str, Any]] = [
    *((text, "int", int(text)) for text in ("0", "-5", "+7", "007", str(LARGEST), str(SMALLEST))),
    *((text, "int", text) for text in ("", " 1", "1 ", "1.0", "1e3", "0x1", "1_0", "+", "--1", "٣", str(1 << 63))),
    *((2.9, "int", 2), (-2.9, "int", -2), (1e300, "int", LARGEST), (-1e300, "int", SMALLEST), (math.nan, "int", 0)),
    *((math.inf, "int", LARGEST), (True, "int", 1), (False, "int", 0), (5, "int", 5)),
    *((b"1", "int", b"1"), (None, "int", None), ([1], "int", [1])),
    *((text, "double", float(text)) for text in ("0", "-5", "+7.25", "1e3", "1E-3", ".5", "5.", "1_0.2_5", "1e-999")),
    *(("inf", "double", math.inf), ("-Infinity", "double", -math.inf), ("+INF", "double", math.inf)),
    *(
        (text, "double", text)
        for text in ("", ".", "1e", "e1", "1e999", "0x1p2", "1__0", "_1", "1_", "1_.5", "+nan", " 1")
    ),
    *((3, "double", 3.0), ((1 << 53) + 1, "double", float(1 << 53)), (True, "double", 1.0), (0.5, "double", 0.5)),
    *((text, "bool", True) for text in ("1", "t", "T", "true", "True", "TRUE")),
    *((text, "bool", False) for text in ("0", "f", "F", "false", "False", "FALSE")),
    *((text, "bool", text) for text in ("", "yes", "tRUE", "2")),
    *((2, "bool", True), (0, "bool", False), (0.1, "bool", True), (-0.0, "bool", False), (math.nan, "bool", True)),
    *((b"", "bool", b""), (None, "bool", None)),
    *((5, "string", "5"), (-0.0, "string", "-0"), (1e21, "string", "1e+21"), (0.1, "string", "0.1")),
    *((True, "string", "true"), (None, "string", ""), (b"\xff\x00", "string", "/wA="), ("x", "string", "x")),
    (math.nan, "string", "json: unsupported value: NaN"),
    (math.inf, "string", "json: unsupported value: +Inf"),
    (-math.inf, "string", "json: unsupported value: -Inf"),
    ({"b": [1, 2.5, None, True], "a": {"": b"x"}}, "string", '{"a":{"":"eA=="},"b":[1,2.5,null,true]}'),
    (['<&>"\\\n\x01\x7f\u2028ü'], "string", '["<&>\\"\\\\\\n\\u0001\x7f\\u2028ü"]'),
    ([[], {}], "string", "[[],{}]"),
    ([1, math.nan], "string", ""),
    ({"a": math.inf}, "string", ""),
]


@pytest.mark.parametrize(("literal", "to", "converted"), CONVERTED, ids=str)
def test_a_value_is_converted_as_the_collector_does_it(kernels, literal, to, converted):
    [found] = after(kernels, pairs(a=literal), Convert(item("a"), to))

    assert found.value.SerializeToString() == value(converted).SerializeToString()


def test_a_text_that_is_no_number_to_count_with_becomes_it(kernels):
    [found] = after(kernels, pairs(a="NaN"), Convert(item("a"), "double"))

    assert math.isnan(found.value.double_value)


def test_of_a_map_with_a_key_twice_the_last_is_printed(kernels):
    twice = AnyValue()
    twice.kvlist_value.values.extend([*pairs(a=1), *pairs(a=2)])

    assert after(kernels, pairs(a=twice), Convert(item("a"), "string")) == pairs(a='{"a":2}')
