"""CelebA, with its own annotation files as published: in the wild, or the aligned 178×218 photographs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from facedistill.data.photograph import Photograph, Problem
from facedistill.data.problems import DataError
from facedistill.data.sources import download
from facedistill.data.sources.files import FolderSource, lines, points
from facedistill.params import params

T = TypeVar("T")

POINTS_HEADER = (
    "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
)
BOX_HEADER = "image_id x_1 y_1 width height"
IDENTITIES = "Anno/identity_CelebA.txt"
BOXES = "Anno/list_bbox_celeba.txt"


@params
class CelebAParams:
    """root: the folder that holds Img and Anno. variant: Img/img_celeba or Img/img_align_celeba.

    download: fetch the aligned variant where it is not there.
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
        super().__init__(params.root / "Img" / ("img_celeba" if self._wild else "img_align_celeba"))

    def scan(self) -> Iterator[Photograph | Problem]:
        """Photographs in the order of the landmark list. Boxes are known in the wild only: they are in its pixels."""
        if self._download:
            download.celeba(self._root, self._wild)
        list_name = "list_landmarks_celeba.txt" if self._wild else "list_landmarks_align_celeba.txt"
        landmark_file, identity_file = self._root / "Anno" / list_name, self._root / IDENTITIES
        landmarks, bad_landmarks = _annotations(landmark_file, points, POINTS_HEADER)
        identities, bad_identities = _annotations(identity_file, _identity)
        boxes, bad_boxes = _annotations(self._root / BOXES, _box, BOX_HEADER) if self._wild else ({}, [])
        problems = [*bad_landmarks, *bad_identities, *bad_boxes]
        yield from problems
        named = {problem.record for problem in problems}
        for name in landmarks:
            if name in named:
                continue
            try:
                self._folder.path(name)
            except OSError as error:
                yield Problem(str(landmark_file), name, str(error))
                continue
            if name not in identities:
                yield Problem(str(identity_file), name, "no identity")
            else:
                yield Photograph(name, identities[name], landmarks[name], boxes.get(name))
        for name in sorted(identities.keys() - landmarks.keys() - named):
            yield Problem(str(landmark_file), name, "no landmarks")


def _annotations(
    file: Path, parse: Callable[[Sequence[str]], T], header: str | None = None
) -> tuple[dict[str, T], list[Problem]]:
    """What one file says of each photograph, and its bad lines. With a header, the count and the names come first.

    Raises DataError where the file is missing, or the count or the header is not as published.
    """
    rows = lines(file)
    count = None
    if header:
        _, first = next(rows, (1, ""))
        number, second = next(rows, (2, ""))
        if not re.fullmatch(r"[0-9]{1,9}", first.strip()) or second.split() != header.split():
            raise DataError(
                f"{file}: line {number}: expected a count, then {header!r}; found {first!r}, then {second!r}"
            )
        count = int(first)
    known: dict[str, T] = {}
    problems = []
    found = 0
    for number, line in rows:
        found += 1
        name, *fields = line.split()
        try:
            if name in known:
                raise ValueError("named a second time")
            known[name] = parse(fields)
        except ValueError as error:
            problems.append(Problem(str(file), name, f"line {number}: {error}"))
    if count not in (None, found):
        raise DataError(f"{file}: line 1 counts {count} photographs, {found} lines follow; is the file cut?")
    return known, problems


def _identity(fields: Sequence[str]) -> str:
    if len(fields) != 1:
        raise ValueError(f"expected one identity, found {len(fields)} fields")
    return fields[0]


def _box(fields: Sequence[str]) -> tuple[float, float, float, float]:
    if len(fields) != 4:
        raise ValueError(f"expected x, y, width and height, found {len(fields)} fields")
    x, y, width, height = map(float, fields)
    if not (abs(x) < 1e6 and abs(y) < 1e6 and 0 < width < 1e6 and 0 < height < 1e6):
        raise ValueError(f"not a box in pixels: {' '.join(fields)}")
    return x, y, width, height
