"""The report as one page: how its Markdown is converted, and how it behaves in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser, browser
from PIL import Image
from report_mock import SMALL, mock, mock_plots, results

from facedistill.grid.layout import Layout
from facedistill.params import PARAMS_FILE
from facedistill.report.document import documents
from facedistill.report.page import page
from facedistill.report.reproducibility import write_trained
from facedistill.results.provenance import write_datasets
from facedistill.results.reading import Reading
from facedistill.results.verdicts import CLAIMS, findings, save

needs_browser = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here; Debian: apt-get install chromium")

TABLES = """\
# A title & more

All of it: [claims.md](claims.md).

## Table 1. Of things: numbers (%)

| Name | Value | p |
| --- | ---: | ---: |
| *a* | 9.50 (75.06) | < 0.001 |
| b | 10.25 ± 3.00 (–) | 0.001 |
| | −2.00 | – |
| c |  | 0.250 |
| d | 1,234.00 | 0.030 |
| e | +3.10 [+2.00, +4.00], 10 folds | 1.000 |

<sub>Data: some photographs.</sub>

## Plots

![A picture](plots/a.png)
"""
CLAIMED = """\
# Claims: A title & more

## Table 1

| Claim | Verdict |
| --- | ---: |
| One | **holds** |
| Two | **fails** |
| Three | cannot be told |
| Four | **level** |
"""
COLUMN = "[...document.querySelectorAll('main table')[{}].tBodies[0].rows].map(row => row.cells[{}].textContent)"
CLICK = "document.querySelectorAll('main table')[{}].tHead.rows[0].cells[{}].querySelector('button').click()"
CONTRAST = """
(() => {
  const light = (colour) => colour.match(/[0-9.]+/g).slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  return [...document.querySelectorAll("p, td, .printed, .verdict, a, .caption")].map((element) => {
    let ground = element;
    while (getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
    const [a, b] = [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor].map(light);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }).reduce((least, ratio) => Math.min(least, ratio));
})()
"""
"""The least contrast of text with what lies under it, by WCAG 2."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of TABLES and CLAIMED."""
    root = tmp_path_factory.mktemp("page")
    picture = root / "reports/plots/a.png"
    picture.parent.mkdir(parents=True)
    Image.new("RGB", (900, 400), "#0072B2").save(picture)
    file = root / "reports/index.html"
    file.write_text(page({"tables.md": TABLES, "claims.md": CLAIMED}, "Made by hand.", root), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a whole report, but for its pictures."""
    root = mock(tmp_path_factory.mktemp("whole") / "small", SMALL)
    mock_plots(root, SMALL)
    layout = Layout.read(root / PARAMS_FILE)
    write_datasets(layout, root)
    write_trained(layout, root)
    save(findings(results(root), "casia", root), root / CLAIMS)
    file = root / "reports/index.html"
    file.write_text(documents(Reading(root), pictures=())["index.html"], encoding="utf-8")
    return file


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Browser]:
    with browser(tmp_path / "profile") as opened:
        opened.size(1280, 900)
        yield opened


class TestMarkup:
    def test_every_part_becomes_what_it_is(self, small: Path) -> None:
        text = small.read_text(encoding="utf-8")
        assert "<title>A title &amp; more</title>" in text
        assert re.findall(r'<section id="(.*?)">', text) == ["table-1", "plots", "claims", "origin"]
        assert '<a href="#claims">claims.md</a>' in text
        assert '9.50 <span class="printed" title="printed in the paper">75.06</span></td>' in text
        assert '10.25 ± 3.00 <span class="printed" title="printed in the paper">–</span></td>' in text
        assert '<p class="caption">Data: some photographs.</p>' in text
        assert '<img alt="A picture" src="data:image/png;base64,iVBOR' in text
        for word, kind in (
            ("<strong>holds</strong>", "holds"),
            ("cannot be told", "cannot"),
            ("<strong>level</strong>", "level"),
        ):
            assert f'class="verdict {kind}">{word}</td>' in text

    def test_nothing_in_it_points_elsewhere(self, whole: Path) -> None:
        text = whole.read_text(encoding="utf-8")
        assert set(re.findall(r'(?:src|href)="([^#d][^"]*|d(?!ata:)[^"]*)"', text)) == set()
        assert "url(" not in text
        assert "@import" not in text

    def test_what_data_say_is_text_and_no_file_but_pictures_gets_in(self, tmp_path: Path) -> None:
        (tmp_path / "secret.png").write_bytes(b"secret")
        evil = "<script>alert(1)</script> [a](javascript:alert(1)) ![b](../secret.png) ![c](https://example.org/c.png)"
        tables = TABLES.replace("| *a* |", f"| {evil} |").replace("![A picture](plots/a.png)", "")
        text = page({"tables.md": tables, "claims.md": CLAIMED}, evil, tmp_path)
        assert text.count("<script>") == 1
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
        assert "<img" not in text
        assert 'href="javascript' not in text
        assert "example.org" not in text

    def test_origin_tells_models_data_and_parameters(self, whole: Path) -> None:
        text = whole.read_text(encoding="utf-8").partition('<section id="origin">')[2]
        assert "models, by the git revision that trained them: <code>0123456789ab</code>" in text
        assert "<code>models/resnet50-8/arcface/proxyless</code>" in text
        assert "synthetic faces, 6 people, 48 training and 48 test photographs, crops of 24 px</td>" in text
        assert "alpha: 0.5\nbeta: 2\n" in text


@needs_browser
class TestBrowser:
    def test_a_whole_report_opens_alone_and_without_a_word_in_the_console(self, whole: Path, chromium: Browser) -> None:
        chromium.open(whole)
        assert chromium.requests() == [whole.as_uri()]
        assert chromium.problems() == []
        assert chromium.run("document.querySelectorAll('th button').length") > 50

    def test_what_would_ask_the_network_or_run_a_script_is_stopped_and_seen(
        self, small: Path, tmp_path: Path, chromium: Browser
    ) -> None:
        """Else the test above could not fail."""
        edited = tmp_path / "edited.html"
        added = '<script>document.title = "run"</script><img src="https://example.org/a.png">'
        edited.write_text(small.read_text(encoding="utf-8").replace("</main>", f"{added}</main>"), encoding="utf-8")
        chromium.open(edited)
        assert chromium.run("document.title") == "A title & more"
        assert len([problem for problem in chromium.problems() if "Content Security Policy" in problem]) == 2

    def test_a_click_sorts_by_the_number_that_a_cell_begins_with(self, small: Path, chromium: Browser) -> None:
        chromium.open(small)
        before = chromium.run(COLUMN.format(0, 0))
        assert before == ["a", "b", "", "c", "d", "e"]
        orders = []
        for _ in range(3):
            chromium.run(CLICK.format(0, 1))
            orders.append(chromium.run(COLUMN.format(0, 0)))
        # The row under b is b's; c has no value, and stays last.
        assert orders == [["d", "b", "a", "e", "b", "c"], ["b", "e", "a", "b", "d", "c"], before]
        chromium.run(CLICK.format(0, 2))
        assert chromium.run(COLUMN.format(0, 2)) == ["1.000", "0.250", "0.030", "0.001", "< 0.001", "–"]
        chromium.run(CLICK.format(0, 0))
        assert chromium.run(COLUMN.format(0, 0)) == ["a", "b", "b", "c", "d", "e"]
        heading = "[...document.querySelectorAll('th')].map(th => th.getAttribute('aria-sort'))"
        assert chromium.run(heading)[:3] == ["ascending", None, None]

    def test_a_report_sorts_its_ranking(self, whole: Path, chromium: Browser) -> None:
        chromium.open(whole)
        ranking = "document.querySelector('#all-recipes-ranked table')"
        i = chromium.run(f"[...document.querySelectorAll('main table')].indexOf({ranking})")
        column = chromium.run(f"[...{ranking}.tHead.rows[0].cells].map(cell => cell.textContent)").index("Drawn pairs")
        chromium.run(CLICK.format(i, column))
        found = [float(text) for text in chromium.run(COLUMN.format(i, column))]
        assert found == sorted(found, reverse=True)
        assert len(set(found)) > 5

    def test_a_phone_scrolls_wide_tables_in_their_own_box(self, whole: Path, chromium: Browser) -> None:
        chromium.size(390, 844, phone=True)
        chromium.open(whole)
        assert chromium.run("document.documentElement.scrollWidth") <= 390
        assert chromium.run("[...document.querySelectorAll('.wide')].some(box => box.scrollWidth > box.clientWidth)")
        assert not chromium.run("document.querySelector('nav details').open")

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_all_text_can_be_read_in_either_scheme(self, small: Path, chromium: Browser, scheme: str) -> None:
        chromium.prefer(scheme)
        chromium.open(small)
        assert chromium.run(CONTRAST) >= 4.5
        ground = chromium.run("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (scheme == "light")

    def test_verdicts_differ_by_a_sign_and_not_by_colour_alone(self, small: Path, chromium: Browser) -> None:
        chromium.open(small)
        signs = "[...document.querySelectorAll('.verdict')].map(cell => getComputedStyle(cell, '::before').content)"
        assert chromium.run(signs) == ['"✓ "', '"✗ "', '"? "', '"= "']

    def test_it_prints_without_its_contents_and_draws_its_picture(
        self, small: Path, tmp_path: Path, chromium: Browser
    ) -> None:
        chromium.open(small)
        chromium.screenshot(tmp_path / "page.png", whole=True)
        colours = Image.open(tmp_path / "page.png").convert("RGB").getcolors(1 << 20) or ()
        assert max(n for n, colour in colours if colour == (0x00, 0x72, 0xB2)) > 100_000
        assert chromium.pdf().startswith(b"%PDF-")
        chromium.send("Emulation.setEmulatedMedia", media="print")
        assert chromium.run("getComputedStyle(document.querySelector('nav')).display") == "none"
