"""What programs write for a missing value is no name, and a whole number is one name in every notation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facedistill.data.photograph import COORDINATES, Photograph, Problem
from facedistill.data.sources import SourceParams, open_source
from facedistill.data.sources.celeba import POINTS_HEADER
from facedistill.data.sources.files import MISSING, name_value, points, value
from facedistill.params import check

POINTS = "30 40 60 41 45 55 33 70 57 71"
WORDS = ["", "nan", "NaN", "-nan", "NULL", "null", "None", "N/A", "n/a", "NA", "<NA>", "NaT", "\\N", "#N/A"]
PEOPLE = ["Null", "Nan", "Na", "none of these", "nancy", "7a", "007", "0"]


def scan(**values: Any) -> tuple[dict[str, Photograph], dict[str, str]]:
    """Photographs by key, and the reason of each problem by its record."""
    records = list(open_source(check(SourceParams, {k: str(v) for k, v in values.items()}, "source")).scan())
    photographs = {r.key: r for r in records if isinstance(r, Photograph)}
    return photographs, {r.record: r.reason for r in records if isinstance(r, Problem)}


def table(folder: Path, form: str, rows: list[dict[str, Any]]) -> tuple[dict[str, Photograph], dict[str, str]]:
    """The rows as they are read of a table, the photographs of its paths beside it."""
    for row in rows:
        if row["path"]:
            (folder / str(row["path"])).write_bytes(b"not read")
    file = folder / f"t.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    else:
        lines = [",".join("" if v is None else str(v) for v in row.values()) for row in rows]
        file.write_text("\n".join([",".join(rows[0]), *lines]))
    return scan(kind="table", file=file, root=folder)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_missing_value_is_no_person_and_no_group(form: str, word: str, tmp_path: Path) -> None:
    rows = [
        {"path": "1.jpg", "identity": "amy", "group": f" {word} "},
        {"path": "2.jpg", "identity": word, "group": "clip"},
        {"path": "3.jpg", "identity": "amy", "group": "clip"},
    ]
    photographs, problems = table(tmp_path, form, rows)
    assert {key: (p.identity, p.group) for key, p in photographs.items()} == {
        "1.jpg": ("amy", None),
        "3.jpg": ("amy", "clip"),
    }
    assert problems == {"2.jpg": "row 2: no identity" + (f": {word!r} is taken for a missing value" if word else "")}


@pytest.mark.parametrize("name", PEOPLE)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_people_whose_name_is_nearly_such_a_word_are_people(form: str, name: str, tmp_path: Path) -> None:
    photographs, problems = table(tmp_path, form, [{"path": "1.jpg", "identity": name, "group": name}])
    assert not problems
    assert (photographs["1.jpg"].identity, photographs["1.jpg"].group) == (name, name)


def test_a_folder_of_any_name_is_a_person(tmp_path: Path) -> None:
    for name in ("None", "nan", "NULL"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(b"not read")
    photographs, problems = scan(kind="folder", root=tmp_path)
    assert not problems
    assert {p.identity for p in photographs.values()} == {"None", "nan", "NULL"}


def test_a_missing_path_is_named_by_its_row(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,identity\nnan,amy\n")
    photographs, problems = scan(kind="table", file=tmp_path / "t.csv", root=tmp_path)
    assert not photographs
    assert problems == {"row 1": "row 1: no path: 'nan' is taken for a missing value"}


@pytest.mark.parametrize("written", ["7", "7.0", "7.00", 7, 7.0])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_whole_number_is_one_name_however_it_is_written(form: str, written: Any, tmp_path: Path) -> None:
    (photograph,) = table(tmp_path, form, [{"path": "1.jpg", "identity": written, "group": written}])[0].values()
    assert (photograph.identity, photograph.group) == ("7", "7")


def test_columns_of_numbers_with_gaps_and_of_bytes(tmp_path: Path) -> None:
    for i in range(4):
        (tmp_path / f"{i}.jpg").write_bytes(b"not read")
    columns = {
        "path": pa.array([f"{i}.jpg".encode() for i in range(4)], pa.binary()),
        "identity": pa.array([7.0, None, float("nan"), 1e16], pa.float64()),
        "group": pa.array([b"clip", b"\xff", None, None], pa.binary()),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    photographs, problems = scan(kind="table", file=tmp_path / "t.parquet", root=tmp_path)
    assert {k: (p.identity, p.group) for k, p in photographs.items()} == {
        "0.jpg": ("7", "clip"),
        "3.jpg": ("10000000000000000", None),
    }
    assert problems.keys() == {"1.jpg", "2.jpg"}


@pytest.mark.parametrize("word", WORDS[1:])
def test_landmarks_that_are_missing_are_unknown_and_some_of_them_are_an_error(word: str, tmp_path: Path) -> None:
    assert points([word] * 10) is None
    found = points(POINTS.split())
    assert found is not None
    np.testing.assert_array_equal(found.ravel(), [float(v) for v in POINTS.split()])
    with pytest.raises(ValueError, match="coordinates are not"):
        points([*POINTS.split()[:9], word])
    rows = [dict(zip(("path", "identity", *COORDINATES), ["1.jpg", "a", *[word] * 10], strict=True))]
    photographs, problems = table(tmp_path, "csv", rows)
    assert not problems
    assert photographs["1.jpg"].landmarks is None
    (tmp_path / "faces/a").mkdir(parents=True)
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / "faces/a" / name).write_bytes(b"not read")
    fields = "\t".join([word] * 10)
    (tmp_path / "list.txt").write_text(f"a/1.jpg\t{fields}\na/2.jpg\t{POINTS}\n")
    photographs, problems = scan(kind="folder", root=tmp_path / "faces", landmarks=tmp_path / "list.txt")
    assert not problems
    assert [p.landmarks is None for p in photographs.values()] == [True, False]


def test_identities_of_celeba(tmp_path: Path) -> None:
    names = [f"{i:06d}.jpg" for i in range(1, 4)]
    (tmp_path / "Img/img_align_celeba").mkdir(parents=True)
    (tmp_path / "Anno").mkdir()
    for name in names:
        (tmp_path / "Img/img_align_celeba" / name).write_bytes(b"not read")
    rows = "".join(f"{name} {POINTS}\n" for name in names)
    (tmp_path / "Anno/list_landmarks_align_celeba.txt").write_text(f"3\n{POINTS_HEADER}\n{rows}")
    (tmp_path / "Anno/identity_CelebA.txt").write_text("000001.jpg 7\n000002.jpg nan\n000003.jpg 7.0\n")
    photographs, problems = scan(kind="celeba", root=tmp_path, variant="aligned")
    assert {key: p.identity for key, p in photographs.items()} == {"000001.jpg": "7", "000003.jpg": "7"}
    assert problems == {"000002.jpg": "line 2: no identity: 'nan' is taken for a missing value"}


def test_every_word_is_itself_and_blanks_and_accents_do_not_matter() -> None:
    assert set(WORDS) <= MISSING
    assert all(value(f" {word}\t") == name_value(word) == "" for word in MISSING)
    assert value(" Jose\N{COMBINING ACUTE ACCENT} ") == "Jos\N{LATIN SMALL LETTER E WITH ACUTE}"
    assert [name_value(text) for text in ("-3.0", "3.10", "1.0.0", "v3.0")] == ["-3", "3.10", "1.0.0", "v3.0"]
