"""In a set of any kind, good photographs become red crops, and each broken photograph is listed with the reason."""

from __future__ import annotations

import base64
import json
import pickle
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packed_faces import write_recordio
from photographs import BROKEN, GOOD, GREY, exif
from PIL import Image

from facedistill.crops import DataError
from facedistill.crops.shards import Crops
from facedistill.data.align_crop import align_crop
from facedistill.data.dataset import DatasetParams
from facedistill.data.prepare import prepare
from facedistill.data.sources.celeba import BOX_HEADER, POINTS_HEADER
from facedistill.params import check

PHOTOGRAPHS = GOOD | {"grey": GREY} | {name: data for name, (data, _) in BROKEN.items()}
POINTS = "20 15 40 15 30 20 22 28 38 28"


def folder(root: Path) -> tuple[dict[str, Any], list[str]]:
    """Every photograph as `.jpg`, whatever it is, in a folder of a person with a name in another alphabet."""
    (root / "Zoë 王").mkdir(parents=True)
    for name, data in PHOTOGRAPHS.items():
        (root / f"Zoë 王/{name}.jpg").write_bytes(data)
    return {"kind": "folder", "root": str(root)}, [f"Zoë 王/{name}.jpg" for name in PHOTOGRAPHS]


def table(root: Path) -> tuple[dict[str, Any], list[str]]:
    _, keys = folder(root)
    (root / "t.csv").write_text("\r\n".join(["\ufeffpath,identity", *(f"{key},me" for key in keys)]))
    return {"kind": "table", "file": str(root / "t.csv"), "root": str(root)}, keys


def lfw(root: Path) -> tuple[dict[str, Any], list[str]]:
    (root / "Zoë").mkdir(parents=True)
    for i, data in enumerate(PHOTOGRAPHS.values(), 1):
        (root / f"Zoë/Zoë_{i:04d}.jpg").write_bytes(data)
    (root / "Amy").mkdir()
    for i in (1, 2):
        (root / f"Amy/Amy_{i:04d}.jpg").write_bytes(GOOD["plain"])
    (root / "pairs.txt").write_text("2\t1\nZoë\t1\t2\nZoë\t1\tAmy\t2\nAmy\t1\t2\nZoë\t2\tAmy\t1\n")
    block = {"kind": "lfw", "root": str(root), "pairs": str(root / "pairs.txt"), "photographs": "all"}
    return block, [f"Zoë/Zoë_{i:04d}.jpg" for i in range(1, len(PHOTOGRAPHS) + 1)]


def celeba(root: Path) -> tuple[dict[str, Any], list[str]]:
    keys = [f"{i:06d}.jpg" for i in range(1, len(PHOTOGRAPHS) + 1)]
    (root / "Img/img_align_celeba").mkdir(parents=True)
    (root / "Anno").mkdir()
    for key, data in zip(keys, PHOTOGRAPHS.values(), strict=True):
        (root / "Img/img_align_celeba" / key).write_bytes(data)
    points = "".join(f"{key} {POINTS}\n" for key in keys)
    (root / "Anno/list_landmarks_align_celeba.txt").write_text(f"{len(keys)}\n{POINTS_HEADER}\n{points}")
    (root / "Anno/identity_CelebA.txt").write_text("".join(f"{key} 1\n" for key in keys))
    return {"kind": "celeba", "root": str(root), "variant": "aligned"}, keys


def msceleb(root: Path) -> tuple[dict[str, Any], list[str]]:
    root.mkdir(parents=True)
    keys, text = [], b""
    for data in PHOTOGRAPHS.values():
        keys.append(f"m.0/{len(text)}")
        text += b"m.0\t1\thttp\thttp\tFaceId-0\tAAAA\t" + (base64.b64encode(data) or b"====") + b"\n"
    (root / "faces.tsv").write_bytes(text)
    return {"kind": "msceleb", "file": str(root / "faces.tsv")}, keys


def recordio(root: Path) -> tuple[dict[str, Any], list[str]]:
    write_recordio(root, [[data or b" " for data in PHOTOGRAPHS.values()]], ranges=False)
    return {"kind": "recordio", "root": str(root)}, [f"{i:08d}" for i in range(len(PHOTOGRAPHS))]


