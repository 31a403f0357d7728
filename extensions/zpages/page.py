"""Small HTML pages with one stylesheet: what goes in is text unless it was built here."""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #1d2330; --quiet: #667085; --line: #e3e7ee; --paper: #fff; --back: #f6f7f9;
  --link: #1f5fc4; --good: #17784a; --good-back: #e3f5ec; --bad: #b3261e; --bad-back: #fdeae8; --wait: #8a5a00;
  --wait-back: #fdf1d8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --quiet: #98a2b3; --line: #2d3442; --paper: #181c25;
  --back: #11141b; --link: #7fb0ff; --good: #6fd3a0; --good-back: #12301f; --bad: #ff9d94; --bad-back: #3a1a18;
  --wait: #f0c36a; --wait-back: #352a12; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink); font: 14px/1.5 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; gap: 4px 20px; align-items: baseline; padding: 14px 24px;
  background: var(--paper); border-bottom: 1px solid var(--line); }
header b { font-size: 16px; }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
a[aria-current] { color: var(--ink); font-weight: 600; }
main { max-width: 1200px; margin: 0 auto; padding: 8px 24px 48px; }
h1 { font-size: 20px; margin: 20px 0 4px; }
h2 { font-size: 16px; margin: 28px 0 8px; }
.quiet { color: var(--quiet); }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: 8px 14px; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
tr:last-child > td, tr:last-child > th { border-bottom: 0; }
th { color: var(--quiet); font-weight: 500; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font: 12.5px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
@media (max-width: 700px) { code { overflow-wrap: normal; } }
.status { display: inline-block; padding: 0 8px; border-radius: 10px; white-space: nowrap; color: var(--quiet);
  border: 1px solid var(--line); }
.good { color: var(--good); background: var(--good-back); border-color: transparent; }
.bad { color: var(--bad); background: var(--bad-back); border-color: transparent; }
.wait { color: var(--wait); background: var(--wait-back); border-color: transparent; }
.counts { display: flex; flex-wrap: wrap; gap: 2px 16px; font-variant-numeric: tabular-nums; }
summary { cursor: pointer; color: var(--quiet); }
details table { margin-top: 4px; }
details td { padding: 2px 14px 2px 0; border: 0; }
"""

_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS: Sequence[tuple[bytes, bytes]] = (
    (
        b"content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'".encode(),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
"""No script, no frame and nothing from elsewhere, should text ever be taken for markup."""


class Html(str):
    """Markup. Every other text is escaped where it is put into an element."""

    __slots__ = ()


def element(name: str, *content: str, **attributes: str) -> Html:
    """An element; ``class_`` is the attribute ``class``, ``aria_current`` is ``aria-current``."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(text)}"' for key, text in attributes.items())
    return Html(f"<{name}{written}>{_joined(content)}</{name}>")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Html:
    """A table; a cell that is no markup and reads as a number stands to the right, as does the head above such."""
    cells = list(rows)
    heads = (
        _cell("th", name, bool(below) and all(map(_is_number, below)))
        for name, *below in zip(columns, *cells, strict=True)
    )
    body = [element("tr", *(_cell("td", text, _is_number(text)) for text in row)) for row in cells]
    head = [element("tr", *heads)] if any(columns) else []
    return element("div", element("table", *head, *body), class_="card")


def facts(pairs: Mapping[str, str]) -> Html:
    """Names and values, one pair a row."""
    rows = [element("tr", element("th", name), element("td", value)) for name, value in pairs.items()]
    return element("div", element("table", *rows), class_="card")


def page(name: str, names: Sequence[str], version: str, *content: str) -> bytes:
    """The whole page of this name among the others."""
    links = [
        element("a", other, href=f"/debug/{other}", **({"aria_current": "page"} if other == name else {}))
        for other in names
    ]
    links.append(element("a", "JSON", href=f"/debug/{name}?format=json", class_="quiet"))
    head = element(
        "head",
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", f"{name} airis"),
        Html(f"<style>{STYLE}</style>"),
    )
    header = element("header", element("b", "airis"), element("span", version, class_="quiet"), element("nav", *links))
    body = element("body", header, element("main", element("h1", name), *content))
    return f"<!doctype html>{element('html', head, body, lang='en')}".encode()


def _cell(name: str, text: str, at_right: bool) -> Html:
    return element(name, text, **({"class_": "number"} if at_right and text else {}))


def _is_number(text: str) -> bool:
    """Nothing is none, and does not keep the others of a column from being some."""
    return not isinstance(text, Html) and (not text or text.replace(",", "").replace(".", "", 1).isdecimal())


def _joined(content: Iterable[str]) -> str:
    return "".join(text if isinstance(text, Html) else escape(text) for text in content)
