"""prepare and align_crop, end to end: good photographs reach the shards, bad ones are named, runs are repeatable."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from facedistill.crops import DataError
from facedistill.crops.align import transform
from facedistill.crops.codec import encode
from facedistill.crops.shards import SIDES, Crops
from facedistill.data.align_crop import align_crop
from facedistill.data.dataset import DatasetParams, SplitParams
from facedistill.data.face_crop import CropParams
from facedistill.data.prepare import prepare
from facedistill.data.sources.casia import CasiaParams
from facedistill.data.sources.celeba import CelebAParams
from facedistill.data.sources.lfw import LfwParams
from facedistill.data.sources.table import TableParams
from facedistill.data.synthetic.source import SyntheticParams

SIZE = 48
POINTS = np.array([[30, 40], [60, 41], [45, 55], [33, 70], [57, 71]], np.float32)
COLOURS = {"amy": (255, 0, 0), "bob": (0, 255, 0), "cy": (0, 0, 255)}


@pytest.fixture
def faces(tmp_path: Path) -> DatasetParams:
    """Three people, eight photographs each, all of one colour, as CASIA with a landmark list."""
    lines = []
    for name, colour in COLOURS.items():
        (tmp_path / "faces" / name).mkdir(parents=True)
        for i in range(8):
            (tmp_path / f"faces/{name}/{i}.jpg").write_bytes(encode(np.full((110, 90, 3), colour, np.uint8), 95))
            lines.append(f"{name}/{i}.jpg\t0\t" + "\t".join(f"{v:g}" for v in (POINTS + i / 2).ravel()))
    (tmp_path / "list.txt").write_text("\n".join(lines) + "\n")
    source = CasiaParams("casia", tmp_path / "faces", tmp_path / "list.txt")
    return DatasetParams(source, SplitParams("image", 0.25), CropParams("landmarks", SIZE), bad_share=0)


def both(dataset: DatasetParams, out: Path, workers: int = 1) -> tuple[Path, Path]:
    manifests, crops = out / "manifests/faces", out / "crops/faces"
    prepare(dataset, 0, manifests)
    align_crop(dataset, manifests, crops, workers)
    return manifests, crops


def report(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return value


def reasons(folder: Path) -> dict[str, str]:
    return {line["record"]: line["reason"] for line in report(folder)["left_out"]}


def test_a_red_person_stays_red_and_landmarks_map_back(faces: DatasetParams, tmp_path: Path) -> None:
    manifests, folder = both(faces, tmp_path)
    counts = {"photographs": 24, "identities": 3, "train": 18, "test": 6, "pairs": 0}
    counts |= {"identities_left_out": 0, "photographs_left_out": 0}
    assert report(manifests) == counts | {"bad_share": 0.0, "left_out": [], "notes": []}
    seen = set()
    for side, count in zip(SIDES, (18, 6), strict=True):
        crops = Crops(folder, side)
        assert len(crops) == count
        assert crops.classes == ["amy", "bob", "cy"]
        seen |= set(crops.keys)
        for i, key in enumerate(crops.keys):
            name, number = key.removesuffix(".jpg").split("/")
            assert crops.classes[crops.labels[i]] == name
            centre = crops.image(i)[SIZE // 2, SIZE // 2].astype(int)
            assert np.abs(centre - COLOURS[name]).max() < 6
            np.testing.assert_allclose(
                transform(crops.landmarks[i], crops.to_original[i]), POINTS + int(number) / 2, atol=1e-3
            )
    assert len(seen) == 24


def test_the_same_bytes_at_every_run_and_with_any_number_of_processes(faces: DatasetParams, tmp_path: Path) -> None:
    folders = [both(faces, tmp_path / name, workers) for name, workers in (("a", 1), ("b", 2))]
    for first, second in zip(*folders, strict=True):
        names = sorted(file.name for file in first.iterdir())
        assert names == sorted(file.name for file in second.iterdir())
        for name in names:
            assert (first / name).read_bytes() == (second / name).read_bytes()


def spoil(faces: DatasetParams) -> None:
    """An empty photograph, one cut short, one with a landmark outside, one without landmarks."""
    assert isinstance(faces.source, CasiaParams)
    assert faces.source.landmarks
    root, listed = faces.source.root, faces.source.landmarks
    (root / "amy/1.jpg").write_bytes(b"")
    (root / "bob/2.jpg").write_bytes((root / "bob/2.jpg").read_bytes()[:-60])
    lines = listed.read_text().splitlines()
    lines = [line.replace("\t30\t40\t", "\t30\t140\t") if line.startswith("cy/0") else line for line in lines]
    listed.write_text("\n".join(line for line in lines if not line.startswith("cy/7")))


def test_bad_photographs_are_named_and_the_run_goes_on(faces: DatasetParams, tmp_path: Path) -> None:
    spoil(faces)
    manifests, folder = both(replace(faces, bad_share=0.2), tmp_path)
    assert reasons(manifests) == {}
    assert reasons(folder) == {
        "amy/1.jpg": "an empty file",
        "bob/2.jpg": "cannot be decoded",
        "cy/0.jpg": "a landmark outside the image of 90×110 pixels",
        "cy/7.jpg": "no landmarks, but crop.method: landmarks needs them",
    }
    kept = [key for side in SIDES for key in Crops(folder, side).keys]
    assert len(kept) == 20
    assert not set(kept) & reasons(folder).keys()
    assert report(folder)["bad_share"] == pytest.approx(4 / 24, abs=1e-6)


def test_too_many_bad_photographs_fail_the_stage_after_its_report(faces: DatasetParams, tmp_path: Path) -> None:
    spoil(faces)
    with pytest.raises(DataError, match=r"4 of 24 records are bad, more than bad_share = 0.1 allows(.|\n)*amy/1.jpg"):
        both(replace(faces, bad_share=0.1), tmp_path)
    assert len(reasons(tmp_path / "crops/faces")) == 4
    assert not (tmp_path / "crops/faces/crops.json").exists()


def test_a_list_with_bad_lines_fails_prepare_above_the_share(faces: DatasetParams, tmp_path: Path) -> None:
    assert isinstance(faces.source, CasiaParams)
    assert faces.source.landmarks
    with faces.source.landmarks.open("a") as file:
        file.write("amy/99.jpg\t0\t1 2 3\n")
    with pytest.raises(DataError, match="1 of 25 records are bad"):
        prepare(faces, 0, tmp_path / "m")
    assert "expected ten coordinates" in reasons(tmp_path / "m")["amy/99.jpg"]
    prepare(replace(faces, bad_share=0.05), 0, tmp_path / "m")


def test_an_identity_with_one_photograph_is_noted_and_kept_for_training(faces: DatasetParams, tmp_path: Path) -> None:
    assert isinstance(faces.source, CasiaParams)
    root = faces.source.root
    (root / "dot").mkdir()
    (root / "dot/0.jpg").write_bytes((root / "amy/0.jpg").read_bytes())
    centre = replace(faces, source=CasiaParams("casia", root), crop=CropParams("centre", SIZE))
    manifests, folder = both(centre, tmp_path)
    (note,) = report(manifests)["notes"]
    assert (note["record"], note["reason"]) == ("dot", "one photograph only: kept for training")
    assert "dot/0.jpg" in Crops(folder, "train").keys
    assert np.isnan(Crops(folder, "train").landmarks).all()


def test_no_photographs_is_an_error(faces: DatasetParams, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no photographs found"):
        prepare(replace(faces, source=CasiaParams("casia", tmp_path / "empty")), 0, tmp_path / "m")
    with pytest.raises(DataError, match=r"manifest.parquet: no such file; run the stage prepare"):
        align_crop(faces, tmp_path / "m", tmp_path / "c")


@pytest.fixture
def pairs(faces: DatasetParams, tmp_path: Path) -> DatasetParams:
    """The three people as LFW, with two folds of two pairs."""
    root = tmp_path / "lfw"
    lines = ["2\t1", "amy\t1\t2", "amy\t1\tbob\t3", "cy\t4\t2", "cy\t1\tbob\t1"]
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True)
        for i in range(1, 5):
            (root / f"{name}/{name}_{i:04d}.jpg").write_bytes(encode(np.full((64, 64, 3), colour, np.uint8), 95))
    (tmp_path / "pairs.txt").write_text("\n".join(lines) + "\n")
    source = LfwParams("lfw", root, tmp_path / "pairs.txt")
    return DatasetParams(source, None, CropParams("centre", SIZE), bad_share=0.5)


def test_pairs_name_rows_of_the_test_crops(pairs: DatasetParams, tmp_path: Path) -> None:
    _, folder = both(pairs, tmp_path)
    crops = Crops(folder, "test")
    rows = crops.pairs
    named = [(crops.keys[a], crops.keys[b]) for a, b in zip(rows.a, rows.b, strict=True)]
    assert named[1] == ("amy/amy_0001.jpg", "bob/bob_0003.jpg")
    assert named[2] == ("cy/cy_0004.jpg", "cy/cy_0002.jpg")
    assert rows.same.tolist() == [True, False, True, False]
    assert rows.fold.tolist() == [0, 0, 1, 1]
    assert len(crops) == 7
    assert len(Crops(folder, "train")) == 0


def test_a_bad_photograph_that_a_pair_needs_is_an_error(pairs: DatasetParams, tmp_path: Path) -> None:
    (tmp_path / "lfw/bob/bob_0003.jpg").write_bytes(b"no photograph")
    with pytest.raises(DataError, match=r"pairs need 1 photographs(.|\n)*bob/bob_0003.jpg: cannot be decoded"):
        both(pairs, tmp_path)
    (tmp_path / "list.txt").write_text("bob/bob_0003.jpg\t1 2 3\n")
    assert isinstance(pairs.source, LfwParams)
    listed = replace(pairs, source=replace(pairs.source, landmarks=tmp_path / "list.txt"))
    with pytest.raises(DataError, match=r"bob/bob_0003.jpg: a pair needs this photograph.*expected ten coordinates"):
        both(listed, tmp_path)
    with pytest.raises(DataError, match=r"set datasets.faces.split to null"):
        both(replace(pairs, split=SplitParams("image", 0.2)), tmp_path)


def test_the_real_photographs_in_every_layout(real_layouts: Path, tmp_path: Path) -> None:
    table = TableParams("table", real_layouts / "faces.csv", real_layouts)
    prepare(DatasetParams(table, SplitParams("group", 0.2), CropParams("centre", SIZE)), 0, tmp_path / "table")
    rows = pq.read_table(tmp_path / "table/manifest.parquet", columns=["group", "label", "split"]).to_pylist()
    assert len(rows) == 3024
    for name, disjoint in (("group", True), ("label", False)):
        train, test = ({row[name] for row in rows if row["split"] == side} for side in SIDES)
        assert train.isdisjoint(test) if disjoint else train == test == set(range(250))
    assert report(tmp_path / "table")["notes"] == []

    celeba = CelebAParams("celeba", real_layouts / "CelebA", "in_the_wild")
    prepare(DatasetParams(celeba, SplitParams("image", 0.2), CropParams("box", SIZE)), 0, tmp_path / "celeba")
    assert report(tmp_path / "celeba")["photographs"] == 3736

    lfw = LfwParams("lfw", real_layouts / "lfw", real_layouts / "pairs.txt", real_layouts / "lfw_landmark.txt")
    _, folder = both(DatasetParams(lfw, None, CropParams("landmarks", SIZE)), tmp_path / "lfw")
    pairs = Crops(folder, "test").pairs
    assert len(pairs.same) == 600
    assert pairs.same.sum() == 300


def test_drawn_faces_go_the_same_way(tmp_path: Path) -> None:
    source = SyntheticParams("synthetic", people=2, photographs=5)
    _, folder = both(DatasetParams(source, SplitParams("image", 0.2), CropParams("photograph", SIZE)), tmp_path)
    train, test = Crops(folder, "train"), Crops(folder, "test")
    assert (len(train), len(test)) == (8, 2)
    assert train.attributes.keys() == test.attributes.keys() != set()
    assert all(np.isfinite(values).all() for values in train.attributes.values())
    assert ((train.landmarks > 0) & (train.landmarks < SIZE)).all()


@pytest.mark.parametrize("stage", ["prepare", "align_crop"])
def test_an_unknown_data_set_is_an_error_without_a_traceback(stage: str, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    shutil.copyfile(root / "params.yaml", tmp_path / "params.yaml")
    command = [sys.executable, "-m", f"stages.{stage}", "--dataset", "facs"]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(root)}, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no key 'datasets.facs'; datasets has: classification, alignment, lfw" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_list_of_withdrawn_people_lies_where_dvc_sees_it_change(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    values["datasets"]["lfw"]["leave_out"] = "data/raw/withdrawn.txt"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "stages.prepare", "--dataset", "lfw"]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(root)}, capture_output=True, text=True)
    assert done.returncode == 1
    assert "datasets.lfw.leave_out: data/raw/withdrawn.txt is outside data/leave_out" in done.stderr


def test_a_recipe_starts_from_what_its_stage_has(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    values["recipes"]["table1"]["logits"]["start"] = "fitnet"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    command = [sys.executable, "-m", "stages.distill", "--student", "resnet50-8", "--group", "table1"]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(root)}, capture_output=True, text=True)
    assert done.returncode == 1
    assert "recipes.table1.logits.start: 'fitnet' is neither a recipe above this one in its group" in done.stderr
