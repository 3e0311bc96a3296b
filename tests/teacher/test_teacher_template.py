"""Crops are moved from one template to another by one similarity: points land on points, and pixels on pixels."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facedistill.crops.align import TEMPLATE, similarity, transform
from facedistill.crops.align import warp as cut
from facedistill.teacher.template import DLIB, Template, between, points, warp


def five(values: NDArray[np.float64]) -> Any:
    """Points in the form of a parameter."""
    return tuple(map(tuple, values.tolist()))


def blobs(at: NDArray[np.float64], side: int, width: float = 3) -> NDArray[np.uint8]:
    """A (side, side, 3) crop that is dark but for a round spot at each point."""
    y, x = np.mgrid[:side, :side]
    spots = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * width**2)) for px, py in at]
    return np.repeat((250 * np.max(spots, axis=0)).round().astype(np.uint8)[..., None], 3, axis=2)


def centre(crop: NDArray[np.uint8], near: NDArray[np.float64], reach: int = 9) -> NDArray[np.float64]:
    """The centre of brightness around a point."""
    y, x = np.mgrid[: len(crop), : len(crop)]
    weight = crop[..., 0] * (np.hypot(x - near[0], y - near[1]) < reach)
    found: NDArray[np.float64] = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
    return found


def test_a_named_template_is_scaled_about_the_corner_of_the_crop_not_the_centre_of_its_first_pixel() -> None:
    """By hand: at twice the side a pixel becomes two, whose centres are a quarter of it to both sides."""
    assert points("dlib", 300)[0] == pytest.approx([2 * 46.9 + 0.5, 2 * 47.2 + 0.5])
    np.testing.assert_array_equal(points("dlib", 150), DLIB)
    np.testing.assert_array_equal(points("arcface", 112), TEMPLATE)
    np.testing.assert_allclose(between("arcface", 56, "arcface", 112), [[2, 0, 0.5], [0, 2, 0.5]], atol=1e-12)


def test_the_similarity_is_exact_where_there_is_one_and_the_nearest_elsewhere() -> None:
    turned = (TEMPLATE - 56) @ [[0.96, 0.28], [-0.28, 0.96]] * 0.8 + [60, 50]
    matrix = between("arcface", 112, five(turned), 112)
    np.testing.assert_allclose(transform(TEMPLATE, matrix), turned, atol=1e-4)
    np.testing.assert_allclose(matrix[:, :2], [[0.768, -0.224], [0.224, 0.768]], atol=1e-9)
    nearest = between("arcface", 112, "dlib", 150)
    left = np.linalg.norm(transform(TEMPLATE, nearest) - DLIB)
    for moved in (nearest + np.eye(2, 3, 2) / 5, nearest * 1.01, nearest @ np.diag([0.99, 1.01, 1])):
        assert np.linalg.norm(transform(TEMPLATE, moved) - DLIB) > left
    # The two templates are of differently proportioned faces: the nose is further from the eyes by two pixels of 150.
    assert np.linalg.norm(transform(TEMPLATE, nearest) - DLIB, axis=1).max() == pytest.approx(2.6, abs=0.1)


@pytest.mark.parametrize(
    ("template", "side", "other", "other_side"),
    [
        ("arcface", 112, "dlib", 150),
        ("arcface", 48, "dlib", 150),
        ("dlib", 150, "arcface", 112),
        ("dlib", 150, "arcface", 64),
    ],
)
def test_points_land_on_points(template: Template, side: int, other: Template, other_side: int) -> None:
    matrix = between(template, side, other, other_side)
    expected = transform(points(template, side), matrix)
    for at, target in zip(points(template, side), expected, strict=True):
        (moved,) = warp(blobs(at[None], side, side / 60)[None], matrix, other_side)
        assert moved.shape == (other_side, other_side, 3)
        assert centre(moved, target) == pytest.approx(target, abs=0.1)


def test_a_warp_worked_by_hand() -> None:
    """Columns 0, 100, 200, 200 shifted by half a pixel: Keys' cubic with −0.75 has the weights −3/32, 19/32 twice."""
    crop = np.tile(np.array([0, 100, 200, 200], np.uint8)[None, :, None], (4, 1, 3))
    (moved,) = warp(crop[None], np.array([[1, 0, -0.5], [0, 1, 0]]), 4)
    # Between 100 and 200: (−3·0 + 19·100 + 19·200 − 3·200) / 32. Outside, the last column is repeated.
    expected = [(19 * 0 + 19 * 100 - 3 * 0 - 3 * 200) / 32, (19 * 100 + 19 * 200 - 3 * 200) / 32]
    expected += [(-3 * 100 + 38 * 200 - 3 * 200) / 32, 200]
    assert moved[2, :, 1].tolist() == [round(value) for value in expected]


def test_nothing_moves_if_both_templates_are_the_same() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    np.testing.assert_array_equal(warp(crops, between("arcface", 112, "arcface", 112), 112), crops)
    assert warp(crops[:0], between("arcface", 112, "dlib", 150), 150).shape == (0, 150, 150, 3)


def test_a_coarser_crop_does_not_alias() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), 56)[None, :, None] * np.ones((112, 1, 3), np.uint8)
    (moved,) = warp(stripes[None], between("arcface", 112, "arcface", 40), 40)
    assert np.abs(moved[:, 1:-1].astype(int) - 127).max() < 45
    (halved,) = warp(stripes[None], between("arcface", 112, "arcface", 56), 56)
    assert set(halved[:, 1:-1].ravel().tolist()) <= {127, 128}


def test_a_warped_crop_is_nearly_the_crop_that_is_cut_from_the_photograph() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (12, 12, 3), np.uint8)
    photograph = np.asarray(cv2.resize(coarse, (300, 300), interpolation=cv2.INTER_CUBIC), np.uint8)
    landmarks = (TEMPLATE - 56) @ [[1.5, 0.2], [-0.2, 1.5]] + 150
    ours = cut(photograph, similarity(landmarks, TEMPLATE), 112)
    (moved,) = warp(ours[None], between("arcface", 112, "dlib", 150), 150)
    direct = cut(
        photograph, between("arcface", 112, "dlib", 150) @ np.vstack([similarity(landmarks, TEMPLATE), [0, 0, 1]]), 150
    )
    inside = slice(20, 130)
    assert np.abs(moved[inside, inside].astype(int) - direct[inside, inside]).mean() < 2
