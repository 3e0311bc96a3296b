"""On every page, every link has a target and every command exists; and every page is linked."""

from __future__ import annotations

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from dvc.cli import DvcParserError
from dvc.cli.parser import get_main_parser

from facedistill.data.dataset import DatasetParams
from facedistill.data.sources import SourceParams
from facedistill.inference.arguments import parser as facedistill_parser
from facedistill.params import check

ROOT = Path(__file__).parents[2]
PAGES = {
    str(p.relative_to(ROOT)): p.read_text("utf-8")
    for p in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
every_page = pytest.mark.parametrize("page", PAGES)


def anchors(text: str) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", PAGES[page])):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        file = (ROOT / page).parent / name if name else ROOT / page
        assert file.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(file.read_text("utf-8")), f"{page}: {target}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    linked = set(re.findall(r"\]\(((?:docs/)?[\w-]+\.md)", PAGES["README.md"]))
    linked |= {f"docs/{page}" for page in re.findall(r"\]\(((?:api/)?[\w-]+\.md)", PAGES["docs/index.md"])}
    assert linked == PAGES.keys() - {"README.md"}


def commands(page: str) -> list[list[str]]:
    """The words of every command, in blocks and in the text; after `&&` and `;` begins another."""
    text = PAGES[page]
    lines = [line for kind, block in FENCE.findall(text) if kind in ("", "sh") for line in block.splitlines()]
    lines += re.findall(r"`((?:dvc|facedistill|python|git|pip|pytest) [^`…]+)`", FENCE.sub("", text))
    found = []
    for line in lines:
        words = shlex.shlex(line, posix=True, punctuation_chars="&;")
        words.whitespace_split, words.commenters = True, "#"
        command: list[str] = []
        for word in [*words, ";"]:
            if word not in ("&&", ";"):
                command.append(word)
            elif command:
                found.append(command)
                command = []
    return found


@every_page
def test_every_command_is_one_that_there_is(page: str) -> None:
    for command in commands(page):
        match [word for word in command if not re.match(r"[A-Z_]+=", word)]:
            case ["dvc", *arguments]:
                try:
                    get_main_parser().parse_args(arguments)
                except (DvcParserError, SystemExit):
                    pytest.fail(f"{page}: {shlex.join(command)}: DVC knows no such command")
            case ["python", "-m", "facedistill", *arguments] | ["facedistill", *arguments]:
                if arguments and "--help" not in arguments:
                    facedistill_parser().parse_args(arguments)
            case ["python", "-m", module, *_]:
                assert find_spec(module), f"{page}: {shlex.join(command)}"
            case ["pytest", *arguments]:
                files = [ROOT / word for word in arguments if word.endswith(".py")]
                made = {ROOT / name for name in re.findall(r"^`(tests/\S+\.py)`:$", PAGES[page], re.M)}
                assert all(file.exists() or file in made for file in files), f"{page}: {shlex.join(command)}"
            case ["bash", script]:
                assert (ROOT / script).is_file(), f"{page}: {shlex.join(command)}"
            case [name, *_]:
                assert name in ("pip", "git", "cd", ".", "pre-commit"), f"{page}: {shlex.join(command)}"


@every_page
def test_every_file_that_is_named_is_there(page: str) -> None:
    made = set(re.findall(r"^`(\S+)`:$", PAGES[page], re.M))
    for name in re.findall(
        r"`((?:facedistill|stages|tests|params|docs|\.github)/[\w./-]+)`", FENCE.sub("", PAGES[page])
    ):
        assert (ROOT / name).exists() or name in made, f"{page}: {name}"


def test_the_data_sets_that_are_shown_are_let_in() -> None:
    blocks = [block for kind, block in FENCE.findall(PAGES["docs/own-data.md"]) if kind == "yaml"]
    shown = [yaml.safe_load(block.replace("…", "null")) for block in blocks]
    whole = [block for block in shown if "split" in block]
    whole += [dataset for block in shown for dataset in block.get("datasets", {}).values() if dataset]
    sources = [block["source"] for block in shown if block.keys() == {"source"}]
    assert (len(whole), len(sources)) == (5, 2)
    for dataset in whole:
        check(DatasetParams, dataset, "docs/own-data.md")
    for source in sources:
        check(SourceParams, source, "docs/own-data.md")


def test_the_kinds_of_source_that_are_listed_are_those_that_there_are() -> None:
    listed = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`[^|]+) \| ", PAGES["docs/own-data.md"], re.M))))
    kinds = set(re.findall(r"^\| `kind` \| (.+?) \| required", PAGES["docs/parameters.md"], re.M))
    assert listed - {"kind"} == set(re.findall(r"`(\w+)`", " ".join(kinds)))
