"""Whatever is in a text, a function that takes it apart gives a value that can be kept, or an EvaluationError."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airis.ottl.values import EvaluationError
from tests.ottl.evaluating import value_of
from tests.ottl.test_hashing import DIGESTS

PARSERS = (
    "ParseXML(body)",
    "ParseSimplifiedXML(body)",
    'GetXML(body, "//a[. = 1 or @*]")',
    'RemoveXML(body, "//text() | //@* | //comment()")',
    'InsertXML(body, "//*", body)',
    "ConvertAttributesToElementsXML(body)",
    "ConvertTextToElementsXML(body)",
    "ParseJSON(body)",
    'ParseCSV(body, "a,b")',
    'ParseCSV(body, "a,b", mode="lazyQuotes")',
    'ParseCSV(body, "a,b", mode="ignoreQuotes")',
    'ParseCSV("1,2", body)',
    "ParseKeyValue(body)",
    "URL(body)",
    "ParseCLF(body)",
    'ParseCLF(body, "combined")',
    "ParseELF(body)",
    "ParseCEF(body)",
    "ParseLEEF(body)",
    r'ExtractPatterns(body, "(?P<a>\\w+)\\W*(?P<b>.*)")',
    'ExtractPatterns("text", body)',
    'ExtractGrokPatterns(body, "%{URI:u} %{IP:ip} %{GREEDYDATA:rest}")',
    'ExtractGrokPatterns("text", body)',
    'ParseSeverity(body, {"info": [{"equals": ["a"]}]})',
    'IsInCIDR(body, ["10.0.0.0/8"])',
    'IsInCIDR("10.1.2.3", [body])',
    "IsValidLuhn(body)",
    'CommunityID(body, 1, "1.2.3.4", 2)',
    *(f"{name}(body)" for name in DIGESTS),
)

PIECES = st.sampled_from(
    [
        *"<>/&;\"'=|\\:#[]{}(),.%?@^ \t\n\r-+*0aé\x00\ufffd",
        "<a>",
        "</a>",
        "<a b='1'>",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<?xml ",
        "?>",
        "<!DOCTYPE a",
        "&lt;",
        '{"a":',
        "null",
        "1e999",
        "CEF:0|",
        "CEF:0|V|P|1|2|N|5",
        "LEEF:2.0|",
        "LEEF:1.0|V|P|1|E|",
        "#Version: 1.0\n",
        "#Fields: a b\n",
        "http://",
        "://[",
        "%zz",
        "%{WORD:a:int}",
        "(?P<a>",
        "127.0.0.1 - - [d] ",
        '"GET / HTTP/1.1" 200 -',
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=20).map("".join))


@pytest.mark.parametrize("expression", PARSERS)
@settings(deadline=None)
@given(text=TEXTS)
@example(text="<a>" * 5000)
@example(text="[" * 5000)
@example(text='"' * 5000)
@example(text="\\" * 5000)
@example(text="<a " + "b='1' " * 500)
@example(text="CEF:0|" + "\\|" * 5000)
@example(text="\U0010ffff\ud7ff")
def test_no_text_raises_anything_but_an_evaluation_error(expression: str, text: str) -> None:
    try:
        found = value_of(expression, text)
    except EvaluationError:
        return
    # What was found can be put into telemetry, and taken apart again.
    value_of("body", found)
