"""If a stage leaves nothing to train on or to measure, that stage says so itself, and not a later one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from packed_faces import python2_pickle
from photographs import BROKEN, GOOD
from squares import run

from facedistill.crops import DataError
from facedistill.crops.shards import Crops
from facedistill.data import manifest
from facedistill.data.align_crop import align_crop
from facedistill.data.dataset import DatasetParams, SplitParams
from facedistill.data.face_crop import CropParams
from facedistill.data.photograph import Pair, Photograph
from facedistill.data.prepare import prepare
from facedistill.data.set_checks import SHARED, check_pairs, check_sides, split_notes
from facedistill.data.sources.bin_pairs import BinParams
from facedistill.data.sources.casia import CasiaParams
from facedistill.data.sources.table import TableParams
from facedistill.evaluation.predictions import predict
from facedistill.recipe import Recipe

BY_GROUP, BY_IMAGE = SplitParams("group", 0.2), SplitParams("image", 0.2)


def photographs(people: int, each: int, groups: str | None = None) -> list[Photograph]:
    """groups: a pattern of {person} and {video}, two photographs to a video."""
    return [
        Photograph(f"{p}/{i}.jpg", f"p{p}", group=groups and groups.format(person=p, video=i // 2))
        for p in range(people)
        for i in range(each)
    ]


def checked(rows: list[Photograph], split: SplitParams, seed: int = 0) -> dict[str, str]:
    """What is noted of the split, by record."""
    table = manifest.build(rows, split, seed)
    check_sides(table, split, "x")
    return {note.record: note.reason for note in split_notes(table, split)}


@pytest.mark.parametrize(
    ("rows", "split", "message"),
    [
        (photographs(5, 1), BY_IMAGE, "5 are for training and 0 for testing: every person has only one photograph"),
        (photographs(5, 4, "{person}"), BY_GROUP, "20 are .* 0 for testing: every person has only one group"),
        (
            photographs(5, 2),
            replace(BY_IMAGE, validation=True),
            "5 are .*only one photograph.*; split.validation splits the",
        ),
        (
            photographs(4, 4, "{video}"),
            SplitParams("group", 0.01),
            "16 are for training and 0 for testing: 2 groups, such as '0', show several people.*put the person before",
        ),
        (photographs(4, 4, "{video}"), SplitParams("group", 0.99), "0 are for training and 16 for testing: 2 groups"),
    ],
)
def test_an_empty_side_is_refused_with_what_to_do(rows: list[Photograph], split: SplitParams, message: str) -> None:
    with pytest.raises(DataError, match=rf"datasets\.x\.split: of \d+ photographs {message}"):
        checked(rows, split)


def test_groups_that_are_not_what_they_seem_are_said() -> None:
    assert checked(photographs(6, 8, "{person}-{video}"), SplitParams("group", 0.25)) == {}
    spanning = checked(photographs(6, 40, "{video}"), BY_GROUP)
    assert [spanning[str(video)] for video in range(20)] == [SHARED] * 20
    mixed = photographs(6, 8, "{person}-{video}") + photographs(1, 5)
    assert checked(mixed, SplitParams("group", 0.25)) == {"5 photographs": "no group: each is split by itself"}


def test_a_share_that_cannot_be_had_is_said() -> None:
    notes = checked(photographs(10, 5), SplitParams("image", 0.001))
    assert notes["split"].startswith("the test side has 20.0% of the photographs, split.test is 0.1%")
    assert checked(photographs(10, 5), BY_IMAGE) == {}


def test_who_nobody_knows_has_no_class() -> None:
    table = manifest.build([Photograph(f"{i}.jpg", None) for i in range(10)], BY_IMAGE, seed=0)
    assert set(table["label"].to_pylist()) == {-1}
    assert manifest.classes(table) == []
    both = manifest.build([*photographs(2, 5), *(Photograph(f"{i}.jpg", None) for i in range(10))], BY_IMAGE, seed=0)
    assert manifest.classes(both) == ["p0", "p1"]


def laid_out(root: Path, people: int = 2, each: int = 6, data: bytes = GOOD["plain"]) -> Path:
    for p in range(people):
        (root / f"{p}").mkdir(parents=True)
        for i in range(each):
            (root / f"{p}/{i}.jpg").write_bytes(data)
    return root


def test_prepare_leaves_no_manifest_with_an_empty_side(tmp_path: Path) -> None:
    root = laid_out(tmp_path / "faces")
    rows = [f"{p}/{i}.jpg,{p},{p}" for p in range(2) for i in range(6)]
    (tmp_path / "t.csv").write_text("\n".join(["path,identity,group", *rows]))
    dataset = DatasetParams(TableParams("table", tmp_path / "t.csv", root), BY_GROUP, CropParams("centre", 32))
    with pytest.raises(DataError, match=r"datasets\.m\.split: .*every person has only one group"):
        prepare(dataset, 0, tmp_path / "m")
    assert not (tmp_path / "m" / manifest.FILE).exists()
    assert len(json.loads((tmp_path / "m/report.json").read_text())["notes"]) == 3
    prepare(replace(dataset, split=BY_IMAGE), 0, tmp_path / "m")


def test_a_side_of_which_nothing_can_be_cropped_is_refused(tmp_path: Path) -> None:
    root = laid_out(tmp_path / "faces")
    dataset = DatasetParams(CasiaParams("folder", root), BY_IMAGE, CropParams("centre", 32), bad_share=1)
    prepare(dataset, 0, tmp_path / "m")
    table = pq.read_table(tmp_path / "m" / manifest.FILE)
    for key, side in zip(table["key"].to_pylist(), table["split"].to_pylist(), strict=True):
        if side == "test":
            (root / key).write_bytes(BROKEN["cut"][0])
    with pytest.raises(DataError, match=r"not one photograph of the test side can be cropped.*cannot be decoded"):
        align_crop(dataset, tmp_path / "m", tmp_path / "c", workers=1)
    assert not (tmp_path / "c/crops.json").exists()


def cropped(root: Path, people: int, split: SplitParams | None, pairs: bool = False) -> Path:
    """The crops of `people`, or of a set with pairs, where training and evaluation look for those of `faces`."""
    out = Path("data/crops/faces")
    source: CasiaParams | BinParams
    if pairs:
        (root / "x.bin").write_bytes(python2_pickle([GOOD["plain"]] * 40, [True, False] * 10, 2))
        source = BinParams("bin", root / "x.bin")
    else:
        source = CasiaParams("folder", laid_out(root / "faces", people))
    dataset = DatasetParams(source, split, CropParams("centre", 36))
    prepare(dataset, 0, root / "m")
    for stale in out.iterdir():
        stale.unlink()
    align_crop(dataset, root / "m", out, workers=1)
    return out


@pytest.mark.parametrize(
    ("people", "split", "message"),
    [(1, BY_IMAGE, "1 people on the training side, but .* learns from names"), (2, None, "no crops on the training")],
)
def test_training_needs_crops_of_two_people(
    people: int, split: SplitParams | None, message: str, workspace: Path, tmp_path: Path
) -> None:
    cropped(tmp_path, people, split)
    with pytest.raises(DataError, match=message):
        run("resnet/softmax", Recipe("softmax"))


def test_nothing_is_measured_on_an_empty_side(workspace: Path, tmp_path: Path) -> None:
    folder = cropped(tmp_path, 0, None, pairs=True)
    with pytest.raises(DataError, match="no crops on the train side to measure on"):
        predict(torch.nn.Identity(), Crops(folder, "train"), 32)  # type: ignore[arg-type]


SAME, OTHER = Pair("a1", "a2", True, 0), Pair("a1", "b1", False, 0)
WHO = {"a1": "a", "a2": "a", "b1": "b", "b2": "b"}


def folds(*pairs: Pair) -> list[Pair]:
    return [*pairs, Pair("b1", "b2", True, 1), Pair("a2", "b2", False, 1)]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (folds(SAME, Pair("a1", "a1", True, 0)), "the pair of a1 with itself proves nothing"),
        (folds(SAME, Pair("a1", "a2", False, 0)), "the pair a1, a2 is of two people: a, a"),
        (folds(SAME, Pair("a1", "b1", True, 0)), "the pair a1, b1 is of one person: a, b"),
        ([SAME, OTHER], "1 pairs of one person and 1 of two in 1 folds: without fold 1 one kind is missing"),
        ([SAME, OTHER, Pair("b1", "b2", True, 1)], "2 pairs of one person and 1 of two in 2 folds: without fold 1"),
        ([SAME, Pair("b1", "b2", True, 1)], "2 pairs of one person and 0 of two"),
    ],
)
def test_pairs_that_prove_nothing_are_refused(pairs: list[Pair], message: str) -> None:
    with pytest.raises(DataError, match=rf"datasets\.x\.source: {message}"):
        list(check_pairs(pairs, WHO, "x"))


def test_two_answers_to_one_pair_are_refused_where_nobody_knows_who_it_is() -> None:
    with pytest.raises(DataError, match="the pair a2, a1 is listed twice, with two answers"):
        list(check_pairs(folds(SAME, Pair("a2", "a1", False, 0)), {}, "x"))


def test_pairs_that_prove_less_are_said() -> None:
    assert list(check_pairs([], WHO, "x")) == list(check_pairs(folds(SAME, OTHER), WHO, "x")) == []
    (note,) = check_pairs(folds(SAME, OTHER, replace(SAME, a="a2", b="a1")), WHO, "x")
    assert (note.record, note.reason) == ("a2, a1", "this pair is listed more than once")
    third = [Pair("a1", "b2", False, 2), Pair("a2", "b1", False, 2)]
    (note,) = check_pairs([*folds(SAME, OTHER), *third], WHO, "x")
    assert (note.record, note.reason) == ("fold 3", "a fold with only pairs of two people")


def test_the_published_pairs_of_lfw_have_nothing_to_be_said() -> None:
    from conftest import REAL_PHOTOS

    from facedistill.data.sources.lfw import read_pairs

    if not (REAL_PHOTOS / "pairs.txt").is_file():
        pytest.skip(f"no real photographs: {REAL_PHOTOS} is not there")
    pairs = [pair for _, pair in read_pairs(REAL_PHOTOS / "pairs.txt")]
    who = {key: key.split("/")[0] for pair in pairs for key in (pair.a, pair.b)}
    assert list(check_pairs(pairs, who, "lfw")) == []
    assert np.mean([pair.same for pair in pairs]) == 0.5
