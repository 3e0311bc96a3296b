"""Sets of several sources, photographs without names, people who are held out, and pairs drawn from them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq
import pytest
from photographs import red

from facedistill.crops import DataError
from facedistill.crops.shards import SIDES, Crops
from facedistill.data.align_crop import align_crop
from facedistill.data.dataset import DatasetParams
from facedistill.data.people import PairsParams, PeopleParams, draw_pairs, taken
from facedistill.data.photograph import COORDINATES, Photograph, Problem, Source
from facedistill.data.prepare import prepare
from facedistill.data.sources import SourceParams, open_source
from facedistill.data.sources.photographs import PhotographsParams
from facedistill.params import ParamsError, check

POINTS = "12,12,20,12,16,17,13,21,19,21"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two people in a table, one of whom has the name of a stranger in another table, and photographs without names."""
    raw = tmp_path / "raw"
    header = ["path", "identity", *COORDINATES]
    for table, people in (("a", ("ann", "bob")), ("b", ("ann", "cyd"))):
        rows = [f"{table}/{name}{i}.jpg,{name},{POINTS}" for name in people for i in range(4)]
        (raw / table).mkdir(parents=True)
        (raw / f"{table}.csv").write_text("\n".join([",".join(header), *rows]) + "\n")
        for row in rows:
            (raw / row.partition(",")[0]).write_bytes(red("JPEG", (32, 32)))
    rows = [f"x/{folder}/{i}.jpg,{POINTS}" for folder in ("one", "two") for i in range(3)]
    (raw / "x.csv").write_text("\n".join([",".join(["path", *COORDINATES]), *rows]) + "\n")
    for row in rows:
        file = raw / row.partition(",")[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(red("JPEG", (32, 32)))
    return raw


def mixed(root: Path) -> dict[str, Any]:
    parts = {name: {"kind": "table", "file": str(root / f"{name}.csv"), "root": str(root)} for name in "ab"}
    unnamed = {"kind": "photographs", "root": str(root), "table": str(root / "x.csv"), "within": ["x/one/"]}
    return {"kind": "mixed", "parts": {**parts, "x": unnamed}}


def opened(root: Path) -> Source:
    return open_source(check(SourceParams, mixed(root), "source"))


def test_parts_keep_their_people_apart_and_read_their_own_files(root: Path) -> None:
    source = opened(root)
    found = [record for record in source.scan() if isinstance(record, Photograph)]
    assert Counter(p.identity for p in found) == {"a/ann": 4, "a/bob": 4, "b/ann": 4, "b/cyd": 4, None: 3}
    assert [p.key for p in found[-3:]] == [f"x/x/one/{i}.jpg" for i in range(3)]
    assert all(p.landmarks is not None for p in found)
    assert source.read(found[0].key) == (root / "a/ann0.jpg").read_bytes()
    for lost in ("a/a/nobody.jpg", "z/a/ann0.jpg"):
        with pytest.raises(OSError, match=r"no such file|no part 'z'"):
            source.read(lost)
    assert not source.pairs()


def test_a_problem_of_a_part_says_which_part(root: Path) -> None:
    (root / "a/ann0.jpg").unlink()
    problems = [record for record in opened(root).scan() if isinstance(record, Problem)]
    assert [(p.record, Path(p.file).name) for p in problems] == [("a/a/ann0.jpg", "a.csv")]


def test_a_mixed_source_has_named_parts_and_no_pairs(root: Path) -> None:
    for parts, message in (
        ({}, "parts"),
        ({"A b": {"kind": "photographs", "root": str(root)}}, "parts"),
        ({"a": {"kind": "lfw", "root": "x", "pairs": "y"}}, "parts"),
    ):
        with pytest.raises(ParamsError, match=message):
            check(SourceParams, {"kind": "mixed", "parts": parts}, "source")


def test_a_folder_of_photographs_has_nobody_s_name(root: Path) -> None:
    found = list(open_source(PhotographsParams("photographs", root / "x")).scan())
    assert {(p.key, p.identity, p.group) for p in found if isinstance(p, Photograph)} == {
        (f"{folder}/{i}.jpg", None, None) for folder in ("one", "two") for i in range(3)
    }


def test_photographs_without_a_name_are_for_training_where_others_have_one(root: Path, tmp_path: Path) -> None:
    values = {
        "source": mixed(root),
        "split": {"by": "image", "test": 0.25, "fewest": 4},
        "crop": {"method": "landmarks", "pixels": 24},
    }
    dataset: DatasetParams = check(DatasetParams, values, "datasets.x")
    prepare(dataset, 0, tmp_path / "m")
    align_crop(dataset, tmp_path / "m", tmp_path / "c")
    train, test = (Crops(tmp_path / "c", side) for side in SIDES)
    assert train.classes == ["a/ann", "a/bob", "b/ann", "b/cyd"]
    assert Counter(train.labels.tolist()) == {-1: 3, 0: 3, 1: 3, 2: 3, 3: 3}
    assert Counter(test.labels.tolist()) == {0: 1, 1: 1, 2: 1, 3: 1}
    assert [name for name in train.identities if name is None] == [None] * 3


def test_without_any_name_photographs_are_split_like_others(root: Path, tmp_path: Path) -> None:
    values = {
        "source": {"kind": "photographs", "root": str(root), "table": str(root / "x.csv")},
        "split": {"by": "image", "test": 0.5},
        "crop": {"method": "landmarks", "pixels": 24},
    }
    prepare(check(DatasetParams, values, "datasets.x"), 0, tmp_path / "m")
    assert Counter(pq.read_table(tmp_path / "m/manifest.parquet")["split"].to_pylist()) == {"train": 3, "test": 3}


def test_people_with_few_photographs_are_for_training_alone(root: Path, tmp_path: Path) -> None:
    (root / "a.csv").write_text("\n".join((root / "a.csv").read_text().splitlines()[:-2]) + "\n")  # bob has two
    values = {
        "source": {"kind": "table", "file": str(root / "a.csv"), "root": str(root)},
        "split": {"by": "image", "test": 0.25, "fewest": 3},
        "crop": {"method": "landmarks", "pixels": 24},
    }
    prepare(check(DatasetParams, values, "datasets.x"), 0, tmp_path / "m")
    table = pq.read_table(tmp_path / "m/manifest.parquet")
    sides = Counter(zip(table["identity"].to_pylist(), table["split"].to_pylist(), strict=True))
    assert sides == {("ann", "train"): 3, ("ann", "test"): 1, ("bob", "train"): 2}
    notes = json.loads((tmp_path / "m/report.json").read_text())["notes"]
    assert {key: note[key] for note in notes for key in ("file", "record") if "fewest" in note["reason"]} == {
        "file": "manifest.parquet",
        "record": "1 people",
    }


def photographs(people: int, each: int) -> list[Photograph]:
    return [Photograph(f"p{i}/{k}", f"p{i}") for i in range(people) for k in range(each)]


def test_held_out_people_and_the_rest_are_everybody_once() -> None:
    everybody = [*photographs(400, 1), Photograph("nobody", None)]
    takes: tuple[Literal["rest", "held_out"], ...] = ("rest", "held_out")
    parts = {take: list(taken(everybody, PeopleParams(0.25, take))) for take in takes}
    assert len(parts["rest"]) + len(parts["held_out"]) == len(everybody)
    assert Photograph("nobody", None) in parts["rest"]
    assert 60 < len(parts["held_out"]) < 140
    assert list(taken(everybody, None)) == everybody
    # Whether somebody is held out depends on the name alone.
    fewer = list(taken(photographs(100, 1), PeopleParams(0.25, "held_out")))
    assert fewer == [p for p in parts["held_out"] if p in everybody[:100]]


def test_a_third_set_holds_out_people_who_are_in_neither_of_the_others() -> None:
    everybody = photographs(400, 1)
    train, first, second = (
        {p.key for p in taken(everybody, params) if isinstance(p, Photograph)}
        for params in (PeopleParams(0.4, "rest"), PeopleParams(0.25, "held_out"), PeopleParams(0.15, "held_out", 0.25))
    )
    assert not train & first
    assert not (train | first) & second
    assert train | first | second == {p.key for p in everybody}
    assert 30 < len(second) < 90
    with pytest.raises(ParamsError, match=r"after: 0\.9 and held_out: 0\.2 are more than 1"):
        check(PeopleParams, {"held_out": 0.2, "after": 0.9, "take": "held_out"}, "people")


def test_drawn_pairs_are_right_different_and_their_folds_share_nobody() -> None:
    rows = [(p.key, p.identity) for p in photographs(60, 5)] + [("x", None), ("alone", "alone")]
    pairs = draw_pairs(rows, PairsParams(per_fold=30, folds=4), seed=3)
    assert len(pairs) == 2 * 30 * 4
    assert len({frozenset((p.a, p.b)) for p in pairs}) == len(pairs)
    owner = dict(rows)
    folds: dict[int, set[str | None]] = {}
    for pair in pairs:
        assert (owner[pair.a] == owner[pair.b]) == pair.same
        folds.setdefault(pair.fold, set()).update((owner[pair.a], owner[pair.b]))
    assert [sum(p.same for p in pairs if p.fold == fold) for fold in range(4)] == [30] * 4
    assert not set.intersection(*folds.values())
    assert None not in set.union(*folds.values())
    # Each of the 15 people of a fold gives two genuine pairs before anybody gives a third.
    assert set(Counter(owner[p.a] for p in pairs if p.same).values()) == {2}
    assert pairs == draw_pairs(rows[::-1], PairsParams(per_fold=30, folds=4), seed=3)
    assert pairs != draw_pairs(rows, PairsParams(per_fold=30, folds=4), seed=4)


def test_too_few_people_for_the_pairs_are_named() -> None:
    rows = [(p.key, p.identity) for p in photographs(6, 2)]
    with pytest.raises(DataError, match=r"fold 1 has 3 people .* give 3 pairs of one person and \d+ of two; 4 of each"):
        draw_pairs(rows, PairsParams(per_fold=4, folds=2), seed=0)


def test_a_shrunk_crop_is_the_average_of_the_stored_one_and_keeps_its_points(root: Path, tmp_path: Path) -> None:
    values = {
        "source": {"kind": "table", "file": str(root / "a.csv"), "root": str(root)},
        "split": {"by": "image", "test": 0.25},
        "crop": {"method": "landmarks", "pixels": 48},
    }
    dataset: DatasetParams = check(DatasetParams, values, "datasets.x")
    prepare(dataset, 0, tmp_path / "m")
    align_crop(dataset, tmp_path / "m", tmp_path / "c")
    stored, shrunk = Crops(tmp_path / "c", "train"), Crops(tmp_path / "c", "train", 24)
    assert (stored.pixels, shrunk.pixels, shrunk.stored) == (48, 24, 48)
    assert np.array_equal(shrunk.whole(0), stored.image(0))
    blocks = stored.image(0).reshape(24, 2, 24, 2, 3).astype(float).mean((1, 3))
    assert np.abs(shrunk.image(0) - blocks).max() <= 0.5
    original = np.array(POINTS.split(","), float).reshape(5, 2)
    for crops in (stored, shrunk):
        for matrix, points in zip(crops.to_original, crops.landmarks, strict=True):
            np.testing.assert_allclose(points @ matrix[:, :2].T + matrix[:, 2], original, atol=0.01)
    with pytest.raises(ValueError, match="crops of 48 px cannot become 50 px"):
        Crops(tmp_path / "c", "train", 50)
