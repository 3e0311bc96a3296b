"""The pages as a site: it builds without a warning, its links lead somewhere, and it asks no other host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from browser import CHROMIUM, browser

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?([^\"'\s>]+)|<link\b([^>]+)>")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


def test_every_page_is_in_the_navigation(site: Path) -> None:
    menu = (site / "index.html").read_text("utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        address = page.relative_to(ROOT / "docs").with_suffix(".html")
        assert f'href="{address}" class="md-nav__link' in menu, address


def test_an_argument_is_an_item_of_a_list(site: Path) -> None:
    assert "<li><code>embeddings</code>: " in (site / "api/evaluation.html").read_text("utf-8")


def test_a_link_out_of_the_docs_is_one_within_the_site(site: Path) -> None:
    text = (site / "results.html").read_text("utf-8")
    assert 'href="benchmarks/index.html"' in text
    assert (site / "benchmarks/index.html").is_file()
    assert (site / "reports/synthetic-claims/plots/accuracy.png").is_file()


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    for file in site.rglob("*.html"):
        for source, link in LOADED.findall(file.read_text("utf-8")):
            assert not re.search(r"(?:https?:)?//", source or link), f"{file}: {source or link}"
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//|@import", style.read_text("utf-8")), style


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium here; Debian: apt-get install chromium")
def test_a_browser_asks_no_other_host(site: Path, tmp_path: Path) -> None:
    with browser(tmp_path / "profile") as opened:
        for page in ("index.html", "results.html", "api/losses.html", "reports/tables.html"):
            opened.events.clear()
            opened.open(site / page)
            requests = opened.requests()
            assert (site / page).as_uri() in requests
            assert len(requests) > 4
            assert [url for url in requests if not url.startswith(site.as_uri())] == []
