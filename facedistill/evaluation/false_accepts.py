"""Whether there are enough impostor pairs for a false accept rate (FAR), which is known before any training."""

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
"""The fewest false accepts that may set a threshold.

A count of k has a standard deviation of √k. With 5 false accepts the FAR is therefore known to 45 % of its value, and
with 30 to 18 % (the rule of 30; Doddington et al. 2000, https://doi.org/10.1016/S0167-6393(99)00080-1). If pairs share
photographs, the FAR is less certain than that.
"""


class TooFewNegatives(UndefinedMetricError):
    """There are too few impostor pairs to resolve a false accept rate."""


def pairs_of_all(photographs: Iterable[int]) -> tuple[int, int]:
    """Count the pairs of photographs that show one person, and those that show two.

    photographs: how many photographs each person has.
    """
    counts = list(photographs)
    n, positives = sum(counts), sum(count * (count - 1) // 2 for count in counts)
    return positives, n * (n - 1) // 2 - positives


def accepted(far: float, negatives: int) -> int:
    """Return the largest number of false accepts among `negatives` pairs whose share is not above `far`.

    The result is exact even if the product is rounded. Raises TooFewNegatives, and ValueError for a FAR outside 0..1.
    """
    if not 0 < far < 1:
        raise ValueError(f"a FAR is between 0 and 1, found {far}")
    most = int(far * negatives)
    most += (most + 1) / max(negatives, 1) <= far
    if most < MIN_FALSE_ACCEPTS:
        # We add a hundredth, because rounding to three digits could make it too low.
        lowest = 1.01 * MIN_FALSE_ACCEPTS / max(negatives, 1)
        higher = f", or a higher FAR: set evaluation.far to {lowest:.3g} or more" if lowest < 1 else ""
        raise TooFewNegatives(
            f"a FAR of {far:g} on {negatives} pairs of two people allows {most} false accepts, fewer than "
            f"{MIN_FALSE_ACCEPTS}: it takes {ceil(MIN_FALSE_ACCEPTS / far)} such pairs{higher}"
        )
    return most


def check_far(folder: Path, far: float) -> None:
    """Raises TooFewNegatives if the set that `prepare` wrote into `folder` cannot resolve a FAR.

    This counts all pairs of its photographs. If identities are unknown, it counts the pairs that the set lists.
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
