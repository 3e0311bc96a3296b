"""What the readers share: names that stay inside their folder, text lists, landmark lists, a folder for each person."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from facedistill.data.photograph import Pair, Photograph, Problem
from facedistill.data.problems import DataError, missing

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})

LARGEST_FILE = 2**28
"""Bytes of the largest photograph that is read."""

LONGEST_LINE = 2**12
"""Characters of the longest line of a list."""


class Folder:
    """The only door to the files of a data set: nothing outside `root` is ever opened."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._last: tuple[str | None, Path] = None, root
        """The folder of the last file, by its name and where it leads."""

    @cached_property
    def _resolved(self) -> Path:
        if not self.root.is_dir():
            raise missing(self.root, "folder", "put the photographs there or change `root`")
        return self.root.resolve()

    def path(self, name: str) -> Path:
        """The file with this name, relative to the root and with forward slashes.

        Raises PermissionError where the name is absolute, climbs by `..` or is a link that leaves the root, and
        FileNotFoundError where there is no such file.
        """
        if name.startswith("/") or ".." in name.split("/") or "\\" in name or "\0" in name:
            raise PermissionError(f"not a path inside {self.root}")
        folder, _, file = name.rpartition("/")
        # Neighbours in a list lie in one folder: it is followed once, and a file that is no link not at all.
        if folder != self._last[0]:
            self._last = folder, self._inside(self._resolved / folder)
        path = self._last[1] / file
        try:
            plain = stat.S_ISREG(os.lstat(path).st_mode)
        except OSError:
            raise FileNotFoundError(f"no such file in {self.root}") from None
        if not plain and not (path := self._inside(path)).is_file():
            raise FileNotFoundError(f"not a file in {self.root}")
        return path

    def _inside(self, path: Path) -> Path:
        """Where a path leads. Raises as `path` does."""
        try:
            path = path.resolve(strict=True)
        except (OSError, RuntimeError):  # RuntimeError: links in a circle
            raise FileNotFoundError(f"no such file in {self.root}") from None
        if not path.is_relative_to(self._resolved):
            raise PermissionError(f"a link that leaves {self.root}")
        return path

    def read(self, name: str) -> bytes:
        """The bytes of one file. Raises OSError as `path` does, or where it cannot be read or is over LARGEST_FILE."""
        path = self.path(name)
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise OSError(f"{size} bytes; a photograph has no more than {LARGEST_FILE}")
        return path.read_bytes()

    def people(self) -> Iterator[Photograph | Problem]:
        """A folder for each person, sorted by name; the key is `person/file`.

        Names that start with a dot, and files beside the folders, are skipped.

        Raises DataError where the root is missing.
        """
        for person in _sorted(self._resolved):
            name = person.name if _is_text(person.name) else ascii(person.name)
            try:
                if not person.is_dir():
                    continue
                if not Path(person).resolve().is_relative_to(self._resolved):
                    raise PermissionError(f"a link that leaves {self.root}")
                files = _sorted(Path(person))
            except OSError as error:
                yield Problem(str(self.root), name, error.strerror or str(error))
                continue
            for file in files:
                yield self._photograph(person.name, file)

    def _photograph(self, person: str, file: os.DirEntry[str]) -> Photograph | Problem:
        key = f"{person}/{file.name}"
        if not _is_text(key):
            return Problem(str(self.root), ascii(key), "the name is not UTF-8")
        if Path(file.name).suffix.lower() not in SUFFIXES:
            return Problem(str(self.root), key, f"not one of {', '.join(sorted(SUFFIXES))}")
        if file.is_symlink() or not file.is_file():
            try:
                self.path(key)
            except OSError as error:
                return Problem(str(self.root), key, str(error))
        return Photograph(key, person)


class FolderSource:
    """What readers have in common whose keys are names in one folder; no pairs, unless a reader has them."""

    def __init__(self, root: Path) -> None:
        self._folder = Folder(root)

    def read(self, key: str) -> bytes:
        return self._folder.read(key)

    def pairs(self) -> list[Pair]:
        return []


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _sorted(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)


def lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 text file that are not blank, with their numbers from 1; any line end, with or without BOM.

    Raises DataError where the file is missing, is not UTF-8 or has a line of over LONGEST_LINE characters.
    """
    try:
        with file.open(encoding="utf-8-sig") as text:
            for number, line in enumerate(bounded(text, file, LONGEST_LINE), 1):
                if line.strip():
                    yield number, line.rstrip("\n")
    except (FileNotFoundError, IsADirectoryError):
        raise missing(file, "file", "put it there or change its path") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 text: {error}") from None


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


def points(fields: Sequence[str]) -> NDArray[np.float32]:
    """x1 y1 … x5 y5 as (5, 2) pixels. Raises ValueError unless they are ten finite numbers."""
    if len(fields) != 10:
        raise ValueError(f"expected ten coordinates, found {len(fields)}")
    try:
        values = np.array([float(f) for f in fields])
    except ValueError:
        raise ValueError(f"coordinates are not all numbers: {' '.join(fields)}") from None
    if not (np.abs(values) < 1e6).all():  # also false for NaN
        raise ValueError(f"coordinates are not pixels: {' '.join(fields)}")
    return values.astype(np.float32).reshape(5, 2)


def landmark_list(file: Path) -> dict[str, NDArray[np.float32] | Problem]:
    """A list of `name TAB [class] x1 y1 … x5 y5`: the landmarks of each name, or what is wrong with its line.

    Raises DataError where the file is missing or is not text.
    """
    known: dict[str, NDArray[np.float32] | Problem] = {}
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
    """`folder.people()`, with the landmarks of a list if there is one; a line without its photograph is a Problem."""
    known = landmark_list(file) if file else {}
    for record in folder.people():
        found = known.pop(record.key, None) if isinstance(record, Photograph) else None
        if isinstance(record, Photograph) and isinstance(found, np.ndarray):
            yield replace(record, landmarks=found)
        else:
            yield found if isinstance(found, Problem) else record
    for name, left in known.items():
        yield left if isinstance(left, Problem) else Problem(str(file), name, f"no such photograph in {folder.root}")
