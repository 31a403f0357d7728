"""Rows, pairs, JSON, URLs, levels and user agents are told apart as the Collector's documentation and tests have it."""

from typing import Any

import pytest

from airis.ottl.functions.parsing.limits import DEEPEST, LONGEST
from tests.ottl.evaluating import is_refused_at_load, is_refused_on_the_item, value_of


@pytest.mark.parametrize(
    ("arguments", "row", "expected"),
    [
        ('"a,b,c"', "val1,val2,val3", ["val1", "val2", "val3"]),
        (
            '"a,b,c"',
            "999-999-9999,Joe Smith,joe.smith@example.com",
            ["999-999-9999", "Joe Smith", "joe.smith@example.com"],
        ),
        ('"a,b,c"', "val1\nnewline,val2,val3", ["val1\nnewline", "val2", "val3"]),
        ('"a,b,c"', "val1,val2\nnewline,val3", ["val1", "val2\nnewline", "val3"]),
        ('"a,b,c"', "1\nn1,2\nn2,3\nn3", ["1\nn1", "2\nn2", "3\nn3"]),
        ('"a,b,c"', "\nval1,val2,val3\r\n", ["val1", "val2", "val3"]),
        ('"a,b,c"', "val1\n,val2,val3", ["val1\n", "val2", "val3"]),
        ('"a,b,c"', ",,", ["", "", ""]),
        ('"a,b,c"', '"x, ""y""",,"line\r\nbreak"', ['x, "y"', "", "line\nbreak"]),
        ('"a,b,c"', " x , y,z ", [" x ", " y", "z "]),
        (r'"a\tb\tc", "\t"', "val1\tval2\tval3", ["val1", "val2", "val3"]),
        (r'"a b c", delimiter="\t", headerDelimiter=" "', "1\t2\t3", ["1", "2", "3"]),
        ('"a|b|c", delimiter="|"', "1|2|3", ["1", "2", "3"]),
        ('"a,b,c", mode="strict"', "1,2,3", ["1", "2", "3"]),
        ('"a,b,c", mode="lazyQuotes"', 'val1,val2,v"al3', ["val1", "val2", 'v"al3']),
        ('"a,b,c", mode="lazyQuotes"', '"a "word" b",1"2,a"', ['a "word" b', '1"2', 'a"']),
        ('"a,b,c", mode="lazyQuotes"', '1,2,"open', ["1", "2", "open"]),
        ('"a,b,c", mode="ignoreQuotes"', '"555,Joe",j@x', ['"555', 'Joe"', "j@x"]),
        ('attributes["header"]', "1,2,3", ["1", "2", "3"]),
    ],
)
def test_a_row_is_told_apart(arguments: str, row: str, expected: list[str]) -> None:
    found = value_of(f"ParseCSV(body, {arguments})", row, header="a,b,c")
    assert found == dict(zip("abc", expected, strict=True))


