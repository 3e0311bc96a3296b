"""Splits are disjoint, stratified and stable, and a manifest returns every photograph."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facedistill.crops import DataError
from facedistill.data import manifest
from facedistill.data.dataset import SplitParams
from facedistill.data.photograph import Pair, Photograph
from facedistill.data.split import held_out

BY_IMAGE, BY_GROUP = SplitParams("image", 0.2), SplitParams("group", 0.2)


def people(counts: list[int]) -> tuple[list[str], list[str]]:
    """Identities, and a key for each photograph."""
    rows = [(f"p{k}", f"p{k}/{i}") for k, n in enumerate(counts) for i in range(n)]
    return [identity for identity, _ in rows], [key for _, key in rows]


def test_a_fifth_of_everybody_is_held_out() -> None:
    counts = np.random.default_rng(0).integers(1, 40, 500).tolist()
    identities, keys = people(counts)
    test = held_out(identities, keys, 0.2, seed=0)
    taken = Counter(identity for identity, t in zip(identities, test, strict=True) if t)
    for k, n in enumerate(counts):
        assert (taken[f"p{k}"] == 0) if n == 1 else (max(1, n // 5) <= taken[f"p{k}"] <= n // 5 + 1)
    assert abs(test.mean() - 0.2) < 0.01


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(0, 5), st.floats(0.05, 0.95))
def test_everybody_with_two_photographs_is_on_both_sides(counts: list[int], seed: int, share: float) -> None:
    identities, keys = people(counts)
    test = held_out(identities, keys, share, seed)
    for k, n in enumerate(counts):
        sides = {bool(t) for identity, t in zip(identities, test, strict=True) if identity == f"p{k}"}
        assert sides == ({False} if n == 1 else {False, True})


@given(st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=5), min_size=1, max_size=5), st.floats(0.05, 0.95))
def test_a_group_is_never_on_both_sides(sizes: list[list[int]], share: float) -> None:
    rows = [
        (f"p{k}", f"p{k} clip {g}") for k, groups in enumerate(sizes) for g, n in enumerate(groups) for _ in range(n)
    ]
    identities, units = map(list, zip(*rows, strict=True))
    test = held_out(identities, units, share, seed=3)
    assert all(len(sides) == 1 for sides in gather(units, test).values())
    for k, groups in enumerate(sizes):
        assert gather(identities, test)[f"p{k}"] == ({False} if len(groups) == 1 else {False, True})


def test_a_group_of_several_people_stays_together_too() -> None:
    """A video that shows two people."""
    identities = [f"p{i // 3 % 30}" for i in range(600)]
    units = [f"clip {i // 10}" if i % 3 else f"alone {i}" for i in range(600)]
    test = held_out(identities, units, 0.2, seed=0)
    assert all(len(sides) == 1 for sides in gather(units, test).values())
    assert all(sides == {False, True} for sides in gather(identities, test).values())
    assert abs(test.mean() - 0.2) < 0.1


def gather(names: list[str], test: np.ndarray) -> dict[str, set[bool]]:
    sides: dict[str, set[bool]] = {}
    for name, t in zip(names, test, strict=True):
        sides.setdefault(name, set()).add(bool(t))
    return sides


def test_a_split_is_the_same_in_any_order_and_beside_new_people() -> None:
    identities, keys = people([12, 3, 7, 25])
    test = dict(zip(keys, held_out(identities, keys, 0.2, seed=5), strict=True))
    order = np.random.default_rng(0).permutation(len(keys))
    shuffled = held_out([identities[i] for i in order], [keys[i] for i in order], 0.2, seed=5)
    assert test == dict(zip([keys[i] for i in order], shuffled, strict=True))
    more, more_keys = people([12, 3, 7, 25, 9, 30])
    assert test.items() <= dict(zip(more_keys, held_out(more, more_keys, 0.2, seed=5), strict=True)).items()
    other = held_out(identities, keys, 0.2, seed=6)
    assert test != dict(zip(keys, other, strict=True))


def test_the_split_of_a_seed_is_written_in_stone() -> None:
    """Another machine, Python or numpy must give these very rows: results are compared across them."""
    identities, keys = people([5, 5, 5, 5])
    assert np.flatnonzero(held_out(identities, keys, 0.2, seed=0)).tolist() == [2, 8, 13, 16]


def photographs() -> list[Photograph]:
    rng = np.random.default_rng(0)
    points = rng.random((5, 2), np.float32) * 100
    return [
        Photograph("b/1.jpg", "b", points, (1.0, 2.0, 3.0, 4.0), "clip 1", {"yaw": -12.5}),
        Photograph("b/2.jpg", "b", None, None, "clip 1", {"yaw": 3.0, "light": 0.5}),
        Photograph("b/3.jpg", "b", None, None, "clip 2"),
        Photograph("a/1.jpg", "a", points + 1),
        Photograph("ä/1.jpg", "ä", points),
        Photograph("a/2.jpg", "a"),
    ]


@pytest.mark.parametrize("chunk", [2, 100])
def test_a_manifest_gives_back_its_photographs(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(manifest, "CHUNK", chunk)
    table = manifest.build(photographs(), BY_IMAGE, seed=0)
    for given_, found in zip(photographs(), manifest.photographs(table), strict=True):
        assert (found.landmarks is None) == (given_.landmarks is None)
        if given_.landmarks is not None:
            np.testing.assert_array_equal(found.landmarks, given_.landmarks)
        for name in ("key", "identity", "box", "group", "attributes"):
            assert getattr(found, name) == getattr(given_, name)


def test_labels_count_the_sorted_people_of_the_training_side() -> None:
    table = manifest.build(photographs(), BY_IMAGE, seed=0)
    assert manifest.classes(table) == ["a", "b", "ä"]
    assert table["label"].to_pylist() == [1, 1, 1, 0, 2, 0]
    sides = list(zip(table["identity"].to_pylist(), table["split"].to_pylist(), strict=True))
    assert {s for i, s in sides if i == "a"} == {"train", "test"}
    assert {s for i, s in sides if i == "ä"} == {"train"}
    unsplit = manifest.build(photographs(), None, seed=0)
    assert set(unsplit["split"].to_pylist()) == {"test"}
    assert set(unsplit["label"].to_pylist()) == {-1}
    assert manifest.classes(unsplit) == []


def test_a_validation_split_never_shows_a_test_photograph() -> None:
    split = SplitParams("image", 0.25)
    sides = manifest.build(photographs(), split, seed=0)
    chosen = manifest.build(photographs(), replace(split, validation=True), seed=0)

    def keys(table: pa.Table, side: str) -> set[str]:
        return {key for key, s in zip(table["key"].to_pylist(), table["split"].to_pylist(), strict=True) if s == side}

    assert keys(chosen, "train") | keys(chosen, "test") == keys(sides, "train")
    assert keys(chosen, "test")


def test_a_split_by_group_needs_groups() -> None:
    with pytest.raises(DataError, match=r"split.by is group"):
        manifest.build([Photograph("a/1.jpg", "a"), Photograph("a/2.jpg", "a")], BY_GROUP, seed=0)
    sides = manifest.build(photographs(), BY_GROUP, seed=0)["split"].to_pylist()
    assert sides[0] == sides[1] != sides[2]


def test_the_same_manifest_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        manifest.write(manifest.build(photographs(), BY_IMAGE, seed=0), tmp_path / name)
        manifest.write(manifest.pairs_table([Pair("a/1.jpg", "a/2.jpg", True, 0)]), tmp_path / f"{name}.pairs")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a.pairs").read_bytes() == (tmp_path / "b.pairs").read_bytes()
