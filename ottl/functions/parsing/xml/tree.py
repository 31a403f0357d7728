"""XML documents and parts of them as trees, read and written.

expat reads them, with no entities but those of XML itself: a document type with declarations in it is refused, and none
is loaded from anywhere. Several elements and texts may follow one another at the top, as after an edit.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal
from xml.parsers import expat

from airis.ottl.functions.parsing.limits import DEEPEST, LONGEST, MOST_NODES, within_limits
from airis.ottl.values import EvaluationError

Kind = Literal["document", "element", "attribute", "text", "cdata", "comment", "instruction", "doctype"]


@dataclass(slots=True, eq=False)
class Node:
    """A node; an attribute is one as well, and has its element as its parent."""

    kind: Kind
    name: str = ""
    """Of an element or an attribute with its prefix, or the target of an instruction."""
    data: str = ""
    """The text of a text, the value of an attribute."""
    parent: "Node | None" = None
    attributes: "list[Node]" = field(default_factory=list["Node"])
    children: "list[Node]" = field(default_factory=list["Node"])

    @property
    def local_name(self) -> str:
        """Without the prefix."""
        return self.name.rpartition(":")[2]

    @property
    def prefix(self) -> str:
        """Empty where there is none."""
        return self.name.rpartition(":")[0]

    @property
    def is_text(self) -> bool:
        """Whether it is character data of either kind."""
        return self.kind in ("text", "cdata")

    def add(self, child: "Node") -> None:
        """Put a node behind the last one in it."""
        child.parent = self
        self.children.append(child)


def remove(nodes: Collection[Node]) -> None:
    """Take nodes out of their parents."""
    gone = {id(node) for node in nodes}
    for parent in {id(node.parent): node.parent for node in nodes}.values():
        if parent is not None:
            parent.children = [node for node in parent.children if id(node) not in gone]
            parent.attributes = [node for node in parent.attributes if id(node) not in gone]


_DECLARATION = re.compile(r"<\?xml(?=\s)([^?]*(?:\?(?!>)[^?]*)*)\?>")
_PAIR = re.compile(r"""([\w.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_PROLOG = re.compile(r"(?:\s+|<!--.*?-->|<\?.*?\?>)*", re.DOTALL)
_DOCTYPE = re.compile(r"""<!(DOCTYPE\s(?:[^<>"'\[]|"[^"]*"|'[^']*')*)>""")


def parse(text: str) -> Node:
    """The document; raises EvaluationError for what is no XML, or more than the limits allow."""
    within_limits(text, "an XML document")
    builder = _Builder()
    rest = text
    if declaration := _DECLARATION.match(text):
        pairs = [(name, double or single) for name, double, single in _PAIR.findall(declaration[1])]
        builder.document.add(Node("instruction", "xml", " ".join(f'{name}="{value}"' for name, value in pairs)))
        rest = text[declaration.end() :]
    prolog = _PROLOG.match(rest)
    at = prolog.end() if prolog else 0
    if rest.startswith("<!DOCTYPE", at):
        doctype = _DOCTYPE.match(rest, at)
        if doctype is None:
            raise EvaluationError("a document type with declarations in it is not taken: it could define entities")
        builder.feed(rest[:at])
        builder.document.add(Node("doctype", data=doctype[1]))
        rest = rest[doctype.end() :]
    builder.feed(rest)
    return builder.document


class _Builder:
    """Makes a tree of what expat finds."""

    def __init__(self) -> None:
        self.document = Node("document")
        self._here = self.document
        self._depth = 0
        self._count = 0
        self._in_cdata = False
        self._cdata: list[str] = []

    def _add(self, node: Node) -> None:
        self._count += 1 + len(node.attributes)
        if self._count > MOST_NODES:
            raise EvaluationError(f"the XML document has more than {MOST_NODES} elements, attributes and texts")
        self._here.add(node)

    def feed(self, text: str) -> None:
        """Add what is in a text; raises EvaluationError."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.ordered_attributes = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.CommentHandler = lambda data: self._add(Node("comment", data=data))
        parser.ProcessingInstructionHandler = lambda name, data: self._add(Node("instruction", name, data))
        parser.StartCdataSectionHandler = self._start_cdata
        parser.EndCdataSectionHandler = self._end_cdata
        self._here, self._depth = self.document, 0
        try:
            # Inside an element there can be several at the top. A text that ends it early leaves something behind it,
            # which is an error, and so is a document type: there is none but the one that was taken away before.
            parser.Parse(f"<_>{text}</_>", True)
        except expat.ExpatError as error:
            raise EvaluationError(f"it is no XML: {expat.ErrorString(error.code)}, line {error.lineno}") from error

    def _start(self, name: str, attributes: list[str]) -> None:
        self._depth += 1
        if self._depth == 1:
            return  # the element around everything
        if self._depth > DEEPEST + 1:
            raise EvaluationError(f"the XML document has more than {DEEPEST} elements in one another")
        element = Node("element", name)
        pairs = zip(attributes[::2], attributes[1::2], strict=True)
        element.attributes = [Node("attribute", key, value, element) for key, value in pairs]
        self._add(element)
        self._here = element

    def _end(self, _name: str) -> None:
        self._depth -= 1
        if self._here.parent is not None:
            self._here = self._here.parent

    def _characters(self, data: str) -> None:
        if self._in_cdata:
            self._cdata.append(data)
        else:
            self._add(Node("text", data=data))

    def _start_cdata(self) -> None:
        self._in_cdata = True
        self._cdata = []

    def _end_cdata(self) -> None:
        self._in_cdata = False
        self._add(Node("cdata", data="".join(self._cdata)))


_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"})


def render(document: Node) -> str:
    """What is in a document as text; raises EvaluationError for one that became too long."""
    pieces: list[str] = []
    size = 0
    # What is still to be written, the next one last: nodes, and the ends of elements.
    waiting: list[Node | str] = [*reversed(document.children)]
    while waiting:
        node = waiting.pop()
        piece = node if isinstance(node, str) else _written(node)
        size += len(piece)
        if size > LONGEST:
            raise EvaluationError(f"the XML document would have more than {LONGEST} characters")
        pieces.append(piece)
        if isinstance(node, Node) and node.kind == "element":
            waiting.append(f"</{node.name}>")
            waiting += reversed(node.children)
    return "".join(pieces)


def _written(node: Node) -> str:
    match node.kind:
        case "element":
            attributes = "".join(f' {one.name}="{one.data.translate(_ESCAPES)}"' for one in node.attributes)
            return f"<{node.name}{attributes}>"
        case "cdata":
            return f"<![CDATA[{node.data}]]>"
        case "comment":
            return f"<!--{node.data}-->"
        case "instruction":
            return f"<?{node.name} {node.data}?>" if node.data else f"<?{node.name}?>"
        case "doctype":
            return f"<!{node.data}>"
        case _:
            return node.data.translate(_ESCAPES)
