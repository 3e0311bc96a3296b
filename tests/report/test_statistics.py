"""How certain a difference is: intervals against scipy and cases worked out by hand, and the verdicts from them."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from facedistill.results.selection import TIE
from facedistill.results.statistics import (
    ALPHA,
    FEW,
    LEAST,
    all_parts,
    harder,
    holm,
    judge,
    over_samples,
    seeds_needed,
    students_t,
)


def test_seeds_are_a_paired_t() -> None:
    """Mean 2, deviation 1, t = 2√3 with two degrees of freedom, of which 4.303 is the 97.5 % point."""
    found = students_t(np.array([1.0, 2.0, 3.0]))
    assert found is not None
    assert (found.low, found.high) == pytest.approx((2 - 4.30265 / 3**0.5, 2 + 4.30265 / 3**0.5), abs=1e-4)
    assert found.p == pytest.approx(0.0742, abs=1e-4)
    a, b = np.array([70.0, 71, 73, 70.5]), np.array([69.0, 71.5, 70, 69])
    found = students_t(a - b)
    assert found is not None
    assert found.p == pytest.approx(stats.ttest_rel(a, b).pvalue)


@pytest.mark.parametrize("shift", [-0.4, 0.0, 0.1, 0.28, 2.0])
@pytest.mark.parametrize("kind", ["seeds", "samples"])
def test_level_is_the_90_percent_interval_within_the_margin(kind: str, shift: float) -> None:
    """Two one-sided tests, here by scipy's own one-sided test against each end of the margin."""
    rng = np.random.default_rng(5)
    gaps = rng.normal(0, 0.1, 6) if kind == "seeds" else rng.normal(0, 1.0, 500)
    gaps += shift - gaps.mean()
    found = students_t(gaps) if kind == "seeds" else over_samples(gaps)
    assert found is not None
    expected = max(
        stats.ttest_1samp(gaps, -TIE, alternative="greater").pvalue,
        stats.ttest_1samp(gaps, TIE, alternative="less").pvalue,
    )
    assert found.level == pytest.approx(expected, abs=1e-9 if kind == "seeds" else 0.02)
    ends = stats.ttest_1samp(gaps, 0).confidence_interval(0.9)
    assert (found.level < 0.05) == (ends.low > -TIE and ends.high < TIE)


@pytest.mark.parametrize("gaps", [[1.0], [2.0, 2.0, 2.0], [0.0, 0.0], [90.1 - 80.1, 91.3 - 81.3]])
def test_seeds_without_a_spread_say_nothing(gaps: list[float]) -> None:
    assert students_t(np.array(gaps)) is None


@pytest.mark.parametrize("kind", ["hits", "errors", "folds"])
def test_samples_are_the_percentile_bootstrap_of_scipy(kind: str) -> None:
    rng = np.random.default_rng(3)
    gaps = {
        "hits": 100.0 * (rng.random(400) < 0.7) - 100.0 * (rng.random(400) < 0.62),
        "errors": rng.normal(0.2, 1.5, 3 * FEW),
        "folds": np.array([1.0, 2, 0, -1, 3, 2, 1, 1, 0, 2]),
    }[kind]
    found = over_samples(gaps)
    expected = stats.bootstrap((gaps,), np.mean, method="percentile", n_resamples=20_000, rng=1).confidence_interval
    assert found is not None
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.05 * width)
    assert found.high == pytest.approx(expected.high, abs=0.05 * width)
    assert found == over_samples(gaps)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        found = over_samples(rng.choice([-100.0, 0.0, 100.0], 300, p=[0.1, 0.7, 0.2]))
        assert found is not None
        covered += found.low <= 10 <= found.high
    assert 0.92 <= covered / 400 <= 0.98


def test_p_is_below_a_twentieth_where_the_interval_leaves_0_out() -> None:
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(200):
        found = over_samples(rng.choice([-1.0, 0.0, 1.0], 100, p=[0.1, 0.7, 0.2]))
        assert found is not None
        if not 0.035 < found.p < 0.065:
            seen.add(found.p < 0.05)
            assert (found.p < 0.05) == (found.low > 0 or found.high < 0)
    assert seen == {True, False}


