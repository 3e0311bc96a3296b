"""Crops show what their matrices say, and landmarks stay on the face through every warp and flip."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facedistill.crops.align import TEMPLATE, invert, similarity, transform, warp
from facedistill.crops.codec import decode, encode
from facedistill.data.face_crop import CropParams, crop_matrix
from facedistill.data.photograph import LANDMARKS
from facedistill.learning.augment import flip

WIDTH, HEIGHT = 178, 218
FACE = np.array([[66.3, 100.8], [109.2, 96.1], [91.7, 121.4], [75.5, 146.9], [108.8, 143.2]], np.float32)
BOX = (45.0, 60.0, 92.0, 120.0)
METHODS = ("landmarks", "centre", "photograph", "box")


def dots(points: NDArray[np.float32], width: int, height: int, sigma: float) -> NDArray[np.uint8]:
    """White blobs on black, centred on the points."""
    y, x = np.mgrid[:height, :width]
    distance = np.square(x - points[:, 0, None, None]) + np.square(y - points[:, 1, None, None])
    return np.repeat((255 * np.exp(-distance / (2 * sigma**2)).max(0))[..., None], 3, axis=2).astype(np.uint8)


def find(image: NDArray[np.uint8], near: NDArray[np.float32], radius: int = 4) -> NDArray[np.float32]:
    """The centre of mass around each point: where a blob really is."""
    found = []
    for x, y in near.round().astype(int):
        top, left = max(y - radius, 0), max(x - radius, 0)
        weight = image[top : y + radius + 1, left : x + radius + 1, 0].astype(float)
        v, u = np.mgrid[: weight.shape[0], : weight.shape[1]]
        found.append([left + (u * weight).sum() / weight.sum(), top + (v * weight).sum() / weight.sum()])
    return np.array(found, np.float32)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [64, 112, 256])
def test_landmarks_follow_their_dots_through_the_warp_and_back(method: str, size: int) -> None:
    matrix = crop_matrix(CropParams(method, size), (WIDTH, HEIGHT), FACE, BOX)  # type: ignore[arg-type]
    crop = warp(dots(FACE, WIDTH, HEIGHT, sigma=1.5), matrix, size)
    moved = transform(FACE, matrix)
    found = find(crop, moved, radius=max(2, size // 22))
    assert np.abs(found - moved).max() < 0.5
    assert np.abs(transform(found, invert(matrix)) - FACE).max() < 0.5 / min(
        1, abs(np.linalg.det(matrix[:, :2])) ** 0.5
    )
    np.testing.assert_allclose(transform(moved, invert(matrix)), FACE, atol=1e-3)


def test_flip_moves_points_with_the_pixels_and_swaps_left_and_right() -> None:
    image = dots(FACE, WIDTH, HEIGHT, sigma=1.5)
    mirrored = flip(FACE, WIDTH)
    assert np.abs(find(image[:, ::-1], mirrored) - mirrored).max() < 0.1
    named = dict(zip(LANDMARKS, mirrored, strict=True))
    assert named["left_eye"][0] < named["right_eye"][0]
    assert named["left_mouth"][0] < named["right_mouth"][0]
    np.testing.assert_allclose(flip(mirrored, WIDTH), FACE, atol=1e-4)
    np.testing.assert_array_equal(flip(np.stack([FACE, FACE]), WIDTH)[1], mirrored)


@pytest.mark.parametrize("mirrored", [False, True])
def test_similarity_is_the_least_squares_solution(mirrored: bool) -> None:
    """Without a reflection the problem is linear in (s·cos, s·sin, tx, ty): numpy's solver is the reference."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        points = rng.normal(100, 30, (5, 2)) * ([-1, 1] if mirrored else [1, 1])
        x, y = points.T
        one, zero = np.ones(5), np.zeros(5)
        system = np.concatenate([np.column_stack([x, -y, one, zero]), np.column_stack([y, x, zero, one])])
        a, b, tx, ty = np.linalg.lstsq(system, TEMPLATE.T.ravel(), rcond=None)[0]
        np.testing.assert_allclose(similarity(points, TEMPLATE), [[a, -b, tx], [b, a, ty]], atol=1e-9)


def test_points_that_coincide_have_no_similarity() -> None:
    with pytest.raises(ValueError, match="coincide"):
        similarity(np.full((5, 2), 7.0, np.float32), TEMPLATE)
    # Columns at right angles to both of the template's: the best scale is 0.
    unlike = np.linalg.svd(np.column_stack([TEMPLATE - TEMPLATE.mean(0), np.ones(5)]))[0][:, 3:]
    with pytest.raises(ValueError, match="are not arranged like those of a face"):
        similarity(50 + 10 * unlike, TEMPLATE)


