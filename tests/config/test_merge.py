"""What replaces what when several sources are one configuration."""

from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis.component.config import plain
from airis.config.decode import raw
from airis.config.document import Entry, Node, compose, parse
from airis.config.errors import Mark
from airis.config.merge import merge, nest, unfold

from .nodes import key_marks, marks, nodes


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["{a: 1}", "{b: 2}"], {"a": 1, "b": 2}),
        (["{a: 1}", "{a: 2}"], {"a": 2}),
        (["{a: 1}", "{a: 2}", "{a: 3}"], {"a": 3}),
        (["{a: {b: 1, c: 2}}", "{a: {c: 3, d: 4}}"], {"a": {"b": 1, "c": 3, "d": 4}}),
        (["{a: {b: {c: {d: 1}}}}", "{a: {b: {c: {e: 2}}}}"], {"a": {"b": {"c": {"d": 1, "e": 2}}}}),
        (["{a: [1, 2]}", "{a: [3]}"], {"a": [3]}),
        (["{a: [{b: 1}]}", "{a: [{c: 2}]}"], {"a": [{"c": 2}]}),
        (["{a: [1, 2]}", "{a: []}"], {"a": []}),
        (["{a: {b: 1}}", "{a: [1]}"], {"a": [1]}),
        (["{a: {b: 1}}", "{a: text}"], {"a": "text"}),
        (["{a: text}", "{a: {b: 1}}"], {"a": {"b": 1}}),
        (["{a: {b: 1}}", "{a: }"], {"a": None}),
        (["{a: {b: 1}}", "{a: }", "{a: {c: 2}}"], {"a": {"c": 2}}),
        (["{a: {b: 1}}", "{a: {b: }}"], {"a": {"b": None}}),
        (["{a: }", "{a: {b: 1}}"], {"a": {"b": 1}}),
        (["{a: {b: 1}}", "{a: {}}"], {"a": {"b": 1}}),
        (["{a: }", "{a: {}}"], {"a": {}}),
        (["{a: {b: 1}}", "{a: {b: {}}}"], {"a": {"b": {}}}),
        (["{a: {b: 1}}", "{a: '${env:X}'}"], {"a": "${env:X}"}),
        (["{a: '${env:X}'}", "{a: {b: 1}}"], {"a": {"b": 1}}),
        (["{}", "{a: 1}"], {"a": 1}),
        (["{a: 1}", "{}"], {"a": 1}),
    ],
)
def test_maps_are_merged_and_all_else_is_replaced(sources: list[str], expected: Any) -> None:
    merged = reduce(merge, (parse(text, f"{i}.yaml") for i, text in enumerate(sources)))

    assert plain(raw(merged)) == expected


def test_keys_stay_in_their_order_and_new_ones_follow() -> None:
    merged = merge(parse("{b: 1, a: 1}", "1.yaml"), parse("{c: 2, a: 2}", "2.yaml"))

    assert list(raw(merged)) == ["b", "a", "c"]


def test_everything_says_where_it_was_written_last() -> None:
    merged = merge(parse("a:\n  b: 1\n  c: 2\n", "1.yaml"), parse("# more\na: {c: [3]}\n", "2.yaml"))

    assert marks(merged) == {
        (): Mark("2.yaml", 2, 1),
        ("a",): Mark("2.yaml", 2, 4),
        ("a", "b"): Mark("1.yaml", 2, 6),
        ("a", "c"): Mark("2.yaml", 2, 8),
        ("a", "c", "0"): Mark("2.yaml", 2, 9),
    }
    assert key_marks(merged) == {
        ("a",): Mark("2.yaml", 2, 1),
        ("a", "b"): Mark("1.yaml", 2, 3),
        ("a", "c"): Mark("2.yaml", 2, 5),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{a::b::c: 1}", {"a": {"b": {"c": 1}}}),
        ("{a: {b::c: 1}}", {"a": {"b": {"c": 1}}}),
        ("{a::b: {c::d: 1}}", {"a": {"b": {"c": {"d": 1}}}}),
        ("{a::b: 1, a::c: 2}", {"a": {"b": 1, "c": 2}}),
        ("{a: {b: 1}, a::c: 2}", {"a": {"b": 1, "c": 2}}),
        ("{a::b: 1, a: {b: 2, c: 3}}", {"a": {"b": 1, "c": 3}}),
        ("{a: , a::b: 1}", {"a": {"b": 1}}),
        ("{a: [{b::c: 1}]}", {"a": [{"b::c": 1}]}),
        ("{'::1': a, 'fe80::': b, '::': c}", {"::1": "a", "fe80::": "b", "::": "c"}),
        ("{a:b: 1}", {"a:b": 1}),
        ("[a::b]", ["a::b"]),
    ],
)
def test_a_key_with_double_colons_is_a_path(text: str, expected: Any) -> None:
    assert plain(raw(unfold(parse(text, "t.yaml")))) == expected


def test_a_path_stands_where_it_is_written() -> None:
    unfolded = unfold(parse("x: 1\na::b: 2\n", "t.yaml"))

    assert marks(unfolded)["a",] == Mark("t.yaml", 2, 1)
    assert marks(unfolded)["a", "b"] == Mark("t.yaml", 2, 7)
    assert {key_marks(unfolded)[path] for path in [("a",), ("a", "b")]} == {Mark("t.yaml", 2, 1)}


@pytest.mark.parametrize(("length", "is_path"), [(100, True), (101, False)])
def test_a_path_is_no_longer_than_a_document_is_deep(length: int, is_path: bool) -> None:
    name = "::".join("a" * length)

    assert list(raw(unfold(parse(f"{name}: 1", "t.yaml")))) == ["a" if is_path else name]


def test_a_mapping_is_from_outside_if_part_of_it_is() -> None:
    file = parse("a: {b: c}", "t.yaml")
    outside = compose("a: {d: e}", lambda line, column: Mark("env:X", line, column), substituted=True)

    for merged in (merge(file, outside), merge(outside, file)):
        assert {path for path, node in nodes(merged).items() if node.substituted} == {(), ("a",), ("a", "d")}


def test_names_are_nested() -> None:
    assert plain(raw(nest(["a", "b"], Mark("t", 1, 1), parse("[1]", "t")))) == {"a": {"b": [1]}}


def _node(value: Any) -> Node:
    mark = Mark("t.yaml", 1, 1)
    if isinstance(value, dict):
        return Node(mark, {key: Entry(mark, _node(item)) for key, item in value.items()})
    return Node(mark, [_node(item) for item in value] if isinstance(value, list) else value)


VALUES = st.recursive(
    st.text("xyz", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner),
)
MAPPINGS = st.dictionaries(st.sampled_from("abc"), VALUES).map(_node)


@given(MAPPINGS)
def test_merging_what_is_there_or_nothing_changes_nothing(node: Node) -> None:
    assert merge(node, node) == merge(node, _node({})) == merge(_node({}), node) == node


def _maps_where(shape: Any) -> st.SearchStrategy[Any]:
    """Mappings that have a mapping only where the shape has one, so that no merge replaces a mapping by less."""
    return st.fixed_dictionaries(
        {}, optional={key: _maps_where(s) if s else st.text("xyz") for key, s in shape.items()}
    )


SHAPE = {"a": {"b": {"c": None, "d": None}, "e": None}, "f": {"g": None}, "h": None}


@given(*[_maps_where(SHAPE).map(_node)] * 3)
def test_merging_maps_is_associative(a: Node, b: Node, c: Node) -> None:
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
