"""The face of a photograph as a model wants it, and how it was found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facedistill.crops.codec import decode
from facedistill.data.align import Matrix, Points
from facedistill.data.face_crop import Box, CropParams, crop_face, upright
from facedistill.data.photograph import LANDMARKS

if TYPE_CHECKING:
    from facedistill.data.detector import Detector


class PhotographError(ValueError):
    """A photograph that cannot be read, or in which no face is found."""


@dataclass(frozen=True)
class Face:
    """A face, cut out as for training.

    crop: (size, size, 3) uint8 RGB. to_original: (2, 3), from pixels of the crop to those of the upright photograph.
    found: in words, by what the face was found. as_trained: whether crops were cut like this in training too.
    """

    crop: NDArray[np.uint8]
    to_original: Matrix
    found: str
    as_trained: bool


def find(
    photograph: str | Path | bytes,
    crop: CropParams,
    landmarks: Points | None = None,
    box: Box | None = None,
    detector: Detector | None = None,
) -> Face:
    """The face of a photograph: at the landmarks or in the box if they are given, else the largest that the detector
    finds, else taken as centred. A model that learned from whole photographs gets the whole.

    photograph: a file, or its bytes: JPEG, PNG, WebP or BMP of any size, turned upright by its EXIF. landmarks: (5, 2)
    and box: x, y, width, height, in pixels of the upright photograph, as a viewer shows it. crop: the model's.
    Raises PhotographError naming the photograph, and ValueError where both landmarks and a box are given.
    """
    if landmarks is not None and box is not None:
        raise ValueError("give landmarks or a box, not both")
    name = "photograph" if isinstance(photograph, bytes) else str(photograph)
    try:
        data = photograph if isinstance(photograph, bytes) else Path(photograph).read_bytes()
        image = upright(data)
        return _find(data, image, crop, _points(landmarks), _box(box), detector)
    except OSError as error:
        raise PhotographError(f"{name}: {error.strerror or error}") from None
    except ValueError as error:
        raise PhotographError(f"{name}: {error}") from None


def _find(
    data: bytes,
    image: NDArray[np.uint8],
    crop: CropParams,
    landmarks: Points | None,
    box: Box | None,
    detector: Detector | None,
) -> Face:
    height, width = image.shape[:2]
    given = any(hint is not None for hint in (landmarks, box, detector))
    if crop.method in ("centre", "photograph"):
        ignored = " (landmarks, box or detector not used)" if given else ""
        part = "middle of the photograph" if crop.method == "centre" else "whole photograph"
        return _face(data, image, crop, f"in the {part}, as in training{ignored}", True)
    if crop.method == "none" and not given and (width, height) == (crop.pixels, crop.pixels):
        return _face(data, image, crop, "in a crop already", True)
    # RecordIO and .bin sets, cut for a model of method none, are aligned to the same template.
    aligned = replace(crop, method="landmarks")
    wants_landmarks = crop.method in ("landmarks", "none")
    if landmarks is not None:
        return _face(data, image, aligned, "by landmarks given", wants_landmarks, landmarks)
    if box is not None:
        # ArcFace's template ends where a face does; a crop by box has the margin that it was trained with.
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
    return Face(decode(made.image), made.to_original, found, as_trained)


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
