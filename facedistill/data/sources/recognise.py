"""Which form of face data lies at a path, by names and first lines alone: the `source` blocks that would read it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from facedistill.data.problems import DataError
from facedistill.data.sources.files import SUFFIXES, Folder, lines

Block = dict[str, Any]

LOOKED_AT = 100
"""Folders, and files of one, that are looked at before a folder is taken for something else."""

EXPECTED = (
    "a folder for each identity, LFW, CelebA (Anno and Img), RecordIO (train.rec), a .bin verification set, the "
    "aligned .tsv of MS-Celeb-1M, or a .csv or .parquet table"
)


def recognise(path: Path) -> list[Block]:
    """The blocks for everything at `path`, as in params.yaml, and where a folder is no set itself, for what lies in it.

    Raises DataError where nothing is recognised.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if blocks := _set(path) or [block for entry in _entries(path) for block in _set(entry)]:
        return [{k: str(v) if isinstance(v, Path) else v for k, v in block.items()} for block in blocks]
    if path.is_dir() and _has_photographs(path):
        raise DataError(
            f"{path}: photographs, but not in a folder for each identity; sort them into folders, "
            "or make a table (.csv) with the columns path and identity"
        )
    raise DataError(f"{path}: nothing that is known here; expected {EXPECTED}")


def _set(path: Path) -> list[Block]:
    match path.suffix.lower():
        case ".csv" | ".parquet" if path.is_file():
            return [{"kind": "table", "file": path, "root": path.parent}]
        case ".tsv" if path.is_file():
            return [{"kind": "msceleb", "file": path}]
        case ".bin" if path.is_file():
            return [{"kind": "bin", "file": path}]
        case ".rec" if path.name == "train.rec" and path.is_file():
            return [{"kind": "recordio", "root": path.parent}]
    if (path / "train.rec").is_file():
        sets = sorted(file for file in path.glob("*.bin") if file.is_file())
        return [{"kind": "recordio", "root": path}, *({"kind": "bin", "file": file} for file in sets)]
    if (path / "Anno").is_dir() and (path / "Img").is_dir():
        folders = {"in_the_wild": "img_celeba", "aligned": "img_align_celeba"}
        found = [variant for variant, folder in folders.items() if (path / "Img" / folder).is_dir()]
        return [{"kind": "celeba", "root": path, "variant": variant} for variant in found]
    people = [entry for entry in islice(_entries(path), LOOKED_AT) if _has_photographs(entry)]
    return [_people(path, people[0])] if people else []


def _people(root: Path, first: Path) -> Block:
    """The block of a folder for each identity: LFW where the names and pairs.txt say so."""
    lfw = any(re.fullmatch(re.escape(first.name) + r"_\d{4}\.jpg", file.name) for file in islice(first.iterdir(), 9))
    pairs = next((file for file in (root.parent / "pairs.txt", root / "pairs.txt") if file.is_file()), None)
    block: Block = {"kind": "lfw", "root": root, "pairs": pairs} if lfw and pairs else {"kind": "folder", "root": root}
    landmarks = (file for file in sorted(root.parent.glob("*.txt")) if file != pairs and _names_files_of(root, file))
    return block | {"landmarks": next(landmarks, None)}


def _names_files_of(root: Path, file: Path) -> bool:
    """Whether the first line of a list is of a photograph in this folder, with its coordinates."""
    try:
        _, line = next(lines(file), (0, ""))
        name, _, rest = line.partition("\t")
        return len(rest.split()) in (10, 11) and Folder(root).path(name.strip()).is_file()
    except (DataError, OSError):
        return False


def _has_photographs(folder: Path) -> bool:
    return any(entry.suffix.lower() in SUFFIXES for entry in islice(_entries(folder), LOOKED_AT))


def _entries(folder: Path) -> Iterator[Path]:
    """What lies in a folder, sorted; nothing in what is no folder or may not be read. Hidden names are skipped."""
    try:
        yield from sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        return
