"""Frontal, pose and lighting: the poster's subsets, from what is known of how each drawn face was taken."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

FRONTAL_DEGREES = 20.0
"""Most that the head may be turned and nodded away from the camera: about the median at difficulty 1, so that frontal
and pose each keep half of the photographs."""

LIGHT_DEGREES, LIGHT_RATIO = 30.0, 2.0
"""A face is unevenly lit where the key light stands further off the camera than this and is more than so many times as
strong as the fill: from the front, or with much fill, it casts no shadow to speak of."""


def subsets(attributes: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.bool_]]:
    """(n,) masks by name, from the columns of `Crops.attributes`; none for a set that does not have these.

    frontal and pose part the set; lighting lies across both. A photograph whose angles are NaN is in no subset. A pair
    belongs to a subset where both of its photographs do, and all else varies in a subset as it does in the set.
    """
    known = ("yaw", "pitch", "light_azimuth", "light_elevation", "light_strength", "light_ambient")
    if not set(known) <= set(attributes):
        return {}
    yaw, pitch, azimuth, elevation, key, fill = (np.asarray(attributes[name], np.float64) for name in known)
    head, light = _off_camera(yaw, pitch), _off_camera(azimuth, elevation)
    return {
        "frontal": head <= FRONTAL_DEGREES,
        "pose": head > FRONTAL_DEGREES,
        "lighting": (light > LIGHT_DEGREES) & (key > LIGHT_RATIO * fill),
    }


def _off_camera(across: NDArray[np.float64], up: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees between the camera's axis and a direction so many degrees across and up."""
    angle: NDArray[np.float64] = np.degrees(np.arccos(np.cos(np.radians(across)) * np.cos(np.radians(up))))
    return angle
