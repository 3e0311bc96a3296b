"""For mkdocs.yml: a page of docs/ may link to any file of the repository, and its links work on GitHub and on the site.

A linked file outside docs/ becomes a part of the site. README.md does not: there, docs/index.md is in its place.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()(?![a-z]+:)([^)\s#]+)")


def on_files(files: Files, config: Any) -> Files:
    left = [f"docs/{file.src_uri}" for file in files.documentation_pages()]
    while left:
        page = left.pop()
        for link in LINK.findall((ROOT / page).read_text("utf-8")):
            target = normpath(join(dirname(page), link))
            uri = _uri(target)
            if (ROOT / target).is_file() and files.get_file_from_path(uri) is None:
                files.append(File.generated(config, uri, abs_src_path=str(ROOT / target)))
                left += [target] if target.endswith(".md") else []
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    uri = page.file.src_uri
    folder = dirname(uri if page.file.generated_by else f"docs/{uri}")

    def link(match: re.Match[str]) -> str:
        target = normpath(join(folder, match[0]))
        return relpath(_uri(target), dirname(uri) or ".") if (ROOT / target).is_file() else match[0]

    return LINK.sub(link, markdown)


def _uri(target: str) -> str:
    return "index.md" if target == "README.md" else target.removeprefix("docs/")
