"""What the readers share: text lists, lists of landmarks, and a folder for each person."""

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
"""The longest line of a list, in characters."""

MISSING = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"}
    | {"NULL", "NaN", "NaT", "None", "\\N", "n/a", "nan", "null"}
)
"""What programs write for a missing value: the words of pandas and of databases. Upper and lower case matter.

https://pandas.pydata.org/docs/reference/api/pandas.read_csv.html (na_values)
The surnames and given names Null, Nan and Na are not among them. A folder is a person whatever its name.
"""

_WHOLE = re.compile(r"(-?[0-9]+)\.0+")


class FolderSource:
    """The base of readers whose keys are paths in one folder. It has no pairs; a reader with pairs overrides that."""

    def __init__(self, root: Path) -> None:
        self._folder = Folder(root)

    def read(self, key: str) -> bytes:
        return self._folder.read(key)

    def pairs(self) -> list[Pair]:
        return []


def lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 text file that are not blank, each with its number, counted from 1.

    Any line end and a BOM are accepted. Accents are composed (NFC).
    Raises DataError if the file is missing, cannot be read, is not UTF-8, or has a line of LONGEST_LINE characters or
    more.
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
    """A field of a list or a table, stripped and with composed accents (NFC). It is empty if it is one of MISSING."""
    text = normalize("NFC", text.strip())
    return "" if text in MISSING else text


def name_value(text: str) -> str:
    """As `value`, for a person or a group. 7.0 becomes 7: programs write 7.0 in columns with missing values."""
    text = value(text)
    return whole[1] if (whole := _WHOLE.fullmatch(text)) else text


def bounded(text: TextIO, file: Path, longest: int) -> Iterator[str]:
    """The lines of an open text file. Raises DataError at a line of `longest` characters: it could fill the memory."""
    number = 0
    while line := text.readline(longest):
        number += 1
        if len(line) == longest:
            raise DataError(f"{file}: line {number}: {longest} characters or more; is this a text file of lines?")
        yield line


def memory_map(file: Path) -> mmap.mmap:
    """The bytes of a file of any length. They are read from the disk only when they are needed.

    Raises DataError if it is missing, empty, or not a file.
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
    """x1 y1 … x5 y5 as (5, 2) pixels. None if all are missing. Raises ValueError unless they are finite numbers."""
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
    """The landmarks of each name in a list of `name TAB [class] x1 y1 … x5 y5`, or the Problem with its line.

    Raises DataError if the file is missing or is not text.
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
    """The photographs in a folder for each person, with the landmarks of the list `file`, if there is one.

    A photograph outside the folders of people is a Problem. If only a part of a set is there, all lines without a
    photograph are one Note. Raises DataError if not one line has a photograph.
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
                record = Problem(str(folder.root), key, "not in a person's folder; put it into one")
            else:
                record = found if isinstance(found, Problem) else replace(record, landmarks=found)
        yield record
    yield from (left for left in known.values() if isinstance(left, Problem))
    lost = [name for name, left in known.items() if not isinstance(left, Problem)]
    if file and lost:
        yield without_photographs(file, lost, folder.root, matched, key)


def _by_plain_name(folder: Folder, file: Path) -> dict[str, NDArray[np.float32] | Problem | None]:
    """`landmark_list`, with names in the form that is compared (`Folder.plain`)."""
    known: dict[str, NDArray[np.float32] | Problem | None] = {}
    for name, found in landmark_list(file).items():
        plain = folder.plain(name)
        known[plain] = Problem(str(file), name, "named a second time, in another spelling") if plain in known else found
    return known


def without_photographs(file: Path, lost: Sequence[str], root: Path, matched: int, key: str) -> Note:
    """The Note on names in a list that have no photograph.

    file: the list.
    lost: the names without a photograph.
    root: the folder of photographs.
    matched: the number of names with a photograph.
    key: one of the photographs in the folder, empty if there is none.

    Raises DataError if there are photographs but none has a name of the list: then the list uses other names.
    """
    if key and not matched:
        raise DataError(
            f"{file}: not one of its {len(lost)} names is a photograph in {root}: the list has {lost[0]!r}, "
            f"the folder has {key!r}"
        )
    return Note(str(file), lost[0], f"no such photograph in {root}; names of the list without one: {len(lost)}")
