"""Whether a list of landmarks is one of faces: the right count of numbers may have another meaning."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from facedistill.crops.header import check_header
from facedistill.data.align import TEMPLATE, misfit
from facedistill.data.face_crop import SMALLEST_FACE
from facedistill.data.photograph import LANDMARKS, Photograph, Source

Landmarks = NDArray[np.float32]

EXPECTED = f"expected are x1 y1 … x5 y5 in pixels, left and right as in the image: {', '.join(LANDMARKS)}"

UNLIKELY = 0.3
"""A misfit that one face in a thousand has. In full profile many have more, so one face alone proves nothing."""

UNLIKELY_TURNED = 0.23
"""A misfit that one face in a hundred has: enough for a face that is not upright, as few are."""

UPRIGHT = np.pi / 4
"""The largest turn of an upright face in its image."""

EXPLAINED = 0.22
"""What is left of the misfit, in the median, once a mistake is undone: no face in profile comes to fit by that."""

FEW = 0.02
"""Share of faces, or two of them, that may lie in any way before a mistake is looked for."""

ANY_POSE = 0.55
"""The largest misfit of a face in full profile."""

OUTSIDE = 0.5
"""Share of faces that may have a landmark outside their photograph: its edge cuts them."""

OPENED = 32
"""Photographs whose size is looked at."""


def landmark_fault(source: Source, photographs: Sequence[Photograph]) -> str | None:
    """What is wrong with the landmarks of photographs, a sample of `source`; None where nothing is, or none are known.

    Whether the lines of a list are those of other photographs cannot be seen.
    """
    known = [photograph for photograph in photographs if photograph.landmarks is not None]
    if not known:
        return None
    if fault := list_fault(np.stack([p.landmarks for p in known if p.landmarks is not None])):
        return fault
    opened = []
    for photograph in known[:: -(-len(known) // OPENED)]:
        with suppress(OSError, ValueError):  # one that is broken is named where it is cut
            opened.append((photograph.landmarks, check_header(source.read(photograph.key))))
    if not opened:
        return None
    landmarks, sizes = zip(*opened, strict=True)
    return place_fault(np.stack(landmarks), np.array(sizes))


def list_fault(landmarks: Landmarks) -> str | None:
    """What is wrong with a list of landmarks, (n, 5, 2), or with a part of it; None where they are those of faces.

    A face in profile has an unlikely misfit as well. So unlikely ones are a fault only where they are most of the list
    and no pose explains them, or where one known mistake explains them.
    """
    small = np.ptp(landmarks, axis=1).max(1) < SMALLEST_FACE
    if small.mean() > 0.5:
        return (
            f"{_count(small)} lie within {SMALLEST_FACE} pixels; are they shares of the photograph's side? {EXPECTED}"
        )
    found, turn = misfit(landmarks)
    bad = np.asarray(found > np.where(abs(turn) < UPRIGHT, UNLIKELY, UNLIKELY_TURNED))
    if bad.sum() <= max(FEW * len(bad), 2):
        return None
    misfits = [(_undone(undo(landmarks[bad]), target), name) for name, undo, target in _mistakes()]
    # Two mistakes may explain the same: the one that is first is the likelier.
    best, name = min(misfits, key=lambda pair: round(pair[0], 2))
    if best < EXPLAINED:
        return f"{_count(bad)} fit no face, and the likely reason is that {name}; {EXPECTED}"
    if np.median(found) > ANY_POSE:
        return f"{_count(bad)} fit no face; {EXPECTED}"
    return None


def place_fault(landmarks: Landmarks, sizes: NDArray[np.int_]) -> str | None:
    """What is wrong with where landmarks, (n, 5, 2), lie in their photographs of (n, 2) sizes, width and height."""
    outside = np.asarray(((landmarks < -1) | (landmarks > sizes[:, None])).any((1, 2)))
    if outside.mean() > OUTSIDE:
        return f"{_count(outside)} lie outside their photograph; is the list for photographs of another size?"
    # Faces of aligned photographs lie all at one place, which is the middle.
    centre, eyes = landmarks.mean(1), np.hypot(*(landmarks[:, 1] - landmarks[:, 0]).T)
    aligned = np.ptp(np.quantile(centre, [0.1, 0.9], axis=0), axis=0).max() < np.median(eyes)
    x, y = np.median(centre / sizes, axis=0)
    if aligned and len(landmarks) > 1 and (abs(np.array([x, y]) - 0.5) > 0.25).any():
        return (
            f"the landmarks lie at one place in all photographs, {x:.0%} of the width and {y:.0%} of the height, as in "
            "aligned ones, but not in the middle; is the list for photographs of another size?"
        )
    return None


def _count(bad: NDArray[np.bool_]) -> str:
    return f"the landmarks of {bad.sum()} of the {len(bad)} photographs looked at"


def _undone(landmarks: Landmarks, target: NDArray[np.float64]) -> float:
    """The median misfit, infinite where the faces would not be upright."""
    found, turn = misfit(landmarks, target)
    return float(np.median(found)) if np.median(abs(turn)) < UPRIGHT else np.inf


def _mistakes() -> Iterator[tuple[str, Callable[[Landmarks], Landmarks], NDArray[np.float64]]]:
    """Known mistakes: what is wrong, how the right points come out of the list, and the template of these points."""
    yield (
        "each line ends in a number that is no coordinate, such as a score (the first of eleven is taken for a class)",
        lambda p: p.reshape(-1, 10)[:, 1:9].reshape(-1, 4, 2),
        TEMPLATE[1:],
    )
    yield "all x's come before the y's", lambda p: p.reshape(-1, 2, 5).swapaxes(1, 2), TEMPLATE
    yield "y comes before x", lambda p: p[..., ::-1], TEMPLATE
    yield "y is counted from the bottom", lambda p: p * np.array([1, -1], np.float32), TEMPLATE
    for order in permutations(range(5)):
        names = ", ".join(LANDMARKS[order.index(k)] for k in range(5))
        yield f"the points come as {names}", partial(np.take, indices=order, axis=1), TEMPLATE
