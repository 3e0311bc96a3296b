"""People on a list are left out and counted; the committed list says of whom it speaks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from packed_faces import python2_pickle
from photographs import GOOD

from facedistill.data.dataset import DatasetParams
from facedistill.data.prepare import left_out_identities, prepare
from facedistill.data.problems import DataError
from facedistill.params import check

COMMITTED = Path(__file__).parents[1] / "data/leave_out/casia_lfw.txt"


def prepared(root: Path, left_out: str | None, **source: Any) -> dict[str, Any]:
    """The report of a set of three people with four photographs each."""
    for person in ("amy", "0000045", "Zoë"):
        (root / "faces" / person).mkdir(parents=True, exist_ok=True)
        for i in range(1, 5):
            (root / f"faces/{person}/{person}_{i:04d}.jpg").write_bytes(GOOD["plain"])
    if left_out is not None:
        (root / "list.txt").write_bytes(left_out.encode())
    values = {
        "source": source if "file" in source else {"kind": "folder", "root": str(root / "faces")} | source,
        "split": None if source else {"by": "image", "test": 0.25},
        "crop": {"method": "centre", "pixels": 32},
        "leave_out": None if left_out is None else str(root / "list.txt"),
    }
    prepare(check(DatasetParams, values, "datasets.x"), 0, root / "m")
    report: dict[str, Any] = json.loads((root / "m/report.json").read_text())
    return report


@pytest.mark.parametrize(
    ("left_out", "people", "photographs"),
    [
        (None, 0, 0),
        ("0000045\n", 1, 4),
        ("\ufeff# a comment\r\n\r\n  0000045  # who is also in LFW\r\nZoë\r\n", 2, 8),
        ("amy\namy\n", 1, 4),
        ("AMY\n000004\n", 0, 0),
    ],
)
def test_people_on_the_list_are_left_out_and_counted(
    left_out: str | None, people: int, photographs: int, tmp_path: Path
) -> None:
    report = prepared(tmp_path, left_out)
    assert report["identities"] == 3 - people
    assert report["photographs"] == 12 - photographs
    assert (report["identities_left_out"], report["photographs_left_out"]) == (people, photographs)
    assert report["left_out"] == []
    assert len(pq.read_table(tmp_path / "m/manifest.parquet")) == 12 - photographs


def test_a_name_on_the_list_that_nobody_has_is_noted(tmp_path: Path) -> None:
    notes = prepared(tmp_path, "0000045\n45\n")["notes"]
    assert [(note["record"], note["reason"]) for note in notes] == [("45", "not in this set")]


def test_one_person_who_is_left_has_nobody_to_be_told_from(tmp_path: Path) -> None:
    (note,) = prepared(tmp_path, "0000045\nZoë\n")["notes"]
    assert (note["record"], note["reason"]) == ("amy", "the only identity: nobody to tell it from")


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        ("amy\n0000045\nZoë\n", r"list\.txt: leaves out every photograph, 12 of them"),
        ("# nobody\n", r"list\.txt: no identity in it; set leave_out to null"),
        ("", r"list\.txt: no identity in it"),
        ("a" * 5000, r"list\.txt: line 1: 4096 characters or more"),
    ],
)
def test_a_list_that_leaves_nobody_or_names_nobody_stops_the_stage(left_out: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        prepared(tmp_path, left_out)


def test_a_pair_that_needs_someone_on_the_list_stops_the_stage(tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text("1\t1\namy\t1\t2\namy\t1\tZoë\t1\n")
    with pytest.raises(DataError, match=r"Zoë_0001\.jpg: a pair needs this photograph.*list\.txt"):
        prepared(tmp_path, "Zoë\n", kind="lfw", pairs=str(tmp_path / "pairs.txt"))


def test_nobody_can_be_left_out_of_a_set_whose_people_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "lfw.bin").write_bytes(python2_pickle([GOOD["plain"]] * 20, [True] * 10, 2))
    with pytest.raises(
        DataError, match=r"list\.txt: nobody knows who is in this set; set datasets\.m\.leave_out to null"
    ):
        prepared(tmp_path, "Zoë\n", kind="bin", file=str(tmp_path / "lfw.bin"))


def test_the_committed_list_names_the_people_of_casia_who_are_in_lfw() -> None:
    assert left_out_identities(COMMITTED) == ["0166921", "1056413", "1193098"]
    with pytest.raises(DataError, match=r"gone\.txt: no such file"):
        left_out_identities(COMMITTED.parent / "gone.txt")
