"""XML is chosen, edited and made maps of as the Collector's documentation and tests have it."""

import pytest

from airis.ottl.functions.parsing.limits import DEEPEST, LONGEST, MOST_NODES
from airis.ottl.functions.parsing.xml.selecting import XPath
from airis.ottl.functions.parsing.xml.tree import parse
from tests.ottl.evaluating import is_refused_at_load, is_refused_on_the_item, value_of

LOG = """<?xml version="1.0" encoding="UTF-8" ?>
<Log>
  <Record>
    <ID>00001</ID>
    <Name type="archive"></Name>
  </Record><Record>
    <ID>00002</ID>
    <Name type="user"></Name>
  </Record>
</Log>"""
LEFT = """<?xml version="1.0" encoding="UTF-8"?>
<Log>
  <Record>
    <ID>00002</ID>
    <Name type="user"></Name>
  </Record>
</Log>"""
ENVIRONMENTS = '<a><x env="prod">1</x><b><x env="dev">2</x></b><d><x env="prod">3</x></d></a>'

ON_DOCUMENTS = ("GetXML", "RemoveXML", "ConvertAttributesToElementsXML", "ConvertTextToElementsXML")
FUNCTIONS = {
    "GetXML": 'GetXML(body, "/a")',
    "RemoveXML": 'RemoveXML(body, "/a")',
    "InsertXML": 'InsertXML(body, "/a", "<b/>")',
    "ConvertAttributesToElementsXML": "ConvertAttributesToElementsXML(body)",
    "ConvertTextToElementsXML": "ConvertTextToElementsXML(body)",
    "ParseXML": "ParseXML(body)",
    "ParseSimplifiedXML": "ParseSimplifiedXML(body)",
}


