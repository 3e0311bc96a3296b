"""Verification sets in one file, as InsightFace distributes them: `lfw.bin`, `cfp_fp.bin`, `agedb_30.bin`.

https://github.com/deepinsight/insightface/tree/master/recognition/_datasets_

The file is a pickle of two lists: 2N encoded photographs, two for each pair, and N answers. The pairs, in their order,
are ten equal folds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from facedistill.crops import DataError
from facedistill.data.photograph import Pair, Photograph
from facedistill.data.sources.files import memory_map
from facedistill.data.sources.plain_pickle import PlainPickle
from facedistill.params import params

FOLDS = 10

_KEY = re.compile(r"([0-9]{6,7})([ab])")


@params
class BinParams:
    """Where the set is.

    file: a verification set, for example `lfw.bin`. Its photographs are aligned crops already.
    """

    kind: Literal["bin"]
    file: Path


class BinSource:
    """`000012a` and `000012b` are the photographs of pair 12, counted from 0. The whole set is held in memory."""

    def __init__(self, params: BinParams) -> None:
        self._file = params.file

    def scan(self) -> Iterator[Photograph]:
        """Both photographs of every pair. A photograph that two pairs share comes twice.

        The identities are unknown, because an answer only compares the two photographs of one pair. Raises DataError
        if the file is missing or is not as published.
        """
        _, same = self._content
        for i in range(len(same)):
            for side in "ab":
                yield Photograph(f"{i:06d}{side}", None)

    def read(self, key: str) -> bytes:
        images, _ = self._content
        match = _KEY.fullmatch(key)
        place = 2 * int(match[1]) + (match[2] == "b") if match else len(images)
        if place >= len(images):
            raise FileNotFoundError(f"no photograph {key!r} in {self._file}")
        return images[place]

    def pairs(self) -> list[Pair]:
        """The pairs in their order. If their number is no multiple of ten, the first folds have one pair more."""
        _, same = self._content
        folds = np.array_split(np.arange(len(same)), FOLDS)
        return [Pair(f"{i:06d}a", f"{i:06d}b", same[i], fold) for fold, rows in enumerate(folds) for i in rows]

    @cached_property
    def _content(self) -> tuple[list[bytes], list[bool]]:
        data = memory_map(self._file)
        try:
            content = PlainPickle(data).load()
        except ValueError as error:
            raise DataError(f"{self._file}: not a verification set: {error}") from None
        match content:
            case (list() | tuple() as images, list() | tuple() as same):
                pass
            case _:
                raise DataError(f"{self._file}: expected two lists, of photographs and of answers")
        for i, image in enumerate(images):
            if not isinstance(image, bytes):
                raise DataError(f"{self._file}: photograph {i} is of type {type(image).__name__}, not bytes")
        for i, answer in enumerate(same):
            if not isinstance(answer, int) or answer not in (0, 1):
                raise DataError(f"{self._file}: answer {i} is neither true nor false")
        if len(images) != 2 * len(same) or len(same) < FOLDS:
            raise DataError(
                f"{self._file}: {len(images)} photographs and {len(same)} answers; expected two photographs for each "
                f"answer, and {FOLDS} answers or more"
            )
        return list(images), [bool(answer) for answer in same]
