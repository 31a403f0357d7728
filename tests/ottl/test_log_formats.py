"""Lines and messages of well-known formats are told apart, and only where the transform processor has logs."""

from typing import Any

import pytest

from airis.ottl.compiler import Compiler
from airis.ottl.contexts import CONTEXTS
from airis.ottl.functions import FILTER, TRANSFORM
from airis.ottl.functions.parsing import TRANSFORM_ONLY
from airis.ottl.syntax import OttlError
from tests.ottl.evaluating import is_refused_at_load, is_refused_on_the_item, value_of


def prefixed(prefix: str, **fields: Any) -> dict[str, Any]:
    return {f"{prefix}.{name}": value for name, value in fields.items()}


START = "127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "


def clf(request: str, status: int, **others: Any) -> dict[str, Any]:
    found = {"remote_host": "127.0.0.1", "rfc931": "-", "auth_user": "frank", "timestamp": "10/Oct/2000:13:55:36 -0700"}
    names = ("method", "request_uri", "protocol")
    parts = request.split(" ", 2)
    split = dict(zip(names, parts, strict=True)) if len(parts) == 3 else {}
    return prefixed("clf", **found, request=request, **split, status=status, **others)


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ('"GET /apache_pb.gif HTTP/1.0" 200 2326', clf("GET /apache_pb.gif HTTP/1.0", 200, bytes=2326)),
        ('"GET / HTTP/1.1" 304 -   ', clf("GET / HTTP/1.1", 304)),
        ('"GET /s?q=a+b&p=2 HTTP/1.1" 200 4294967296', clf("GET /s?q=a+b&p=2 HTTP/1.1", 200, bytes=4294967296)),
        ('"MALFORMED" 400 0', clf("MALFORMED", 400, bytes=0)),
        ('"" 408 0', clf("", 408, bytes=0)),
        (r'"GET /s?q=\"foo\" HTTP/1.1" 200 42', clf('GET /s?q="foo" HTTP/1.1', 200, bytes=42)),
        (r'"GET /p\\to\x22file\x22 HTTP/1.1" 200 7', clf(r'GET /p\to"file" HTTP/1.1', 200, bytes=7)),
        (r'"GET /a\q/b\xZZ HTTP/1.1" 200 5', clf(r"GET /a\q/b\xZZ HTTP/1.1", 200, bytes=5)),
        (r'"a\tb\nc\rd\be\ff\vg\x2" 200 5', clf("a\tb\nc\rd\be\ff\vg\\x2", 200, bytes=5)),
        (r'"\\\"\x41\xc3\xa9\xff" 200 5', clf('\\"Aé\ufffd', 200, bytes=5)),
    ],
)
def test_a_common_log_line_is_told_apart(rest: str, expected: dict[str, Any]) -> None:
    assert value_of("ParseCLF(body)", START + rest) == expected


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (
            '"GET / HTTP/1.0" 200 1 "http://www.example.com/" "Mozilla/4.08 [en] (Win98; I ;Nav)"',
            {"referer": "http://www.example.com/", "user_agent": "Mozilla/4.08 [en] (Win98; I ;Nav)"},
        ),
        ('"GET / HTTP/1.0" 200 1 "-" ""', {"referer": "-", "user_agent": ""}),
        (r'"GET / HTTP/1.0" 200 1 "a\\b" "M \"c\"\tx"', {"referer": r"a\b", "user_agent": 'M "c"\tx'}),
    ],
)
def test_a_combined_log_line_is_told_apart(rest: str, expected: dict[str, str]) -> None:
    assert value_of('ParseCLF(body, "combined")', START + rest) == clf("GET / HTTP/1.0", 200, bytes=1, **expected)