@pytest.mark.parametrize(
    ("document", "x_path", "expected"),
    [
        ("<a><b/></a>", "/a/b", "<b></b>"),
        ('<a foo="bar"><b>hello</b></a>', "/a", '<a foo="bar"><b>hello</b></a>'),
        ("<a><b>hello</b><b>world</b></a>", "/a/b", "<b>hello</b><b>world</b>"),
        ("<a><b>hello</b><b><c>world</c></b><d/></a>", "/a/*", "<b>hello</b><b><c>world</c></b><d></d>"),
        (ENVIRONMENTS, "/a//x", '<x env="prod">1</x><x env="dev">2</x><x env="prod">3</x>'),
        (ENVIRONMENTS, "/a//x[@env='prod']", '<x env="prod">1</x><x env="prod">3</x>'),
        (ENVIRONMENTS, "//x[. = '3' or text()=2]/..", '<b><x env="dev">2</x></b><d><x env="prod">3</x></d>'),
        ("", "/", ""),
        ('<?xml version="1.0" encoding="UTF-8"?><a></a>', "/*", "<a></a>"),
        ("<!-- comment --><a></a><!-- comment -->", "/*", "<a></a>"),
        ("<!-- comment --><a></a>", "//comment()", ""),
        ('<a foo="bar"></a>', "/a/@foo", "bar"),
        ("<a>hello</a>", "/a/text()", "hello"),
        ("<a><![CDATA[hello]]></a>", "/a/text()", "hello"),
        ("<a><![CDATA[x < y]]></a>", "/a", "<a><![CDATA[x < y]]></a>"),
        ("<a>1</a><a>2</a>", "/a[1]", "<a>1</a>"),
        ("<a>1</a><a>2</a><a>3</a>", "/a[last()]", "<a>3</a>"),
        ("<a>1</a><a>2</a><a>3</a>", "/a[position() > 1]", "<a>2</a><a>3</a>"),
        ("<a>1</a><a>2</a><a>3</a>", "(//a)[2]", "<a>2</a>"),
        ("<a><b>1</b><b>2</b></a><a><b>3</b></a>", "//b[1]", "<b>1</b><b>3</b>"),
        ("<a><b>1</b><c>2</c><b>3</b></a>", "//c/following-sibling::b | //c/preceding-sibling::b", "<b>1</b><b>3</b>"),
        ("<a><b><c/></b><d/></a>", "//c/following::*", "<d></d>"),
        ("<a><b><c/></b><d/></a>", "//d/preceding::*[2]", "<b><c></c></b>"),
        ("<a><b><c/></b></a>", "//c/ancestor::*[1]", "<b><c></c></b>"),
        ("<a><b><c/></b></a>", "//c/ancestor-or-self::node()[not(..)]/a/b/c", "<c></c>"),
        ("<p:a><p:b/><b/></p:a>", "//p:b", "<p:b></p:b>"),
        ("<p:a><p:b/><b/></p:a>", "//p:*/b", "<b></b>"),
        ("<a><b n='2'/><b n='10'/></a>", "//b[@n * 2 + 1 = 21]", '<b n="10"></b>'),
        ("<a><b>x</b><c>y</c></a>", "//*[starts-with(name(), 'b') or contains(., 'z')]", "<b>x</b>"),
        ("<a><b> x  y </b></a>", "//b[normalize-space() = 'x y' and string-length(.) = 6]", "<b> x  y </b>"),
        ("<a><b>abc</b></a>", "//b[substring(., 2, 1) = 'b' and substring-after(., 'b') = 'c']", "<b>abc</b>"),
        ("<a><b>aBc</b></a>", "//b[translate(., 'ABC', 'abc') = 'abc']", "<b>aBc</b>"),
        ("<a><b>1</b><b>2</b></a>", "/a[count(b) = 2 and sum(b) = 3]", "<a><b>1</b><b>2</b></a>"),
        ("<a><b>4</b></a>", "//b[. mod 3 = 1 and floor(. div 3) = 1 and -. = -4]", "<b>4</b>"),
        ("<a>&lt;&amp;\"'</a>", "/a", "<a>&lt;&amp;&#34;&#39;</a>"),
        ('<a b="&lt;\'"/>', "/a", '<a b="&lt;&#39;"></a>'),
        ("<!DOCTYPE a><a/>", "/a", "<a></a>"),
    ],
)
def test_get_xml_gives_what_is_chosen(document: str, x_path: str, expected: str) -> None:
    assert value_of(f'GetXML(body, "{x_path}")', document) == expected


@pytest.mark.parametrize(
    ("document", "x_path", "expected"),
    [
        ("<a><b/></a>", "/a/b", "<a></a>"),
        ("<a><b/><b><c/></b></a>", "/a/b", "<a></a>"),
        ("<a><b/><b/><c><b><d/></b></c></a>", "/a//b", "<a><c></c></a>"),
        ('<a foo="bar"/>', "/a/@foo", "<a></a>"),
        ('<a><b foo="bar"/><b foo="notbar"/></a>', "/a/b[@foo='bar']", '<a><b foo="notbar"></b></a>'),
        ('<a><b foo="bar"/><c foo="bar"/></a>', "//@foo", "<a><b></b><c></c></a>"),
        ('<a><b foo="x" hello="y" keep="z"/></a>', "//@*[local-name() != 'keep']", '<a><b keep="z"></b></a>'),
        ("<a>delete this</a>", "//text()['*delete*']", "<a></a>"),
        ("<a><b><c><!-- delete this --></c><!-- this too--></b></a>", "//comment()", "<a><b><c></c></b></a>"),
        ("<a><b><![CDATA[text <or &characters ]]></b></a>", "//text()['<![CDATA[*']", "<a><b></b></a>"),
        ('<?xml version="1.0"?><a>delete</a>', "//text()", '<?xml version="1.0"?><a></a>'),
        ("<a><b>sensitive</b><c>no</c></a>", "//*[contains(text(), 'sensitive')]", "<a><c>no</c></a>"),
        ("", "/", ""),
        ("<a/>text<?go now?><?go?>", "/a", "text<?go now?><?go?>"),
        ('<!DOCTYPE a PUBLIC "x" "y">\n<a><b/></a>', "//b", '<!DOCTYPE a PUBLIC "x" "y">\n<a></a>'),
    ],
)
def test_remove_xml_takes_away_what_is_chosen(document: str, x_path: str, expected: str) -> None:
    assert value_of(f'RemoveXML(body, "{x_path}")', document) == expected


