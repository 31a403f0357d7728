"""Regular expressions mean what they mean in Go, on both back ends."""

import importlib
import json
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airis.data.expressions import InvalidExpression

GO = json.loads((Path(__file__).parent / "testdata" / "go_regexp.json").read_text())
TEXTS = [text.encode() for text in GO["texts"]]
"""Every pattern was run over all of them."""


def places(spans: list[tuple[int, int] | None] | None) -> list[int] | None:
    """As Go gives them."""
    return None if spans is None else [at for span in spans for at in (span or (-1, -1))]


@pytest.mark.parametrize("case", [case for case in GO["patterns"] if "error" not in case], ids=lambda c: c["pattern"])
def test_a_pattern_finds_what_go_finds(kernels, case):
    pattern = kernels.Pattern(case["pattern"])
    whole = kernels.Pattern(case["pattern"], whole=True)

    assert [name or "" for name in pattern.groups] == case["groups"]
    for number, text in enumerate(TEXTS):
        expected = case["matches"].get(str(number))
        assert places(pattern.search(text)) == expected, text
        assert pattern.matches(text) == (expected is not None), text
        if "whole" in case:
            found = places(whole.search(text))
            assert (found is not None) == (number in case["whole"]), text
            assert found is None or found[:2] == [0, len(text)]
            assert whole.matches(text) == (found is not None), text


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [  # as Go's FindAllSubmatchIndex gives them
        ("a*", "baaac", [[0, 0], [1, 4], [5, 5]]),
        ("", "aé", [[0, 0], [1, 1], [3, 3]]),
        (r"\b", "ab cd", [[0, 0], [2, 2], [3, 3], [5, 5]]),
        ("(a)|(b)?", "abxb", [[0, 1, 0, 1, -1, -1], [1, 2, -1, -1, 1, 2], [3, 4, -1, -1, 3, 4]]),
        ("a|", "aab", [[0, 1], [1, 2], [3, 3]]),
        ("^a", "aaa", [[0, 1]]),
        ("(?m)^", "a\nb\n", [[0, 0], [2, 2], [4, 4]]),
        (r"\B", "aé", [[3, 3]]),
        ("o+", "foo boo", [[1, 3], [5, 7]]),
        (r"(\w+)=(\w*)", "a=1&b=&c", [[0, 3, 0, 1, 2, 3], [4, 6, 4, 5, 6, 6]]),
    ],
)
def test_all_matches_are_those_of_go(kernels, pattern, text, expected):
    assert [places(match) for match in kernels.Pattern(pattern).search_all(text.encode())] == expected


def test_bytes_that_are_no_characters_are_passed_one_by_one(kernels):
    found = kernels.Pattern("x*").search_all(b"\xff\xfe")

    assert [places(match) for match in found] == [[0, 0], [1, 1], [2, 2]]


@pytest.mark.parametrize("case", [case for case in GO["patterns"] if "error" in case], ids=lambda case: case["pattern"])
def test_a_pattern_that_go_refuses_is_refused(kernels, case):
    with pytest.raises(InvalidExpression):
        kernels.Pattern(case["pattern"])


def test_what_is_repeated_no_time_counts_nothing():
    # Go takes it, RE2 itself does not.
    pattern = pytest.importorskip("airis._core").Pattern("(?:(?:x{1000}){0}a){2}")

    assert pattern.search(b"baa") == [(1, 3)]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("é(a", "missing closing ) of `(a`, at character 2"),
        ("é)", "unexpected `)`, at character 2"),
        ("a|*b", "missing argument to repetition operator `*`, at character 3"),
        ("ab**?", "invalid nested repetition operator `**?`, at character 3"),
        ("a{1001}", "invalid repetition count (at most 1000 copies, the smaller first) `{1001}`, at character 2"),
        ("((a{50}){5}){5}", "invalid repetition count (at most 1000 copies, the smaller first) `{5}`, at character 13"),
        ("x[b-a]", "invalid character class range `b-a`, at character 3"),
        ("x[ab", "missing closing ] of `[ab`, at character 2"),
        ("[[:foo:]]", "no class is called `[:foo:]`, at character 2"),
        (r"\p{Foo}", r"no Unicode category or script is called `\p{Foo}`, at character 1"),
        (r"a\p{Foo", r"missing closing } of `\p{Foo`, at character 2"),
        (r"a\Z", r"invalid escape sequence `\Z`, at character 2"),
        (r"(a)\1", r"back references are not there in RE2: `\1`, at character 4"),
        (r"a\C", r"a single byte of a character cannot be matched: `\C`, at character 2"),
        ("a\\", "trailing backslash in `a\\`, at character 1"),
        ("a(?=b)", "look-ahead is not there in RE2: `(?=`, at character 2"),
        ("a(?<!b)", "look-behind is not there in RE2: `(?<!`, at character 2"),
        ("(?x)a", "invalid or unsupported group `(?x`, at character 1"),
        ("(?P<a-b>c)", "invalid named capture `(?P<a-b>`, at character 1"),
        ("(" * 251 + ")" * 251, "more than 250 groups in one another, at character 251"),
        ("a" * (1 << 17) + "a", "longer than 131072 bytes"),
        (r"\pL{1000}" * 3, "too large: it would need more than 16 MiB when compiled"),
        (r"\pL" * 5_000, "too many large classes, at character"),
        ("(" + "a" * 300, f"missing closing ) of `({'a' * 177}…, at character 1"),
    ],
)
def test_an_error_says_what_is_wrong_and_where(pattern, message):
    with pytest.raises(InvalidExpression) as caught:
        pytest.importorskip("airis._core").Pattern(pattern)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (".", b"\xff", None),
        (".", b"\xffa", [1, 2]),
        ("[^a]", b"\xc3", None),
        ("a*", b"\xff\xff", [0, 0]),
        ("$", b"\xff", [1, 1]),
        (r"\B", b"\xc3\xa9", [0, 0]),
        (r"a\B|\B", "aéa".encode(), None),
        (r"\x{e9}", b"\xe9", None),
    ],
)
def test_bytes_that_are_no_character_match_no_character(kernels, pattern, text, expected):
    assert places(kernels.Pattern(pattern).search(text)) == expected


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+b", "(a|a)*b", "(a|aa)+b", "(.*)(.*)(.*)(.*)x", "(?:a?){1000}b", "(x+x+)+y", "(?i)(a|ab|abc)*d"],
)
def test_hostile_texts_take_linear_time(kernels, pattern):
    compiled = kernels.Pattern(pattern)
    text = b"a" * 100_000 + b"!"

    # Backtracking would not end before the universe does.
    assert compiled.search(text) is None


