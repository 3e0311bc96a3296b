"""Augmentation: photometric transforms of albumentations, mirrored landmarks, and faces moved at random."""

from __future__ import annotations

import os
from copy import deepcopy
from threading import local
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facedistill.crops.align import Matrix
from facedistill.params import ParamsError, params

FLIP_ORDER = [1, 0, 2, 4, 3]
"""The landmarks of a mirrored image, by their index in the original. Left and right are as seen in the image."""


@params
class TransformParams:
    """One photometric transform.

    name: a pixel-level transform of albumentations, such as `RandomBrightnessContrast`.
    p: its probability.
    settings: its other arguments.
    """

    name: str
    p: Annotated[float, Field(ge=0, le=1)]
    settings: dict[str, Any]


@params
class AugmentationParams:
    """The augmentation of training crops.

    flip: whether half of the crops are mirrored, left to right.
    photometric: the transforms, applied one after the other.
    """

    flip: bool
    photometric: tuple[TransformParams, ...]


@params
class ScatterParams:
    """How far a face is moved at random, for a network that has to find it. Every draw is even.

    degrees: the largest turn, either way.
    scale: the largest change of size: 1.2 makes a face up to 1.2 times as large or as small.
    shift: the largest move along x and along y, as a share of the input's side.
    """

    degrees: Annotated[float, Field(ge=0, le=180)]
    scale: Annotated[float, Field(ge=1, le=4)]
    shift: Annotated[float, Field(ge=0, le=0.5)]

    def draw(self, rng: np.random.Generator, pixels: int, side: int) -> Matrix:
        """The matrix from a crop of `pixels` to an input of `side` pixels, whose middle is near the crop's middle."""
        turn, size, x, y = rng.uniform(-1, 1, 4)
        angle, factor = np.radians(self.degrees * turn), self.scale**size
        cos, sin = factor * np.cos(angle), factor * np.sin(angle)
        linear, middle = np.array([[cos, -sin], [sin, cos]]), (pixels - 1) / 2
        to = (side - 1) / 2 + self.shift * side * np.array([x, y])
        return np.column_stack([linear, to - linear @ (middle, middle)])


class Photometric:
    """A chain of pixel-level transforms. Its random draws depend on nothing but the generator that a call passes.

    Several threads may call it. Each has a chain of its own, because a chain holds its random state.
    """

    def __init__(self, transforms: tuple[TransformParams, ...]) -> None:
        os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
        import albumentations as A

        self._chain: list[Any] = []
        for transform in transforms:
            kind = getattr(A, transform.name, None)
            if not (isinstance(kind, type) and issubclass(kind, A.ImageOnlyTransform)):
                raise ParamsError(
                    f"photometric: {transform.name!r} is no pixel-level transform of albumentations; "
                    "one that moves pixels would leave the landmarks behind"
                )
            self._chain.append(kind(p=transform.p, **transform.settings))
        self._compose, self._mine = A.Compose, local()

    def __call__(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Transform one image, (H, W, 3) uint8 RGB, into another of the same shape."""
        if not hasattr(self._mine, "compose"):
            self._mine.compose = self._compose(deepcopy(self._chain))
        self._mine.compose.set_random_seed(int(rng.integers(2**31)))
        return self._mine.compose(image=np.ascontiguousarray(image))["image"]  # type: ignore[no-any-return]


def flip(points: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Mirror (…, 5, 2) landmarks of an image of this width: reverse x, and swap the eyes and the mouth corners."""
    return np.stack([width - 1 - points[..., 0], points[..., 1]], axis=-1)[..., FLIP_ORDER, :]