@pytest.mark.parametrize(
    ("arguments", "row", "reason"),
    [
        ('"a,b"', "1,2,3", "wrong number of fields: expected 2, found 3"),
        ('"a,b,c,d", mode="lazyQuotes"', '1,"2,"3,4"', "expected 4, found 2"),
        ('""', "1", "the header is empty"),
        ('"", mode="ignoreQuotes"', "1", "the header is empty"),
        ('"a"', "", "there is no row of values"),
        ('"a,b"', '1,v"2', 'a " is in a field that does not begin with one'),
        ('"a,b"', '1,"2', "a field is not closed"),
        ('"a,b"', '1,"2"3', 'a " inside a field in quotes is written ""'),
        ('"a"', None, "expected string, not nil"),
        ('"a"', 1, "expected string, not int"),
        ('attributes["x"]', "1", "expected string, not nil"),
        ('"a"', "x" * (LONGEST + 1), "are not parsed"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_row_that_is_none_is_refused(arguments: str, row: Any, reason: str) -> None:
    is_refused_on_the_item(f"ParseCSV(body, {arguments})", reason, row)


@pytest.mark.parametrize(
    ("arguments", "text", "expected"),
    [
        ("", "k1=v1 k2=v2 k3=v3", {"k1": "v1", "k2": "v2", "k3": "v3"}),
        (', "!", "_"', "k1!v1_k2!v2_k3!v3", {"k1": "v1", "k2": "v2", "k3": "v3"}),
        (
            "",
            "   name=ottl        func=key_value   hello=world ",
            {"name": "ottl", "func": "key_value", "hello": "world"},
        ),
        ("", """ab='this is a "co ol"' c="  x " """, {"ab": 'this is a "co ol"', "c": "x"}),
        ("", "a=b=c d=", {"a": "b=c", "d": ""}),
        (', pair_delimiter="!@!"', "abc=1!@!  def =2 !@! g=3", {"abc": "1", "def": "2", "g": "3"}),
        (r', pairDelimiter="\n"', "a=1 2\nb=3", {"a": "1 2", "b": "3"}),
        (', "", ""', "a=1 b=2", {"a": "1", "b": "2"}),
        ("", "a=1 a=2", {"a": "2"}),
        ("", " ", {}),
    ],
)
def test_pairs_are_told_apart(arguments: str, text: str, expected: dict[str, str]) -> None:
    assert value_of(f"ParseKeyValue(body{arguments})", text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the target is empty"),
        ("a 'b c", "a value in quotes is not closed"),
        ("""a='b c' "d '""", "a value in quotes is not closed"),
        ("a=1 b", "'b' is no pair: it has no '='"),
        (None, "expected string, not nil"),
        (1, "expected string, not int"),
    ],
)
def test_what_is_no_pairs_is_refused(text: Any, reason: str) -> None:
    is_refused_on_the_item("ParseKeyValue(body)", reason, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"test":"string value"}', {"test": "string value"}),
        ('{"test":true}', {"test": True}),
        ('{"test":1}', {"test": 1.0}),
        ('{"test":1.1}', {"test": 1.1}),
        ('{"test":null}', {"test": None}),
        ('["string","value"]', ["string", "value"]),
        (' [[1], [2, 3], {"a": {}}, []] ', [[1.0], [2.0, 3.0], {"a": {}}, []]),
        ('{"a": 18446744073709551616}', {"a": 2.0**64}),
        ('{"a": "\\u00e9\\n"}', {"a": "é\n"}),
    ],
)
def test_json_is_a_map_or_a_list_with_doubles(text: str, expected: Any) -> None:
    found = value_of("ParseJSON(body)", text)
    assert (found, repr(found)) == (expected, repr(expected))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is no JSON"),
        ("{", "it is no JSON"),
        ("{'a': 1}", "it is no JSON"),
        ('{"a": 1} x', "it is no JSON"),
        ('{"a": NaN}', "it is no JSON"),
        ('"text"', "neither an object nor an array"),
        ("1", "neither an object nor an array"),
        ("null", "neither an object nor an array"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), f"more than {DEEPEST} objects and arrays"),
        ("[" * 100_000, "it is no JSON"),
        ("[" + "1," * (LONGEST // 2) + "1]", "are not parsed"),
        (None, "expected string, not nil"),
        (1, "expected string, not int"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_json_or_hostile_is_refused(text: Any, reason: str) -> None:
    is_refused_on_the_item("ParseJSON(body)", reason, text)


MAPPING = (
    '{"info":[{"equals": ["inf", "i"]}, {"range":{"min":200, "max":299}}], "error":[{"range":"4xx"}, {"range":"5xx"}]}'
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("inf", "info"), ("i", "info"), (200, "info"), (299, "info"), (400, "error"), (499, "error"), (599, "error")],
)
def test_a_level_is_told_by_its_texts_and_numbers(value: Any, expected: str) -> None:
    assert value_of(f"ParseSeverity(body, {MAPPING})", value) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("INF", "no level has 'INF'"),
        (199, "no level has 199"),
        (300, "no level has 300"),
        (None, "told by a string or an int, not nil"),
        (200.0, "told by a string or an int, not double"),
        (True, "told by a string or an int, not bool"),
    ],
)
def test_a_value_of_no_level_is_refused(value: Any, reason: str) -> None:
    is_refused_on_the_item(f"ParseSeverity(body, {MAPPING})", reason, value)


