"""Search and verification across two models, and distances to class centres, against naive loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from facedistill.crops.shards import PairRows
from facedistill.evaluation import cosine, retrieval
from facedistill.evaluation.centres import centre_distances
from facedistill.evaluation.cross_model import cross_view2, rank1
from facedistill.evaluation.pairs import embedding_distances, view2
from facedistill.evaluation.retrieval import nearest_neighbour_top1


def models(seed: int, n: int = 90, width: int = 6) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """A teacher, a student that is close to it but less sure, and who is seen."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 9, n)
    teacher = rng.normal(size=(9, width))[ids] + 0.5 * rng.normal(size=(n, width))
    student = 3 * teacher + 2 * rng.normal(size=(n, width))
    return torch.from_numpy(teacher), torch.from_numpy(student), ids


def distance(x: np.ndarray, y: np.ndarray) -> float:
    return 2 - 2 * float(x @ y) / math.sqrt(float(x @ x) * float(y @ y))


def some_pairs(ids: np.ndarray, seed: int, folds: int = 5, size: int = 24) -> PairRows:
    rng = np.random.default_rng(seed)
    a = rng.integers(0, len(ids), folds * size).astype(np.int32)
    twin = [rng.choice(np.flatnonzero((ids == ids[i]) == (k % 2 == 0))) for k, i in enumerate(a)]
    b = np.array(twin, np.int32)
    return PairRows(a, b, ids[a] == ids[b], np.repeat(np.arange(folds, dtype=np.int32), size))


