"""reports/index.html: the documents and their pictures as one page, which needs no network and no other file."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, get_args

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from facedistill.results.statistics import Verdict

PLOTS = "plots"
"""The id of the section of pictures."""

PICTURE = re.compile(r"plots/\w+\.(png|jpg)")
"""The file names of the report's pictures. No other file gets into the page."""
MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg"}

LINKS = {"claims.md": "#claims", "tables.md": "#top"}
"""Links between the documents, and the parts of the page that they lead to."""

VERDICTS = {verdict: verdict.split(" ")[0] for verdict in get_args(Verdict)}
"""The CSS class of a cell, by the verdict in it."""

PRINTED = re.compile(r"(.*\S) \((–|[\d.]+(?: ± [\d.]+)?)\)")
"""A cell with a number of ours and, in brackets, the paper's."""


class Section(NamedTuple):
    """A part of the page.

    name: its id.
    title: its heading, in Markdown.
    body: the rest, in Markdown.
    """

    name: str
    title: str
    body: str


def page(documents: Mapping[str, str], origin: str, root: Path) -> str:
    """The whole of index.html.

    documents: the Markdown of tables.md and claims.md.
    origin: Markdown on where the numbers come from.
    root: the top of the repository. The pictures that tables.md shows are read below its reports/.
    """
    heading, *tables = _sections(documents["tables.md"])
    claims, *parts = _sections(documents["claims.md"])
    # The page has a table 1 of its own, so the headings of the claims move one level down.
    claimed = "\n\n".join([claims.body, *(f"### {part.title}\n\n{part.body}" for part in parts)])
    sections = [*tables, Section("claims", "Claims", claimed), Section("origin", "Where this comes from", origin)]
    markdown = _markdown(root / "reports")
    shown = [
        f'<section id="{section.name}">\n<h2>{markdown.renderInline(section.title)}</h2>\n'
        f"{markdown.render(section.body)}</section>"
        for section in sections
    ]
    # The contents show titles without the unit and the words after it.
    titles = {section.name: section.title.partition(" (%)")[0] for section in sections}
    links = [f'<li><a href="#{name}">{markdown.renderInline(title)}</a></li>' for name, title in titles.items()]
    style, script = (files(__package__).joinpath(f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return PAGE.format(
        title=escape(heading.title),
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        style=style,
        script=script,
        links="\n".join(links),
        heading=markdown.renderInline(heading.title),
        summary=markdown.render(heading.body),
        sections="\n".join(shown),
    )


def without_pictures(lines: Sequence[str]) -> list[str]:
    """The lines of a page without those inside its section of pictures."""
    opening = f'<section id="{PLOTS}">'
    if opening not in lines:
        return list(lines)
    start = lines.index(opening) + 1
    end = lines.index("</section>", start) if "</section>" in lines[start:] else len(lines)
    return [*lines[:start], *lines[end:]]


PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
script-src 'sha256-{script_hash}'">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body id="top">
<nav>
<details open>
<summary>Contents</summary>
<ul>
{links}
</ul>
</details>
</nav>
<main>
<h1>{heading}</h1>
{summary}
{sections}
</main>
<script>{script}</script>
</body>
</html>
"""
"""The Content-Security-Policy lets the page run only its own script and fetch nothing, whatever the documents say."""


def _sections(document: str) -> list[Section]:
    """The parts of a document, split at its headings of level 1 and 2. The first one has the document's title."""
    parts = re.split(r"^#{1,2} (.*)\n", document, flags=re.MULTILINE)[1:]
    titles, bodies = parts[::2], parts[1::2]
    # The id of a table has its number only: table-1.
    names = [re.sub(r"\W+", "-", title.partition(".")[0].lower()) for title in titles]
    return [Section(*section) for section in zip(names, titles, bodies, strict=True)]


def _markdown(folder: Path) -> MarkdownIt:
    """A renderer of Markdown that escapes HTML, so that no name in the data can become an element of the page.

    folder: the folder that the paths of pictures start from.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.core.ruler.before("inline", "captions", _captions)
    markdown.core.ruler.push("cells", _cells)

    def image(self: RendererHTML, tokens: Sequence[Token], i: int, options: Any, env: Any) -> str:
        source, title = str(tokens[i].attrs["src"]), escape(tokens[i].content)
        if not (picture := PICTURE.fullmatch(source)):
            return title
        data = b64encode((folder / source).read_bytes()).decode()
        return f'<img alt="{title}" src="data:{MEDIA_TYPES[picture[1]]};base64,{data}">'

    def link_open(self: RendererHTML, tokens: Sequence[Token], i: int, options: Any, env: Any) -> str:
        target = str(tokens[i].attrs["href"])
        return f'<a href="{escape(LINKS.get(target, target))}">'

    def table_open(self: RendererHTML, *_: Any) -> str:
        return '<div class="wide" tabindex="0"><table>\n'

    def table_close(self: RendererHTML, *_: Any) -> str:
        return "</table></div>\n"

    for rule in (image, link_open, table_open, table_close):
        markdown.add_render_rule(rule.__name__, rule)
    return markdown


def _captions(state: StateCore) -> None:
    """Paragraphs that are <sub>…</sub> as a whole, the small print of the Markdown, get the class `caption`."""
    for opening, token in zip(state.tokens, state.tokens[1:], strict=False):
        if token.type == "inline" and token.content.startswith("<sub>") and token.content.endswith("</sub>"):
            token.content = token.content.removeprefix("<sub>").removesuffix("</sub>")
            opening.attrSet("class", "caption")


def _cells(state: StateCore) -> None:
    """Cells with a verdict or an interval get its CSS class. The paper's numbers get an element of their own."""
    for opening, token in zip(state.tokens, state.tokens[1:], strict=False):
        if opening.type not in ("td_open", "th_open"):
            continue
        if kind := VERDICTS.get(token.content.strip("*").lower()):
            opening.attrSet("class", f"verdict {kind}")
        elif "], " in token.content:
            opening.attrSet("class", "interval")
        elif found := PRINTED.fullmatch(token.content):
            ours, printed = Token("text", "", 0, content=f"{found[1]} "), Token("text", "", 0, content=found[2])
            inside = [Token("printed_open", "span", 1, attrs={"class": "printed", "title": "printed in the paper"})]
            token.children = [ours, *inside, printed, Token("printed_close", "span", -1)]
