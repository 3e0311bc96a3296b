"""How sure a gap between two models is: over seeds if there are several, else over the test photographs or folds."""

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
"""A bootstrap needs at least this many samples that differ. If only five differ, and all favour one model, a sign test
has p = 1/16, but a bootstrap would be certain."""

BATCHES = 50
"""Groups are resampled in this many parts, because all resamples at once take too much memory."""

ROUNDING = 1e-9
"""Differences that are nearer than this, in points, are equal: they are computed from rounded numbers."""

FEW = 100
"""With at most this many distinct differences, a resample is drawn as the count of each, which is faster."""


@dataclass(frozen=True)
class Interval:
    """How sure a mean difference is.

    low, high: the ends of its 95 % confidence interval.
    p: the two-sided p-value, under the hypothesis that there is no difference.
    """

    low: float
    high: float
    p: float


def students_t(differences: NDArray[np.float64]) -> Interval | None:
    """Student's paired t-test. None if all differences are equal, because then there is no spread.

    Not a bootstrap: over ten folds, its percentile intervals are a fifth too narrow.

    differences: (n,), one for each seed or fold.
    """
    from scipy import stats

    if len(differences) < 2 or np.ptp(differences) < ROUNDING:
        return None
    test = stats.ttest_1samp(differences, 0.0)
    ends = test.confidence_interval(LEVEL)
    return Interval(float(ends.low), float(ends.high), float(test.pvalue))


def over_samples(differences: NDArray[np.float64], groups: NDArray[np.int64] | None = None) -> Interval | None:
    """The percentile bootstrap of a mean of paired differences. None if fewer than LEAST of them are not 0.

    The seed is fixed: equal differences give equal intervals. p is twice the share of resampled means that are 0 or on
    the other side of it.

    differences: (n,), one for each sample.
    groups: (n,) from 0, the group of each sample, if samples of a group are nearly alike, such as the frames of a
        video. Then whole groups are drawn, and LEAST counts groups.
    """
    if groups is not None:
        return _over_groups(differences, groups)
    if np.count_nonzero(differences) < LEAST:
        return None
    values, counts = np.unique(differences, return_counts=True)
    rng, n = np.random.default_rng(0), len(differences)
    if len(values) <= FEW:
        # The mean of a resample depends only on how often each value was drawn.
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
    """The interval from the means of RESAMPLES resamples."""
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    beyond = min(int((means <= 0).sum()), int((means >= 0).sum()))
    return Interval(float(low), float(high), min(1.0, 2 * (beyond + 1) / (RESAMPLES + 1)))


def judge(difference: float, interval: Interval | None, seeds: int, tie: bool) -> Verdict:
    """Whether a claim holds.

    Two cells differ if the interval excludes 0. With one seed the gap must also reach TIE points, because one seed says
    nothing about chance in training. They are level if they do not differ and the interval is within ± TIE.

    difference: in points, positive if it is as claimed.
    interval: the interval of the difference; None if there is nothing to take it over.
    seeds: the number of seeds that the difference is a mean over.
    tie: whether the claim is that there is no difference.
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
