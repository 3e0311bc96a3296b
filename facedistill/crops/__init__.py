"""Crops of faces in the form that training and evaluation read: shards of encoded images, and their decoding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class DataError(ValueError):
    """Data that a stage needs is missing or bad, or too many records are bad."""


@dataclass(frozen=True, slots=True)
class Crop:
    """One face, cropped from one photograph.

    image: the encoded crop (a JPEG, or the bytes of a set whose photographs were cropped before).
    landmarks: (5, 2) in pixels of the crop; None if unknown.
    to_original: (2, 3) matrix from pixels of the crop to pixels of the photograph.
    """

    image: bytes
    landmarks: NDArray[np.float32] | None
    to_original: NDArray[np.float64]
