"""Checks that a list of landmarks is one of faces: the right number of columns may have another meaning."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import permutations
from math import ceil

import numpy as np
from numpy.typing import NDArray

from facedistill.crops.align import TEMPLATE, misfit
from facedistill.crops.header import check_header
from facedistill.data.face_crop import SMALLEST_FACE
from facedistill.data.photograph import LANDMARKS, Photograph, Source

Landmarks = NDArray[np.float32]

EXPECTED = f"expected are x1 y1 … x5 y5 in pixels, left and right as in the image: {', '.join(LANDMARKS)}"

UNLIKELY = 0.3
"""A misfit that one face in a thousand exceeds. Many faces in full profile do, so one face alone proves nothing."""

UNLIKELY_TURNED = 0.23
"""A misfit that one face in a hundred exceeds. It is the limit for faces that are not upright, which are rare."""

UPRIGHT = np.pi / 4
"""The largest rotation, in radians, of a face that counts as upright."""

EXPLAINED = 0.22
"""A mistake is found if undoing it brings the median misfit below this. It never does so for faces in profile."""

FEW = 0.02
"""A mistake is searched for only if more than this share of the faces, and more than two, have an unlikely misfit."""

ANY_POSE = 0.55
"""The largest misfit of a face in full profile."""

OUTSIDE = 0.5
"""The share of faces that may have a landmark outside their photograph, because its edge cuts them."""

OPENED = 32
"""The most photographs whose size is read."""


def landmark_fault(source: Source, photographs: Sequence[Photograph]) -> str | None:
    """What is wrong with the landmarks of `photographs`, a sample of `source`. None if nothing is, or none are known.

    A list whose lines belong to other photographs is not noticed.
    """
    known = [photograph for photograph in photographs if photograph.landmarks is not None]
    if not known:
        return None
    if fault := list_fault(np.stack([p.landmarks for p in known if p.landmarks is not None])):
        return fault
    opened = []
    for photograph in known[:: ceil(len(known) / OPENED)]:
        with suppress(OSError, ValueError):  # the stage align_crop names a broken photograph
            opened.append((photograph.landmarks, check_header(source.read(photograph.key))))
    if not opened:
        return None
    landmarks, sizes = zip(*opened, strict=True)
    return place_fault(np.stack(landmarks), np.array(sizes))


def list_fault(landmarks: Landmarks) -> str | None:
    """What is wrong with a list of landmarks, (n, 5, 2), or with a part of it. None if they fit faces.

    A face in profile has an unlikely misfit too. So unlikely misfits are a fault only if one known mistake explains
    them, or if most of the list has them and no pose explains them.
    """
    small = np.ptp(landmarks, axis=1).max(1) < SMALLEST_FACE
    if small.mean() > 0.5:
        return f"{_count(small)} lie within {SMALLEST_FACE} pixels; are they fractions of the image's side? {EXPECTED}"
    found, turn = misfit(landmarks)
    bad = np.asarray(found > np.where(abs(turn) < UPRIGHT, UNLIKELY, UNLIKELY_TURNED))
    if bad.sum() <= max(FEW * len(bad), 2):
        return None
    misfits = [(_undone(undo(landmarks[bad]), target), name) for name, undo, target in _mistakes()]
    # Two mistakes may explain the same misfits. The first of them is the likelier.
    best, name = min(misfits, key=lambda pair: round(pair[0], 2))
    if best < EXPLAINED:
        return f"{_count(bad)} fit no face, and the likely reason is that {name}; {EXPECTED}"
    if np.median(found) > ANY_POSE:
        return f"{_count(bad)} fit no face; {EXPECTED}"
    return None


def place_fault(landmarks: Landmarks, sizes: NDArray[np.int_]) -> str | None:
    """What is wrong with the place of landmarks, (n, 5, 2), in photographs of these sizes: (n, 2), width and height."""
    outside = np.asarray(((landmarks < -1) | (landmarks > sizes[:, None])).any((1, 2)))
    if outside.mean() > OUTSIDE:
        return f"{_count(outside)} lie outside their photograph; is the list for photographs of another size?"
    # In aligned photographs all faces are at one place, which is the middle.
    centre, eyes = landmarks.mean(1), np.hypot(*(landmarks[:, 1] - landmarks[:, 0]).T)
    aligned = np.ptp(np.quantile(centre, [0.1, 0.9], axis=0), axis=0).max() < np.median(eyes)
    x, y = np.median(centre / sizes, axis=0)
    if aligned and len(landmarks) > 1 and (abs(np.array([x, y]) - 0.5) > 0.25).any():
        return (
            f"the landmarks are at one place in all photographs, {x:.0%} of the width and {y:.0%} of the height, as in "
            "aligned photographs, but not in the middle; is the list for photographs of another size?"
        )
    return None


def _count(bad: NDArray[np.bool_]) -> str:
    return f"the landmarks of {bad.sum()} of the {len(bad)} photographs looked at"


def _undone(landmarks: Landmarks, target: NDArray[np.float64]) -> float:
    """The median misfit, or infinity if the faces would not be upright."""
    found, turn = misfit(landmarks, target)
    return float(np.median(found)) if np.median(abs(turn)) < UPRIGHT else np.inf


def _mistakes() -> Iterator[tuple[str, Callable[[Landmarks], Landmarks], NDArray[np.float64]]]:
    """Known mistakes. Each is what is wrong, a function from the list to the right points, and the template of them."""
    yield (
        "each line ends in a number that is no coordinate, such as a score (the first of eleven is read as a class)",
        lambda p: p.reshape(-1, 10)[:, 1:9].reshape(-1, 4, 2),
        TEMPLATE[1:],
    )
    yield "all x's come before the y's", lambda p: p.reshape(-1, 2, 5).swapaxes(1, 2), TEMPLATE
    yield "y comes before x", lambda p: p[..., ::-1], TEMPLATE
    yield "y is counted from the bottom", lambda p: p * np.array([1, -1], np.float32), TEMPLATE
    for order in permutations(range(5)):
        names = ", ".join(LANDMARKS[order.index(k)] for k in range(5))
        yield f"the points come as {names}", partial(np.take, indices=order, axis=1), TEMPLATE
