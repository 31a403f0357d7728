"""Format answers as Go's Sprintf does."""

import pytest

from airis.ottl.syntax import OttlError
from airis.ottl.values import Value

from .evaluation import COMPILER, shown, value_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Format("%02d", [5])', "05"),
        ('Format("%v %v %v %v %v", [nil, true, 1, 1.5, "a"])', "<nil> true 1 1.5 a"),
        ('Format("%s %d %t %q %x", [1, "a", 1, 65, "hi"])', "%!s(int64=1) %!d(string=a) %!t(int64=1) 'A' 6869"),
        ('Format("%d", [])', "%!d(MISSING)"),
        ('Format("%d %d", [1])', "1 %!d(MISSING)"),
        ('Format("x", [1, "a"])', "x%!(EXTRA int64=1, string=a)"),
        ('Format("%!", [])', "%!!(MISSING)"),
        ('Format("%z", [1])', "%!z(int64=1)"),
        ('Format("100%", [])', "100%!(NOVERB)"),
        ('Format("%%", [])', "%"),
        ('Format("%[2]d %[1]d", [1, 2])', "2 1"),
        ('Format("%[3]d", [1])', "%!d(BADINDEX)"),
        ('Format("%[x]d", [1])', "%!d(BADINDEX)"),
        ('Format("%[1", [1])', "%!(NOVERB)"),
        ('Format("%*d", [5, 1])', "    1"),
        ('Format("%-*d|", [5, 1])', "1    |"),
        ('Format("%.*f", [2, 1.5])', "1.50"),
        ('Format("%*d", ["a", 1])', "%!(BADWIDTH)1"),
        ('Format("%.3s|%10s|%-10s|", ["abcdef", "b", "c"])', "abc|         b|c         |"),
        ('Format("%+d % d %+v", [1, 1, 1])', "+1  1 1"),
        (
            'Format("%x %X %#x %o %#o %O %b %c %U %#U", [255, 255, 255, 8, 8, 8, 5, 65, 65, 65])',
            "ff FF 0xff 10 010 0o10 101 A U+0041 U+0041 'A'",
        ),
        (
            'Format("%e %E %f %F %g %G", [1.5, 1.5, 1.5, 1.5, 100000000000000000000000.5, 0.00000001])',
            "1.500000e+00 1.500000E+00 1.500000 1.500000 1.0000000000000001e+23 1E-08",
        ),
        ('Format("%6.2f|%-8.3f|%08.3f|%+.1f", [1.5, 1.5, -1.5, 1.5])', "  1.50|1.500   |-001.500|+1.5"),
        ('Format("%v %v %v", [1.0, 100000000000000000000.0, 1000000000000000000000.0])', "1 1e+20 1e+21"),
        ('Format("%v", [0.00001])', "1e-05"),
        ('Format("%v", [123456789.0])', "1.23456789e+08"),
        ('Format("%s", [1.5])', "%!s(float64=1.5)"),
        ('Format("%d", [1.5])', "%!d(float64=1.5)"),
        ('Format("%f", [1])', "%!f(int64=1)"),
        ('Format("%t", [true])', "true"),
        ('Format("%v %s", [[1, "a", nil], [1, "a"]])', "[1 a <nil>] [%!s(int64=1) a]"),
        ('Format("%v", [attributes["l"]])', "[3 1 2]"),
        ('Format("%s", [attributes["m"]])', "map[k:v n:%!s(int64=1)]"),
        ('Format("%v", [{"b": 1, "a": [1]}])', "map[a:[1] b:1]"),
        ('Format("%d", [[1, 2]])', "[1 2]"),
        ('Format("%v", [0xff01])', "[255 1]"),
        ('Format("%s", [0x6162])', "ab"),
        ('Format("%x %X % x %#x", [0xff01, 0xff01, 0xff01, 0xff01])', "ff01 FF01 ff 01 0xff01"),
        ('Format("%d", [0xff01])', "[255 1]"),
        (r'Format("%q %+q %#q", ["a\"é", "é", "a`b"])', '"a\\"é" "\\u00e9" "a`b"'),
        (r'Format("%q", ["a\n\u0000\U0001F600"])', '"a\\n\\x00😀"'),
        ('Format("%v", [trace_id])', "0102030405060708090a0b0c0d0e0f10"),
        ('Format("%s", [span_id])', "0102030405060708"),
        ('Format("%x", [span_id])', "30313032303330343035303630373038"),
        ('Format("%v", [start_time])', "2022-12-31 23:00:00.123456789 +0000 UTC"),
        ('Format("%s", [start_time])', "2022-12-31 23:00:00.123456789 +0000 UTC"),
        ('Format("%d", [start_time])', "%!d(time.Time=2022-12-31 23:00:00.123456789 +0000 UTC)"),
        ('Format("%v %s %d", [Duration("1h"), Duration("1.5s"), Duration("1ms")])', "1h0m0s 1.5s 1000000"),
        ('Format("%s", [nil])', "%!s(<nil>)"),
        ('Format("%d", [nil])', "%!d(<nil>)"),
        (
            'Format("%T %T %T %T %T %T", [1, "a", 1.5, true, nil, attributes["l"]])',
            "int64 string float64 bool <nil> pcommon.Slice",
        ),
        ('Format("%p", [1])', "%!p(int64=1)"),
        ('Format("%5t|%-7t|", [true, false])', " true|false  |"),
        ('Format("%05s", ["a"])', "0000a"),
        ('Format("%-05d|", [3])', "3    |"),
        ('Format("%+q", [65])', "'A'"),
        ('Format("%c", [-1])', "�"),
        ('Format("%x", [1.5])', "0x1.8p+00"),
        ('Format("%X", ["hello"])', "68656C6C6F"),
        ('Format("% x", ["hello"])', "68 65 6c 6c 6f"),
        ('Format("%#v %#v %#v %#v", ["a", 1, 1.0, true])', '"a" 1 1 true'),
        ('Format("%5.3d|", [7])', "  007|"),
        ('Format("%.0d|", [0])', "|"),
        ('Format("%10.3v|", ["abcdef"])', "       abc|"),
        ('Format("%q", [true])', "%!q(bool=true)"),
        ('Format("%s", [true])', "%!s(bool=true)"),
        ('Format("%é", [1])', "%!é(int64=1)"),
        ('Format("%-", [1])', "%!(NOVERB)%!(EXTRA int64=1)"),
        ('Format("%.", [1])', "%!.(int64=1)"),
        ('Format("%.-1d", [1])', "%!-(int64=1)1d"),
        ('Format("%[1]d %d %d", [1, 2, 3])', "1 2 3"),
        ('Format("%d %[1]s", [1])', "1 %!s(int64=1)"),
        ('Format("%w", ["a"])', "%!w(string=a)"),
        ('Format("%999999999d", [1])', "%!(NOVERB)%!(EXTRA int64=1)"),
        ('Format("%s", ["é"])', "é"),
        ('Format("%5s|%.1s", ["é", "éa"])', "    é|é"),
        ('Format("%x", [-255])', "-ff"),
        ('Format("%b", [1.5])', "6755399441055744p-52"),
        ('Format("%08b", [-5])', "-0000101"),
        ('Format("%+08d|%x|%+x", [5, "é", 1])', "+0000005|c3a9|+1"),
        ('Format("%t", ["a"])', "%!t(string=a)"),
        ('Format("%v", [attributes["things"]])', "[map[name:foo value:2] map[name:bar value:5]]"),
        ('Format("%6.3v|%-6v|%06v", [1.23456, 1.5, 1.5])', "  1.23|1.5   |0001.5"),
        ('Format("%g", [1000000.0])', "1e+06"),
        ('Format("%g", [100000000.0])', "1e+08"),
        ('Format("%.3g %.10g %#g %#.3x", [1234.5678, 0.1, 1.0, 1.0])', "1.23e+03 0.1 1.00000 0x1.000p+00"),
        ('Format("%U", ["a"])', "%!U(string=a)"),
        ('Format("%c%c", [0x41, 128512])', "[A]😀"),
    ],
)
def test_gives(text: str, expected: Value) -> None:
    found = value_of(text)

    assert shown(found) == shown(expected)
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "reason", "marked"),
    [
        ("Format(nil, [1])", "format of Format is a string that is written out", "nil"),
        ('Format(attributes["s"], [1])', "format of Format is a string that is written out", 'attributes["s"]'),
        ('Format("%s", attributes["l"])', "vals of Format is a list, such as [a, b]", 'attributes["l"]'),
    ],
)
def test_is_refused_when_it_is_loaded(text: str, reason: str, marked: str) -> None:
    with pytest.raises(OttlError) as error:
        COMPILER.value(text)

    assert reason in error.value.reason
    assert text[error.value.at : error.value.end] == marked
