"""Augmentation: photometric by albumentations, as params.yaml names it, and the mirror of landmarks."""

from __future__ import annotations

import os
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facedistill.params import ParamsError, params

FLIP_ORDER = [1, 0, 2, 4, 3]
"""Which landmark each becomes in a mirrored image: left and right are the image's."""


@params
class TransformParams:
    """name: a pixel-level transform of albumentations (`RandomBrightnessContrast`). p: its probability.

    settings: its other arguments.
    """

    name: str
    p: Annotated[float, Field(ge=0, le=1)]
    settings: dict[str, Any]


@params
class AugmentationParams:
    """flip: half of the crops, left to right. photometric: a chain of transforms."""

    flip: bool
    photometric: tuple[TransformParams, ...]


class Photometric:
    """A chain of pixel-level transforms; what it draws depends on the generator that it is given alone."""

    def __init__(self, transforms: tuple[TransformParams, ...]) -> None:
        os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
        import albumentations as A

        chain = []
        for transform in transforms:
            kind = getattr(A, transform.name, None)
            if not (isinstance(kind, type) and issubclass(kind, A.ImageOnlyTransform)):
                raise ParamsError(
                    f"photometric: {transform.name!r} is no pixel-level transform of albumentations; "
                    "one that moves pixels would leave the landmarks behind"
                )
            chain.append(kind(p=transform.p, **transform.settings))
        self.compose = A.Compose(chain)

    def __call__(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB to the same."""
        self.compose.set_random_seed(int(rng.integers(2**31)))
        return self.compose(image=np.ascontiguousarray(image))["image"]  # type: ignore[no-any-return]


def flip(points: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """(…, 5, 2) landmarks of a mirrored image of this width: x reversed, eyes and mouth corners swapped."""
    return np.stack([width - 1 - points[..., 0], points[..., 1]], axis=-1)[..., FLIP_ORDER, :]
