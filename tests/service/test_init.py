"""``airis init``: a file to begin with, which is right as it is and with everything in it taken into use."""

import re
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from airis.component import Kind, known_types, load
from airis.component.config import plain
from airis.config import Configuration, default_text, read_configuration
from airis.config.decode import raw
from airis.config.document import parse
from airis.service import cli
from airis.service.commands.init import content
from airis.service.commands.print_config import effective

from .third_party import airis

COMPONENTS = [f"{kind.section}::{name}" for kind in Kind for name in known_types(kind)]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AIRIS_CONFIG", raising=False)


def init(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["init", *words])


def loaded(text: str) -> Configuration:
    return read_configuration(text, "airis.yaml", {})


def uncommented(text: str) -> str:
    """The text with every option in it taken into use, as its head says how."""
    return re.sub(r"^( *)#(?! |$)", r"\1", text, flags=re.MULTILINE)


def test_it_writes_a_file_that_does_what_airis_does_without_one() -> None:
    result = init()

    assert result.exit_code == 0, result.output
    written = Path("airis.yaml").read_text()
    assert effective(loaded(written)) == effective(loaded(default_text()))


def test_it_says_what_to_do_next() -> None:
    result = init("my.yaml")

    assert result.stdout.splitlines()[0] == "Wrote my.yaml. Read it, change it, then:"
    *_, validate, run = result.stdout.splitlines()
    assert validate.endswith("airis validate --config my.yaml")
    assert CliRunner().invoke(cli.app, validate.split()[1:]).exit_code == 0
    assert run.endswith("airis --config my.yaml")


def test_everything_that_is_commented_out_can_be_taken_into_use() -> None:
    text = content("airis.yaml")
    whole = uncommented(text)
    options = effective(loaded(whole))

    assert whole.count("\n") == text.count("\n")
    assert len(re.findall(r"^ *#(?! |$)", text, re.MULTILINE)) > 20
    assert options["receivers"]["otlp"]["protocols"]["grpc"]["tls"]["cert_file"]
    assert options["extensions"]["store"]["retention"] == {"traces": "168h", "logs": "336h", "metrics": "2160h"}
    assert options["service"]["telemetry"]["logs"] == {"level": "info", "encoding": "console"}


def test_every_option_that_is_commented_out_has_a_word_about_it() -> None:
    lines = content("airis.yaml").splitlines()

    for line, before in zip(lines[1:], lines, strict=False):
        option = re.match(r"^( *)#(?! |$)", line)
        if option and not before.startswith(f"{option[1]}# "):
            # Only the first of a section has one: the section's.
            assert re.match(r"^ *#(?! )", before), line


def test_it_fits_a_screen() -> None:
    text = content("airis.yaml", ["file", "debug"])

    assert max(map(len, text.splitlines())) <= 120
    assert "\n\n\n" not in text
    assert text.endswith("\n")


@pytest.mark.parametrize("word", COMPONENTS)
def test_any_component_can_be_added(word: str) -> None:
    text = content("airis.yaml", [word])

    configuration = loaded(text)
    section, _, name = word.partition("::")
    assert name in configuration.components[Kind(section.removesuffix("s"))]
    loaded(uncommented(text))


@pytest.mark.parametrize("word", [word for word in COMPONENTS if not word.startswith("connectors")])
def test_what_is_added_is_used_for_every_signal_it_takes(word: str) -> None:
    configuration = loaded(content("airis.yaml", [word]))

    section, _, name = word.partition("::")
    if section == "extensions":
        assert name in configuration.extensions
        return
    signals = {p.signal for p in configuration.pipelines.values() if name in getattr(p, section)}
    assert signals == load(Kind(section.removesuffix("s")), name).stability.keys() & {"traces", "metrics", "logs"}


def test_a_processor_comes_before_what_is_joined() -> None:
    configuration = loaded(content("airis.yaml", ["processors::memory_limiter", "batch"]))

    assert all(p.processors == ("memory_limiter", "batch") for p in configuration.pipelines.values())


def test_a_connector_of_one_signal_waits_for_its_pipelines() -> None:
    text = content("airis.yaml", ["forward"])

    assert "In no pipeline yet" in text
    assert not any("forward" in p.exporters for p in loaded(text).pipelines.values())


def test_components_of_other_packages_can_be_added() -> None:
    result = airis("init", "--with", "receivers::acme", "--with", "acme_count")

    assert result.returncode == 0, result.stderr
    written = Path("airis.yaml").read_text()
    document = plain(raw(parse(written, "")))
    # As the example has it, references and all.
    assert document["receivers"]["acme"]["headers"] == {"authorization": "${env:ACME_TOKEN:-none}"}
    pipelines = document["service"]["pipelines"]
    assert pipelines["traces"]["receivers"] == ["otlp", "acme"]
    assert pipelines["traces"]["exporters"] == ["store", "acme_count"]
    assert pipelines["logs"]["receivers"] == ["otlp", "acme"]
    assert pipelines["metrics"]["receivers"] == ["otlp", "prometheus_remote_write", "acme_count"]
    assert pipelines["metrics"]["exporters"] == ["store"]
    assert airis("validate", "--config", "airis.yaml").returncode == 0


def test_a_file_that_is_there_is_left_alone_unless_it_is_forced() -> None:
    Path("airis.yaml").write_text("mine")

    result = init()
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == 'airis: airis.yaml is there already; "airis init --force" writes over it\n'
    assert Path("airis.yaml").read_text() == "mine"

    assert init("--force").exit_code == 0
    loaded(Path("airis.yaml").read_text())


def test_into_a_folder() -> None:
    Path("there").mkdir()

    assert init("there").exit_code == 0
    assert Path("there/airis.yaml").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere/airis.yaml"], 1, "nowhere/airis.yaml: No such file or directory"),
        (["--with", "debugg"], 2, 'there is no component of type "debugg"; did you mean "debug"?'),
        (["--with", "batch::timeout"], 2, '"batch::timeout" is no component; "airis components" lists them'),
        (["--with", "service"], 2, '"service" is no component; "airis components" lists them'),
    ],
)
def test_what_cannot_be_written_is_told(words: list[str], code: int, said: str) -> None:
    result = init(*words)

    assert (result.exit_code, result.stderr) == (code, f"airis: {said}\n")
    assert list(Path().iterdir()) == []


def test_a_type_of_two_kinds_must_be_chosen() -> None:
    result = airis("init", "--with", "acme")

    assert result.returncode == 2
    assert result.stderr == 'airis: "acme" is more than one component; write "receivers::acme" or "exporters::acme"\n'
