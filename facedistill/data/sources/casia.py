"""A folder for each identity, as CASIA-WebFace's `0000045/001.jpg`, and a landmark list where the user has one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from facedistill.data.photograph import Photograph, Problem
from facedistill.data.sources.files import FolderSource, people_with_landmarks
from facedistill.params import params


@params
class CasiaParams:
    """kind: `casia` and `folder` are one. root: the folder of identities.

    landmarks: a list of `id/file TAB class TAB x1 y1 … x5 y5`, or none.
    """

    kind: Literal["casia", "folder"]
    root: Path
    landmarks: Path | None = None


class CasiaSource(FolderSource):
    """Any set with a folder for each identity. The class column of the list is not used: the folder is the identity."""

    def __init__(self, params: CasiaParams) -> None:
        super().__init__(params.root)
        self._landmarks = params.landmarks

    def scan(self) -> Iterator[Photograph | Problem]:
        return people_with_landmarks(self._folder, self._landmarks)