def pickled(root: Path) -> tuple[dict[str, Any], list[str]]:
    root.mkdir(parents=True)
    images = list(PHOTOGRAPHS.values()) * 2
    (root / "x.bin").write_bytes(pickle.dumps((images, [i % 2 == 0 for i in range(len(images) // 2)]), protocol=2))
    return {"kind": "bin", "file": str(root / "x.bin")}, [f"{i // 2:06d}{'ab'[i % 2]}" for i in range(len(PHOTOGRAPHS))]


READERS = [folder, table, lfw, celeba, msceleb, recordio, pickled]


def left_out(block: dict[str, Any], crop: dict[str, Any], out: Path) -> dict[str, str]:
    """The reason of each record that `prepare` and `align_crop` left out of this source."""
    values = {"source": block, "split": None, "bad_share": 0.5, "crop": crop}
    dataset = check(DatasetParams, values, "datasets.x")
    prepare(dataset, 0, out / "m")
    # A photograph that a pair needs and that is broken stops the stage, after its report.
    with pytest.raises(DataError, match="pairs need") if block["kind"] == "bin" else nullcontext():
        align_crop(dataset, out / "m", out / "c", workers=1)
    lines = [line for stage in "mc" for line in json.loads((out / stage / "report.json").read_text())["left_out"]]
    return {line["record"]: line["reason"] for line in lines}


@pytest.mark.parametrize("lay_out", READERS, ids=lambda reader: reader.__name__)
def test_good_photographs_are_red_and_broken_ones_are_named(
    lay_out: Callable[[Path], tuple[dict[str, Any], list[str]]], tmp_path: Path
) -> None:
    block, keys = lay_out(tmp_path / "set")
    reasons = left_out(block, {"method": "centre", "pixels": 32, "quality": 100}, tmp_path)
    key = dict(zip(PHOTOGRAPHS, keys, strict=True))
    for name, (data, reason) in BROKEN.items():
        assert reason in reasons[key[name]] or not data, name
    assert set(reasons) & set(keys) == {key[name] for name in BROKEN}
    if block["kind"] == "bin":
        return
    crops = Crops(tmp_path / "c", "test")
    for name in [*GOOD, "grey"]:
        pixel = crops.image(crops.keys.index(key[name]))[16, 16].astype(int)
        assert np.abs(pixel - ([254, 0, 0] if name in GOOD else [76, 76, 76])).max() <= 3, name


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ("20 15 40 15 30 20 22 28 138 28", "a landmark outside the image of 60×40 pixels"),
        ("30 20 30 20 30 20 30 20 30 20", "the landmarks coincide"),
        ("40 15 20 15 30 20 38 28 22 28", "left and right have to be the image's"),
        ("20 15 40 15 30 20 22 28 38 nan", "coordinates are not pixels"),
        ("20 15 40 15 30 20 22 28 38 1e300", "coordinates are not pixels"),
    ],
)
def test_landmarks_that_are_no_face_are_named(points: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "faces/a").mkdir(parents=True)
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / "faces/a" / name).write_bytes(GOOD["plain"])
    (tmp_path / "list.txt").write_text(f"a/1.jpg\t{POINTS}\na/2.jpg\t{points}\n")
    block = {"kind": "folder", "root": str(tmp_path / "faces"), "landmarks": str(tmp_path / "list.txt")}
    reasons = left_out(block, {"method": "landmarks", "pixels": 32}, tmp_path)
    assert reasons.keys() == {"a/2.jpg"}
    assert reason in reasons["a/2.jpg"]


@pytest.mark.parametrize(
    ("form", "orientation", "turns"), [("JPEG", 6, 1), ("PNG", 3, 2), ("JPEG", 8, 3), ("JPEG", 1, 0)]
)
def test_a_photograph_without_landmarks_is_cropped_upright(
    form: str, orientation: int, turns: int, tmp_path: Path
) -> None:
    """Red above, blue below, as its EXIF shows it; stored `turns` quarter turns to the left."""
    upright = np.zeros((64, 64, 3), np.uint8)
    upright[:32, :, 0] = upright[32:, :, 2] = 255
    (tmp_path / "faces/a").mkdir(parents=True)
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(upright, turns)))
    stored.save(tmp_path / "faces/a/1.jpg", form, quality=95, exif=exif(orientation))
    block = {"kind": "folder", "root": str(tmp_path / "faces")}
    assert not left_out(block, {"method": "centre", "pixels": 32}, tmp_path)
    crop = Crops(tmp_path / "c", "test").image(0).astype(int)
    assert np.abs(crop[8, 16] - [255, 0, 0]).max() < 8
    assert np.abs(crop[24, 16] - [0, 0, 255]).max() < 8


@pytest.mark.parametrize("box", ["60 0 10 10", "0 -30 10 20", "1e5 1e5 9e5 9e5"])
def test_a_box_beside_the_photograph_is_named(box: str, tmp_path: Path) -> None:
    (tmp_path / "Img/img_celeba").mkdir(parents=True)
    (tmp_path / "Anno").mkdir()
    for name in ("000001.jpg", "000002.jpg"):
        (tmp_path / "Img/img_celeba" / name).write_bytes(GOOD["plain"])
    marks = "".join(f"00000{i}.jpg {POINTS}\n" for i in (1, 2))
    (tmp_path / "Anno/list_landmarks_celeba.txt").write_text(f"2\n{POINTS_HEADER}\n{marks}")
    boxes = f"000001.jpg 10 5 40 30\n000002.jpg {box}\n"
    (tmp_path / "Anno/list_bbox_celeba.txt").write_text(f"2\n{BOX_HEADER}\n{boxes}")
    (tmp_path / "Anno/identity_CelebA.txt").write_text("000001.jpg 1\n000002.jpg 1\n")
    block = {"kind": "celeba", "root": str(tmp_path), "variant": "in_the_wild"}
    reasons = left_out(block, {"method": "box", "pixels": 32}, tmp_path)
    assert reasons == {"000002.jpg": "a box outside the image of 60×40 pixels"}


def test_a_photograph_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    """A sparse file: nothing on the disk, four gigabytes to whoever reads it whole."""
    (tmp_path / "faces/a").mkdir(parents=True)
    (tmp_path / "faces/a/1.jpg").write_bytes(GOOD["plain"])
    with (tmp_path / "faces/a/2.jpg").open("wb") as file:
        file.truncate(2**32)
    block = {"kind": "folder", "root": str(tmp_path / "faces")}
    reasons = left_out(block, {"method": "centre", "pixels": 32}, tmp_path)
    assert reasons.keys() == {"a/2.jpg"}
    assert "4294967296 bytes" in reasons["a/2.jpg"]
