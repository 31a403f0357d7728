"""How mistakes are shown: excerpts that give nothing away, JSON and SARIF."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from airis.config import ConfigError, Mark, Problem, read_configuration
from airis.config.errors import RULES
from airis.config.excerpt import Source
from airis.config.report import Report, wants_colour

TESTDATA = Path(__file__).parent / "testdata"
SECRET = "hunter2"


def excerpt(text: str, line: int, column: int, shown: bool = False) -> str:
    found = Source(text).excerpt(Mark("t.yaml", line, column), shown=shown)
    return f"{found[0]}\n{' ' * found[1]}^" if found else ""


def problems() -> Report:
    with pytest.raises(ConfigError) as told:
        read_configuration((TESTDATA / "ten.bad.yaml").read_text(), "ten.bad.yaml", {})
    return Report.of(told.value)


def test_ten_mistakes_are_ten_errors_of_ten_kinds() -> None:
    found = problems().errors

    assert [(p.mark.line, p.rule) for p in found] == [
        (6, "invalid-value"),
        (8, "wrong-type"),
        (9, "unsupported-component"),
        (13, "unknown-option"),
        (13, "invalid-value"),
        (16, "out-of-range"),
        (18, "missing-option"),
        (19, "unknown-value"),
        (24, "duplicate-reference"),
        (25, "undefined-reference"),
    ]


@pytest.mark.parametrize(
    ("text", "place", "shown", "expected"),
    [
        pytest.param("a: 1", (1, 4), True, "a: 1\n   ^", id="the value itself"),
        pytest.param("a: 1", (1, 4), False, "a: …\n   ^", id="a value that may be secret"),
        pytest.param(
            "a: {b: x, c: 'y z', d: [1, 2]}",
            (1, 14),
            True,
            "a: {b: …, c: 'y z', d: […, …]}\n             ^",
            id="the others",
        ),
        pytest.param(
            "a: {bb: 'long', c: 1}", (1, 17), False, "a: {bb: …, c: …}\n           ^", id="behind a hidden value"
        ),
        pytest.param("a: 1 # hunter2", (1, 1), False, "a: …\n^", id="no comment"),
        pytest.param("# hunter2\na: 1", (1, 1), False, "", id="only a comment"),
        pytest.param("a: |\n  hunter2\n  two\nb: 1", (2, 3), True, "  …\n  ^", id="in a block"),
        pytest.param("a: 'one\n  hunter2'\nb: 1", (1, 4), True, "a: …\n   ^", id="over two lines"),
        pytest.param("- &a hunter2\n- *a", (2, 3), False, "- *a\n  ^", id="an alias"),
        pytest.param("- &a hunter2\n- *a", (1, 3), False, "- …\n  ^", id="an anchor"),
        pytest.param("a:\t1\t# x", (1, 4), True, "a: 1\n   ^", id="a tab"),
        pytest.param("日本: {a: 1}", (1, 6), False, "日本: {a: …}\n       ^", id="wide characters"),
        pytest.param("e\u0301: {a: 1}", (1, 6), False, "e\u0301: {a: …}\n    ^", id="combining characters"),
        pytest.param('"a\\eb": 1', (1, 1), False, '"a\\eb": …\n^', id="an escape that stays one"),
        pytest.param("a\u202eb: 1", (1, 6), True, "a\\u202eb: 1\n          ^", id="a character that turns the line"),
        pytest.param("a: 1\nb: ]", (2, 4), False, "b: …\n   ^", id="not YAML"),
        pytest.param("a: 1\n\tb: hunter2", (2, 1), False, " b: …\n^", id="a tab that indents"),
        pytest.param(
            "a: [\nb: hunter2\nc: hunter2: x",
            (3, 3),
            False,
            "…: …\n  ^",
            id="a text that goes on behind what is not YAML",
        ),
        pytest.param("a: ]\nb: hunter2\nc: hunter2: x", (3, 4), False, "c: …\n   ^", id="behind what is not YAML"),
        pytest.param("- 'hunter2'x", (1, 3), False, "- …\n  ^", id="text behind a text"),
        pytest.param("a: [1, 2\nhunter2", (2, 1), False, "…\n^", id="no key behind what is not YAML"),
        pytest.param("a: 1", (3, 1), False, "", id="no such line"),
        pytest.param("", (1, 1), False, "", id="nothing"),
        pytest.param("a: ", (1, 4), False, "a:\n   ^", id="null"),
        pytest.param(
            "service: {extensions: [x, '${env:Y:-hunter2}'], telemetry: {a: [hunter2]}, pipelines: {}}",
            (1, 1),
            False,
            "service: {extensions: [x, …], telemetry: {a: […]}, pipelines: {}}\n^",
            id="references",
        ),
        pytest.param(
            "service:\n  pipelines:\n    t:\n      receivers: [a, b]\n      x: [hunter2]",
            (4, 22),
            False,
            "      receivers: [a, b]\n                     ^",
            id="references of a pipeline",
        ),
        pytest.param(
            "pipelines:\n  t: {receivers: [hunter2]}",
            (2, 3),
            False,
            "  t: {receivers: […]}\n  ^",
            id="not of a service",
        ),
        pytest.param(
            "service::pipelines::t::exporters: [a, b]",
            (1, 36),
            False,
            f"service::pipelines::t::exporters: [a, b]\n{' ' * 35}^",
            id="references of an inline source",
        ),
    ],
)
def test_an_excerpt_shows_keys_and_points_at_the_mistake(
    text: str, place: tuple[int, int], shown: bool, expected: str
) -> None:
    assert excerpt(text, *place, shown) == expected


def test_a_long_line_is_shown_around_the_mistake() -> None:
    text = "k: {" + ", ".join(f"key{number:02}: {number}" for number in range(60)) + "}"

    line, caret = excerpt(text, 1, text.index("key40") + 1).split("\n")

    assert len(line) <= 102
    assert line.startswith("…")
    assert line.endswith("…")
    assert line[caret.index("^") :].startswith("key40: …")


KEYS = st.text("abc_/", min_size=1, max_size=3)
DOCUMENTS = st.recursive(
    st.sampled_from(
        [SECRET, f"a {SECRET}", f"{SECRET} # b", f"{SECRET}\n\n {SECRET}\n", f"# {SECRET}", f"'{SECRET}", ""]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(
    DOCUMENTS,
    st.sampled_from([None, "'", '"', "|", ">"]),
    st.booleans(),
    st.sampled_from(["", "]", "}", "\t", '"', "#"]),
    st.data(),
)
def test_no_line_gives_a_value_away_also_where_the_yaml_is_broken(
    document: Any, style: str | None, flow: bool, broken_by: str, data: st.DataObject
) -> None:
    text = yaml.safe_dump(document, default_style=style, default_flow_style=flow, width=20, explicit_start=True)
    place = data.draw(st.integers(0, len(text)))
    text = text[:place] + broken_by + text[place:]
    source = Source(text)

    for line in range(1, text.count("\n") + 2):
        found = source.excerpt(Mark("t.yaml", line, data.draw(st.integers(1, 30))))
        assert found is None or SECRET not in found[0]


def test_text_begins_every_problem_with_its_place_and_ends_with_a_summary() -> None:
    text = problems().text()

    places = [line for line in text.splitlines() if re.match(r"ten\.bad\.yaml:\d+:\d+: ", line)]
    assert len(places) == 10
    assert all(line.startswith((" ", "ten.bad.yaml:")) for line in text.splitlines()[:-1])
    assert text.endswith("10 errors; nothing was started. See docs/config.md\n")
    assert SECRET not in text


@pytest.mark.parametrize(
    ("errors", "warnings", "summary"),
    [
        (0, 0, ""),
        (1, 0, "1 error; nothing was started. See docs/config.md\n"),
        (2, 1, "2 errors, 1 warning; nothing was started. See docs/config.md\n"),
        (0, 2, "2 warnings. See docs/config.md\n"),
    ],
)
def test_the_summary_counts(errors: int, warnings: int, summary: str) -> None:
    problem = Problem(Mark("t.yaml", 1, 1), ("a",), "b")

    text = Report([problem] * errors, [problem] * warnings).text()

    assert text == "warning: t.yaml:1:1: a: b\n" * warnings + "t.yaml:1:1: a: b\n" * errors + summary


def test_colour_changes_nothing_else() -> None:
    report = problems()

    coloured = report.text(colour=True)

    assert "\x1b[1;31m^" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == report.text()
    assert "\x1b" not in report.text()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "no_color", "expected"),
    [(Terminal(), None, True), (Terminal(), "", True), (Terminal(), "1", False), (io.StringIO(), None, False)],
)
def test_colour_is_for_terminals(
    stream: io.StringIO, no_color: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)

    assert wants_colour(stream) is expected


def test_what_a_terminal_would_act_upon_is_escaped_in_messages() -> None:
    problem = Problem(Mark("a\x1b[31m.yaml", 1, 1), ("a\x07",), "b\x9b\u202e")

    assert Report([problem]).text().splitlines()[0] == "a\\x1b[31m.yaml:1:1: a\\x07: b\\x9b\\u202e"


def test_json_says_the_same_to_programs() -> None:
    document = json.loads(problems().json())

    assert (document["errors"], document["warnings"]) == (10, 0)
    assert document["problems"][3] == {
        "severity": "error",
        "rule": "unknown-option",
        "source": "ten.bad.yaml",
        "line": 13,
        "column": 11,
        "path": ["processors", "batch"],
        "message": 'unknown option "send_batch_sise"; did you mean "send_batch_size"?',
    }


def sarif(report: Report) -> Any:
    return json.loads(report.sarif())


def test_sarif_is_what_code_scanning_takes() -> None:
    log = sarif(problems())

    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "airis"
    for rule in driver["rules"]:
        assert rule["id"] in RULES
        assert rule["shortDescription"]["text"] == rule["fullDescription"]["text"] == RULES[rule["id"]]
        assert rule["help"]["text"]
    assert len(run["results"]) == 10
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] == "error"
        assert result["message"]["text"]
        (location,) = result["locations"]
        assert location["physicalLocation"]["artifactLocation"]["uri"] == "ten.bad.yaml"
        assert location["physicalLocation"]["region"]["startLine"] >= 1
    assert run["results"][3]["message"]["text"].startswith('processors::batch: unknown option "send_batch_sise"')
    assert run["results"][3]["locations"][0]["logicalLocations"] == [{"fullyQualifiedName": "processors::batch"}]


@pytest.mark.parametrize(
    ("source", "uri"),
    [
        ("{here}/deploy/a b.yaml", "deploy/a%20b.yaml"),
        ("deploy/airis.yaml", "deploy/airis.yaml"),
        ("/etc/airis.yaml", "file:///etc/airis.yaml"),
        ("built-in configuration", "built-in%20configuration"),
    ],
)
def test_sarif_names_files_below_the_current_directory_from_there(
    source: str, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    problem = Problem(Mark(source.format(here=tmp_path), 1, 1), (), "b", "unused-component")

    (result,) = sarif(Report(warnings=[problem]))["runs"][0]["results"]

    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri
    assert result["level"] == "warning"


def test_every_rule_is_a_name_and_a_sentence() -> None:
    for name, text in RULES.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
        assert re.fullmatch(r"\S.*\.", text)


def test_every_case_that_is_known_to_be_wrong_has_a_known_rule() -> None:
    for path in TESTDATA.glob("*.bad.yaml"):
        with pytest.raises(ConfigError) as told:
            read_configuration(path.read_text(), path.name, {})
        assert {problem.rule for problem in told.value.problems} <= RULES.keys()