@pytest.mark.parametrize(
    ("arguments", "line", "reason"),
    [
        ("", "", "cannot parse an empty CLF message"),
        ("", "this is not a CLF message", 'does not match the "clf" format'),
        ("", START.replace("[", "") + '"GET / HTTP/1.1" 200 42', "does not match"),
        ("", START + "GET / HTTP/1.1 200 42", "does not match"),
        ("", START + '"GET / HTTP/1.1" 200', "does not match"),
        ("", START + '"GET / HTTP/1.1" OK 42', "invalid status code 'OK'"),
        ("", START + '"GET / HTTP/1.1" 200 lots', "invalid bytes value 'lots'"),
        ("", START + '"GET / HTTP/1.1" 200 42 "-" "curl"', 'does not match the "clf" format'),
        (', "combined"', START + '"GET / HTTP/1.1" 200 42', 'does not match the "combined" format'),
        ("", None, "expected string, not nil"),
        ("", 1, "expected string, not int"),
    ],
)
def test_what_is_no_line_of_an_access_log_is_refused(arguments: str, line: Any, reason: str) -> None:
    is_refused_on_the_item(f"ParseCLF(body{arguments})", reason, line)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (
            "#Version: 1.0\n#Date: 12-Jan-1996 00:00:00\n#Fields: time cs-method cs-uri\n00:34:23 GET /foo/bar.html\n",
            {
                "version": "1.0",
                "date": "12-Jan-1996 00:00:00",
                "fields": ["time", "cs-method", "cs-uri"],
                "entries": [{"time": "00:34:23", "cs-method": "GET", "cs-uri": "/foo/bar.html"}],
            },
        ),
        (
            "#software: IIS: 6.0\r\n\r\n#VERSION: 1.0\r#Fields: a b c d\nval1\tval2\n",
            {
                "software": "IIS: 6.0",
                "version": "1.0",
                "fields": ["a", "b", "c", "d"],
                "entries": [{"a": "val1", "b": "val2", "c": "-", "d": "-"}],
            },
        ),
        (
            '#Version: 1.0\n#Fields: a cs(User-Agent)\nGET "Mozilla/5.0 (Windows) ""x"""\nPUT "a"b c',
            {
                "version": "1.0",
                "fields": ["a", "cs(User-Agent)"],
                "entries": [
                    {"a": "GET", "cs(User-Agent)": 'Mozilla/5.0 (Windows) "x"'},
                    {"a": "PUT", "cs(User-Agent)": "a"},
                ],
            },
        ),
        (
            "#Version: 1.0\n#Start-Date: s\n#End-Date: e\n#Remark: r\n#Remark\n#Other: x\n#Fields: t m\n1 G\n"
            "#Fields: t\n2",
            {
                "version": "1.0",
                "start_date": "s",
                "end_date": "e",
                "remark": "r",
                "fields": ["t"],
                "entries": [{"t": "1", "m": "G"}, {"t": "2"}],
            },
        ),
        ("#Version: 1.0", {"version": "1.0", "fields": [], "entries": []}),
    ],
)
def test_an_extended_log_is_told_apart(log: str, expected: dict[str, Any]) -> None:
    assert value_of("ParseELF(body)", log) == prefixed("elf", **expected)


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("", "cannot parse an empty ELF message"),
        ("#Fields: time\n00:00:01", "the directive #Version is missing"),
        ("#Version: 1.0\n00:00:01 GET /foo", "data before the directive #Fields"),
        ("#Version: 1.0\n#Fields time\n1", "the directive '#Fields time' has no colon"),
        ('#Version: 1.0\n#Fields: a\n"open', "a value in quotes is not closed"),
        ('#Version: 1.0\n#Fields: a\n"open""x', "a value in quotes is not closed"),
        (None, "expected string, not nil"),
    ],
)
def test_what_is_no_extended_log_is_refused(log: Any, reason: str) -> None:
    is_refused_on_the_item("ParseELF(body)", reason, log)


def cef(extensions: dict[str, str], *header: str) -> dict[str, Any]:
    names = (
        "version",
        "device_vendor",
        "device_product",
        "device_version",
        "device_event_class_id",
        "name",
        "severity",
    )
    return prefixed("cef", **dict(zip(names, header, strict=True)), extensions=extensions)


