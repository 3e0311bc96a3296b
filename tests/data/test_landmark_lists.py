"""A list with the right number of columns but another meaning is refused with the likely reason; good lists pass."""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import REAL_FACES, REAL_PHOTOS
from numpy.typing import NDArray
from photographs import red

from facedistill.crops import DataError
from facedistill.crops.align import TEMPLATE, misfit, similarity, transform
from facedistill.data.dataset import DatasetParams
from facedistill.data.face_crop import CropParams, crop_face
from facedistill.data.landmark_lists import landmark_fault, list_fault, place_fault
from facedistill.data.photograph import COORDINATES, LANDMARKS, Photograph
from facedistill.data.prepare import prepare
from facedistill.data.sources.casia import CasiaParams, CasiaSource
from facedistill.data.synthetic.source import SyntheticParams, SyntheticSource

Landmarks = NDArray[np.float32]
POSED = np.array([[-32, -33, -28], [32, -33, -28], [0, 0, 0], [-25, 30, -22], [25, 30, -22]], float)
"""The five points of a head, x right, y down and z to the viewer, in millimetres around the tip of the nose."""


def turned(yaw: float, pitch: float = 0.0) -> Landmarks:
    """The head seen from another side, degrees, in an image of 200 × 200 pixels."""
    a, t = np.radians([yaw, pitch])
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(t), -np.sin(t)], [0, np.sin(t), np.cos(t)]])
    return np.asarray((POSED @ about_y.T @ about_x.T)[:, :2] + 100, np.float32)


FACES = np.stack([turned(yaw, pitch) for yaw in range(-45, 50, 10) for pitch in (-20, 0, 20)])


@cache
def real(name: str) -> Landmarks:
    file = REAL_FACES / "index.csv" if name == "video" else REAL_PHOTOS / f"{name}.csv"
    if not file.is_file():
        pytest.skip(f"no real photographs: {file} is not there")
    columns = [f"{p}_{a}" for p in LANDMARKS for a in "xy"] if name == "video" else COORDINATES
    with file.open() as text:
        rows = [[float(row[c]) for c in columns] for row in csv.DictReader(text)]
    return np.array(rows, np.float32).reshape(-1, 5, 2)


def score_last(p: Landmarks) -> Landmarks:
    """What a reader that takes the first of eleven numbers for a class finds where the last is a score."""
    return np.hstack([p.reshape(-1, 10)[:, 1:], np.full((len(p), 1), 0.9987)]).reshape(-1, 5, 2)


