"""TPR at a FAR, against scikit-learn's ROC curve, brute force and cases worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from facedistill.evaluation import cosine
from facedistill.evaluation.false_accepts import MIN_FALSE_ACCEPTS, TooFewNegatives, check_far
from facedistill.evaluation.operating_point import OperatingPoint, tpr_at_far, tpr_of_pairs
from facedistill.evaluation.pairs import UndefinedMetricError


def people(seed: int, n: int, count: int, spread: float = 1.0, width: int = 8) -> tuple[torch.Tensor, np.ndarray]:
    """Float32 embeddings of any length around one direction a person."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, count, n)
    rows = rng.normal(size=(count, width))[ids] + spread * rng.normal(size=(n, width))
    return torch.from_numpy((rows * rng.uniform(0.1, 10, (n, 1))).astype(np.float32)), ids


def pairs(embeddings: torch.Tensor, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(scores, same) of every pair, one at a time: float64 cosines, as float32."""
    rows = embeddings.numpy().astype(np.float64)
    scores, same = [], []
    for i, j in combinations(range(len(rows)), 2):
        scores.append(rows[i] @ rows[j] / math.sqrt((rows[i] @ rows[i]) * (rows[j] @ rows[j])))
        same.append(bool(ids[i] == ids[j]))
    return np.array(scores, np.float32), np.array(same)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(40, 90), far=st.sampled_from([0.01, 0.05, 0.29, 0.5]))
def test_equals_scikit_learns_roc_curve(seed: int, n: int, far: float) -> None:
    embeddings, ids = people(seed, n, 6)
    scores, same = pairs(embeddings, ids)
    fpr, tpr, _ = roc_curve(same, scores, drop_intermediate=False)
    result = tpr_at_far(embeddings, ids, far)
    assert result.tpr == pytest.approx(100 * tpr[fpr <= far].max())
    assert (result.positives, result.negatives) == (same.sum(), (~same).sum())
    given_pairs = tpr_of_pairs(scores, same, far)
    assert given_pairs.tpr == pytest.approx(result.tpr)
    assert (given_pairs.positives, given_pairs.negatives) == (result.positives, result.negatives)


def test_the_threshold_is_the_lowest_that_keeps_the_rate() -> None:
    """As the definition says it: above the threshold no more than FAR, from the threshold on already more."""
    embeddings, ids = people(0, 120, 10)
    scores, same = pairs(embeddings, ids)
    result = tpr_at_far(embeddings, ids, 0.001 * 7)
    assert np.mean(scores[~same] > result.threshold) <= 0.007 < np.mean(scores[~same] >= result.threshold)
    assert result.tpr == pytest.approx(100 * np.mean(scores[same] > result.threshold))
    assert 5 < result.tpr < 95


def test_case_worked_by_hand() -> None:
    """Three people on a circle; 8 · 8 · 3 impostor pairs, all at 120° but those of one stray photograph."""
    degrees = np.repeat([0.0, 120.0, 240.0], 8)
    degrees[0] = 60.0
    embeddings = torch.from_numpy(np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1))
    ids = np.repeat(["ann", "bob", "cy"], 8)
    # The stray stands 60° from its own seven and from Bob's eight: while eight are too many, both stay out.
    strict, lax = (tpr_at_far(embeddings, ids, far) for far in (7.5 / 192, 8.5 / 192))
    assert (strict.tpr, strict.threshold) == pytest.approx((100 * 77 / 84, 0.5))
    assert (strict.positives, strict.negatives) == (84, 192)
    assert lax.threshold == pytest.approx(-0.5)
    assert lax.tpr == 100


def test_blocks_and_the_order_of_photographs_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, ids = people(1, 150, 12)
    whole = tpr_at_far(embeddings, ids, 0.01)
    monkeypatch.setattr(cosine, "BLOCK_BYTES", 8 * 150 * 7)
    order = np.random.default_rng(0).permutation(150)
    assert tpr_at_far(embeddings, ids, 0.01) == whole
    assert tpr_at_far(embeddings[order], ids[order], 0.01) == whole


def test_a_collapsed_network_accepts_nobody() -> None:
    """All pairs tie, whatever float64 makes of their lengths: accepting one accepts all, the impostors too."""
    rng = np.random.default_rng(0)
    embeddings = torch.from_numpy(rng.normal(size=(1, 37)) * rng.uniform(0.1, 10, (200, 1)))
    assert tpr_at_far(embeddings, np.arange(200) % 20, 0.001).tpr == 0


def test_a_rate_that_is_a_whole_number_of_negatives_is_used_up() -> None:
    """0.29 · 100 is 28.999…96 in floating point; 29 of 100 impostors are no more than 0.29 of them all the same."""
    degrees = torch.from_numpy(np.concatenate([np.linspace(0, 50, 10), np.linspace(40, 97, 10)])).deg2rad()
    rows, ids = torch.stack([degrees.cos(), degrees.sin()], dim=1), np.repeat([0, 1], 10)
    scores, same = pairs(rows, ids)
    assert len(set(scores[~same])) == (~same).sum() == 100
    assert np.sum(scores[~same] > tpr_at_far(rows, ids, 0.29).threshold) == 29


def test_a_subset_is_judged_by_its_own_negatives() -> None:
    """Half of the photographs look alike: on the others, whose impostors are far apart, they must not set the bar."""
    rng = np.random.default_rng(3)
    ids = np.repeat(np.arange(20), 10)
    clear = rng.random(200) < 0.5
    rows = rng.normal(size=(20, 32))[ids] + 0.5 * rng.normal(size=(200, 32))
    rows[~clear] = 10 * rng.normal(size=32) + rng.normal(size=((~clear).sum(), 32))
    embeddings = torch.from_numpy(rows)
    assert tpr_at_far(embeddings[clear], ids[clear], 0.01).tpr > 99
    assert tpr_at_far(embeddings, ids, 0.01).tpr < 50


def test_a_rate_that_the_negatives_cannot_resolve_is_refused_with_the_numbers() -> None:
    """4 people of 25: 3750 impostor pairs, of which a thousandth is 3."""
    embeddings, _ = people(0, 100, 4)
    ids = np.arange(100) % 4
    with pytest.raises(TooFewNegatives, match=r"0\.001 on 3750 pairs.* allows 3 false accepts.* takes 5000 such pairs"):
        tpr_at_far(embeddings, ids, 0.001)
    tpr_at_far(embeddings, ids, MIN_FALSE_ACCEPTS / 3750)
    with pytest.raises(TooFewNegatives, match="on 0 pairs"):
        tpr_at_far(embeddings, np.zeros(100), 0.001)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e, i: (e, i, 0.0), "between 0 and 1, found 0"),
        (lambda e, i: (e, i, 1.0), "between 0 and 1, found 1"),
        (lambda e, i: (e, i[:-1], 0.1), r"found \(100, 8\) and \(99,\)"),
        (lambda e, i: (e[:, 0], i, 0.1), r"expected \(n, d\) embeddings"),
        (lambda e, i: (e, np.arange(100), 0.1), "100 photographs of 100 people"),
        (lambda e, i: (e * (torch.arange(100) != 4)[:, None], i, 0.1), "embedding 4 has norm 0"),
        (lambda e, i: (e.where(torch.arange(100)[:, None] != 6, torch.nan), i, 0.1), "embedding 6 has norm nan"),
    ],
    ids=["far 0", "far 1", "lengths", "shape", "nobody twice", "zero", "nan"],
)
def test_what_cannot_be_judged_is_an_error(change: Callable[..., Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tpr_at_far(*change(*people(0, 100, 10)))


def test_the_pairs_of_a_protocol_judge_for_themselves() -> None:
    """LFW's 3,000 different pairs resolve no FAR of 0.1 %; of equal cosines none or all are accepted."""
    same = np.arange(6000) % 2 == 0
    cosines = np.where(same, np.arange(6000) / 6000, 0.5)
    found = tpr_of_pairs(cosines, same, 0.01)
    assert found == OperatingPoint(found.tpr, 0.5, 3000, 3000)
    assert found.tpr == pytest.approx(100 * 1499 / 3000)
    with pytest.raises(TooFewNegatives, match=r"on 3000 pairs .* 3 false accepts.*evaluation\.far to 0\.00168 or more"):
        tpr_of_pairs(cosines, same, 0.001)
    tpr_of_pairs(cosines, same, 0.00168)
    with pytest.raises(TooFewNegatives, match=r"5000 such pairs$"):
        tpr_of_pairs(cosines[:8], same[:8], 0.001)
    with pytest.raises(UndefinedMetricError, match="none of 6000 pairs is of one person"):
        tpr_of_pairs(cosines, np.zeros(6000, np.bool_), 0.01)
    for wrong in ((cosines[:-1], same), (cosines, same.astype(int))):
        with pytest.raises(ValueError, match="cosines and"):
            tpr_of_pairs(*wrong, 0.01)


def test_a_set_that_cannot_resolve_the_far_is_refused_before_anything_trains(tmp_path: Path) -> None:
    people = ["a"] * 20 + ["b"] * 30
    pq.write_table(pa.table({"identity": people}), tmp_path / "manifest.parquet")
    check_far(tmp_path, 5 / 600)
    with pytest.raises(TooFewNegatives, match=r"params.yaml: evaluation\.far and datasets\..* 600 pairs"):
        check_far(tmp_path, 5 / 601)
    # Where a photograph's person is unknown, over the given pairs.
    pq.write_table(pa.table({"identity": [*people, None]}), tmp_path / "manifest.parquet")
    pq.write_table(pa.table({"same": [True] * 100 + [False] * 50}), tmp_path / "pairs.parquet")
    check_far(tmp_path, 0.1)
    with pytest.raises(TooFewNegatives, match="50 pairs of two people allows 4 false accepts"):
        check_far(tmp_path, 0.09)
