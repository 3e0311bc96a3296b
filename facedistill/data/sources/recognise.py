"""Recognises the form of the face data at a path by names and first lines, and gives the `source` blocks to read it."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from facedistill.crops import DataError
from facedistill.data.folder import SUFFIXES, Folder, entries, is_text
from facedistill.data.photograph import Problem
from facedistill.data.problems import SHOWN
from facedistill.data.sources.celeba import FOLDERS, images
from facedistill.data.sources.files import lines
from facedistill.data.sources.msceleb import COLUMNS
from facedistill.data.sources.table import FORMS, NEEDED

Block = dict[str, Any]

LOOKED_AT = 100
"""The most folders, and files in a folder, that are looked at to recognise a folder."""

LISTED = 10_000
"""The most lines of a landmark list that are looked at. If only a part of a set is there, the first may not match."""

LEVELS = 3
"""How many levels below a folder are searched for sets: archives often have a folder in a folder."""

CELEBA = ("Anno", "Img", *FOLDERS.values())
"""The folders of CelebA."""

SIDES = frozenset({"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"})
"""Names of folders that are parts of a set and not people."""

LISTS = re.compile(r"(list_\w+|identity_celeba|(mis)?match\w+|pairs|people\w*|lfw_\w+)\.csv", re.IGNORECASE)
"""Names of Kaggle's lists for CelebA and LFW, which are not tables of photographs."""

EXPECTED = (
    "a folder for each identity, LFW, CelebA (Anno and Img, or Kaggle's copy), RecordIO (train.rec), a .bin "
    f"verification set, the aligned .tsv of MS-Celeb-1M, or a table ({', '.join(FORMS)})"
)


def recognise(path: Path) -> list[Block]:
    """A block, as in params.yaml, for every set at `path`. If a folder is no set itself, sets are searched for in it.

    Raises DataError if nothing is recognised.
    """
    # Path.exists raises an error for a name that is too long.
    if not os.path.exists(path):  # noqa: PTH110
        raise DataError(f"{path}: no such file or folder")
    if blocks := _sets(path, LEVELS):
        if odd := [value for block in blocks for value in block.values() if not is_text(str(value))]:
            raise DataError(f"{str(odd[0])!a}: the name is not UTF-8; rename it")
        return [{k: str(v) if isinstance(v, Path) else v for k, v in block.items()} for block in blocks]
    if _is_list(path):
        raise DataError(f"{path}: this is only a list of LFW or CelebA; give the folder that has its photographs too")
    if _has_photographs(path):
        raise DataError(
            f"{path}: photographs, but not in a folder for each identity; sort them into folders, "
            "or make a table (.csv) with the columns path and identity"
        )
    raise DataError(f"{path}: no face data is recognised here; expected {EXPECTED}{_not_read(path)}")


def _sets(path: Path, levels: int) -> list[Block]:
    """The blocks of `path`, or else of the sets up to `levels` levels below it."""
    try:
        blocks = _set(path)
    except PermissionError:
        blocks = []
    # If CelebA is unpacked into a folder of sets, its parts are beside the other sets.
    if not levels or (blocks and (blocks[0]["kind"] != "celeba" or blocks[0]["root"] != path)):
        return blocks
    others = [entry for entry in _entries(path) if entry.name not in CELEBA]
    inside = {entry: found for entry in others if (found := _sets(entry, levels - 1))}
    folders = [entry for entry in inside if entry.is_dir()]
    if _are_people(folders) and all(block["kind"] == "folder" for entry in folders for block in inside[entry]):
        people: Block = {"kind": "folder", "root": path, "landmarks": _landmarks(path, None)}
        inside = {path: [people]} | {entry: found for entry, found in inside.items() if entry not in folders}
    return [*blocks, *(block for found in inside.values() for block in found)]


