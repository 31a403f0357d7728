"""Functions on XML in strings.

Elements are chosen with XPath 1.0. What is written has its entities escaped anew, and elements without content are
written with an end tag, as the Collector writes them.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from airis.ottl.arguments import StringGetter
from airis.ottl.functions.parsing.limits import MOST_NODES
from airis.ottl.functions.parsing.xml.selecting import XPath
from airis.ottl.functions.parsing.xml.tree import Node, parse, remove, render
from airis.ottl.registry import Converter, Functions
from airis.ottl.values import EvaluationError, Value

XML = Functions()
declare = XML.declare

Map = dict[str, Value]


def _edited(target: StringGetter, change: Callable[[Any, Node], None]) -> Converter:
    def get(here: Any) -> str:
        document = parse(target(here))
        change(here, document)
        return render(document)

    return get


# Choosing and editing


@declare("GetXML")
def get_xml(target: StringGetter, x_path: str) -> Converter:
    """The elements that an XPath selects, or the text of texts and attributes, one after the other."""
    chosen = XPath(x_path)

    def get(here: Any) -> str:
        found = Node("document")
        for node in chosen.select(parse(target(here))):
            if node.kind in ("attribute", "cdata"):
                node = Node("text", data=node.data)
            if node.kind in ("element", "text"):
                found.children.append(node)
        return render(found)

    return get


@declare("RemoveXML")
def remove_xml(target: StringGetter, x_path: str) -> Converter:
    """The document without the elements, attributes, texts and comments that an XPath selects."""
    chosen = XPath(x_path)

    def change(_here: Any, document: Node) -> None:
        kinds = ("element", "attribute", "text", "cdata", "comment")
        remove([node for node in chosen.select(document) if node.kind in kinds])

    return _edited(target, change)


@declare("InsertXML")
def insert_xml(target: StringGetter, x_path: str, sub_document: StringGetter) -> Converter:
    """The document with another in each of the elements that an XPath selects, behind what they have."""
    chosen = XPath(x_path)

    def change(here: Any, document: Node) -> None:
        inserted = [node for node in parse(sub_document(here)).children if node.name != "xml"]
        places = chosen.select(document)
        if len(places) * len(inserted) > MOST_NODES:
            raise EvaluationError(f"the XML document would have more than {MOST_NODES} elements, attributes and texts")
        for node in places:
            if node.kind not in ("element", "document"):
                raise EvaluationError(f"the XPath selects {node.name or node.data!a}, which is no element")
            node.children += inserted  # which are only written after this

    return _edited(target, change)


@declare("ConvertAttributesToElementsXML")
def convert_attributes_to_elements_xml(target: StringGetter, x_path: str | None = None) -> Converter:
    """The document with the attributes that an XPath selects, or all, as elements behind what their elements have."""
    chosen = XPath(x_path or "//@*")

    def change(_here: Any, document: Node) -> None:
        attributes = [node for node in chosen.select(document) if node.kind == "attribute"]
        for attribute in attributes:
            element = Node("element", attribute.local_name)
            element.add(Node("text", data=attribute.data))
            if attribute.parent is not None:
                attribute.parent.add(element)
        remove(attributes)

    return _edited(target, change)


@declare("ConvertTextToElementsXML")
def convert_text_to_elements_xml(
    target: StringGetter, x_path: str | None = None, element_name: str | None = None
) -> Converter:
    """The document with an element around each text that is not alone, in what an XPath selects or everywhere."""
    chosen = XPath(x_path or "/")
    name = element_name or "value"

    def change(_here: Any, document: Node) -> None:
        for node in chosen.select(document):
            _wrap_texts(node, name)

    return _edited(target, change)


def _wrap_texts(top: Node, name: str) -> None:
    waiting = [top]
    while waiting:
        node = waiting.pop()
        elements = [child for child in node.children if child.kind == "element"]
        texts = [child for child in node.children if child.kind == "text"]
        waiting += elements
        if texts and len(elements) + len(texts) > 1:
            for text in texts:
                text.children = [Node("text", data=text.data, parent=text)]
                text.kind, text.name, text.data = "element", name, ""


# Maps of documents


@declare("ParseXML")
def parse_xml(target: StringGetter) -> Converter:
    """A map of an element: its tag, its attributes, its trimmed content, and a list of its children."""

    def get(here: Any) -> Map:
        nodes = parse(target(here)).children
        at = next((index for index, node in enumerate(nodes) if node.kind == "element"), None)
        if at is None:
            raise EvaluationError("it has no element")
        if at + 1 < len(nodes):
            raise EvaluationError("there is something behind the element")
        return _element_map(nodes[at])

    return get


def _element_map(element: Node) -> Map:
    found: Map = {"tag": element.local_name}
    if content := "".join(node.data.strip() for node in element.children if node.is_text):
        found["content"] = content
    if element.attributes:
        found["attributes"] = {attribute.local_name: attribute.data for attribute in element.attributes}
    if children := [_element_map(node) for node in element.children if node.kind == "element"]:
        found["children"] = children
    return found


@declare("ParseSimplifiedXML")
def parse_simplified_xml(target: StringGetter) -> Converter:
    """A map of elements by their tags; attributes, and texts beside elements, are left out."""
    return lambda here: _simplified(parse(target(here)))


def _simplified(parent: Node) -> Map:
    elements = [node for node in parent.children if node.kind == "element"]
    counts = Counter(element.local_name for element in elements)
    found: Map = {}
    for element in elements:
        tag = element.local_name
        value = _leaf(element) or _simplified(element)
        if counts[tag] == 1:
            if value:
                found[tag] = value
        elif element.children:
            siblings = found.setdefault(tag, [])
            if value and isinstance(siblings, list):
                siblings.append(value)
    return found


def _leaf(element: Node) -> str:
    """The first text of an element without elements in it."""
    if any(node.kind == "element" for node in element.children):
        return ""
    return next((node.data for node in element.children if node.is_text), "")
