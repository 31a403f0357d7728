"""Converters of strings and of what encodes them answer as the Collector does."""

import pytest

from airis.ottl.syntax import OttlError
from airis.ottl.values import Value

from .evaluation import COMPILER, fault_of, shown, value_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Base64Encode("test string")', "dGVzdCBzdHJpbmc="),
        ('Base64Encode("Go?/Z~x", "base64-url")', "R28_L1p-eA=="),
        ('Base64Encode("Go?/Z~x", "base64-raw")', "R28/L1p+eA"),
        ('Base64Encode("Go?/Z~x", "base64-raw-url")', "R28_L1p-eA"),
        ('Base64Decode("aGVsbG8gd29ybGQ=")', "hello world"),
        (r'Base64Decode("aGVs\nbG8gd29ybGQ=")', "hello world"),
        ('Base64Decode("/w==")', "�"),
        ('Decode("aGVsbG8gd29ybGQ=", "base64")', "hello world"),
        ('Decode("aGVsbG8gd29ybGR=", "base64")', "hello world"),
        ('Decode("/w==", "base64")', "�"),
        ('Decode(0x8140, "Shift_JIS")', "\u3000"),
        ('Decode(0xc4e3, "gbk")', "你"),
        ('Decode(0xff, "utf-8")', "�"),
        ('Decode(0xff, "us-ascii")', "�"),
        ('Decode(0xe9, "ISO-8859-1")', "é"),
        ('Decode(0x80, "windows-1252")', "€"),
        ('Decode(0x81, "windows-1252")', "�"),
        ('Decode(0x74006500, "utf-16")', "te"),
        ('Decode(0x740065, "utf-16")', "t�"),
        ('Decode(0xfffe7400, "utf-16")', "\ufefft"),
        ('Decode(0x0074, "utf-16be")', "t"),
        ('Decode(0x7400, "utf-16le")', "t"),
        ('Decode(0xff, "utf-8-raw")', "�"),
        ('Decode(0xff, "nop")', "�"),
        ('Decode("a", "")', "a"),
        ('Decode("x", "koi8-r")', "x"),
        ('Decode("x", "cp437")', "x"),
        ('Decode("x", "IBM437")', "x"),
        ('Decode("x", "big5")', "x"),
        ('Decode("x", "latin1")', "x"),
        ('Decode("x", "csISOLatin1")', "x"),
        ('Decode("x", "macintosh")', "x"),
        ('Decode("x", "EUC-JP")', "x"),
        ('Decode("x", "ISO-2022-JP")', "x"),
        ('Decode("x", "gb18030")', "x"),
        ('Decode("x", "EUC-KR")', "x"),
        ('Decode("x", "hz-gb-2312")', "x"),
        ('Decode("x", "iso-8859-8-i")', "x"),
        ('Decode("x", "IBM866")', "x"),
        ('Concat(["a", 1, 1.5, true, nil, 0xff, span_id], " ")', "a 1 1.5 true <nil> ff 0102030405060708"),
        ('Concat([attributes["l"], attributes["m"]], " ")', '[3,1,2] {"k":"v","n":1}'),
        ('Concat([], " ")', ""),
        ('Concat(["a", start_time], " ")', 'a "2022-12-31T23:00:00.123456789Z"'),
        ('Concat(["a"], attributes["s"])', "a"),
        ('ConvertCase("myMetric", "snake")', "my_metric"),
        ('ConvertCase("my_metric", "camel")', "MyMetric"),
        ('ConvertCase("", "camel")', ""),
        ('ToCamelCase("simple-string here.now 3x")', "SimpleStringHereNow3X"),
        ('ToCamelCase(" CPUUtilizationMetric ")', "CpuutilizationMetric"),
        ('ToCamelCase("a1b2")', "A1B2"),
        ('ToCamelCase("äbc_def")', "bcDef"),
        ('ToCamelCase("_x")', "X"),
        ('ToCamelCase("ID")', "Id"),
        ('ToSnakeCase("CPUUtilizationMetric")', "cpu_utilization_metric"),
        ('ToSnakeCase("simple-string here.now 3x")', "simple_string_here_now_3_x"),
        ('ToSnakeCase("a1b2")', "a_1_b_2"),
        ('ToSnakeCase("HTTP2Server")', "http_2_server"),
        ('ToSnakeCase("äBc")', "äbc"),
        ('ToSnakeCase("A")', "a"),
        ('ToLowerCase("ÀBC")', "àbc"),
        ('ToLowerCase("İ")', "i"),
        ('ToLowerCase("ΑΣ")', "ασ"),  # noqa: RUF001
        ('ToUpperCase("straße")', "STRAßE"),
        ('ToUpperCase("ŉ")', "ŉ"),
        ('HasPrefix("ingest_service", "ingest_")', True),
        ('HasPrefix("a", "")', True),
        ('HasSuffix("ingest_service", "_service")', True),
        ('HasSuffix("a", "b")', False),
        ('Split("a,b,c", ",")', ["a", "b", "c"]),
        ('Split("a", ",")', ["a"]),
        ('Split("", ",")', [""]),
        ('Split("aéb", "")', ["a", "é", "b"]),
        ('Split("a", attributes["s"])', ["a"]),
        ('Substring("123456789", 0, 3)', "123"),
        ('Substring("123456789", 3, 6)', "456789"),
        ('Substring("一二三", 0, 4, true)', "一"),
        ('Substring("一二三", 1, 4, true)', ""),
        ('Substring("一二三", 1, 1, true)', ""),
        ('Substring("一二三", 0, 3)', "一"),
        ('Substring("一二三", 0, 4)', "一�"),
        ('Substring("一二三", 1, 3)', "���"),
        ('Substring("é", 0, 2, true)', "é"),
        ('Substring("é", 0, 1, true)', ""),
        ('Trim(" this is a test ", " ")', "this is a test"),
        ('Trim("!!this is a test!!", "!!")', "this is a test"),
        ('Trim("  x ")', "x"),
        ('Trim("abcxcba", "abc")', "x"),
        ('Trim("éxé", "é")', "x"),
        ('Trim("x", "")', "x"),
        (r'Trim("\tx\t")', "\tx\t"),
        ('TrimPrefix("ingest_service", "ingest_")', "service"),
        ('TrimPrefix("a", "b")', "a"),
        ('TrimSuffix("a_service", "_service")', "a"),
        ('TrimSuffix("aa", "a")', "a"),
        ('Split("a,b", ",")[1]', "b"),
    ],
)
def test_gives(text: str, expected: Value) -> None:
    found = value_of(text)

    assert shown(found) == shown(expected)
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('Base64Decode("aGVsbG8gd29ybGQ")', "it is no Base64 with padding"),
        ('Base64Decode(" aGVsbG8gd29ybGQ=")', "it is no Base64 with padding"),
        (r'Decode(" aGVsbG8gd29ybGQ=\n", "base64")', "it is no Base64 with padding"),
        ('Decode(10, "base64")', "Decode cannot take int"),
        ('Decode(nil, "base64")', "Decode cannot take nil"),
        (
            'Decode("x", attributes["s"])',
            "there is no encoding 'text'; it is base64, or a character set such as utf-8 or iso-8859-1",
        ),
        ('HasPrefix(attributes["i"], "a")', "expected string, not int"),
        ('Substring("123456789", 3, 7)', "3 + 7 is more than the 9 bytes of the string"),
        ('Substring("123456789", -1, 3)', "start is at least 0, not -1"),
        ('Substring("123456789", 0, 0)', "length is at least 1, not 0"),
        ('Substring("123456789", 9, 1)', "9 + 1 is more than the 9 bytes of the string"),
        ('Substring("a", 0, 9223372036854775807)', "0 + 9223372036854775807 is more than the 1 bytes of the string"),
        ('Split("a,b", ",")[2]', "index 2 is outside a list of 2"),
        ('Concat(["a"], "")[0]', "nothing can be taken out of string"),
    ],
)
def test_cannot_be_carried_out_on_an_item(text: str, reason: str) -> None:
    assert reason in fault_of(text)