def _set(path: Path) -> list[Block]:
    match path.suffix.lower():
        case ".tsv" if path.is_file() and _is_msceleb(_columns(path)):
            return [{"kind": "msceleb", "file": path}]
        case suffix if suffix in FORMS and path.is_file() and not _is_list(path):
            return [{"kind": "table", "file": path, "root": path.parent}]
        case ".bin" if path.is_file():
            return [{"kind": "bin", "file": path}]
        case ".rec" if path.name == "train.rec" and path.is_file():
            return [{"kind": "recordio", "root": path.parent}]
    if (path / "train.rec").is_file():
        sets = [file for file in _entries(path) if file.suffix.lower() == ".bin" and file.is_file()]
        return [{"kind": "recordio", "root": path}, *({"kind": "bin", "file": file} for file in sets)]
    if path.name in CELEBA and path.is_dir():
        return _set(path.parent)
    if found := [variant for variant in FOLDERS if images(path, variant).is_dir()]:
        return [{"kind": "celeba", "root": path, "variant": variant} for variant in found]
    looked_at = list(islice(_entries(path), LOOKED_AT))
    people = [entry for entry in looked_at if _has_photographs(entry)]
    deeper = people and [
        entry for entry in looked_at if entry not in people and any(map(_has_photographs, _entries(entry)))
    ]
    if len(people) <= len(deeper):
        return []
    beside = [file for file in _entries(path) if file.suffix.lower() in (".csv", ".tsv") and file.is_file()]
    tables = [file for file in beside if set(_columns(file)) >= NEEDED]
    return [_people(path, people[0]), *(block for table in tables for block in _set(table))]


def _columns(table: Path) -> list[str]:
    """The names of columns in the first line of a .csv or .tsv file. Empty if the file cannot be read."""
    try:
        with table.open("rb") as data:
            header = data.readline(2**16).decode("utf-8-sig", "replace")
    except OSError:
        return []
    return [name.strip() for name in header.split("\t" if table.suffix.lower() == ".tsv" else ",")]


def _is_list(file: Path) -> bool:
    """Whether `file` is one of LISTS, and not a table of the user with such a name."""
    return bool(LISTS.fullmatch(file.name)) and file.is_file() and not set(_columns(file)) >= NEEDED


def _is_msceleb(columns: list[str]) -> bool:
    """Whether the number of columns is that of MS-Celeb-1M. Its file has no line with their names."""
    return len(columns) == len(COLUMNS) and not set(columns) >= NEEDED


def _are_people(folders: list[Path]) -> bool:
    """Whether these folders, which have folders of photographs, are people with videos, and not sets with people.

    The two look alike. The rule: a set has more people than there are sets, and a person has no more videos than there
    are people.
    """
    inner = sum(entry.is_dir() for folder in folders for entry in _entries(folder))
    return len(folders) > 1 and inner <= len(folders) ** 2 and not {f.name.lower() for f in folders} <= SIDES


def _people(root: Path, first: Path) -> Block:
    """The block of a folder that has a folder for each identity. It is LFW if the names fit and its pairs are found."""
    lfw = any(re.fullmatch(re.escape(first.name) + r"_\d{4}\.jpg", file.name) for file in islice(_entries(first), 9))
    # On Kaggle the folder of people is in a folder of the same name, and the pairs are beside the outer one.
    near = [root.parent, root, *([root.parent.parent] if root.parent.name == root.name else [])]
    lists = (folder / name for folder in near for name in ("pairs.txt", "pairs.csv"))
    pairs = next((file for file in lists if file.is_file()), None)
    block: Block = {"kind": "lfw", "root": root, "pairs": pairs} if lfw and pairs else {"kind": "folder", "root": root}
    return block | {"landmarks": _landmarks(root, pairs)}


def _landmarks(root: Path, pairs: Path | None) -> Path | None:
    """The first list beside a folder of people that has coordinates for a photograph in the folder."""
    files = (file for file in _entries(root.parent) if file.suffix.lower() == ".txt" and file != pairs)
    return next((file for file in files if _names_files_of(root, file)), None)


def _names_files_of(root: Path, file: Path) -> bool:
    folder = Folder(root)
    try:
        for _, line in islice(lines(file), LISTED):
            name, _, rest = line.partition("\t")
            if len(rest.split()) not in (10, 11):
                return False
            with suppress(OSError):
                folder.key(name.strip())
                return True
    except (DataError, OSError):
        return False
    return False


def _not_read(path: Path) -> str:
    """A sentence on the files below a folder that are not read: their endings, and the reason for the first."""
    records = islice(Folder(path).photographs(), LISTED) if path.is_dir() else ()
    problems = [record for record in records if isinstance(record, Problem)]
    counts = Counter(Path(problem.record).suffix.lower() or "no ending" for problem in problems)
    named = ", ".join(f"{ending} ({count})" for ending, count in counts.most_common(SHOWN))
    return f". Not read: {named}; the first is {problems[0].record}: {problems[0].reason}" if problems else ""


def _has_photographs(folder: Path) -> bool:
    return any(entry.suffix.lower() in SUFFIXES for entry in islice(_entries(folder), LOOKED_AT))


def _entries(folder: Path) -> Iterator[Path]:
    """The content of a folder, as `entries`. Nothing if it is not a folder or cannot be read."""
    with suppress(OSError):
        yield from (Path(entry) for entry in entries(folder))
