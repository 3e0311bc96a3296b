"""How sure a gap between models is, over seeds, photographs or folds; verdicts on it; and how many seeds to plan."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facedistill.results.selection import TIE

Verdict = Literal["holds", "fails", "level", "cannot be told"]

ALPHA = 0.05
"""A verdict needs a p-value below this."""
LEVEL = 0.95
"""The confidence of intervals."""
POWER = 0.8
"""With as many seeds as are planned, a gap of the planned size is seen with this probability."""
MOST = 1000
"""Nobody plans more seeds than this."""

RESAMPLES = 5000
LEAST = 6
"""A test over samples needs at least this many that differ. If only five differ, and all favour one model, a sign test
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
    level: the p-value of the test of equivalence, under the hypothesis that the difference is TIE points or more. It is
        the larger one of two one-sided tests (Schuirmann 1987). It is below 5 % if the 90 % interval lies within ± TIE.
    """

    low: float
    high: float
    p: float
    level: float


def students_t(differences: NDArray[np.float64]) -> Interval | None:
    """Student's paired t-test. None if all differences are equal, because then there is no spread.

    Not a bootstrap: over ten folds, its percentile intervals are a fifth too narrow.

    differences: (n,), one for each seed or fold.
    """
    from scipy import stats

    n = len(differences)
    if n < 2 or np.ptp(differences) < ROUNDING:
        return None
    test = stats.ttest_1samp(differences, 0.0)
    ends = test.confidence_interval(LEVEL)
    mean, error = differences.mean(), differences.std(ddof=1) / np.sqrt(n)
    level = max(stats.t.sf((TIE + mean) / error, n - 1), stats.t.sf((TIE - mean) / error, n - 1))
    return Interval(float(ends.low), float(ends.high), float(test.pvalue), float(level))


def over_samples(differences: NDArray[np.float64], groups: NDArray[np.int64] | None = None) -> Interval | None:
    """The percentile bootstrap of a mean of paired differences. None if fewer than LEAST of them are not 0.

    p is of a sign-flip test in its normal limit. For right and wrong answers that is McNemar's test, whose size is as
    it says with few samples too (Fagerland et al. 2013). A share of resampled means would not do: it is too small where
    few samples differ, and is 0 long before p can be corrected for dozens of claims. The seed is fixed: equal
    differences give equal intervals.

    differences: (n,), one for each sample.
    groups: (n,) from 0, the group of each sample, if samples of a group are nearly alike, such as the frames of a
        video. Then whole groups are drawn and flipped, and LEAST counts groups.
    """
    if groups is None:
        sums, differ = differences, int(np.count_nonzero(differences))
    else:
        sums, differ = np.bincount(groups, differences).astype(np.float64), len(np.unique(groups[differences != 0]))
    if differ < LEAST:
        return None
    means = _resampled(differences) if groups is None else _resampled_groups(differences, groups)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    level = max((means >= TIE).sum(), (means <= -TIE).sum())
    return Interval(float(low), float(high), _flipped(sums), float((level + 1) / (RESAMPLES + 1)))


def _flipped(sums: NDArray[np.float64]) -> float:
    """The two-sided p-value of a sum whose terms could as well have had the other sign, in the normal limit."""
    from scipy import stats

    spread = np.sqrt((sums**2).sum())
    return float(2 * stats.norm.sf(abs(sums.sum()) / spread)) if spread else 1.0


def _resampled(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """The means of RESAMPLES resamples."""
    values, counts = np.unique(differences, return_counts=True)
    rng, n = np.random.default_rng(0), len(differences)
    if len(values) <= FEW:
        # The mean of a resample depends only on how often each value was drawn.
        return np.asarray(rng.multinomial(n, counts / n, RESAMPLES) @ values / n)
    from scipy import stats

    found = stats.bootstrap(
        (differences,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, 2**22 // n),
        method="percentile",
        rng=rng,
    )
    return np.asarray(found.bootstrap_distribution)


def _resampled_groups(differences: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """The same with whole groups drawn."""
    sums, counts = np.bincount(groups, weights=differences), np.bincount(groups)
    n, rng = len(counts), np.random.default_rng(0)
    means = []
    for _ in range(BATCHES):
        drawn = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES // BATCHES)
        means.append((drawn @ sums) / (drawn @ counts))
    return np.concatenate(means)


def all_parts(differences: Sequence[float], p: Sequence[float | None], tie: bool) -> float | None:
    """The p-value of a claim that has to hold in every part.

    If every part is as claimed, the claim is as sure as its least sure part: the largest p (an intersection-union
    test, Berger 1982). If not, one part against it is enough: the smallest p of those, times the number of parts
    (Bonferroni). None if the parts that decide have no p.

    differences, p: of each part; a difference is positive if it is as claimed.
    tie: whether the claim is that there is no difference. Then every difference is against it.
    """
    against = [value for gap, value in zip(differences, p, strict=True) if tie or gap <= 0]
    if not against:
        return None if None in p else max(value for value in p if value is not None)
    told = [value for value in against if value is not None]
    return min(1.0, len(p) * min(told)) if told else None


def holm(p: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for their number (Holm 1979). What has no p-value counts as a test, and stays None."""
    order = sorted((value, i) for i, value in enumerate(p) if value is not None)
    corrected, largest = list(p), 0.0
    for rank, (value, i) in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * value))
        corrected[i] = largest
    return corrected


def judge(as_claimed: bool, p: float | None, level: float | None, tie: bool) -> Verdict:
    """Whether a claim holds.

    as_claimed: whether the difference has the sign that is claimed.
    p: of the hypothesis that there is no difference.
    level: of the hypothesis that the difference is TIE points or more.
    tie: whether the claim is that there is no difference.
    p and level are None if there is nothing to take them over.
    """
    if level is not None and level < ALPHA:
        return "holds" if tie else "level"
    if p is None or p >= ALPHA:
        return "cannot be told"
    return "holds" if as_claimed and not tie else "fails"


def seeds_needed(deviation: float, difference: float) -> int | None:
    """The least number of seeds with which a paired t-test sees a difference; None if it is more than MOST.

    It sees it with the probability POWER, two-sided at ALPHA. Exact, by the noncentral t distribution (Cohen 1988).

    deviation: the standard deviation of the paired differences between seeds, above 0.
    difference: the true mean difference, above 0, in the same unit.
    """
    from scipy import stats

    def enough(seeds: int) -> bool:
        critical = stats.t.ppf(1 - ALPHA / 2, seeds - 1)
        # Beyond a shift of 100 the power is 1, and scipy's noncentral t is not a number. A difference that is seen the
        # wrong way round is not seen.
        shift = min(100.0, difference / deviation * seeds**0.5)
        return bool(stats.nct.sf(critical, seeds - 1, shift) >= POWER)

    seeds = 2 + bisect_left(range(2, MOST + 1), True, key=enough)
    return seeds if seeds <= MOST else None


def harder(tests: int) -> float:
    """How many times as many seeds a claim needs to pass Holm's correction for `tests` claims whatever the others show.

    It is the ratio for many seeds, where t is normal. With few seeds the true ratio is larger.
    """
    from scipy import stats

    power = stats.norm.ppf(POWER)
    plain, corrected = (stats.norm.ppf(1 - alpha / 2) + power for alpha in (ALPHA, ALPHA / tests))
    return float((corrected / plain) ** 2)