def test_remove_xml_leaves_all_else_as_it_is() -> None:
    assert value_of(r'RemoveXML(body, "/Log/Record[./Name/@type=\"archive\"]")', LOG) == LEFT


@pytest.mark.parametrize(
    ("document", "x_path", "sub_document", "expected"),
    [
        ("<a></a>", "/a", "<b/>", "<a><b></b></a>"),
        ("<a></a><a></a>", "/a", "<b/><c/>", "<a><b></b><c></c></a><a><b></b><c></c></a>"),
        ("<a></a><z><a></a></z>", "//a", "<b/>", "<a><b></b></a><z><a><b></b></a></z>"),
        ("<a></a>", "/", "<b/><c/>", "<a></a><b></b><c></c>"),
        ("<a></a>", "/a", "<x f='1'><e><![CDATA[two]]></e></x>", '<a><x f="1"><e><![CDATA[two]]></e></x></a>'),
        ("", "/", "<a/>", "<a></a>"),
        ("<a><b>has</b></a><a></a>", "//a[not(b)]", "<b></b>", "<a><b>has</b></a><a><b></b></a>"),
        ("<a/>", "/a", "<?xml version='1.0'?><b/>", "<a><b></b></a>"),
    ],
)
def test_insert_xml_puts_a_document_into_another(document: str, x_path: str, sub_document: str, expected: str) -> None:
    assert value_of(f'InsertXML(body, "{x_path}", attributes["sub"])', document, sub=sub_document) == expected


@pytest.mark.parametrize(("x_path", "name"), [("/a/@foo", "foo"), ("/a/text()", "text")])
def test_insert_xml_puts_nothing_into_what_is_no_element(x_path: str, name: str) -> None:
    is_refused_on_the_item(
        f'InsertXML(body, "{x_path}", "<b/>")', f"{name!a}, which is no element", "<a foo='1'>text</a>"
    )


@pytest.mark.parametrize(
    ("document", "arguments", "expected"),
    [
        ("<a><b/></a>", "", "<a><b></b></a>"),
        ('<?xml version="1.0"?><a><b/></a>', "", '<?xml version="1.0"?><a><b></b></a>'),
        ('<a foo="bar" hello="world"/>', "", "<a><foo>bar</foo><hello>world</hello></a>"),
        ('<a foo="bar">free<b/>2<c/></a>', "", "<a>free<b></b>2<c></c><foo>bar</foo></a>"),
        ('<a foo="bar"><b>baz</b></a>', "", "<a><b>baz</b><foo>bar</foo></a>"),
        ('<a x="1"><b href="w"></b></a>', "", "<a><b><href>w</href></b><x>1</x></a>"),
        ('<a x="1"><b href="w"></b></a>', ', "/a/b/@*"', '<a x="1"><b><href>w</href></b></a>'),
        ('<a x="1"><b href="w"></b></a>', ', xPath="/a/b"', '<a x="1"><b href="w"></b></a>'),
    ],
)
def test_attributes_become_elements(document: str, arguments: str, expected: str) -> None:
    assert value_of(f"ConvertAttributesToElementsXML(body{arguments})", document) == expected


SOME = "<a><b><c/>foo</b><d><c/>bar</d></a>"


