"""What is counted of the pairs that set a threshold: how far apart they are, and how sure the false accept rate is."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facedistill.inference.metadata import BINS, FARTHEST, Histograms

CONFIDENCE = 0.95
"""How often such intervals hold the rate."""


class PairsError(ValueError):
    """A list of pairs cannot be read, contradicts itself, or cannot set the threshold that is asked for."""


def counts(distances: ArrayLike) -> NDArray[np.int64]:
    """(BINS,) how many squared distances are in each bin of Histograms."""
    # Rounding may put a distance just outside.
    return np.histogram(np.clip(distances, 0, FARTHEST), BINS, (0, FARTHEST))[0]


def histograms(genuine: NDArray[np.int64], impostor: NDArray[np.int64]) -> Histograms:
    """The histograms of `counts` of pairs of one person, and of pairs of two people."""
    return Histograms(tuple(genuine.tolist()), tuple(impostor.tolist()))


def far_interval(accepted: ArrayLike, pairs: ArrayLike) -> tuple[float, float]:
    """The lowest and the highest false accept rate, 0..1, that fit what was counted, with a probability of CONFIDENCE.

    accepted, pairs: (n,) for each person, how many impostor pairs with this person were accepted, and how many there
        are. A pair counts for both of its people. Without names, each photograph is taken as a person.

    Pairs with a person in common err together: somebody whom the network takes for many others spoils all of these
    pairs. So the variance is the one for pairs that share members (Aronow, Samii and Assenova 2015,
    https://doi.org/10.1093/pan/mpv018), and no smaller than that of independent pairs. It gives the number of
    independent pairs that would be as sure, and the interval is Wilson's for so many.
    """
    passed, number = np.asarray(accepted, np.float64), np.asarray(pairs, np.float64)
    n, rate = number.sum() / 2, float(passed.sum() / number.sum())
    alone = n * rate * (1 - rate)
    # Each pair is in the sums of both of its people, so its own variance is there twice.
    together = float(((passed - rate * number) ** 2).sum()) - alone
    if together > alone:
        n *= alone / together
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    middle = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (rate * (1 - rate) / n + z**2 / (4 * n**2)) ** 0.5
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))