class TestRank1:
    @pytest.mark.parametrize("seed", range(3))
    def test_equals_a_loop(self, seed: int) -> None:
        teacher, student, ids = models(seed)
        hits = 0
        for i, probe in enumerate(student.numpy()):
            others = [(distance(probe, g), j) for j, g in enumerate(teacher.numpy()) if j != i]
            hits += ids[min(others)[1]] == ids[i]
        assert rank1(student, teacher, ids) == pytest.approx(100 * hits / len(ids))
        assert 10 < rank1(student, teacher, ids) < 100

    def test_of_one_model_it_is_the_nearest_neighbour_top1(self) -> None:
        teacher, _, ids = models(4)
        unit = torch.nn.functional.normalize(teacher)
        assert rank1(teacher, teacher, ids) == nearest_neighbour_top1(unit, torch.from_numpy(ids))

    def test_it_is_the_space_that_counts_and_not_how_good_each_model_is(self) -> None:
        """The student is its teacher, turned: as good alone, and useless against the teacher's gallery."""
        teacher, _, ids = models(5, width=64)
        turned = teacher @ torch.linalg.qr(torch.randn(64, 64, generator=torch.Generator().manual_seed(0)).double()).Q
        assert rank1(turned, turned, ids) == rank1(teacher, teacher, ids) > 90
        assert rank1(turned, teacher, ids) < 40

    def test_blocks_and_the_length_of_embeddings_change_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        teacher, student, ids = models(6)
        whole = rank1(student, teacher, ids)
        monkeypatch.setattr(retrieval, "BLOCK_BYTES", 7 * 8 * retrieval.CANDIDATES * 6)
        assert rank1(student * torch.linspace(0.1, 50, 90)[:, None], teacher, ids) == whole

    def test_a_probe_never_meets_its_own_photograph(self) -> None:
        """Nearest of all to each probe is its own photograph; next to it stands a stranger."""
        degrees = torch.tensor([0.0, 10.0, 180.0, 190.0]).deg2rad().double()
        rows = torch.stack([degrees.cos(), degrees.sin()], dim=1)
        assert rank1(rows, rows, ["a", "b", "a", "b"]) == 0

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda t, s, i: (s[:, :4], t, i), r"same width; found .* \(90, 4\) and \(90, 6\)"),
            (lambda t, s, i: (s[:5], t, i), "same photographs"),
            (lambda t, s, i: (s, t, i[:-1]), "n = 90 >= 2"),
            (lambda t, s, i: (s[:1], t[:1], i[:1]), "n = 1 >= 2"),
            (lambda t, s, i: (s, t.where(torch.arange(90)[:, None] != 7, torch.inf), i), "embedding 7 has norm inf"),
        ],
        ids=["widths", "photographs", "identities", "one", "inf"],
    )
    def test_what_cannot_be_searched_is_an_error(self, change: Callable[..., Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            rank1(*change(*models(0)))


class TestCrossView2:
    def test_equals_view2_of_distances_from_a_loop(self) -> None:
        teacher, student, ids = models(0)
        pairs = some_pairs(ids, 0)
        d, same, folds = [], [], []
        for i, j, s, f in zip(pairs.a, pairs.b, pairs.same, pairs.fold, strict=True):
            d += [distance(student[i].numpy(), teacher[j].numpy()), distance(teacher[i].numpy(), student[j].numpy())]
            same += [s, s]
            folds += [f, f]
        expected = view2(d, np.array(same), np.array(folds))
        assert cross_view2(student, teacher, pairs).fold_accuracies == pytest.approx(expected.fold_accuracies)
        assert cross_view2(student, teacher, pairs).thresholds == pytest.approx(expected.thresholds)

    def test_neither_the_order_of_models_nor_that_of_photographs_counts(self) -> None:
        teacher, student, ids = models(1)
        pairs = some_pairs(ids, 1)
        swapped = PairRows(pairs.b, pairs.a, pairs.same, pairs.fold)
        result = cross_view2(student, teacher, pairs)
        assert cross_view2(teacher, student, pairs) == result == cross_view2(student, teacher, swapped)

    def test_of_one_model_it_is_view2(self) -> None:
        teacher, _, ids = models(2)
        pairs = some_pairs(ids, 2)
        alone = view2(embedding_distances(teacher.numpy(), pairs.a, pairs.b), pairs.same, pairs.fold)
        assert cross_view2(teacher, teacher, pairs) == alone

    def test_models_of_two_widths_are_an_error(self) -> None:
        teacher, student, ids = models(3)
        with pytest.raises(ValueError, match=r"\(90, 6\) and \(90, 5\)"):
            cross_view2(teacher, student[:, :5], some_pairs(ids, 3))


class TestCentreDistances:
    def test_equals_a_loop_whatever_the_block(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rng = np.random.default_rng(0)
        centres, labels = rng.normal(size=(7, 5)) * rng.uniform(0.1, 9, (7, 1)), rng.integers(0, 7, 40)
        points = centres[labels] + rng.normal(size=(40, 5))
        every = np.array([[distance(p, c) / 2 for c in centres] for p in points])
        monkeypatch.setattr(cosine, "BLOCK_BYTES", 8 * 7 * 9)
        own, other = centre_distances(*map(torch.from_numpy, (points, labels, centres)))
        np.testing.assert_allclose(own, every[np.arange(40), labels], atol=1e-12)
        np.testing.assert_allclose(
            other, [min(d for j, d in enumerate(row) if j != y) for row, y in zip(every, labels, strict=True)]
        )

    @pytest.mark.parametrize(
        ("points", "labels", "centres", "message"),
        [
            (torch.ones(2, 3), [0, 1], torch.eye(4), "3 wide and the centres 4"),
            (torch.ones(2, 3), [0, 3], torch.eye(3), "from 0 to 3, and there are 3"),
            (torch.ones(2, 3), [-1, 0], torch.eye(3), "from -1 to 0"),
            (torch.ones(2, 3), [0, 0], torch.ones(1, 3), "there are 1 centres"),
            (torch.ones(2, 3), [0], torch.eye(3), r"n = 2 >= 1, found \(1,\)"),
            (torch.ones(2, 3), [0, 1], torch.zeros(2, 3), "embedding 0 has norm 0"),
        ],
        ids=["widths", "label", "unknown", "one class", "lengths", "zero"],
    )
    def test_what_has_no_centre_is_an_error(
        self, points: torch.Tensor, labels: list[int], centres: torch.Tensor, message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            centre_distances(points, torch.tensor(labels), centres)
