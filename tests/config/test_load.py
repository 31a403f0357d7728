"""Whole configurations: those that load, and what is said of those that do not, each in a file."""

from collections.abc import Callable, Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from airis.component import Kind
from airis.config import ConfigError, Sources, default_text, load_configuration, read_configuration
from airis.config.errors import RULES
from airis.config.report import Report

TESTDATA = Path(__file__).parent / "testdata"
SECRET = "hunter2"


@pytest.mark.parametrize("path", sorted(TESTDATA.glob("*.good.yaml")), ids=lambda path: path.name)
def test_a_good_configuration_loads(path: Path) -> None:
    load_configuration(Sources((str(path),)), {})


@pytest.mark.parametrize("path", sorted(TESTDATA.glob("*.bad.yaml")), ids=lambda path: path.name)
def test_a_bad_configuration_says_all_that_is_wrong(path: Path, golden: Callable[[Path, str], None]) -> None:
    with pytest.raises(ConfigError) as told:
        read_configuration(path.read_text(), path.name, {"SECRET": SECRET})

    text = Report.of(told.value).text()
    assert SECRET not in text
    golden(path.with_suffix(".txt"), text)


def test_the_built_in_configuration_loads_and_stores_every_signal() -> None:
    configuration = load_configuration(Sources(), {})

    assert {p.signal for p in configuration.pipelines.values()} == {"traces", "metrics", "logs"}
    assert all(p.exporters == ("store",) for p in configuration.pipelines.values())


def test_the_built_in_configuration_is_the_one_that_is_shown() -> None:
    shown = read_configuration(default_text(), "shown", {})

    assert {k: list(v) for k, v in shown.components.items()} == {
        k: list(v) for k, v in load_configuration(Sources(), {}).components.items()
    }


def test_values_take_the_types_that_their_options_have() -> None:
    configuration = load_configuration(Sources((str(TESTDATA / "collector.good.yaml"),)), {"OTLP_HTTP": "localhost:7"})
    options = {k: {name: c.options.model_dump() for name, c in v.items()} for k, v in configuration.components.items()}

    assert options[Kind.RECEIVER]["otlp"]["protocols"]["http"]["endpoint"] == "localhost:7"
    assert options[Kind.PROCESSOR]["memory_limiter"]["limit_mib"] == 512
    assert options[Kind.PROCESSOR]["batch/large"]["send_batch_size"] == 10_000
    assert configuration.components[Kind.PROCESSOR]["batch/large"].options.timeout == 90.0  # type: ignore[attr-defined]
    assert options[Kind.EXPORTER]["file"]["path"] == "/tmp/0123"


def test_a_file_that_is_not_there_hides_no_mistake_that_it_could_not_mend(tmp_path: Path) -> None:
    file = tmp_path / "nowhere.yaml"

    with pytest.raises(ConfigError) as told:
        load_configuration(Sources((str(file), str(TESTDATA / "references.bad.yaml"))), {})

    said = {problem.rule: str(problem) for problem in told.value.problems}
    assert str(file) in said.pop("unreadable-source")
    assert 'unknown option "processers"' in "".join(map(str, told.value.problems))
    # What is referred to, or missing, may be in the other file.
    assert set(said) == {"unknown-component", "invalid-id", "unknown-option", "unknown-signal"}


def test_keeps_what_was_read_and_where() -> None:
    path = TESTDATA / "collector.good.yaml"

    configuration = load_configuration(Sources((str(path),)), {})

    assert configuration.telemetry.logs.level == "warn"
    assert configuration.sources == Sources((str(path),))
    assert configuration.files == (path,)
    assert configuration.texts == {str(path): path.read_text()}
    assert configuration.mark_at("exporters", "debug", "verbosity").line == 16
    assert configuration.pipelines["traces/2"].mark.line == 25


def test_a_variable_that_is_not_set_is_a_warning_and_the_option_has_its_default() -> None:
    text = (TESTDATA / "collector.good.yaml").read_text().replace("verbosity: detailed", 'verbosity: "${env:NOT_SET}"')
    configuration = read_configuration(text, "t.yaml", {})

    (warning,) = configuration.warnings
    assert str(warning) == (
        "t.yaml:16:22: exporters::debug::verbosity: the environment variable NOT_SET is not set; "
        '"${env:NOT_SET:-}" is empty without this warning'
    )
    assert configuration.components[Kind.EXPORTER]["debug"].options.model_dump()["verbosity"] == "basic"


@pytest.mark.parametrize("text", ["#secret", "{a: b}", "[x]", "a: b", "0123", "a #b"])
def test_a_text_option_takes_what_is_put_in_whatever_it_is_in_yaml(text: str) -> None:
    configuration = read_configuration(
        "receivers: {otlp: {protocols: {http: {response_headers: {x: '${env:TEXT}'}}}}}\n"
        "exporters: {file: {path: '${env:TEXT}'}}\n"
        "service: {pipelines: {logs: {receivers: [otlp], exporters: [file]}}}\n",
        "t.yaml",
        {"TEXT": text},
    )

    assert configuration.components[Kind.EXPORTER]["file"].options.model_dump()["path"] == text
    protocols = configuration.components[Kind.RECEIVER]["otlp"].options.model_dump()["protocols"]
    assert protocols["http"]["response_headers"] == {"x": text}


def test_a_choice_that_looks_like_a_number_needs_no_quotes() -> None:
    configuration = read_configuration(
        "receivers: {otlp: {protocols: {http: {tls: {cert_file: a, key_file: b, min_version: 1.3}}}}}\n"
        "exporters: {nop: }\n"
        "service: {pipelines: {logs: {receivers: [otlp], exporters: [nop]}}}\n",
        "t.yaml",
        {},
    )

    protocols = configuration.components[Kind.RECEIVER]["otlp"].options.model_dump()["protocols"]
    assert protocols["http"]["tls"]["min_version"] == "1.3"


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "5", "5s", "a/b", "${env:X}", "otlp,nop"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "enabled", "otlp"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in a document."""
    yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        yield from places(item, (*path, key))


@given(st.data(), JUNK)
def test_whatever_stands_anywhere_is_a_mistake_with_a_place_at_most(data: st.DataObject, junk: Any) -> None:
    document = yaml.safe_load((TESTDATA / "collector.good.yaml").read_text())
    path = data.draw(st.sampled_from(list(places(document))))
    if path:
        reduce(lambda value, key: value[key], path[:-1], document)[path[-1]] = junk
    else:
        document = junk
    text = yaml.safe_dump(document)

    try:
        report = Report.of(read_configuration(text, "t.yaml", {"X": "{a: b}"}))
    except ConfigError as error:
        report = Report.of(error)

    for problem in (*report.errors, *report.warnings):
        assert problem.mark.source == "t.yaml"
        assert 1 <= problem.mark.line <= text.count("\n") + 1
        assert problem.rule in RULES
    assert report.text().count("t.yaml:") >= len(report.errors) + len(report.warnings)
