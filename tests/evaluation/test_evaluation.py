"""The metrics of the tables, against naive loops, scikit-learn and cases worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve
from sklearn.neighbors import NearestNeighbors

from facedistill.evaluation import retrieval
from facedistill.evaluation.classification import answers, top1
from facedistill.evaluation.landmarks import mean_shape, nme, nrmse, nrmse_per_image
from facedistill.evaluation.pairs import embedding_distances, roc, view2
from facedistill.evaluation.retrieval import nearest_neighbour_top1


def random_pairs(seed: int, folds: int = 10, size: int = 24) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Half genuine, distances rounded so that many tie."""
    rng = np.random.default_rng(seed)
    same = np.tile([True, False], folds * size // 2)
    return np.round(rng.normal(1.2 - 0.5 * same, 0.35), 2).clip(0), same, np.repeat(np.arange(folds), size)


class TestView2:
    @pytest.mark.parametrize("seed", range(3))
    def test_equals_trying_every_threshold_in_a_loop(self, seed: int) -> None:
        d, same, folds = random_pairs(seed)
        expected = []
        for fold in range(10):
            rest, held_out = folds != fold, folds == fold
            values = sorted(set(d[rest]))
            candidates = [
                values[0] - 1,
                *((x + y) / 2 for x, y in pairwise(values)),
                values[-1] + 1,
            ]
            best, right = None, -1
            for threshold in candidates:
                score = sum((x <= threshold) == s for x, s in zip(d[rest], same[rest], strict=True))
                if score > right:
                    best, right = threshold, score
            expected.append(100 * sum((x <= best) == s for x, s in zip(d[held_out], same[held_out], strict=True)) / 24)
        result = view2(d, same, folds)
        assert result.fold_accuracies == pytest.approx(expected)
        assert result.accuracy == pytest.approx(np.mean(expected))
        assert result.fold_std == pytest.approx(math.sqrt(sum((x - np.mean(expected)) ** 2 for x in expected) / 9))
        assert result.standard_error == pytest.approx(result.fold_std / math.sqrt(10))

    def test_case_worked_by_hand(self) -> None:
        """Fold 1 is parted at 0.5, wrong for half of fold 2; fold 2 is parted at 0.25, wrong for one pair of fold 1."""
        d = [0.1, 0.4, 0.6, 0.9, 0.1, 0.2, 0.3, 0.45]
        same = [True, True, False, False] * 2
        result = view2(d, np.array(same), np.repeat([1, 2], 4))
        assert result.thresholds == pytest.approx((0.25, 0.5))
        assert result.fold_accuracies == pytest.approx((75, 50))
        assert result.accuracy == pytest.approx(62.5)
        assert result.fold_std == pytest.approx(25 / math.sqrt(2))
        assert result.standard_error == pytest.approx(12.5)

    def test_the_held_out_fold_never_moves_its_own_threshold(self) -> None:
        d, same, folds = random_pairs(0)
        before = view2(d, same, folds)
        d[folds == 3] = 10 * d[folds == 3] + 5
        after = view2(d, same, folds)
        assert after.thresholds[3] == before.thresholds[3]
        assert after.fold_accuracies[3] == 50

    def test_equally_good_thresholds_give_the_lowest(self) -> None:
        """Genuine at 0 and 2, impostors at 1 and 3: cutting at 0.5 and at 2.5 are both right three times in four."""
        d = [0.0, 1.0, 2.0, 3.0] * 2
        result = view2(d, np.array([True, False, True, False] * 2), np.repeat([0, 1], 4))
        assert result.thresholds == (0.5, 0.5)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda d, s, f: (np.where(np.arange(240) == 7, np.nan, d), s, f), "distance of pair 7 is nan"),
            (lambda d, s, f: (d, s, np.where(f == 4, 5, f)), "fold 4 has no pairs"),
            (lambda d, s, f: (d, s, np.zeros_like(f)), "one fold only"),
            (lambda d, s, f: (d, np.ones_like(s), f), "all show one person, or all show two"),
            (lambda d, s, f: (d, s.astype(int), f), "bool"),
            (lambda d, s, f: (d, s, f[:-1]), "folds: expected"),
        ],
        ids=["nan", "empty fold", "one fold", "one class", "same not bool", "lengths"],
    )
    def test_what_cannot_be_judged_is_an_error(self, change: Callable[..., Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            view2(*change(*random_pairs(0)))


class TestRoc:
    @pytest.mark.parametrize("seed", range(3))
    def test_equals_scikit_learn(self, seed: int) -> None:
        d, same, _ = random_pairs(seed)
        far, tpr, thresholds = roc(d, same)
        expected_far, expected_tpr, _ = roc_curve(same, -d, drop_intermediate=False)
        np.testing.assert_allclose(far, expected_far)
        np.testing.assert_allclose(tpr, expected_tpr)
        np.testing.assert_allclose(tpr, [np.mean(d[same] <= t) for t in thresholds])

    def test_one_class_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="2 same and 0 different"):
            roc([0.1, 0.2], np.array([True, True]))


class TestEmbeddingDistances:
    def test_is_two_minus_two_cosines_whatever_the_length(self) -> None:
        rng = np.random.default_rng(0)
        e = rng.normal(size=(6, 5)) * rng.uniform(0.1, 50, size=(6, 1))
        a, b = [0, 1, 2, 3], [5, 4, 2, 0]
        cosines = [e[i] @ e[j] / np.linalg.norm(e[i]) / np.linalg.norm(e[j]) for i, j in zip(a, b, strict=True)]
        np.testing.assert_allclose(embedding_distances(e, a, b), [2 - 2 * c for c in cosines], atol=1e-12)

    def test_a_zero_embedding_is_named(self) -> None:
        with pytest.raises(ValueError, match="embedding 1 has norm 0"):
            embedding_distances([[1.0, 0.0], [0.0, 0.0]], [0], [1])


def naive_top1(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """Every difference in float64; the first of equal distances."""
    hits = 0
    for i, query in enumerate(embeddings.astype(np.float64)):
        distances = ((embeddings.astype(np.float64) - query) ** 2).sum(axis=1)
        distances[i] = np.inf
        hits += labels[distances.argmin()] == labels[i]
    return 100 * hits / len(labels)


class TestNearestNeighbour:
    @settings(max_examples=40, deadline=None)
    @given(
        seed=st.integers(0, 2**32 - 1),
        n=st.integers(2, 90),
        spread=st.sampled_from([1e-3, 1.0, 1e3]),
        offset=st.sampled_from([0.0, 100.0]),
    )
    def test_equals_the_naive_loop_in_float64(self, seed: int, n: int, spread: float, offset: float) -> None:
        """Far from the origin and close together is where |x|² - 2xy + |y|² in float32 loses every digit."""
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 7, n)
        embeddings = (offset + spread * (rng.normal(size=(7, 16))[labels] + rng.normal(size=(n, 16)))).astype(
            np.float32
        )
        assert nearest_neighbour_top1(torch.from_numpy(embeddings), torch.from_numpy(labels)) == naive_top1(
            embeddings, labels
        )

    def test_equals_scikit_learn(self) -> None:
        rng = np.random.default_rng(1)
        labels = rng.integers(0, 20, 500)
        embeddings = (rng.normal(size=(20, 32))[labels] * 0.4 + rng.normal(size=(500, 32))).astype(np.float32)
        nearest = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(embeddings).kneighbors(embeddings)[1][:, 1]
        expected = 100 * np.mean(labels[nearest] == labels)
        assert nearest_neighbour_top1(torch.from_numpy(embeddings), torch.from_numpy(labels)) == pytest.approx(expected)
        assert 20 < expected < 80

    def test_blocks_give_the_same_as_one_piece(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rng = np.random.default_rng(2)
        labels = torch.from_numpy(rng.integers(0, 5, 101))
        embeddings = torch.from_numpy(rng.normal(size=(101, 8)).astype(np.float32))
        whole = nearest_neighbour_top1(embeddings, labels)
        monkeypatch.setattr(retrieval, "BLOCK_BYTES", 7 * 8 * retrieval.CANDIDATES * 8)
        assert nearest_neighbour_top1(embeddings, labels) == whole

    def test_never_itself_but_a_duplicate_may_be_and_a_lone_sample_misses(self) -> None:
        embeddings = torch.tensor([[0.0, 0.0], [0.0, 0.0], [5.0, 5.0]])
        assert nearest_neighbour_top1(embeddings, torch.tensor([1, 1, 2])) == pytest.approx(200 / 3)

    def test_where_float32_overflows_float64_decides(self) -> None:
        embeddings = 1e25 * torch.tensor([[0.0, 1.0], [3.0, 1.0], [3.5, 1.0], [0.0, 1.2]])
        assert nearest_neighbour_top1(embeddings, torch.tensor([1, 2, 2, 1])) == 100

    def test_float32_decides_where_it_can_and_float64_where_it_cannot(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The second is farther by less than a float32 tells: the scan alone takes the wrong one."""
        far = 4096.0
        line = torch.tensor([[0.0], [far], [-far + 2**-20], [3 * far], [-3 * far]], dtype=torch.float64)
        labels = torch.tensor([1, 2, 1, 3, 3])
        assert nearest_neighbour_top1(line, labels) == 20 * 2
        monkeypatch.setattr(retrieval, "ROUNDING", -1.0)
        assert nearest_neighbour_top1(line, labels) != 20 * 2

    def test_of_equal_distances_the_lowest_row_wins(self) -> None:
        line = torch.tensor([[-1.0], [0.0], [1.0]])
        assert nearest_neighbour_top1(line, torch.tensor([3, 3, 8])) == pytest.approx(200 / 3)
        assert nearest_neighbour_top1(line, torch.tensor([8, 3, 3])) == pytest.approx(100 / 3)

    @pytest.mark.parametrize(
        ("embeddings", "message"),
        [
            (torch.zeros(1, 3), "one photograph alone"),
            (torch.zeros(3), "n >= 2"),
            (torch.tensor([[0.0], [math.nan]]), "embedding 1 is not finite"),
        ],
    )
    def test_what_has_no_neighbour_is_an_error(self, embeddings: torch.Tensor, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            nearest_neighbour_top1(embeddings, torch.zeros(len(embeddings), dtype=torch.long))


TRUE = np.array([[[30, 40], [70, 40], [50, 60], [35, 80], [65, 80]]], dtype=float)
"""Eyes 40 pixels apart."""


class TestLandmarks:
    def test_case_worked_by_hand(self) -> None:
        """One point 3-4-5 off, four exact: sqrt(25 / 5) / 40 and (5 / 5) / 40."""
        predicted = TRUE.copy()
        predicted[0, 2] += [3, -4]
        assert nrmse(predicted, TRUE) == pytest.approx(100 * math.sqrt(5) / 40)
        assert nme(predicted, TRUE) == pytest.approx(100 / 40)

    def test_equals_a_loop(self) -> None:
        rng = np.random.default_rng(0)
        true = TRUE + rng.normal(0, 5, size=(20, 5, 2))
        predicted = true + rng.normal(0, 3, size=true.shape)
        errors = []
        for p, t in zip(predicted, true, strict=True):
            eyes = math.dist(t[0], t[1])
            errors.append(100 * math.sqrt(sum(math.dist(a, b) ** 2 for a, b in zip(p, t, strict=True)) / 5) / eyes)
        np.testing.assert_allclose(nrmse_per_image(predicted, true), errors)
        assert nrmse(predicted, true) == pytest.approx(np.mean(errors))
        assert nme(predicted, true) < nrmse(predicted, true)

    def test_the_size_of_the_photograph_does_not_matter(self) -> None:
        predicted = np.add(TRUE, [1, 2])
        assert nrmse(3 * predicted, 3 * TRUE) == pytest.approx(nrmse(predicted, TRUE))

    def test_eyes_on_one_point_name_the_row(self) -> None:
        true = np.repeat(TRUE, 3, axis=0)
        true[2, 1] = true[2, 0]
        with pytest.raises(ValueError, match="row 2: the true eyes lie on one point"):
            nrmse(true + 1, true)

    def test_a_prediction_that_is_not_finite_names_the_row(self) -> None:
        with pytest.raises(ValueError, match=r"row 0: .*not finite"):
            nme(np.where(TRUE == 60, np.nan, TRUE), TRUE)

    def test_mean_shape_is_the_mean_of_the_training_landmarks_for_every_image(self) -> None:
        train = np.concatenate([TRUE, np.add(TRUE, [2, 4])]) / 100
        np.testing.assert_allclose(mean_shape(train, 3), np.repeat(np.add(TRUE, [1, 2]) / 100, 3, axis=0))
        with pytest.raises(ValueError, match="training landmarks"):
            mean_shape(train[:0], 3)


class TestTop1:
    def test_counts_the_largest_logit_and_of_equal_ones_the_lowest_class(self) -> None:
        answered = answers(torch.tensor([[1.0, 2.0, 0.0], [5.0, 4.0, 3.0], [0.0, 2.0, 2.0]]))
        assert answered.tolist() == [1, 0, 1]
        assert top1(answered, [1, 2, 1]) == pytest.approx(200 / 3)

    @pytest.mark.parametrize(
        ("logits", "labels", "message"),
        [
            ([[1.0, math.nan]], [1], "sample 0 are not finite"),
            ([[1.0, 2.0], [math.inf, 2.0]], [1, 0], "sample 1 are not finite"),
            ([[1.0, 2.0]], [-1], "labels start from 0, found -1"),
            ([[1.0, 2.0]], [0, 1], "expected"),
            ([1.0, 2.0], [0, 1], "expected"),
        ],
    )
    def test_what_cannot_be_judged_is_an_error(self, logits: list[Any], labels: list[int], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            top1(answers(torch.tensor(logits)), labels)


def test_landmarks_return_to_the_photograph_each_by_its_own_matrix() -> None:
    from facedistill.crops.align import invert, transform
    from facedistill.evaluation.landmarks import to_original

    rng = np.random.default_rng(0)
    matrices = np.concatenate([rng.normal(size=(6, 2, 2)) + 2 * np.eye(2), rng.normal(size=(6, 2, 1))], axis=2)
    points = rng.uniform(0, 100, (6, 5, 2))
    crops = np.stack([transform(p, m) for p, m in zip(points, matrices, strict=True)])
    back = to_original(crops, np.stack([invert(m) for m in matrices]))
    assert np.abs(back - points).max() < 1e-3
