"""How certain a difference is: intervals against scipy and cases worked out by hand, and the verdicts from them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from facedistill.results.statistics import FEW, LEAST, Interval, judge, over_samples, students_t


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
        if not 0.045 < found.p < 0.055:
            seen.add(found.p < 0.05)
            assert (found.p < 0.05) == (found.low > 0 or found.high < 0)
    assert seen == {True, False}


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
    ("difference", "ends", "seeds", "claim", "tie"),
    [
        (2.0, (1.0, 3.0), 1, "holds", "fails"),
        (-2.0, (-3.0, -1.0), 1, "fails", "fails"),
        (2.0, (-1.0, 5.0), 1, "cannot be told", "cannot be told"),
        (0.0, (-0.2, 0.2), 1, "fails", "holds"),
        (0.1, (-0.5, 0.7), 1, "cannot be told", "cannot be told"),
        # Under 0.3 points: of one seed a tie, where the interval lets it be one; of several what these say.
        (0.2, (0.1, 0.29), 1, "fails", "holds"),
        (0.2, (0.1, 0.35), 1, "cannot be told", "cannot be told"),
        (0.2, (0.1, 0.29), 3, "holds", "fails"),
        (-0.2, (-0.29, -0.1), 3, "fails", "fails"),
        (0.3, (0.1, 0.5), 1, "holds", "fails"),
    ],
)
def test_verdicts(difference: float, ends: tuple[float, float], seeds: int, claim: str, tie: str) -> None:
    interval = Interval(*ends, p=0.5)
    assert judge(difference, interval, seeds, tie=False) == claim
    assert judge(difference, interval, seeds, tie=True) == tie


def test_without_an_interval_nothing_can_be_told() -> None:
    assert judge(20.0, None, 1, tie=False) == judge(0.0, None, 3, tie=True) == "cannot be told"


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
