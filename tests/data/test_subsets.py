"""Which photographs are frontal, turned or unevenly lit, and that there are enough of each."""

from __future__ import annotations

import numpy as np
import pytest

from facedistill.data.synthetic import attributes, view
from facedistill.evaluation.false_accepts import MIN_FALSE_ACCEPTS
from facedistill.evaluation.subsets import FRONTAL_DEGREES, LIGHT_DEGREES, LIGHT_RATIO, subsets


def lfw(people: int, photographs: int, difficulty: float = 1.0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Attributes of the drawn test set of unseen people, as its crops have them, and who is seen."""
    rows = [attributes(view(0, 100_000 + i, j, difficulty)) for i in range(people) for j in range(photographs)]
    columns = {name: np.array([row[name] for row in rows], np.float32) for name in rows[0]}
    return columns, np.repeat(np.arange(people), photographs)


@pytest.mark.parametrize(("people", "photographs"), [(40, 8), (200, 12)], ids=["params.yaml", "synthetic-claims.yaml"])
def test_each_subset_resolves_a_far_of_a_thousandth(people: int, photographs: int) -> None:
    """With room to spare: a photograph that cannot be used must not take a column out of a table."""
    columns, ids = lfw(people, photographs)
    masks = subsets(columns)
    assert list(masks) == ["frontal", "pose", "lighting"]
    for mask in masks.values():
        counts = np.bincount(ids[mask])
        positives = int((counts * (counts - 1) // 2).sum())
        assert mask.sum() * (mask.sum() - 1) // 2 - positives >= 1.5 * MIN_FALSE_ACCEPTS / 0.001
        assert positives >= 100


def test_masks_are_what_the_views_say() -> None:
    """By the rotated head's own axis and the light's own vector, not by the angles' cosines."""
    columns, _ = lfw(20, 4)
    masks = subsets(columns)
    for i in range(80):
        v = view(0, 100_000 + i // 4, i % 4)
        turned = np.degrees(np.arccos(v.rotation()[2, 2]))
        off = np.degrees(np.arccos(v.light()[2]))
        assert masks["frontal"][i] == (turned <= FRONTAL_DEGREES)
        assert masks["pose"][i] == (turned > FRONTAL_DEGREES)
        assert masks["lighting"][i] == (off > LIGHT_DEGREES and v.key / v.ambient > LIGHT_RATIO)


def test_a_studio_portrait_is_frontal_and_evenly_lit() -> None:
    masks = subsets(lfw(5, 2, difficulty=0)[0])
    assert masks["frontal"].all()
    assert not masks["pose"].any()
    assert not masks["lighting"].any()


def test_unknown_angles_are_in_no_subset_and_a_set_without_them_has_none() -> None:
    columns, _ = lfw(2, 2)
    unknown = {name: np.full_like(column, np.nan) for name, column in columns.items()}
    assert not any(mask.any() for mask in subsets(unknown).values())
    assert subsets({}) == {}
    assert subsets({"yaw": columns["yaw"]}) == {}