MISTAKES: dict[str, tuple[Callable[[Landmarks], NDArray[np.floating]], str]] = {
    "score last": (score_last, "each line ends in a number that is no coordinate"),
    "x then y": (lambda p: np.hstack([p[..., 0], p[..., 1]]).reshape(-1, 5, 2), "all x's come before the y's"),
    "y, x": (lambda p: p[..., ::-1], "y comes before x"),
    "y up": (lambda p: [0, 500] + p * [1, -1], "y is counted from the bottom"),
    "mouth corners": (lambda p: p[:, [0, 1, 2, 4, 3]], "come as left_eye, right_eye, nose, right_mouth, left_mouth"),
    "eyes": (lambda p: p[:, [1, 0, 2, 3, 4]], "come as right_eye, left_eye, nose, left_mouth, right_mouth"),
    "the person's": (lambda p: p[:, [1, 0, 2, 4, 3]], "come as right_eye, left_eye, nose, right_mouth, left_mouth"),
    "nose first": (lambda p: p[:, [2, 0, 1, 3, 4]], "come as nose, left_eye, right_eye, left_mouth, right_mouth"),
    "mouth first": (lambda p: p[:, [3, 4, 2, 0, 1]], "come as left_mouth, right_mouth, nose, left_eye, right_eye"),
    "shares": (lambda p: p / 300, "lie within 2 pixels; are they fractions of the image's side"),
    "noise": (lambda p: np.random.default_rng(0).uniform(0, 99, p.shape), "fit no face; expected are x1 y1"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("name", ["drawn heads", "video", "wild", "celeba64", "mtfl"])
def test_a_mistake_is_named_in_a_whole_list_and_in_a_tenth_of_one(name: str, mistake: str) -> None:
    right = FACES if name == "drawn heads" else real(name)[::17]
    assert list_fault(right) is None
    spoil, message = MISTAKES[mistake]
    fault = list_fault(np.asarray(spoil(right), np.float32))
    assert fault
    assert message in fault
    if mistake not in ("shares", "noise"):
        mixed = right.copy()
        mixed[::8] = spoil(right[::8])
        assert message in (list_fault(mixed) or "")


@pytest.mark.parametrize("name", ["video", "wild", "celeba64", "mtfl"])
def test_the_misfit_of_real_faces(name: str) -> None:
    found, turn = misfit(real(name))
    assert np.quantile(found, 0.01) < 0.04
    assert 0.2 < np.quantile(found, 0.99) < 0.23
    assert np.median(abs(turn)) < 0.2


def test_the_misfit_is_what_the_best_similarity_leaves() -> None:
    shapes = np.array([*FACES, *(spoil(FACES)[0] for spoil, _ in MISTAKES.values())], np.float32)
    eyes = np.hypot(*(TEMPLATE[1] - TEMPLATE[0]))
    for points, found in zip(shapes, misfit(shapes)[0], strict=True):
        left = transform(points, similarity(points, TEMPLATE)) - TEMPLATE
        assert found == pytest.approx(np.sqrt((left**2).sum(1).mean()) / eyes, abs=1e-4)
    quarter = TEMPLATE @ np.array([[0, -3], [3, 0]]) + [5, -7]
    assert misfit(quarter) == pytest.approx((0, np.pi / 2), abs=1e-6)


@pytest.mark.parametrize("yaw", [-90, -75, 60, 90])
def test_profiles_are_faces_alone_or_together(yaw: int) -> None:
    profiles = np.stack([turned(yaw + k % 5, k % 20 - 10) for k in range(40)])
    assert list_fault(profiles) is None
    assert list_fault(np.concatenate([FACES, profiles])) is None
    crop_face(b"", np.zeros((200, 200, 3), np.uint8), CropParams("landmarks", 32), profiles[0])


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_faces_of_photographs_that_are_stored_sideways_are_faces(turns: int) -> None:
    turned_faces = [real(name)[::17] for name in ("video", "wild", "mtfl")]
    for faces in [FACES, *turned_faces]:
        around = np.linalg.matrix_power(np.array([[0, 1], [-1, 0]]), turns)
        assert list_fault((faces @ around).astype(np.float32)) is None


def test_two_wrong_lines_do_not_make_a_list_wrong() -> None:
    wrong = FACES.copy()
    wrong[:2] = wrong[:2, [0, 1, 2, 4, 3]]
    assert list_fault(wrong) is None
    wrong[2] = wrong[2, [0, 1, 2, 4, 3]]
    assert "right_mouth, left_mouth" in (list_fault(wrong) or "")


ALIGNED = np.repeat((TEMPLATE * 1.6)[None], 50, 0).astype(np.float32)
"""The template at the size of 179 pixels."""


@pytest.mark.parametrize(
    ("landmarks", "size", "message"),
    [
        (ALIGNED, 179, None),
        (ALIGNED, 110, "the landmarks of 50 of the 50 photographs looked at lie outside their photograph"),
        (ALIGNED, 400, "at one place in all photographs, 22% of the width and 29% of the height"),
        (ALIGNED + np.float32(80), 230, "at one place in all photographs, 74% of the width and 85% of the height"),
        (ALIGNED + 99 * np.arange(50, dtype=np.float32)[:, None, None] % 400, 1000, None),
    ],
    ids=["right", "a larger one's", "a smaller one's", "one from which this was cut", "a camera at a door"],
)
def test_a_list_for_photographs_of_another_size(landmarks: Landmarks, size: int, message: str | None) -> None:
    fault = place_fault(landmarks, np.full((50, 2), size))
    assert (fault is None) if message is None else message in str(fault)


@pytest.mark.parametrize(("moved", "message"), [(0, None), (45, "78% of the width and 85% of the height")])
def test_the_list_of_whole_lfw_beside_its_middle(moved: float, message: str | None) -> None:
    """LFW has 250 pixels; the photographs here are the middle 160 of them, so that their list begins 45 further on."""
    root, file = REAL_PHOTOS / "lfw", REAL_PHOTOS / "lfw_landmark.txt"
    if not file.is_file():
        pytest.skip(f"no real photographs: {file} is not there")
    lines = [line.split("\t") for line in file.read_text().splitlines()[::20]]
    points = [np.array([float(v) for v in fields], np.float32).reshape(5, 2) + moved for _, *fields in lines]
    photographs = [Photograph(name, "", p) for (name, *_), p in zip(lines, points, strict=True)]
    fault = landmark_fault(CasiaSource(CasiaParams("folder", root)), photographs)
    assert (fault is None) if message is None else message in str(fault)


@pytest.mark.parametrize("difficulty", [0.0, 1.0])
def test_drawn_faces_are_faces(difficulty: float) -> None:
    source = SyntheticSource(SyntheticParams("synthetic", people=20, photographs=10, difficulty=difficulty))
    assert landmark_fault(source, [p for p in source.scan() if isinstance(p, Photograph)]) is None


def test_photographs_without_landmarks_and_those_that_cannot_be_opened_are_passed_over(tmp_path: Path) -> None:
    source = CasiaSource(CasiaParams("folder", tmp_path))
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.jpg").write_bytes(b"no photograph")
    assert landmark_fault(source, [Photograph("a/1.jpg", "a")]) is None
    assert landmark_fault(source, [Photograph("a/1.jpg", "a", FACES[0]), Photograph("a/2.jpg", "a", FACES[1])]) is None


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (turned(20)[[1, 0, 2, 4, 3]], "the landmarks fit no face: left and right have to be the image's"),
        (turned(20) / 300, "the landmarks coincide: all five lie within 2 pixels"),
        (turned(20) + 120, "a landmark outside the image of 200×200 pixels"),
    ],
)
@pytest.mark.parametrize("method", ["landmarks", "centre"])
def test_one_photograph_with_the_landmarks_of_no_face_is_not_cut(method: str, points: Landmarks, message: str) -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    crop_face(b"", image, CropParams(method, 32), turned(20))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        crop_face(b"", image, CropParams(method, 32), np.asarray(points, np.float32))  # type: ignore[arg-type]


