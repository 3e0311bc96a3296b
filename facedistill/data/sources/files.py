"""What the readers share: text lists, landmark lists, a folder for each person."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from facedistill.crops import DataError
from facedistill.data.folder import Folder
from facedistill.data.photograph import Note, Pair, Photograph, Problem
from facedistill.data.problems import missing

LONGEST_LINE = 2**12
"""Characters of the longest line of a list."""

MISSING = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"}
    | {"NULL", "NaN", "NaT", "None", "\\N", "n/a", "nan", "null"}
)
"""What programs write for a missing value, in just this case: pandas' words, and those of databases.

Surnames and given names such as Null, Nan and Na are none of them. A folder of any name is a person.
"""

_WHOLE = re.compile(r"(-?[0-9]+)\.0+")


class FolderSource:
    """What readers have in common whose keys are names in one folder; no pairs, unless a reader has them."""

    def __init__(self, root: Path) -> None:
        self._folder = Folder(root)

    def read(self, key: str) -> bytes:
        return self._folder.read(key)

    def pairs(self) -> list[Pair]:
        return []


def lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 text file that are not blank, with their numbers from 1; any line end, with or without BOM.

    Accents are composed (NFC), however the file has them.
    Raises DataError where the file is missing, cannot be read, is not UTF-8 or has a line of over LONGEST_LINE
    characters.
    """
    try:
        with file.open(encoding="utf-8-sig") as text:
            for number, line in enumerate(bounded(text, file, LONGEST_LINE), 1):
                if line.strip():
                    yield number, normalize("NFC", line.rstrip("\n"))
    except (FileNotFoundError, IsADirectoryError):
        raise missing(file, "file", "put it there or change its path") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 text: {error}") from None
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None


def value(text: str) -> str:
    """A field of a list or a table: without blanks around it, accents composed, empty where it is in MISSING."""
    text = normalize("NFC", text.strip())
    return "" if text in MISSING else text


def name_value(text: str) -> str:
    """As `value`, of a person or a group: 7.0 is 7, for so programs write whole numbers beside missing values."""
    text = value(text)
    return whole[1] if (whole := _WHOLE.fullmatch(text)) else text


def bounded(text: TextIO, file: Path, longest: int) -> Iterator[str]:
    """The lines of an open text, none of which can fill the memory. Raises DataError at one that is too long."""
    number = 0
    while line := text.readline(longest):
        number += 1
        if len(line) == longest:
            raise DataError(f"{file}: line {number}: {longest} characters or more; is this a text file of lines?")
        yield line


def memory_map(file: Path) -> mmap.mmap:
    """The bytes of a file of any length, read only as they are asked for.

    Raises DataError where it is missing, empty or no file.
    """
    try:
        with file.open("rb") as data:
            return mmap.mmap(data.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise missing(file, "file", "put it there or change its path") from None
    except ValueError:
        raise DataError(f"{file}: an empty file") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None


def points(fields: Sequence[str]) -> NDArray[np.float32] | None:
    """x1 y1 … x5 y5 as (5, 2) pixels; None where all are missing. Raises ValueError unless they are finite numbers."""
    if len(fields) != 10:
        raise ValueError(f"expected ten coordinates, found {len(fields)}")
    if not any(map(value, fields)):
        return None
    try:
        values = np.array([float(f) for f in fields])
    except ValueError:
        raise ValueError(f"coordinates are not all numbers: {' '.join(fields)}") from None
    if not (np.abs(values) < 1e6).all():  # also false for NaN
        raise ValueError(f"coordinates are not pixels: {' '.join(fields)}")
    return values.astype(np.float32).reshape(5, 2)


def landmark_list(file: Path) -> dict[str, NDArray[np.float32] | Problem | None]:
    """A list of `name TAB [class] x1 y1 … x5 y5`: the landmarks of each name, or what is wrong with its line.

    Raises DataError where the file is missing or is not text.
    """
    known: dict[str, NDArray[np.float32] | Problem | None] = {}
    for number, line in lines(file):
        name, _, rest = line.partition("\t")
        name, fields = name.strip() or f"line {number}", rest.split()
        if name in known:
            known[name] = Problem(str(file), name, f"line {number}: named a second time")
            continue
        try:
            known[name] = points(fields[1:] if len(fields) == 11 else fields)
        except ValueError as error:
            known[name] = Problem(str(file), name, f"line {number}: {error}")
    return known


def people_with_landmarks(folder: Folder, file: Path | None) -> Iterator[Photograph | Problem]:
    """The photographs of a folder for each person, with the landmarks of a list if there is one.

    A photograph in no person's folder is a Problem. Lines without a photograph, as a part of a set leaves them, are
    one Note. Raises DataError where not one line has a photograph.
    """
    known = _by_plain_name(folder, file) if file else {}
    matched, key = 0, ""
    for record in folder.photographs():
        if isinstance(record, Photograph):
            key = record.key
            plain = folder.plain(key)
            matched += plain in known
            found = known.pop(plain, None)
            if record.identity is None:
                record = Problem(str(folder.root), key, "in no person's folder; put it into one")
            else:
                record = found if isinstance(found, Problem) else replace(record, landmarks=found)
        yield record
    yield from (left for left in known.values() if isinstance(left, Problem))
    lost = [name for name, left in known.items() if not isinstance(left, Problem)]
    if file and lost:
        yield without_photographs(file, lost, folder.root, matched, key)


def _by_plain_name(folder: Folder, file: Path) -> dict[str, NDArray[np.float32] | Problem | None]:
    """`landmark_list` by the names as they are compared."""
    known: dict[str, NDArray[np.float32] | Problem | None] = {}
    for name, found in landmark_list(file).items():
        plain = folder.plain(name)
        known[plain] = Problem(str(file), name, "named a second time, in another spelling") if plain in known else found
    return known


def without_photographs(file: Path, lost: Sequence[str], root: Path, matched: int, key: str) -> Note:
    """What is said of the names in a list that have no photograph, `lost`, beside `matched` that have one.

    Raises DataError where none has one, and there are photographs, as `key`: the list calls them something else.
    """
    if key and not matched:
        raise DataError(
            f"{file}: not one of its {len(lost)} names is a photograph in {root}: the list has {lost[0]!r}, "
            f"the folder {key!r}"
        )
    return Note(str(file), lost[0], f"no such photograph in {root}; names of the list without one: {len(lost)}")
