"""The page of the language has all that statements can name."""

from airis.ottl.contexts import CONTEXTS
from airis.ottl.functions import FILTER, TRANSFORM
from airis.service.language import page


def test_every_function_is_on_the_page_with_what_it_does() -> None:
    text = page("")

    for function in {**TRANSFORM, **FILTER}.values():
        (row,) = (line for line in text.splitlines() if line.startswith(f"| `{function.signature()}` |"))
        assert row.endswith(". |")


def test_every_path_and_enumerator_is_on_the_page() -> None:
    text = page("")

    for context in CONTEXTS.values():
        assert f"### {context.name}\n" in text
        for path in context.levels[context.name].table:
            assert f"`{context.name}.{path}`" in text
        for name in context.enumerators:
            assert f"`{name}`" in text
