"""The subsets frontal, pose and lighting of the Fujitsu poster, chosen by how each drawn face was rendered."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

FRONTAL_DEGREES = 20.0
"""The largest angle between the head and the camera in `frontal`.

It is about the median at difficulty 1, so that frontal and pose each have half of the photographs.
"""

LIGHT_DEGREES, LIGHT_RATIO = 30.0, 2.0
"""The limits of `lighting`: the key light is more than LIGHT_DEGREES away from the camera's axis, and more than
LIGHT_RATIO times as strong as the fill light. A light from the front, or with much fill, casts no strong shadow."""


def subsets(attributes: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.bool_]]:
    """Return (n,) masks by the name of the subset, from the columns of `Crops.attributes`.

    A set without these columns has no subsets. Each photograph is in frontal or in pose, and may be in lighting too. A
    photograph whose angles are NaN is in no subset. A pair is in a subset if both of its photographs are. Within a
    subset, everything else varies as it does in the whole set.
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
    """Return the degrees between the camera's axis and a direction that is `across` and `up` degrees away from it."""
    angle: NDArray[np.float64] = np.degrees(np.arccos(np.cos(np.radians(across)) * np.cos(np.radians(up))))
    return angle