@pytest.mark.parametrize(
    ("mapping", "reason"),
    [
        ('{"info": {}}', "info has a list of criteria, not map"),
        ('{"info": ["inf"]}', "a criterion of info is a map"),
        ('{"info": [{"equals": "inf"}]}', "equals of info is a list of strings"),
        ('{"info": [{"equals": [1]}]}', "equals of info is a list of strings"),
        ('{"info": [{"range": "1xx"}]}', "range of info is one of 2xx, 3xx, 4xx, 5xx"),
        ('{"info": [{"range": 200}]}', "range of info is a map with min and max"),
        ('{"info": [{"range": {"min": 1}}]}', "a min and a max that are ints"),
        ('{"info": [{"range": {"min": 1.0, "max": 2}}]}', "a min and a max that are ints"),
        ("attributes", "mapping is a map that is written out"),
        ('{"info": [{"equals": [body]}]}', "mapping is a map that is written out"),
    ],
)
def test_what_is_wrong_in_a_mapping_is_said_at_load(mapping: str, reason: str) -> None:
    is_refused_at_load(f"ParseSeverity(body, {mapping})", reason, "ParseSeverity")


def url(original: str, domain: str, scheme: str, path: str, **others: Any) -> dict[str, Any]:
    named = {"original": original, "domain": domain, "scheme": scheme, "path": path, **others}
    return {f"url.{name}": value for name, value in named.items()}


FULL = "http://myusername:mypassword@www.example.com:80/foo.gif?key1=val1&key2=val2#fragment"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://www.example.com", url("http://www.example.com", "www.example.com", "http", "")),
        (
            FULL,
            url(
                FULL,
                "www.example.com",
                "http",
                "/foo.gif",
                port=80,
                fragment="fragment",
                extension="gif",
                query="key1=val1&key2=val2",
                user_info="myusername:mypassword",
                username="myusername",
                password="mypassword",
            ),
        ),
        ("http://h:77", url("http://h:77", "h", "http", "", port=77)),
        ("http://h:", url("http://h:", "h", "http", "")),
        ("HTTP://h/", url("http://h/", "h", "http", "/")),
        (
            "https://user:@h/foo",
            url("https://user:@h/foo", "h", "https", "/foo", user_info="user:", username="user", password=""),
        ),
        ("https://u@h", url("https://u@h", "h", "https", "", user_info="u", username="u")),
        ("ftp://f/rfc/rfc1808.txt", url("ftp://f/rfc/rfc1808.txt", "f", "ftp", "/rfc/rfc1808.txt", extension="txt")),
        ("telnet://192.0.2.16:80/", url("telnet://192.0.2.16:80/", "192.0.2.16", "telnet", "/", port=80)),
        ("http://[2001:db8::1]:8080/x", url("http://[2001:db8::1]:8080/x", "2001:db8::1", "http", "/x", port=8080)),
        ("mailto:a@b.example", url("mailto:a@b.example", "", "mailto", "")),
        ("/docs/x%2Fy?", url("/docs/x%2Fy?", "", "", "/docs/x/y")),
        ("/a b", url("/a%20b", "", "", "/a b")),
        ("http://h/%C3%A9#a%20b", url("http://h/%C3%A9#a%20b", "h", "http", "/é", fragment="a b")),
        ("http://h/é", url("http://h/%C3%A9", "h", "http", "/é")),
        ("//h/p", url("//h/p", "h", "", "/p")),
        ("http:///p", url("http:///p", "", "http", "/p")),
        ("http:/p", url("http:/p", "", "http", "/p")),
        ("golang.org/app", url("golang.org/app", "", "", "golang.org/app", extension="org/app")),
        ("?token=0&env=a&env=b+c&x=%20", {"query": {"token": ["0"], "env": ["a", "b c"], "x": [" "]}}),
        ("?user=", {"query": {"user": [""]}}),
        ("?", {}),
    ],
)
def test_a_url_is_told_apart(text: str, expected: dict[str, Any]) -> None:
    assert value_of("URL(body)", text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the URL is empty"),
        (":8080", "the scheme in front of the : is missing"),
        ("1http:x", "the first part of a path without a scheme has no :"),
        ("http://h:port/", "'h:port' is no host with a port"),
        ("http://h:99999999999999999999/", "is no port"),
        ("http://a b/", "has a character that no host has"),
        ("http://[::1/", "is no host with a port"),
        ("http://u{@h/", "characters that must be escaped"),
        ("http://h/%zz", "the path has a % without two hexadecimal digits"),
        ("http://h/\x7f", "no control characters"),
        ("?q;go", "a query has no ;"),
        ("?%z=1", "the query has a %"),
        (None, "expected string, not nil"),
        (1, "expected string, not int"),
    ],
)
def test_what_is_no_url_is_refused(text: Any, reason: str) -> None:
    is_refused_on_the_item("URL(body)", reason, text)


