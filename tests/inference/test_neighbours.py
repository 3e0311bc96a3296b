"""The search of a gallery gives what a whole product gives, in little memory, with an index of FAISS as without."""

from __future__ import annotations

import tracemalloc
from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray

from facedistill.inference import neighbours
from facedistill.inference.neighbours import Index, Neighbours


@pytest.fixture(params=["exact", "faiss"])
def index(request: pytest.FixtureRequest) -> Index:
    if request.param == "faiss":
        pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    found: Index = request.param
    return found


def rows(count: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    found = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def naive(probe: NDArray[np.float32], gallery: NDArray[np.float32]) -> list[tuple[int, float]]:
    """The definition, one row at a time."""
    unit = probe.astype(np.float64) / np.sqrt((probe.astype(np.float64) ** 2).sum())
    found = []
    for i, row in enumerate(gallery.astype(np.float64)):
        found.append((float(((row / np.sqrt((row**2).sum()) - unit) ** 2).sum()), i))
    return [(i, distance) for distance, i in sorted(found)]


def same(found: list[tuple[int, float]], expected: list[tuple[int, float]]) -> None:
    assert [row for row, _ in found] == [row for row, _ in expected]
    np.testing.assert_allclose([d for _, d in found], [d for _, d in expected], atol=1e-12)


@pytest.mark.parametrize(("count", "width"), [(1, 4), (5, 1), (300, 16), (2000, 128)])
def test_all_rows_come_in_the_order_of_their_distances(
    count: int, width: int, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "FIRST", 3)
    monkeypatch.setattr(neighbours, "BLOCK", 64)
    gallery = rows(count, width)
    if width == 1:  # all distances are 0 or 4: ties come in the order of the rows
        gallery = np.array([[1], [-1], [1], [-1], [1]], np.float32)
    found = Neighbours(gallery, index)
    for probe in rows(3, width, seed=1):
        same(list(found.nearest(probe)), naive(probe, gallery))


def test_a_photograph_that_is_there_often_comes_in_the_order_of_the_rows(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copies are more than are compared at first, and equal in every digit."""
    monkeypatch.setattr(neighbours, "FIRST", 4)
    gallery = rows(500, 32)
    copies = [7, 60, 61, 199, 333, 402, 498, 499]
    gallery[copies] = gallery[7]
    found = list(islice(Neighbours(gallery, index).nearest(gallery[7]), len(copies)))
    assert [row for row, _ in found] == copies
    assert len({distance for _, distance in found}) == 1


def test_rows_that_differ_by_less_than_float32_tells_are_in_order(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their scores in float32 are one number or in a wrong order, so only the comparison in float64 is right."""
    monkeypatch.setattr(neighbours, "FIRST", 8)
    probe = rows(1, 64)[0]
    noise = np.random.default_rng(2).standard_normal((400, 64)).astype(np.float32)
    gallery = probe + np.float32(2e-4) * noise
    scores = gallery @ probe
    expected = naive(probe, gallery)
    assert np.argsort(-scores, kind="stable")[:50].tolist() != [row for row, _ in expected[:50]]
    same(list(islice(Neighbours(gallery, index).nearest(probe), 50)), expected[:50])


def test_rows_of_half_precision_need_not_have_length_one(index: Index) -> None:
    gallery = (rows(300, 16) * np.linspace(0.5, 2, 300)[:, None]).astype(np.float16).astype(np.float32)
    probe = 3 * rows(1, 16, seed=1)[0]
    same(list(Neighbours(gallery, index).nearest(probe)), naive(probe, gallery))


def test_the_search_of_many_rows_needs_little_memory_beyond_them() -> None:
    """A product in float64 would need twice the memory of the rows, and more for their copies of length one."""
    gallery = rows(200_000, 64)
    tracemalloc.start()
    try:
        first = next(Neighbours(gallery).nearest(gallery[123]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert first[0] == 123
    assert peak < 0.4 * gallery.nbytes