@pytest.mark.parametrize("mistake", ["score last", "mouth corners", "shares"])
def test_prepare_refuses_the_list(mistake: str, tmp_path: Path) -> None:
    spoil, message = MISTAKES[mistake]
    faces = (FACES - 50) * 0.8
    lines = [[f"{p}/{i}.jpg", *faces[5 * p + i].ravel()] for p in range(3) for i in range(5)]
    for name, *_ in lines:
        (tmp_path / "faces" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "faces" / name).write_bytes(red("JPEG", (80, 80)))

    def prepared(fields: list[list[object]]) -> None:
        (tmp_path / "list.txt").write_text("".join(f"{n}\t{' '.join(map(str, v))}\n" for n, *v in fields))
        source = CasiaParams("casia", tmp_path / "faces", tmp_path / "list.txt")
        prepare(DatasetParams(source, None, CropParams("centre", 32)), 0, tmp_path / "m")

    prepared(lines)
    if mistake == "score last":
        wrong = [[*line, 0.9987] for line in lines]
    else:
        wrong = [[n, *np.asarray(spoil(np.array(v, np.float32).reshape(1, 5, 2))).ravel()] for n, *v in lines]
    with pytest.raises(DataError, match=rf"^datasets\.m\.source: the landmarks of 1\d of the 15 .*{message}"):
        prepared(wrong)
