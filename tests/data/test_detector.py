"""Photographs without landmarks get those of their largest face, in the pixels as stored, or a line with the reason.

A stand-in for the network finds coloured dots. The model file itself is the user's, and not in the repository.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from photographs import GOOD, exif, red
from PIL import Image
from pyarrow import parquet

from facedistill.crops import DataError
from facedistill.data.dataset import DatasetParams
from facedistill.data.detector import LONGER_SIDE, Detector, DetectorParams
from facedistill.data.manifest import photographs
from facedistill.data.prepare import prepare
from facedistill.params import ParamsError, check

FACE = np.array([[60, 50], [100, 52], [81, 75], [65, 100], [97, 101]], np.float32)
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [0, 255, 255]])


def drawn(width: int = 160, height: int = 200, scale: int = 1) -> NDArray[np.uint8]:
    """A face of five dots on grey; red is the eye on the left of the image."""
    image = np.full((height * scale, width * scale, 3), 128, np.uint8)
    for (x, y), colour in zip(((FACE + 0.5) * scale - 0.5).round().astype(int), COLOURS, strict=True):
        cv2.circle(image, (int(x), int(y)), 5 * scale, colour.tolist(), -1)
    return image


class Dots:
    """What OpenCV documents of FaceDetectorYN: BGR in, a row of 15 numbers a face; here, one where all dots are."""

    def __init__(self) -> None:
        self.size = (0, 0)

    def setInputSize(self, size: tuple[int, int]) -> None:
        self.size = size

    def detect(self, bgr: NDArray[np.uint8]) -> tuple[int, NDArray[np.float32] | None]:
        assert bgr.shape[1::-1] == self.size
        assert max(self.size) <= LONGER_SIDE
        if min(self.size) < 8:
            raise cv2.error("too small")
        near = [np.abs(bgr[..., ::-1].astype(int) - colour).max(-1) < 90 for colour in COLOURS]
        if not all(mask.any() for mask in near):
            return 1, None
        points = np.array([[np.nonzero(mask)[1].mean(), np.nonzero(mask)[0].mean()] for mask in near])
        small = np.array([0, 0, 5, 5, *np.ones(10), 0.99])
        return 1, np.array([small, [10, 10, 50, 60, *points.ravel(), 0.8]], np.float32)


@pytest.fixture
def detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DetectorParams:
    (model := tmp_path / "model.onnx").write_bytes(b"not read")
    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: Dots())
    return DetectorParams(model, hashlib.sha256(b"not read").hexdigest())


def jpeg(image: NDArray[np.uint8], orientation: int = 1) -> bytes:
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=98, subsampling=0, exif=exif(orientation))
    return data.getvalue()


@pytest.mark.parametrize("scale", [1, 9], ids=["small", "shrunk"])
def test_the_points_of_the_largest_face_are_in_the_pixels_of_the_photograph(
    detector: DetectorParams, scale: int
) -> None:
    found = Detector(detector).landmarks(jpeg(drawn(scale=scale)))
    assert found.dtype == np.float32
    assert np.abs(found - ((FACE + 0.5) * scale - 0.5)).max() < 0.5 * scale


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (6, 1), (3, 2), (8, 3)])
def test_a_photograph_that_its_exif_turns_is_looked_at_upright(
    detector: DetectorParams, orientation: int, turns: int
) -> None:
    """The dots are where they are stored: `turns` quarter turns to the left of where an upright viewer sees them."""
    upright = drawn()
    stored = np.ascontiguousarray(np.rot90(upright, turns))
    found = Detector(detector).landmarks(jpeg(stored, orientation))
    for (x, y), colour in zip(found.round().astype(int), COLOURS, strict=True):
        assert np.abs(stored[y, x].astype(int) - colour).max() == 0
    spread = np.linalg.norm(found[1] - found[0])
    assert spread == pytest.approx(np.linalg.norm(FACE[1] - FACE[0]), abs=0.5)


@pytest.mark.parametrize("orientation", [2, 4, 5, 7, 0, 99])
def test_an_exif_that_mirrors_or_means_nothing_is_not_followed(detector: DetectorParams, orientation: int) -> None:
    found = Detector(detector).landmarks(jpeg(drawn(), orientation))
    assert np.abs(found - FACE).max() < 0.5


def test_prepare_fills_in_what_the_source_does_not_know(detector: DetectorParams, tmp_path: Path) -> None:
    (tmp_path / "faces/a").mkdir(parents=True)
    for name in ("found", "known"):
        (tmp_path / f"faces/a/{name}.jpg").write_bytes(jpeg(drawn()))
    (tmp_path / "faces/a/nobody.jpg").write_bytes(GOOD["plain"])
    (tmp_path / "faces/a/empty.jpg").write_bytes(b"")
    (tmp_path / "list.txt").write_text("a/known.jpg\t" + "\t".join("123456789" + "0") + "\n")
    values = {
        "source": {"kind": "folder", "root": str(tmp_path / "faces"), "landmarks": str(tmp_path / "list.txt")},
        "split": None,
        "bad_share": 0.5,
        "crop": {"method": "landmarks", "pixels": 64},
        "detector": {"model": str(detector.model), "sha256": detector.sha256},
    }
    prepare(check(DatasetParams, values, "datasets.x"), 0, tmp_path / "m", workers=1)
    marks = {p.key: p.landmarks for p in photographs(parquet.read_table(tmp_path / "m/manifest.parquet"))}
    assert marks.keys() == {"a/found.jpg", "a/known.jpg"}
    detected, known = marks["a/found.jpg"], marks["a/known.jpg"]
    assert detected is not None
    assert np.abs(detected - FACE).max() < 0.5
    assert known is not None
    assert known.ravel().tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    lines = json.loads((tmp_path / "m/report.json").read_text())["left_out"]
    assert {line["record"]: line["reason"] for line in lines} == {
        "a/nobody.jpg": "the detector finds no face",
        "a/empty.jpg": "an empty file",
    }


@pytest.mark.parametrize(("size", "reason"), [((4, 4), "fails at 4×4 pixels"), ((64, 64), "finds no face")])
def test_an_image_that_the_detector_cannot_use_is_a_value_error(
    detector: DetectorParams, size: tuple[int, int], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        Detector(detector).landmarks(red("JPEG", size))


def test_a_model_that_is_not_the_one_that_was_named_stops_the_stage(tmp_path: Path) -> None:
    model, digest = tmp_path / "model.onnx", hashlib.sha256(b"no network").hexdigest()
    with pytest.raises(DataError, match=r"model\.onnx: no such file; put the detector's model there"):
        Detector(DetectorParams(model, digest))
    model.write_bytes(b"another")
    with pytest.raises(DataError, match=rf"its sha256 is {hashlib.sha256(b'another').hexdigest()}, not {digest}"):
        Detector(DetectorParams(model, digest))
    model.write_bytes(b"no network")
    with pytest.raises(DataError, match=r"model\.onnx: neither an SCRFD nor a model that OpenCV can load"):
        Detector(DetectorParams(model, digest))


@pytest.mark.parametrize("values", [{"model": "x"}, {"model": "x", "sha256": "abc"}, {"sha256": "0" * 64}])
def test_a_detector_is_a_model_and_its_digest(values: dict[str, Any]) -> None:
    with pytest.raises(ParamsError, match=r"sha256|model"):
        check(DetectorParams, values, "datasets.x.detector")
