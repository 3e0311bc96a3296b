"""A face is found by its landmarks alone: at any size, place and turn, and nothing is found where there is none."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from photographs import png

from facedistill.crops.align import Points, transform, warp
from facedistill.data.face_crop import CropParams
from facedistill.export.finding import calibrate
from facedistill.inference.face import FaceFinder, PhotographError, find
from facedistill.inference.finder import Finder
from facedistill.inference.metadata import Finding
from facedistill.learning.augment import ScatterParams

SIDE = 48
SHAPE = np.array([[16, 17], [32, 17], [24, 26], [18, 34], [30, 34]], np.float32)
"""The mean shape of the network below, in pixels of its input."""

UNITS = SHAPE / SIDE
"""The same in units of its side."""

HUES = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [0, 255, 255]])
FINDING = Finding(tuple((float(x) / SIDE, float(y) / SIDE) for x, y in SHAPE), 0.05, 6.0, 1.0)


def network(images: NDArray[np.uint8]) -> Points:
    """Sees the middle of each dot, if the face is about as large as in training. Else it gives its mean shape."""
    found = np.repeat(SHAPE[None], len(images), 0)
    for face, window in zip(found, images.transpose(0, 2, 3, 1), strict=True):
        middles = []
        for hue in HUES:
            near = np.abs(window.astype(int) - hue).max(2) < 90
            y, x = np.nonzero(near)
            middles.append((x.mean(), y.mean()) if 3 <= len(x) <= 200 else (np.nan, np.nan))
        points = np.array(middles, np.float32)
        eyes = np.linalg.norm(points[1] - points[0])
        if np.isfinite(points).all() and 9 < eyes < 28:
            face[:] = points
    return found / np.float32(SIDE)


def photograph(
    width: int, height: int, at: tuple[float, float], eyes: float, degrees: float = 0
) -> tuple[NDArray[np.uint8], Points]:
    """A grey photograph with a face of five dots, and where they are. eyes: the distance between them, in pixels."""
    turn, scale = np.radians(degrees), eyes / 16
    rotation = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = ((SHAPE - SHAPE.mean(0)) @ rotation.T + at).astype(np.float32)
    image = np.full((height, width, 3), 128, np.uint8)
    for (x, y), hue in zip(points, HUES, strict=True):
        cv2.circle(
            image,
            (round(16 * float(x)), round(16 * float(y))),
            round(2.5 * scale * 16),
            hue.tolist(),
            -1,
            cv2.LINE_AA,
            4,
        )
    return image, points


@pytest.fixture
def finder() -> Finder:
    return Finder(network, SIDE, UNITS, FINDING.spread_at(0.9))


@pytest.mark.parametrize(
    ("size", "at", "eyes", "degrees"),
    [
        ((160, 160), (80, 80), 52, 0),
        ((160, 160), (60, 90), 40, 25),
        ((400, 300), (300, 90), 33, -15),
        ((300, 640), (150, 500), 30, 0),
        ((1200, 900), (200, 700), 110, 10),
        ((48, 40), (25, 20), 14, 0),
        ((600, 480), (430, 100), 27, -10),
    ],
    ids=["large", "turned", "aside", "portrait", "fine", "tiny", "small"],
)
def test_a_face_is_found(
    finder: Finder, size: tuple[int, int], at: tuple[float, float], eyes: float, degrees: float
) -> None:
    image, points = photograph(*size, at, eyes, degrees)
    found = finder.find(image)
    assert found is not None
    assert np.linalg.norm(found.landmarks - points, axis=1).max() < 0.06 * eyes
    assert FINDING.confidence(found.spread) > 0.9


def test_points_that_move_with_the_window_are_no_face(finder: Finder) -> None:
    """The network gives its mean shape wherever it looks, as one does that sees no face."""
    noise = np.random.default_rng(0).integers(100, 150, (120, 160, 3)).astype(np.uint8)
    found = finder.find(noise)
    assert found is not None
    assert found.spread > 0.1
    assert FINDING.confidence(found.spread) < 0.05


def test_points_on_one_spot_are_no_face() -> None:
    blind = Finder(lambda images: np.full((len(images), 5, 2), 20 / SIDE, np.float32), SIDE, UNITS)
    assert blind.find(np.zeros((90, 90, 3), np.uint8)) is None
    with pytest.raises(PhotographError, match=r"no face is seen \(confidence 0\.00"):
        find(png(np.zeros((90, 90, 3), np.uint8)), CropParams("landmarks", 48), finder=FaceFinder(blind, FINDING))


def test_of_two_faces_a_box_says_which(finder: Finder) -> None:
    image, left = photograph(320, 160, (80, 80), 34)
    other, right = photograph(320, 160, (240, 80), 34)
    image[:, 160:] = other[:, 160:]
    for points in (left, right):
        x, y = points.mean(0)
        found = finder.find(image, (float(x) - 34, float(y) - 38, 68, 76))
        assert found is not None
        assert np.linalg.norm(found.landmarks - points, axis=1).max() < 2


@pytest.mark.parametrize("place", ["inside", "at a corner", "around all", "outside"])
def test_a_window_is_what_the_whole_photograph_gives(finder: Finder, place: str) -> None:
    """It is cut from a part, because a photograph of 20 megapixels would be copied for each of a hundred windows."""
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3)).astype(np.uint8)
    middle, scale = {
        "inside": ((60, 40), 1.7),
        "at a corner": ((115, 88), 0.8),
        "around all": ((60, 45), 0.2),
        "outside": ((400, 500), 1.0),
    }[place]
    turn = scale * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    matrix = np.column_stack([turn, SIDE / 2 - turn @ middle])
    (window,), _ = finder._cut(image, [matrix])
    whole = warp(image, matrix, SIDE).astype(int)
    # OpenCV rounds coordinates to a 32nd of a pixel.
    assert np.abs(window - whole).max() <= 8
    assert whole.any() == (place != "outside")


def test_near_a_guess_the_face_is_found(finder: Finder) -> None:
    image, points = photograph(160, 160, (80, 80), 40)
    for seed in range(10):
        draw = ScatterParams(degrees=10, scale=1.15, shift=0.05).draw(np.random.default_rng(seed), 160, 160)
        found = finder.near(image, transform(points, draw))
        assert found is not None
        assert np.linalg.norm(found.landmarks - points, axis=1).max() < 2


def test_the_face_is_cut_by_the_points_that_were_found(finder: Finder) -> None:
    image, points = photograph(300, 200, (100, 110), 45, 20)
    crop, eyes = CropParams("landmarks", 64), FaceFinder(finder, FINDING)
    found, expected = find(png(image), crop, finder=eyes), find(png(image), crop, points)
    assert (found.found, found.as_trained) == ("by a landmark network", True)
    assert found.confidence is not None
    assert found.confidence > 0.9
    assert found.landmarks is not None
    np.testing.assert_allclose(found.landmarks, points, atol=2)
    np.testing.assert_allclose(found.to_original, expected.to_original, atol=3)
    given = find(png(image), crop, points, finder=eyes)
    assert (given.found, given.confidence) == ("by landmarks given", None)
    boxed = find(png(image), crop, box=(40, 40, 120, 130), finder=eyes)
    assert boxed.found == "by a landmark network, in the box given"
    whole = find(png(image), CropParams("photograph", 64), finder=eyes)
    assert whole.confidence is None


def test_a_photograph_on_its_side_gives_points_of_the_upright_one(finder: Finder) -> None:
    image, points = photograph(300, 200, (100, 110), 45)
    turned = png(np.ascontiguousarray(np.rot90(image)), 6)
    found = find(turned, CropParams("landmarks", 64), finder=FaceFinder(finder, FINDING))
    assert found.landmarks is not None
    np.testing.assert_allclose(found.landmarks, points, atol=2)


def test_confidence_is_a_logistic_curve_of_the_logarithm() -> None:
    assert FINDING.confidence(0.05) == 0.5
    assert FINDING.confidence(0.0) == 1
    spread = 0.03
    expected = 1 / (1 + np.exp(6.0 * (np.log(spread) - np.log(0.05))))
    assert FINDING.confidence(spread) == pytest.approx(expected)
    assert FINDING.confidence(FINDING.spread_at(0.9)) == pytest.approx(0.9)


class Drawn:
    """Stands in for the crops of an alignment set."""

    pixels = 72

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        drawn = [photograph(72, 72, (36, 36), rng.uniform(14, 18), rng.uniform(-15, 15)) for _ in range(40)]
        self._images, self.landmarks = [image for image, _ in drawn], np.stack([points for _, points in drawn])

    def __len__(self) -> int:
        return len(self._images)

    def image(self, row: int) -> NDArray[np.uint8]:
        return self._images[row]


def test_confidence_is_high_where_points_are_right_and_low_where_they_are_not() -> None:
    crops: Any = Drawn()
    finding = calibrate(network, SIDE, UNITS, crops)
    assert finding.found == 1
    finder = Finder(network, SIDE, UNITS)
    for row in range(5):
        found = finder.find(crops.image(row))
        assert found is not None
        assert finding.confidence(found.spread) > 0.9
    grey = finder.find(np.full((90, 90, 3), 128, np.uint8))
    assert grey is not None
    assert finding.confidence(grey.spread) < 0.1
    np.testing.assert_allclose(np.array(finding.mean_shape) * SIDE, SHAPE, atol=1e-4)


def test_a_network_that_sees_nothing_finds_nothing() -> None:
    crops: Any = Drawn()
    finding = calibrate(lambda images: np.repeat(UNITS[None], len(images), 0), SIDE, UNITS, crops)
    assert finding.found == 0