@pytest.mark.parametrize(
    ("document", "arguments", "expected"),
    [
        ("<a><b/></a>", "", "<a><b></b></a>"),
        ("<a>hello world</a>", "", "<a>hello world</a>"),
        ("<a><b/>foo</a>", "", "<a><b></b><value>foo</value></a>"),
        ("<a><b>foo</b>bar</a>", "", "<a><b>foo</b><value>bar</value></a>"),
        ("<a><b/>foo</a>", ', elementName="bar"', "<a><b></b><bar>foo</bar></a>"),
        ("<a>foo<b/>bar</a>", "", "<a><value>foo</value><b></b><value>bar</value></a>"),
        ("<a>1<d>not</d>2<e><f/></e></a>", ', "/", "v"', "<a><v>1</v><d>not</d><v>2</v><e><f></f></e></a>"),
        (SOME, ', "/a/b"', "<a><b><c></c><value>foo</value></b><d><c></c>bar</d></a>"),
        (SOME, ', "/a/b/", "V"', "<a><b><c></c><V>foo</V></b><d><c></c>bar</d></a>"),
    ],
)
def test_texts_beside_elements_become_elements(document: str, arguments: str, expected: str) -> None:
    assert value_of(f"ConvertTextToElementsXML(body{arguments})", document) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            "<?xml version='1.0'?>\n<Log>\n <User>\n  <ID>1</ID>\n  <Name type='first'>Joe</Name>\n </User>\n</Log>",
            {
                "tag": "Log",
                "children": [
                    {
                        "tag": "User",
                        "children": [
                            {"tag": "ID", "content": "1"},
                            {"tag": "Name", "content": "Joe", "attributes": {"type": "first"}},
                        ],
                    }
                ],
            },
        ),
        ("<HostInfo hostname='e' zone='z' />", {"tag": "HostInfo", "attributes": {"hostname": "e", "zone": "z"}}),
        ("<a> x <!-- c --> y <![CDATA[ z ]]></a>", {"tag": "a", "content": "xyz"}),
        ("<!-- c --><?p i?><p:a q:b='1'/>", {"tag": "a", "attributes": {"b": "1"}}),
    ],
)
def test_parse_xml_gives_a_map(document: str, expected: object) -> None:
    assert value_of("ParseXML(body)", document) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("<x><y>1</y><z>2</z></x>", {"x": {"y": "1", "z": "2"}}),
        ("<a><b>1</b><b>2</b></a>", {"a": {"b": ["1", "2"]}}),
        ("<a><b>1</b><b><![CDATA[2]]></b></a>", {"a": {"b": ["1", "2"]}}),
        ("<a><b>1</b><c>2</c><c>3</c></a>", {"a": {"b": "1", "c": ["2", "3"]}}),
        ("<a><b>1</b><b/></a>", {"a": {"b": ["1"]}}),
        ("<foo>bar</foo>", {"foo": "bar"}),
        ("<foo>\n bar <!-- extraneous -->\n <hello>world</hello></foo>", {"foo": {"hello": "world"}}),
        ("<a x='1'><b/><c/></a>", {}),
        ("<a>1</a><a><b>2</b></a>", {"a": ["1", {"b": "2"}]}),
        ("", {}),
    ],
)
def test_parse_simplified_xml_gives_a_map(document: str, expected: object) -> None:
    assert value_of("ParseSimplifiedXML(body)", document) == expected


