"""The reference pages: made from the code, whole, and with examples that load."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import Field
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

from airis.component import Config, Duration, Factory, Kind, Secret, known_types, load
from airis.config import Sources, load_configuration
from airis.config.options import in_words, options_of, walk
from airis.config.schema import ServiceOptions
from airis.service import cli, reference

ROOT = Path(__file__).parents[2]
FACTORIES = [load(kind, name) for kind in Kind for name in known_types(kind)]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def models(annotation: Any) -> Iterator[type[Config]]:
    """Every model in a type: in unions, lists and maps, too."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        yield annotation
    for argument in get_args(annotation):
        yield from models(argument)


def options(
    config: type[Config], path: str = "", within: tuple[type[Config], ...] = ()
) -> Iterator[tuple[str, FieldInfo]]:
    """Every option of a model and of the models in it."""
    for name, field in config.model_fields.items():
        yield f"{path}{field.alias or name}", field
        for model in models(field.annotation):
            if model not in (config, *within):
                yield from options(model, f"{path}{field.alias or name}::", (config, *within))


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: f"{factory.kind.section}::{factory.type_name}")
def test_a_component_has_a_summary_a_description_of_every_option_and_an_example_that_loads(factory: Factory) -> None:
    assert factory.summary.endswith(".")
    assert [name for name, field in options(factory.config) if not field.description] == []
    example = Path("examples", factory.kind.section, f"{factory.type_name}.yaml")
    assert reference.example(factory) == example.read_text()
    configuration = load_configuration(Sources((str(example),)), {})
    assert factory.type_name in configuration.components[factory.kind]


@pytest.mark.parametrize("model", [*(f.config for f in FACTORIES), ServiceOptions], ids=lambda model: model.__name__)
def test_a_page_has_every_option_of_its_model(model: type[Config]) -> None:
    told = re.findall(r"^\| `(.*?)` \|", reference.table(model), re.MULTILINE)

    assert [path.replace("::*", "") for path in told] == [path for path, _ in options(model)]


def test_the_pages_are_what_the_code_says() -> None:
    result = CliRunner().invoke(cli.app, ["docs", "--check"])

    assert result.exit_code == 0, result.stderr


def test_there_is_a_page_for_every_component_and_a_way_to_it() -> None:
    pages = reference.pages()
    linked = re.findall(r"\]\((components/[\w/]+\.md)\)", pages["components.md"])

    assert sorted(linked) == sorted(pages.keys() - {"components.md", "ottl.md"})
    assert len(linked) == len(FACTORIES) + 1


def test_pages_are_written_checked_and_deleted(tmp_path: Path) -> None:
    def docs(*words: str) -> int:
        return CliRunner().invoke(cli.app, ["docs", "--dir", str(tmp_path), *words]).exit_code

    assert docs("--check") == 1
    assert docs("--write") == 0
    assert docs("--check") == 0
    (tmp_path / "components/exporters/gone.md").write_text("")
    (tmp_path / "of_someone_else.md").write_text("")
    assert docs("--check") == 1
    assert docs("--write") == 0
    assert not (tmp_path / "components/exporters/gone.md").exists()
    assert (tmp_path / "of_someone_else.md").exists()
    (tmp_path / "components.md").write_text("changed")
    assert docs("--check") == 1


class Inner(Config):
    """Inside."""

    of: int = 0


WORDS: dict[Any, str] = {
    str: "text",
    bool: "true or false",
    int: "integer",
    float | None: "number",
    Duration: "duration",
    Secret | None: "secret",
    list[str]: "list of text",
    list[Duration]: "list of durations",
    dict[str, Secret]: "map of secrets",
    dict[str, Any]: "map",
    list[dict[str, Any]]: "list of maps",
    dict[str, list[Inner]]: "map of list of sections",
    Inner | None: "section",
    str | list[int]: "text or list of integers",
    Any: "anything",
}


@pytest.mark.parametrize(("annotation", "words"), WORDS.items(), ids=WORDS.values())
def test_types_are_told_in_words(annotation: Any, words: str) -> None:
    model = type("Made", (Config,), {"__annotations__": {"option": annotation}})

    (option,) = options_of(model)
    assert in_words(option.values) == words


BOUNDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "integer, 1 to 100": (int, {"ge": 1, "le": 100}),
    "integer, 1 to 99": (int, {"gt": 0, "lt": 100}),
    "integer, at least 5": (int, {"ge": 5}),
    "integer": (int, {"ge": 0, "lt": 2**32}),
    "integer, at most 65,535": (int, {"lt": 2**16}),
    "number, more than 0 and at most 1": (float, {"gt": 0, "le": 1}),
    "number, 0 to 1": (float, {"ge": 0, "le": 1}),
    "duration, more than 0s": (Duration, {"gt": 0}),
    "duration, 1s to 1m": (Duration | None, {"ge": 1, "le": 60}),
}


@pytest.mark.parametrize(("words", "made"), BOUNDS.items(), ids=BOUNDS)
def test_bounds_that_matter_are_told(words: str, made: tuple[Any, dict[str, Any]]) -> None:
    annotation, bounds = made
    model = type("Made", (Config,), {"__annotations__": {"option": annotation}, "option": Field(**bounds)})

    (option,) = options_of(model)
    assert in_words(option.values) == words


def test_a_model_in_itself_is_told_once() -> None:
    class Tree(Config):
        """A tree."""

        name: str = ""
        trees: list["Tree"] = Field(default_factory=list["Tree"])

    Tree.model_rebuild()

    assert ["::".join(path) for path, _ in walk(Tree)] == ["name", "trees"]
