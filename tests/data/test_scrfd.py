"""SCRFD files, which InsightFace's users have: recognised by their outputs, decoded as a loop over all cells would."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from exported_toys import OURS
from numpy.typing import NDArray
from photographs import png
from scrfd_toy import COLOURS, MARKS, write

from facedistill.data.detector import Detector, DetectorParams
from facedistill.data.scrfd import SCORE, decoded
from facedistill.inference.commands import main


def detector(file: Path) -> Detector:
    return Detector(DetectorParams(file, hashlib.sha256(file.read_bytes()).hexdigest()))


def squares(size: tuple[int, int], *places: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A black photograph of (width, height) with squares: x, y and side of each."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y, side in places:
        image[y : y + side, x : x + side] = COLOURS[side]
    return image


def command(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def naive(outputs: list[NDArray[np.float32]], width: int, height: int, anchors: int) -> list[tuple[float, ...]]:
    """Score, box and points of each face, one cell and one anchor at a time, in float64."""
    found = []
    for i, stride in enumerate((8, 16, 32)):
        row = 0
        for y in range(height // stride):
            for x in range(width // stride):
                for _ in range(anchors):
                    score, box, points = (outputs[3 * part + i][row].astype(np.float64) for part in range(3))
                    row += 1
                    if score[0] < SCORE:
                        continue
                    left, top = x * stride - box[0] * stride, y * stride - box[1] * stride
                    right, bottom = x * stride + box[2] * stride, y * stride + box[3] * stride
                    marks = [
                        (x * stride + points[2 * k] * stride, y * stride + points[2 * k + 1] * stride) for k in range(5)
                    ]
                    found.append((score[0], left, top, right - left, bottom - top, *np.ravel(marks)))
    return found


@pytest.mark.parametrize(("size", "anchors"), [((64, 64), 2), ((96, 64), 2), ((64, 128), 1)])
def test_faces_are_where_a_loop_over_all_cells_says(size: tuple[int, int], anchors: int) -> None:
    rng = np.random.default_rng(0)
    rows = [anchors * (size[0] // s) * (size[1] // s) for s in (8, 16, 32)]
    outputs = [rng.uniform(0, 1, (n, part)).astype(np.float32) for part in (1, 4, 10) for n in rows]
    expected = np.array(naive(outputs, *size, anchors))
    scores, boxes, points = decoded(outputs, size)
    assert len(expected) > 10
    np.testing.assert_allclose(np.column_stack([scores, boxes, points.reshape(-1, 10)]), expected, rtol=1e-5, atol=1e-4)
    # The order of the outputs does not matter, nor does a batch of one.
    shuffled = [outputs[i][None] for i in rng.permutation(9)]
    for ours, theirs in zip(decoded(shuffled, size), (scores, boxes, points), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    outputs[3][5], outputs[6][7] = np.nan, np.inf
    assert len(decoded(outputs, size)[0]) == len(scores) - sum(outputs[0][i, 0] >= SCORE for i in (5, 7))
    with pytest.raises(ValueError, match="scores for"):
        decoded([output[1:] for output in outputs], size)


@pytest.mark.parametrize(("side", "batch"), [(None, False), (640, True), (320, False)])
@pytest.mark.parametrize("times", [1, 3, 0.5])
def test_a_square_is_found_in_the_pixels_of_the_photograph(
    side: int | None, batch: bool, times: float, tmp_path: Path
) -> None:
    """One face, although both anchors see it. The photograph is enlarged or shrunk to the side of the input."""
    found, length = detector(write(tmp_path / "det.onnx", side, batch)), side or 640
    image = squares((length, length * 3 // 4), (length // 2, 64, 32))
    size = round(image.shape[1] * times), round(image.shape[0] * times)
    faces = found.faces(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST), np.uint8))
    assert faces.shape == (1, 5, 2)
    expected = (np.array([length // 2, 64]) + 32 * MARKS + 0.5) * times - 0.5
    np.testing.assert_allclose(faces[0], expected, atol=0.1)


def test_the_largest_of_several_is_first_and_colours_are_rgb(tmp_path: Path) -> None:
    found = detector(write(tmp_path / "det.onnx"))
    image = squares((640, 640), (64, 64, 8), (320, 256, 32), (128, 512, 16))
    faces = found.faces(image)
    corners = np.array([[320, 256], [128, 512], [64, 64]])
    for face, corner, side in zip(faces, corners, (32, 16, 8), strict=True):
        np.testing.assert_allclose(face, corner + side * MARKS, atol=0.01)
    with pytest.raises(ValueError, match="the detector finds no face"):
        found.faces(np.ascontiguousarray(squares((640, 640), (64, 64, 8))[..., ::-1]))
    with pytest.raises(ValueError, match="the detector finds no face"):
        found.faces(np.zeros((3, 900, 3), np.uint8))


def test_the_commands_take_it_and_say_how_many_faces_there_are(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, ours = write(tmp_path / "det.onnx"), ("--model", OURS.folder)
    (tmp_path / "all/anna").mkdir(parents=True)
    for name, places in (("one", [(320, 256, 32)]), ("two", [(64, 64, 16), (320, 256, 32)]), ("none", [])):
        (tmp_path / f"all/anna/{name}.png").write_bytes(png(squares((640, 640), *places)))
    one, two, none = (tmp_path / f"all/anna/{name}.png" for name in ("one", "two", "none"))
    assert command("verify", one, two, *ours, "--detector", file) == 0
    text = capsys.readouterr().out
    assert f"{one}: face by the detector, which finds one\n" in text
    assert f"{two}: face by the detector, the largest of 2\n" in text
    assert command("verify", one, none, *ours, "--detector", file) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"facedistill: {none}: the detector finds no face"
    assert command("embed", tmp_path / "all", *ours, "--detector", file, "--out", tmp_path / "out.parquet") == 3
    text = capsys.readouterr().out
    assert "face by the detector, which finds one: 1 photographs" in text
    assert "face by the detector, the largest of 2: 1 photographs" in text
    assert "no embedding: 1 photographs: the detector finds no face" in text
