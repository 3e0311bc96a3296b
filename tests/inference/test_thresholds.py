"""How sure a false accept rate is: as sure as the pairs are independent of each other, and no surer."""

from __future__ import annotations

from itertools import combinations, product
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import binomtest

from facedistill.data.face_crop import CropParams
from facedistill.export.exporting import faces_of
from facedistill.export.histograms import judged
from facedistill.inference.thresholds import CONFIDENCE, far_interval


def wilson(accepted: float, pairs: float) -> tuple[float, float]:
    """The interval as its definition has it: the rates p whose z-score for what was counted is within the quantile."""
    found, z = accepted / pairs, 1.959964
    rates = np.linspace(1e-6, 1 - 1e-6, 2_000_001)
    inside = rates[np.abs(found - rates) <= z * np.sqrt(rates * (1 - rates) / pairs)]
    return float(inside[0]), float(inside[-1])


@pytest.mark.parametrize(("accepted", "pairs"), [(5, 5000), (1, 20), (300, 1000), (0, 50)])
def test_pairs_of_people_who_are_in_one_pair_alone_have_wilsons_interval(accepted: int, pairs: int) -> None:
    # Two people for each pair.
    passed = np.repeat(np.arange(pairs) < accepted, 2)
    found = far_interval(passed, np.ones(2 * pairs))
    expected = binomtest(accepted, pairs).proportion_ci(CONFIDENCE, "wilson")
    assert found == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_pairs_that_share_people_are_as_sure_as_fewer_pairs() -> None:
    """By the definition: the sum over all pairs of pairs that have a member in common."""
    rng, people = np.random.default_rng(0), 40
    lamb = rng.random(people) < 0.1  # people whom the network takes for others
    pairs = [(a, b, bool(rng.random() < (0.6 if lamb[a] or lamb[b] else 0.05))) for a, b in combinations(range(40), 2)]
    passed, each = np.zeros(people), np.zeros(people)
    for a, b, accepted in pairs:
        for person in (a, b):
            passed[person] += accepted
            each[person] += 1
    rate = sum(accepted for *_, accepted in pairs) / len(pairs)
    variance = 0.0
    for (a, b, x), (c, d, y) in product(pairs, pairs):
        if {a, b} & {c, d}:
            variance += (x - rate) * (y - rate)
    effective = len(pairs) ** 2 * rate * (1 - rate) / variance
    assert effective < len(pairs) / 4
    found = far_interval(passed, each)
    assert found == pytest.approx(wilson(rate * effective, effective), abs=2e-6)
    # Spread evenly, as many errors are no less sure than those of independent pairs.
    level = far_interval(np.full(people, 2 * rate * len(pairs) / people), each)
    assert level == pytest.approx(wilson(rate * len(pairs), len(pairs)), abs=2e-6)


def test_the_export_counts_each_person_as_the_pairs_themselves_do() -> None:
    rng = np.random.default_rng(1)
    rows, people = rng.normal(size=(40, 8)).astype(np.float32), np.array([f"person {i % 7}" for i in range(40)])
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    a, b = np.triu_indices(40, 1)
    same, near = people[a] == people[b], ((unit[a] - unit[b]) ** 2).sum(1) < 1.2
    for member, listed in ((people, None), (np.arange(40).astype(str), SimpleNamespace(a=a, b=b, same=same))):
        passed, each = (
            [int((chosen & ~same & ((member[a] == one) | (member[b] == one))).sum()) for one in np.unique(member)]
            for chosen in (near, np.ones_like(near))
        )
        crops = SimpleNamespace(identities=[None] if listed else people.tolist(), pairs=listed)
        assert judged(rows, crops, 1.2)[1] == pytest.approx(far_interval(passed, each))  # type: ignore[arg-type]


def test_it_is_said_how_the_faces_of_a_set_were_found() -> None:
    assert faces_of(CropParams("landmarks", 50), False) == "by landmarks that the set lists"
    assert faces_of(CropParams("landmarks", 50), True) == "by landmarks that the set lists, else by a detector"
    assert faces_of(CropParams("none", 50), False) == "in crops that the set has aligned already"