@pytest.mark.parametrize(
    ("text", "reason", "marked"),
    [
        (
            'Base64Encode("x", "nope")',
            "Base64Encode: variant is one of base64, base64-raw, base64-url, base64-raw-url, not 'nope'",
            'Base64Encode("x", "nope")',
        ),
        ("Base64Encode(1)", "target of Base64Encode: expected string, not int", "1"),
        ("Base64Encode(nil)", "target of Base64Encode: expected string, not nil", "nil"),
        (
            'Decode("x", "nope")',
            "Decode: there is no encoding 'nope'; it is base64, or a character set such as utf-8 or iso-8859-1",
            'Decode("x", "nope")',
        ),
        (
            'Decode("x", "GB2312")',
            "Decode: there is no encoding 'GB2312'; it is base64, or a character set such as utf-8 or iso-8859-1",
            'Decode("x", "GB2312")',
        ),
        (
            'Decode("x", "utf-32")',
            "Decode: there is no encoding 'utf-32'; it is base64, or a character set such as utf-8 or iso-8859-1",
            'Decode("x", "utf-32")',
        ),
        (
            'Decode("x", "windows1252")',
            "Decode: there is no encoding 'windows1252'; it is base64, or a character set such as utf-8",
            'Decode("x", "windows1252")',
        ),
        (
            'Decode("x", "utf-7")',
            "Decode: there is no encoding 'utf-7'; it is base64, or a character set such as utf-8 or iso-8859-1",
            'Decode("x", "utf-7")',
        ),
        ('Concat(attributes["ls"], " ")', "vals of Concat is a list, such as [a, b]", 'attributes["ls"]'),
        ('Concat(["a"], nil)', "delimiter of Concat: expected string, not nil", "nil"),
        ('Concat("x", "y")', "vals of Concat is a list, such as [a, b]", '"x"'),
        ('ConvertCase(nil, "camel")', "target of ConvertCase: expected string, not nil", "nil"),
        ('ConvertCase(1, "camel")', "target of ConvertCase: expected string, not int", "1"),
        (
            'ConvertCase("x", "unset")',
            "ConvertCase: to_case is one of lower, upper, snake, camel, not 'unset'",
            'ConvertCase("x", "unset")',
        ),
        ("ToSnakeCase(nil)", "target of ToSnakeCase: expected string, not nil", "nil"),
        ("ToUpperCase(1)", "target of ToUpperCase: expected string, not int", "1"),
        ('HasPrefix(nil, "a")', "target of HasPrefix: expected string, not nil", "nil"),
        ('HasPrefix("a", nil)', "prefix of HasPrefix: expected string, not nil", "nil"),
        ('Split(nil, ",")', "target of Split: expected string, not nil", "nil"),
        ('Split("a,b", nil)', "delimiter of Split: expected string, not nil", "nil"),
        ('Split(1, ",")', "target of Split: expected string, not int", "1"),
        ("Substring(nil, 0, 1)", "target of Substring: expected string, not nil", "nil"),
        ('Substring("a", 0, nil)', "length of Substring: expected int, not nil", "nil"),
        ("Trim(nil)", "target of Trim: expected string, not nil", "nil"),
        ("Trim(1)", "target of Trim: expected string, not int", "1"),
        ('TrimPrefix(nil, "b")', "target of TrimPrefix: expected string, not nil", "nil"),
        ('TrimSuffix(1, "a")', "target of TrimSuffix: expected string, not int", "1"),
    ],
)
def test_is_refused_when_it_is_loaded(text: str, reason: str, marked: str) -> None:
    with pytest.raises(OttlError) as error:
        COMPILER.value(text)

    assert reason in error.value.reason
    assert text[error.value.at : error.value.end] == marked