BOMB = '<!DOCTYPE a [<!ENTITY b "&c;&c;"><!ENTITY c "text">]><a>&b;</a>'
FILE = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'
DEEP = "<a>" * (DEEPEST + 1) + "</a>" * (DEEPEST + 1)


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("<a>>>>>>>", "it is no XML"),
        ("<a><b></a></b>", "it is no XML"),
        ("<a", "it is no XML"),
        ("</_><_>", "it is no XML"),
        ("<a>&nbsp;</a>", "it is no XML"),
        ("<a b=c/>", "it is no XML"),
        ("<a>\x00</a>", "it is no XML"),
        ("<a/><!DOCTYPE a>", "it is no XML"),
        (BOMB, "could define entities"),
        (FILE, "could define entities"),
        (DEEP, f"more than {DEEPEST} elements in one another"),
        ("<a>" + "x" * LONGEST + "</a>", f"more than {LONGEST} are not parsed"),
        ("<a/>" * (MOST_NODES + 1), f"more than {MOST_NODES} elements"),
        ("<a b='1' c='2'/>" * (MOST_NODES // 3 + 1), f"more than {MOST_NODES} elements"),
        (None, "expected string, not nil"),
        (1, "expected string, not int"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_xml_or_hostile_is_refused(function: str, document: object, reason: str) -> None:
    is_refused_on_the_item(function, reason, document)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("document", "reason"), [("", "it has no element"), ("<a/>\n", "behind the element"), ("<a/><b/>", "behind")]
)
def test_parse_xml_takes_one_element(document: str, reason: str) -> None:
    is_refused_on_the_item("ParseXML(body)", reason, document)


def test_a_document_cannot_grow_without_end() -> None:
    insert = 'InsertXML(body, "//a", attributes["sub"])'
    is_refused_on_the_item(insert, f"would have more than {MOST_NODES}", "<a/>" * 5000, sub="<a/>" * 5000)
    is_refused_on_the_item(insert, f"would have more than {LONGEST}", "<a/>" * 5000, sub=f"<b>{'x' * 1000}</b>")


def test_an_xpath_cannot_look_at_nodes_without_end() -> None:
    is_refused_on_the_item('GetXML(body, "//a[//a = 1]")', "looks at more than", "<a/>" * 5000)
    is_refused_on_the_item('GetXML(body, "//a[following::a = preceding::a]")', "looks at more than", "<a/>" * 5000)
    long = f"<b>{'x' * 1_000_000}</b>" + "<a/>" * 5000
    is_refused_on_the_item('GetXML(body, "//a[contains(/, 1)]")', "looks at more than", long)
    is_refused_on_the_item('GetXML(body, "//a[/b = /]")', "looks at more than", long)


def test_many_nodes_are_removed_at_once() -> None:
    assert value_of('RemoveXML(body, "//a")', "<b>" + "<a/>" * 40_000 + "</b>") == "<b></b>"
    assert value_of('RemoveXML(body, "//@*")', "<b " + " ".join(f"a{n}=''" for n in range(40_000)) + "/>") == "<b></b>"


def test_nodes_are_chosen_in_the_order_of_the_document() -> None:
    document = parse("<a><b><c/></b><b/><c/></a>")
    assert [node.name for node in XPath("//c | //b | /a").select(document)] == ["a", "b", "c", "b", "c"]


@pytest.mark.parametrize(
    ("x_path", "reason"),
    [
        ("!", "'!' means nothing here, at character 1"),
        ("", "expected the name of an element"),
        ("/a[", "expected the name of an element or an attribute, * or a test such as text(), at character 4"),
        ("/a]", "expected nothing more, not ']', at character 3"),
        ("//", "expected the name"),
        ("/a[@b='c", "means nothing here"),
        ("foo::a", "there is no axis foo"),
        ("/a[foo()]", "there is no function foo, at character 4"),
        ("/a[contains(.)]", "contains takes 2 arguments, not 1"),
        ("/a[count(1)]", "count takes nodes"),
        ("count(//a)", "it gives a value and selects no nodes"),
        ("1", "selects no nodes"),
        ("/a | 1", "only nodes can be put together"),
        ("$a", "'$' means nothing here"),
        ("(" * 400 + "a" + ")" * 400, "expressions in one another"),
    ],
)
@pytest.mark.parametrize("function", ON_DOCUMENTS)
def test_an_xpath_that_cannot_be_used_is_said_at_load(function: str, x_path: str, reason: str) -> None:
    if x_path or function in ("GetXML", "RemoveXML"):
        is_refused_at_load(f'{function}(body, "{x_path}")', reason, function)
