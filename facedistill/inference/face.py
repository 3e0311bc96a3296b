"""Finds the face in a photograph and crops it for a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facedistill.crops.align import Matrix, Points
from facedistill.crops.codec import decode
from facedistill.data.face_crop import Box, CropParams, crop_face, upright
from facedistill.data.photograph import LANDMARKS
from facedistill.inference.finder import Finder
from facedistill.inference.formats import refuse
from facedistill.inference.metadata import Finding

if TYPE_CHECKING:
    from facedistill.data.detector import Detector


SEEN = 0.5
"""The least confidence of a face that is compared."""


UNSEEN = "no face is seen"
FETCH = (
    "for a face that fills less than a sixth of the photograph name a detector: --detector "
    "face_detection_yunet_2023mar.onnx, from https://github.com/opencv/opencv_zoo (232,589 bytes, sha256 "
    "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4)"
)
"""What helps where a landmark network sees no face. The sha256 is the one in the repository that it names."""


class PhotographError(ValueError):
    """A photograph cannot be read, or no face is found in it."""


class UnseenFaceError(PhotographError):
    """A landmark network sees no face. FETCH may help."""


@dataclass(frozen=True)
class Face:
    """A face, cropped for a model.

    crop: (size, size, 3) uint8 RGB.
    to_original: (2, 3) matrix from pixels of the crop to pixels of the upright photograph.
    found: a phrase that says how the face was found, for example "by landmarks given".
    as_trained: whether faces were cropped in the same way in training.
    landmarks: (5, 2) in pixels of the upright photograph; None if they are not known.
    confidence: 0 to 1, for landmarks that a finder found: the probability that they are right; else None.
    """

    crop: NDArray[np.uint8]
    to_original: Matrix
    found: str
    as_trained: bool
    landmarks: Points | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class FaceFinder:
    """Finds the face of a photograph by an exported landmark network, and says how sure it is.

    finding: the calibration of that network.
    """

    finder: Finder
    finding: Finding

    def find(self, image: NDArray[np.uint8], box: Box | None = None) -> tuple[Points, float]:
        """(5, 2) landmarks of the face in an upright photograph, and their confidence.

        Raises UnseenFaceError if no face is seen.
        """
        found = self.finder.find(image, box)
        confidence = self.finding.confidence(found.spread) if found else 0.0
        if found is None or confidence < SEEN:
            raise UnseenFaceError(f"{UNSEEN} (confidence {confidence:.2f}, needed {SEEN})")
        return found.landmarks, confidence


def find(
    photograph: str | Path | bytes,
    crop: CropParams,
    landmarks: Points | None = None,
    box: Box | None = None,
    detector: Detector | None = None,
    finder: FaceFinder | None = None,
) -> Face:
    """The face of a photograph. It is at the landmarks or in the box, if one of them is given. Else it is the largest
    face that the detector finds. Without a detector the finder looks for its landmarks, also in a box that is given.
    Without any of these the face is taken as centred. A model that was trained on whole photographs gets the whole
    photograph.

    photograph: a file or its bytes: JPEG, PNG, WebP or BMP of up to 67 megapixels. It is turned upright by its EXIF.
    crop: how the model's crops are made.
    landmarks: (5, 2), in pixels of the upright photograph, as a viewer shows it.
    box: x, y, width and height in the same pixels.
    detector: searches the photograph if neither landmarks nor a box is given.
    finder: finds the landmarks if none are given and there is no detector.

    Raises PhotographError, which names the photograph, if no face can be cropped from it, and ValueError if both
    landmarks and a box are given.
    """
    if landmarks is not None and box is not None:
        raise ValueError("give landmarks or a box, not both")
    name = "photograph" if isinstance(photograph, bytes) else str(photograph)
    try:
        data = photograph if isinstance(photograph, bytes) else Path(photograph).read_bytes()
        refuse(data)
        image = upright(data)
        return _find(data, image, crop, _points(landmarks), _box(box), detector, finder)
    except OSError as error:
        raise PhotographError(f"{name}: {error.strerror or error}") from None
    except UnseenFaceError as error:
        raise UnseenFaceError(f"{name}: {error}") from None
    except ValueError as error:
        raise PhotographError(f"{name}: {error}") from None


def _find(
    data: bytes,
    image: NDArray[np.uint8],
    crop: CropParams,
    landmarks: Points | None,
    box: Box | None,
    detector: Detector | None,
    finder: FaceFinder | None,
) -> Face:
    height, width = image.shape[:2]
    given = any(hint is not None for hint in (landmarks, box, detector))
    if crop.method in ("centre", "photograph"):
        ignored = " (landmarks, box or detector not used)" if given else ""
        part = "middle of the photograph" if crop.method == "centre" else "whole photograph"
        return _face(data, image, crop, f"in the {part}, as in training{ignored}", True)
    if crop.method == "none" and not given and (width, height) == (crop.pixels, crop.pixels):
        return _face(data, image, crop, "in a crop already", True)
    # With method none the model learned from RecordIO and .bin sets, which are aligned to the same template.
    aligned = replace(crop, method="landmarks")
    wants_landmarks = crop.method in ("landmarks", "none")
    if landmarks is not None:
        return _face(data, image, aligned, "by landmarks given", wants_landmarks, landmarks)
    if finder and not detector:
        points, confidence = finder.find(image, box)
        where = "by a landmark network, in the box given" if box else "by a landmark network"
        face = _face(data, image, aligned if wants_landmarks else crop, where, True, points)
        return replace(face, confidence=confidence)
    if box is not None:
        # ArcFace's template ends at the edge of the face. A model trained on boxes keeps the margin of its training.
        around = replace(crop, method="box", margin=0.0 if wants_landmarks else crop.margin)
        return _face(data, image, around, "in the box given", not wants_landmarks, None, box)
    if detector:
        faces = detector.faces(image)
        found = (
            "by the detector, which finds one" if len(faces) == 1 else f"by the detector, the largest of {len(faces)}"
        )
        return _face(data, image, aligned, found, wants_landmarks, faces[0])
    return _face(data, image, replace(crop, method="centre"), "taken as centred", False)


def _face(
    data: bytes,
    image: NDArray[np.uint8],
    crop: CropParams,
    found: str,
    as_trained: bool,
    landmarks: Points | None = None,
    box: Box | None = None,
) -> Face:
    made = crop_face(data, image, crop, landmarks, box)
    return Face(decode(made.image), made.to_original, found, as_trained, landmarks)


def _points(landmarks: Points | None) -> Points | None:
    if landmarks is None:
        return None
    points = np.asarray(landmarks, np.float32)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise ValueError(f"expected finite x, y of {', '.join(LANDMARKS)}; found an array of {points.shape}")
    return points


def _box(box: Box | None) -> Box | None:
    if box is not None and not (np.isfinite(box).all() and min(box[2:]) > 0):
        raise ValueError(f"expected a box of finite x, y and a width and height above 0, found {box}")
    return box
