"""Whether the pairs of two people are many enough for a false accept rate. Known before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from facedistill.data import manifest
from facedistill.evaluation.pairs import UndefinedMetricError
from facedistill.params import PARAMS_FILE

MIN_FALSE_ACCEPTS = 5
"""Fewest false accepts that may set a threshold. A count of k deviates by √k: with 5 the FAR is known to 45 % of
itself, with 30 (Doddington's rule of 30) to 18 %, and pairs that share photographs count for less."""


class TooFewNegatives(UndefinedMetricError):
    """A false accept rate that the pairs of two people are too few to resolve."""


def pairs_of_all(photographs: Iterable[int]) -> tuple[int, int]:
    """Of all pairs of photographs: how many show one person, and how many two. photographs: of each person."""
    counts = list(photographs)
    n, positives = sum(counts), sum(count * (count - 1) // 2 for count in counts)
    return positives, n * (n - 1) // 2 - positives


def accepted(far: float, negatives: int) -> int:
    """The most false accepts whose share is no more than `far`, whatever the product rounds to.

    Raises TooFewNegatives, and ValueError for a FAR outside 0..1.
    """
    if not 0 < far < 1:
        raise ValueError(f"a FAR lies between 0 and 1, found {far}")
    most = int(far * negatives)
    most += (most + 1) / max(negatives, 1) <= far
    if most < MIN_FALSE_ACCEPTS:
        # A hundredth more, or three digits could round it down.
        lowest = 1.01 * MIN_FALSE_ACCEPTS / max(negatives, 1)
        higher = f", or a higher FAR: set evaluation.far to {lowest:.3g} or more" if lowest < 1 else ""
        raise TooFewNegatives(
            f"a FAR of {far:g} on {negatives} pairs of two people allows {most} false accepts, fewer than "
            f"{MIN_FALSE_ACCEPTS}: it takes {ceil(MIN_FALSE_ACCEPTS / far)} such pairs{higher}"
        )
    return most


def check_far(folder: Path, far: float) -> None:
    """Raises TooFewNegatives where the set that `prepare` wrote into `folder` cannot resolve a FAR.

    That is over all pairs of its photographs, or over its own pairs where nobody knows whom its photographs show.
    """
    identities = pq.read_table(folder / manifest.FILE, columns=["identity"])["identity"]
    if identities.null_count:
        negatives = pq.read_table(folder / manifest.PAIRS)["same"].to_pylist().count(False)
    else:
        negatives = pairs_of_all(pc.value_counts(identities).field("counts").to_pylist())[1]
    try:
        accepted(far, negatives)
    except TooFewNegatives as error:
        raise TooFewNegatives(f"{PARAMS_FILE}: evaluation.far and datasets.{folder.name}: {error}") from None