def test_one_pattern_serves_many_threads(kernels):
    from concurrent.futures import ThreadPoolExecutor

    pattern = kernels.Pattern("(a+)(b+)")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: pattern.search(b"x" * n + b"aabb"), range(200)))

    assert found == [[(n, n + 4), (n, n + 2), (n + 2, n + 4)] for n in range(200)]


ATOMS = (
    *(
        "a",
        "b",
        "k",
        "K",
        "s",
        "é",
        "\u017f",
        "\u212a",
        "日",
        "1",
        "_",
        " ",
        r"\n",
        ".",
        "^",
        "$",
        r"\A",
        r"\z",
        r"\b",
        r"\B",
    ),
    *(r"\d", r"\D", r"\s", r"\S", r"\w", r"\W", r"\pL", r"\PL", r"\p{Lu}", r"\p{Greek}", r"\x{e9}", r"\101", r"\."),
    *(
        r"\Qa.b\E",
        "[abc]",
        "[^abc]",
        "[a-cé]",
        r"[^\w]",
        "[[:alpha:]]",
        "[[:^digit:]x]",
        "[]a]",
        "[k-s]",
        "{",
        "}",
        "]",
    ),
)
WRONG = (
    r"\C",
    r"\Z",
    r"\1",
    "[b-a]",
    "[a",
    r"\x{}",
    r"\p{Foo}",
    "(?=a)",
    "(?x)",
    "(?i)",
    "(?s)",
    ")",
    "(",
    "{2",
    "|",
    "*",
)
REPETITIONS = ("*", "+", "?", "*?", "+?", "??", "{2}", "{0}", "{1,3}", "{0,2}?", "{2,}", "**", "{3,2}", "{1001}")
GROUPS = ("(", "(", "(?:", "(?i:", "(?s:", "(?m:", "(?U:", "(?P<n>", "(?<m>", "(?i-s:")
PIECES = (
    "a",
    "b",
    "ab",
    "k",
    "K",
    "\u212a",
    "\u017f",
    "é",
    "É",
    "日",
    "Ω",
    "1",
    "_",
    " ",
    "\n",
    "A",
    ".",
    "{",
    "a.b",
    "\x0b",
)


def make_pattern(chance: random.Random, depth: int = 0) -> str:
    """A pattern at random, mostly a right one."""
    parts: list[str] = []
    for _ in range(chance.choice([0, 1, 1, 2, 3])):
        choice = chance.random()
        if choice < 0.25 and depth < 4:
            parts.append(chance.choice(GROUPS) + make_pattern(chance, depth + 1) + ")")
        else:
            parts.append(chance.choice(ATOMS if choice < 0.98 else WRONG))
        if chance.random() < 0.25:
            parts.append(chance.choice(REPETITIONS[: 11 if chance.random() < 0.95 else None]))
    if depth < 4 and chance.random() < 0.25:
        parts += ["|", make_pattern(chance, depth + 1)]
    flags = chance.choice(["(?i)", "(?m)", "(?sU)"]) if depth == 0 and chance.random() < 0.2 else ""
    return flags + "".join(parts)


@given(st.text(st.sampled_from([*r"()[]{}?*+|^$.\\-:,<>=!PQEpxdwsbBzAimsU0123é\n", "\x00", "a"]), max_size=40))
@settings(deadline=None, derandomize=True, max_examples=1000)
def test_any_text_is_a_pattern_or_refused(text):
    native = pytest.importorskip("airis._core")
    pattern = compiled(native, text, whole=False)

    assert pattern is None or pattern.matches(b"a\n\xc3\xa9") in (True, False)


def compiled(back_end: ModuleType, pattern: str, *, whole: bool) -> Any:
    try:
        return back_end.Pattern(pattern, whole=whole)
    except InvalidExpression:
        return None


@given(st.integers(0, (1 << 64) - 1))
@settings(
    deadline=None, derandomize=True, max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_back_ends_agree_on_any_pattern_and_text(seed):
    native = pytest.importorskip("airis._core")
    reference = importlib.import_module("airis.data.reference")
    chance = random.Random(seed)
    pattern, whole = make_pattern(chance), chance.random() < 0.3
    found, expected = (compiled(back_end, pattern, whole=whole) for back_end in (native, reference))

    assert (found is None) == (expected is None), pattern
    if found is None:
        return
    assert found.groups == expected.groups
    for _ in range(5):
        text = "".join(chance.choice(PIECES) for _ in range(chance.choice([0, 1, 2, 4, 8]))).encode()
        text = chance.randbytes(4) + text if chance.random() < 0.1 else text
        assert found.search(text) == expected.search(text), (pattern, text)
        assert found.matches(text) == expected.matches(text), (pattern, text)
