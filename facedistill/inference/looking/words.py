"""An answer in words, for pictures and for the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from facedistill.inference.face import Face
from facedistill.inference.metadata import BINS, FARTHEST, Histograms, Metadata, Threshold

SAME, TWO = "Same person", "Two people"

LIMITS = (
    "This holds for photographs like the ones of that set, and any model errs more often on some people than on "
    "others. No such answer may decide about anyone without a human who is responsible: see docs/responsible-use.md."
)


def compared(distance: float, threshold: Threshold) -> str:
    """A sentence that compares a distance with the threshold."""
    side = "below" if distance < threshold.distance else "not below"
    return f"The distance is {distance:.3f}, {side} the threshold of {threshold.distance:.3f}."


def sure(threshold: Threshold) -> str:
    """Sentences about how often the threshold errs."""
    low, high = threshold.far_interval
    return (
        f"The threshold was chosen on {threshold.dataset} (faces {threshold.faces}): at most "
        f"{100 * threshold.far:g} % of its {threshold.negatives:,} pairs of two people pass as one person (FAR; "
        f"{100 * low:.2g} to {100 * high:.2g} % with 95 % confidence), and {threshold.tpr:.1f} % of its pairs of one "
        "person are recognised (TPR)."
    )


def placed(distance: float, histograms: Histograms) -> str:
    """A sentence about how many pairs of the set are as near, or as far."""
    near, far = _below(distance, histograms.impostor), 1 - _below(distance, histograms.genuine)
    two = _share(near, sum(histograms.impostor))
    one = _share(far, sum(histograms.genuine))
    return (
        f"Of the pairs of two people there, {two} are as near as this or nearer. "
        f"Of the pairs of one person, {one} are as far or farther."
    )


def how(face: Face) -> str:
    """How a face was found, and how sure that is, if it is known."""
    return face.found if face.confidence is None else f"{face.found}, confidence {face.confidence:.2f}"


def untrained(metadata: Metadata, faces: Iterable[Face]) -> str | None:
    """A warning, if a face was not cropped as in training."""
    if all(face.as_trained for face in faces):
        return None
    how = "a box" if metadata.crop.method == "box" else "five landmarks"
    return f"not as in training, where faces were cropped by {how}, so errors are more frequent"


def _below(distance: float, counts: Sequence[int]) -> float:
    """The share of pairs, 0..1, below a distance. Inside a bin, the pairs are taken as spread evenly."""
    edges = np.linspace(0, FARTHEST, BINS + 1)
    return float(np.interp(distance, edges, np.concatenate([[0], np.cumsum(counts)]))) / sum(counts)


def _share(share: float, pairs: int) -> str:
    if share * pairs < 0.5:
        return f"none of {pairs:,}"
    if share < 0.001:
        return f"about 1 in {round(1 / share):,}"
    return "all" if (1 - share) * pairs < 0.5 else f"about {100 * share:.1f} %"
