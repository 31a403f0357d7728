"""The Collector's rules for ``${…}``: what is put in, and what options of each type get of it."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, create_model

from airis.component.config import Config, Duration, Scalar, Secret
from airis.config import ConfigError, Problem, substitution
from airis.config.decode import raw
from airis.config.document import MAX_DEPTH, Node, parse
from airis.config.errors import Mark
from airis.config.substitution import MAX_CHAIN, substitute

from .nodes import marks, nodes

NULL = Scalar(None, "")


def substituted(text: str, environment: dict[str, str], warnings: list[Problem] | None = None) -> Any:
    problems: list[Problem] = []
    node = substitute(parse(f"v: {text}", "t.yaml"), environment, problems, warnings)
    if problems:
        raise ConfigError(problems)
    return raw(node)["v"]


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        # One reference is the whole value: it has the type that its text has.
        ("${env:X}", {"X": "db.example"}, "db.example"),
        ("${X}", {"X": "db.example"}, "db.example"),
        ("'${X}'", {"X": "db.example"}, "db.example"),
        ('"${X}"', {"X": "12"}, Scalar(12, "12")),
        ("|-\n  ${X}", {"X": "12"}, Scalar(12, "12")),
        ("${X}", {"X": "12"}, Scalar(12, "12")),
        ("${X}", {"X": "-3"}, Scalar(-3, "-3")),
        ("${X}", {"X": "0123"}, Scalar(83, "0123")),
        ("${X}", {"X": "0o17"}, Scalar(15, "0o17")),
        ("${X}", {"X": "0xdeadbeef"}, Scalar(3735928559, "0xdeadbeef")),
        ("${X}", {"X": "1_000"}, Scalar(1000, "1_000")),
        ("${X}", {"X": "1.50"}, Scalar(1.5, "1.50")),
        ("${X}", {"X": "1e3"}, Scalar(1000.0, "1e3")),
        ("${X}", {"X": "true"}, Scalar(True, "true")),
        ("${X}", {"X": " 42 "}, Scalar(42, " 42 ")),
        ("${X}", {"X": "true # as a rule"}, Scalar(True, "true # as a rule")),
        ("${X}", {"X": "yes"}, "yes"),
        ("${X}", {"X": "2023-03-20T03:17:55.432328Z"}, "2023-03-20T03:17:55.432328Z"),
        ("${X}", {"X": "1111::1111"}, "1111::1111"),
        ("${X}", {"X": '"12"'}, '"12"'),
        ("${X}", {"X": "!!str 12"}, "!!str 12"),
        ("${X}", {"X": "  padded  "}, "  padded  "),
        ("${X}", {"X": "a\nb\n"}, "a\nb\n"),
        ("${X}", {"X": "null"}, Scalar(None, "null")),
        ("${X}", {"X": "~"}, Scalar(None, "~")),
        ("${X}", {"X": "#12"}, Scalar(None, "#12")),
        ("${X}", {"X": "[a, 1]"}, ["a", Scalar(1, "1")]),
        ("${X}", {"X": "{k: 0777}"}, {"k": Scalar(511, "0777")}),
        ("${X}", {"X": "a: b"}, {"a": "b"}),
        ("${X}", {"X": "# said\na: b"}, {"a": "b"}),
        ("${X}", {"X": "[]"}, []),
        ("${X}", {"X": "{}"}, {}),
        # What is no YAML is text, and so is what only YAML would take apart.
        ("${X}", {"X": "[a,"}, "[a,"),
        ("${X}", {"X": "\t1"}, "\t1"),
        ("${X}", {"X": "*x"}, "*x"),
        ("${X}", {"X": "@x"}, "@x"),
        ("${X}", {"X": "{a: 1, a: 2}"}, "{a: 1, a: 2}"),
        ("${X}", {"X": "a\udcff"}, "a\udcff"),
        ("${X}", {"X": "[\udcff]"}, "[\udcff]"),
        # In longer text it is put in as it is written.
        ("tcp://${env:X}:9000", {"X": "db.example"}, "tcp://db.example:9000"),
        ("host:${X}", {"X": "0123"}, "host:0123"),
        ("${X}${X}", {"X": "4"}, "44"),
        ("x${X}", {"X": "[a, b]"}, "x[a, b]"),
        ("x${X}y", {"X": "{k: v}"}, "x{k: v}y"),
        ("x${X}", {"X": "#12"}, "x#12"),
        ("x${X}y", {"X": "null"}, "xnully"),
        ("x${X}y", {"X": " 42 "}, "x 42 y"),
        ("x${X}y", {"X": "a\udcff"}, "xa\udcffy"),
        ("[ '${X}', b ]", {"X": "a"}, ["a", "b"]),
        ("{ k: '${X}', l: 'x${X}' }", {"X": "[1]"}, {"k": [Scalar(1, "1")], "l": "x[1]"}),
        # Not set, and set to nothing.
        ("${env:X}", {}, NULL),
        ("a${env:X}b", {}, "ab"),
        ("${env:X}", {"X": ""}, NULL),
        ("${env:X}", {"X": " "}, NULL),
        ("a${env:X}b", {"X": ""}, "ab"),
        ("${env:X:-d}", {}, "d"),
        ("${env:X:-5}", {}, Scalar(5, "5")),
        ("${env:X:-[a]}", {}, ["a"]),
        ("${env:X:-null}", {}, Scalar(None, "null")),
        ("${env:X:-a:-b}", {}, "a:-b"),
        ("${env:X:-}", {}, ""),
        ("a${env:X:-}b", {}, "ab"),
        ("${env:X:-d}", {"X": ""}, NULL),
        ("${env:X:-}", {"X": ""}, NULL),
        ("${env:X:-d}", {"X": "x"}, "x"),
        ("'${env:X:-{}}'", {}, "{}"),
        ("a${env:X:-b{}c", {}, "ab{c"),
        # References in references, the innermost first.
        ("${env:${env:N}}", {"N": "X", "X": "12"}, Scalar(12, "12")),
        ("${${N}}", {"N": "X", "X": "12"}, Scalar(12, "12")),
        ("${env:X:-${H}:${P}}", {"H": "db.example", "P": "0123"}, "db.example:0123"),
        ("tcp://${env:X:-${H}}:1", {"H": "db.example"}, "tcp://db.example:1"),
        ("${env:X_${N}}", {"N": "1", "X_1": "a"}, "a"),
        ("${env:A:-${env:B:-${env:C:-d}}}", {}, "d"),
        # References in what is put in.
        ("${X}", {"X": "${env:Y}", "Y": "0123"}, Scalar(83, "0123")),
        ("${X}", {"X": "The value ${Y}", "Y": "is ${Z}", "Z": "12"}, "The value is 12"),
        ("<${X}>", {"X": "The value ${Y}", "Y": "is ${Z}", "Z": "12"}, "<The value is 12>"),
        ("${X}", {"X": "[a, '${Y}']", "Y": "{k: '${Z}'}", "Z": "1"}, ["a", {"k": Scalar(1, "1")}]),
        ("${X}", {"X": "k: ${Y}", "Y": "1"}, {"k": Scalar(1, "1")}),
        ("${X}", {"X": "'${Y}'", "Y": "1"}, "'1'"),
        ("${X}", {"X": "true # not ${a reference}"}, Scalar(True, "true # not ${a reference}")),
        ("${X}", {"X": "{} # ${X}"}, {}),
        ("${env:${env:N}}", {"N": "${env:M}", "M": "X", "X": "x"}, "x"),
        # Dollar signs.
        ("$X", {"X": "x"}, "$X"),
        ("$", {}, "$"),
        ("$$", {}, "$"),
        ("$$$", {}, "$$"),
        ("$$$$", {}, "$$"),
        ("a$$b", {}, "a$b"),
        ("$$X", {"X": "x"}, "$X"),
        ("$${X}", {"X": "x"}, "${X}"),
        ("$$${X}", {"X": "x"}, "$x"),
        ("$$$${X}", {"X": "x"}, "$${X}"),
        ("$$$$${X}", {"X": "x"}, "$$x"),
        ("$${env:${X}}", {"X": "x"}, "${env:x}"),
        ("$${env:$${X}}", {"X": "x"}, "${env:${X}}"),
        ("${env:X:-$${env:X}}", {}, "${env:X:-${env:X}}"),
        ("$${X} ${X} $${X} ${X}", {"X": "x"}, "${X} x ${X} x"),
        ("$X${X}", {"X": "x"}, "$Xx"),
        ("${X}", {"X": "pa$word"}, "pa$word"),
        ("${X}", {"X": "pa$$word"}, "pa$word"),
        ("<${X}>", {"X": "pa$$word"}, "<pa$word>"),
        ("${X}", {"X": "$${Y}", "Y": "y"}, "${Y}"),
        ("${X}", {"X": "['$$Y', '$${Y}', '$${env:Y}']"}, ["$Y", "${Y}", "${env:Y}"]),
        ("${X}", {"X": "{a: '$$Y'}"}, {"a": "$Y"}),
        ("${X}", {"X": "${Y}", "Y": "$$$$z"}, "$$z"),
        ("a}$$", {}, "a}$"),
        # What is begun and not ended is no reference; nor does what is put in end it, or begin one.
        ("'${X'", {"X": "x"}, "${X"),
        ("X}", {"X": "x"}, "X}"),
        ("a{X}b", {"X": "x"}, "a{X}b"),
        ("X}${X", {"X": "x"}, "X}${X"),
        ("${X}}}${X", {"X": "x"}, "x}}${X"),
        ("'${A${X}'", {"X": "x"}, "${Ax"),
        ("${${${X}?${X}", {"X": "x"}, "${${x?x"),
        ("${A}X}", {"A": "${env:", "X": "x"}, "${env:X}"),
        ("${A}{X}", {"A": "$", "X": "x"}, "${X}"),
        ("${A}${X}", {"A": "a$", "X": "$x"}, "a$$x"),
        ("a${A}b", {"A": "}"}, "a}b"),
        # Without any environment.
        ("${yaml:[1, b]}", {}, [Scalar(1, "1"), "b"]),
        ("'${yaml:a::b: 3}'", {}, {"a::b": Scalar(3, "3")}),
        ("x${yaml:3}", {}, "x3"),
        ("${yaml:${X}}", {"X": "12"}, Scalar(12, "12")),
        ("{'${X}': 1}", {"X": "x"}, {"${X}": Scalar(1, "1")}),
    ],
)
def test_puts_in_what_is_referred_to(text: str, environment: dict[str, str], expected: Any) -> None:
    found = substituted(text, environment)

    assert found == expected
    assert isinstance(found, type(expected))


def _options(annotation: Any) -> type[Config]:
    return create_model("Options", __base__=Config, v=(annotation, "the default"))


UNION = str | int
ON_OR_SIZE = Literal[True, 1, "auto"]
SHORT = Annotated[str, Field(max_length=9)]


@pytest.mark.parametrize(
    ("annotation", "text", "variable", "expected"),
    [
        (str, "${X}", "0123", "0123"),
        (str, "${X}", "0xdeadbeef", "0xdeadbeef"),
        (str, "${X}", "true", "true"),
        (str, "${X}", '"12"', '"12"'),
        (str, "${X}", "null", "null"),
        (str, "${X}", "~", "~"),
        (str, "${X}", "#12", "#12"),
        (str, "${X}", "", "the default"),
        (str, "${X}", " 42 ", " 42 "),
        (str, "${X}", "1111:1111::", "1111:1111::"),
        (str, "${X}", "[a, ${env:Y}]", "[a, y]"),
        (str, "${X}", "{a: '$$b'}", "{a: '$b'}"),
        (str, "${X}", "# for ${env:Y}\na: b", "# for y\na: b"),
        (str, "${X}", "a: b # no ${reference at all}", "a: b # no ${reference at all}"),
        (str, "port ${X}", "0123", "port 0123"),
        (str, "0123", "", "0123"),
        (str, "1.30", "", "1.30"),
        (str, "null", "", "the default"),
        (str, "''", "", ""),
        (str, "!!binary aGVsbG8=", "", "hello"),
        (str | None, "${X}", "null", None),
        (str | None, "${X}", "0123", "0123"),
        (SHORT, "${X}", "0123", "0123"),
        (SHORT | None, "${X}", "0123", "0123"),
        (list[SHORT], "['${X}']", "", [""]),
        (list[SHORT], "${X}", "a,b", ["a", "b"]),
        (Secret, "${X}", "0123", Secret("0123")),
        (Secret, "${X}", "null", Secret("null")),
        (Secret, "${X}", "{a: b}", Secret("{a: b}")),
        (int, "${X}", "0123", 83),
        (int, "${X}", "0xff", 255),
        (int, "${X}", "1e4", 10_000),
        (int, "${X}", "10.0", 10),
        (int, "${X}", "", "the default"),
        (int, "${X}", "#12", "the default"),
        (int, '!!int "3"', "", 3),
        (float, "${X}", "1.5", 1.5),
        (float, "${X}", "2", 2.0),
        (float, "${X}", ".inf", float("inf")),
        (float | None, "${X}", "", None),
        (bool, "${X}", "true", True),
        (bool, "${X}", "FALSE", False),
        (Duration, "${X}", "1m30s", 90.0),
        (Duration, "${X}", "0", 0.0),
        (Duration | None, "${X}", "5s", 5.0),
        (list[str], "${X}", "[a, 0123]", ["a", "0123"]),
        (list[str], "${X}", "a,b, c", ["a", "b", " c"]),
        (list[str], "a,b", "", ["a", "b"]),
        (list[str], "''", "", []),
        (list[str], "['${X}']", "0123", ["0123"]),
        (list[str], "['${X}']", "", [""]),
        (list[str], "${X}", "", "the default"),
        (list[str] | None, "${X}", "a", ["a"]),
        (list[int], "${X}", "[0x10, 1e3]", [16, 1000]),
        (list[Secret], "['${X}']", "12", [Secret("12")]),
        (list[dict[str, list[str]]], "[{k: ['${X}']}]", "12", [{"k": ["12"]}]),
        (list[Any], "['${X}', 1.5, 1e3]", "12", [12, 1.5, 1000.0]),
        (list[Any], "['${X}']", "#12", [None]),
        (list[Any], "['${X}']", "[1]", [[1]]),
        (Any, "{a: [0123, {b: true, c: }], d: e}", "", {"a": [83, {"b": True, "c": None}], "d": "e"}),
        (dict[str, str], "${X}", "{a: 0123, b: , c: true}", {"a": "0123", "b": "", "c": "true"}),
        (dict[str, str], "{a: '${X}'}", "", {"a": ""}),
        (dict[str, int], "{a: '${X}'}", "0123", {"a": 83}),
        (dict[str, str | None], "{a: '${X}'}", "", {"a": None}),
        (dict[str, Any], "${X}", "{a: 0123, b: }", {"a": 83, "b": None}),
        (Literal["1.2", "1.3"], "${X}", "1.3", "1.3"),
        (Literal["1.2", "1.3"], "1.3", "", "1.3"),
        (ON_OR_SIZE, "${X}", "true", True),
        (ON_OR_SIZE, "${X}", "auto", "auto"),
        (ON_OR_SIZE, "${X}", "1", 1),
        (UNION, "${X}", "0123", 83),
        (UNION, "${X}", "a", "a"),
        (int | float, "${X}", "1e3", 1000.0),
        (str | list[str], "${X}", "[a, 1]", ["a", "1"]),
        (str | list[str], "${X}", "a,b", "a,b"),
        (bool | str, "${X}", "true", True),
    ],
)
def test_an_option_gets_what_its_type_takes(annotation: Any, text: str, variable: str, expected: Any) -> None:
    given = substituted(text, {"X": variable, "Y": "y"})

    found = _options(annotation).model_validate({"v": given}).v  # type: ignore[attr-defined]

    assert found == expected
    assert repr(found) == repr(expected)  # and of the same types, in lists and mappings as well


@pytest.mark.parametrize(
    ("annotation", "variable"),
    [
        (int, '"12"'),
        (int, "1.5"),
        (int, "99999999999999999999999"),
        (int, ".inf"),
        (int, "true"),
        (int, "[1]"),
        (list[int], "['#1']"),
        (ON_OR_SIZE, "1.0"),
        (ON_OR_SIZE, "false"),
        (float, "true"),
        (float, "a"),
        (bool, "yes"),
        (bool, "23"),
        (bool, "t"),
        (Duration, "5"),
        (list[str], "12"),
        (list[str], "{a: b}"),
        (list[int], "a,b"),
        (dict[str, str], "[a]"),
        (dict[str, str], "a"),
        (dict[str, int], "{a: }"),
        (Literal["1.2"], "1.4"),
    ],
)
def test_an_option_refuses_what_is_of_another_type(annotation: Any, variable: str) -> None:
    with pytest.raises(ValidationError):
        _options(annotation).model_validate({"v": substituted("${X}", {"X": variable})})


OUTER = 'v: "${env:X}" puts in a reference that cannot be followed; write "$$" for a "$" that begins no reference'


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("${env:1X}", {}, 'v: "${env:1X}": this is not the name of an environment variable'),
        ("'${}'", {}, 'v: "${}": this is not the name of an environment variable'),
        ("'${env: X}'", {}, 'v: "${env: X}": this is not the name of an environment variable'),
        ("${env:${X}}", {"X": "a$b"}, 'v: "${env:${X}}": a "$" cannot stand in a reference, nor be put into one'),
        ("${env:Y:-a$$b}", {}, 'a "$" cannot stand in a reference'),
        ("${env:Y:-${X}}", {"X": "a$b"}, 'a "$" cannot stand in a reference'),
        ("${Y:-d}", {}, 'v: "${Y:-d}": a default needs the scheme "env"; write "${env:Y:-d}"'),
        ("${env:-d}", {}, 'v: "${env:-d}": this is not the name of an environment variable'),
        ("${vault:x}", {}, 'v: "${vault:x}": unknown scheme; valid here: env, file, http, https, yaml'),
        ("${x:y}", {}, "unknown scheme"),
        ("a ${env:1X} ${vault:x}", {}, "unknown scheme"),
        ("a ${env:1X} ${vault:x}", {}, "not the name of an environment variable"),
        ("${file:nowhere}", {}, f'v: "${{file:nowhere}}": there is no such file; looked for "{Path.cwd()}/nowhere"'),
        ("${file:/nowhere}", {}, 'v: "${file:/nowhere}": there is no such file\n'),
        ("${file:/nowhere:-d}", {}, 'there is no such file; only "env" takes a default'),
        ("${file:${X}}", {"X": "hunter2"}, 'v: "${file:${X}}": there is no such file\n'),
        ("${file:/}", {}, 'v: "${file:/}": it is a folder'),
        ("${file:/dev/zero}", {}, 'v: "${file:/dev/zero}": it is larger than 4 MiB'),
        ("${X}", {"X": "${X}"}, "v: refers to itself: ${X} → ${X}"),
        ("a${X}", {"X": "${env:Y}", "Y": "b${X}"}, "v: refers to itself: ${X} → ${env:Y} → ${X}"),
        ("${env:X}", {"X": "hunter2${vault:hunter2}"}, OUTER),
        ("a${env:X}", {"X": "hunter2${hunter-2}"}, OUTER),
        ("${env:X}", {"X": "[a, '${file:/hunter2}']"}, f"v::1: {OUTER[3:]}"),
        ("${env:X}", {"X": "${Y}", "Y": "${hunter-2}"}, OUTER.replace("env:X", "Y")),
    ],
)
def test_says_what_cannot_be_put_in(text: str, environment: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        substituted(text, environment)

    assert f"t.yaml:1:4: {message}" in f"{caught.value}\n" if message.startswith("v:") else message in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert all(problem.rule == "invalid-reference" for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        (
            "a${env:X}",
            {},
            'the environment variable X is not set; "${env:X:-}" is empty without this warning',
        ),
        (
            "${X}",
            {"X": "hunter2${hunter2}"},
            '"${X}" puts in a reference to a variable that is not set; write "$$" for a "$" that begins no reference',
        ),
    ],
    ids=["written", "put in"],
)
def test_a_variable_that_is_not_set_is_a_warning(text: str, environment: dict[str, str], message: str) -> None:
    warnings: list[Problem] = []

    substituted(text, environment, warnings)

    assert list(map(str, warnings)) == [f"t.yaml:1:4: v: {message}"]
    assert [warning.rule for warning in warnings] == ["unset-variable"]


@pytest.mark.parametrize("variable", ["x", "", "[a]", "# ${Y}", "a: b # ${Y}"])
def test_a_variable_that_is_set_is_none(variable: str) -> None:
    warnings: list[Problem] = []

    substituted("${X}", {"X": variable}, warnings)

    assert warnings == []


def test_what_cannot_be_put_in_stays_and_the_rest_is_put_in() -> None:
    problems: list[Problem] = []

    node = substitute(parse("{a: '${1}', b: '${X}', c: '${vault:x}'}", "t.yaml"), {"X": "x"}, problems)

    assert raw(node) == {"a": "${1}", "b": "x", "c": "${vault:x}"}
    assert [problem.path for problem in problems] == [("a",), ("c",)]


def test_a_long_chain_is_followed_and_a_longer_one_given_up_and_named() -> None:
    environment = {f"X{i}": f"${{X{i + 1}}}" for i in range(MAX_CHAIN)} | {f"X{MAX_CHAIN}": "x"}

    assert substituted("${X1}", environment) == "x"
    with pytest.raises(ConfigError, match=r"more than 100 references: \$\{X0\} → \$\{X1\} → .* → …"):
        substituted("${X0}", environment)


def test_only_so_many_references_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(substitution, "MAX_REFERENCES", 3)

    assert substituted("${X}${X}${X}", {"X": "x"}) == "xxx"
    with pytest.raises(ConfigError, match=r'"\$\{Y\}": there are more than 3 references'):
        substituted("${X}${X}${X}${Y}", {"X": "x"})


def test_what_is_put_in_nests_no_deeper_than_a_document() -> None:
    text = "[" * (MAX_DEPTH - 2) + "'${X}'" + "]" * (MAX_DEPTH - 2)

    substituted(text, {"X": "[a]"})
    with pytest.raises(ConfigError, match="nested more than 100 levels deep"):
        substituted(text, {"X": "[[a]]"})


@pytest.mark.parametrize("text", ["${" * 2000 + "X" + "}" * 2000, "${X}" * 20_000], ids=["deep", "long"])
def test_a_text_of_references_is_given_up(text: str) -> None:
    with pytest.raises(ConfigError, match="more than"):
        substituted(f"'{text}'", {"X": "X"})


def test_references_that_multiply_are_given_up() -> None:
    environment = {f"X{i}": f"${{X{i + 1}}}" * 10 for i in range(10)} | {"X10": "x"}

    with pytest.raises(ConfigError, match=r'"\$\{X0\}" puts in a reference that cannot be followed'):
        substituted("${X0}", environment)


def test_files_that_nest_are_given_up(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / f"{i}.yaml").write_text("[" * 10 + f"'${{file:{tmp_path}/{i + 1}.yaml}}'" + "]" * 10)
    problems: list[Problem] = []

    node = substitute(parse(f"${{file:{tmp_path}/0.yaml}}", "t.yaml"), {}, problems)

    assert [problem.message for problem in problems] == ["nested more than 100 levels deep"]
    assert max(map(len, nodes(node))) > 100


def test_a_file_is_put_in_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "number").write_text("0123\n")
    (tmp_path / "token").write_bytes(b"hunter2\xff\r\n")
    (tmp_path / "part.yaml").write_text("# for ${env:UNSET}\nk: |\n  text\nl: ${file:number}\n")
    (tmp_path / "nothing.yaml").write_text("# nothing\n")
    monkeypatch.chdir(tmp_path)
    files: list[Path] = []
    problems: list[Problem] = []
    warnings: list[Problem] = []
    text = (
        "{a: '${file:number}', b: '${file:token}', c: 'Bearer ${file:token}!', "
        "d: '${file:part.yaml}', e: '${file:nothing.yaml}'}"
    )

    node = substitute(parse(text, "t.yaml"), {}, problems, warnings, files)

    assert (problems, warnings) == ([], [])
    assert raw(node) == {
        "a": Scalar(83, "0123"),
        "b": "hunter2\udcff",
        "c": "Bearer hunter2\udcff!",
        "d": {"k": "text\n", "l": Scalar(83, "0123")},
        "e": Scalar(None, "# nothing"),
    }
    assert files == [Path("number"), Path("token"), Path("part.yaml"), Path("nothing.yaml")]


def test_what_is_put_in_is_marked_as_such_and_keeps_its_place(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text("k:\n  - a\n  - ${env:X}\n")
    text = (
        "a: ${env:MAP}\nb: ${file:" + str(tmp_path) + "/${env:NAME}.yaml}\nc: x${env:X}\nd: x$$\ne: ${file:/dev/null}"
    )
    text += "\nf: ${env:UNSET}\ng: ${env:UNSET:-}\nh: ${env:BAD}\ni: ${yaml:1}\n"
    environment = {"MAP": "{k: [v]}", "NAME": "part", "X": "x", "BAD": "[a"}
    source = f"{tmp_path}/${{env:NAME}}.yaml"

    root = substitute(parse(text, "t.yaml"), environment, [])

    assert marks(root) == {
        (): Mark("t.yaml", 1, 1),
        ("a",): Mark("t.yaml", 1, 4),
        ("a", "k"): Mark("t.yaml", 1, 4),
        ("a", "k", "0"): Mark("t.yaml", 1, 4),
        ("b",): Mark(source, 1, 1),
        ("b", "k"): Mark(source, 2, 3),
        ("b", "k", "0"): Mark(source, 2, 5),
        ("b", "k", "1"): Mark(source, 3, 5),
        ("c",): Mark("t.yaml", 3, 4),
        ("d",): Mark("t.yaml", 4, 4),
        ("e",): Mark("t.yaml", 5, 4),
        ("f",): Mark("t.yaml", 6, 4),
        ("g",): Mark("t.yaml", 7, 4),
        ("h",): Mark("t.yaml", 8, 4),
        ("i",): Mark("t.yaml", 9, 4),
    }
    assert {path for path, node in nodes(root).items() if not node.substituted} == {(), ("d",)}


def test_what_was_from_outside_before_still_is() -> None:
    node = Node(Mark("env:X", 1, 1), "a$$b", substituted=True)

    assert substitute(node, {}, []) == replace(node, value="a$b")


def test_a_mistake_in_a_file_that_is_yaml_by_its_name_is_one_there(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text("k: 1\nk: 2\n")
    (tmp_path / "part.txt").write_text("k: 1\nk: 2\n")
    problems: list[Problem] = []

    text = f"a: ${{file:{tmp_path}/part.yaml}}\nb: ${{file:{tmp_path}/part.txt}}\n"
    root = substitute(parse(text, "t.yaml"), {}, problems)

    assert list(map(str, problems)) == [f"{tmp_path}/part.yaml:2:1: a::k: written twice; the first is in line 1"]
    assert raw(root)["b"] == "k: 1\nk: 2"


def test_a_mistake_in_what_a_file_refers_to_is_one_there_and_leaves_the_rest(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text("k:\n  l: ${env:1X}\n  m: ${env:X}\n")
    problems: list[Problem] = []

    root = substitute(parse(f"a: ${{file:{tmp_path}/part.yaml}}", "t.yaml"), {"X": "x"}, problems)

    assert raw(root) == {"a": {"k": {"l": "${env:1X}", "m": "x"}}}
    assert [(problem.mark, problem.path) for problem in problems] == [
        (Mark(f"{tmp_path}/part.yaml", 2, 6), ("a", "k", "l"))
    ]
    assert '"${env:1X}": this is not the name of an environment variable' in str(problems[0])


def test_a_file_that_includes_itself_is_named(tmp_path: Path) -> None:
    part = tmp_path / "part.yaml"
    part.write_text(f"k: ${{file:{part}}}\n")
    problems: list[Problem] = []

    substitute(parse(f"a: ${{file:{part}}}", "t.yaml"), {}, problems)

    assert [str(problem) for problem in problems] == [
        f"{part}:1:4: a::k: refers to itself: ${{file:{part}}} → ${{file:{part}}}"
    ]


@given(st.text(st.characters(exclude_characters="$", exclude_categories=("Cs",))))
def test_text_without_a_dollar_sign_stays(text: str) -> None:
    node = Node(Mark("t.yaml", 1, 1), text)
    problems: list[Problem] = []

    assert substitute(node, {}, problems) == node
    assert problems == []


@given(st.text("${}:-abX \n", max_size=40), st.text("${}:-abX \n[],", max_size=20))
def test_any_text_is_put_in_or_refused(text: str, variable: str) -> None:
    node = substitute(Node(Mark("t.yaml", 1, 1), text), {"X": variable, "a": text}, [])

    assert isinstance(node, Node)


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_a_text_with_its_dollar_signs_doubled_is_itself(text: str) -> None:
    node = substitute(Node(Mark("t.yaml", 1, 1), text.replace("$", "$$")), {}, [])

    assert node.value == text