@pytest.mark.parametrize("same", [0, 400])
@pytest.mark.parametrize(("right", "wrong"), [(LEAST, 0), (10, 0), (14, 2), (24, 6), (60, 30), (300, 240)])
def test_p_of_answers_that_differ_is_near_the_exact_sign_test(right: int, wrong: int, same: int) -> None:
    """A share of resampled means would have 0 for ten of ten, where the exact p is 1/512."""
    found, exact = (
        over_samples(np.repeat([100.0, -100.0, 0.0], [right, wrong, same])),
        stats.binomtest(right, right + wrong),
    )
    assert found is not None
    assert 0.4 < found.p / exact.pvalue < 1.05
    # McNemar's test, by its chi-squared.
    assert found.p == pytest.approx(stats.chi2.sf((right - wrong) ** 2 / (right + wrong), 1))


def test_p_of_groups_flips_whole_groups() -> None:
    """The exact p is a share of the 256 ways to give each of eight groups a sign."""
    rng = np.random.default_rng(8)
    groups = np.repeat(np.arange(8), 5)
    gaps = rng.normal(0.4, 1, 8)[groups] + rng.normal(0, 0.1, 40)
    sums = np.bincount(groups, weights=gaps)
    flipped = np.array(list(product([-1, 1], repeat=8))) @ sums
    found = over_samples(gaps, groups)
    assert found is not None
    assert found.p == pytest.approx((abs(flipped) >= abs(sums.sum()) - 1e-9).mean(), abs=0.05)


def test_without_a_difference_p_is_below_a_twentieth_one_time_in_twenty() -> None:
    rng = np.random.default_rng(4)
    p = []
    for _ in range(300):
        found = over_samples(rng.choice([-100.0, 0.0, 100.0], 200, p=[0.1, 0.8, 0.1]))
        assert found is not None
        p.append(found.p)
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.08


def test_p_of_a_sign_test_without_ties() -> None:
    """60 of 100 pairs in favour: the normal limit of a sign test is 2 Φ(−2) = 0.0455, tied resamples a bit more."""
    found = over_samples(np.repeat([1.0, -1.0], [60, 40]))
    assert found is not None
    assert 0.035 < found.p < 0.065


@pytest.mark.parametrize("same", [0, 95, 10_000])
def test_what_a_sign_test_could_not_tell_a_bootstrap_does_not_either(same: int) -> None:
    """Of five that differ, all one way, the exact p is 1/16, though no resample of five has a mean below 0."""
    assert stats.binomtest(LEAST - 1, LEAST - 1).pvalue > 0.05 > stats.binomtest(LEAST, LEAST).pvalue
    assert over_samples(np.repeat([0.0, 100.0], [same, LEAST - 1])) is None
    found = over_samples(np.repeat([0.0, 100.0], [same, LEAST]))
    assert found is not None
    assert found.low > 0
    assert over_samples(np.zeros(same + 1)) is None


@pytest.mark.parametrize(
    ("as_claimed", "p", "level", "claim", "tie"),
    [
        (True, 0.01, 0.9, "holds", "fails"),
        (False, 0.01, 0.9, "fails", "fails"),
        (True, 0.2, 0.9, "cannot be told", "cannot be told"),
        (False, 0.2, 0.04, "level", "holds"),
        # What is surely there, and surely too small to matter, is level.
        (True, 0.01, 0.04, "level", "holds"),
        (True, ALPHA, ALPHA, "cannot be told", "cannot be told"),
        (True, None, None, "cannot be told", "cannot be told"),
        (False, 0.01, None, "fails", "fails"),
    ],
)
def test_verdicts(as_claimed: bool, p: float | None, level: float | None, claim: str, tie: str) -> None:
    assert judge(as_claimed, p, level, tie=False) == claim
    assert judge(as_claimed, p, level, tie=True) == tie


def test_holm_worked_out_by_hand() -> None:
    """0.01 · 4 = 0.04; 0.03 · 2 = 0.06 for the third; 0.04 · 1 is below it, so it has 0.06 too (Holm 1979)."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_holm_is_the_closure_of_bonferroni() -> None:
    """A claim is rejected if every set of claims that it is in is rejected by Bonferroni: all sets, one by one."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        p = (rng.random(6) ** 3).tolist()
        sets = [s for n in range(1, 7) for s in combinations(range(6), n)]
        expected = [max(min(1, len(s) * min(p[j] for j in s)) for s in sets if i in s) for i in range(6)]
        assert holm(p) == pytest.approx(expected)


def test_a_claim_without_p_counts_as_asked_and_stays_without() -> None:
    assert holm([0.01, None, 0.02]) == [0.03, None, 0.04]
    assert holm([None, None]) == [None, None]


