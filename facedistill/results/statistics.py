"""How sure a gap between two models is: over seeds where there are several, over what was tested on within one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facedistill.results.selection import TIE

Verdict = Literal["holds", "fails", "cannot be told"]

LEVEL = 0.95
RESAMPLES = 5000
LEAST = 6
"""Fewest samples that differ of which a bootstrap is believed: of five that all speak for one model a sign test has
p = 1/16, and a bootstrap would be sure."""

BATCHES = 50
"""In so many parts groups are resampled, so that memory does not hold all."""

ROUNDING = 1e-9
"""Points by which equal differences may differ: they are differences of rounded numbers."""

FEW = 100
"""Most distinct differences whose counts are drawn at once, in place of one sample after the other."""


@dataclass(frozen=True)
class Interval:
    """low, high: the ends of the 95 % confidence interval of a mean difference. p: two-sided, of there being none."""

    low: float
    high: float
    p: float


def students_t(differences: NDArray[np.float64]) -> Interval | None:
    """Student's paired t over (n,) differences, one a seed or a fold; None where all are one, so without a spread.

    Of ten folds a percentile bootstrap is a fifth too narrow.
    """
    from scipy import stats

    if len(differences) < 2 or np.ptp(differences) < ROUNDING:
        return None
    test = stats.ttest_1samp(differences, 0.0)
    ends = test.confidence_interval(LEVEL)
    return Interval(float(ends.low), float(ends.high), float(test.pvalue))


def over_samples(differences: NDArray[np.float64], groups: NDArray[np.int64] | None = None) -> Interval | None:
    """The percentile bootstrap of the mean of (n,) paired differences; None where fewer than LEAST are not 0.

    groups: (n,) from 0, of samples that are nearly alike, such as the frames of a video: whole groups are drawn then,
    and counted. Seeded: the same for the same differences. p is twice the share of resampled means on the other side of
    0, or at it.
    """
    if groups is not None:
        return _over_groups(differences, groups)
    if np.count_nonzero(differences) < LEAST:
        return None
    values, counts = np.unique(differences, return_counts=True)
    rng, n = np.random.default_rng(0), len(differences)
    if len(values) <= FEW:
        # The mean of a resample depends on how often each value was drawn, and on nothing else.
        means = rng.multinomial(n, counts / n, RESAMPLES) @ values / n
    else:
        from scipy import stats

        means = stats.bootstrap(
            (differences,),
            np.mean,
            n_resamples=RESAMPLES,
            batch=max(1, 2**22 // n),
            method="percentile",
            rng=rng,
        ).bootstrap_distribution
    return _interval(means)


def _over_groups(differences: NDArray[np.float64], groups: NDArray[np.int64]) -> Interval | None:
    if len(np.unique(groups[differences != 0])) < LEAST:
        return None
    sums, counts = np.bincount(groups, weights=differences), np.bincount(groups)
    n, rng = len(counts), np.random.default_rng(0)
    means = []
    for _ in range(BATCHES):
        drawn = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES // BATCHES)
        means.append((drawn @ sums) / (drawn @ counts))
    return _interval(np.concatenate(means))


def _interval(means: NDArray[np.float64]) -> Interval:
    """Of the means of RESAMPLES resamples."""
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    beyond = min(int((means <= 0).sum()), int((means >= 0).sum()))
    return Interval(float(low), float(high), min(1.0, 2 * (beyond + 1) / (RESAMPLES + 1)))


def judge(difference: float, interval: Interval | None, seeds: int, tie: bool) -> Verdict:
    """Whether a claim holds. difference: in points, positive where it is as claimed. seeds: how many it is the mean of.

    tie: the claim is that there is no difference. Under TIE points is none, unless several seeds say otherwise: one
    seed knows nothing of what chance does in training.
    """
    if interval is None:
        return "cannot be told"
    clear = interval.low > 0 or interval.high < 0
    differ = clear and (seeds > 1 or abs(difference) >= TIE)
    level = interval.low > -TIE and interval.high < TIE and not differ
    if differ:
        return "holds" if difference > 0 and not tie else "fails"
    if level:
        return "holds" if tie else "fails"
    return "cannot be told"
