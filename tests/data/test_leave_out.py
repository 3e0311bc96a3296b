"""People on a list are left out and counted; the committed list says which people it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

import pyarrow.parquet as pq
import pytest
from packed_faces import python2_pickle
from photographs import GOOD

from facedistill.crops import DataError
from facedistill.data.dataset import DatasetParams
from facedistill.data.prepare import left_out_names, prepare
from facedistill.params import check

COMMITTED = Path(__file__).parents[2] / "data/leave_out/casia_lfw.txt"


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
    assert (note["record"], note["reason"]) == ("amy", "the only identity of the set")


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


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("0000045/", "called '0000045/', but '0000045' is nearly the same; write the name as the set has it"),
        ('"0000045"', "but '0000045' is nearly the same"),
        ("45", "but '0000045' is nearly the same"),
        ("45.0", "but '0000045' is nearly the same"),
        ("0000045\tJohn Doe", "but '0000045' is nearly the same"),
        ("faces/0000045", "but '0000045' is nearly the same"),
        ("AMY", "but 'amy' is nearly the same"),
        ("Zoe", "but 'Zoë' is nearly the same"),
        ("000004", "nobody on it is in this set, whose people have names such as '0000045', and not such as '000004'"),
        ("Joe\nJim", "nobody on it is in this set"),
        ("amy\n45", "called '45', but '0000045' is nearly the same"),
    ],
)
def test_someone_who_would_be_trained_on_in_spite_of_the_list_stops_the_stage(
    listed: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=rf"list\.txt: .*{message}"):
        prepared(tmp_path, listed)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("disk", ["NFC", "NFD"])
@pytest.mark.parametrize("kind", ["folder", "table"])
def test_accents_are_compared_and_not_bytes(
    kind: str, disk: Literal["NFC", "NFD"], form: Literal["NFC", "NFD"], tmp_path: Path
) -> None:
    for person in ("Anna", normalize(disk, "José")):
        for i in range(4):
            (tmp_path / "faces" / person).mkdir(parents=True, exist_ok=True)
            (tmp_path / f"faces/{person}/{i}.jpg").write_bytes(GOOD["plain"])
    source = {"kind": kind, "root": str(tmp_path / "faces")}
    if kind == "table":
        rows = [f"{person}/{i}.jpg,{person}" for person in ("Anna", normalize(form, "José")) for i in range(4)]
        (tmp_path / "t.csv").write_text("\n".join(["path,identity", *rows]), encoding="utf-8")
        source["file"] = str(tmp_path / "t.csv")
    (tmp_path / "list.txt").write_text(normalize(form, "José\n"), encoding="utf-8")
    crop = {"method": "centre", "pixels": 32}
    values = {"source": source, "split": None, "crop": crop, "leave_out": str(tmp_path / "list.txt")}
    prepare(check(DatasetParams, values, "datasets.x"), 0, tmp_path / "m")
    report = json.loads((tmp_path / "m/report.json").read_text())
    assert (report["identities_left_out"], report["photographs_left_out"], report["photographs"]) == (1, 4, 4)


def test_a_name_that_nobody_has_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepared(tmp_path, "amy\nJoe\nJim\n")
    assert f"m: note: {tmp_path}/list.txt: Joe: not in this set (and 1 more such)\n" in capsys.readouterr().err


def test_a_pair_that_needs_someone_on_the_list_stops_the_stage(tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text("2\t1\namy\t1\t2\namy\t1\tZoë\t1\nZoë\t1\t2\nZoë\t2\tamy\t2\n")
    with pytest.raises(DataError, match=r"Zoë_0001\.jpg: a pair needs this photograph.*list\.txt"):
        prepared(tmp_path, "Zoë\n", kind="lfw", pairs=str(tmp_path / "pairs.txt"))


def test_nobody_can_be_left_out_of_a_set_whose_people_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "lfw.bin").write_bytes(python2_pickle([GOOD["plain"]] * 20, [True] * 10, 2))
    with pytest.raises(
        DataError, match=r"list\.txt: the identities of this set are unknown; set datasets\.m\.leave_out to null"
    ):
        prepared(tmp_path, "Zoë\n", kind="bin", file=str(tmp_path / "lfw.bin"))


def test_the_committed_list_names_the_people_of_casia_who_are_in_lfw() -> None:
    assert left_out_names(COMMITTED) == ["0166921", "1056413", "1193098"]
    with pytest.raises(DataError, match=r"gone\.txt: no such file"):
        left_out_names(COMMITTED.parent / "gone.txt")


def test_single_photographs_are_left_out_by_their_keys(tmp_path: Path) -> None:
    report = prepared(tmp_path, "amy/amy_0002.jpg\nZoë\ngone/x.jpg\n")
    assert (report["identities_left_out"], report["photographs_left_out"]) == (1, 5)
    keys = pq.read_table(tmp_path / "m/manifest.parquet")["key"].to_pylist()
    assert [key for key in keys if key.startswith("amy")] == [f"amy/amy_{i:04d}.jpg" for i in (1, 3, 4)]
    assert [note["record"] for note in report["notes"] if "not in this set" in note["reason"]] == ["gone/x.jpg"]