@pytest.mark.parametrize(
    ("gaps", "p", "claim", "tie"),
    [
        ([2.0], [0.01], 0.01, 0.01),
        ([2.0, 1.0], [0.01, 0.3], 0.3, 0.02),
        ([2.0, -1.0, -3.0], [0.001, 0.3, 0.01], 0.03, 0.003),
        ([2.0, -1.0], [0.001, 0.7], 1.0, 0.002),
        # What cannot be tested stands in the way of “holds”, and not of “fails”.
        ([2.0, 1.0], [0.01, None], None, 0.02),
        ([2.0, -1.0], [None, 0.01], 0.02, 0.02),
        ([2.0, -1.0], [0.01, None], None, 0.02),
        ([0.0], [None], None, None),
    ],
)
def test_a_claim_is_as_sure_as_its_parts(
    gaps: list[float], p: list[float | None], claim: float | None, tie: float | None
) -> None:
    assert all_parts(gaps, p, tie=False) == pytest.approx(claim)
    assert all_parts(gaps, p, tie=True) == pytest.approx(tie)


@pytest.mark.parametrize("centres", [(0.0, 0.0, 0.0), (0.0, 5.0, 5.0)])
def test_parts_do_not_make_errors_more_frequent(centres: tuple[float, ...]) -> None:
    """If one part of three has no difference, “holds” and “fails” are both wrong."""
    rng = np.random.default_rng(6)
    gaps = rng.normal(centres, 1.0, (2000, 8, 3))
    p = stats.ttest_1samp(gaps, 0, axis=1).pvalue
    told = [all_parts(g.tolist(), q.tolist(), tie=False) for g, q in zip(gaps.mean(axis=1), p, strict=True)]
    assert np.mean(np.array(told, float) < ALPHA) < 0.06


@pytest.mark.parametrize(("effect", "seeds"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10), (50.0, 2), (1e9, 2)])
def test_seeds_are_those_of_printed_tables(effect: float, seeds: int) -> None:
    """Paired t-test, two-sided 5 %, power 80 %: Cohen's small, medium and large effect have 199, 34 and 15 pairs."""
    assert seeds_needed(1.0, effect) == seeds
    assert seeds_needed(3.0, 3 * effect) == seeds


def test_so_many_seeds_see_the_difference_in_four_cases_of_five() -> None:
    seeds = seeds_needed(1.5, 1.0)
    assert seeds is not None
    rng = np.random.default_rng(7)
    gaps = rng.normal(1.0, 1.5, (4000, seeds))
    share = (stats.ttest_1samp(gaps, 0, axis=1).pvalue < 0.05).mean()
    assert 0.78 < share < 0.85
    fewer = (stats.ttest_1samp(gaps[:, :-2], 0, axis=1).pvalue < 0.05).mean()
    assert fewer < 0.8


def test_more_seeds_than_anybody_trains_are_not_a_plan() -> None:
    assert seeds_needed(100.0, 0.5) is None


def test_a_corrected_claim_needs_as_many_more_seeds_as_the_normal_limit_says() -> None:
    """One claim needs no more. For ten, p is 0.05 and 0.005: ((2.807 + 0.842) / (1.960 + 0.842))²."""
    assert harder(1) == pytest.approx(1)
    assert harder(10) == pytest.approx((3.649 / 2.802) ** 2, abs=1e-3)


def test_frames_of_one_video_count_as_one_sample() -> None:
    """Forty videos of twenty frames, alike within: the interval is that of forty samples, not of eight hundred."""
    rng = np.random.default_rng(3)
    videos = rng.normal(0.3, 1, 40)
    frames, groups = np.repeat(videos, 20), np.repeat(np.arange(40), 20)
    grouped, alone, naive = over_samples(frames, groups), over_samples(videos), over_samples(frames)
    assert grouped is not None
    assert alone is not None
    assert naive is not None
    assert grouped.high - grouped.low == pytest.approx(alone.high - alone.low, rel=0.05)
    assert grouped.high - grouped.low > 3 * (naive.high - naive.low)
    # Of groups as large as one sample each, it is the plain bootstrap.
    single = over_samples(videos, np.arange(40))
    assert single is not None
    assert (single.low, single.high) == pytest.approx((alone.low, alone.high), abs=0.03)


def test_few_groups_that_differ_are_not_believed() -> None:
    groups = np.repeat(np.arange(20), 10)
    differences = np.where(groups < LEAST - 1, 1.0, 0.0)
    assert over_samples(differences) is not None
    assert over_samples(differences, groups) is None