WORM = ("0", "Security", "threatmanager", "1.0", "100", "worm stopped", "10")
WORM_HEADER = "CEF:0|Security|threatmanager|1.0|100|worm stopped|10"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            WORM_HEADER + "|src=10.0.0.1 dst=2.1.2.2 spt=1232",
            cef({"src": "10.0.0.1", "dst": "2.1.2.2", "spt": "1232"}, *WORM),
        ),
        (WORM_HEADER, cef({}, *WORM)),
        (WORM_HEADER + "|", cef({}, *WORM)),
        (WORM_HEADER + "|no extension", cef({}, *WORM)),
        ("<134>Sep 19 08:26:10 host " + WORM_HEADER + "|a=b", cef({"a": "b"}, *WORM)),
        (WORM_HEADER + "|msg=a text  with spaces  dst=1", cef({"msg": "a text  with spaces", "dst": "1"}, *WORM)),
        (WORM_HEADER + r"|cs1=a \= b dst=1", cef({"cs1": "a = b", "dst": "1"}, *WORM)),
        (
            WORM_HEADER + r"|f=C:\\Win\\x.exe m=one\ntwo\rthree\t",
            cef({"f": r"C:\Win\x.exe", "m": "one\ntwo\rthree\\t"}, *WORM),
        ),
        (
            WORM_HEADER + "|request=http://e?foo=bar&b=q src=1",
            cef({"request": "http://e?foo=bar&b=q", "src": "1"}, *WORM),
        ),
        (WORM_HEADER + "|a|b=c d|e", cef({}, *WORM)),
        (
            r"CEF:1|V\\Co|P\|X|1\0|20|a \\\| b|Low|x=|",
            cef({"x": "|"}, "1", r"V\Co", "P|X", r"1\0", "20", r"a \| b", "Low"),
        ),
    ],
)
def test_a_cef_message_is_told_apart(message: str, expected: dict[str, Any]) -> None:
    assert value_of("ParseCEF(body)", message) == expected


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("", "cannot parse an empty CEF message"),
        ("LEEF:1.0|V|P|1|E|a=b", "'CEF:' is not found"),
        ("CEF:0|V|P|1.0|100|Event", "expected 7 fields with bars between them, got 6"),
        ("CEF:0", "got 1"),
        (r"CEF:0|V|P|1|1|N\|5", "got 6"),
        ("CEF:|V|P|1.0|100|Event|5|", "its version is missing"),
        ("CEF:0|" + "\\" * 50_000, "got 2"),
        (None, "expected string, not nil"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_cef_message_is_refused(message: Any, reason: str) -> None:
    is_refused_on_the_item("ParseCEF(body)", reason, message)


def leef(version: str, attributes: dict[str, str]) -> dict[str, Any]:
    header = {"vendor": "V", "product.name": "P", "product.version": "1.0", "event.id": "E"}
    return prefixed("leef", version=version, **header, attributes=attributes)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "LEEF:1.0|V|P|1.0|E|src=10.50.1.1\tdst=2.10.20.20\tsev=5",
            leef("1.0", {"src": "10.50.1.1", "dst": "2.10.20.20", "sev": "5"}),
        ),
        ("LEEF:1.0|V|P|1.0|E|", leef("1.0", {})),
        ("LEEF:1.0|V|P|1.0|E", leef("1.0", {})),
        (
            "LEEF:2.0|V|P|1.0|E|^|src=10.0.1.8^dst=10.0.0.5^^sev=5^",
            leef("2.0", {"src": "10.0.1.8", "dst": "10.0.0.5", "sev": "5"}),
        ),
        ("LEEF:2.0|V|P|1.0|E|0x09|a=1\tb=2", leef("2.0", {"a": "1", "b": "2"})),
        ("LEEF:2.0|V|P|1.0|E|0X5E|a=1^b=2", leef("2.0", {"a": "1", "b": "2"})),
        ("LEEF:2.0|V|P|1.0|E||a=1\tb=2", leef("2.0", {"a": "1", "b": "2"})),
        ("LEEF:2.0|V|P|1.0|E|a=1|2\tb=2", leef("2.0", {"a": "1|2", "b": "2"})),
        ("LEEF:2.0|V|P|1.0|E|^", leef("2.0", {})),
        ("LEEF:2.0|V|P|1.0|E", leef("2.0", {})),
        (
            "<30>Aug 19 host x[4]: LEEF:1.0|V|P|1.0|E|m=a b \tu=http://e?f=b",
            leef("1.0", {"m": "a b ", "u": "http://e?f=b"}),
        ),
        ("LEEF:1.0|V|P|1.0|E|a=\t=b\tc\ta=2", leef("1.0", {"a": "2"})),
    ],
)
def test_a_leef_message_is_told_apart(message: str, expected: dict[str, Any]) -> None:
    assert value_of("ParseLEEF(body)", message) == expected


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("", "cannot parse an empty LEEF message"),
        ("CEF:0|V|P|1|1|N|5|", "'LEEF:' is not found"),
        ("LEEF:1.0", "its header has no bar"),
        ("LEEF:3.0|V|P|1.0|E|", "unsupported LEEF version '3.0'"),
        ("LEEF:1.0|V|P|1.0", "expected at least 4 fields, got 3"),
        ("LEEF:2.0|V", "expected at least 4 fields, got 1"),
        ("LEEF:2.0|V|P|1.0|E|ab|a=1", "invalid LEEF 2.0 delimiter 'ab'"),
        ("LEEF:2.0|V|P|1.0|E|0x|a=1", "invalid LEEF 2.0 delimiter '0x'"),
        ("LEEF:2.0|V|P|1.0|E|0x0909|a=1", "invalid LEEF 2.0 delimiter '0x0909'"),
        (None, "expected string, not nil"),
    ],
)
def test_what_is_no_leef_message_is_refused(message: Any, reason: str) -> None:
    is_refused_on_the_item("ParseLEEF(body)", reason, message)


def test_a_format_that_there_is_not_is_said_at_load() -> None:
    is_refused_at_load('ParseCLF(body, format="apache")', "format is clf or combined, not 'apache'", "ParseCLF")


@pytest.mark.parametrize("name", ["ParseCLF", "ParseELF", "ParseCEF", "ParseLEEF"])
def test_formats_of_logs_are_for_logs_in_the_transform_processor(name: str) -> None:
    with pytest.raises(OttlError, match=f"{name} works in the context log, not in span"):
        Compiler(CONTEXTS["span"], TRANSFORM).value(f"{name}(name)")
    assert name not in FILTER
    assert name in TRANSFORM_ONLY