def test_aligned_crops_of_two_sizes_differ_by_a_resize_alone() -> None:
    small, large = (crop_matrix(CropParams("landmarks", s), (WIDTH, HEIGHT), FACE) for s in (56, 112))
    np.testing.assert_allclose(transform(FACE, small), (transform(FACE, large) + 0.5) / 2 - 0.5, atol=1e-4)
    np.testing.assert_allclose(transform(TEMPLATE, similarity(TEMPLATE, TEMPLATE)), TEMPLATE, atol=1e-4)


def test_a_whole_photograph_is_cut_as_opencv_resizes() -> None:
    image = np.random.default_rng(0).integers(0, 256, (96, 64, 3), dtype=np.uint8)
    for size, flag in ((128, cv2.INTER_LINEAR), (32, cv2.INTER_AREA)):
        crop = warp(image, crop_matrix(CropParams("photograph", size), (64, 96)), size)
        reference = cv2.resize(image, (size, size), interpolation=flag).astype(int)
        # Down to 32 the sides shrink by 2 and by 3, and k is 3: two pixels in three are then interpolated.
        assert np.abs(crop - reference).mean() < (1 if flag == cv2.INTER_LINEAR else 6)


def test_a_crop_coarser_than_its_photograph_does_not_alias() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (800, 640, 3), dtype=np.uint8)
    crop = warp(noise, crop_matrix(CropParams("photograph", 40), (640, 800)), 40)
    assert crop.std() < 5  # the mean of 16×20 pixels; bilinear sampling alone leaves 50
    assert abs(crop.mean() - 127.5) < 1


@pytest.mark.parametrize("size", [40, 112, 256])
def test_no_black_at_the_edges_of_a_whole_photograph(size: int) -> None:
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    for method in ("photograph", "centre"):
        assert warp(white, crop_matrix(CropParams(method, size), (WIDTH, HEIGHT)), size).min() == 255


def test_outside_the_photograph_is_black() -> None:
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    left = FACE - np.array([70, 0], np.float32)
    crop = warp(white, crop_matrix(CropParams("landmarks", 112), (WIDTH, HEIGHT), left), 112)
    assert crop[:, 0].max() == 0
    assert crop[:, -1].min() == 255


def test_box_is_squared_and_widened_by_its_margin() -> None:
    matrix = crop_matrix(CropParams("box", 100, margin=0.25), (WIDTH, HEIGHT), box=(40, 50, 60, 80))
    # 80 px high, a quarter more at each edge: 120 px around (70, 90), which span 9.5 … 129.5 in pixel centres.
    np.testing.assert_allclose(transform(np.array([[9.5, 29.5], [129.5, 149.5]]), matrix), [[-0.5, -0.5], [99.5, 99.5]])


def test_without_a_box_it_is_the_one_around_the_five_points() -> None:
    points = np.array([[40, 50], [100, 52], [70, 90], [45, 130], [95, 128]], np.float32)
    crop = CropParams("box", 100, margin=0.25)
    expected = crop_matrix(crop, (WIDTH, HEIGHT), box=(40, 50, 60, 80))
    np.testing.assert_allclose(crop_matrix(crop, (WIDTH, HEIGHT), landmarks=points), expected)
    given = crop_matrix(crop, (WIDTH, HEIGHT), landmarks=points, box=(10, 20, 30, 40))
    np.testing.assert_allclose(given, crop_matrix(crop, (WIDTH, HEIGHT), box=(10, 20, 30, 40)))


@pytest.mark.parametrize("method", ["landmarks", "box"])
def test_a_method_without_what_it_needs_says_so(method: str) -> None:
    with pytest.raises(ValueError, match=f"crop.method: {method}"):
        crop_matrix(CropParams(method, 64), (WIDTH, HEIGHT))  # type: ignore[arg-type]


def test_a_photograph_too_fine_for_a_warp_is_refused() -> None:
    tiny = np.array([[1e-5, 0, 0], [0, 1e-5, 0]])
    with pytest.raises(ValueError, match="as fine as its crop"):
        warp(np.zeros((8, 8, 3), np.uint8), tiny, 40)


def test_decoding_gives_rgb_as_stored() -> None:
    red = np.zeros((24, 40, 3), np.uint8)
    red[..., 0] = 255
    jpeg = encode(red, 95)
    assert np.abs(decode(jpeg).astype(int) - red).max() < 4
    png = cv2.imencode(".png", red[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(decode(png), red)
    grey = cv2.imencode(".png", np.full((5, 7), 90, np.uint8))[1].tobytes()
    np.testing.assert_array_equal(decode(grey), np.full((5, 7, 3), 90))
    # Big-endian TIFF header, one entry: orientation (0x0112) = 6, turn by 90 degrees.
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    image = cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (40, 24, 3)
    assert decode(turned).shape == (24, 40, 3)


@pytest.mark.parametrize("keep", [0, 10, 200, -40])
def test_what_is_cut_or_empty_is_not_decoded(keep: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="empty" if keep == 0 else "decoded"):
        decode(encode(image, 95)[:keep])
