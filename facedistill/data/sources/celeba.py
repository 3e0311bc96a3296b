"""CelebA with its annotation files as published: the photographs in the wild, or those aligned to 178×218.

Liu et al., Deep Learning Face Attributes in the Wild, https://arxiv.org/abs/1411.7766;
https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal, TypeVar

from facedistill.crops import DataError
from facedistill.data.photograph import Photograph, Problem
from facedistill.data.sources import download
from facedistill.data.sources.files import FolderSource, lines, name_value, points, without_photographs
from facedistill.params import params

T = TypeVar("T")

POINTS_HEADER = (
    "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
)
BOX_HEADER = "image_id x_1 y_1 width height"
FOLDERS = {"in_the_wild": "img_celeba", "aligned": "img_align_celeba"}
"""The folder of photographs for each variant."""


@params
class CelebAParams:
    """Where CelebA is.

    root: the folder with Img and Anno, or with their content side by side.
    variant: the photographs of img_celeba or of img_align_celeba.
    download: fetch the aligned variant if it is not there.
    """

    kind: Literal["celeba"]
    root: Path
    variant: Literal["in_the_wild", "aligned"]
    download: bool = False


class CelebASource(FolderSource):
    def __init__(self, params: CelebAParams) -> None:
        self._wild = params.variant == "in_the_wild"
        self._root = params.root
        self._download = params.download
        super().__init__(images(params.root, params.variant))

    def scan(self) -> Iterator[Photograph | Problem]:
        """Photographs in the order of their names. Only those in the wild have boxes, which are in their pixels.

        If only a part of CelebA is there, all names of the lists without a photograph are one Note.
        Raises DataError if a list is missing, is not as published, or names no photograph that is there.
        """
        if self._download:
            download.celeba(self._root, self._wild)
        landmark_file = self._list("list_landmarks_celeba" if self._wild else "list_landmarks_align_celeba")
        identity_file = self._list("identity_CelebA")
        landmarks, bad_landmarks = _annotations(landmark_file, points, POINTS_HEADER)
        identities, bad_identities = _annotations(identity_file, _identity)
        boxes, bad_boxes = _annotations(self._list("list_bbox_celeba"), _box, BOX_HEADER) if self._wild else ({}, [])
        problems = [*bad_landmarks, *bad_identities, *bad_boxes]
        yield from problems
        named = {problem.record for problem in problems}
        lost, matched, key = dict.fromkeys([*landmarks, *identities, *boxes]), 0, ""
        for record in self._folder.photographs():
            if isinstance(record, Problem):
                yield record
                continue
            key = record.key
            plain = self._folder.plain(key)
            matched += plain in lost or plain in named
            lost.pop(plain, None)
            if plain in named:
                continue
            if plain not in landmarks:
                yield Problem(str(landmark_file), key, "no landmarks")
            elif plain not in identities:
                yield Problem(str(identity_file), key, "no identity")
            else:
                yield Photograph(key, identities[plain], landmarks[plain], boxes.get(plain))
        if left := [name for name in lost if name not in named]:
            yield without_photographs(landmark_file, left, self._folder.root, matched, key)

    def _list(self, name: str) -> Path:
        """The path of a list: in Anno as published, or in the root, as on Kaggle. Raises DataError if it is missing."""
        places = [self._root / folder / f"{name}{suffix}" for folder in ("Anno", ".") for suffix in (".txt", ".csv")]
        if found := next((place for place in places if place.is_file()), None):
            return found
        raise DataError(
            f"{places[0]}: no such file, and no {name}.txt or .csv in {self._root}; it is in the folder Anno at "
            "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (Kaggle's copy has no identities)"
        )


def images(root: Path, variant: str) -> Path:
    """The folder of photographs: in Img as published, or in the root. On Kaggle it is in a folder of the same name."""
    name = FOLDERS[variant]
    places = [root / "Img" / name / name, root / name / name, root / "Img" / name, root / name]
    return next((place for place in places if place.is_dir()), root / "Img" / name)


def _annotations(
    file: Path, parse: Callable[[Sequence[str]], T], header: str | None = None
) -> tuple[dict[str, T], list[Problem]]:
    """What one list says of each photograph, and its bad lines.

    parse: turns the fields of a line, without the name of the photograph, into a value.
    header: the names of the columns, or None for the list of identities, which has none.

    A text file with a header has a count on the line above it. A CSV file has no count, and may name its columns even
    in the list of identities. Raises DataError if the file is missing, or if the count or the header is not as
    published.
    """
    rows: Iterator[tuple[int, list[str]]]
    count = None
    if file.suffix == ".csv":
        rows = ((number, [field.strip() for field in line.split(",")]) for number, line in lines(file))
        number, names = next(rows, (1, [""]))
        if header and names[1:] != header.removeprefix("image_id ").split():
            raise DataError(f"{file}: line {number}: expected columns image_id and {header!r}; found {names}")
        if not header and "." in names[0]:  # no header: this line names a photograph already
            rows = chain([(number, names)], rows)
    else:
        rows = ((number, line.split()) for number, line in lines(file))
        if header:
            _, first = next(rows, (1, []))
            number, names = next(rows, (2, []))
            if not re.fullmatch(r"[0-9]{1,9}", " ".join(first)) or names != header.split():
                raise DataError(
                    f"{file}: line {number}: expected a count, then {header!r}; found {first}, then {names}"
                )
            count = int(first[0])
    known: dict[str, T] = {}
    problems = []
    found = 0
    for number, (name, *fields) in rows:
        found += 1
        try:
            if not name or name in known:
                raise ValueError("named a second time" if name else "no name")
            known[name] = parse(fields)
        except ValueError as error:
            problems.append(Problem(str(file), name or f"line {number}", f"line {number}: {error}"))
    if count not in (None, found):
        raise DataError(f"{file}: line 1 counts {count} photographs, {found} lines follow; is the file truncated?")
    return known, problems


def _identity(fields: Sequence[str]) -> str:
    if len(fields) != 1:
        raise ValueError(f"expected one identity, found {len(fields)} fields")
    if not (identity := name_value(fields[0])):
        raise ValueError(f"no identity: {fields[0]!r} is taken for a missing value")
    return identity


def _box(fields: Sequence[str]) -> tuple[float, float, float, float]:
    if len(fields) != 4:
        raise ValueError(f"expected x, y, width and height, found {len(fields)} fields")
    x, y, width, height = map(float, fields)
    if not (abs(x) < 1e6 and abs(y) < 1e6 and 0 < width < 1e6 and 0 < height < 1e6):
        raise ValueError(f"not a box in pixels: {' '.join(fields)}")
    return x, y, width, height