@pytest.mark.parametrize(
    ("expression", "reason", "marked"),
    [
        ('ParseCSV(body, "a", delimiter="ab")', "delimiter is a single character", "ParseCSV"),
        ('ParseCSV(body, "a", delimiter="")', "delimiter is a single character", "ParseCSV"),
        (r'ParseCSV(body, "a", delimiter="\"")', "no quote or line break", "ParseCSV"),
        ('ParseCSV(body, "a", headerDelimiter="ab")', "header_delimiter is a single character", "ParseCSV"),
        ('ParseCSV(body, "a", mode="fake")', "mode is strict, lazyQuotes, ignoreQuotes, not 'fake'", "ParseCSV"),
        ("ParseCSV(body)", "needs header", "ParseCSV"),
        ('ParseKeyValue(body, " ")', "cannot be the delimiter as well", "ParseKeyValue"),
        ("ParseKeyValue(body, body)", "delimiter of ParseKeyValue is a string that is written out", "body)"),
        ("ParseJSON(1)", "expected string, not int", "1"),
        ("ParseJSN(body)", "there is no converter ParseJSN; did you mean ParseJSON", "ParseJSN"),
        ("URL()", "needs uri", "URL"),
    ],
)
def test_what_is_wrong_for_every_item_is_said_at_load(expression: str, reason: str, marked: str) -> None:
    is_refused_at_load(expression, reason, marked)


WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/91.0.4472.124 "
    "Safari/537.36 Edg/91.0.864.59"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 13_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.1.1 "
    "Mobile/15E148 Safari/604.1"
)


@pytest.mark.parametrize(
    ("text", "name", "version", "system", "system_version"),
    [
        ("curl/7.81.0", "curl", "7.81.0", "Other", None),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0", "Firefox", "126.0", "Linux", None),
        (WINDOWS, "Edge", "91.0.864", "Windows", "10"),
        (IPHONE, "Mobile Safari", "13.1.1", "iOS", "13.5.1"),
        ("foobar/1.2.3 (foo; bar baz)", "Other", "", "Other", None),
        ("OpenTelemetry Collector Contrib/0.106.1 (linux/amd64)", "Other", "", "Linux", None),
        ("", "Other", "", "Other", None),
    ],
)
def test_a_user_agent_tells_a_browser_and_a_system(
    text: str, name: str, version: str, system: str, system_version: str | None
) -> None:
    pytest.importorskip("ua_parser_rs", reason="the extra user-agent is not installed")
    expected = {
        "user_agent.original": text,
        "user_agent.name": name,
        "user_agent.version": version,
        "os.name": system,
    }
    assert value_of("UserAgent(body)", text) == expected | ({"os.version": system_version} if system_version else {})


@pytest.mark.parametrize(("value", "kind"), [(None, "nil"), (1, "int")])
def test_only_a_string_is_a_user_agent(value: Any, kind: str) -> None:
    pytest.importorskip("ua_parser_rs", reason="the extra user-agent is not installed")
    is_refused_on_the_item("UserAgent(body)", f"expected string, not {kind}", value)


def test_user_agents_need_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    from airis.ottl.functions.parsing import user_agent

    monkeypatch.setitem(__import__("sys").modules, "ua_parser", None)
    user_agent._parser.cache_clear()
    try:
        is_refused_at_load("UserAgent(body)", "pip install 'airis[user-agent]'", "UserAgent")
    finally:
        user_agent._parser.cache_clear()
