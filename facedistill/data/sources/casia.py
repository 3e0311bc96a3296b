"""A folder for each identity, as in CASIA-WebFace (`0000045/001.jpg`), and perhaps a list of landmarks.

Yi et al., Learning Face Representation from Scratch, https://arxiv.org/abs/1411.7923
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from facedistill.data.photograph import Photograph, Problem
from facedistill.data.sources.files import FolderSource, people_with_landmarks
from facedistill.params import params


@params
class CasiaParams:
    """Where the set is.

    kind: `casia` and `folder` mean the same.
    root: the folder that has a folder for each identity.
    landmarks: a list of `id/file TAB class TAB x1 y1 … x5 y5`, or null.
    """

    kind: Literal["casia", "folder"]
    root: Path
    landmarks: Path | None = None


class CasiaSource(FolderSource):
    """Any set with a folder for each identity. The class column of the list is ignored: the folder is the identity."""

    def __init__(self, params: CasiaParams) -> None:
        super().__init__(params.root)
        self._landmarks = params.landmarks

    def scan(self) -> Iterator[Photograph | Problem]:
        return people_with_landmarks(self._folder, self._landmarks)
