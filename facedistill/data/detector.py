"""Landmarks for photographs that have none, by a detector whose file the user provides: YuNet or SCRFD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facedistill.crops import DataError
from facedistill.crops.codec import decode, quarter_turns, to_bgr
from facedistill.data.photograph import Photograph, Problem, Source
from facedistill.data.problems import missing
from facedistill.data.scrfd import Scrfd
from facedistill.files import sha256
from facedistill.params import params

if TYPE_CHECKING:
    from facedistill.data.sources import SourceParams

LONGER_SIDE = 640
"""Larger photographs are shrunk to this side in pixels: the model finds faces of about 10 to 300 pixels.

Wu et al., YuNet, https://doi.org/10.1007/s11633-023-1423-y
"""

SCORE = 0.7
"""The least confidence of a face. It is below OpenCV's default of 0.9, because every photograph should show a face."""


@params
class DetectorParams:
    """The file of the detector. Its outputs say which of the two it is.

    model: a YuNet model, for example `face_detection_yunet_2023mar.onnx` (https://github.com/opencv/opencv_zoo), or an
        SCRFD model with five points, for example `det_10g.onnx` (https://github.com/deepinsight/insightface).
    sha256: the sha256 of that file.
    """

    model: Path
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Detector:
    """A loaded detector. Raises DataError if the model is missing, has another sha256, or cannot be loaded."""

    def __init__(self, params: DetectorParams) -> None:
        if not params.model.is_file():
            raise missing(params.model, "file", "put the detector's model there or change `detector.model`")
        if (found := sha256(params.model)) != params.sha256:
            raise DataError(f"{params.model}: its sha256 is {found}, not {params.sha256}; is it the file you mean?")
        self._scrfd = _scrfd(params.model)
        if self._scrfd:
            return
        try:
            self._net = cv2.FaceDetectorYN.create(str(params.model), "", (LONGER_SIDE, LONGER_SIDE), SCORE)
        except cv2.error as error:
            raise DataError(f"{params.model}: neither an SCRFD nor a model that OpenCV can load: {error.err}") from None

    def landmarks(self, data: bytes) -> NDArray[np.float32]:
        """(5, 2) points of the largest face, in the pixels of the photograph as stored and the order of LANDMARKS.

        The photograph is turned upright by its EXIF before it is searched. Raises ValueError if no face is found, or if
        the photograph cannot be decoded.
        """
        image = decode(data)
        turns = quarter_turns(data, image)
        points: NDArray[np.float32] = self.faces(np.rot90(image, turns))[0]
        for turn in range(turns, 0, -1):
            before = image.shape[turn % 2]  # the width of the image before this turn
            points = np.stack([before - 1 - points[:, 1], points[:, 0]], axis=1)
        return points

    def faces(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, 5, 2) points of the n ≥ 1 faces in an upright (height, width, 3) RGB image, in its pixels.

        The largest face is first. The points are in the order of LANDMARKS. Raises ValueError if no face is found.
        """
        boxes, points = self._scrfd.find(image) if self._scrfd else self._by_yunet(image)
        if not len(boxes):
            raise ValueError("the detector finds no face")
        order = np.argsort(-boxes[:, 2] * boxes[:, 3], kind="stable")
        return np.asarray(points[order], np.float32)

    def _by_yunet(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(n, 4) boxes and (n, 5, 2) points, as `Scrfd.find` gives them."""
        scale = min(1.0, LONGER_SIDE / max(image.shape))
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        small = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        self._net.setInputSize((width, height))
        try:
            faces = self._net.detect(to_bgr(small))[1]
        except cv2.error as error:
            raise ValueError(f"the detector fails at {width}×{height} pixels: {error.err}") from None
        if faces is None or not np.isfinite(faces).all():
            faces = np.empty((0, 15), np.float32)
        # A row: box (x, y, width, height), then the person's right eye, left eye, nose, right and left mouth corner.
        shrunk = np.array([width, height]) / image.shape[1::-1]
        return np.asarray(faces[:, :4], np.float32), np.asarray(
            (faces[:, 4:14].reshape(-1, 5, 2) + 0.5) / shrunk - 0.5, np.float32
        )


def _scrfd(model: Path) -> Scrfd | None:
    try:
        return Scrfd(model.read_bytes())
    except ValueError:
        return None  # a YuNet, or OpenCV says what is wrong with it


def add_landmarks(
    source: SourceParams, detector: DetectorParams, records: Sequence[Photograph | Problem]
) -> list[Photograph | Problem]:
    """The same records. A photograph without landmarks gets them, or becomes a Problem if no face is found in it."""
    return [
        _with_landmarks(source, detector, record)
        if isinstance(record, Photograph) and record.landmarks is None
        else record
        for record in records
    ]


def _with_landmarks(source: SourceParams, detector: DetectorParams, photograph: Photograph) -> Photograph | Problem:
    reader, finder = _open(source, detector)
    try:
        return replace(photograph, landmarks=finder.landmarks(reader.read(photograph.key)))
    except (OSError, ValueError) as error:
        return Problem(str(detector.model), photograph.key, str(error))


@cache
def _open(source: SourceParams, detector: DetectorParams) -> tuple[Source, Detector]:
    """One reader and one detector in each process."""
    # Imported here, because a detector alone needs none of the readers.
    from facedistill.data.sources import open_source

    return open_source(source), Detector(detector)
