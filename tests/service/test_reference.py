"""The reference pages: made from the code, whole, and with examples that load."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from airis.component import Config, Factory, Kind, known_types, load
from airis.component.config import section_of
from airis.config import load_configuration
from airis.service import reference

ROOT = Path(__file__).parents[2]
FACTORIES = [load(kind, name) for kind in Kind for name in known_types(kind)]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def options(config: type[Config], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in config.model_fields.items():
        yield f"{prefix}{name}", field
        section = section_of(field.annotation)
        if section is not None:
            yield from options(section, f"{prefix}{name}::")


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: f"{factory.kind.section}::{factory.type_name}")
def test_a_component_has_a_summary_a_description_of_every_option_and_an_example_that_loads(factory: Factory) -> None:
    assert factory.summary.endswith(".")
    assert [name for name, field in options(factory.config) if not field.description] == []
    example = Path("examples", factory.kind.section, f"{factory.type_name}.yaml")
    configuration = load_configuration(example, {})
    assert factory.type_name in configuration.components[factory.kind]


def test_the_pages_are_what_the_code_says() -> None:
    for name, text in reference.pages().items():
        assert (ROOT / "docs" / name).read_text() == text, "run: make docs"
