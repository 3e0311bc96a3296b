"""How well a landmark network finds faces by itself, and how sure it may be: measured on crops for testing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from facedistill.crops.align import Points, invert, transform
from facedistill.crops.shards import Crops
from facedistill.inference.finder import Finder, Found, Windows
from facedistill.inference.metadata import Finding
from facedistill.learning.augment import ScatterParams

RIGHT = 0.1
"""Points are right if they are, in the root mean square, as near as this share of the distance between the eyes."""

LOOKS, MOST = 3, 500
"""How often a crop is looked at, and the most crops."""

ASTRAY = ScatterParams(degrees=60, scale=2, shift=0.5)
"""How the looks at a crop differ. Many begin far from the face, and end where there is none."""


def calibrate(landmarks: Callable[[Windows], Points], side: int, mean_shape: Points, crops: Crops) -> Finding:
    """Fit the confidence of a landmark network on crops that it was not trained on, and count the faces that it finds.

    landmarks, side, mean_shape: as for Finder.
    """
    from sklearn.linear_model import LogisticRegression

    rows = np.linspace(0, len(crops) - 1, min(MOST, len(crops))).astype(int).tolist()
    finder = Finder(landmarks, side, mean_shape)
    # One face that is surely right and one that is surely wrong keep the regression finite if all others agree.
    spreads, right = [1e-3, 1.0], [True, False]
    for row in rows:
        rng, image = np.random.default_rng(row), crops.image(row)
        for _ in range(LOOKS):
            guess = transform(mean_shape, invert(ASTRAY.draw(rng, crops.pixels, side)))
            if face := finder.near(image, guess):
                spreads.append(max(face.spread, 1e-6))
                right.append(_right(face, crops.landmarks[row]))
    fit = LogisticRegression(C=100.0).fit(np.log(spreads)[:, None], right)
    slope = max(1e-3, -float(fit.coef_[0, 0]))
    middle = float(np.exp(np.clip(fit.intercept_[0] / slope, -20, 20)))
    faces = [(finder.find(crops.image(row)), crops.landmarks[row]) for row in rows]
    found = [face is not None and face.spread <= middle and _right(face, true) for face, true in faces]
    shape = tuple((float(x), float(y)) for x, y in mean_shape / side)
    return Finding(shape, middle, slope, float(np.mean(found)))


def _right(face: Found, true: Points) -> bool:
    error = np.sqrt(((face.landmarks - true) ** 2).sum(1).mean())
    return bool(error <= RIGHT * np.linalg.norm(true[0] - true[1]))
