"""How well a landmark network finds faces by itself, and how sure it may be: measured on crops for testing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facedistill.crops.align import Points, invert, transform
from facedistill.crops.shards import Crops
from facedistill.evaluation.landmarks import nrmse_per_image
from facedistill.inference.finder import SURE, Finder, Found, Network
from facedistill.inference.metadata import Finding
from facedistill.learning.augment import ScatterParams

RIGHT = 15.0
"""Points are right if their NRMSE is at most this, in percent."""

LOOKS, MOST = 3, 500
"""How often a crop is looked at, and the most crops."""

ASTRAY = ScatterParams(degrees=60, scale=2, shift=0.5)
"""How the looks at a crop differ. Many begin far from the face, and end where there is none."""


def calibrate(network: Network, side: int, mean_shape: NDArray[np.floating], crops: Crops) -> Finding:
    """Fit the confidence of a landmark network on crops that it was not trained on, and count the faces that it finds.

    side, mean_shape: as for Finder.
    """
    from sklearn.linear_model import LogisticRegression

    rows = np.linspace(0, len(crops) - 1, min(MOST, len(crops))).astype(int).tolist()
    finder = Finder(network, side, mean_shape)
    # One face that is surely right and one that is surely wrong keep the regression finite if all others agree.
    spreads, right = [1e-3, 1.0], [True, False]
    for row in rows:
        rng, image = np.random.default_rng(row), crops.image(row)
        for _ in range(LOOKS):
            guess = transform(side * mean_shape, invert(ASTRAY.draw(rng, crops.pixels, side)))
            if face := finder.near(image, guess):
                spreads.append(max(face.spread, 1e-6))
                right.append(_right(face, crops.landmarks[row]))
    fit = LogisticRegression(C=100.0).fit(np.log(spreads)[:, None], right)
    slope = max(1e-3, -float(fit.coef_[0, 0]))
    middle = float(np.exp(np.clip(fit.intercept_[0] / slope, -20, 20)))
    shape = tuple((float(x), float(y)) for x, y in mean_shape)
    finding = Finding(shape, middle, slope, 0.0)
    finder = Finder(network, side, mean_shape, finding.spread_at(SURE))
    faces = [(finder.find(crops.image(row)), crops.landmarks[row]) for row in rows]
    found = [face is not None and face.spread <= middle and _right(face, true) for face, true in faces]
    return replace(finding, found=float(np.mean(found)))


def _right(face: Found, true: Points) -> bool:
    return bool(nrmse_per_image(face.landmarks[None], true[None])[0] <= RIGHT)
