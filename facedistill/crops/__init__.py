"""Crops of faces as training and evaluation read them: shards of encoded images, and their decoding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class DataError(ValueError):
    """Data that a stage cannot go on without, or too many bad records."""


@dataclass(frozen=True, slots=True)
class Crop:
    """One face, cut out of one photograph.

    image: the crop, encoded (JPEG, or the bytes of a set that was cut before).
    landmarks: (5, 2) in pixels of the crop; None if unknown.
    to_original: (2, 3) matrix from pixels of the crop to pixels of the photograph.
    """

    image: bytes
    landmarks: NDArray[np.float32] | None
    to_original: NDArray[np.float64]
