"""Labeled Faces in the Wild: photographs `Name/Name_0001.jpg`, and `pairs.txt`, the protocol of View 2.

http://vis-www.cs.umass.edu/lfw/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Literal

from facedistill.crops import DataError
from facedistill.data.photograph import Pair, Photograph, Problem
from facedistill.data.sources import download
from facedistill.data.sources.files import FolderSource, lines, people_with_landmarks
from facedistill.params import params

_NUMBER = re.compile(r"[0-9]{1,6}")


@params
class LfwParams:
    """Where LFW is.

    root: the folder that has a folder for each person.
    pairs: `pairs.txt` as published, or Kaggle's `pairs.csv`.
    landmarks: a list of `Name/file TAB x1 y1 … x5 y5`, or null.
    photographs: `pairs` for only those that the pairs name, or `all`.
    download: fetch root and pairs if they are not there.
    """

    kind: Literal["lfw"]
    root: Path
    pairs: Path
    landmarks: Path | None = None
    photographs: Literal["pairs", "all"] = "pairs"
    download: bool = False


class LfwSource(FolderSource):
    def __init__(self, params: LfwParams) -> None:
        super().__init__(params.root)
        self._params = params

    def scan(self) -> Iterator[Photograph | Problem]:
        if self._params.download:
            download.lfw(self._params.root, self._params.pairs)
        records = people_with_landmarks(self._folder, self._params.landmarks)
        if self._params.photographs == "all":
            return records
        named = {key for _, pair in read_pairs(self._params.pairs) for key in (pair.a, pair.b)}
        return (r for r in records if isinstance(r, Problem) or self._folder.plain(r.key) in named)

    def pairs(self) -> list[Pair]:
        """The pairs, fold by fold. Raises DataError if the file is not as published or a photograph is missing."""
        pairs, keys, missing, lost = list[Pair](), dict[str, str](), dict[str, str](), list[str]()
        for number, pair in read_pairs(self._params.pairs):
            for name in {pair.a, pair.b} - keys.keys() - missing.keys():
                try:
                    keys[name] = self._folder.key(name)
                except OSError as error:
                    missing[name] = str(error)
            pairs.append(replace(pair, a=keys.get(pair.a, ""), b=keys.get(pair.b, "")))
            if absent := next((name for name in (pair.a, pair.b) if name in missing), None):
                lost.append(f"line {number}: {absent}: {missing[absent]}")
        if lost:
            raise DataError(
                f"{self._params.pairs}: {lost[0]}; {len(lost)} of its {len(pairs)} pairs lack a photograph, and "
                "results on the rest are not LFW's. Put all of LFW there, or read this part as kind: folder"
            )
        return pairs


def read_pairs(file: Path) -> Iterator[tuple[int, Pair]]:
    """The pairs of a View 2 file, each with its line number. Each fold has n pairs of one person, then n of two.

    Raises DataError, which names the line, if anything is not as published.
    """
    numbered = _from_csv(file) if file.suffix.lower() == ".csv" else lines(file)
    number, header = next(numbered, (1, ""))
    folds, per_fold = _header(file, number, header)
    for fold in range(folds):
        for same in (True, False):
            for _ in range(per_fold):
                number, line = next(numbered, (number, ""))
                if not line:
                    raise DataError(
                        f"{file}: ends after line {number}; {header!r} promises {2 * folds * per_fold} pairs"
                    )
                yield number, _pair(f"{file}: line {number}", line, same, fold)
    for number, line in numbered:
        raise DataError(f"{file}: line {number}: more than the {2 * folds * per_fold} pairs of {header!r}: {line!r}")


def _from_csv(file: Path) -> Iterator[tuple[int, str]]:
    """Kaggle's pairs.csv as the lines of pairs.txt. Its first line has names of columns in place of the two numbers."""
    rows = [(number, line.rstrip(", ").replace(",", "\t")) for number, line in lines(file)][1:]
    runs = [len(list(run)) for _, run in groupby(rows, lambda row: row[1].count("\t"))]
    if len(runs) < 4:
        raise DataError(
            f"{file}: expected pairs of one person and of two people in turn, fold by fold; found {len(runs)} runs"
        )
    yield 1, f"{len(runs) // 2}\t{runs[0]}"
    yield from rows


def _header(file: Path, number: int, header: str) -> tuple[int, int]:
    fields = header.split("\t")
    if len(fields) != 2 or not all(_NUMBER.fullmatch(f) and int(f) for f in fields):
        raise DataError(f"{file}: line {number}: expected folds TAB pairs per fold, as in '10\\t300', found {header!r}")
    return int(fields[0]), int(fields[1])


def _pair(where: str, line: str, same: bool, fold: int) -> Pair:
    fields = line.split("\t")
    if same and len(fields) == 3:
        fields.insert(2, fields[0])
    elif same or len(fields) != 4:
        expected = "name TAB n TAB m" if same else "name TAB n TAB name TAB m"
        raise DataError(f"{where}: expected {expected} in fold {fold + 1}, found {line!r}")
    a, n, b, m = fields
    if not (_NUMBER.fullmatch(n) and _NUMBER.fullmatch(m)):
        raise DataError(f"{where}: photographs are numbered from 1, found {line!r}")
    return Pair(f"{a}/{a}_{int(n):04d}.jpg", f"{b}/{b}_{int(m):04d}.jpg", same, fold)
